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
# # What do the others get, every night?
#
# The analysis is done. Now marketing wants a list, sales wants names, finance a number, and the
# data team wants to know what happens when it breaks at three in the morning. So the question of
# this notebook is not about models: **what do you hand over, and how will anybody notice that it
# is wrong?**
#
# It goes from a log to the files that each person gets, kills the job in the middle, feeds it bad
# rows, and looks at what is left. All files are in a temporary folder.

# %%
import json
import shlex
import subprocess
import tempfile
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import clvmodels as clv
from clvmodels import simulate

pd.options.display.float_format = "{:,.2f}".format
pd.options.display.max_colwidth = None
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

shape = {"r": 0.25, "alpha": 35.0, "a": 0.6, "b": 2.4, "p": 5.0, "q": 4.0, "v": 20.0}
log = simulate.simulate_log(
    300_000, **shape, T=(0, 730), cents=True, seed=1, observation_end="2025-11-30"
)
log.to_parquet(folder / "orders.parquet", index=False)
print(f"{len(log):,} orders of {log['customer_id'].nunique():,} customers")
del log

# %% [markdown]
# ## From file to file
#
# A log too large for memory is summarised on disk; the result is one row per customer. Then one
# fit. With this many customers `fit` takes the quick Laplace approximation, and says whether that
# was good enough.

# %%
base = folder / "base"
base.mkdir()
audit = clv.rfm_summary_to_parquet(
    folder / "orders.parquet",
    base / "customers.parquet",
    customer_id_col="customer_id",
    datetime_col="date",
    monetary_value_col="amount",
    memory_limit="1GB",
)
rfm = clv.RfmTable.from_parquet(base / "customers.parquet")
posterior = clv.CLVModel().fit(rfm, random_seed=1, progressbar=False)
posterior.save(folder / "posterior.nc")
print(audit, *posterior.verdicts.values(), sep="\n")

# %% [markdown]
# The posterior is one file of some hundred kilobytes. It is what you keep: from it every number
# below can be made again, without the log.
#
# ## Something will be wrong with the data
#
# Tonight a second file arrives from another system. Four of its rows cannot be scored: a customer
# who came back after the end of observation, one with a count below zero, and one who is there
# twice. What *should* a job do with them? Stop, and nobody gets anything? Leave them out, and
# nobody knows?

# %%
schema = pq.read_schema(base / "customers.parquet")
schema = schema.remove(schema.get_field_index("log_gaps"))  # which scoring does not read
bad = pd.DataFrame(
    {
        "customer_id": [900_001, 900_002, 900_003, 900_003],
        "frequency": [2, -1, 1, 1],
        "recency": [400.0, 0.0, 10.0, 10.0],
        "T": [300.0, 300.0, 300.0, 300.0],
        "monetary_value": [25.0, 25.0, 25.0, 25.0],
        "first_value": [25.0, 25.0, 25.0, 25.0],
    }
)
pq.write_table(pa.Table.from_pandas(bad, schema=schema), base / "from_elsewhere.parquet")
command = shlex.split(
    "clvmodels score base --posterior posterior.nc -o scores "
    "--block-rows 50000 --horizon 365D --log-json"
)

# %% [markdown]
# And to make it harder: the machine dies while it scores.

# %%
running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
for line in running.stderr:
    if json.loads(line).get("block") == 1:
        running.kill()
        break
running.communicate()
print("killed; is there a result?", (folder / "scores").exists())

# %% [markdown]
# There is no half a result: a name appears when all is written. The same command again goes on
# where it stopped, and its exit code tells the scheduler what came of it.

# %%
again = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
events = [json.loads(line) for line in again.stderr.splitlines()]
blocks = [event["block"] for event in events if event["event"] == "block"]
manifest = json.loads((folder / "scores.manifest.json").read_text())
rejects = pd.read_parquet(folder / "scores.rejects.parquet")
print(f"Blocks of the second run: {blocks}. Exit code {again.returncode}.")
print(manifest["rows"])
rejects[["customer_id", "frequency", "recency", "T", "reason"]]

# %%
assert again.returncode == 3
assert 0 not in blocks
assert manifest["rows"]["input"] == manifest["rows"]["scored"] + len(rejects)

# %% [markdown]
# So that is the answer here: everybody else is scored, the four are in a file with a reason each,
# and exit code 3 says so. `--max-rejects 1%` turns that into a failure, and the old scores stay,
# when it is more than a mishap. Which number is right for you? Ask what costs more: scores of
# yesterday, or scores of most.
#
# ## Marketing: whom to write to
#
# Scores are plain Parquet. What follows is SQL, in whatever tool people have.

# %%
scores = f"'{folder}/scores/*.parquet'"
duckdb.sql(
    f"""
    COPY (FROM {scores} SELECT customer_id, p_purchase, clv ORDER BY clv DESC LIMIT 5000)
    TO '{folder}/marketing.csv'
    """
)
duckdb.sql(
    f"""
    SELECT frequency = 0 AS bought_once, count(*)::INT AS customers,
           avg(p_purchase) AS p_purchase, avg(clv) AS clv, sum(clv) AS clv_of_all
    FROM {scores} GROUP BY ALL ORDER BY ALL
    """
).df()

