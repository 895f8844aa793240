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
# # From pymc-marketing, and back
#
# pymc-marketing has the same models, and much that is not here: covariates, BG/BB,
# contractual models. If you work with it, this notebook shows that both get the same posterior,
# how to convert a fit in either direction, where their numbers differ, and what there is to gain
# when the base gets large. It is about pymc-marketing 1.3.

# %%
import logging
import time
import warnings

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.utils.capture import capture_output

import clvmodels as clv
from clvmodels import datasets

warnings.filterwarnings("ignore", message="IProgress not found")  # of a progress bar
from pymc_marketing import clv as pmm

logging.getLogger("pymc").setLevel(logging.WARNING)
pd.options.display.float_format = "{:,.3f}".format

log = datasets.load_cdnow(sample=True)
today = "1997-09-30"

# %% [markdown]
# ## The same table
#
# `rfm_summary` has the same arguments, which here are named. The result knows its unit of time,
# and what became of every row of the log.

# %%
theirs = pmm.rfm_summary(log, "customer_id", "date", "amount", observation_period_end=today)
rfm = clv.rfm_summary(
    log,
    customer_id_col="customer_id",
    datetime_col="date",
    monetary_value_col="amount",
    observation_period_end=today,
)

pd.testing.assert_frame_equal(theirs, rfm.to_pandas()[theirs.columns], check_dtype=False)
rfm.to_pandas().head(3)

# %% [markdown]
# ## The same posterior
#
# There a model is changed by fitting it; here `fit` returns the posterior. The default priors
# differ (more on that below), so here we use theirs, which are available by name.

# %%
repeaters = theirs[(theirs["frequency"] > 0) & (theirs["monetary_value"] > 0)]
options = {"chains": 2, "cores": 2, "random_seed": 1, "progressbar": False}

begun = time.perf_counter()
purchases, spend = pmm.BetaGeoModel(), pmm.GammaGammaModel()
with capture_output():  # progress bars
    purchases.fit(data=theirs, **options)
    spend.fit(data=repeaters, **options)
their_seconds = time.perf_counter() - begun

# %%
begun = time.perf_counter()
model = clv.CLVModel(
    purchases=clv.BetaGeoModel(priors="pymc-marketing"),
    spend=clv.GammaGammaModel(priors="pymc-marketing"),
)
posterior = model.fit(rfm, chains=2, random_seed=1, progressbar=False)
our_seconds = time.perf_counter() - begun
print(f"pymc-marketing {their_seconds:.0f} s, clvmodels {our_seconds:.0f} s")

# %%
names = ["r", "alpha", "a", "b", "p", "q", "v"]
one = pd.concat(
    az.summary(fitted.idata, var_names=some, round_to="none")
    for fitted, some in [(purchases, names[:4]), (spend, names[4:])]
)
other = posterior.summary()
apart = (one["mean"] - other["mean"]) / np.hypot(one["mcse_mean"], other["mcse_mean"])

assert apart.abs().max() < 5  # Monte Carlo standard errors
pd.DataFrame(
    {
        "mean, pymc-marketing": one["mean"],
        "mean, clvmodels": other["mean"],
        "apart, in standard errors": apart,
        "sd, pymc-marketing": one["sd"],
        "sd, clvmodels": other["sd"],
    }
)

# %% [markdown]
# ## A fit that you already have
#
# `from_pymc_marketing` converts fitted models with their draws, priors and sampler statistics. The
# fit is checked again, and one that did not converge is refused. pymc-marketing does not know its
# unit of time, so pass `time_unit` and `time_scaler` if it is not days.

# %%
taken = clv.from_pymc_marketing(purchases, spend, observation_end=today)
for verdict in taken.verdicts.values():
    print(verdict)

assert all(verdict.status == "pass" for verdict in taken.verdicts.values())

# %% [markdown]
# The methods have the same names, and on the same draws they give the same numbers:

# %%
pairs = {
    "expected_purchases": (
        purchases.expected_purchases(theirs, future_t=90),
        taken.purchases.expected_purchases(rfm, future_t=90),
    ),
    "expected_probability_alive": (
        purchases.expected_probability_alive(theirs),
        taken.purchases.expected_probability_alive(rfm),
    ),
    "expected_customer_spend": (
        spend.expected_customer_spend(theirs),
        taken.spend.expected_customer_spend(rfm),
    ),
}
for name, (there, here) in pairs.items():
    here = here.transpose(*there.dims)
    np.testing.assert_allclose(there.to_numpy(), here.to_numpy(), rtol=1e-7, err_msg=name)
    print(f"{name}: the same in {here.size:,} cells")

# %% [markdown]
# ## And back
#
# `to_pymc_marketing` makes fitted models of a posterior, on which pymc-marketing's own methods and
# plots work. So you can fit a large base here, and continue there.

# %%
model, _ = clv.to_pymc_marketing(posterior, rfm)
figure, axes = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
pmm.plot_probability_alive_matrix(model, ax=axes)
plt.show()

# %%
again = clv.from_pymc_marketing(model)
there, here = again.draws(), posterior.purchases.draws()

assert all(np.array_equal(there[name], here[name]) for name in here)

# %% [markdown]
# ## Value
#
# pymc-marketing's `expected_customer_lifetime_value` counts months, and its rate is per month;
# `discounting="monthly"` does the same here, where `discount_rate` is per year. The means agree to
# rounding. The spread does not: there each draw of purchases is multiplied by the *mean* of spend,
# so the uncertainty of spend is missing. Here it is included.

# %%
few = theirs.head(500)
begun = time.perf_counter()
value = spend.expected_customer_lifetime_value(purchases, few, future_t=12, discount_rate=0.01)
theirs_per_customer = (time.perf_counter() - begun) / len(few)

