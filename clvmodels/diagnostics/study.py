"""What a report is about: a posterior, a base, and what is asked of them, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clvmodels import frames
from clvmodels.economics.unit import check_cost
from clvmodels.errors import ClvError, DomainError, SchemaError
from clvmodels.forecast.calendar import Calendar
from clvmodels.posterior import CLVPosterior, GammaGammaPosterior, Metadata, PurchasePosterior
from clvmodels.posterior.finite import check_spend
from clvmodels.posterior.purchases import family_of_average
from clvmodels.posterior.scorable import at_margin, prepared_for
from clvmodels.posterior.shares import refuse_own
from clvmodels.predictive.calendars import CalendarChoice, sd_of
from clvmodels.purchases.family import Family
from clvmodels.rfm import RfmTable
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.customers import warn_of_unit
from clvmodels.rfm.day_pairs import by_clock
from clvmodels.rfm.histories import (
    PurchaseHistories,
    RfmColumns,
    purchase_histories,
    rfm_columns,
)
from clvmodels.rfm.periods import check_said, check_scale
from clvmodels.schema import (
    DAYS_PER_YEAR,
    Discounting,
    FloatArray,
    Horizon,
    TimeScale,
    check_choice,
    check_interval,
    plain_horizon,
)

if TYPE_CHECKING:
    from clvmodels.evaluation.backtest_record import Backtest
    from clvmodels.frames import Frame

# Draws for what is summed over all customers in each draw
FEW_DRAWS: Final = 200
_MOST_AGES: Final = 512
_MOST_YEARS: Final = 50


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the keyword arguments of `diagnose`."""

    horizon: Horizon = "365D"
    discount_rate: float = 0.10
    discounting: Discounting = "continuous"
    interval: float = 0.9
    draws: int = 500
    calendar: CalendarChoice = "auto"
    margin: float | None = None
    cac: float | None = None
    currency: str = ""
    random_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", plain_horizon(self.horizon))

    def terms(self) -> dict[str, Any]:
        """Keyword arguments of `CLVPosterior.predict`."""
        return {
            "horizon": self.horizon,
            "discount_rate": self.discount_rate,
            "discounting": self.discounting,
            "interval": self.interval,
            "draws": self.draws,
        }

    def of_purchases(self) -> dict[str, Any]:
        """The same of purchases; without an end a rate keeps those discounted finite."""
        return {**self.terms(), "discount_rate": self.discount_rate or 0.10}


