"""How models do on real logs: the figures of the page "Which model?".

python -m benchmarks.which_model [LOG ...]

writes ``benchmarks/which_model.csv``, a row for each log and model. The grocer's log may not be
carried by the package: it is read from the folder that the variable CLVMODELS_LOGS names, and
where it is not there its rows stay as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log
from clvmodels.purchases import MODELS

PATH: Final = Path(__file__).with_suffix(".csv")
# Last day of the calibration, and how long the holdout is: as published, where there is such
CUTS: Final[dict[str, tuple[str, str]]] = {
    "cdnow sample": ("1997-09-30", "273D"),
    "cdnow": ("1997-09-30", "273D"),
    "grocery_elog": ("2006-12-31", "364D"),
    "online_retail": ("2011-08-31", "100D"),
}
# One call for each regularity: timings of different ones are of different data
CANDIDATES: Final = tuple(
    [key for key, one in MODELS.items() if one.regularity == k] for k in (1, 2)
)
SCORES: Final = {
    "total_bias": 3,
    "relative_error": 3,
    "gini": 3,
    "log_score": 3,
    "interval_score": 2,
    "coverage": 3,
}


def compared(name: str, models: Sequence[str]) -> clv.Comparison:
    """Models on one log, all by Laplace."""
    log, columns = small_log(name)
    end, horizon = CUTS[name]
    cut: dict[str, Any] = {"train_period_end": end, "horizon": horizon}
    return clv.compare(models, log, **columns, **cut, progressbar=False)


def rows(name: str, found: clv.Comparison) -> pd.DataFrame:
    """The figures of one log, as they are kept."""
    out = found.heldout
    assert out is not None
    facts = out.origins.set_index("model")
    table = pd.DataFrame({"log": name, "model": out.table.index}).set_index("model")
    table["customers"] = facts["customers"]
    table["bought"] = facts["purchases"].astype(int)
    table["forecast"] = facts["forecast"].round().astype(int)
    for score, digits in SCORES.items():
        table[score] = out.table[score].round(digits)
    return table.reset_index().set_index(["log", "model"]).reset_index()


def measured(name: str) -> pd.DataFrame:
    """Compare on one log, and print it."""
    found = [compared(name, models) for models in CANDIDATES]
    print(name, *found, sep="\n\n", flush=True)
    return pd.concat([rows(name, one) for one in found])


def main(names: list[str]) -> None:
    """Compare and keep."""
    renewed(PATH, names, CUTS, measured)


if __name__ == "__main__":
    main(sys.argv[1:])
