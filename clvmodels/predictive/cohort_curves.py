"""What cohorts have brought since their first orders, and what they are going to bring."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.economics.labels import (
    COHORT,
    WHOLE,
    By,
    Every,
    Segments,
    cohorts_of,
    columns_by,
    divided,
)
from clvmodels.economics.outlook import check_base
from clvmodels.economics.unit import check_cost
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import tail_probabilities
from clvmodels.forecast.calendar import Calendar
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import MarginSource
from clvmodels.posterior.finite import valued
from clvmodels.posterior.scorable import (
    Scorable,
    prepared_for,
    reads_amounts,
    scorable,
)
from clvmodels.predictive.base import margin_said
from clvmodels.predictive.by_age import ByAge, with_all
from clvmodels.predictive.calendars import (
    NOTHING,
    CalendarChoice,
    Scenario,
    calendar_of,
    levels_of_spend,
)
from clvmodels.predictive.totals import PATHS
from clvmodels.rfm.purchases_again import purchases_again
from clvmodels.schema import DAYS_PER_MONTH, FloatArray, T, annual_rate_to_delta, check_whole

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.rfm import RfmTable

    IntArray = npt.NDArray[np.int64]

Costs = float | Mapping[Any, float] | Any
TOTALS: Final = ("purchases", "value")
_MOST_CELLS: Final = 2e7


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CohortCurves:
    """What customers have brought by months since their first orders, and will bring.

    Attributes
    ----------
    table : DataFrame
        One row per cohort (and segment) and month since the first order, 0 to ``months``; the
        last cohort, "(whole)", is of all customers. Figures are sums so far per customer:

        - customers: of the cohort;
        - known: share of them whose first order is that long ago: where it is 1, all has
          happened, and where it is below, the rest is forecast;
        - purchases, value: the first order too; the mean over what may come;
        - ``_lower`` and ``_upper`` of both: interval of the outcome, of parameters, chance and
          calendar; where all has happened both ends are what happened.

        Value is margin times revenue, discounted where a rate was given. Posteriors of purchases
        alone have none.
    payback : DataFrame or None
        With ``cac``, one row per cohort: customers, cac, and the month by whose end the value
        reaches the cost: median, lower and upper, infinite where not within the months, and
        chance, how likely it is within them.
    by : tuple of str
        Columns that say which customers a row is of.
    months : int
        How far the curves go.
    interval : float
        Probability of the equal-tailed intervals.
    calendar : Calendar
        Doubt about what moves all customers at once, and who says so.
    margin : float or None
        Share of revenue that value is made of; None where there is none.
    margin_from : {"argument", "table", "posterior", "not said"} or None
        Who said it.
    without_value : int
        Customers who have no finite expected value: value is of the others.
    reason : str
        Why they have none; empty where everybody has one.
    """

    table: pd.DataFrame
    payback: pd.DataFrame | None
    by: tuple[str, ...]
    months: int
    interval: float
    calendar: Calendar
    margin: float | None = None
    margin_from: MarginSource | None = None
    without_value: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is infinite or not known is None."""
        return {
            "by": list(self.by),
            "months": self.months,
            "interval": self.interval,
            "calendar": {"sd": self.calendar.sd, "source": self.calendar.source},
            "margin": self.margin,
            "margin_from": self.margin_from,
            "without_value": self.without_value,
            "reason": self.reason,
            "rows": plain_rows(self.table),
            "payback": None if self.payback is None else plain_rows(self.payback),
        }

    def __repr__(self) -> str:
        said = f"{self.months} months, {100 * self.interval:.0f} % intervals"
        said += margin_said(self.margin, self.margin_from)
        return f"<CohortCurves, {said}>\n{self.table}"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(border=0))