terms = {"horizon": "12M", "discount_rate": 1.01**12 - 1, "discounting": "monthly", "draws": 2_000}
ours = taken.predict(rfm, **terms).head(500)
narrower = value.std(["chain", "draw"]).to_numpy() / ours["clv_sd"].to_numpy()

np.testing.assert_allclose(value.mean(["chain", "draw"]), ours["clv"], rtol=1e-9)
assert (narrower < 1).all()
print(f"Their sd is {narrower.min():.0%} to {narrower.max():.0%} of the whole.")

# %% [markdown]
# ## Where the numbers differ
#
# **The chance of no purchase, for a customer who bought once.** The formula has a term for
# customers who may have left after a repeat purchase. Customers without one cannot have left, and
# the term is 0 for them; in pymc-marketing it stays. By hand it is one line of mathematics:
# ((alpha + T) / (alpha + T + t))^r.

# %%
once = theirs[theirs["frequency"] == 0].head(1)
d, T, t = taken.purchases.draws(), once["T"].item(), 39 * 7
chances = {
    "pymc-marketing": purchases.expected_probability_no_purchase(t, once).mean().item(),
    "clvmodels": 1 - taken.purchases.probability_of_purchase(once, future_t=t).mean().item(),
    "by hand": np.mean(((d["alpha"] + T) / (d["alpha"] + T + t)) ** d["r"]),
}

assert np.isclose(chances["clvmodels"], chances["by hand"], rtol=1e-9)
assert chances["pymc-marketing"] > chances["by hand"] + 0.05
pd.Series(chances).to_frame("P(no purchase in 39 weeks)")

# %% [markdown]
# **Purchases at a = 1.** The published formula divides by a - 1. Nothing happens at a = 1 except in
# the formula, and near it digits are lost; many of CDNOW's draws lie near it.

# %%
at_one = clv.BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=[0.999, 1.0, 1.001], b=2.426)
there = clv.to_pymc_marketing(at_one, rfm).expected_purchases(theirs.head(1), future_t=t)
here = at_one.expected_purchases(rfm.to_pandas().head(1), future_t=t)
both = pd.DataFrame(
    {"pymc-marketing": there.to_numpy().ravel(), "clvmodels": here.to_numpy().ravel()},
    index=pd.Index([0.999, 1.0, 1.001], name="a"),
)

assert np.isnan(both.loc[1.0, "pymc-marketing"])
assert both["clvmodels"].is_monotonic_decreasing
both

# %% [markdown]
# **Priors with fixed units.** There the defaults are fixed numbers, which influence spend in
# dollars and dominate it in cents. Here v's prior scales with the amounts. Take a customer with
# one repeat purchase of $11.77: what is their mean spend? The published estimate is $18.91. And q,
# the other figure, must be above 1, or customers yet unknown spend an infinite amount on average.

# %%
rows = []
for unit, per_dollar in [("dollars", 1), ("cents", 100)]:
    amounts = repeaters.assign(monetary_value=per_dollar * repeaters["monetary_value"])
    single = amounts[(amounts["frequency"] == 1) & repeaters["monetary_value"].eq(11.77)].head(1)
    there = pmm.GammaGammaModel()
    with capture_output():
        there.fit(data=amounts, method="map", progressbar=False)
    here = clv.GammaGammaModel().fit(amounts, method="map", progressbar=False)
    for package, fitted, q in [
        ("pymc-marketing", there, there.fit_result["q"].item()),
        ("clvmodels", here, here.draws()["q"].item()),
    ]:
        mean = fitted.expected_customer_spend(single).mean().item() / per_dollar
        rows.append({"package": package, "amounts in": unit, "q": q, "mean spend, $": mean})
spends = pd.DataFrame(rows).set_index(["package", "amounts in"]).sort_index()

assert np.allclose(spends.loc["clvmodels", "mean spend, $"], 18.91, rtol=0.02)
assert spends.loc[("pymc-marketing", "dollars"), "mean spend, $"] > 20
assert spends.loc[("pymc-marketing", "cents"), "mean spend, $"] < 14
assert spends.loc[("pymc-marketing", "cents"), "q"] < 1
spends

# %% [markdown]
# If amounts are not in the tens, set the priors yourself there.
#
# ## The scale
#
# The posterior that pymc-marketing fitted to 2,357 customers, and all 23,570 of CDNOW: same draws,
# same months, same discounting.

# %%
whole = clv.rfm_summary(
    datasets.load_cdnow(),
    customer_id_col="customer_id",
    datetime_col="date",
    monetary_value_col="amount",
    observation_period_end=today,
)
begun = time.perf_counter()
everybody = taken.predict(whole, **terms)
ours_per_customer = (time.perf_counter() - begun) / len(whole)
ratio = theirs_per_customer / ours_per_customer
print(f"pymc-marketing {1e6 * theirs_per_customer:,.0f} microseconds a customer")
print(f"clvmodels      {1e6 * ours_per_customer:,.0f} microseconds a customer")
print(f"{ratio:.0f} times less")

assert ratio > 20
everybody = everybody.set_index("customer_id")["clv"]
assert np.allclose(everybody[ours["customer_id"]], ours["clv"], rtol=1e-9)

# %% [markdown]
# Their cost grows with customers x draws x months, in memory too; here equal histories are
# computed once, in blocks. To go on to millions, save the posterior and score from file to file,
# as in [notebook 4](04_scoring_a_million_customers.ipynb):
#
# ```python
# taken.save("posterior.nc")
# clv.score("base/", "posterior.nc", "scores")
# ```
