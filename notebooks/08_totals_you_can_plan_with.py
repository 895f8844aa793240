# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Totals you can plan with
#
# What one customer does by chance averages out over a base. The calendar does not: seasons,
# campaigns, shortages and the state of the trade move all customers at once. An interval of a
# total that leaves it out is too narrow, and the more customers there are, the worse. This
# notebook forecasts CDNOW's next nine months with and without the calendar, says where the
# doubt comes from, and holds both against what came.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import clvmodels as clv
from clvmodels import datasets, plots

pd.options.display.float_format = "{:,.2f}".format

columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
log = datasets.load_cdnow(sample=True)
split = clv.rfm_train_test_split(log, train_period_end="1997-09-30", **columns)
rfm = split.train
posterior = clv.CLVModel().fit(rfm, method="laplace", random_seed=1, progressbar=False)

# %% [markdown]
# ## One number, with an interval to plan with
#
# `lower` and `upper` bound what may really come. `expected_lower` and `expected_upper` are the
# interval of the expectation in an average calendar: how well the parameters are known, and no
# more.

# %%
plan = clv.forecast_total(posterior, rfm, horizon="39W", path="M", random_seed=1)
whole = plan.whole.table
assert len(rfm) == 2_357
assert (whole["lower"] < whole["expected_lower"]).all()
assert (whole["expected_upper"] < whole["upper"]).all()
whole[["total", "mean", "expected_lower", "expected_upper", "lower", "upper"]]

# %% [markdown]
# Where the doubt comes from: shares of the variance. The calendar's is an assumption here, a
# standard deviation of 15 % of the level of the whole base, as real logs have it. More data of
# the same kind would not narrow it; knowing more of the calendar would.

# %%
shares = [f"share_{name}" for name in ("parameters", "chance", "calendar")]
doubt = plan.whole.table.set_index("total")[shares]
assert (doubt["share_calendar"] > 0.5).all(), "most of it is the calendar's"
assert ((doubt.sum(axis=1) - 1.0).abs() < 1e-9).all()
doubt

# %% [markdown]
# ## Month by month
#
# The months of one path belong together: a slow month is likely to be followed by another. So
# the interval of the whole is not the sum of the months', and `path="M"` has both, from the
# same futures.

# %%
assert plan.edges[0] == "1997-10-01"
assert plan.edges[-1] == "1998-07-01"
figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
plots.plot_forecast(plan, ax=axes[0])
plots.plot_purchases_over_time(posterior, rfm, log=log, horizon="39W", ax=axes[1])
plt.show()

# %% [markdown]
# ## What came
#
# The 39 weeks after the cut are in the log.

# %%
came = split.test["test_frequency"].sum()
assert came == 1_882
row = plan.whole.table.set_index("total").loc["purchases"]
without = clv.forecast_total(posterior, rfm, horizon="39W", calendar="none", random_seed=1)
narrow = without.table.set_index("total").loc["purchases"]
assert narrow["upper"] < came <= row["upper"], "the calendar makes the difference"
pd.DataFrame(
    {
        "lower": [narrow["lower"], row["lower"]],
        "upper": [narrow["upper"], row["upper"]],
        "came": came,
        "holds": [one["lower"] <= came <= one["upper"] for one in (narrow, row)],
    },
    index=["without the calendar", "to plan with"],
)

# %% [markdown]
# ## What you know of the calendar
#
# A campaign, a closed month, a Christmas: factors by period. They shift the forecast, and what
# is not known remains in doubt.

# %%
christmas = {"1997-12": 1.4, "1998-01": 0.9}
known = clv.forecast_total(posterior, rfm, horizon="39W", scenario=christmas, path="M")
months = pd.DataFrame(
    {
        name: one.table.query("total == 'purchases'").set_index("month")["mean"]
        for name, one in (("average calendar", plan), ("with Christmas", known))
    }
)
ratio = months["with Christmas"] / months["average calendar"]
assert 1.35 < ratio["1997-12"] < 1.4  # somewhat less, as who buys may leave
assert ratio["1998-01"] < 0.9
months

# %% [markdown]
# ## Parts of a base
#
# All customers share the calendar. So the intervals of segments may not be added up, nor their
# variances: `by=` gives each segment and the whole from the same futures, and
# `simulate_future(..., calendar=)` has every customer on every path, for sums of any of them.

# %%
future = clv.simulate_future(
    posterior, rfm, "39W", paths=500, draws=500, calendar="auto", random_seed=1
)
best = future.values[rfm.to_pandas()["frequency"].to_numpy() >= 3].sum(axis=0)
assert future.counts.shape == (2_357, 500)
pd.Series(best).quantile([0.05, 0.5, 0.95])

# %% [markdown]
# ## Does it hold?
#
# One holdout says little. A backtest without a date cuts the log at several, and says at how
# many of them the totals held, without the calendar and with it. The interval score is the mean
# width, with a penalty for what lies outside, as a share of what came: smaller is better.

# %%
found = clv.backtest(log, method="laplace", bootstrap=100, progressbar=False, **columns)
over = found.totals_over_dates
assert (over["dates"] == 4).all()
assert over.groupby("calendar_sd")["interval_score"].mean().is_monotonic_decreasing
over

# %%
plots.plot_origin_totals(found)
plt.show()

# %% [markdown]
# A clock learns the calendar from the log: week, shocks and, from 457 days on, a season. A
# backtest of such a model fits it without the clock too, and says by how much it moved each
# forecast.

# %%
timed = clv.CLVModel(clv.BetaGeoModel(clock=True))
quick = {"method": "laplace", "bootstrap": 100, "progressbar": False}
both = clv.backtest(log, model=timed, origins=3, **quick, **columns)
moved = both.moved_by_clock
assert len(moved) == 6
assert (moved["moved"].abs() < 0.2).all()
moved

# %%
by_clock = both.totals_over_dates
by_clock = by_clock[by_clock["calendar"] != "none"].set_index(["target", "clock"])
assert by_clock.loc["purchases"].index.tolist() == ["with", "without"]
by_clock[["dates", "inside", "interval_score", "error"]]

# %% [markdown]
# Four dates of one log are few. Three real logs at ten dates, and a simulated one that no
# calendar moves, are in `benchmarks/calendar_coverage.csv`: without the calendar one of ten
# intervals holds, with it seven do, and with a clock nine. On the stable log the assumed one is
# wider than it had to be: an assumption cannot know that nothing will happen.
