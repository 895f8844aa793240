"""Errors on the splits that papers print, beside their figures: the page "Benchmarks".

python -m benchmarks.accuracy [LOG ...]

writes ``benchmarks/accuracy.csv``, a row for each log, split and model. Models are fitted by
their mode, as the published ones are by maximum likelihood, with weeks as days by seven, and
judged by the expected purchases of each customer. The grocer's log may not be carried by the
package: it is read from the folder that the variable CLVMODELS_LOGS names, and where it is not
there its rows stay as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log

PATH: Final = Path(__file__).with_suffix(".csv")
MODELS: Final = ("bgnbd", "mbgnbd", "paretonbd", "bgcnbd2", "mbgcnbd2")


class Split(NamedTuple):
    """Last day of the past, and of the weeks held out."""

    log: str
    weeks: str
    train_end: str
    test_end: str


SPLITS: Final = (
    Split("cdnow sample", "39 x 39", "1997-09-30", "1998-06-30"),
    Split("cdnow sample", "52 x 26", "1997-12-31", "1998-06-30"),
    Split("cdnow", "52 x 26", "1997-12-31", "1998-06-30"),
    Split("grocery_elog", "52 x 52", "2006-12-31", "2007-12-30"),
    Split("online_retail", "27 x 26", "2011-06-10", "2011-12-09"),
)

FADER: Final = "Fader, Hardie and Lee (2005)"
PLATZER: Final = "Platzer, Customer Base Analysis with BTYDplus"
# What others print of the same split: figure by log, weeks, model and column
PUBLISHED: Final[dict[tuple[str, str, str, str], tuple[float, str]]] = {
    ("cdnow sample", "39 x 39", "bgnbd", "correlation"): (0.626, FADER),
    ("cdnow sample", "39 x 39", "paretonbd", "correlation"): (0.630, FADER),
    ("grocery_elog", "52 x 52", "mbgcnbd2", "forecast"): (3970, PLATZER),
    ("grocery_elog", "52 x 52", "mbgcnbd2", "relative error"): (0.644, PLATZER),
    ("grocery_elog", "52 x 52", "paretonbd", "forecast"): (4018, f"{PLATZER} (hierarchical)"),
    ("grocery_elog", "52 x 52", "paretonbd", "relative error"): (
        0.688,
        f"{PLATZER} (hierarchical)",
    ),
}


def judged(split: Split) -> pd.DataFrame:
    """Errors of all models on one split."""
    log, columns = small_log(split.log)
    ends = {"train_period_end": split.train_end, "test_period_end": split.test_end}
    parts = clv.rfm_train_test_split(log, **columns, **ends, time_unit="D", time_scaler=7)
    actual = parts.test["test_frequency"].to_numpy().astype(float)
    weeks = (pd.Timestamp(split.test_end) - pd.Timestamp(split.train_end)).days / 7
    rows = []
    for key in MODELS:
        fitted = clv.CLVModel(key).purchases.fit(parts.train, method="map", progressbar=False)
        expected = fitted.expected_purchases(parts.train, future_t=weeks).to_numpy().ravel()
        rows.append({"model": key, **errors(expected, actual)})
    table = pd.DataFrame(rows)
    table.insert(0, "weeks", split.weeks)
    table.insert(0, "log", split.log)
    return table


def rows(name: str) -> pd.DataFrame:
    """Errors on all splits of one log."""
    return pd.concat([judged(split) for split in SPLITS if split.log == name])


def errors(expected: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    """Figures of one model: customers' expected purchases against those that came."""
    off = expected - actual
    return {
        "customers": len(actual),
        "bought": int(actual.sum()),
        "forecast": round(float(expected.sum())),
        "correlation": round(float(np.corrcoef(expected, actual)[0, 1]), 3),
        "MAE": round(float(np.abs(off).mean()), 3),
        "RMSE": round(float(np.sqrt(np.mean(off**2))), 3),
        "relative error": round(float(np.abs(off).sum() / actual.sum()), 3),
    }


def beside(table: pd.DataFrame) -> pd.DataFrame:
    """Published figures, each beside that of ours."""
    ours = table.set_index(["log", "weeks", "model"])
    rows = [
        {
            "log": log,
            "weeks": weeks,
            "model": model,
            "figure": column,
            "published": _figure(value),
            "here": _figure(ours.loc[(log, weeks, model), column]),
            "source": source,
        }
        for (log, weeks, model, column), (value, source) in PUBLISHED.items()
        if (log, weeks, model) in ours.index
    ]
    return pd.DataFrame(rows)


def _figure(value: float) -> str:
    """A number of purchases whole, all else with the digits that papers print."""
    return f"{value:.0f}" if value >= 10 else f"{value:.3f}"


def main(names: list[str]) -> None:
    """Judge, print and keep."""
    logs = dict.fromkeys(split.log for split in SPLITS)
    table = renewed(PATH, names, logs, rows, float_format="%.3f")
    beside(table).to_csv(PATH.with_name("accuracy_published.csv"), index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
