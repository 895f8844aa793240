"""Run the benchmarks: ``python -m benchmarks [--only NAME] [--small]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import backtesting, clocks, cluster, fitting, scoring, strata
from benchmarks.table import report

SUITES = {
    "fitting": fitting.rows,
    "backtesting": backtesting.rows,
    "scoring": scoring.rows,
    "clocks": clocks.rows,
    "strata": strata.rows,
    "cluster": cluster.rows,
}


def main() -> int:
    """Measure, print and write the tables; 1 where a figure was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=SUITES, help="one suite only")
    parser.add_argument("--small", action="store_true", help="leave out the largest bases")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    chosen = [options.only] if options.only else list(SUITES)
    met = [
        report(SUITES[name](large=not options.small), options.out / f"{name}.json")
        for name in chosen
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