# %% [markdown]
# ## Finance: one number, and not the sum of the column
#
# The sum of `clv` is right as a mean. But do *not* add up `clv_lower` and `clv_upper`: all
# customers share the parameters and the calendar, so their errors do not cancel, and those of
# chance do.

# %%
small = rfm.to_pandas().sample(20_000, random_state=1)  # enough for the doubt of the whole
part = clv.RfmTable.from_pandas(small, observation_end=rfm.observation_end)
plan = clv.forecast_total(posterior, part, horizon="365D", random_seed=1)
row = plan.table.set_index("total").loc["value"]
ends = duckdb.sql(f"SELECT sum(clv_lower) AS low, sum(clv_upper) AS high FROM {scores}").df().loc[0]
total = manifest["totals"]["clv"]
intervals = pd.DataFrame(
    [
        (ends["low"] / total["mean"], ends["high"] / total["mean"]),
        (total["lower"] / total["mean"], total["upper"] / total["mean"]),
        (row["lower"] / row["mean"], row["upper"] / row["mean"]),
    ],
    columns=["from", "to"],
    index=["added up (wrong)", "how well the mean is known", "what may come: to plan with"],
)
(intervals - 1).map("{:+.1%}".format)

# %% [markdown]
# Either of the first two would have promised that next year can surprise nobody by more than one
# percent. The last is the one to hand over.
#
# ## Sales: a list for people
#
# Whoever rings customers wants a state and a reason, not draws. `customers` writes a list for a
# spreadsheet, sorted by value, and `.xlsx` has headings, widths and a filter.

# %%
people = clv.customers(posterior, part)
best = people.customers.sort_values("value", ascending=False).head(200)
best.to_csv(folder / "sales.csv", index=False)
best[["customer_id", "state", "tier", "value", "action"]].head()

# %% [markdown]
# ## The data team: no Python at all
#
# Where the customers live in a warehouse, they can be scored there. `clv.score_sql` writes a
# statement and a small table of coefficients; here DuckDB plays the warehouse.

# %%
in_sql = clv.score_sql(posterior, horizon="365D", most_purchases=20)
with duckdb.connect() as warehouse:
    warehouse.execute(f"CREATE TABLE rfm AS FROM '{base}/customers.parquet'")
    warehouse.register("clv_coefficients", in_sql.coefficients)
    statement = in_sql.statement("duckdb", rfm="rfm", coefficients="clv_coefficients")
    there = warehouse.execute(statement).df().set_index("customer_id")
here = duckdb.sql(f"FROM {scores} SELECT customer_id, clv").df().set_index("customer_id")["clv"]
both = there.join(here.rename("by score"))
print(f"Largest difference: {(both['clv'] / both['by score'] - 1).abs().max():.0e} of a value.")
both["reason"].value_counts(dropna=False).to_frame("customers")

# %% [markdown]
# Customers beyond the table get NULL and a reason, never a wrong number. Means alone are there;
# for intervals it takes `score`.
#
# ## The decision
#
# Who gets what, and what stops the night:

# %%
files = {
    "marketing.csv": "marketing: whom to write to, best first",
    "sales.csv": "sales: two hundred names, each with a state and what to do",
    "scores.manifest.json": "finance and whoever is called at three: counts, totals, settings",
    "scores.rejects.parquet": "the owner of the data: rows that are wrong, and why",
    "posterior.nc": "you: all of it can be made again from here",
}
pd.DataFrame(
    [
        {"file": name, "kB": (folder / name).stat().st_size / 1e3, "for": who}
        for name, who in files.items()
    ]
).set_index("file")

# %%
temporary.cleanup()

# %% [markdown]
# The night as a script. `set -e` makes any exit code but 0 stop it; so decide which should:
#
# ```sh
# set -e
# clvmodels summarize orders.parquet -o rfm.parquet --customer-id customer_id \
#     --timestamp date --amount amount --max-rejects 1%
# clvmodels fit rfm.parquet -o posterior.nc          # exit code 4: the fit did not converge
# clvmodels score rfm.parquet --posterior posterior.nc -o scores --max-rejects 1% --allow-rejects
# clvmodels track forecasts.parquet --rfm rfm.parquet --posterior posterior.nc --log orders.parquet
# ```
#
# The last line is the one that is always forgotten: it writes down what was forecast, and exits
# with 7 on the day on which what came has left its interval. That is how anybody notices.
#
# **To think about.** (1) Does the fit have to run every night? What would you see if it ran once a
# month? (2) Marketing sorts by `clv` and writes to the top. After a year of that, what does the
# log say about customers who were never written to? (3) Somebody asks for the scores of one
# customer to be deleted. In which of the files above are they?
