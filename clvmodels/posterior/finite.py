"""Draws in which an expectation is infinite are refused, not averaged over."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.predict import Draws, Future, infinite_share, share
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


def no_value(paired: Draws, x: FloatArray) -> npt.NDArray[np.object_] | None:
    """Say of every customer why there is no expected value, None where there is one.

    Parameters
    ----------
    paired : Draws
        Of both models.
    x : ndarray, shape (N,)
        Repeat purchases of the customers.

    Returns
    -------
    ndarray of str and None, shape (N,), or None
        None where every draw has q > 1, and so everybody a value.
    """
    if not (paired.spend["q"] <= 1).any():
        return None
    shares = infinite_share(paired, x)
    reasons = np.full(len(x), None, dtype=object)
    for one in np.unique(shares[shares > 0]):
        reasons[shares == one] = (
            f"expected spend is infinite in {one:.1%} of the draws at this frequency"
        )
    return reasons


def few_values(without: int, customers: int) -> str:
    """Warn that some customers have no expected value."""
    return (
        f"{without:,} of {customers:,} customers have no expected value, since their expected "
        "spend is infinite in some draws (p x + q <= 1): it is left empty, with its reason. Give "
        "q a prior with its mass above 1, or fit to a longer log."
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
