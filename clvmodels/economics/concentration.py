"""How much of the value few customers hold, and what all of them are worth."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels import frames
from clvmodels.economics.outlook import (
    check_base,
    customer_ids,
    group_values,
    past_revenue,
    ranking,
    ratio,
    scores_of,
    top_count,
)
from clvmodels.errors import OURS, DomainError, one_line
from clvmodels.keywords import named
from clvmodels.posterior import TotalValue, total_value
from clvmodels.posterior.finite import few_values
from clvmodels.posterior.scorable import value_posterior
from clvmodels.posterior.terms import Terms, ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import REASON, FloatArray, check_list, check_number

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.posterior import CLVPosterior

_CLV: Final = "clv"


def lorenz_curve(values: npt.ArrayLike | Frame) -> tuple[FloatArray, FloatArray]:
    """Cumulative share of value over the share of customers, the least valuable first.

    Parameters
    ----------
    values : array_like, shape (N,), or frame
        Value or revenue of each customer, >= 0, not all 0. Of a table of `predict` or `score`
        its column clv counts; customers who have no value are left out, with a warning.

    Returns
    -------
    customers : ndarray, shape (N + 1,)
        Cumulative share of customers, from 0 to 1.
    value : ndarray, shape (N + 1,)
        Their share of the value, from 0 to 1; on the diagonal all are equal.

    Raises
    ------
    DomainError
        There are no customers, a value is negative or missing, or all are 0, so that
        there is nothing to share.

    Examples
    --------
    >>> customers, value = lorenz_curve([1.0, 3.0])
    >>> value.tolist()
    [0.0, 0.25, 1.0]
    """
    ordered = _checked(values)
    shares = np.concatenate([[0.0], np.cumsum(ordered)])
    return np.linspace(0.0, 1.0, len(shares)), shares / shares[-1]


def gini(values: npt.ArrayLike | Frame) -> float:
    """Gini coefficient: 0 if all are equal, 1 - 1/N if one customer has everything.

    Twice the area between the diagonal and the Lorenz curve, which is
    sum_i (2 i - N - 1) v_(i) / (N sum_i v_i), v_(1) <= ... <= v_(N): half the mean
    absolute difference between customers, divided by their mean.

    For *expected* values it is smaller than for what customers will really spend, which
    varies around the expectation.

    Parameters
    ----------
    values : array_like, shape (N,), or frame
        As in `lorenz_curve`.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    DomainError
        As `lorenz_curve`.

    Examples
    --------
    >>> gini([1.0, 3.0])
    0.25
    """
    ordered = _checked(values)
    count = len(ordered)
    weights = 2.0 * np.arange(1, count + 1) - count - 1.0
    return float(weights @ ordered / (count * ordered.sum()))


@named
def top_shares(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    shares: Sequence[float] = (0.05, 0.2),
    **terms: Unpack[Terms],
) -> pd.DataFrame:
    """Share of the base's value, and of its past revenue, in the hands of the top customers.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The base.
    shares : sequence of float
        Shares of customers, in (0, 1]; rounded to whole customers, at least one.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    DataFrame
        One row for each share: top, customers; where somebody has no finite expected value,
        without_value, the number of those, of whom neither the shares of customers nor those
        of money are; value_share of the customers with the
        highest mean clv, with its interval over draws, value_share_lower and
        value_share_upper; past_share, what the same customers have of past revenue; and
        past_top_share, what as many customers with the highest past revenue have of it,
        unless the table lacks amounts or first purchases. NaN where there is nothing to share.

    Raises
    ------
    DomainError
        A share is outside (0, 1], or the base is empty; or as
        :meth:`CLVPosterior.predict`.
    """
    wanted = [_checked_share(share) for share in check_list("shares", shares)]
    money = value_posterior(posterior).reads_amounts
    ids = customer_ids(check_base(rfm, money=money))
    clv = scores_of(posterior, rfm, **terms)["clv"].to_numpy()
    has = ~np.isnan(clv)
    revenue = past_revenue(rfm)
    revenue = None if revenue is None else np.where(has, revenue, 0.0)
    order = ranking(clv, ids)
    rows = []
    for share in wanted:
        group = np.ones(len(rfm), dtype=np.int64)
        group[order[: top_count(share, int(has.sum()))]] = 0
        values = group_values(posterior, rfm, group, 2, **terms)
        mean, lower, upper = values.shares()
        rows.append(
            {
                "top": share,
                "customers": int((group == 0).sum()),
                **{name: counts.sum() for name, counts in values.left_out().items()},
                "value_share": mean[0],
                "value_share_lower": lower[0],
                "value_share_upper": upper[0],
                **_past_shares(revenue, group == 0, ids),
            }
        )
    return pd.DataFrame(rows)


@named
def customer_equity(
    posterior: CLVPosterior, rfm: RfmTable, **terms: Unpack[ValueTerms]
) -> TotalValue:
    """Value of the customer base: the sum of clv, with its interval from draws.

    It is `total_value` by the name used in finance. Customers acquired later are not
    included: :func:`~clvmodels.customer_valuation` has both.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The base.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`; ``horizon=None`` covers the customers'
        remaining lifetime.

    Returns
    -------
    TotalValue
        mean, sd, lower, upper, and the total in each draw.

    Raises
    ------
    DomainError
        The base is empty; or as :meth:`CLVPosterior.predict`.
    """
    base = check_base(rfm, money=value_posterior(posterior).reads_amounts)
    return total_value(posterior, base, **terms)


def _past_shares(
    revenue: FloatArray | None, top: npt.NDArray[np.bool_], ids: pd.Series[str]
) -> dict[str, float]:
    if revenue is None:
        return {}
    biggest = ranking(revenue, ids)[: int(top.sum())]
    return {
        "past_share": float(ratio(revenue[top].sum(), revenue.sum())),
        "past_top_share": float(ratio(revenue[biggest].sum(), revenue.sum())),
    }


def _checked_share(share: float) -> float:
    if not 0 < check_number("shares", share) <= 1:
        raise DomainError(f"shares has {share!r}: a share of customers lies in (0, 1].")
    return float(share)


def _checked(values: Any) -> FloatArray:
    values = frames.eager(values)
    if frames.kind_of(values) is not None:
        values = _value_column(values)
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DomainError(f"Values of customers must be numbers ({one_line(error)}).") from error
    if found.ndim != 1:
        raise DomainError(
            "Values of customers must be one number per customer, found an array of shape "
            f"{found.shape}: pass one column."
        )
    ordered = np.sort(found)
    if not len(ordered):
        raise DomainError("There are no values: pass one for each customer.")
    if not (np.isfinite(ordered).all() and ordered[0] >= 0):
        raise DomainError(
            "Values of customers must be finite and >= 0, one for each: leave out those that are "
            "missing or below 0."
        )
    if ordered[-1] == 0:
        raise DomainError("All values are 0: there is nothing to share.")
    return ordered


def _value_column(table: Any) -> pd.Series[float]:
    """The column clv of a table of values, but for customers who have none and a reason why."""
    names = frames.column_names(table)
    if _CLV not in names:
        raise DomainError(
            f"A table of values must have a column 'clv' (columns: {', '.join(names)}): pass a "
            "table made by predict, or a single column."
        )
    read = frames.to_pandas(table, [name for name in (_CLV, REASON) if name in names])
    why = read[REASON] if REASON in read else pd.Series(None, index=read.index, dtype=object)
    without = read[_CLV].isna() & why.notna()
    if without.any():
        warnings.warn(
            few_values(int(without.sum()), len(read)),
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )
    return read.loc[~without, _CLV]
