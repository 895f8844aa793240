"""The margin that each customer's own orders have, as far as they say one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from clvmodels import frames
from clvmodels.errors import OURS, DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.schema import CUSTOMER_ID, MARGIN, FloatArray, shown

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

_MORE_THAN_SHARES: Final = (
    5.0  # half of the orders are above it: a margin of 1 is then next to none
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CustomerMargins:
    """Margins by customer, shrunk to that of the base.

    Attributes
    ----------
    table : DataFrame
        One row per customer, by id: customer_id, orders, revenue, own_margin (of the orders
        together), weight of it, from 0 to 1, and margin = weight x own_margin + (1 - weight) x
        the base's.
    base : float
        Margin of all orders together, as a share of revenue; it may be negative.
    between : float
        Variance of margins between customers; 0 where the orders show none.
    within : float
        Variance of the margin of one unit of revenue within a customer.
    """

    table: pd.DataFrame
    base: float
    between: float
    within: float

    def of(self, ids: pd.Series[Any]) -> FloatArray:
        """Margin of each customer; the base's of those who are not known."""
        known = self.table.set_index(CUSTOMER_ID)["margin"]
        if pd.api.types.is_integer_dtype(ids) != pd.api.types.is_integer_dtype(known.index):
            ids, known = ids.map(str), known.set_axis(known.index.map(str))
        found = known.reindex(ids).to_numpy(dtype=np.float64)
        return np.where(np.isnan(found), self.base, found)

    @named
    def join(self, rfm: RfmTable, *, column: str = MARGIN) -> RfmTable:
        """Return the table with everybody's margin as a column, and that of the base said.

        Give it to predict and to all that makes values of customers, there or in a file:
        ``margin=ContributionMargin(column="margin")``.

        Parameters
        ----------
        rfm : RfmTable
            The customers; those who are not known get the margin of the base.
        column : str
            Its name; one that is there is replaced.
        """
        table = rfm.table.drop_columns([column] if column in rfm.table.column_names else [])
        own = pa.array(self.of(rfm.table[CUSTOMER_ID].to_pandas()))
        kept = tuple(name for name in rfm.segment_cols if name != column)
        joined = replace(rfm, table=table.append_column(column, own), segment_cols=(*kept, column))
        known = 0 < self.base <= 1
        return replace(joined, margin=self.base, margin_said=True) if known else joined

    def __repr__(self) -> str:
        return f"<CustomerMargins, {100 * self.base:.1f} % of the base>\n{self.table}"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(border=0, max_rows=10))


