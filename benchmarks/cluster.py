"""What Spark costs beside the local engine: the same base, from files to files, on one machine.

Both use two cores here, so what is measured is the way through Spark: rows to Python workers
and back, tasks, and one thread a task. Rows are the same to 1e-9 (tests/unit/test_spark_files.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bases import PURCHASES, SPEND, base_parquet, parts_parquet, posterior_nc
from benchmarks.measure import run, run_in_turns, work_alone
from benchmarks.table import Row

MILLION, TEN_MILLION, THIRTY_MILLION = 1_000_000, 10_000_000, 30_000_000
HUNDRED_MILLION = 100_000_000
FAR = 0.1  # purchases of one day are one: the truth is that of continuous time
DRAWS = 500
BLOCK_ROWS = (100_000, 500_000)  # that a task scores at once


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure the table of Spark, row by row, without the start of its session.

    Parameters
    ----------
    large : bool
        Whether to measure bases of ten and of thirty million customers too.
    """
    for customers in (MILLION, TEN_MILLION, THIRTY_MILLION) if large else (MILLION,):
        files = {"base": str(base_parquet(str(customers))), "posterior": str(posterior_nc())}
        here, *there = run_in_turns(
            ("score_ours", {**files, "draws": DRAWS}),
            *(("score_on_spark", {**files, "draws": DRAWS, "block_rows": n}) for n in BLOCK_ROWS),
            repeats=3 if customers == MILLION else 1,
        )
        here = work_alone(here)
        for size, one in zip(BLOCK_ROWS, map(work_alone, there), strict=True):
            ratio = one.median / here.median
            same = one.found == here.found
            what = f"score {customers:,} on Spark, {size:,} rows at once"
            yield Row(what, one, "<= 2.5 x local", ratio <= 2.5 and same, here)
    for customers in (MILLION, HUNDRED_MILLION) if large else (MILLION,):
        yield _counted(customers)


def _counted(customers: int) -> Row:
    """Count the histories of many customers, fit to them, and look whether the truth is there."""
    one = work_alone(run("count_on_spark", base=str(parts_parquet(customers)), memory="6GB"))
    mean, truth = one.found["mean"], {**PURCHASES, **SPEND}
    away = max(abs(mean[name] / value - 1) for name, value in truth.items())
    right = away < FAR and one.found["customers"] == customers
    what = (
        f"count and fit {customers:,} on Spark: {one.found['histories']:,} histories and "
        f"{one.found['amounts']:,} amounts, counted in {one.found['count_seconds']:.0f} s"
    )
    return Row(what, one, f"all customers, within {FAR:.0%} of the truth", right)
