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
# # Quickstart: from a log of orders to a ranked list of customers
#
# You have a table with one row per order: who, when, how much. You want to know, for each
# customer, whether they still buy, how much they will buy, what that is worth today, and how
# certain the answer is. That takes three calls: **summarise**, **fit**, **predict**.
#
# The log here is CDNOW, a music shop of 1997, with its customers of the first quarter; it comes
# with the package. We take the published sample of one customer in ten. Let today be 30 September
# 1997. The log goes on for another nine months, so at the end we can look up what really happened.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import clvmodels as clv
from clvmodels import datasets, plots

pd.options.display.float_format = "{:,.2f}".format
temporary = tempfile.TemporaryDirectory()  # for the files that are written here
folder = Path(temporary.name)

log = datasets.load_cdnow(sample=True)
log.head()

# %% [markdown]
# ## 1. Summarise
#
# The models need little from the log: for each customer how often they came back (`frequency`),
# when they came last (`recency`), how long we have known them (`T`), and what they spend per
# purchase (`monetary_value`). `rfm_summary` takes pandas, polars, Arrow, Parquet, CSV or a
# database table.

# %%
rfm = clv.rfm_summary(
    log,
    customer_id_col="customer_id",
    datetime_col="date",
    monetary_value_col="amount",
    observation_period_end="1997-09-30",
)
rfm

# %% [markdown]
# **Read the audit** below the table before anything else. Every row of the log is either used or
# left out for one stated reason, and the amounts add up to the cent. Here the only rows left out
# are those after "today". A customer's orders on one day count as one purchase, so 4,960 rows make
# 4,814 purchases.

# %%
audit = rfm.audit.to_pandas()
left_out = audit.drop(index=["read", "used"])

assert audit.loc["read", "rows"] == len(log) == 6_919
assert audit.loc["used", "rows"] + left_out["rows"].sum() == len(log)
assert np.isclose(audit.loc["used", "amount"] + left_out["amount"].sum(), log["amount"].sum())
assert (rfm.audit.customers, rfm.audit.periods) == (2_357, 4_814)  # as published

# %% [markdown]
# Most logs are messier. Online Retail, which comes with the package too, has rows without a
# customer, free items and cancellations, which `refunds="net"` takes off the orders of the same
# day. The audit tells you what your choices cost:

# %%
retail = clv.rfm_summary(
    datasets.load_online_retail(),
    customer_id_col="customer_id",
    datetime_col="timestamp",
    monetary_value_col="amount",
    refunds="net",
)
print(retail.audit)

account = retail.audit.to_pandas()
assert account.loc["no customer", "rows"] == 135_080
assert np.allclose(account.loc["read"], account.drop(index="read").sum())

# %% [markdown]
# ## 2. Fit
#
# `CLVModel` is two models: BG/NBD for purchases (customers buy at their own rate, and may leave
# for good after any purchase) and Gamma-Gamma for the amounts. Fitting returns a *posterior*: not
# one set of parameters but thousands of plausible ones, and that is where all intervals come from.
# A fit that did not converge raises an error instead of returning numbers.

# %%
posterior = clv.CLVModel().fit(rfm, random_seed=1, progressbar=False)
posterior

# %% [markdown]
# Four parameters describe when customers buy, three describe what they spend. The estimates
# published for this sample (by maximum likelihood, times in weeks) lie well inside:

# %%
published = pd.DataFrame(
    {
        "estimate": [0.2426, 4.4136, 0.7929, 2.4259, 6.2493, 3.7443, 15.4443],
        "standard error": [0.0126, 0.3782, 0.1857, 0.7054, 1.190, 0.290, 4.160],
    },
    index=["r", "alpha", "a", "b", "p", "q", "v"],
)
published.loc["alpha"] *= 7  # from weeks to days
draws = posterior.purchases.draws() | posterior.spend.draws()
published["ours (median)"] = {name: np.median(values) for name, values in draws.items()}
off = (published["ours (median)"] - published["estimate"]) / published["standard error"]

assert all(verdict.status == "pass" for verdict in posterior.verdicts.values())
assert (off.abs() < 1).all()
published.map("{:.3g}".format)

# %% [markdown]
# ## 3. Predict
#
# One call gives one row per customer, in the order of the table. Everything is about the 39 weeks
# that follow; money is discounted at 10 % a year.

# %%
customers = posterior.predict(rfm, horizon="39W", discount_rate=0.10)
ranked = customers.sort_values("clv", ascending=False, ignore_index=True)

shown = ["customer_id", "frequency", "monetary_value", "p_purchase", "expected_purchases"]
ranked[[*shown, "expected_spend", "clv", "clv_lower", "clv_upper"]].head(10)

# %% [markdown]
# What the columns mean:
#
# | column | meaning |
# |---|---|
# | `p_purchase` | probability of at least one purchase within the horizon: who is expected to buy |
# | `expected_purchases` | how many purchases to expect within it |
# | `discounted_purchases` | the same, later ones counting less |
# | `expected_spend` | their mean spend, drawn towards everybody's where orders are few |
# | `clv` | worth of these purchases today: margin x `expected_spend` x `discounted_purchases` |
# | `clv_sd`, `clv_lower`, `clv_upper` | how well that is known: its sd and 90 % interval |
# | `historical_value`, `total_value` | what the customer brought so far, and that plus `clv` |
# | `p_alive` | probability that the customer has not left for good: the least certain column |
#
# `clv` is **residual** value: what is still to come. What was earned already is not in it.

