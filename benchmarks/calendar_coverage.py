"""How often the interval of a base's total holds, without doubt about the calendar and with it.

python -m benchmarks.calendar_coverage [LOG ...]

writes ``benchmarks/calendar_coverage.csv``, a row for each log, origin and calendar: BG/NBD is
fitted to the log up to the origin, and its 90 % interval of the total is held against what
really came. "Learnt" is by a clock, and "learnt, by age" by one with an age curve. The grocer's
log is read from the folder that the variable CLVMODELS_LOGS names. "Stable" is a simulated log
of the model itself, where the calendar widens for nothing. Seconds of CPU beside them are those
of the totals, without and with a calendar.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log
from clvmodels.simulate import simulate_log

PATH: Final = Path(__file__).with_suffix(".csv")
LEVEL: Final = 0.9
# Origins, and how far each looks ahead
ORIGINS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "cdnow": (
        ("1997-06-30", "181D"),
        ("1997-09-30", "273D"),
        ("1997-12-31", "181D"),
    ),
    "grocery_elog": (
        ("2006-06-30", "184D"),
        ("2006-12-31", "181D"),
        ("2006-12-31", "364D"),
        ("2007-06-30", "183D"),
    ),
    "online_retail": (
        ("2011-04-30", "123D"),
        ("2011-06-30", "162D"),
        ("2011-08-31", "100D"),
    ),
    "stable": (("2024-06-30", "181D"), ("2024-09-30", "181D"), ("2024-12-31", "181D")),
}
# With a clock; without one it is BG/NBD
MODELS: Final = {
    "cdnow": clv.BetaGeoModel(clock=True),
    "grocery_elog": clv.ModifiedBetaGeoModel(regularity=2, clock=True),
    "online_retail": clv.ModifiedBetaGeoModel(clock=True),
    "stable": clv.BetaGeoModel(clock=True),
}
BY_AGE: Final = "learnt, by age"
CALENDARS: Final[tuple[Any, ...]] = ("none", 0.15, "learnt", BY_AGE)


def log_of(name: str) -> tuple[Any, dict[str, str]]:
    """A log, and its columns."""
    if name != "stable":
        return small_log(name)
    truth = {"r": 0.5, "alpha": 60.0, "a": 0.8, "b": 2.5}
    log = simulate_log(10_000, **truth, T=(30.0, 730.0), seed=5)
    last = pd.to_datetime(log["date"]).max()
    log["date"] = pd.to_datetime(log["date"]) + (pd.Timestamp("2025-06-30") - last)
    return log, {"customer_id_col": "customer_id", "datetime_col": "date"}


def interval_score(lower: float, upper: float, actual: float) -> float:
    """Width, and 2 / alpha times what it misses by: smaller is better."""
    missed = max(lower - actual, 0.0) + max(actual - upper, 0.0)
    return upper - lower + 2.0 / (1.0 - LEVEL) * missed


def rows(name: str) -> pd.DataFrame:
    """Each origin, and each calendar."""
    log, columns = log_of(name)
    columns = {k: v for k, v in columns.items() if k != "monetary_value_col"}
    found = []
    for origin, horizon in ORIGINS[name]:
        end = pd.Timestamp(origin) + pd.Timedelta(horizon)
        split = clv.rfm_train_test_split(
            log,
            **columns,
            train_period_end=origin,
            test_period_end=f"{end:%Y-%m-%d}",
            day_pairs=True,
        )
        actual = int(split.test["test_frequency"].sum())
        terms: Any = {"method": "laplace", "random_seed": 1}
        plain = clv.BetaGeoModel().fit(split.train, **terms)
        timed = MODELS[name].fit(split.train, **terms)
        aged = MODELS[name].replace(clock=clv.Clock(age=True)).fit(split.train, **terms)
        for named in CALENDARS:
            posterior = {"learnt": timed, BY_AGE: aged}.get(named, plain)
            calendar = "learnt" if named == BY_AGE else named
            clv.forecast_total(posterior, split.train, horizon=5.0, calendar=calendar)  # compiles
            began = time.process_time()
            total = clv.forecast_total(
                posterior, split.train, horizon=horizon, calendar=calendar, interval=LEVEL
            )
            seconds = time.process_time() - began
            one = total.table.iloc[0]
            ends = float(one["lower"]), float(one["upper"])
            found.append(
                {"log": name, "origin": origin, "horizon": horizon, "calendar": str(named)}
                | {"customers": len(split.train), "forecast": round(float(one["mean"]))}
                | {"lower": round(ends[0]), "upper": round(ends[1]), "actual": actual}
                | {"inside": ends[0] <= actual <= ends[1]}
                | {"score": round(interval_score(*ends, actual) / actual, 3)}
                | {"sd": round(total.calendar.sd, 3), "model": posterior.model}
                | {"seconds": round(seconds, 2)}
            )
            print(found[-1], flush=True)
    return pd.DataFrame(found)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Coverage, mean score, mean relative width and seconds, by log and calendar."""
    table = table.assign(width=(table["upper"] - table["lower"]) / table["forecast"])
    by = table.groupby(["log", "calendar"])
    return by[["inside", "score", "width", "seconds"]].mean().round(3)


def main(names: list[str]) -> None:
    """Measure, print and keep."""
    table = renewed(PATH, names, ORIGINS, rows)
    print(summary(table).to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
