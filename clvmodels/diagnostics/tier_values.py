"""Value by tier in every draw: one pass that tiers, top shares and the total come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clvmodels.diagnostics.study import Study
from clvmodels.economics import value_tiers
from clvmodels.economics.outlook import (
    GroupValues,
    group_values,
    past_revenue,
    ratio,
)
from clvmodels.schema import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class TierValues:
    """What the tiers of `clvmodels.tier_report` hold, by draw.

    Attributes
    ----------
    names : tuple of str
        The most valuable first.
    values : GroupValues
        Of the tiers.
    past : ndarray, shape (G,), or None
        Past revenue of each tier; None where first purchases are not known.
    past_best : ndarray, shape (G,), or None
        Past revenue of as many customers as the first, the first two, ... tiers have,
        the best ones of the past.
    """

    names: tuple[str, ...]
    values: GroupValues
    past: FloatArray | None
    past_best: FloatArray | None

    def top(self, tiers: int) -> tuple[float, float, float]:
        """Share of the value that the first so many tiers hold, with its interval."""
        by_draw = self.values.by_draw
        share = ratio(by_draw[:tiers].sum(axis=0), by_draw.sum(axis=0))[None, :]
        lower, upper = self.values.bounds(share)
        mean = ratio(self.values.mean[:tiers].sum(), self.values.mean.sum())
        return float(mean), float(lower[0]), float(upper[0])


def tier_values(study: Study) -> TierValues | None:
    """Value the tiers; None where there are no values."""
    if study.clv is None:
        return None
    tiers = value_tiers(study.scores[["customer_id", "clv"]])["tier"].cat
    names = tuple(str(name) for name in tiers.categories[::-1])
    group = (len(names) - 1 - tiers.codes.to_numpy()).astype(np.int64)
    values = group_values(study.clv, study.rfm, group, len(names), **study.question.terms())
    revenue = past_revenue(study.rfm)
    if revenue is None:
        return TierValues(names, values, None, None)
    past = np.bincount(group, weights=revenue, minlength=len(names)).astype(np.float64)
    best = np.cumsum(np.sort(revenue)[::-1])
    return TierValues(names, values, past, best[np.cumsum(values.customers) - 1])
