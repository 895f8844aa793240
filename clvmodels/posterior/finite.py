"""Draws in which an expectation is infinite are refused, not averaged over."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.errors import OURS, DomainError
from clvmodels.forecast import Draws, Future, infinite_share, share, spending
from clvmodels.purchases import PurchaseModel
from clvmodels.schema import FloatArray


def check_spend(paired: Draws, x: FloatArray | None = None) -> None:
    """Refuse draws in which the expected spend of some customer is infinite.

    Parameters
    ----------
    paired : Draws
        Of both models.
    x : ndarray, optional
        Repeat purchases of the customers, who may be none; without it the customer is one
        not yet acquired.

    Raises
    ------
    DomainError
        p x + q <= 1 for the fewest repeat purchases, in some draw.
    """
    if x is not None and not len(x):
        return
    least_x, counted = (0.0, 0.0) if x is None else (float(x.min()), paired.counted)
    infinite = share(spending.infinite(paired.spend, least_x + counted))
    if infinite > 0:
        raise DomainError(
            f"{100 * infinite:.1f} % of the draws have p x + q <= 1 at frequency x = {least_x:g}, "
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
    if not spending.infinite(paired.spend, 0.0).any():
        return None
    shares = infinite_share(paired, x)
    reasons = np.full(len(x), None, dtype=object)
    for one in np.unique(shares[shares > 0]):
        reasons[shares == one] = (
            f"expected spend is infinite in {100 * one:.1f} % of the draws at this frequency"
        )
    return reasons


@dataclass(frozen=True, slots=True, eq=False)
class Valued:
    """Which customers have a finite expected value: sums of values are over these.

    Attributes
    ----------
    has : ndarray of bool, shape (N,)
        Whether a customer has one.
    reason : str
        Why the others have none; empty where there are no others.
    """

    has: npt.NDArray[np.bool_]
    reason: str

    @property
    def without(self) -> int:
        """Number of customers who have none."""
        return len(self.has) - int(np.count_nonzero(self.has))

    @property
    def count(self) -> int:
        """Number of customers who have one."""
        return int(np.count_nonzero(self.has))

    def of[A: npt.NDArray[Any]](self, column: A) -> A:
        """Rows of a column that have a value; the column itself where all have."""
        return column[self.has] if self.reason else column  # type: ignore[return-value]

    def warned(self) -> Valued:
        """Warn of those who have none, if there are any; return itself."""
        if self.without:
            text = few_values(self.without, len(self.has))
            warnings.warn(text, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        return self


def valued(paired: Draws, x: FloatArray) -> Valued:
    """Tell apart who has a finite expected value.

    Parameters
    ----------
    paired : Draws
        Of both models.
    x : ndarray, shape (N,)
        Repeat purchases of the customers.
    """
    endless = spending.infinite(paired.spend, 0.0).any()
    shares = infinite_share(paired, x) if endless else np.zeros(len(x))
    has = shares == 0
    if has.all():
        return Valued(has, "")
    most, least = shares.max(), shares[~has].min()
    span = f"{100 * most:.1f} %" if most == least else f"{100 * least:.1f} % to {100 * most:.1f} %"
    return Valued(has, f"expected spend is infinite in {span} of the draws (p x + q <= 1)")


def summable(paired: Draws, x: FloatArray) -> Valued:
    """Tell apart who has a finite expected value, for a sum that needs some who have.

    The others are warned of.

    Parameters
    ----------
    paired : Draws
        Of both models.
    x : ndarray, shape (N,)
        Repeat purchases of the customers.

    Raises
    ------
    DomainError
        Nobody has one.
    """
    known = valued(paired, x)
    if not known.count:
        check_spend(paired, x)
    return known.warned()


def left_out(without: int, customers: int) -> str:
    """Note that some customers are not in a figure; empty if all are."""
    if not without:
        return ""
    return f"{without:,} of {customers:,} customers have no expected value and are not included"


def few_values(without: int, customers: int) -> str:
    """Warn that some customers have no expected value."""
    return (
        f"{without:,} of {customers:,} customers have no expected value, since their expected "
        "spend is infinite in some draws (p x + q <= 1): their value is left empty, with a "
        "reason, and sums leave them out. Give q a prior with its mass above 1, or fit to a "
        "longer log."
    )


def check_life(paired: Draws, future: Future, facts: PurchaseModel) -> None:
    """Refuse draws in which the undiscounted purchases of a lifetime are infinite, and costs.

    Raises
    ------
    DomainError
        They are in some draw, with neither an end nor a discount; or years of a lifetime are
        paid for that have none.
    """
    if math.isinf(future.due.horizon) and future.costs is not None:
        endless = future.costs.active and future.due.delta == 0.0
        if future.costs.year or endless:
            name = "cost_per_active_year" if endless else "cost_per_year"
            raise DomainError(
                f"A {name} over a lifetime would never end: give a horizon, such as '3Y'."
            )
    if math.isinf(future.due.horizon) and future.due.delta == 0:
        endless = share(paired.endless)
        if endless > 0:
            where = facts.endless_where
            some = f"{100 * endless:.1f} % of the draws have {where}, where"
            raise DomainError(
                f"{some if where else f'In {facts.name}'} the undiscounted purchases of a lifetime "
                "are infinite: use a discount rate above 0, or a finite horizon."
            )
