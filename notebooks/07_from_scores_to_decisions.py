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
# # From scores to decisions: who does what tomorrow?
#
# A score per customer is where the work of others begins. Marketing, sales, finance and whoever
# buys advertisements each ask something else of the same model. Here they get their answers on
# Online Retail, a year of a British gift wholesaler: from a messy log to a file for each of them.
# Before you read on: which of the four would a list of customers sorted by value mislead most?
#
# Assumed, since no log says so: a margin of 35 % and what winning a customer costs.

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
rfm.audit

# %% [markdown]
# ## A model, and whether it can be trusted
#
# MBG/NBD describes this base better than BG/NBD ([which model?](../which_model.md)): many who buy
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
over

# %% [markdown]
# Intervals to plan with are those that allow for the calendar: a wholesaler of gifts has an autumn,
# and one year of a log cannot show it. So below, totals have the calendar's doubt in them.
#
# ## Marketing: everybody's state, and two lists
#
# Who is new, active, slowing, overdue, lost; when the next order is due; whom to win back. Two
# tables sort the customers: by what the next order says of each, and by how much value silence has
# cost. In a wholesaler's first year hardly anything is lost yet, so the second has nobody to win
# back, and sales will ring the overdue of the first.

# %%
people = clv.customers(posterior, rfm, attributes=["country"])
lists = clv.action_lists(posterior, rfm)
overdue = people.customers[people.customers["state"] == "overdue"]
print(people.customers["state"].value_counts().to_string())
lists.counts

# %%
tiers = clv.tier_report(posterior, rfm)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plots.plot_tiers(tiers, ax=axes[0])
plots.plot_lorenz({"expected value": posterior.predict(rfm)}, ax=axes[1])
plt.show()

# %% [markdown]
# The value is concentrated: a few dozen customers deserve a person who calls them. `top_shares`
# says how many hold how much, with its interval. Would you have guessed the first line?

# %%
top = clv.top_shares(posterior, rfm, shares=[0.01, 0.05, 0.2])
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
by_region.T

# %% [markdown]
# A customer abroad is worth more, and may cost more. But look at `customers`: a tenth is abroad,
# and the interval is of what *these* brought on average, not of how far others would differ.
# `known` is the share whose first order is six months ago. `budget` is at the lower of both limits.
# [Cohort curves](../cohorts.md) says how often such intervals held.
#
# ## Finance: a plan by month, and what the customers are worth

# %%
plan = clv.forecast_total(posterior, rfm, horizon="6M", path="M", random_seed=1)
firm = clv.customer_valuation(
    posterior, rfm, horizon="2Y", acquisitions=[120.0] * 24, cac=90.0, random_seed=1
)
parts = firm.table.set_index("part")
plots.plot_forecast(plan)
plt.show()
parts

# %% [markdown]
# The log calls everybody new who bought for the first time since December 2010, old customers too,
# so that first orders of its first months are no guide to how many will come. That is why the
# number is a plan here, and not extrapolated.
#
# ## The decision
#
# Each of the four gets a file, and nobody a model:
#
# - **marketing** writes to the slowing and the overdue, and leaves the rest in peace;
# - **sales** rings the overdue, the dearest first: not the most valuable, who need no call;
# - **whoever buys advertisements** has a ceiling for each region, and a budget at it;
# - **finance** plans by month with the wide interval, customers to come apart from those at hand.

# %%
scratch = TemporaryDirectory()  # a folder of yours, outside a notebook
folder = Path(scratch.name)
people.customers.to_csv(folder / "marketing_customers.csv", index=False)
overdue.to_csv(folder / "sales_win_back.csv", index=False)
channels.to_csv(folder / "acquisition_regions.csv", index=False)
plan.table.to_csv(folder / "finance_months.csv", index=False)
firm.table.to_csv(folder / "finance_customer_valuation.csv", index=False)
rfm.to_parquet(folder / "rfm.parquet")
posterior.save(folder / "posterior.nc")
written = pd.DataFrame(
    [{"file": one.name, "kB": one.stat().st_size / 1000} for one in sorted(folder.iterdir())]
)
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
#
# **To think about.** (1) Why are the first customers of a list sorted by value the last that sales
# should ring? (2) Finance wants one number for customers to come: what would you ask back?
# (3) Abroad pays more than at home by this log. How few customers would have to leave to turn that
# round?
