"""Which margin values are made of, where several are known: one rule for all of them.

An explicit argument above all; else the margin that the table says; else that of the base
which the posterior was fitted to; else 1, and values are revenue. What an order leaves may be
more than one share of revenue for all: `ContributionMargin` says so.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from clvmodels.errors import OURS, DomainError, SchemaError
from clvmodels.schema import check_margin, check_number, shown

MarginSource = Literal["argument", "table", "posterior", "not said"]
_SAID = {
    "argument": "as passed",
    "table": "the table's",
    "posterior": "that of the base that was fitted",
    "not said": "no margin was given",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributionMargin:
    """What is left of what customers will bring: own margins, less costs of orders and of years.

    Given as ``margin=`` it makes values of

        own margin x spend x discounted orders - cost_per_order x discounted orders
            - cost_per_year x discounted years - cost_per_active_year x discounted years alive,

    which may be negative. A customer's own margin is taken not to depend on how much or how
    often they will buy.

    Attributes
    ----------
    share : float or None
        Share of revenue of all customers, at most 1, and negative where orders lose money; with
        a column, that of customers not yet acquired. By default the margin of the table or of
        the base that was fitted, as where no margin is given.
    column : str or None
        Column of the customers' table with the margin of each, such as
        :meth:`CustomerMargins.join` makes.
    cost_per_order : float
        What each order costs besides, such as packing and postage, >= 0.
    cost_per_year : float
        What a customer costs a year, >= 0, all through the horizon, whether or not they are
        still customers: catalogues, say, that go to everybody on file.
    cost_per_active_year : float
        What a customer costs a year while they are alive, >= 0: service, or an account. How long
        that will be is uncertain, and counted by P(alive).

    Raises
    ------
    DomainError
        The share is above 1, or a cost is no amount of money >= 0.
    SchemaError
        The column is not the name of one.

    Examples
    --------
    >>> ContributionMargin(share=0.35, cost_per_order=4.5)
    ContributionMargin(share=0.35, cost_per_order=4.5)
    """

    share: float | None = None
    column: str | None = None
    cost_per_order: float = 0.0
    cost_per_year: float = 0.0
    cost_per_active_year: float = 0.0

    def __post_init__(self) -> None:
        if self.share is not None:
            object.__setattr__(self, "share", _share(self.share))
        if self.column is not None and not (isinstance(self.column, str) and self.column):
            raise SchemaError(f"column={shown(self.column)} must be the name of a column.")
        for name in COSTS:
            object.__setattr__(self, name, _cost(name, getattr(self, name)))

    def said(self) -> dict[str, Any]:
        """What was given, by name; of costs, those that are not 0."""
        return {one.name: v for one in fields(self) if (v := getattr(self, one.name))}

    def __repr__(self) -> str:
        return f"ContributionMargin({', '.join(f'{n}={v!r}' for n, v in self.said().items())})"

    def __str__(self) -> str:
        """In words, as they stand behind 'value'."""
        share = "" if self.share is None else f"margin {self.share:g}"
        own = "" if self.column is None else f"margins of the column {self.column!r}"
        costs = [f"{getattr(self, n):g} {w}" for n, w in COSTS.items() if getattr(self, n)]
        whose = own or share or "the margin"
        return f"{whose}, less {' and '.join(costs)}" if costs else whose


COSTS: Final = {
    "cost_per_order": "an order",
    "cost_per_year": "a year",
    "cost_per_active_year": "a year alive",
}
"""Costs beside the margin, and what each is for."""

type MarginLike = float | ContributionMargin | None


def _share(given: float) -> float:
    share = check_number("share", given)
    if not (math.isfinite(share) and share <= 1):
        raise DomainError(
            f"share={given!r} must be a share of revenue, at most 1, such as 0.3 for 30 %."
        )
    return share


def _cost(name: str, given: float) -> float:
    cost = check_number(name, given)
    if not 0 <= cost < math.inf:
        raise DomainError(f"{name}={given!r} must be an amount of money >= 0.")
    return cost


@dataclass(frozen=True, slots=True)
class Margin:
    """The margin that values are made of, and whence it is.

    Attributes
    ----------
    value : float
        Share of revenue, in (0, 1] unless ``of`` says it; of all customers, or where these have
        margins of their own of those yet to come: NaN where nobody said one.
    source : {"argument", "table", "posterior", "not said"}
        Where it was said.
    note : str
        How table and posterior differ, where nothing else decided; else empty.
    of : ContributionMargin or None
        Where values are more than a share of revenue.
    """

    value: float
    source: MarginSource
    note: str = ""
    of: ContributionMargin | None = None

    def __str__(self) -> str:
        if self.of is not None:
            return str(self.of if self.of.share is not None else self.known())
        return f"margin {self.value:g} ({_SAID[self.source]})"

    def known(self) -> ContributionMargin | None:
        """What values are made of, with the share that was found; None where it is all."""
        if self.of is None or self.of.share is not None or math.isnan(self.value):
            return self.of
        return replace(self.of, share=self.value)

    def warned(self) -> Margin:
        """Warn of the difference, if there is one; return itself."""
        if self.note:
            warnings.warn(self.note, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        return self


def margin_for(
    argument: MarginLike = None, *, table: float | None = None, posterior: float | None = None
) -> Margin:
    """Decide which margin counts.

    Parameters
    ----------
    argument : float, ContributionMargin or None
        What is asked for.
    table, posterior : float or None
        What each of them says; None where it says nothing.

    Raises
    ------
    DomainError
        The argument is not a share of revenue.
    """
    if isinstance(argument, ContributionMargin):
        if argument.share is not None:
            return Margin(argument.share, "argument", of=argument)
        found = margin_for(table=table, posterior=posterior)
        unknown = argument.column is not None and found.source == "not said"
        return replace(found, of=argument, value=math.nan if unknown else found.value)
    if argument is not None:
        return Margin(check_margin(argument), "argument")
    if table is not None:
        return Margin(table, "table", _difference(table, posterior))
    if posterior is not None:
        return Margin(posterior, "posterior")
    return Margin(1.0, "not said")


def _difference(table: float, posterior: float | None) -> str:
    if posterior is None or math.isclose(table, posterior):
        return ""
    return (
        f"The table's margin is {table:g}, but the base that was fitted had {posterior:g}: values "
        f"use the table's. Pass margin={table:g} or margin={posterior:g} to choose."
    )


def said_margin(margin: float | None) -> dict[str, Any]:
    """Fields ``margin`` and ``margin_said`` of a table whose margin may not have been said."""
    value = 1.0 if margin is None else check_margin(margin)
    return {"margin": value, "margin_said": margin is not None}
