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
# # Can I trust a CSV of my own?
#
# The logs of tutorials are clean. Yours comes out of a shop system by way of somebody's
# spreadsheet: decimal commas, days before months, refunds, test orders, guests, a mistyped year.
# None of it stops a program, and any of it may change the answer.
#
# Here we make such a file, so that we know what is wrong with it, and read it step by step. The
# question all along: **which of these faults would have changed a decision?**

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import clvmodels as clv
from clvmodels import datasets

pd.options.display.float_format = "{:,.2f}".format
scratch = tempfile.TemporaryDirectory()
path = Path(scratch.name) / "orders.csv"


def spoil(orders: pd.DataFrame) -> pd.DataFrame:
    """What becomes of a log on its way through an office."""
    orders = orders.assign(order=10_000 + np.arange(len(orders)))
    back = orders.sample(300, random_state=1)
    back = back.assign(date=back["date"] + pd.Timedelta("7D"), amount=-back["amount"])
    twice = orders.sample(200, random_state=2)
    guests = orders.sample(400, random_state=3).assign(customer_id="Gast")
    trials = orders.head(3).assign(customer_id="TEST", amount=[0.01, 9_999.0, 1.0])
    whole = pd.concat([orders, back, twice, guests, trials])
    whole = whole[whole["date"] <= orders["date"].max()]
    typo = orders.tail(1).assign(date=pd.Timestamp("2098-06-30"), order=99_999)
    return pd.concat([whole, typo]).sort_values("order", kind="stable")


clean = datasets.load_cdnow(sample=True)[["customer_id", "date", "amount"]]
spoil(clean).assign(
    date=lambda rows: rows["date"].dt.strftime("%d.%m.%Y"),
    amount=lambda rows: rows["amount"].map(lambda paid: f"{paid:.2f} €".replace(".", ",")),
).to_csv(path, sep=";", index=False, encoding="cp1252")
print(*path.read_text("cp1252").splitlines()[:5], sep="\n")

# %% [markdown]
# ## Read it without looking
#
# Is 01.02.1997 in January or in February? pandas guesses from the first rows. `rfm_summary` asks
# of *all* rows which reading fits, and refuses where two do. It refuses something else first:

# %%
columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
    "encoding": "cp1252",
}
try:
    clv.rfm_summary(path, **columns)
except clv.errors.SchemaError as error:
    print(error)

# %% [markdown]
# One mistyped year. Why is that worth an error? The observation ends with the last date of the
# log. If that is in 2098, every customer has been silent for a hundred years, and the whole base
# is worth nothing. **First rule: know the first and the last day of your log.**

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    hasty = clv.rfm_summary(path, **columns, implausible_dates="drop")
print(hasty.audit)

# %% [markdown]
# It reads now, and the audit says how: day first, decimal comma. Many would go on from here. But
# look at the customers first: the best ones, since that is where what is not a customer gathers.

# %%
print(*{str(one.message) for one in said if one.category is UserWarning}, sep="\n")
hasty.to_pandas().nlargest(3, "frequency")[["customer_id", "frequency", "monetary_value"]]

# %% [markdown]
# Nobody orders on more than 200 days of a year and a half. `Gast` is everybody who had no account.
# **Second rule: look at the ten best customers by name.** `TEST` is not among them by frequency;
# it is by spend:

# %%
hasty.to_pandas().nlargest(3, "monetary_value")[["customer_id", "frequency", "monetary_value"]]

# %% [markdown]
# ## What comes back
#
# There are 300 refunds in the file, each a week after its order. By default negative amounts are
# left out, as if the goods had been kept. `net` takes them off orders of the same day, of which
# there are none here. `net_earlier` takes them off the order that they belong to, if the file says
# which: here `order` does. **Third rule: ask how your shop writes a refund.**

