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
# # How far can I trust the number?
#
# Your model says that the customers of today will buy 1,660 times in the next nine months. Finance
# wants to put that into the plan and asks: *how sure are you?* "From 1,540 to 1,780" is an answer,
# and a wrong one, as we shall see. What would be a good one?
#
# A number can fail in four ways. The sampler did not finish. The model does not look like its own
# data. Another model says something else. Or the world changes. Each has its question, and each
# question takes one call.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import clvmodels as clv
from clvmodels import datasets, plots

pd.options.display.float_format = "{:,.3f}".format

log = datasets.load_cdnow(sample=True)
columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
today, horizon = "1997-09-30", "39W"
known = log[log["date"] <= today]  # all that we have today
rfm = clv.rfm_summary(known, **columns, observation_period_end=today)

# %% [markdown]
# ## 1. Did the fit finish?
#
# Let us first see what a failure looks like. Ten draws after ten of warming up are too few:

# %%
try:
    clv.BetaGeoModel().fit(rfm, method="nuts", draws=20, tune=10, random_seed=1, progressbar=False)
except clv.ConvergenceError as error:
    print(error)

# %%
posterior = clv.CLVModel().fit(rfm, method="nuts", random_seed=1, progressbar=False)
print(*posterior.verdicts.values(), sep="\n")

# %% [markdown]
# A fit that fails a check raises an error. So this question is answered whenever you hold a
# posterior in your hands, and it is the *least* of the four: it says that we found what the model
# thinks, not that the model is right.
#
# ## 2. Does the model look like the data?
#
# If customers behaved as the model says, how many would have come back once, twice, ...?

# %%
plots.plot_repeat_histogram(posterior, rfm)
plt.show()

# %% [markdown]
# They agree. That is worth knowing, and less than it seems: the model was *fitted* to these
# customers. It would be a poor model that could not repeat what it was told.
#
# ## 3. What do other models say?
#
# Several models read the same three numbers of each customer, and make different things of
# silence. The past can judge them: let each forecast the last quarter from what was known before
# it.

# %%
models = clv.compare(
    ["bgnbd", "mbgnbd", "mbgcnbd2"],
    known,
    **columns,
    train_period_end="1997-06-30",
    method="laplace",
    progressbar=False,
)
models.heldout.origins.set_index("model")[["purchases", "forecast", "lower", "upper", "inside"]]

# %%
print(*(f"- {sentence}" for sentence in models.sentences), sep="\n")

# %% [markdown]
# Read this as you read a newspaper. Regular timing (`mbgcnbd2`) does harm: nobody buys records by
# the calendar ([notebook 3](03_a_log_without_amounts.ipynb) has people who do). Of the other two,
# one is nearer on the total and the other on the ranking, by so little that it would not change
# what you do. And BG/NBD was right to a fifth of a percent.
#
# Do you trust it now? Careful: that is *one* quarter, and a quiet one. A clock that stands still
# is right to the second, once.
#
# ## 4. What if the world changes?
#
# The interval of the expectation says how well the parameters are known. More customers make it
# ever narrower. But seasons, campaigns and the mood of the country move *all customers at once*,
# and that does not average out. `forecast_total` adds that doubt:

# %%
plan = clv.forecast_total(posterior, rfm, horizon=horizon, path="M", random_seed=1)
row = plan.whole.table.set_index("total").loc["purchases"]
pd.DataFrame(
    {
        "from": [row["expected_lower"], row["lower"]],
        "to": [row["expected_upper"], row["upper"]],
    },
    index=["how well the mean is known", "what may come"],
).map("{:,.0f}".format)

# %%
row[["share_parameters", "share_chance", "share_calendar"]].map("{:.0%}".format).to_frame("of it")

# %% [markdown]
# Three quarters of the doubt are the calendar's. Its size, a standard deviation of 15 %, is an
# assumption: nine months of a log cannot show it, and real logs have about that much. Do not be
# afraid to say so. A number of which you can name the assumption is better than a narrow one whose
# assumption nobody saw.
#
# ## What came
#
# Now let the time pass.

# %%
later = log[(log["date"] > today)].drop_duplicates(["customer_id", "date"])
came = len(later)
plots.plot_purchases_over_time(posterior, rfm, log=log, horizon=horizon)
plt.show()
print(
    f"{came:,} purchases came; expected {row['mean']:,.0f}, planned {row['lower']:,.0f} "
    f"to {row['upper']:,.0f}."
)

# %%
assert row["expected_upper"] < came < row["upper"]

# %% [markdown]
# Outside the narrow interval, inside the wide one: the model that was right to a fifth of a
# percent is 12 % too low. The nine months had a Christmas in them, and its log had none. One date
# proves little in either direction, so ask several: the same question at every date at which the
# log can be cut.

# %%
past = clv.backtest(
    log, origins=3, method="map", bootstrap=20, draws=100, progressbar=False, **columns
)
plots.plot_origin_totals(past)
plt.show()

# %%
over = past.totals_over_dates
over[over["target"] == "purchases"][["calendar", "dates", "inside", "interval_score", "error"]]

# %% [markdown]
# ## The decision
#
# What do you tell finance? Not one number for all, but what each use can bear. The backtest has a
# check for each, with its limit; those that are not passed are what to say first:

# %%
passed = [one.name for one in past.checks if one.status == "pass"]
print(f"{len(passed)} of {len(past.checks)} checks passed, those of rankings among them. To mind:")
print(*(f"- {one.name}: {one.figure}" for one in past.checks if one.name not in passed), sep="\n")

# %%
low, high = (f"{row[end]:,.0f}" for end in ("lower", "upper"))
print(
    f"Plan with {row['mean']:,.0f} orders, and be able to live with {low} as with {high}.",
    "Rank customers by this model, or by any but mbgcnbd2: it makes no difference.",
    "Do not promise what a single customer will do.",
    sep="\n",
)

# %% [markdown]
# **To think about.** (1) You know that December sells 40 % more: `scenario={"1997-12": 1.4}` says
# so to `forecast_total`. Which of the shares of doubt does it make smaller? (2) With ten times as
# many customers, which of the two intervals narrows, and by how much? (3) A colleague's model has
# a total that is nearer to what came. What would you ask before you take it?
