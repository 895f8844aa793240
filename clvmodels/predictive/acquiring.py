"""What new customers of each kind are worth, and what winning them may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from clvmodels.economics.estimate import Estimate, as_estimate, with_ends
from clvmodels.economics.labels import WHOLE, By, Segments, segments_of
from clvmodels.economics.outlook import base_for
from clvmodels.economics.payback import payback_period
from clvmodels.economics.unit import acquisition_budget, check_cost, highest_cac, ltv_to_cac
from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named
from clvmodels.margin import ContributionMargin
from clvmodels.posterior.scorable import attributes_of, purchases_of, value_posterior
from clvmodels.posterior.shares import refuse_own
from clvmodels.posterior.terms import NewCustomerTerms, ValueTerms
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.predictive.cohort_curves import CohortCurves, Costs, cohorts, costs_of
from clvmodels.predictive.totals import PATHS
from clvmodels.purchases.design import MISSING
from clvmodels.schema import DAYS_PER_MONTH, FloatArray, Horizon, TimeScale, check_number

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.posterior import CLVPosterior
    from clvmodels.rfm import RfmTable

_NEAR: float = 0.1  # months by which 365 days, or 52 weeks, may miss a year
_NOBODY = Segments((), (), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class _Worth:
    """What a new customer of one kind brings: over the horizon, and within the payback.

    Attributes
    ----------
    value, early : Estimate
        None where no payback is asked for.
    back : sequence of float
        Months until the cost is paid back, with the ends of the interval.
    known : float
        Share of the customers who are older than the horizon; NaN of a model's answer.
    """

    value: Estimate
    early: Estimate | None
    back: Sequence[float]
    known: float = math.nan


@named
def acquisition_report(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    by: By | None = None,
    log: Any = None,
    id_map: Any = None,
    cac: Costs | None = None,
    target_ratio: float = 1.0,
    payback: Horizon = None,
    customers: Costs | None = None,
    calendar: CalendarChoice = "auto",
    paths: int = PATHS,
    random_seed: int = 0,
    **terms: Unpack[ValueTerms],
) -> pd.DataFrame:
    """Report what a new customer of each kind is worth, and what winning one may cost.

    The first order counts, and all that comes within the horizon after it. There are two
    sources. Without a log it is the model's answer, which knows kinds of customers by its
    covariates alone. With the log it is what the customers of a segment have brought since
    their own first orders, and where those are not that long ago, what they will have brought
    (`cohorts`); so any segments can be asked about, and spend may differ between them too.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The customers.
    by : str, sequence of str, mapping or Series, optional
        Segment columns, or "cohort"; or the segment of every customer by id. Without a log,
        columns that are covariates of the model, by category.
    log, id_map : object, optional
        What ``rfm`` was made of, in any of the forms of `rfm_summary`.
    cac : float, mapping or Series, optional
        What winning a customer costs today: one number, or one by segment.
    target_ratio : float
        LTV:CAC to be reached, > 0; at 1 acquisition just pays.
    payback : str or float, optional
        Time within which the cost is to be paid back, such as "6M".
    customers : float, mapping or Series, optional
        How many are to be won, for a budget; by segment where there are segments.
    calendar, paths, random_seed
        With a log, as in :func:`~clvmodels.cohorts`.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`; with a log the horizon and the payback are whole
        months, and money is discounted at the end of each.

    Returns
    -------
    DataFrame
        One row per segment and a last one, "(whole)", of all customers: the columns of ``by``;
        customers, in the table; known, with a log: the share of them whose first order is a horizon
        ago, of whom nothing is forecast; value, of a new customer; highest_cac, the most that one
        may cost at the target; with a payback payback_cac, the most that is back by then, not
        discounted; with a cac cac, ltv_to_cac, and payback_months, in which nothing is discounted
        either, as in :func:`~clvmodels.payback_period` (with a log whole months, and the median),
        infinite where not within the horizon (with a log) or five years; with customers to win
        acquired, and budget: at the lower of both limits. All figures of money have ``_lower`` and
        ``_upper``: of the expected value, as the parameters are known; with a log of what these
        customers bring on average, chance and calendar included, not of how far others like them
        would differ, which is much where there are few. Ends of the budget of the whole are sums,
        as if all segments were at theirs together. The last column is the margin that is in the
        values.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As `cohorts` and :meth:`CLVPosterior.new_customer_value`; segments are asked about that
        the model does not know, without a log; or costs and numbers do not fit the segments.
    """
    whose = value_posterior(posterior)
    base = base_for(whose, rfm, terms["margin"])
    made = terms["margin"]
    if not isinstance(made, ContributionMargin):
        terms["margin"] = base.margin
    elif log is not None:
        refuse_own(made)
    elif made.share is None and not math.isnan(base.margin):
        terms["margin"] = replace(made, share=base.margin)
    segments = _NOBODY if by is None else segments_of(base, by)
    counts = np.bincount(segments.group, minlength=len(segments.labels))
    rows = np.append(counts, len(base)).astype(np.int64)
    costs = np.full(len(rows), math.nan) if cac is None else _by_row(segments, rows, cac)
    if log is None:
        found = _by_model(whose, segments, costs, payback, **terms)
    else:
        months = _months(whose.scale, "horizon", terms["horizon"])
        early = months if payback is None else _months(whose.scale, "payback", payback)

        def follow(rate: float, cost: Costs | None) -> CohortCurves:
            return cohorts(
                whose, base, log=log, id_map=id_map, cohort=None, by=by, cac=cost,
                months=max(months, early), discount_rate=rate, calendar=calendar,
                interval=terms["interval"], draws=terms["draws"], paths=paths, margin=base.margin,
                random_seed=random_seed,
            )  # fmt: skip

        discounted = follow(terms["discount_rate"], None)
        plain = discounted if payback is None and cac is None else follow(0.0, cac)
        found = _by_curves(discounted, plain, months, early)
    return _table(base, segments, rows, found, costs, target_ratio, payback, customers)


@named
def _by_model(
    posterior: CLVPosterior,
    segments: Segments,
    costs: FloatArray,
    payback: Horizon,
    **terms: Unpack[ValueTerms],
) -> list[_Worth]:
    """What the model says of customers of each level, and last of any."""
    design = purchases_of(posterior).metadata.design
    known = {one.name for one in design.factors if not one.numeric} if design else set()
    if not known.issuperset(segments.by):
        there = ", ".join(attributes_of(posterior)) or "none"
        raise SchemaError(
            f"The model does not know its new customers by {', '.join(segments.by)} (covariates: "
            f"{there}): give log=, so that what such customers brought is counted, or fit with "
            "purchase_covariates."
        )
    kinds = [
        posterior.of(
            {n: MISSING if t == "(none)" else t for n, t in zip(segments.by, label, strict=True)}
        )
        for label in segments.labels
    ]
    return [
        _of_model(one, cost, payback, **terms)
        for one, cost in zip([*kinds, posterior], costs, strict=True)
    ]


@named
def _of_model(
    posterior: CLVPosterior, cost: float, payback: Horizon, **terms: Unpack[ValueTerms]
) -> _Worth:
    how: NewCustomerTerms = {
        "discounting": terms["discounting"],
        "interval": terms["interval"],
        "draws": terms["draws"],
        "margin": terms["margin"],
    }
    value = posterior.new_customer_value(terms["horizon"], terms["discount_rate"], **how)
    early = None if payback is None else posterior.new_customer_value(payback, 0.0, **how)
    back = payback_period(posterior, cost, **how)
    ends = (back.days, back.lower, back.upper)
    return _Worth(
        as_estimate(value),
        None if early is None else as_estimate(early),
        [days / DAYS_PER_MONTH for days in ends],
    )


def _by_curves(
    discounted: CohortCurves, plain: CohortCurves, months: int, early: int
) -> list[_Worth]:
    """The same, read off the curves of what customers brought by their age."""

    def at(curves: CohortCurves, month: int) -> list[Estimate]:
        rows = curves.table[curves.table["month"] == month].to_dict("records")
        names = ("value", "value_lower", "value_upper")
        return [
            Estimate(
                mean=mean, lower=lower, upper=upper, interval=curves.interval,
                margin=curves.margin, draws=np.array([mean]),
            )
            for mean, lower, upper in ([row[name] for name in names] for row in rows)
        ]  # fmt: skip

    known = discounted.table.loc[discounted.table["month"] == months, "known"]
    back = np.full((len(known), 3), math.nan)
    if plain.payback is not None:
        back = plain.payback[["month", "month_lower", "month_upper"]].to_numpy()
    parts = zip(at(discounted, months), at(plain, early), back, known, strict=True)
    found = [_Worth(value, soon, list(month), share) for value, soon, month, share in parts]
    return found if len(found) != 1 or discounted.table.iloc[0, 0] == WHOLE else found * 2


def _months(scale: TimeScale, name: str, length: Horizon) -> int:
    exact = scale.horizon(length) * scale.days / DAYS_PER_MONTH
    months = round(exact) if math.isfinite(exact) else 0
    if not months or abs(exact - months) > _NEAR:
        raise DomainError(
            f"{name}={length!r} must be whole months where a log is counted, such as '12M'."
        )
    return months


def _by_row(segments: Segments, rows: Any, given: Costs) -> FloatArray:
    """Costs of the segments and of the whole."""
    if not segments.by:
        if isinstance(given, Mapping):
            raise SchemaError("Costs by segment need segments: pass by=.")
        return np.full(1, check_cost(given))
    found = costs_of(segments, rows if len(rows) > 2 else rows[:1], given)
    return found if len(rows) > 2 else np.repeat(found, 2)


def _acquired(segments: Segments, given: Costs) -> FloatArray:
    """How many are to be won of each segment, and of the whole."""
    import pandas as pd

    if not segments.by:
        return np.full(1, check_number("customers", given))
    if not isinstance(given, Mapping | pd.Series):
        raise SchemaError(
            f"customers={given!r} must say how many of each segment, as in "
            f"customers={{{segments.labels[0][0]!r}: 100}}: a channel is not filled by the mix of "
            "the base."
        )
    asked = costs_of(segments, np.ones(len(segments.labels) + 1, dtype=np.int64), given)
    each = np.nan_to_num(asked[: len(segments.labels)])
    return np.append(each, each.sum())


def _table(
    base: RfmTable,
    segments: Segments,
    rows: Any,
    found: list[_Worth],
    costs: FloatArray,
    target_ratio: float,
    payback: Horizon,
    customers: Costs | None,
) -> pd.DataFrame:
    import pandas as pd

    names = segments.by or ("segment",)
    labels = [*segments.labels, (WHOLE,) * len(names)]
    table: dict[str, Any] = {name: [one[i] for one in labels] for i, name in enumerate(names)}
    if clash := set(names) & {"customers", "known", "value", "cac", "budget", "margin"}:
        raise SchemaError(f"{min(clash)!r} is a column of the report: rename the segment column.")
    table["customers"] = rows
    if not math.isnan(found[-1].known):
        table["known"] = [one.known for one in found]
    most = [highest_cac(one.value, target_ratio=target_ratio) for one in found]
    table |= with_ends("value", [one.value for one in found]) | with_ends("highest_cac", most)
    if payback is not None:
        table |= with_ends("payback_cac", [one.early for one in found if one.early])
    if not np.isnan(costs).all():
        ratios = [ltv_to_cac(one.value, cost) for one, cost in zip(found, costs, strict=True)]
        table["cac"] = costs
        table |= with_ends("ltv_to_cac", ratios)
        for i, end in enumerate(("", "_lower", "_upper")):
            table[f"payback_months{end}"] = [one.back[i] for one in found]
    if customers is not None:
        table |= _budgets(found, most, _acquired(segments, customers), payback is not None)
    return pd.DataFrame(table).assign(margin=base.margin)


def _budgets(
    found: list[_Worth], most: list[Estimate], wanted: FloatArray, soon: bool
) -> dict[str, Any]:
    limits = [
        one.early if one.early and soon and one.early.mean < limit.mean else limit
        for one, limit in zip(found, most, strict=True)
    ]
    budgets = with_ends(
        "budget",
        [acquisition_budget(one, customers=n) for one, n in zip(limits, wanted, strict=True)],
    )
    if len(found) > 1:
        budgets = {name: [*each[:-1], sum(each[:-1])] for name, each in budgets.items()}
    return {"acquired": wanted, **budgets}
