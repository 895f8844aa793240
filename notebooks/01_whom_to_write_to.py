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
# # Whom should I write to?
#
# You run a record shop, it is 30 September 1997, and you can pay for 500 letters. The shop has
# 2,357 customers. Who gets one?
#
# Stop for a moment before reading on: which rule would *you* use? The customers who spent most?
# Those who ordered last? Those who order most often? At the end we look up what everybody bought
# in the nine months that followed, and see which rule would have been right.
#
# The log is real: CDNOW, a shop of the early internet, and the published sample of one customer in
# ten. It comes with the package.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import clvmodels as clv
from clvmodels import datasets, plots

pd.options.display.float_format = "{:,.2f}".format

log = datasets.load_cdnow(sample=True)
log.head()

# %% [markdown]
# ## What a log knows of a customer
#
# Nearly all that a log says about the future is in four numbers per customer: how often they came
# back (`frequency`), when they last did (`recency`), how long we have known them (`T`), and what
# they spend per order (`monetary_value`). `rfm_summary` counts them.

# %%
today = "1997-09-30"
columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
rfm = clv.rfm_summary(log, **columns, observation_period_end=today)
rfm

# %% [markdown]
# Below the table is the **audit**: every row of the log was used, or left out for a reason. Here
# only rows after "today" are left out. Make a habit of reading it ([notebook
# 2](02_a_csv_of_your_own.ipynb) shows why).
#
# ## Two customers to think about
#
# Here are two of them. Both were last seen on the same days of spring. One had bought often until
# then, the other only twice. Who is more likely to be back?

# %%
people = rfm.to_pandas()
silent = people[(people["T"] - people["recency"]).between(120, 150)]
often = silent.nlargest(1, "frequency")["customer_id"].item()
seldom = silent[(silent["frequency"] == 1) & (silent["recency"] > 75)]["customer_id"].iloc[0]

_, axes = plt.subplots(figsize=(8, 2), layout="constrained")
plots.plot_timelines(rfm, log=log[log["date"] <= today], customers=[seldom, often], ax=axes)
plt.show()

# %% [markdown]
# Most people say: the one above, who bought so often. But think of their rhythm. Four months of
# silence are nothing for somebody who buys twice a year; for somebody who came every other week
# they are a farewell. A rule such as "ten orders, so a good customer" cannot see that, and a rule
# such as "silent for 120 days, so lost" calls both of them lost.
#
# ## A model of coming and leaving
#
# So let us say how customers behave, and no more than that: everybody buys at a rate of their own,
# and after any purchase may leave for good, with a chance of their own. Rates and chances differ
# from customer to customer, and the log shows how much. That is BG/NBD; Gamma-Gamma says the same
# of what they spend. `CLVModel` is both.

# %%
posterior = clv.CLVModel().fit(rfm, random_seed=1, progressbar=False)
posterior

# %% [markdown]
# A fit gives thousands of plausible sets of parameters, not one: all intervals come from there. A
# fit that did not converge raises an error, so that numbers which you see can be used.
#
# Now the two customers:

# %%
nine_months = {"horizon": "39W", "discount_rate": 0.10}
scores = posterior.predict(rfm, **nine_months, predictive=True).set_index("customer_id")
shown = ["frequency", "p_alive", "p_purchase", "expected_purchases", "expected_spend", "clv"]
scores.loc[[often, seldom], shown]

# %%
assert scores.loc[often, "p_alive"] < 0.1 < 0.5 < scores.loc[seldom, "p_alive"]

# %% [markdown]
# `p_purchase` is the chance of an order within the horizon, `expected_purchases` how many to
# expect, `expected_spend` the amount of each, and `clv` the money of all of them today. The
# frequent customer is probably gone, and the model says so without any rule about silence.
#
# One column needs care. Whoever bought **once** has `p_alive` 1: in this model customers can leave
# only after a *repeat* purchase. It is no news about them. `p_purchase` is what to look at.
#
# ## Was it right?
#
# Each rule picks 500 customers. How much of what was spent in the next nine months did they spend?

