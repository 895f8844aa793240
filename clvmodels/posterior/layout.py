"""Columns of predictions: their names and order, and what is added where horizons are several.

Apart from `clvmodels.posterior.predicting`, since commands and jobs ask for names before there
is anything to predict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

from clvmodels import schema
from clvmodels.errors import SchemaError
from clvmodels.forecast import WHENEVER
from clvmodels.schema import Horizon

POINTS: Final = ("p_alive", "p_purchase", "expected_purchases", "discounted_purchases")
MONEY_POINTS: Final = ("expected_spend", "clv")
CLV_INTERVAL: Final = ("clv_sd", "clv_lower", "clv_upper")
ALIVE_INTERVAL: Final = ("p_alive_lower", "p_alive_upper")
PURCHASES_INTERVAL: Final = ("expected_purchases_lower", "expected_purchases_upper")
SPEND_INTERVAL: Final = ("expected_spend_lower", "expected_spend_upper")


def points_of(*, money: bool) -> tuple[str, ...]:
    """Columns of expectations, in the order of the output."""
    return (*POINTS, *MONEY_POINTS) if money else POINTS


def intervals_of(*, money: bool, every: bool = True) -> tuple[str, ...]:
    """Columns that say how well the expectations are known, in the order of the output.

    Parameters
    ----------
    money : bool
        Whether there are values.
    every : bool
        All of them; else those of the one figure that matters most: of clv, or, where there
        are no values, of expected_purchases.
    """
    if not every:
        return CLV_INTERVAL if money else PURCHASES_INTERVAL
    bought = (*ALIVE_INTERVAL, *PURCHASES_INTERVAL)
    return (*CLV_INTERVAL, *bought, *SPEND_INTERVAL) if money else bought


def labelled(horizon: Horizon | Sequence[Horizon]) -> dict[str, Horizon]:
    """Horizons by what is added to the names of their columns: nothing where there is one.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        There is none, one of them is given twice, or one is not a length of time.
    """
    if not isinstance(horizon, list | tuple):
        return {"": cast(Horizon, horizon)}
    found: dict[str, Horizon] = {}
    for one in horizon:
        plain = schema.plain_horizon(one)
        label = plain if isinstance(plain, str) else "lifetime" if plain is None else f"{plain:g}"
        if f"_{label}" in found:
            raise SchemaError(f"The horizon {label} is there twice: give each one once.")
        found[f"_{label}"] = one
    if not found:
        raise SchemaError("The list of horizons is empty: give some, such as ['90D', '365D'].")
    return found


def by_label(names: Iterable[str], labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Columns of several horizons in the order of the output, each with its name and label."""
    labels = tuple(labels)
    return {
        name if name in WHENEVER else f"{name}{label}": (name, label)
        for name in names
        for label in labels
    }
