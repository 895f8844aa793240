"""Make the reports of two real logs, CDNOW and Online Retail, by the commands that a user types.

Usage: python scripts/reports.py [FOLDER]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clvmodels import datasets
from clvmodels.cli import main


@dataclass(frozen=True)
class Base:
    """A log, how it is read, and what its money is called."""

    name: str
    log: pd.DataFrame
    timestamp: str
    options: tuple[str, ...]
    train_end: str
    currency: str
    asked: tuple[str, ...] = ()


def bases() -> list[Base]:
    """The two logs that come with the package."""
    retail = datasets.load_online_retail()
    return [
        Base("cdnow", datasets.load_cdnow(sample=True), "date", (), "1997-09-30", "$"),
        Base(
            "online-retail",
            retail,
            "timestamp",
            ("--refunds", "net"),
            "2011-06-09",
            "£",
            ("--margin", "0.3", "--cac", "30"),
        ),
    ]


def run(*arguments: str | Path) -> None:
    """Run a command, and end where it fails."""
    said = [str(argument) for argument in arguments]
    print("clvmodels", *said, flush=True)
    code = main([*said, "--quiet"] if said[0] != "report" else said)
    if code:
        sys.exit(code)


def make(base: Base, folder: Path) -> None:
    """Go from the log to the report."""
    work = folder / base.name
    work.mkdir(parents=True, exist_ok=True)
    log, rfm, posterior = work / "log.parquet", work / "rfm.parquet", work / "posterior.nc"
    base.log.to_parquet(log, index=False)
    columns = ("--customer-id", "customer_id", "--timestamp", base.timestamp, "--amount", "amount")
    segment = ("--segment", "country") if "country" in base.log else ()
    run("summarize", log, "-o", rfm, *columns, *segment, *base.options)
    run("fit", rfm, "-o", posterior, "--seed", "1")
    past = ("--train-end", base.train_end, "--seed", "1")
    run("backtest", log, "-o", work / "backtest", *columns, *base.options, *past)
    page, record = folder / f"{base.name}.html", folder / f"{base.name}.json"
    given = (
        "--log",
        log,
        "--backtest",
        work / "backtest",
        "--currency",
        base.currency,
        *base.asked,
    )
    run("report", "--rfm", rfm, "--posterior", posterior, *given, "-o", page, "--json", record)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "report-output")
    for one in bases():
        make(one, target)
