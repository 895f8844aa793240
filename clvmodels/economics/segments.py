"""Per segment: who they are, what they are worth, and whether acquiring them paid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.economics.estimate import Estimate, with_ends
from clvmodels.economics.labels import WHOLE, By, Segments, segments_of
from clvmodels.economics.outlook import (
    GroupValues,
    base_for,
    column,
    earned_so_far,
    group_values,
    ratio,
    scores_of,
)
from clvmodels.economics.unit import ltv_to_cac
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.posterior.finite import left_out
from clvmodels.posterior.scorable import prepared_for, value_posterior
from clvmodels.posterior.terms import ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import FREQUENCY, FloatArray, check_number, shown

if TYPE_CHECKING:
    from clvmodels.posterior import CLVPosterior

Money = Mapping[Any, float] | pd.Series
NO_FIRST: Final = "first purchases not known, so no margin since acquisition"


@named
def segment_report(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    by: By,
    acquisition_spend: Money | None = None,
    cac: Money | float | None = None,
    against: Any = None,
    **terms: Unpack[ValueTerms],
) -> pd.DataFrame:
    """Report customers, value and acquisition cost of every segment, and of the whole.

    The value of an acquired customer (ltv) is the margin earned since acquisition,
    margin x (first purchase + repeat purchases), plus the residual clv: the residual
    alone would forget what the customer has paid back already, first of all in the first
    order. Past margin is undiscounted and known, so only the residual is uncertain.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The base; its ``segment_cols`` are what ``by`` can name.
    by : str, sequence of str, mapping or Series
        Segment columns, of several every combination that occurs; "cohort" is the month
        of the first purchase. Or the segment of every customer by id. Customers without a
        value are the segment "(none)".
    acquisition_spend : mapping or Series, optional
        What was spent to acquire the customers of a segment, by its value (a tuple of
        values where ``by`` has several names, None for "(none)").
    cac : mapping, Series or float, optional
        Instead, the cost per customer acquired; one number is everybody's.
    against : object, optional
        A segment, as in the mappings above, that the others are held against.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    DataFrame
        One row per segment and a last one, "(whole)", of all customers; a column for
        each name in ``by``, then customers, one_time_buyers and their one_time_share,
        p_purchase (mean); clv (sum) and clv_per_customer; past_margin (sum); ltv (per
        customer), acquisition_spend, cac, ltv_to_cac; ``_lower`` and ``_upper`` of clv,
        clv_per_customer, ltv and ltv_to_cac; the margin that is in the money; and note, why
        a figure is not available or infinite. Counts and money add up to the whole; its
        intervals come from the sum in each draw, and do not. Customers without a finite
        expected value are counted in a column without_value, if there are any: clv, means
        per customer and ltv are of the others. Customers with levels of covariates that the
        base which was fitted did not have are in all figures, and counted in a column
        unknown_levels, if there are any. With ``against`` there are
        more, by how much clv_per_customer is more than that segment's, with ``_lower`` and
        ``_upper``, and chance_of_more, the share of draws in which it is: from both in the same
        draw, as segments share parameters, so that their own intervals do not tell.

    Raises
    ------
    SchemaError, TimeUnitError
        The table or ``by`` is not of the right form, or spend names a segment that does
        not exist.
    DomainError
        No customers, a negative spend, or both acquisition_spend and cac; or as
        :meth:`CLVPosterior.predict`.
    """
    rfm = base_for(value_posterior(posterior), rfm, terms["margin"])
    segments = segments_of(rfm, by)
    customers = np.bincount(segments.group, minlength=len(segments.labels))
    spend = _with_whole(_spend(segments, customers, acquisition_spend, cac))
    values = group_values(posterior, rfm, segments.group, len(segments.labels), **terms)
    scores = scores_of(posterior, rfm, **terms)
    earned = earned_so_far(prepared_for(posterior, rfm, own=True, **terms), rfm)
    has = scores["clv"].notna().to_numpy()
    columns = {
        **_who(rfm, segments, scores["p_purchase"].to_numpy()),
        **_residual(values.with_whole()),
        **({} if against is None else _against(segments, values.with_whole(), against)),
        **_acquired(rfm, segments, values.with_whole(), spend, has, earned),
    }
    names = dict(zip(segments.by, zip(*segments.labels, strict=True), strict=True))
    clash = set(names) & set(columns)
    if clash:
        raise SchemaError(
            f"{sorted(clash)[0]!r} is a column of the report: rename the segment column."
        )
    return pd.DataFrame({name: [*texts, WHOLE] for name, texts in names.items()} | columns)


def _who(rfm: RfmTable, segments: Segments, chance: FloatArray) -> dict[str, Any]:
    customers = _sums(segments, np.ones(len(rfm)))
    once = _sums(segments, column(rfm, FREQUENCY) == 0)
    return {
        "customers": customers.astype(np.int64),
        "one_time_buyers": once.astype(np.int64),
        "one_time_share": once / customers,
        "p_purchase": _sums(segments, chance) / customers,
    }


def _residual(values: GroupValues) -> dict[str, Any]:
    lower, upper = values.bounds()
    return {
        **values.left_out(),
        "clv": values.mean,
        "clv_lower": lower,
        "clv_upper": upper,
        "clv_per_customer": ratio(values.mean, values.valued),
        "clv_per_customer_lower": ratio(lower, values.valued),
        "clv_per_customer_upper": ratio(upper, values.valued),
    }


def _against(segments: Segments, values: GroupValues, against: Any) -> dict[str, Any]:
    """By how much customers are worth more than those of one segment."""
    place = _place_of(segments, against, "against")
    each = ratio(values.by_draw, values.valued[:, None])
    mean = ratio(values.mean, values.valued)
    more = each - each[place]
    lower, upper = values.bounds(more)
    chance = np.full(len(mean), np.nan) if values.certain else (more > 0.0).mean(axis=1)
    chance[place] = np.nan  # it is no more than itself
    return {
        "more": mean - mean[place],
        "more_lower": lower,
        "more_upper": upper,
        "chance_of_more": chance,
    }


def _place_of(segments: Segments, key: Any, name: str) -> int:
    place = segments.find(key)
    if place is None:
        there = ", ".join(" / ".join(texts) for texts in segments.labels[:10])
        raise SchemaError(f"{name} names {key!r}, which is not a segment; there are {there}.")
    return place


def _acquired(
    rfm: RfmTable,
    segments: Segments,
    values: GroupValues,
    spend: FloatArray,
    has: npt.NDArray[np.bool_],
    earned: FloatArray | None,
) -> dict[str, Any]:
    """Value per acquired customer against the cost of acquiring one."""
    known, costs = earned is not None, not np.isnan(spend).all()
    earned = np.full(len(rfm), np.nan) if earned is None else earned
    past = _sums(segments, earned)
    cac = spend / values.customers
    ltv = _estimates(values, _sums(segments, np.where(has, earned, 0.0)))
    per_cost = [ltv_to_cac(value, cost) for value, cost in zip(ltv, cac, strict=True)]
    notes = [one.note if costs and known else "" for one in per_cost]
    notes[-1] = _joined(
        "" if known else NO_FIRST, notes[-1] + (_whose(segments, spend) if costs and known else "")
    )
    outside = map(left_out, values.without.tolist(), values.customers.tolist())
    return {
        **({"past_margin": past, **with_ends("ltv", ltv)} if known else {}),
        **({"acquisition_spend": spend, "cac": cac} if costs else {}),
        **(with_ends("ltv_to_cac", per_cost) if costs and known else {}),
        "margin": np.full(len(cac), rfm.margin),
        "note": [_joined(*both) for both in zip(outside, notes, strict=True)],
    }


def _estimates(values: GroupValues, past: FloatArray) -> list[Estimate]:
    """Value per acquired customer of each group: past margin and residual.

    Of those who have a value; NaN where nobody has.
    """
    lower, upper = values.bounds()
    return [
        Estimate(
            mean=(past[i] + values.mean[i]) / count,
            lower=(past[i] + lower[i]) / count,
            upper=(past[i] + upper[i]) / count,
            interval=values.interval,
            draws=(past[i] + values.by_draw[i]) / count,
        )
        for i, count in enumerate(np.maximum(values.valued, 1))
    ]


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _whose(segments: Segments, spend: FloatArray) -> str:
    """Name the segments for which the whole has no cost, if it is not all of them."""
    missing = [
        " / ".join(texts)
        for texts, cost in zip(segments.labels, spend[:-1], strict=True)
        if math.isnan(cost)
    ]
    return f" for {', '.join(missing)}" if 0 < len(missing) < len(segments.labels) else ""


def _spend(
    segments: Segments,
    customers: npt.NDArray[np.int64],
    acquisition_spend: Money | None,
    cac: Money | float | None,
) -> FloatArray:
    """Acquisition spend of each segment; NaN where it is not known."""
    if acquisition_spend is not None and cac is not None:
        raise DomainError("Give acquisition_spend or cac, not both: each follows from the other.")
    if acquisition_spend is not None:
        return _by_segment(segments, acquisition_spend, "acquisition_spend")
    if isinstance(cac, Mapping | pd.Series):
        return _by_segment(segments, cac, "cac") * customers
    each = math.nan if cac is None else _checked("cac", None, cac)
    return np.full(len(customers), each) * customers


def _by_segment(segments: Segments, given: Money, name: str) -> FloatArray:
    values = np.full(len(segments.labels), np.nan)
    if not isinstance(given, Mapping | pd.Series):
        raise SchemaError(f"{name} must be a mapping from segment to money, found {shown(given)}.")
    for key, value in given.items():
        values[_place_of(segments, key, name)] = _checked(name, key, value)
    return values


def _checked(name: str, key: Any, value: Any) -> float:
    """Return an amount >= 0, or NaN where there is none."""
    missing = value is None or value is pd.NA
    where = name if key is None else f"{name} of {key!r}"
    amount = math.nan if missing else check_number(where, value)
    if amount < 0 or math.isinf(amount):
        raise DomainError(f"{where} is {value!r}: it must be an amount of money >= 0.")
    return amount


def _sums(segments: Segments, values: npt.ArrayLike) -> FloatArray:
    """Sum of each segment, and of the whole in a last place."""
    weights = np.asarray(values, dtype=np.float64)
    sums = np.bincount(segments.group, weights, minlength=len(segments.labels))
    return _with_whole(sums.astype(np.float64))


def _with_whole(values: FloatArray) -> FloatArray:
    return np.append(values, values.sum())
