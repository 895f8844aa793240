"""Generated logs and the SQL that somebody would write by hand to summarise one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

from benchmarks.bases import cache_dir

TRANSACTIONS_PER_CUSTOMER = 6.024  # 10,000,000 of 1,660,000 customers
YEAR = 31_557_600  # seconds
# Few leave, and all with the same probability: a and b are known by their ratio alone
REGULAR = {"r": 2.0, "alpha": 900.0, "a": 50.0, "b": 5000.0, "p": 6.0, "q": 4.0, "v": 15.0}
# Small logs and the last day of the calibration. On "nobody leaves" both parameters of
# dropout run off together, where the integrals of what is expected are the dearest.
CUTS = {
    "cdnow": "1997-09-30",
    "cdnow sample": "1997-09-30",
    "online_retail": "2011-08-31",
    "grocery_elog": "2006-12-30",
    "retail_case_study": "2013-02-28",
    "nobody leaves": "2025-06-30",
}
# Which of them are looked for in the folder that the variable CLVMODELS_LOGS names
FILES = ("grocery_elog", "retail_case_study")


def log_parquet(transactions: int) -> Path:
    """A log of customers who come on a random day and buy at random for two years."""
    path = cache_dir() / f"log_{transactions}.parquet"
    if not path.exists():
        import duckdb

        customers = round(transactions / TRANSACTIONS_PER_CUSTOMER)
        aside = path.with_suffix(".tmp")
        with duckdb.connect() as connection:
            connection.execute(_generate(transactions, customers, aside))
        aside.rename(path)
    return path


def small_log(name: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """A log by name of ``CUTS``, and its columns as `rfm_summary` and `backtest` take them."""
    import pandas as pd

    from clvmodels.datasets import load_cdnow, load_online_retail
    from clvmodels.simulate import simulate_log

    columns = {"customer_id_col": "customer_id", "datetime_col": "date"}
    money = columns | {"monetary_value_col": "amount"}
    if name.startswith("cdnow"):
        return load_cdnow(sample=name == "cdnow sample"), money
    if name == "online_retail":
        return load_online_retail(), money | {"datetime_col": "timestamp"}
    if name == "nobody leaves":
        return simulate_log(5_500, **REGULAR, T=(400.0, 1100.0), seed=3), money
    log = pd.read_parquet(_file(name))
    return log, money if "amount" in log else columns


def is_there(name: str) -> bool:
    """Whether a log can be had: those that no package brings are files of a folder."""
    return name not in FILES or _file(name).exists()


def _file(name: str) -> Path:
    return Path(os.environ.get("CLVMODELS_LOGS", ".")) / f"{name}.parquet"


def _generate(transactions: int, customers: int, path: Path) -> str:
    """SQL with hashes for random numbers, so that every run makes the same log."""

    def uniform(what: str, salt: int) -> str:
        return f"((hash({what}, {salt}) % 1000000007) / 1000000007.0)"

    seconds = f"{YEAR} * ({uniform('c', 1)} + {uniform('i', 2)})"
    return f"""
        COPY (
            SELECT c AS customer_id,
                   TIMESTAMP '2023-01-01' + to_seconds(CAST({seconds} AS BIGINT)) AS ordered_at,
                   round(1 + 99 * {uniform("i", 3)}, 2) AS amount
            FROM (SELECT i, CAST(hash(i, 0) % {customers} AS BIGINT) AS c
                  FROM range({transactions}) AS t(i))
        ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
    """


def by_hand(log: Path, out: Path) -> str:
    """SQL that writes the same columns and rows as `rfm_summary`, without an audit."""
    return f"""
        COPY (
            WITH days AS (
                SELECT customer_id, CAST(ordered_at AS DATE) AS day, sum(amount) AS amount
                FROM '{log}'
                WHERE amount >= 0 AND customer_id IS NOT NULL
                GROUP BY customer_id, day
            ), customers AS (
                SELECT customer_id, count(*) - 1 AS frequency, min(day) AS first,
                       max(day) AS last, sum(amount) AS total, arg_min(amount, day) AS first_value
                FROM days GROUP BY customer_id
            )
            SELECT customer_id, frequency, CAST(last - first AS DOUBLE) AS recency,
                   CAST((SELECT max(last) FROM customers) - first AS DOUBLE) AS "T",
                   CASE WHEN frequency > 0 THEN (total - first_value) / frequency ELSE 0.0 END
                       AS monetary_value,
                   first_value
            FROM customers ORDER BY customer_id
        ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
    """


def renewed(
    path: Path,
    names: Sequence[str],
    logs: Iterable[str],
    measure: Callable[[str], pd.DataFrame],
    **written: Any,
) -> pd.DataFrame:
    """Measure logs anew, and keep what a file has of the others.

    Parameters
    ----------
    path : Path
        The file: CSV with a column ``log``.
    names : sequence of str
        Which logs; all where there is none. What is not here is left as it is.
    logs : iterable of str
        All of them, in the order of the file.
    measure : callable
        Rows of one log.
    **written
        How the file is, as ``DataFrame.to_csv`` takes it.
    """
    import pandas as pd

    kept = pd.read_csv(path) if path.exists() else pd.DataFrame({"log": []})
    parts = {str(name): part for name, part in kept.groupby("log")}
    for name in names or list(logs):
        if is_there(name):
            parts[name] = measure(name)
            print(parts[name].to_string(index=False), flush=True)
    table = pd.concat([parts[name] for name in logs if name in parts])
    table.to_csv(path, index=False, lineterminator="\n", **written)
    return table
