"""What lies ahead of groups of customers: the value of each group in every draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Predictor, Whole, tail_probabilities
from clvmodels.keywords import named
from clvmodels.margin import MarginLike
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.finite import Valued, summable
from clvmodels.posterior.predicting import Prepared, predicted_frame
from clvmodels.posterior.scorable import (
    Scorable,
    at_margin,
    has_money,
    margin_of,
    prepared_for,
    reads_amounts,
    scorable,
)
from clvmodels.posterior.shares import past_value
from clvmodels.posterior.terms import ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, FIRST_VALUE, FREQUENCY, MONETARY_VALUE, FloatArray

if TYPE_CHECKING:
    import pandas as pd

IntArray = npt.NDArray[np.int64]


CLV: Final = "clv"
PURCHASES: Final = "expected_purchases"
UNKNOWN: Final = "unknown_levels"
"""Column of how many customers have levels of covariates that the base did not have."""


def measure_of(posterior: Scorable) -> str:
    """The column that customers are ranked by: their value, or purchases where none is known."""
    return CLV if has_money(posterior) else PURCHASES


@named
def scores_of(posterior: Scorable, rfm: RfmTable, **terms: Unpack[ValueTerms]) -> pd.DataFrame:
    """Predict every customer, in the table's order; values may be empty, but not all."""
    whose = scorable(posterior, "Expectations need")
    prepared_and_valued(whose, rfm, **terms)
    if isinstance(whose, CLVPosterior):
        return whose.predict(rfm, **terms)
    found: pd.DataFrame = predicted_frame(whose, None, rfm, predictive=False, **terms)
    return found


@named
def prepared_and_valued(
    posterior: Scorable, rfm: RfmTable, **terms: Unpack[ValueTerms]
) -> tuple[Prepared, Valued]:
    """Check table and options, and find who has a value: not nobody."""
    given = prepared_for(posterior, rfm, own=True, **terms)
    return given, summable(given.draws, given.columns.x)


@dataclass(frozen=True, slots=True, eq=False)
class GroupValues:
    """Expected value, or purchases, of groups of customers, who share the parameters.

    Attributes
    ----------
    customers : ndarray of int, shape (G,)
        How many each group has.
    without : ndarray of int, shape (G,)
        How many of them have no finite expected value, and so are not in it.
    mean : ndarray, shape (G,)
        Sum of the clv, or of the expected purchases, of the others; NaN where these are none
        but there are some without.
    by_draw : ndarray, shape (G, S)
        Value of the group in each draw.
    certain : bool
        Whether the posterior is a single point, which has no intervals.
    interval : float
        Probability of the equal-tailed intervals.
    unknown : ndarray of int, shape (G,)
        How many of each group have levels of covariates that the base that was fitted did not have.
    """

    customers: IntArray
    without: IntArray
    mean: FloatArray
    by_draw: FloatArray
    certain: bool
    interval: float
    unknown: IntArray

    @property
    def valued(self) -> IntArray:
        """How many of each group the value is of."""
        return self.customers - self.without

    def left_out(self) -> dict[str, IntArray]:
        """Columns of a table of these groups of whom the model knows less, if there are any."""
        counts = {"without_value": self.without, UNKNOWN: self.unknown}
        return {name: each for name, each in counts.items() if each.any()}

    def whole(self) -> GroupValues:
        """All groups as one: means and draws added up, draw by draw."""
        return GroupValues(
            self.customers.sum(keepdims=True),
            self.without.sum(keepdims=True),
            np.nansum(self.mean, keepdims=True),
            np.nansum(self.by_draw, axis=0, keepdims=True),
            self.certain,
            self.interval,
            self.unknown.sum(keepdims=True),
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
            np.concatenate([self.unknown, whole.unknown]),
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


@named
def group_values(
    posterior: Scorable,
    rfm: RfmTable,
    group: IntArray,
    count: int,
    **terms: Unpack[ValueTerms],
) -> GroupValues:
    """Value the groups that customers are in; without spend, by their purchases.

    Parameters
    ----------
    posterior : CLVPosterior or PurchasePosterior
        Of purchases and spend, or of purchases alone.
    rfm : RfmTable
        The customers.
    group : ndarray of int, shape (N,)
        Which group each is in, 0..count - 1, in the table's order.
    count : int
        Number of groups; they may be empty.
    **terms
        Horizon, discounting, interval, draws, margin.
    """
    given, known = prepared_and_valued(posterior, rfm, **terms)
    return grouped_values(given, known, group, count, measure_of(posterior))


def grouped_values(
    given: Prepared, known: Valued, group: IntArray, count: int, measure: str
) -> GroupValues:
    """The same of customers who are prepared, of whom nobody may have a value."""
    T = given.columns.T
    whole = Whole((float(T.min()), float(T.max()))) if len(T) else None
    predictor = Predictor(given.draws, given.future, wanted="none", whole=whole)
    customers = np.bincount(group, minlength=count).astype(np.int64)
    without = np.bincount(group[~known.has], minlength=count).astype(np.int64)
    mean, by_draw = np.zeros(count), np.zeros((count, given.draws.count))
    for i in range(count):
        rows = (group == i) & known.has
        if rows.any():
            x, t_x, T, m_bar = (one[rows] for one in given.who)
            found = predictor(x, t_x, T, m_bar, None if given.share is None else given.share[rows])
            by_draw[i], mean[i] = found.by_draw, found.columns[measure].sum()
        elif without[i]:
            by_draw[i], mean[i] = np.nan, np.nan
    return GroupValues(
        customers,
        without,
        mean,
        by_draw,
        given.certain,
        given.future.interval,
        unknown_by(given, group, count),
    )


def unknown_by(given: Prepared, group: IntArray, count: int) -> IntArray:
    """How many customers of each group have levels that the base that was fitted did not have."""
    some = group[:0] if given.unknown is None else group[given.unknown]
    return np.bincount(some, minlength=count).astype(np.int64)


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


def base_for(posterior: Scorable, rfm: RfmTable, margin: MarginLike = None) -> RfmTable:
    """Return the table with the margin that its values will have, if it holds customers.

    Raises
    ------
    SchemaError, DomainError
        As `check_base`; the margin is not a share of revenue, or there are no values.
    """
    base = check_base(rfm, money=reads_amounts(scorable(posterior, "Expectations need")))
    if isinstance(posterior, CLVPosterior):
        return at_margin(posterior, base, margin)
    margin_of(posterior, margin)
    return base


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


def earned_so_far(given: Prepared, rfm: RfmTable) -> FloatArray | None:
    """Margin of each customer so far, less costs of orders; None where revenue is not known."""
    if past_revenue(rfm) is None:
        return None
    parts = (column(rfm, name) for name in (FIRST_VALUE, FREQUENCY, MONETARY_VALUE))
    return past_value(given.future, given.share, *parts)


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
