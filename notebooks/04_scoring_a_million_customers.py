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
# # Scoring a million customers
#
# A nightly job: a log too large to look at, one fit, every customer scored, and a machine that may
# die in the middle. We summarise in DuckDB, fit, score from file to file, kill the scoring while
# it runs, continue, and check that nothing was lost and nothing done twice.
#
# **The customers are simulated.** No log of this size comes with the package. They are drawn from
# BG/NBD and Gamma-Gamma with the parameters of the real CDNOW, so this notebook is about size and
# speed; the others, on real data, are about whether the numbers are any good. All files are in a
# temporary folder that is removed at the end.

# %%
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import clvmodels as clv
from clvmodels import datasets, simulate

pd.options.display.float_format = "{:,.2f}".format
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
orders, base = folder / "orders.parquet", folder / "base"

columns = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
today = "1997-09-30"
cdnow = clv.rfm_summary(datasets.load_cdnow(), **columns, observation_period_end=today)
small = clv.CLVModel().fit(cdnow, method="laplace", random_seed=1, progressbar=False)
draws = small.purchases.draws() | small.spend.draws()
truth = {name: float(np.median(values)) for name, values in draws.items()}

log = simulate.simulate_log(
    1_000_000, **truth, T=(0, 730), cents=True, seed=1, observation_end=today
)
log.to_parquet(orders, index=False)
print(f"{len(log):,} orders in {orders.stat().st_size / 1e6:.0f} MB")
del log

# %% [markdown]
# ## Summarise, in DuckDB
#
# `rfm_summary_to_parquet` goes from file to file within a memory limit; the log is never loaded.
# It reads Parquet, CSV, folders and glob patterns, and a log that does not fit is counted in
# parts.

# %%
begun = time.perf_counter()
base.mkdir()
audit = clv.rfm_summary_to_parquet(
    orders,
    base / "customers.parquet",
    **columns,
    observation_period_end=today,
    memory_limit="1GB",
)
print(audit)
print(f"\n{time.perf_counter() - begun:.0f} seconds")

# %% [markdown]
# A query written by hand agrees with the audit:

# %%
by_hand = duckdb.sql(
    f"""
    SELECT count(*) AS rows, count(DISTINCT customer_id) AS customers,
           count(DISTINCT (customer_id, date::DATE)) AS purchases, sum(amount) AS amount
    FROM '{orders}'
    """
).df()

assert by_hand["rows"].item() == audit.rows_read == audit.rows_used
assert by_hand["customers"].item() == audit.customers == 1_000_000
assert by_hand["purchases"].item() == audit.periods
assert np.isclose(by_hand["amount"].item(), audit.amount_used)

# %% [markdown]
# ## Fit
#
# At this size the posterior is nearly Gaussian, and `method="auto"` takes the Laplace
# approximation with importance weights; Pareto k-hat says whether that was right (limit 0.7). If
# not, the fit goes on to NUTS by itself.

# %%
begun = time.perf_counter()
rfm = clv.RfmTable.from_parquet(base / "customers.parquet")
posterior = clv.CLVModel().fit(rfm, random_seed=1, progressbar=False)
posterior.save(folder / "posterior.nc")
print(f"{time.perf_counter() - begun:.0f} seconds\n")
for verdict in posterior.verdicts.values():
    print(verdict)

assert all(verdict.status == "pass" for verdict in posterior.verdicts.values())

# %%
found = posterior.summary()[["mean", "sd"]]
found.insert(0, "truth", truth)

assert np.allclose(found["mean"], found["truth"], rtol=0.06)
found.map("{:.4g}".format)

# %% [markdown]
# We know the parameters that the customers were drawn from, and the fit finds them to within 5 %.
# It does not find them to within the tiny sd: the log only knows days, and two orders on one day
# are one purchase. With a million customers even that shows; the model is never quite true, and
# the sd does not allow for that.
#
# ## Score, and get killed
#
# To make it harder, a second file arrives from another system, with four customers who cannot be
# scored: one who came back after the end of observation, one with a purchase count below zero, and
# one who is there twice.

# %%
schema = pq.read_schema(base / "customers.parquet")  # with its unit of time
schema = schema.remove(schema.get_field_index("log_gaps"))  # which scoring does not read
bad = pd.DataFrame(
    {
        "customer_id": [1_000_001, 1_000_002, 1_000_003, 1_000_003],
        "frequency": [2, -1, 1, 1],
        "recency": [400.0, 0.0, 10.0, 10.0],
        "T": [300.0, 300.0, 300.0, 300.0],
        "monetary_value": [25.0, 25.0, 25.0, 25.0],
        "first_value": [25.0, 25.0, 25.0, 25.0],
    }
)
pq.write_table(pa.Table.from_pandas(bad, schema=schema), base / "late.parquet")

command = shlex.split(
    """
    clvmodels score base --posterior posterior.nc --output scores
        --horizon 365D --discount-rate 0.10 --block-rows 100000 --quiet --log-json
    """
)

# %% [markdown]
# Start it, wait until some blocks of customers are done, and kill the process the hard way
# (SIGKILL, as a machine that runs out of memory does):

# %%
with (folder / "first.log").open("w") as errors:
    process = subprocess.Popen(command, stderr=errors, cwd=folder)
    done = "scores.partial/records/block-*.json"
    while process.poll() is None and len(list(folder.glob(done))) < 4:
        time.sleep(0.01)
    process.kill()
