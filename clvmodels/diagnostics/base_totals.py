"""Sums over the base in each draw: who is still active, who comes again, what it is worth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from clvmodels.diagnostics.study import FEW_DRAWS, Study, bounds
from clvmodels.diagnostics.tier_values import TierValues
from clvmodels.evaluation.repeats import number_of_draws
from clvmodels.machine import available_cores
from clvmodels.posterior.predicting import own_horizon
from clvmodels.schema import FloatArray

_CELLS: Final = 40_000_000
_LEAST_DRAWS: Final = 80


@dataclass(frozen=True, slots=True)
class Amount:
    """A total with its interval; NaN ends where nothing is uncertain."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """What the base as a whole is expected to be and do.

    Attributes
    ----------
    repeat, once : int
        Customers who came back, and those who bought once.
    active : Amount
        Expected number of repeat customers who are still active.
    again : Amount
        Expected number of one-time buyers who buy again within the horizon.
    again_repeat, again_all : Amount
        The same of repeat customers, and of all.
    value : Amount or None
        Value of all customers together; None where there are no values.
    """

    repeat: int
    once: int
    active: Amount
    again: Amount
    again_repeat: Amount
    again_all: Amount
    value: Amount | None


def totals(study: Study, held: TierValues | None) -> Totals:
    """Add up the base; means are those of the customers' own predictions."""
    repeat = np.asarray(study.repeat)
    by_draw = _by_draw(study)
    p_alive = study.scores["p_alive"].to_numpy()
    p_purchase = study.scores["p_purchase"].to_numpy()
    means = (
        float(p_alive[repeat].sum()),
        float(p_purchase[~repeat].sum()),
        float(p_purchase[repeat].sum()),
        float(p_purchase.sum()),
    )
    active, again, again_repeat, again_all = (
        Amount(mean, *bounds(row, study.question, study.purchases.certain))
        for mean, row in zip(means, [*by_draw, by_draw[1] + by_draw[2]], strict=True)
    )
    return Totals(
        repeat=int(repeat.sum()),
        once=int((~repeat).sum()),
        active=active,
        again=again,
        again_repeat=again_repeat,
        again_all=again_all,
        value=_value(held),
    )


def _value(held: TierValues | None) -> Amount | None:
    if held is None:
        return None
    whole = held.values.whole()
    lower, upper = whole.bounds()
    return Amount(float(whole.mean[0]), float(lower[0]), float(upper[0]))


def _by_draw(study: Study) -> FloatArray:
    """Active repeat customers, one-time and repeat buyers who come again; shape (3, S)."""
    h = study.timed
    horizon = own_horizon(study.purchases, study.question.horizon, study.columns.last_day)
    draws = study.purchases.draws(int(np.clip(_CELLS // len(h.x), _LEAST_DRAWS, FEW_DRAWS)))
    formulas = study.purchases.formulas
    who = (h.kind, h.t_x, h.T)
    repeat, once = h.count * (h.x > 0), h.count * (h.x == 0)

    def one(s: int) -> list[float]:
        parameters = {name: float(values[s]) for name, values in draws.items()}
        again = formulas.p_purchase(*who, horizon, **parameters)
        alive = formulas.p_alive(*who, **parameters)
        return [float(repeat @ alive), float(once @ again), float(repeat @ again)]

    with ThreadPoolExecutor(available_cores()) as pool:
        return np.array(list(pool.map(one, range(number_of_draws(draws)))), dtype=np.float64).T
