"""What covariates cost: the fit by strata, and scoring by them beside scoring without.

Scoring is judged by processor time, at 1.5 times that without; last measured it was 1.48 times.
Most of the rest is that strata share less: 1.27 times as many histories, and 6.7 times as many
different ages of customers of one number of purchases, whose nodes are blended for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bases import posterior_nc, strata_parquet, strata_posterior_nc
from benchmarks.measure import run, run_in_turns, work_alone
from benchmarks.table import Row

HUNDRED_THOUSAND, MILLION, TEN_MILLION = 100_000, 1_000_000, 10_000_000
DRAWS = 500


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure the table of covariates, row by row: one of 50 levels, moving both sides.

    Parameters
    ----------
    large : bool
        Whether to measure the larger bases too.
    """
    asked = [("nuts", HUNDRED_THOUSAND, 60.0)]
    asked += [("laplace", MILLION, 30.0)] if large else []
    for method, customers, seconds in asked:
        base = str(strata_parquet(customers))
        found = work_alone(run("fit_strata", repeats=3, base=base, method=method))
        what = f"{method} of {customers:,} in 50 strata"
        yield Row(what, found, f"<= {seconds:g} s", found.median <= seconds)
    customers = TEN_MILLION if large else HUNDRED_THOUSAND
    files = {"base": str(strata_parquet(customers)), "draws": DRAWS}
    without, by_strata = run_in_turns(
        ("score_ours", {**files, "posterior": str(posterior_nc())}),
        ("score_ours", {**files, "posterior": str(strata_posterior_nc())}),
        repeats=3,
    )
    ratio = by_strata.median_cpu / without.median_cpu
    what = f"score {customers:,} in 50 strata"
    yield Row(what, by_strata, "CPU <= 1.5 x without", ratio <= 1.5, without)