code = process.wait()
parts = list(folder.glob("scores.partial/parts/part-*.parquet"))
there = (folder / "scores").exists()
print(f"exit code {code}; whole parts on disk: {len(parts)}; output there: {there}")

assert code == -9
assert 4 <= len(parts) < 10
assert not there
assert not (folder / "scores.manifest.json").exists()

# %% [markdown]
# There is no half-written output that somebody might take for a complete one. Now the same command
# once more:

# %%
again = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, cwd=folder)
events = [json.loads(line) for line in again.stderr.splitlines()]
for event in events:
    keep = {"event", "rows", "done", "block", "scored", "rejected", "exit_code"}
    print({name: value for name, value in event.items() if name in keep})

(start,) = [event for event in events if event["event"] == "scoring"]
blocks = [event["block"] for event in events if event["event"] == "block"]

assert start["done"] >= 400_000
assert blocks == list(range(start["done"] // 100_000, 11))  # the rest, each once
assert again.returncode == 3

# %% [markdown]
# It continued where it had stopped. The exit code is 3 because rows were rejected;
# `--allow-rejects` makes that 0. Every input row is in the output or, with its reason, among the
# rejects, and the manifest, which is written last, counts everything:

# %%
manifest = json.loads((folder / "scores.manifest.json").read_text())
rejects = pd.read_parquet(folder / "scores.rejects.parquet")
rows = manifest["rows"]
print(rows)

assert rows["input"] == rows["scored"] + rows["rejected"] == 1_000_004
assert rows["rejected"] == len(rejects) == 4
assert set(rejects["customer_id"]) == set(bad["customer_id"])
rejects[["customer_id", "frequency", "recency", "T", "reason"]]

# %% [markdown]
# Are they the same rows as those of an undisturbed run?

# %%
begun = time.perf_counter()
report = clv.score(
    base,
    folder / "posterior.nc",
    folder / "undisturbed",
    block_rows=100_000,
    allow_rejects=True,
)
print(f"{report.rows:,} rows in {time.perf_counter() - begun:.0f} seconds")

left, right = (f"'{folder}/{name}/*.parquet'" for name in ("scores", "undisturbed"))
counts = duckdb.sql(
    f"""
    SELECT (SELECT count(*) FROM {left}) AS rows,
           (SELECT count(DISTINCT customer_id) FROM {left}) AS customers,
           (SELECT count(*) FROM (FROM {left} EXCEPT FROM {right})) AS only_there,
           (SELECT count(*) FROM (FROM {right} EXCEPT FROM {left})) AS only_here
    """
).df()

assert counts.loc[0].tolist() == [1_000_000, 1_000_000, 0, 0]
counts

# %% [markdown]
# And the same numbers as `posterior.predict` gives in memory, to the ninth digit:

# %%
some = rfm.to_pandas().sample(2_000, random_state=1)
expected = posterior.predict(some, horizon="365D", discount_rate=0.10)
stored = duckdb.sql(f"FROM {left}").df().set_index("customer_id").loc[some["customer_id"]]

for name in ["p_alive", "expected_purchases", "expected_spend", "clv", "clv_lower", "clv_upper"]:
    np.testing.assert_allclose(stored[name], expected[name], rtol=1e-9, err_msg=name)

# %% [markdown]
# The scores are plain Parquet, so what follows is SQL. The interval of the total is in the
# manifest: it is not the sum of customers' intervals, since all customers share the parameters.

# %%
total = manifest["totals"]["clv"]
groups = duckdb.sql(
    f"""
    SELECT frequency = 0 AS bought_once, count(*)::INT AS customers,
           avg(p_purchase) AS p_purchase, avg(clv) AS clv, sum(clv) AS clv_of_all
    FROM {left} GROUP BY ALL ORDER BY ALL
    """
).df()
print("All together: {mean:,.0f}, 90 % interval {lower:,.0f} to {upper:,.0f}".format(**total))

assert np.isclose(total["mean"], groups["clv_of_all"].sum())
groups

# %% [markdown]
# ## On Spark
#
# A base that lives on a cluster is scored there, by the same code:
#
# ```python
# from clvmodels import spark as clv_spark
#
# rfm = clv_spark.rfm_summary(spark.table("orders"), customer_id_col=..., datetime_col=...)
# scores = clv_spark.score(rfm, clv.load_posterior("posterior.nc"), horizon="365D")
# scores.write.saveAsTable("clv_scores")
# ```
#
# Here Spark runs on this machine, on a small part of the base; it needs Java.

# %%
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    print("There is no Java on this machine: Spark is left out.")
else:
    part = pa.Table.from_pandas(some.head(1_000), schema=schema)
    pq.write_table(part, folder / "part.parquet")
    on_spark = "clvmodels score part.parquet --posterior posterior.nc -o on-spark --engine spark"
    subprocess.run(
        [*on_spark.split(), "--quiet"], stderr=subprocess.DEVNULL, check=True, cwd=folder
    )
    there = pd.read_parquet(folder / "on-spark").set_index("customer_id")
    here = stored.loc[there.index]

    assert len(there) == len(part)
    for name in ["p_alive", "expected_purchases", "expected_spend", "clv", "clv_upper"]:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-9, err_msg=name)
    print(f"Spark scored {len(there):,} customers, and gives the same to the ninth digit.")

# %%
temporary.cleanup()
