"""How long a backtest takes beside the fit that it judges, log by log."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.logs import CUTS, is_there
from benchmarks.measure import run
from benchmarks.table import Row


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure whole processes: a log read and fitted, and the same log backtested.

    With one date it is CPU time that has a bound, since other processes double wall time as they
    please; with the default four dates, each of which is a fit, it is what a user waits for.

    Parameters
    ----------
    large : bool
        Is not asked: all logs are small.
    """
    for name, until in CUTS.items():
        if not is_there(name):
            continue
        fit = run("fit_log", repeats=3, name=name, until=until)
        whole = run("backtest_log", repeats=3, name=name, until=until)
        most = 2 * fit.median_cpu + 10
        met = whole.median_cpu <= most
        yield Row(f"fit {name}", fit, "", True)
        yield Row(f"backtest {name}", whole, f"CPU <= 2 x its fit's + 10 = {most:.1f} s", met)
        several, longest = run("backtest_log", repeats=3, name=name), 2 * fit.median + 10
        said = f"<= 2 x its fit + 10 = {longest:.1f} s"
        yield Row(f"backtest {name}, default dates", several, said, several.median <= longest)