def plain_rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows as JSON takes them; what is infinite or not known is None."""
    return [
        {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in row.items()}
        for row in table.to_dict("records")
    ]


@named
def cohorts(
    posterior: Scorable,
    rfm: RfmTable,
    *,
    log: Any,
    id_map: Any = None,
    cohort: Every | None = "M",
    by: By | None = None,
    months: int = 24,
    cac: Costs | None = None,
    discount_rate: float = 0.0,
    calendar: CalendarChoice = "auto",
    scenario: Scenario | None = None,
    interval: float = 0.9,
    draws: int = 500,
    paths: int = PATHS,
    margin: float | None = None,
    random_seed: int = 0,
    threads: int | None = None,
) -> CohortCurves:
    """Value per customer by months since the first order, realised and then forecast.

    Customers of a cohort differ in age. Up to a month what those have brought who are that
    old is counted, and what the others will have brought is simulated, customer by customer,
    from what they have done so far.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone there is no value.
    rfm : RfmTable
        The customers, made by rfm_summary.
    log, id_map : object
        What ``rfm`` was made of, in any of the forms of `rfm_summary`.
    cohort : {"M", "Q", "Y"} or None
        Cohorts are of the month, quarter or year of the first purchase; None leaves them
        together.
    by : str, sequence of str, mapping or Series, optional
        Also divide by segment columns, or by the segment of every customer, by id.
    months : int
        How far the curves go, from the first order on.
    cac : float, mapping or Series, optional
        Cost of acquiring a customer: one number, or by cohort, by segment, or by a tuple of
        both.
    discount_rate : float
        Effective annual rate at which value is discounted to the first order: that of each
        month since then at the month's end. By default it is not.
    calendar : {"auto", "none", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`; and here what they spend on an order moves too, by .6
        of the calendar's sd, where the posterior has amounts.
    scenario : mapping or Series, optional
        As there.
    interval : float
        Probability of the equal-tailed intervals.
    draws : int
        Posterior draws to use, evenly spaced over all.
    paths : int
        Simulated futures, rounded up to as many of every draw.
    margin : float, optional
        As in :meth:`CLVPosterior.predict`.
    random_seed : int
        Of the simulation.
    threads : int, optional
        By default all cores; the answer does not depend on it.

    Returns
    -------
    CohortCurves
        A row per cohort and month, and when each cohort has paid back.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; the log is not that of the table; ``by`` or ``cac``
        names what there is not; there are no values to hold costs against; or there would be
        too many cohorts for the memory.
    """
    whose = scorable(posterior, "Cohorts need")
    base = check_base(rfm, money=reads_amounts(whose))
    months, cores = check_whole("months", months), cores_for(threads)
    again = purchases_again(base, log, id_map)
    columns = {} if cohort is None else {COHORT: cohorts_of(base, cohort)}
    segments = _divided(columns, {} if by is None else columns_by(base, by), len(base))
    ages = np.asarray(base.table[T].to_numpy(), dtype=np.float64)
    ends = DAYS_PER_MONTH / whose.scale.days * np.arange(months + 1, dtype=np.float64)
    given = prepared_for(
        whose, base, horizon=max(ends[-1] - ages.min(), ends[1]), discount_rate=0.0,
        interval=interval, draws=draws, margin=margin,
    )  # fmt: skip
    if cac is not None and given.margin is None:
        raise SchemaError(
            "A cac is held against values, and this posterior is of purchases alone: fit amounts "
            "too, or give every purchase a value, as in CLVPosterior(purchases, 25.0)."
        )
    days = given.future.due.horizon * whose.scale.days
    doubt, _ = calendar_of(calendar, scenario, base, days=days, learnt=given.calendar)
    _check_size(len(segments.labels), months, paths)
    run = ByAge(given, segments, ages, ends, cores, valued(given.draws, given.columns.x).warned())
    so_far = run.so_far(again, None if reads_amounts(whose) else basket_of(whose))
    future = run.future(doubt, paths, random_seed, whose.scale.days)
    moved = doubt if reads_amounts(whose) else NOTHING
    future[:, :, 1] *= levels_of_spend(moved, future.shape[-1])
    worth = np.ones((months + 1, 2))
    worth[:, 1] = np.exp(
        -annual_rate_to_delta(discount_rate) * DAYS_PER_MONTH * np.arange(months + 1)
    )
    return _curves(run, so_far * worth, future * worth[..., None], doubt, cac)


def basket_of(posterior: Scorable) -> float:
    """What every purchase brings where amounts are not read; nothing where none is known."""
    return getattr(posterior, "basket_value", None) or 0.0


def _divided(
    columns: dict[str, pd.Series[Any]], more: dict[str, pd.Series[Any]], customers: int
) -> Segments:
    own = {"month", "customers", "known", "cac", *TOTALS} | (columns.keys() & more.keys())
    for name in more:
        if name in own:
            raise SchemaError(f"{name!r} is a column of the table: rename the segment column.")
    if not columns and not more:
        return Segments((COHORT,), ((WHOLE,),), np.zeros(customers, dtype=np.int64))
    return divided(columns | more)


def _check_size(groups: int, months: int, paths: int) -> None:
    if 2.0 * groups * (months + 2) * paths > _MOST_CELLS:
        raise DomainError(
            f"{groups:,} cohorts of {months:,} months on {paths:,} paths are too many for the "
            'memory: take larger ones, such as cohort="Q", fewer months, or fewer paths.'
        )


def _curves(
    run: ByAge, so_far: FloatArray, future: FloatArray, doubt: Calendar, cac: Costs | None
) -> CohortCurves:
    """Add both up, with all cohorts as the last one."""
    import pandas as pd

    group, margin = run.segments.group, run.given.margin
    customers = with_all(np.bincount(group, minlength=run.count))
    having = with_all(np.bincount(group[run.known.has], minlength=run.count))
    sums = with_all(np.cumsum(so_far[..., None] + future, axis=1))
    per = np.stack([customers, having], axis=1).astype(np.float64)[:, None, :, None]
    each = np.divide(sums, per, out=np.full(sums.shape, np.nan), where=per > 0)
    names = _names(run.segments)
    months = len(run.ends)
    table: dict[str, Any] = {name: np.repeat(texts, months) for name, texts in names.items()}
    table |= {
        "month": np.tile(np.arange(months), len(customers)),
        "customers": np.repeat(customers, months),
        "known": run.known_share(customers).ravel(),
    }
    interval = run.given.future.interval
    ends = np.quantile(each, tail_probabilities(interval), axis=-1)
    for i, total in enumerate(TOTALS[: 1 if margin is None else 2]):
        table[total] = each[:, :, i].mean(axis=-1).ravel()
        table[f"{total}_lower"], table[f"{total}_upper"] = (one[:, :, i].ravel() for one in ends)
    return CohortCurves(
        pd.DataFrame(table),
        None if cac is None else _payback(run, names, customers, each[:, :, 1], cac),
        tuple(names),
        months - 1,
        interval,
        doubt,
        None if margin is None else margin.value,
        None if margin is None else margin.source,
        run.known.without,
        run.known.reason,
    )


def _names(segments: Segments) -> dict[str, npt.NDArray[np.object_]]:
    labels = [*segments.labels, (WHOLE,) * len(segments.by)]
    labels = labels[:1] if len(segments.labels) == 1 else labels
    return {
        name: np.array([label[i] for label in labels], dtype=object)
        for i, name in enumerate(segments.by)
    }


def _payback(
    run: ByAge,
    names: dict[str, npt.NDArray[np.object_]],
    customers: IntArray,
    value: FloatArray,
    cac: Costs,
) -> pd.DataFrame:
    """When each cohort reaches its cost; ``value`` is of shape (rows, ends, paths)."""
    import pandas as pd

    costs = costs_of(run.segments, customers, cac)
    there = value >= costs[:, None, None]
    first = np.where(there.any(axis=1), there.argmax(axis=1), math.inf)
    first[np.isnan(costs)] = math.nan
    lower, upper = tail_probabilities(run.given.future.interval)
    found: dict[str, Any] = {**names, "customers": customers, "cac": costs}
    for name, share in (("month", 0.5), ("month_lower", lower), ("month_upper", upper)):
        found[name] = np.quantile(first, share, axis=1, method="inverted_cdf")
    found["chance"] = np.where(np.isnan(costs), math.nan, np.isfinite(first).mean(axis=1))
    return pd.DataFrame(found)


def costs_of(segments: Segments, customers: IntArray, cac: Costs) -> FloatArray:
    """Cost of acquiring a customer of each cohort, and of the whole as their mean."""
    import pandas as pd

    if not isinstance(cac, Mapping | pd.Series):
        return np.full(len(customers), check_cost(cac))
    costs = np.full(len(segments.labels), math.nan)
    for key, value in sorted(cac.items(), key=lambda item: isinstance(item[0], tuple)):
        wanted = tuple(str(part) for part in (key if isinstance(key, tuple) else (key,)))
        mine = [i for i, label in enumerate(segments.labels) if _means(wanted, label)]
        if not mine:
            there = ", ".join(" / ".join(label) for label in segments.labels[:10])
            raise SchemaError(f"The cac names {key!r}, which is not a cohort; there are {there}.")
        costs[mine] = check_cost(value)
    if len(costs) == 1:
        return costs
    return np.append(costs, np.average(costs, weights=customers[:-1]))


def _means(wanted: Sequence[str], label: Sequence[str]) -> bool:
    """Whether a key means a cohort: all of its texts, or one of them."""
    return tuple(wanted) == tuple(label) or (len(wanted) == 1 and wanted[0] in label)
