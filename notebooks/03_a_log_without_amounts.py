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
# # Who has stopped coming, if nobody says goodbye?
#
# A hairdresser has a book of appointments: who came, and when. No amounts, no contract, and nobody
# gives notice; some just do not come again. There is time for twenty telephone calls this week.
# **Whom do you ring?**
#
# The book is simulated. That has a price, since its world is simpler than the real one, and an
# advantage that no real log has: at the end we can look up who had really gone.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import clvmodels as clv
from clvmodels import plots
from clvmodels.simulate import simulate_log

pd.options.display.float_format = "{:,.2f}".format

today = pd.Timestamp("2025-06-30")
everything = simulate_log(
    1_400,
    model="mbgcnbd2",
    parameters={"r": 1.6, "alpha": 32.0, "a": 0.6, "b": 4.5},
    T=(930.0, 1_630.0),
    seed=4,
    observation_end="2027-06-30",
)
book = everything[everything["date"] <= today]
columns = {"customer_id_col": "customer_id", "datetime_col": "date"}
rfm = clv.rfm_summary(book, **columns, observation_period_end=today)
rfm

# %% [markdown]
# Leave out `monetary_value_col`, and the table has no money. All that follows is about visits.
#
# ## A rule of thumb, and what it does
#
# "Whoever has not been here for 90 days is lost." Before you take such a rule, look at how long
# customers stay away when they are *not* lost: the times between their visits.

# %%
plots.plot_times_between(rfm, log=book)
plt.show()

# %%
people = rfm.to_pandas().set_index("customer_id")
silence = (people["T"] - people["recency"]).rename("silence")
usual = (people["recency"] / people["frequency"]).rename("days between visits")
print(f"{(silence > 90).sum()} of {len(people)} customers have been silent for more than 90 days.")
usual.describe(percentiles=[0.1, 0.5, 0.9]).to_frame().T

# %% [markdown]
# A customer who comes every three weeks is overdue after two months. One who comes every four
# months is not even due. One number of days cannot serve both: for some it rings far too late, and
# others it annoys. What we want is *silence measured by one's own rhythm*.
#
# ## A model for people with a rhythm
#
# The usual models take visits to be as irregular as raindrops: right after a visit the next one is
# as likely as at any other time. Nobody has their hair cut twice in a week. MBG/CNBD-k knows
# regular timing; k is how regular. Ask the book which it is; without amounts, `fit` gives a
# posterior of purchases alone:

# %%
how = {"method": "laplace", "random_seed": 1, "progressbar": False}
candidates = {
    "irregular (MBG/NBD)": clv.CLVModel("mbgnbd").purchases.fit(rfm, **how),
    "regular (MBG/CNBD-2)": clv.CLVModel("mbgcnbd2").purchases.fit(rfm, **how),
}
clear = clv.compare(candidates, rfm)
clear.table[["elpd", "elpd_diff", "dse"]]

# %%
posterior = candidates["regular (MBG/CNBD-2)"]
assert clear.table.index[0] == "regular (MBG/CNBD-2)"

# %% [markdown]
# The difference is many times its standard error, so that timing is regular is beyond doubt. Why
# it matters: take one customer, and follow what each model says of them day by day.

# %%
who = people[(people["frequency"] > 14) & silence.between(70, 120)].index[0]
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3), sharey=True, layout="constrained")
for panel, (name, fitted) in zip(axes, candidates.items(), strict=True):
    plots.plot_alive_history(fitted, rfm, log=book, customer_id=who, ax=panel)
    panel.set_title(name, pad=18)
plt.show()

# %% [markdown]
# Between visits both lines sink a little, and after the last one they fall. The model of regular
# visits is surprised sooner. A week earlier on the telephone is what it buys you.
#
# ## Whom to ring
#
# It is tempting to ring those whose P(alive) is lowest. Think about it: they have most likely
# gone, and found another hairdresser. Nor those at .99. A call can change something where somebody
# *used to come often, and is in doubt*. So weigh the doubt by what is at stake. One value for
# every visit is enough for that: 40 euros, of which half remains.

# %%
valued = clv.CLVPosterior(posterior, 40.0, margin=0.5)
lists = clv.action_lists(valued, rfm, horizon="365D")
calls = lists.slipping.sort_values("clv_lost", ascending=False).head(20)
calls[["customer_id", "frequency", "silence", "p_alive", "clv", "clv_lost"]].head(8)

# %% [markdown]
# `clv_lost` is what this customer would be worth if they were surely still there, less what they
# are worth now: what a call can win back at most.
#
# ## Who had really gone?
#
# Only here can we know: whoever has no visit in the two years that follow. Compare the calls with
# those of the rule: the twenty who came most often among the silent.

# %%
came = set(everything.loc[everything["date"] > today, "customer_id"])
by_rule = people[silence > 90].nlargest(20, "frequency").index
found = pd.DataFrame(
    {
        name: {
            "had left": sum(one not in came for one in chosen),
            "were still there": sum(one in came for one in chosen),
            "days of silence, median": silence[chosen].median(),
        }
        for name, chosen in {"model": calls["customer_id"], "rule": by_rule}.items()
    }
).T
found

# %%
assert found.loc["model", "were still there"] > found.loc["rule", "were still there"]

# %% [markdown]
# The rule rings people who have been gone for months: twenty calls, nobody there. The model's list
# is of people in doubt, and half of them could still be won. And is a P(alive) of .3 really three
# in ten?

# %%
alive = posterior.predict(rfm, horizon="90D").set_index("customer_id")["p_alive"]
group = pd.cut(alive, [0, 0.05, 0.3, 0.7, 0.95, 1], include_lowest=True)
still = pd.Series(alive.index.isin(came), alive.index)
pd.DataFrame(
    {
        "customers": alive.groupby(group, observed=True).size(),
        "P(alive)": alive.groupby(group, observed=True).mean(),
        "were still there": still.groupby(group, observed=True).mean(),
    }
).rename_axis("P(alive) from, to")

# %% [markdown]
# It is, in a world that obeys the model. In your shop nobody can check P(alive), because nobody
# sees a customer leave. What can be checked is whether people *come*: judge by `p_purchase`, on
# dates that have passed ([notebook 4](04_how_far_can_i_trust_it.ipynb)).
#
# ## The decision
#
# Does a call pay at all? It takes ten minutes, say 5 euros. Of what is at stake it wins back a
# share that we do not know; so ask which share it has to be:

# %%
calls = calls.assign(share_that_pays=5.0 / calls["clv_lost"])
print(f"Dearest of the twenty calls: pays if it wins back {calls['share_that_pays'].max():.0%}.")
print(f"All twenty: 100 euros, for {calls['clv_lost'].sum():,.0f} at stake.")
calls.set_index("customer_id")[["silence", "clv_lost", "share_that_pays"]].tail(4)

# %% [markdown]
# Ring all twenty, write down who was glad to be called, and make the list anew next week: it costs
# one command, `clvmodels actions`, with `--basket-value 40` at the fit.
#
# **To think about.** (1) A customer of 60 visits moves away. What will the model say after a
# month? (2) In August everybody is on holiday. Whom would this list ring in September? (3) Visits
# cost from 20 to 200 euros. Whom does a value of 40 for each put at the wrong place?
