"""What a clock costs: learning it beside the fit, and scoring by it beside scoring without."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bases import posterior_nc, timed_parquet, timed_posterior_nc
from benchmarks.measure import run, run_in_turns, work_alone
from benchmarks.table import Row

HUNDRED_THOUSAND, MILLION = 100_000, 1_000_000
DRAWS = 500


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure the table of clocks, row by row.

    Parameters
    ----------
    large : bool
        Whether to measure the base of one million customers too.
    """
    most = {HUNDRED_THOUSAND: 20.0, **({MILLION: 30.0} if large else {})}
    for customers, seconds in most.items():
        base = str(timed_parquet(customers))
        learnt = work_alone(run("learn_clock", repeats=3, base=base))
        what = f"clock of {customers:,}, learnt"
        yield Row(what, learnt, f"<= {seconds:g} s", learnt.median <= seconds)
    customers = MILLION if large else HUNDRED_THOUSAND
    files = {"base": str(timed_parquet(customers)), "draws": DRAWS}
    without, timed = run_in_turns(
        ("score_ours", {**files, "posterior": str(posterior_nc())}),
        ("score_ours", {**files, "posterior": str(timed_posterior_nc())}),
        repeats=3,
    )
    ratio = timed.median_cpu / without.median_cpu
    what = f"score {customers:,} with a clock"
    yield Row(what, timed, "CPU <= 1.2 x without", ratio <= 1.2, without)