@named
def customer_margins(
    log: Frame,
    *,
    customer_id_col: str,
    datetime_col: str,
    monetary_value_col: str,
    margin_col: str,
) -> CustomerMargins:
    """Margin of every customer by their own orders, shrunk to the base by how much these say.

    The credibility estimator of Buehlmann and Straub (1970, Mitteilungen der Vereinigung
    schweizerischer Versicherungsmathematiker 70), with revenue as the exposure: a customer's
    own margin has weight R / (R + within / between), R being their revenue. A few
    large orders say much, one small order hardly anything. Margins may be negative.

    Parameters
    ----------
    log : DataFrame or Table
        Of pandas, polars or pyarrow; a row for each order or line. Lines of one customer on
        one day are one order. Rows whose amount is not positive are left out.
    customer_id_col, datetime_col, monetary_value_col : str
        Columns of customers, dates and amounts, which are numbers.
    margin_col : str
        Column of what is left of each amount after its own costs, in the same money.

    Returns
    -------
    CustomerMargins
        By customer, and of the base.

    Raises
    ------
    SchemaError
        A column is missing or holds no numbers.
    DomainError
        No row is left, or a margin is missing.

    Warns
    -----
    UserWarning
        What is left of the orders looks like shares of their amounts.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"who": [1, 1, 2, 2], "day": ["2024-01-01", "2024-02-01"] * 2,
    ...                     "amount": [100.0, 100.0, 100.0, 100.0],
    ...                     "left": [50.0, 40.0, 10.0, 20.0]})
    >>> found = customer_margins(log, customer_id_col="who", datetime_col="day",
    ...                          monetary_value_col="amount", margin_col="left")
    >>> found.base, found.table["margin"].round(3).tolist()
    (0.3, [0.442, 0.158])
    """
    names = [customer_id_col, datetime_col, monetary_value_col, margin_col]
    given = frames.eager(log)
    there = frames.column_names(given)
    for name in names:
        if name not in there:
            raise SchemaError(
                f"The log has no column {shown(name)} (columns: {', '.join(there)}): name another."
            )
    orders = _orders(frames.to_pandas(given, names), *names)
    sums = orders.groupby(CUSTOMER_ID, sort=True).agg(
        orders=("revenue", "size"), revenue=("revenue", "sum"), left=("left", "sum")
    )
    own = sums["left"] / sums["revenue"]
    base = float(sums["left"].sum() / sums["revenue"].sum())
    _warn_of_shares(margin_col, orders, base)
    within = _within(orders, own)
    between = _between(sums["revenue"].to_numpy(), own.to_numpy(), base, within)
    weight = 0.0 if between == 0 else sums["revenue"] / (sums["revenue"] + within / between)
    table = sums[["orders", "revenue"]].assign(
        own_margin=own, weight=weight, margin=weight * own + (1.0 - weight) * base
    )
    return CustomerMargins(table.reset_index(), base, between, within)


def _orders(rows: pd.DataFrame, who: str, when: str, amount: str, margin: str) -> pd.DataFrame:
    """Revenue of each customer's days, and what is left of it."""
    for name in (amount, margin):
        if not pd.api.types.is_numeric_dtype(rows[name]):
            raise SchemaError(f"{shown(name)} holds {rows[name].dtype}, not numbers: convert it.")
    rows = rows[rows[who].notna() & (rows[amount] > 0)]
    if not len(rows):
        raise DomainError("The log has no rows with a customer and an amount above 0: check it.")
    if not np.isfinite(rows[margin].to_numpy(dtype=np.float64)).all():
        raise DomainError(
            f"{shown(margin)} is missing in some rows: fill it, or leave those rows out."
        )
    days = pd.to_datetime(rows[when]).dt.floor("D")
    found = rows.groupby([rows[who].rename(CUSTOMER_ID), days.rename("day")])
    return found.agg(revenue=(amount, "sum"), left=(margin, "sum")).reset_index()


def _warn_of_shares(name: str, orders: pd.DataFrame, base: float) -> None:
    """Warn of margins that look like shares of the amounts, where they are to be money."""
    left = orders["left"]
    if 0.0 < left.abs().max() <= 1.0 and orders["revenue"].median() > _MORE_THAN_SHARES:
        warnings.warn(
            f"{shown(name)} holds numbers from {left.min():g} to {left.max():g}, which look like "
            f"shares of the amounts but are read as money, so that {100 * base:.1f} % of revenue "
            "is left. If they are shares, multiply them by the amounts.",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )


def _within(orders: pd.DataFrame, own: pd.Series[float]) -> float:
    """Variance within customers: revenue x squared distance of orders from the own margin."""
    apart = orders["left"] / orders["revenue"] - orders[CUSTOMER_ID].map(own)
    free = len(orders) - len(own)
    return float((orders["revenue"] * apart**2).sum() / free) if free else 0.0


def _between(revenue: FloatArray, own: FloatArray, base: float, within: float) -> float:
    """Variance between customers, by moments: what is left of the spread after that within."""
    whole = revenue.sum()
    spread = float(revenue @ (own - base) ** 2 - (len(own) - 1) * within)
    apart = float(whole - revenue @ revenue / whole)
    return max(spread / apart, 0.0) if apart > 0 else 0.0
