"""Customers' own margins, and what they cost, as predictions take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels import frames
from clvmodels.errors import SchemaError
from clvmodels.forecast import Future
from clvmodels.forecast.draws import Costs
from clvmodels.margin import ContributionMargin, Margin, MarginLike, margin_for
from clvmodels.rfm.attributes import numbers_of
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import DAYS_PER_YEAR, FloatArray, TimeScale, shown


def costs_by(scale: TimeScale, of: ContributionMargin) -> Costs:
    """Costs in a unit of time."""
    year = DAYS_PER_YEAR / scale.days
    return Costs(of.cost_per_order, of.cost_per_year / year, of.cost_per_active_year / year)


def refuse_own(margin: MarginLike) -> None:
    """Refuse margins of customers and costs where only one share of revenue is known.

    Raises
    ------
    SchemaError
        There are some.
    DomainError
        The margin is not a share of revenue.
    """
    if (of := margin_for(margin).of) is not None:
        raise SchemaError(
            f"margin={of!r} is for values of customers and of new ones (predict, score, "
            "total_value, new_customer_value, customers, tiers, segments, actions), and this "
            "takes one share of revenue for all: pass that, such as margin=0.3."
        )


def own_shares(columns: RfmColumns, margin: Margin) -> FloatArray | None:
    """Margin of each customer, where they have some of their own, shape (N,).

    Raises
    ------
    SchemaError
        The table lacks the column, or it holds something that is not a margin.
    """
    if margin.of is None or margin.of.column is None:
        return None
    name, there = margin.of.column, frames.column_names(columns.frame)
    if name not in there:
        raise SchemaError(
            f"The table has no column {shown(name)}, the customers' own margins (columns: "
            f"{', '.join(there)}): join it, as customer_margins(...).join(rfm) does."
        )
    found = read_shares(frames.to_arrow(columns.frame, [name])[name], name)
    wrong = ~is_share(found)
    if wrong.any():
        raise SchemaError(
            f"{int(wrong.sum()):,} rows have no margin in {shown(name)}, or one above 1; the "
            f"first is row {int(np.argmax(wrong))}. Fill them with the margin of the base."
        )
    return found


def read_shares(column: Any, name: str) -> FloatArray:
    """Margins as numbers, NaN where there is none."""
    try:
        return numbers_of(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"The column {shown(name)} holds {column.type}, and margins are numbers, such "
            "as 0.3: convert it."
        ) from error


def is_share(found: FloatArray) -> npt.NDArray[np.bool_]:
    """Which numbers can be margins."""
    return np.asarray(np.isfinite(found) & (found <= 1.0))


def past_value(
    future: Future, share: FloatArray | None, first: FloatArray, x: FloatArray, m_bar: FloatArray
) -> FloatArray:
    """What customers have brought so far: their margins, less costs of orders; no discount."""
    spent = shares_of(future, share, len(x)) * (first + x * m_bar)
    return spent if future.costs is None else spent - future.costs.order * (1.0 + x)


def shares_of(future: Future, share: FloatArray | None, count: int) -> FloatArray:
    """Margin of each customer, shape (N,)."""
    return np.full(count, future.margin) if share is None else share