# %%
later = log[log["date"] > today]
spent = later.groupby("customer_id")["amount"].sum().reindex(scores.index, fill_value=0.0)
before = people.set_index("customer_id")
rules = {
    "model: highest clv": scores["clv"],
    "spent most so far": before["first_value"] + before["frequency"] * before["monetary_value"],
    "ordered most often": before["frequency"] + before["monetary_value"] / 1e6,  # ties by spend
    "ordered last": before["recency"] - before["T"],
    "anybody": pd.Series(1.0, scores.index).sample(frac=1, random_state=1),
}
chosen = {
    name: by.sort_values(ascending=False, kind="stable").index[:500] for name, by in rules.items()
}
found = pd.DataFrame(
    {
        "bought": {name: (spent[who] > 0).sum() for name, who in chosen.items()},
        "spent, $": {name: spent[who].sum() for name, who in chosen.items()},
        "share of all": {name: spent[who].sum() / spent.sum() for name, who in chosen.items()},
    }
)
found.sort_values("spent, $", ascending=False)

# %%
assert found["spent, $"].idxmax() == "model: highest clv"

# %% [markdown]
# The model's list is best, and not by a mile: *on a ranking* a good rule of thumb comes near. What
# no rule gives is the amount itself, and so an answer to "is a letter to this customer worth a
# dollar?" The usual formula gives one amount for everybody:

# %%
formula = clv.simple_clv(log, **columns, observation_period_end=today, **nine_months)
total = clv.customer_equity(posterior, rfm, **nine_months)
pd.Series(
    {
        "simple formula": formula.total,
        "model": total.mean,
        "what they spent": spent.sum(),
    }
).to_frame("all customers, $")

# %% [markdown]
# Both are off, the formula by far more. And the model is *sure* of a total that is too low; what
# to do about that is the subject of [notebook 4](04_how_far_can_i_trust_it.ipynb). First, single
# customers. There are two intervals, and they answer different questions:

# %%
ends = ["clv", "clv_lower", "clv_upper", "value_lower", "value_upper"]
best = scores.nlargest(6, "clv")[ends].assign(spent=spent)
best

# %% [markdown]
# `clv_lower` to `clv_upper` is how well the *average* of customers like this one is known.
# `value_lower` to `value_upper` is where this one customer will end, with chance in it: wide,
# honest, and the one to quote when somebody asks about a person.
#
# ## The decision
#
# A letter costs \$1 and the shop keeps 30 % of a sale. The model says what customers will spend
# *anyway*. What a letter adds, no log can tell: only an experiment can. But we can turn the
# question round: by how much must a letter raise what a customer spends, to pay for itself?

# %%
margin, letter = 0.30, 1.00
needed = letter / (margin * scores["clv"])
counts = pd.Series({f"{rise:.0%}": (needed <= rise).sum() for rise in (0.02, 0.05, 0.1, 0.2, 0.5)})
counts.rename_axis("if a letter adds").to_frame("letters that pay")

# %% [markdown]
# All 500 letters pay only if a letter adds more than a tenth, which is a lot to ask of a letter.
# That you can pay for 500 is no reason to send them. The decision:
#
# - write to those for whom a rise of a tenth pays, in the order of `clv`;
# - leave a random tenth of them without a letter, and compare in three months: then we *know*;
# - do not write off who is missing from the list: they cost nothing.

# %%
listed = scores[needed <= 0.10].sort_values("clv", ascending=False).head(500)
held_out = listed.sample(frac=0.1, random_state=1).index
listed = listed.assign(letter=~listed.index.isin(held_out))
with tempfile.TemporaryDirectory() as folder:  # a folder of yours, outside a notebook
    listed[["letter", "p_purchase", "clv"]].to_csv(Path(folder) / "letters.csv")
    posterior.save(Path(folder) / "posterior.nc")  # to score again, without the log and a fit
print(f"{listed['letter'].sum()} letters, {len(held_out)} customers to compare with.")
listed[["letter", "p_purchase", "expected_purchases", "clv", "value_upper"]].head()

# %% [markdown]
# The same without Python:
#
# ```console
# clvmodels run orders.csv -o results --customer-id customer_id --timestamp date --amount amount
# ```
#
# **To think about.** (1) In December, would you use the same list? (2) The frequent customer above
# orders once more, tomorrow. What happens to `p_alive`, and what does one order in four months say
# about the rest of the year? (3) Which of the rules above could you explain to your boss in one
# sentence, and what is that worth?
