"""What lies ahead of groups of customers: the value of each group in every draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Predictor, tail_probabilities
from clvmodels.posterior.clv import at_margin, value_posterior
from clvmodels.posterior.finite import Valued, summable
from clvmodels.posterior.scorable import prepared_for
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    Discounting,
    FloatArray,
    Horizon,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.forecast import Draws, Future
    from clvmodels.posterior import CLVPosterior
    from clvmodels.rfm.histories import RfmColumns

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is predicted, and how: the keyword arguments of `CLVPosterior.predict`."""

    horizon: Horizon
    discount_rate: float
    discounting: Discounting
    interval: float
    draws: int
    margin: float | None = None

    def scores(self, posterior: CLVPosterior, rfm: RfmTable) -> pd.DataFrame:
        """Predict every customer, in the table's order; values may be empty, but not all."""
        self.prepared(posterior, rfm)
        return posterior.predict(
            rfm,
            horizon=self.horizon,
            discount_rate=self.discount_rate,
            discounting=self.discounting,
            interval=self.interval,
            draws=self.draws,
            margin=self.margin,
        )

    def prepared(
        self, posterior: CLVPosterior, rfm: RfmTable
    ) -> tuple[RfmColumns, FloatArray, Future, Draws, Valued]:
        """Return what `CLVPosterior.prepared` does, and who has a value: not nobody."""
        given = prepared_for(
            value_posterior(posterior),
            rfm,
            horizon=self.horizon,
            discount_rate=self.discount_rate,
            discounting=self.discounting,
            interval=self.interval,
            draws=self.draws,
            margin=self.margin,
        )
        known = summable(given.draws, given.columns.x)
        return given.columns, given.m_bar, given.future, given.draws, known


