"""Whether fans of cohort curves hold what came: three real logs.

CLVMODELS_LOGS=FOLDER python -m benchmarks.cohort_fans [LOG ...]

writes ``benchmarks/cohort_fans.csv``: cohorts are known up to a date, and their curves from there
to the end of the log are held against what really came. Shares are in per cent.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log

PATH: Final = Path(__file__).with_suffix(".csv")
PLANS: Final = {
    "cdnow": ("1997-09-30", "1998-06-30", "bgnbd"),
    "grocery_elog": ("2006-12-31", "2007-12-30", "mbgcnbd2"),
    "online_retail": ("2011-06-30", "2011-12-09", "mbgnbd"),
}
KEYS: Final = ["cohort", "month"]


def rows(name: str) -> pd.DataFrame:
    """How often the fans hold, without and with the calendar's doubt."""
    log, columns = small_log(name)
    begin, end, model = PLANS[name]
    how: Any = dict(columns)
    known = clv.rfm_summary(log, observation_period_end=begin, **how)
    later = clv.rfm_summary(log, observation_period_end=end, **how)
    asked = clv.CLVModel(model)  # type: ignore[arg-type]
    fitted = (asked if "monetary_value_col" in how else asked.purchases).fit(
        known, method="laplace", random_seed=1, progressbar=False
    )
    months = int(later.table["T"].to_numpy().max() / 30.4375)
    came = clv.cohorts(fitted, later, log=log, months=months, calendar="none").table
    came = came[(came["known"] == 1.0) & (came["cohort"] != "(whole)")].set_index(KEYS)
    found = []
    for calendar in ("none", "auto"):
        fan = clv.cohorts(fitted, known, log=log, months=months, calendar=calendar).table
        ahead = fan[fan["known"] < 1.0].set_index(KEYS)
        both = ahead.join(came.add_suffix("_came"), how="inner")
        for total in [one for one in ("purchases", "value") if one in both]:
            found.append({"log": name, "model": model, "calendar": calendar} | held(both, total))
    return pd.DataFrame(found)


def held(both: pd.DataFrame, total: str) -> dict[str, Any]:
    """Coverage and width of one total, at all months ahead and at each cohort's last one."""
    truth = both[f"{total}_came"]
    lower, upper = both[f"{total}_lower"], both[f"{total}_upper"]
    last = both.groupby("cohort").tail(1).index
    inside = (truth >= lower) & (truth <= upper)
    return {
        "total": total,
        "cohorts": len(last),
        "points": len(both),
        "held": round(100 * inside.mean(), 1),
        "held at last": round(100 * inside[last].mean(), 1),
        "width at last": round(100 * ((upper - lower) / truth)[last].mean(), 1),
        "error at last": round(100 * float(np.mean((both[total] / truth - 1)[last])), 1),
    }


def main(names: list[str]) -> None:
    """Measure, print and keep."""
    renewed(PATH, names, PLANS, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
