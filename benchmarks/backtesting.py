"""How long a backtest takes beside the fit that it judges."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import run
from benchmarks.table import Row

# Last day of the calibration. "nobody leaves" is a log on which both parameters of dropout
# run off together, where the integrals of what is expected are the dearest.
CUTS = {"cdnow": "1997-09-30", "online_retail": "2011-08-31", "nobody leaves": "2025-06-30"}


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure whole processes: a log read and fitted, and the same log backtested.

    Parameters
    ----------
    large : bool
        Is not asked: all logs are small.
    """
    for name, until in CUTS.items():
        fit = run("fit_log", repeats=3, name=name, until=until)
        whole = run("backtest_log", repeats=3, name=name, until=until)
        most = 2 * fit.median + 10
        must = f"<= twice its fit's {fit.median:.1f} s + 10 s"
        yield Row(f"backtest {name}", whole, must, whole.median <= most)