# %%
by_hand = customers["expected_spend"] * customers["discounted_purchases"]
past = log.loc[log["date"] <= "1997-09-30", "amount"].sum()

assert np.allclose(customers["clv"], by_hand, rtol=0.01)  # means of products, over the draws
assert np.isclose(customers["historical_value"].sum(), past)
assert customers["clv"].between(customers["clv_lower"], customers["clv_upper"]).all()

# %% [markdown]
# ### Two kinds of interval
#
# `clv_lower` to `clv_upper` is about the *expected* value: how well the average over many
# customers like this one is known. It says little about what this one customer will happen to do;
# for that ask for `predictive=True`. Most who are expected to spend something will spend nothing,
# and a few a lot.

# %%
outcomes = posterior.predict(rfm, horizon="39W", predictive=True)
columns = ["customer_id", "clv", "clv_lower", "clv_upper", "value_lower", "value_upper"]
best = outcomes.nlargest(5, "clv")[columns]

assert (best["value_upper"] - best["value_lower"] > best["clv_upper"] - best["clv_lower"]).all()
best

# %% [markdown]
# ### A caveat: who is expected to buy, and who is still a customer
#
# Rely on `p_purchase`, which the log can prove right or wrong. Nobody sees a customer leave, so
# `p_alive` is the least certain column: models that fit and predict equally well differ in its sum
# by a factor of two here. In BG/NBD a customer can only leave *after a repeat purchase*, so
# whoever bought once and never again has `p_alive` = 1 forever. That is the model's bookkeeping,
# not news about the customer; `p_purchase` falls with every week of silence. The log knows who
# really bought in the 39 weeks:

# %%
future = log[log["date"].between("1997-10-01", "1998-06-30")]
customers["really_bought"] = customers["customer_id"].isin(future["customer_id"])
once = customers["frequency"] == 0
kinds = once.map({True: "bought once", False: "came back"}).rename("until today")
compared = ["p_purchase", "really_bought", "p_alive"]

assert once.sum() == 1_411
assert (customers.loc[once, "p_alive"] == 1).all()
assert np.isclose(customers.loc[once, "really_bought"].mean(), 193 / 1_411)
customers.groupby(kinds)[compared].mean()

# %% [markdown]
# ## What really happened
#
# Now all customers, in five groups of rising `p_purchase`. The share of each group that really
# bought should lie on the line.

# %%
fifth = pd.qcut(customers["p_purchase"].rank(method="first"), 5, labels=False)
predicted, observed = customers.groupby(fifth)[["p_purchase", "really_bought"]].mean().to_numpy().T

figure, axes = plt.subplots(figsize=(4.2, 4), layout="constrained")
plots.plot_calibration(predicted, observed, ax=axes)
axes.set(xlabel="predicted probability of a purchase", ylabel="share who really bought")
plt.show()

# %% [markdown]
# The groups come in the right order at the top, where it counts, and those who came back do so
# more often than the model says. [Notebook 3](03_is_the_fit_good.ipynb) looks into that, and
# [notebook 2](02_model_against_the_formula.ipynb) puts it into money.

# %%
best_tenth = ranked["customer_id"].head(236)
spent = future.groupby("customer_id")["amount"].sum()
share = spent.reindex(best_tenth).sum() / spent.sum()
print(f"The tenth of customers ranked highest spent {share:.0%} of all that was spent.")

assert observed[-1] > 4 * observed[0]
assert share > 0.45

# %% [markdown]
# ## Save, load, score
#
# A posterior is one NetCDF file. Loading it needs neither the log nor PyMC, and the numbers are
# the same to the last digit.

# %%
posterior.save(folder / "posterior.nc")
loaded = clv.load_posterior(folder / "posterior.nc")
again = loaded.predict(rfm, horizon="39W", discount_rate=0.10)

pd.testing.assert_frame_equal(again, customers[again.columns], check_exact=True)

# %% [markdown]
# ## The same from the command line
#
# Each step is also a command, for a nightly job or for people who do not use Python. `clvmodels
# --help` lists them all.

# %%
log.to_csv(folder / "orders.csv", index=False)

# %% magic_args="-s {folder}" language="bash"
# cd "$1"
# clvmodels summarize orders.csv -o rfm.parquet --observation-end 1997-09-30 \
#     --customer-id customer_id --timestamp date --amount amount
# clvmodels fit rfm.parquet -o posterior.nc --seed 1 --quiet
# clvmodels score rfm.parquet --posterior posterior.nc -o scores.parquet --horizon 39W --quiet

# %%
scores = pd.read_parquet(folder / "scores.parquet").set_index("customer_id")["clv"]
same = customers.set_index("customer_id")["clv"]

assert np.allclose(scores.loc[same.index], same, rtol=1e-9)
print(f"The same {len(scores):,} values.")

temporary.cleanup()

# %% [markdown]
# ## Where to go from here
#
# - [The simple formula](02_model_against_the_formula.ipynb): is all this any better? In money.
# - [Is the fit good?](03_is_the_fit_good.ipynb): how to tell whether the numbers can be used.
# - [A million customers](04_scoring_a_million_customers.ipynb): the same for a large base.
# - [Decisions](05_decisions.ipynb): which customers to look after, what a customer may cost.
# - [pymc-marketing](06_from_pymc_marketing.ipynb): if you have a model there already.