# %%
asked = {
    "implausible_dates": "drop",
    "missing_ids": ["Gast", "TEST"],
    "refunds": "net_earlier",
    "order_id_col": "order",
    "duplicates": "drop",
}
careful = clv.rfm_summary(path, **columns, **asked)
careful.audit

# %%
account = careful.audit.to_pandas()
assert np.allclose(account.loc["read"], account.drop(index="read").sum())
assert account.loc[["no customer", "duplicate"], "rows"].abs().tolist() == [403, 200]

# %% [markdown]
# Every row is accounted for, to the cent. `duplicates="drop"` leaves out rows that agree in
# *every* column, order number included: the file was exported twice. Without an order number, two
# equal rows may be two records bought on one day, and nobody can tell.
#
# ## What would have gone wrong?
#
# Now each fault by itself: all is read carefully but for one thing, and the base is valued for a
# year. Which of them would you have noticed in the result? For totals, the mode of the posterior
# is enough, and takes a moment.

# %%
careless = {
    "nothing": {},
    "guests and tests kept": {"missing_ids": ()},
    "refunds left out": {"refunds": "drop", "order_id_col": None},
    "exported twice, kept": {"duplicates": "keep"},
    "the mistyped year kept": {"implausible_dates": "keep"},
}
rows, values = [], {}
for fault, changed in careless.items():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the very faults that we leave in
        table = clv.rfm_summary(path, **columns, **(asked | changed))
        fit = clv.CLVModel().fit(table, method="map", on_failure="warn", progressbar=False)
        values[fault] = fit.predict(table).set_index("customer_id")["clv"].rename(str)
    best, right = (set(values[name].nlargest(100).index) for name in (fault, "nothing"))
    rows.append(
        {
            "left in": fault,
            "customers": len(table),
            "base, $": values[fault].sum(),
            "best customer": values[fault].idxmax(),
            "worth, $": values[fault].max(),
            "of the best 100": len(best & right),
        }
    )
found = pd.DataFrame(rows).set_index("left in")
found["base, against careful"] = (found["base, $"] / found.loc["nothing", "base, $"] - 1).map(
    "{:+.0%}".format
)
found

# %%
assert found.loc["the mistyped year kept", "base, $"] < 0.1 * found.loc["nothing", "base, $"]

# %% [markdown]
# Read the table by what you would have decided:
#
# - **the mistyped year** takes away all value: you would have noticed, and lost a day;
# - **guests and tests** are one row in twenty. They put a customer on top who does not exist, with
#   a tenth of all value, and two orders of a tester lift what everybody is expected to spend;
# - **refunds** and **double rows** hardly change who is best. They change how much: a budget made
#   from these totals is off by as much as the last column says, and *nothing looks wrong*.
#
# ## The decision
#
# Which rules go into the nightly job, and what must be asked first? The rules, as one command; the
# audit goes to whoever owns the file:

# %%
careful.to_parquet(Path(scratch.name) / "rfm.parquet")
scratch.cleanup()
print(
    "clvmodels summarize orders.csv -o rfm.parquet --encoding cp1252 --decimal , \\",
    "    --customer-id customer_id --timestamp date --amount amount --date-format dmy \\",
    "    --missing-id Gast --missing-id TEST --duplicates drop --implausible-dates drop \\",
    "    --refunds net_earlier --order-id order --max-rejects 1%",
    sep="\n",
)

# %% [markdown]
# `--date-format` and `--decimal` say what was found out here, so that a file which reads otherwise
# is refused; `--max-rejects` stops the job when more than one row in a hundred cannot be read.
# Three things no program can find out. Ask them before you fit:
#
# 1. Does an id stay with a person, when they get a new card or account?
# 2. Are cancelled orders in the file, and how does one see it?
# 3. What is missing: orders by telephone, another country, the time before the new shop system?
#
# **To think about.** (1) Guests brought money too: where does it belong in a plan of the total?
# (2) In which shop would `refunds="drop"` be the right choice? (3) Put one more fault into
# `spoil`, such as an amount in cents for one month. Does anything here notice?