@dataclass(frozen=True, slots=True, eq=False)
class GroupValues:
    """Expected value of groups of customers, who share the parameters.

    Attributes
    ----------
    customers : ndarray of int, shape (G,)
        How many each group has.
    without : ndarray of int, shape (G,)
        How many of them have no finite expected value, and so are not in it.
    mean : ndarray, shape (G,)
        Sum of the clv of the others; NaN where these are none but there are some without.
    by_draw : ndarray, shape (G, S)
        Value of the group in each draw.
    certain : bool
        Whether the posterior is a single point, which has no intervals.
    interval : float
        Probability of the equal-tailed intervals.
    """

    customers: IntArray
    without: IntArray
    mean: FloatArray
    by_draw: FloatArray
    certain: bool
    interval: float

    @property
    def valued(self) -> IntArray:
        """How many of each group the value is of."""
        return self.customers - self.without

    def left_out(self) -> dict[str, IntArray]:
        """Column ``without_value`` of a table of these groups; none if nobody is left out."""
        return {"without_value": self.without} if self.without.any() else {}

    def whole(self) -> GroupValues:
        """All groups as one: means and draws added up, draw by draw."""
        return GroupValues(
            self.customers.sum(keepdims=True),
            self.without.sum(keepdims=True),
            np.nansum(self.mean, keepdims=True),
            np.nansum(self.by_draw, axis=0, keepdims=True),
            self.certain,
            self.interval,
        )

    def with_whole(self) -> GroupValues:
        """The groups, and the whole of them in a last row."""
        whole = self.whole()
        return GroupValues(
            np.concatenate([self.customers, whole.customers]),
            np.concatenate([self.without, whole.without]),
            np.concatenate([self.mean, whole.mean]),
            np.concatenate([self.by_draw, whole.by_draw]),
            self.certain,
            self.interval,
        )

    def bounds(self, by_draw: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Equal-tailed interval over draws of each row; NaN where nothing is uncertain.

        Parameters
        ----------
        by_draw : ndarray, shape (rows, S), optional
            By default the values of the groups.
        """
        values = self.by_draw if by_draw is None else by_draw
        if self.certain:
            nothing = np.full(len(values), np.nan)
            return nothing, nothing
        lower, upper = np.quantile(values, tail_probabilities(self.interval), axis=1)
        return lower, upper

    def shares(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Share of each group in the whole, and its interval; NaN of a whole worth nothing."""
        whole = self.whole()
        by_draw = ratio(self.by_draw, np.broadcast_to(whole.by_draw, self.by_draw.shape))
        return (ratio(self.mean, whole.mean), *self.bounds(by_draw))


def group_values(
    posterior: CLVPosterior, rfm: RfmTable, group: IntArray, count: int, outlook: Outlook
) -> GroupValues:
    """Value the groups that customers are in.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers.
    group : ndarray of int, shape (N,)
        Which group each is in, 0..count - 1, in the table's order.
    count : int
        Number of groups; they may be empty.
    outlook : Outlook
        Horizon, discounting, interval, draws, margin.
    """
    columns, m_bar, future, paired, known = outlook.prepared(posterior, rfm)
    span = (float(columns.T.min()), float(columns.T.max())) if len(columns) else None
    predictor = Predictor(paired, future, wanted="none", span=span)
    customers = np.bincount(group, minlength=count).astype(np.int64)
    without = np.bincount(group[~known.has], minlength=count).astype(np.int64)
    mean, by_draw = np.zeros(count), np.zeros((count, paired.count))
    for i in range(count):
        rows = (group == i) & known.has
        if rows.any():
            found = predictor(columns.x[rows], columns.t_x[rows], columns.T[rows], m_bar[rows])
            by_draw[i], mean[i] = found.by_draw, found.columns["clv"].sum()
        elif without[i]:
            by_draw[i], mean[i] = np.nan, np.nan
    certain = posterior.certain or paired.count == 1
    return GroupValues(customers, without, mean, by_draw, certain, outlook.interval)


def check_base(rfm: RfmTable, *, money: bool = True) -> RfmTable:
    """Return the table if it holds customers with amounts.

    Raises
    ------
    SchemaError
        It is not an RfmTable, or has no amounts where ``money`` is wanted.
    DomainError
        It has no customers.
    """
    if not isinstance(rfm, RfmTable):
        raise SchemaError(
            f"Expected an RfmTable, found {type(rfm).__name__}: make one with rfm_summary(...) or "
            "RfmTable.from_pandas(...)."
        )
    if money and not rfm.has_money:
        raise SchemaError(
            "The table has no monetary_value, and value needs it: summarise the log with a "
            "monetary_value_col."
        )
    if not len(rfm):
        raise DomainError("The table has no customers: there is nothing to report.")
    return rfm


def base_for(posterior: CLVPosterior, rfm: RfmTable, margin: float | None = None) -> RfmTable:
    """Return the table with the margin that its values will have, if it holds customers.

    Raises
    ------
    SchemaError, DomainError
        As `check_base`, or the margin is not a share of revenue.
    """
    money = value_posterior(posterior).reads_amounts
    return at_margin(posterior, check_base(rfm, money=money), margin)


def column(rfm: RfmTable, name: str) -> FloatArray:
    """Take a column of a table as floats."""
    return np.asarray(rfm.table[name].to_numpy(), dtype=np.float64)


def past_revenue(rfm: RfmTable) -> FloatArray | None:
    """Revenue of each customer so far; None where first purchases are not known.

    first_value + frequency x monetary_value, before margin.
    """
    if not rfm.has_money or FIRST_VALUE not in rfm.table.column_names:
        return None
    return column(rfm, FIRST_VALUE) + column(rfm, FREQUENCY) * column(rfm, MONETARY_VALUE)


def ratio(top: Any, bottom: Any) -> FloatArray:
    """Quotient, NaN where the divisor is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    )
    quotient: FloatArray = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient


def ranking(values: npt.ArrayLike, ids: Any) -> IntArray:
    """Positions from the largest value to the smallest; ties go by id, whatever the order.

    Parameters
    ----------
    values : array_like, shape (N,)
        Finite, or NaN of customers who have none and come last.
    ids : array_like, shape (N,)
        Distinct.

    Returns
    -------
    ndarray of int, shape (N,)
    """
    import pandas as pd

    keys = pd.Series(np.asarray(ids))
    try:
        by_id, _ = pd.factorize(keys, sort=True)
    except TypeError:  # of mixed types, which have no order
        by_id, _ = pd.factorize(keys.map(lambda key: f"{type(key).__name__} {key}"), sort=True)
    return np.lexsort((by_id, -np.asarray(values, dtype=np.float64))).astype(np.int64)


def top_count(share: float, customers: int) -> int:
    """Customers in the top share, at least one; halves round up."""
    return max(int(np.floor(share * customers + 0.5 + 1e-9)), 1)


def customer_ids(rfm: RfmTable) -> pd.Series[Any]:
    """Ids in the table's order."""
    ids: pd.Series[Any] = rfm.table[CUSTOMER_ID].to_pandas()
    return ids
