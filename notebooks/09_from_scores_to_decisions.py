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
# # From scores to decisions
#
# A score per customer is where the work of others begins. Here it goes to its end on Online Retail,
# a year of a British gift wholesaler: from a messy log to the files that marketing, sales, finance
# and acquisition each get. Assumed, since no log says so: a margin of 35 % and what winning a
# customer costs.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas as pd

import clvmodels as clv
from clvmodels import datasets, plots

pd.options.display.float_format = "{:,.2f}".format
log = datasets.load_online_retail()
columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "timestamp",
    "monetary_value_col": "amount",
}

# %% [markdown]
# ## The log, and what became of its rows
#
# A quarter of the lines belongs to no customer, and cancellations are negative amounts: they are
# taken off the purchases that they cancel. A column of invoices would be better still.

# %%
rfm = clv.rfm_summary(
    log,
    **columns,
    refunds="net_earlier",
    order_id_col="invoice",
    segment_cols=["country"],
    margin=0.35,
    observation_period_end="2011-11-30",
)
assert 4_200 < len(rfm) < 4_400
assert rfm.margin == 0.35
rfm.audit

# %% [markdown]
# ## A model, and whether it can be trusted
#
# MBG/NBD describes this base better than BG/NBD ([notebook 7](07_which_model.ipynb)): many who buy
# once are gone. What its totals are good for is asked of the log itself, at three dates.

# %%
posterior = clv.CLVModel("mbgnbd").fit(rfm, method="nuts", random_seed=1, progressbar=False)
past = clv.backtest(
    log,
    **columns,
    refunds="net",
    model="mbgnbd",
    origins=3,
    horizon="60D",
    method="map",
    bootstrap=50,
    progressbar=False,
)
over = past.totals_over_dates
assert (over["dates"] == 3).all()
over

# %% [markdown]
# Intervals to plan with are those that allow for the calendar: a wholesaler of gifts has an autumn,
# and one year of a log cannot show it. So below, totals have the calendar's doubt in them.
#
# ## Marketing: everybody's state, and two lists
#
# Who is new, active, slowing, overdue, lost; when the next order is due; whom to win back.

# %%
people = clv.customers(posterior, rfm, attributes=["country"])
table = people.customers
lists = clv.action_lists(posterior, rfm)
assert len(table) == len(rfm)
assert table["value"].sum() > 0
assert lists.slipping["valuable"].all()
assert lists.slipping["clv_lost"].is_monotonic_decreasing
lists.counts

# %%
tiers = clv.tier_report(posterior, rfm)
assert tiers["value_share"].iloc[0] > 0.3, "the first twentieth holds more than three tenths"
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plots.plot_tiers(tiers, ax=axes[0])
plots.plot_lorenz({"expected value": posterior.predict(rfm)}, ax=axes[1])
plt.show()

# %% [markdown]
# The value is concentrated: a few dozen customers deserve a person who calls them. `top_shares`
# says how many hold how much, with its interval.

# %%
top = clv.top_shares(posterior, rfm, shares=[0.01, 0.05, 0.2])
assert top["value_share"].is_monotonic_increasing
assert (top["value_share_lower"] < top["value_share_upper"]).all()
top

# %% [markdown]
# ## Acquisition: what may a customer cost, and where?
#
# The model's new customer is that of the whole base. Countries differ, and the log says by how
# much: what their customers brought in the six months after their own first order, counted where
# they are that old and forecast where they are not.

# %%
home = rfm.to_pandas().set_index("customer_id")["country"]
region = home.map(lambda one: "United Kingdom" if one == "United Kingdom" else "abroad")
channels = clv.acquisition_report(
    posterior,
    rfm,
    log=log,
    by=region.rename("region"),
    horizon="6M",
    payback="3M",
    target_ratio=3.0,
    cac={"United Kingdom": 90.0, "abroad": 150.0},
    customers={"United Kingdom": 100, "abroad": 20},
    random_seed=1,
)
by_region = channels.set_index("region")
assert by_region.loc["abroad", "value"] > by_region.loc["United Kingdom", "value"]
assert (by_region["highest_cac"] < by_region["value"]).all()
assert by_region["budget"].iloc[-1] == by_region["budget"].iloc[:2].sum()
by_region.T

# %% [markdown]
# `known` is the share whose first order is six months ago. `budget` is at the lower of both limits.
# Values here carry the doubt of chance, parameters and calendar; spend per order shifts as well
# ([cohort curves](../cohorts.md) says how often such intervals held).
#
# ## Finance: a plan by month, and what the customers are worth

# %%
plan = clv.forecast_total(posterior, rfm, horizon="6M", path="M", random_seed=1)
firm = clv.customer_valuation(
    posterior, rfm, horizon="2Y", acquisitions=[120.0] * 24, cac=90.0, random_seed=1
)
parts = firm.table.set_index("part")
assert plan.whole is not None
assert parts["lower"].iloc[0] < parts["mean"].iloc[0] < parts["upper"].iloc[0]
assert abs(parts["mean"].iloc[:3].sum() - parts["mean"].iloc[3]) < 1e-6
plots.plot_forecast(plan)
plt.show()
parts

# %% [markdown]
# The log calls everybody new who bought for the first time since December 2010, old customers too,
# so that first orders of its first months are no guide to how many will come. That is why the
# number is a plan here, and not extrapolated.
#
# ## What each person gets

# %%
scratch = TemporaryDirectory()  # a folder of yours, outside a notebook
folder = Path(scratch.name)
people.customers.to_csv(folder / "marketing_customers.csv", index=False)
lists.slipping.to_csv(folder / "sales_win_back.csv", index=False)
channels.to_csv(folder / "acquisition_regions.csv", index=False)
plan.table.to_csv(folder / "finance_months.csv", index=False)
firm.table.to_csv(folder / "finance_customer_valuation.csv", index=False)
rfm.to_parquet(folder / "rfm.parquet")
posterior.save(folder / "posterior.nc")
written = pd.DataFrame(
    [{"file": one.name, "kB": one.stat().st_size / 1000} for one in sorted(folder.iterdir())]
)
assert len(written) == 7
assert pd.read_csv(folder / "marketing_customers.csv").shape[0] == len(rfm)
scratch.cleanup()
written

# %% [markdown]
# The same from a shell, for the night:
#
# ```console
# clvmodels customers --rfm rfm.parquet --posterior posterior.nc -o marketing_customers.csv
# clvmodels actions --rfm rfm.parquet --posterior posterior.nc --lists sales
# clvmodels acquisition --rfm rfm.parquet --posterior posterior.nc --log log.parquet --by country
# clvmodels forecast-total --rfm rfm.parquet --posterior posterior.nc --path M -o finance_months.csv
# clvmodels valuation --rfm rfm.parquet --posterior posterior.nc --horizon 2Y --acquisitions 120
# ```
