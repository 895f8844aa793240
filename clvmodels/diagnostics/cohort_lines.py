"""What customers of the first page's cohorts have brought by months, and will bring.

Apart, since it alone reads the log again and simulates.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np

from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import percent, short
from clvmodels.errors import ClvError
from clvmodels.predictive import cohorts
from clvmodels.schema import DAYS_PER_MONTH

_MOST_CUSTOMERS: Final = 5_000  # of more, as many are drawn
_MOST_MONTHS: Final = 36
_LINES: Final = 3
_FEWEST: Final = 20  # customers of a cohort
_PATHS: Final = 500
_DRAWS: Final = 100
_QUARTERLY: Final = 12  # months from which on cohorts are of quarters
_YEARLY: Final = 48


def cohort_lines(study: Study) -> dict[str, Any]:
    """Up to three cohorts, from the first to the last; nothing without a log or its dates."""
    rfm, asked = study.rfm, study.question
    if study.log is None or rfm.observation_end is None or rfm.options is None:
        return {}
    if len(rfm) > _MOST_CUSTOMERS:
        rng = np.random.default_rng(asked.random_seed)
        chosen = np.sort(rng.choice(len(rfm), _MOST_CUSTOMERS, replace=False))
        rfm = replace(rfm, table=rfm.table.take(chosen))
    old = float(study.histories.T.max()) * study.scale.days / DAYS_PER_MONTH
    ahead = study.scale.horizon(asked.horizon) * study.scale.days / DAYS_PER_MONTH
    months = max(min(math.ceil(old + min(ahead, 12.0)), _MOST_MONTHS), 1)
    try:
        found = cohorts(
            study.clv or study.purchases,
            rfm,
            log=study.log,
            id_map=study.id_map,
            cohort="M" if old < _QUARTERLY else "Q" if old < _YEARLY else "Y",
            months=months,
            discount_rate=asked.discount_rate if study.clv is not None else 0.0,
            calendar=asked.calendar,
            interval=asked.interval,
            draws=min(asked.draws, _DRAWS),
            paths=_PATHS,
            margin=rfm.margin if study.clv is not None else None,
            random_seed=asked.random_seed,
        )
    except ClvError:
        return {}  # a log that does not fit the table is told of elsewhere
    total = "value" if "value" in found.table else "purchases"
    names = (total, f"{total}_lower", f"{total}_upper")
    groups = [
        (str(key), rows)
        for key, rows in found.table.groupby(found.by[0], sort=False)
        if key != "(whole)" and rows["customers"].iloc[0] >= _FEWEST
    ]
    places = np.unique(np.linspace(0, len(groups) - 1, min(_LINES, len(groups))).astype(int))
    lines = [
        {
            "cohort": groups[place][0],
            "customers": int(groups[place][1]["customers"].iloc[0]),
            "known": int((groups[place][1]["known"] == 1.0).sum()) - 1,
            **{
                name: short(groups[place][1][column].to_numpy())
                for name, column in zip(("mean", "lower", "upper"), names, strict=True)
            },
        }
        for place in places
    ]
    if not lines:
        return {}
    level = percent(asked.interval)
    return {"total": total, "months": months, "interval": level, "lines": lines}