@dataclass(frozen=True, eq=False, repr=False)
class _Remembering(CLVPosterior):
    """A posterior that predicts the same base in the same terms only once."""

    _known: dict[Any, pd.DataFrame] = field(default_factory=dict)

    def predict(self, rfm: Any, **options: Any) -> Any:
        key = (id(rfm), *sorted({"margin": None, **options}.items()))
        if key not in self._known:
            self._known[key] = CLVPosterior.predict(self, rfm, **options)
        return self._known[key]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """Posterior, base and question, with what several sections need of them.

    Attributes
    ----------
    purchases : PurchasePosterior
    clv : CLVPosterior or None
        Both models, where values can be computed.
    spend : GammaGammaPosterior or None
    rfm : RfmTable
    columns : RfmColumns
        Its columns.
    histories : PurchaseHistories
        Distinct ones, with counts.
    scores : DataFrame
        One row per customer: p_alive, p_purchase, expected_purchases and, with values,
        expected_spend and clv.
    why_no_value : str
        Why there are no values; "" where there are.
    question : Question
    log, id_map : object or None
    backtest : Backtest or None
    """

    purchases: PurchasePosterior
    clv: CLVPosterior | None
    spend: GammaGammaPosterior | None
    rfm: RfmTable
    columns: RfmColumns
    histories: PurchaseHistories
    scores: pd.DataFrame
    why_no_value: str
    question: Question
    log: Any = None
    id_map: Any = None
    backtest: Backtest | None = None

    @property
    def scale(self) -> TimeScale:
        """The unit of time."""
        return self.purchases.scale

    @property
    def models(self) -> tuple[PurchasePosterior | GammaGammaPosterior, ...]:
        """The posteriors that there are."""
        return (self.purchases,) if self.spend is None else (self.purchases, self.spend)

    @property
    def repeat(self) -> Any:
        """Which customers came back, shape (N,)."""
        return self.columns.x > 0

    @property
    def repeat_spend(self) -> tuple[FloatArray, FloatArray] | None:
        """Frequency and mean spend of repeat customers with spend > 0; None without money."""
        m_bar = self.columns.m_bar
        if m_bar is None:
            return None
        return self.columns.x[self._spent], m_bar[self._spent]

    @property
    def repeat_strata(self) -> Any:
        """Strata of the same customers; 0 where there are none."""
        stratum, used = self.columns.stratum, self._spent
        return np.zeros(int(used.sum()), dtype=np.int64) if stratum is None else stratum[used]

    @property
    def _spent(self) -> Any:
        m_bar = self.columns.m_bar
        assert m_bar is not None  # or there would be no spend
        return self.repeat & np.isfinite(m_bar) & (m_bar > 0)

    @property
    def timed(self) -> PurchaseHistories:
        """The histories in the time of the model: by the posterior's clock, if it has one."""
        clock = self.purchases.metadata.clock if self.purchases else None
        if clock is None or self.columns.last_day is None:
            return self.histories
        return purchase_histories(by_clock(self.columns, clock))

    def ages(self, most: int = _MOST_AGES) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Distinct T, how many customers have them, and as what these came, if they differ.

        More than ``most`` of one kind are gathered into so many groups of neighbours, each
        standing at its mean: what is averaged over them is smooth in T.
        """
        timed = self.timed
        if timed.stratum is None:
            return (*_gathered(timed.T, timed.count, most), None)
        born = timed.kind - timed.x
        parts = [
            (*_gathered(timed.T[some], timed.count[some], most), kind)
            for kind in np.unique(born)
            for some in (born == kind,)
        ]
        ages, customers, kinds = zip(*parts, strict=True)
        each = np.repeat(np.array(kinds), [len(one) for one in ages])
        return np.concatenate(ages), np.concatenate(customers), each

    def few_draws(self, most: int = FEW_DRAWS) -> dict[str, FloatArray]:
        """Draws by parameter, in columns, evenly spaced over all."""
        return {name: v[:, None] for name, v in self.purchases.draws(most).items()}

    def of_average(self, most: int) -> tuple[Family, dict[str, FloatArray]]:
        """What computes the average customer, whatever covariates do, with draws by parameter."""
        bought = self.purchases
        draws = bought.draws(most)
        if bought.metadata.design is None:
            return bought.formulas, draws
        own = {name: draws[name] for name in bought.facts.parameter_names}
        return family_of_average(bought), own

    @property
    def certain(self) -> bool:
        """Whether there is no uncertainty to show."""
        return self.purchases.certain if self.clv is None else self.clv.certain


def _gathered(
    T: FloatArray, customers: np.ndarray[Any, Any], most: int
) -> tuple[FloatArray, FloatArray]:
    ages, place = np.unique(T, return_inverse=True)
    count = np.bincount(place, weights=customers).astype(np.float64)
    if len(ages) <= most:
        return ages, count
    group = (np.arange(len(ages)) * most) // len(ages)
    sizes = np.bincount(group, weights=count).astype(np.float64)
    return np.asarray(np.bincount(group, weights=count * ages) / sizes), sizes


def model_name(posterior: PurchasePosterior | GammaGammaPosterior) -> str:
    """Name of a model, such as "BG/NBD"."""
    return posterior.facts.name


def prepare(
    posterior: Any,
    rfm: RfmTable | Frame,
    question: Question,
    *,
    said: TimeScale | None = None,
    log: Any = None,
    id_map: Any = None,
    backtest: Backtest | None = None,
) -> Study:
    """Check posterior, table and question, and predict every customer once.

    ``said`` is the unit that the caller says a frame is in.

    Raises
    ------
    SchemaError
        It is not a posterior of purchases, or the table is not of the right form or empty.
    TimeUnitError
        The table's unit of time is another one than the posterior's.
    DomainError
        A number is out of range.
    """
    purchases, spend = _parts(posterior)
    _check(question, purchases)
    table = _table(rfm, purchases.metadata, said)
    clv = None
    if isinstance(posterior, CLVPosterior):
        clv = _Remembering(purchases, posterior.spend, margin=posterior.margin)
    table = table if clv is None else at_margin(clv, table, question.margin)
    columns = rfm_columns(table, scale=purchases.scale)
    columns = with_strata(columns, purchases.metadata.design)
    histories = purchase_histories(columns)
    scores, why = _scores(clv, table, columns, purchases, question)
    return Study(
        purchases=purchases,
        clv=None if why else clv,
        spend=spend,
        rfm=table,
        columns=columns,
        histories=histories,
        scores=scores,
        why_no_value=why,
        question=question,
        log=log,
        id_map=id_map,
        backtest=backtest,
    )


def _parts(posterior: Any) -> tuple[PurchasePosterior, GammaGammaPosterior | None]:
    if isinstance(posterior, CLVPosterior):
        return posterior.purchases, posterior.gamma_gamma
    if isinstance(posterior, PurchasePosterior):
        return posterior, None
    raise SchemaError(
        f"Expected a CLVPosterior or a posterior of purchases, found {type(posterior).__name__}: "
        "the report is about customers' purchases, with or without their spend."
    )


def _check(question: Question, purchases: PurchasePosterior) -> None:
    check_choice("discounting", question.discounting, ("continuous", "monthly"))
    check_interval(question.interval)
    refuse_own(question.margin)
    if question.cac is not None:
        check_cost(question.cac, known=True)
    days = purchases.scale.horizon(question.horizon) * purchases.scale.days
    if _MOST_YEARS * DAYS_PER_YEAR < days < math.inf:
        raise DomainError(
            f"horizon={question.horizon!r} is longer than {_MOST_YEARS} years: choose a shorter "
            "one, such as '5Y', or None (--horizon none) for the remaining lifetime."
        )
    if days == 0:
        raise DomainError(
            f"horizon={question.horizon!r} looks no time ahead: give a longer one, such as '365D'."
        )
    purchases.scale.delta(question.discount_rate)
    purchases.draws(question.draws)
    sd_of(question.calendar, Calendar.by(purchases.metadata.clock, 0))


def _table(rfm: RfmTable | Frame, known: Metadata, said: TimeScale | None = None) -> RfmTable:
    """Return the table, held against what is known of the base that was fitted."""
    scale = known.scale
    if isinstance(rfm, RfmTable):
        check_scale(rfm.scale, scale)
        if said is not None:
            check_said(rfm.scale, said)
        table = rfm
    elif frames.kind_of(rfm) is not None:
        unit = said or scale
        check_scale(unit, scale)
        table = RfmTable.from_frame(rfm, time_unit=unit.time_unit, time_scaler=unit.time_scaler)
        if said is None:
            numbers = table.table["T"].to_numpy()
            warn_of_unit(numbers, scale, said=False, whole=known.whole, fitted=known.longest_T)
    else:
        raise SchemaError(
            f"Expected an RfmTable, {frames.FRAMES}, found {type(rfm).__name__}: make one with "
            "rfm_summary(...)."
        )
    if not len(table):
        raise SchemaError("The RFM table has no rows: there is nothing to report.")
    return table


def _scores(
    clv: CLVPosterior | None,
    table: RfmTable,
    columns: RfmColumns,
    purchases: PurchasePosterior,
    question: Question,
) -> tuple[pd.DataFrame, str]:
    if clv is None:
        return _purchases_alone(table, purchases, question), (
            "The posterior is of purchases alone: CLVPosterior(purchases, 25.0) counts every "
            "purchase at 25, or fit a CLVModel to a table with amounts."
        )
    if columns.m_bar is None and clv.reads_amounts:
        return _purchases_alone(table, purchases, question), (
            "The table has no monetary_value: summarise the log with a monetary_value_col."
        )
    try:
        terms = question.terms()
        given = prepared_for(clv, table, **terms)
        check_spend(given.draws, given.columns.x)  # a report needs a value of everybody
        return clv.predict(table, **terms), ""
    except ClvError as error:
        return _purchases_alone(table, purchases, question), str(error)


def _purchases_alone(
    table: RfmTable, purchases: PurchasePosterior, question: Question
) -> pd.DataFrame:
    """Predict purchases without any model of spend."""
    found: pd.DataFrame = purchases.predict(table, **question.of_purchases())
    return found


def bounds(by_draw: FloatArray, question: Question, certain: bool) -> tuple[float, float]:
    """Equal-tailed interval over draws; NaN where nothing is uncertain."""
    if certain or len(by_draw) < 2:
        return math.nan, math.nan
    tail = (1.0 - question.interval) / 2.0
    lower, upper = np.quantile(by_draw, [tail, 1.0 - tail])
    return float(lower), float(upper)
