"""Draws in which an expectation is infinite are refused, not averaged over."""

from __future__ import annotations

import math

from clvmodels.errors import DomainError
from clvmodels.predict import Draws, Future, share
from clvmodels.schema import FloatArray


def check_spend(paired: Draws, x: FloatArray) -> None:
    """Refuse draws in which the expected spend of some customer is infinite.

    Parameters
    ----------
    paired : Draws
        Of both models.
    x : ndarray
        Repeat purchases of the customers; none is fine.

    Raises
    ------
    DomainError
        p x + q <= 1 for the fewest repeat purchases, in some draw.
    """
    if not len(x):
        return
    least_x = float(x.min())
    infinite = share(paired.spend["p"] * least_x + paired.spend["q"] <= 1)
    if infinite > 0:
        raise DomainError(
            f"{infinite:.1%} of the draws have p x + q <= 1 at frequency x = {least_x:g}, "
            "where expected spend is infinite. Give q a prior with its mass above 1, fit to a "
            "longer log, or predict customers with more repeat purchases only."
        )


def check_life(paired: Draws, future: Future) -> None:
    """Refuse draws in which the undiscounted purchases of a whole life are infinite.

    Raises
    ------
    DomainError
        a <= 1 in some draw, with neither an end nor a discount.
    """
    if math.isinf(future.horizon) and future.delta == 0:
        endless = share(paired.purchases["a"] <= 1)
        if endless > 0:
            raise DomainError(
                f"{endless:.1%} of the draws have a <= 1, where the undiscounted purchases of "
                "a whole life are infinite: use a discount rate above 0, or a finite horizon."
            )
