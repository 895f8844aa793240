"""Value tiers: who is worth how much, what each tier holds, and who moves between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack, overload

import numpy as np
import pandas as pd

from clvmodels import frames
from clvmodels.economics.labels import NO_VALUE, WHOLE
from clvmodels.economics.outlook import (
    CLV,
    PURCHASES,
    GroupValues,
    IntArray,
    base_for,
    column,
    group_values,
    past_revenue,
    ranking,
    ratio,
    scores_of,
)
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.posterior.scorable import Scorable, has_money
from clvmodels.posterior.terms import ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    REASON,
    FloatArray,
    check_list,
    check_number,
    shown,
)

if TYPE_CHECKING:
    from clvmodels.frames import Frame, OtherFrame

TIER: Final = "tier"
NEW: Final = "new"
GONE: Final = "gone"
# The top 5 % and 20 % of customers, and halves of the rest.
DEFAULT_QUANTILES: Final = (0.5, 0.8, 0.95)
# What a report holds of purchases where no value is known
_OF_PURCHASES: Final = {
    **{f"clv{end}": f"{PURCHASES}{end}" for end in ("", "_lower", "_upper", "_per_customer")},
    **{f"value_share{end}": f"purchase_share{end}" for end in ("", "_lower", "_upper")},
    "past_revenue": "past_purchases",
}


class Cuts(TypedDict, total=False):
    """Keyword arguments of `value_tiers`."""

    quantiles: Sequence[float] | None
    thresholds: Sequence[float] | None
    labels: Sequence[str] | None


@overload
def value_tiers(scores: pd.DataFrame, **cuts: Unpack[Cuts]) -> pd.DataFrame: ...


@overload
def value_tiers(scores: OtherFrame, **cuts: Unpack[Cuts]) -> OtherFrame: ...


@named
def value_tiers(
    scores: Frame,
    *,
    quantiles: Sequence[float] | None = None,
    thresholds: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
) -> Any:
    """Put every customer into a tier by clv, or by expected_purchases where there is no clv.

    Parameters
    ----------
    scores : DataFrame or Table
        Of pandas, polars or pyarrow, with customer_id and clv, such as
        `CLVPosterior.predict` gives. Customers whose clv is empty with a ``reason`` are in no
        tier. Of a posterior of purchases alone, whose predictions have no clv,
        expected_purchases count.
    quantiles : sequence of float, optional
        Shares of customers, counted from the least valuable, at which a new tier
        begins: (0.5, 0.8, 0.95), the default, makes a top tier of 5 % of the customers,
        then 15 %, 30 % and 50 %. Customers of equal value on both sides of a cut go by
        customer_id, so that the order of rows does not matter.
    thresholds : sequence of float, optional
        Instead, values of that column from which on a customer is in the next tier: equal
        customers are in equal tiers, which may be of any size.
    labels : sequence of str, optional
        Names of the tiers, from the least valuable up, one more than there are cuts. By
        default "tier 1" (the most valuable), "tier 2", ...

    Returns
    -------
    DataFrame or Table
        customer_id, clv (or expected_purchases) and tier, with the rows, order and index of
        ``scores``, and of its kind. tier is an ordered categorical, the most valuable
        largest: in polars an Enum, in Arrow an ordered dictionary. It is empty for customers
        without a value.

    Raises
    ------
    SchemaError
        A column is missing, an id repeats, what is ranked by is not finite without a reason,
        or labels do not fit.
    DomainError
        Cuts are not increasing, or quantiles not between 0 and 1.
    """
    given = frames.eager(scores)
    read = frames.to_pandas(given, (CUSTOMER_ID, CLV, PURCHASES, REASON))
    by = CLV if CLV in read or PURCHASES not in read else PURCHASES
    ids, values = _checked_scores(read, by)
    cuts = _checked_cuts(quantiles, thresholds)
    has = ~np.isnan(values)
    if thresholds is not None:
        codes = np.searchsorted(cuts, values, side="right")
    else:
        above = np.floor((1.0 - cuts) * has.sum() + 0.5 + 1e-9)
        place = np.empty(len(values))
        place[ranking(values, ids)] = np.arange(len(values))
        codes = (place[:, None] < above).sum(axis=1)
    names = _checked_labels(labels, len(cuts) + 1)
    whose = [names[code] if there else None for code, there in zip(codes, has, strict=True)]
    tiers = pd.Categorical(whose, categories=names, ordered=True)
    table = pd.DataFrame({CUSTOMER_ID: ids, by: values, TIER: tiers}, index=ids.index)
    return frames.like(given, table, own={CUSTOMER_ID: None})


@named
def tier_report(
    posterior: Scorable,
    rfm: RfmTable,
    *,
    quantiles: Sequence[float] | None = None,
    thresholds: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    **terms: Unpack[ValueTerms],
) -> pd.DataFrame:
    """Report what each value tier holds of the base's value and of its past revenue.

    Tiers are made once, by mean clv; intervals are of the value of these customers, by
    draws. Of a posterior of purchases alone they are made by expected purchases, and hold
    purchases in place of money.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend, or of purchases alone.
    rfm : RfmTable
        The base.
    quantiles, thresholds, labels
        As in `value_tiers`.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    DataFrame
        The most valuable tier first, "(whole)" last: tier, customers, customer_share,
        clv (sum), clv_per_customer, value_share; past_revenue and past_share, which are
        known and need no interval, unless the table lacks amounts or first purchases;
        ``_lower`` and ``_upper`` of clv and value_share; and the margin that is in clv.
        Shares of nothing, and means of an empty tier, are NaN. Customers without a finite
        expected value belong to no tier: they have a row of their own, "(no value)", and are
        counted in a column without_value; values, and means per customer, are of the others.
        Of purchases alone there are expected_purchases, expected_purchases_per_customer and
        purchase_share in place of clv, clv_per_customer and value_share; past_purchases, first
        ones included, in place of past_revenue; and no margin.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As `value_tiers` and :meth:`CLVPosterior.predict`; or the base is empty.
    """
    rfm = base_for(posterior, rfm, terms["margin"])
    scores = scores_of(posterior, rfm, **terms)
    tiers = value_tiers(scores, quantiles=quantiles, thresholds=thresholds, labels=labels)[TIER].cat
    names = list(tiers.categories)[::-1]
    # Who is in no tier, code -1, comes after the last of them
    group: IntArray = np.asarray(len(names) - 1 - tiers.codes.to_numpy(), dtype=np.int64)
    names += [NO_VALUE] * bool((tiers.codes < 0).any())
    values = group_values(posterior, rfm, group, len(names), **terms)
    money = has_money(posterior)
    past = past_revenue(rfm) if money else column(rfm, FREQUENCY) + 1.0
    held = {TIER: [*names, WHOLE], **_holdings(values)}
    if past is not None:
        by_tier = np.asarray([past[group == i].sum() for i in range(len(names))])
        past_all = np.append(by_tier, by_tier.sum())
        held |= {"past_revenue": past_all, "past_share": ratio(past_all, past_all[-1])}
    table = pd.DataFrame(held)
    return table.assign(margin=rfm.margin) if money else table.rename(columns=_OF_PURCHASES)


@overload
def tier_movement(before: pd.DataFrame, after: Frame) -> pd.DataFrame: ...


@overload
def tier_movement(before: OtherFrame, after: Frame) -> OtherFrame: ...


def tier_movement(before: Frame, after: Frame) -> Any:
    """Count who moved from which tier to which between two observation ends.

    Parameters
    ----------
    before, after : DataFrame or Table
        Of pandas, polars or pyarrow, with customer_id and tier, as `value_tiers` gives
        them; made with the same thresholds they show who gained or lost value, with
        quantiles who overtook whom.

    Returns
    -------
    DataFrame or Table, of int
        Of the kind of ``before``. A row for each tier before, the most valuable first, and
        "new" for customers of ``after`` alone; a column for each tier after, and "gone" for
        those of ``before`` alone; "(no value)" for those without one, if there are any. All
        cells together are all customers. The tiers before are the index in
        pandas, and in polars and Arrow the first column, "before".

    Raises
    ------
    SchemaError
        A column is missing, a customer is there twice or without a tier, or a tier is
        called "new" or "gone".
    """
    before = frames.eager(before)
    old, new = _tier_by_id(before, "before"), _tier_by_id(after, "after")
    both = pd.concat({"old": old.astype(object), "new": new.astype(object)}, axis=1)
    rows = [*_tiers_down(old), NEW]
    columns = [*_tiers_down(new), GONE]
    counts = pd.crosstab(
        both["old"].where(both["old"].notna(), NEW), both["new"].where(both["new"].notna(), GONE)
    )
    counts = counts.reindex(index=rows, columns=columns, fill_value=0).astype("int64")
    return frames.like(before, counts.rename_axis(index="before", columns="after"))


def _holdings(values: GroupValues) -> dict[str, Any]:
    everything = values.with_whole()
    lower, upper = everything.bounds()
    share, share_lower, share_upper = values.shares()
    certain = np.nan if values.certain else 1.0
    whole = float(ratio(everything.mean[-1], everything.mean[-1]))
    return {
        "customers": everything.customers,
        "customer_share": everything.customers / values.customers.sum(),
        **everything.left_out(),
        "clv": everything.mean,
        "clv_lower": lower,
        "clv_upper": upper,
        "clv_per_customer": ratio(everything.mean, everything.valued),
        "value_share": np.append(share, whole),
        "value_share_lower": np.append(share_lower, whole * certain),
        "value_share_upper": np.append(share_upper, whole * certain),
    }


def _checked_scores(scores: pd.DataFrame, by: str) -> tuple[pd.Series[Any], FloatArray]:
    for name in (CUSTOMER_ID, by):
        if name not in scores:
            raise SchemaError(f"Scores lack {name!r}: pass what CLVPosterior.predict returns.")
    ids = scores[CUSTOMER_ID]
    if ids.duplicated().any():
        first = ids[ids.duplicated()].iloc[0]
        raise SchemaError(
            f"Scores have customer_id={shown(first)} twice: keep one row per customer."
        )
    values = scores[by].to_numpy(dtype=np.float64, na_value=np.nan)
    if by == PURCHASES and len(values) and np.isnan(values).all():
        raise SchemaError(
            "expected_purchases are empty, as they are over a lifetime that may have no end: "
            "predict with a horizon, such as horizon='365D'."
        )
    bad = ~np.isfinite(values)
    if REASON in scores:
        bad &= ~(np.isnan(values) & scores[REASON].notna().to_numpy())
    if bad.any():
        raise SchemaError(
            f"{int(bad.sum()):,} customers have a {by} that is missing or not finite; the first is "
            f"customer_id={shown(ids[bad].iloc[0])}. Leave them out."
        )
    return ids, values


def _checked_cuts(
    quantiles: Sequence[float] | None, thresholds: Sequence[float] | None
) -> FloatArray:
    if quantiles is not None and thresholds is not None:
        raise DomainError("Give quantiles or thresholds: each sets the cuts.")
    name, given = "thresholds", thresholds
    if given is None:
        name, given = "quantiles", DEFAULT_QUANTILES if quantiles is None else quantiles
    cuts = np.array([check_number(name, value) for value in check_list(name, given)])
    if not (len(cuts) and np.isfinite(cuts).all() and (np.diff(cuts) > 0).all()):
        raise DomainError(f"{name}={shown(given)} must be increasing numbers, at least one.")
    if name == "quantiles" and not (cuts[0] > 0 and cuts[-1] < 1):
        raise DomainError(f"quantiles={shown(given)} must lie between 0 and 1, such as 0.8.")
    return cuts


def _checked_labels(labels: Sequence[str] | None, count: int) -> list[str]:
    if labels is None:
        return [f"tier {count - i}" for i in range(count)]
    names = check_list("labels", labels)
    if len(names) != count or len(set(names)) != count:
        raise SchemaError(
            f"labels={names!r} must be {count} different names, one more than there are cuts, "
            "from the least valuable tier up."
        )
    return names


def _tier_by_id(given: Frame, name: str) -> pd.Series[Any]:
    frame = frames.to_pandas(given, (CUSTOMER_ID, TIER, CLV))
    for wanted in (CUSTOMER_ID, TIER):
        if wanted not in frame:
            raise SchemaError(f"{name} lacks {wanted!r}: pass what value_tiers returns.")
    ids, tiers = frame[CUSTOMER_ID], frame[TIER]
    if CLV in frame and (frame[CLV].isna() & tiers.isna()).any():
        tiers = _with_no_value(tiers, frame[CLV].isna())
    if ids.duplicated().any() or tiers.isna().any():
        raise SchemaError(
            f"{name} has a customer twice, or one without a tier: pass what value_tiers returns."
        )
    if tiers.isin([NEW, GONE]).any():
        raise SchemaError(f"{name} has a tier called {NEW!r} or {GONE!r}: rename it.")
    return tiers.set_axis(ids)


def _with_no_value(tiers: pd.Series[Any], without: pd.Series[bool]) -> pd.Series[Any]:
    """Name the tier of customers who have no value, below all others."""
    names = _tiers_down(tiers.dropna())[::-1]
    named = tiers.astype(object).mask(tiers.isna() & without, NO_VALUE)
    kinds = pd.CategoricalDtype([NO_VALUE, *names], ordered=True)
    return named.astype(kinds)


def _tiers_down(tiers: pd.Series[Any]) -> list[str]:
    """Tiers, the most valuable first."""
    if isinstance(tiers.dtype, pd.CategoricalDtype):
        return list(tiers.cat.categories)[::-1]
    return sorted(tiers.unique())
