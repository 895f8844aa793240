"""The simple formula on a base of customers: the baseline that everyone already uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack, get_args, overload

import numpy as np

from clvmodels import frames
from clvmodels.economics.labels import COHORT, WHOLE, Segments, segments_of
from clvmodels.economics.simple_base import (
    Base,
    LogColumns,
    base_of,
    read_table,
    silence_of,
)
from clvmodels.economics.simple_figures import (
    NO_TIME,
    SimpleClv,
    Terms,
    evaluate,
    row_of,
)
from clvmodels.errors import SchemaError
from clvmodels.formulas import simple
from clvmodels.keywords import named
from clvmodels.schema import (
    CUSTOMER_ID,
    DAYS_PER_YEAR,
    Discounting,
    FloatArray,
    Horizon,
    annual_rate_to_delta,
    check_choice,
    check_list,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.rfm import RfmTable

__all__ = ["SimpleClv", "simple_clv", "simple_clv_per_customer"]


class SimpleOptions(LogColumns, total=False):
    """Keyword arguments of `simple_clv_per_customer`."""

    log: Any
    silence: float | None
    horizon: Horizon
    discount_rate: float
    discounting: Discounting
    id_map: Any


@overload
def simple_clv(source: Any, *, by: None = None, **options: Unpack[SimpleOptions]) -> SimpleClv: ...


@overload
def simple_clv(
    source: RfmTable | pd.DataFrame, *, by: str | Sequence[str], **options: Unpack[SimpleOptions]
) -> pd.DataFrame: ...


@overload
def simple_clv(
    source: Any, *, by: str | Sequence[str], **options: Unpack[SimpleOptions]
) -> Any: ...


@named
def simple_clv(
    source: Any,
    *,
    by: str | Sequence[str] | None = None,
    log: Any = None,
    silence: float | None = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    id_map: Any = None,
    **columns: Unpack[LogColumns],
) -> Any:
    """Mean order value x orders per customer-year x margin x years retained.

    Every customer of the base counts alike: neither how long they have been silent nor
    what they spend makes a difference.

    Parameters
    ----------
    source : RfmTable or log
        The base, made from a log with amounts; or the log itself, in any of the forms
        of `rfm_summary`, with the columns named.
    by : str or sequence of str, optional
        Segment columns, of several every combination that occurs; "cohort" is the month
        of the first purchase, the observation end less T, unless a segment column has
        that name. Columns of a log need not be named again in segment_cols.
    log : object, optional
        The log that an RfmTable was made from, for the gaps between purchases.
    silence : float, optional
        Days without a purchase after which a customer counts as lost. By default the
        95th percentile of the gaps between a customer's purchases: of all gaps if the
        log is given, else of each customer's mean gap, which is shorter. It is the
        whole base's in every group.
    horizon : str, float or None
        As in CLVPosterior.predict; None is for the lifetime.
    discount_rate : float
        Effective annual rate.
    discounting : {"continuous", "monthly"}
        As in CLVPosterior.predict.
    id_map : mapping or frame, optional
        As in `rfm_summary`, or as it was given there.
    margin : float, optional
        Share of revenue that is profit; by default the table's.
    customer_id_col, datetime_col, monetary_value_col : str
        Columns of a log, which needs all three.
    time_unit, time_scaler, observation_period_end, segment_cols, refunds, order_id_col
        Of a log only, as in `rfm_summary`; likewise all that follow.
    zero_amounts, duplicates, implausible_dates, missing_ids, varying_segments
        As in `rfm_summary`.
    date_format, decimal, where, delimiter, encoding, currency_col, rates
        As in `rfm_summary`.

    Returns
    -------
    SimpleClv, or with ``by`` DataFrame or Table
        Inputs and results. With ``by`` a frame of the kind of the log (pandas for an
        RfmTable and for files): one row per group, "(none)" for customers without a value,
        and a last one, "(whole)": the group's names as text, the attributes of SimpleClv,
        and a ``note`` that says why what is missing is not available. Customers, orders,
        revenue, time and lost customers of the groups add up to the whole; values do not,
        since each group has its own inputs.

    Raises
    ------
    SchemaError
        There are no amounts, or not those of first purchases; a column is missing, or
        the observation end, for a cohort.
    DomainError
        There are no customers, none was watched for any time, or nobody bought twice
        and no silence is given.
    """
    names = (by,) if isinstance(by, str) else tuple(check_list("by", [] if by is None else by))
    wanted = [name for name in names if name != COHORT]
    rfm, log = read_table(source, log, id_map, columns, wanted)
    base = base_of(rfm)
    segments = None if by is None else segments_of(rfm, names)
    terms = _terms(rfm, log, silence, id_map, horizon, discount_rate, discounting)
    if segments is None:
        return evaluate(base, terms)
    return frames.like(source, _by_segment(base, segments, terms))


@overload
def simple_clv_per_customer(
    source: RfmTable | pd.DataFrame, **options: Unpack[SimpleOptions]
) -> pd.DataFrame: ...


@overload
def simple_clv_per_customer(source: Any, **options: Unpack[SimpleOptions]) -> Any: ...


@named
def simple_clv_per_customer(
    source: Any,
    *,
    log: Any = None,
    silence: float | None = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    id_map: Any = None,
    **columns: Unpack[LogColumns],
) -> Any:
    """The simple formula with each customer's own order value and frequency.

    Own mean order value x own orders per year x margin x the base's years retained: all
    customers share one churn, so those who left long ago are worth what they once were.
    Orders per year are counted from the first purchase on, and so are high for those who
    came lately; their mean, weighted by the years watched, is the base's.

    Parameters
    ----------
    source, log, silence, horizon, discount_rate, discounting, id_map, margin
        As in `simple_clv`.
    customer_id_col, datetime_col, monetary_value_col, time_unit, time_scaler
        As in `simple_clv`: of a log only, likewise all that follow.
    observation_period_end, segment_cols, refunds, order_id_col, zero_amounts, duplicates
        As in `simple_clv`.
    implausible_dates, missing_ids, varying_segments, date_format, decimal, where
        As in `simple_clv`.
    delimiter, encoding, currency_col, rates
        As in `simple_clv`.

    Returns
    -------
    DataFrame or Table
        Of the kind of the log (pandas for an RfmTable and for files). One row per customer
        in the table's order: customer_id, orders, order_value,
        years (watched), orders_per_year, silent (days since the last purchase), lost,
        value (over the horizon), lifetime_value (over 1 / churn), the margin that is in
        both, note. Customers watched for no time have no frequency and no value, and a note
        that says so.

    Raises
    ------
    SchemaError, DomainError
        As `simple_clv`.
    """
    import pandas as pd

    rfm, log = read_table(source, log, id_map, columns)
    base = base_of(rfm)
    terms = _terms(rfm, log, silence, id_map, horizon, discount_rate, discounting)
    whole = evaluate(base, terms)
    order_value, watched = base.revenue / base.orders, base.watched > 0
    per_year = np.divide(base.orders, base.years, out=np.full(len(base), np.nan), where=watched)
    earned = order_value * per_year
    table = pd.DataFrame(
        {
            CUSTOMER_ID: rfm.table[CUSTOMER_ID].to_pandas(),
            "orders": base.orders.astype(np.int64),
            "order_value": order_value,
            "years": base.years,
            "orders_per_year": per_year,
            "silent": base.silent,
            "lost": base.lost(whole.silence),
            "value": _over(earned, whole.margin, whole.retained_years),
            "lifetime_value": _over(earned, whole.margin, whole.lifetime_years),
            "margin": whole.margin,
            "note": np.where(watched, "", NO_TIME),
        }
    )
    return frames.like(source, table)


def _over(earned: FloatArray, margin: float, years: float) -> FloatArray:
    """Value of what is earned per year; 0 stays 0, however long."""
    per_unit = simple.margin_lifetime_value(
        order_value=1.0, frequency=1.0, margin=margin, lifetime=years
    )
    return np.multiply(earned, per_unit, out=np.zeros(len(earned)), where=earned != 0)


def _terms(
    rfm: RfmTable,
    log: Any,
    silence: float | None,
    id_map: Any,
    horizon: Horizon,
    discount_rate: float,
    discounting: Discounting,
) -> Terms:
    check_choice("discounting", discounting, get_args(Discounting))
    annual_rate_to_delta(discount_rate)
    years = rfm.scale.horizon(horizon) * rfm.scale.days / DAYS_PER_YEAR
    days, whence = silence_of(rfm, log, silence, id_map)
    return Terms(rfm.margin, days, whence, years, discount_rate, discounting)


def _by_segment(base: Base, segments: Segments, terms: Terms) -> pd.DataFrame:
    """One row per segment, and one of the whole."""
    import pandas as pd

    order = np.argsort(segments.group, kind="stable")
    ends = np.cumsum(np.bincount(segments.group, minlength=len(segments.labels)))
    members = np.split(order, ends[:-1])
    rows = [row_of(base.take(rows), terms) for rows in (*members, order)]
    texts = [*segments.labels, (WHOLE,) * len(segments.by)]
    names = pd.DataFrame(texts, columns=list(segments.by))
    clash = set(segments.by) & set(rows[0])
    if clash:
        raise SchemaError(
            f"{sorted(clash)[0]!r} is a column of the result: rename the segment column."
        )
    return pd.concat([names, pd.DataFrame(rows)], axis=1)
