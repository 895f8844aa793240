"""What a prediction of customers holds, whatever is known of their spend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels import frames, schema
from clvmodels.errors import SchemaError
from clvmodels.forecast import OUTCOMES, Draws, Future, OutcomePredictor, Predictor, pair
from clvmodels.forecast.calendar import Calendar
from clvmodels.formulas.discounting import Due
from clvmodels.keywords import named
from clvmodels.margin import Margin, MarginLike, margin_for
from clvmodels.posterior.core import evenly_spaced
from clvmodels.posterior.effects import warn_of_unknown
from clvmodels.posterior.finite import check_life, no_value, valued
from clvmodels.posterior.layout import by_label, intervals_of, labelled, points_of
from clvmodels.posterior.shares import costs_by, own_shares, past_value, refuse_own, shares_of
from clvmodels.posterior.spend import GammaGammaPosterior, SpendPosterior, counted_of, means_of
from clvmodels.posterior.terms import FrameTerms, PredictTerms, ValueTerms
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.day_pairs import by_clock
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import Discounting, FloatArray, Horizon, TimeScale, TimeUnit

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.posterior.core import Posterior
    from clvmodels.posterior.purchases import PurchasePosterior
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.histories import RfmColumns


def columns_of(
    purchases: Posterior, data: RfmTable | Frame, said: TimeScale | None, *, money: bool = False
) -> RfmColumns:
    """Check a table, and hold it against what is known of the base that was fitted.

    Parameters
    ----------
    purchases : Posterior
        Of a purchase model.
    data : RfmTable or frame
        Customers, in the posterior's unit of time.
    said : TimeScale or None
        The unit that the caller says a frame is in.
    money : bool
        Whether monetary_value must be there, and what covariates of spend go by.

    Returns
    -------
    RfmColumns
        Its columns, each of shape (N,); t_x and T by the posterior's clock, if it has one,
        and strata by its covariates.

    Warns
    -----
    UserWarning
        Customers are of levels that the base did not have.
    """
    columns = rfm_columns(
        data,
        scale=purchases.scale,
        said=said,
        whole=purchases.metadata.whole,
        fitted=purchases.metadata.longest_T,
        money=money,
    )
    design = purchases.metadata.design
    used = None if money or design is None else design.moving
    found = with_strata(by_clock(columns, purchases.metadata.clock), design, used)
    warn_of_unknown(design, found)
    return found


def own_horizon(purchases: Posterior, horizon: Horizon, last_day: int | None) -> float:
    """A horizon from a day on in customers' own time: by the posterior's clock, if it has one."""
    calendar = Calendar.by(purchases.metadata.clock, last_day).average
    due = calendar.over(Due(purchases.scale.horizon(horizon)), purchases.scale.days, 1)
    return float(due.until(1)[0])


def future_of(
    scale: TimeScale,
    horizon: Horizon,
    discount_rate: float,
    discounting: Discounting,
    interval: float,
    margin: Margin | None = None,
) -> Future:
    """Check the options of a prediction, and count them in a unit of time.

    Raises
    ------
    SchemaError, DomainError
        An option is of the wrong kind, or out of range.
    """
    due = Due.of(scale, horizon, discount_rate, discounting)
    interval = schema.check_interval(interval)
    if margin is None:
        return Future(due, interval, 1.0)
    costs = None if margin.of is None else costs_by(scale, margin.of)
    return Future(due, interval, margin.value, costs)


def margin_known(
    purchases: Posterior,
    spend: SpendPosterior | None,
    argument: MarginLike,
    *,
    table: float | None = None,
) -> Margin | None:
    """Decide which margin values have; None where there are no values.

    Parameters
    ----------
    purchases, spend
        What is known of both; a CLVPosterior has put its margin into their metadata.
    argument, table : float or None
        What they say; None where it is nothing.

    Raises
    ------
    SchemaError
        A margin is asked for where no value is known.
    DomainError
        The argument is not a share of revenue.
    """
    if spend is not None:
        return margin_for(argument, table=table, posterior=purchases.metadata.margin)
    if argument is not None:
        raise SchemaError(
            f"margin={schema.shown(argument)} is a share of revenue, and a posterior of purchases "
            "alone gives no values: leave margin out, or give every purchase a value, as in "
            "CLVPosterior(purchases, 25.0)."
        )
    return None


def draws_of(purchases: PurchasePosterior, spend: SpendPosterior | None, draws: int) -> Draws:
    """Draws of purchases, paired with those of spend: evenly spaced, at most as many as asked."""
    if spend is None:
        return Draws(purchases.draws(draws), None, purchases.formulas)
    bought, spent = side_by_side(purchases, spend, draws)
    return pair(bought, spent, purchases.formulas, counted_of(spend), spend.metadata.design)


def side_by_side(
    purchases: Posterior, spend: Posterior, count: int | None
) -> list[dict[str, FloatArray]]:
    """Draws of two posteriors, as many of each and at most ``count``, evenly spaced.

    A single point goes with every draw of the other; else the longer is thinned.
    """
    totals = (purchases.draws_total, spend.draws_total)
    most = max(totals) if 1 in totals else min(totals)
    count = len(evenly_spaced(most, count))
    return [
        {name: np.broadcast_to(values, count).copy() for name, values in one.draws(count).items()}
        for one in (purchases, spend)
    ]


@named
def asked_of(
    purchases: PurchasePosterior, spend: SpendPosterior | None, **terms: Unpack[ValueTerms]
) -> tuple[Future, Draws, Margin | None]:
    """Check the options of a prediction.

    Raises
    ------
    SchemaError, DomainError
        An option is of the wrong kind or out of range, or undiscounted whole-life purchases
        are infinite.
    """
    used = margin_known(purchases, spend, terms["margin"])
    future = future_of(
        purchases.scale,
        terms["horizon"],
        terms["discount_rate"],
        terms["discounting"],
        terms["interval"],
        used,
    )
    draws = draws_of(purchases, spend, terms["draws"])
    check_life(draws, future, purchases.facts)
    return future, draws, used


def until(
    purchases: PurchasePosterior, draws: Draws, future: Future, horizon: Horizon, calendar: Calendar
) -> Future:
    """What is asked, with another horizon, checked; under the average of a calendar."""
    due = Due(purchases.scale.horizon(horizon), future.due.delta, future.due.month)
    found = replace(future, due=calendar.average.over(due, purchases.scale.days, draws.count))
    check_life(draws, found, purchases.facts)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A table and what is asked of it, checked.

    Attributes
    ----------
    columns : RfmColumns
        The customers.
    m_bar : ndarray, shape (N,)
        Mean of their amounts that count; 0 where it is not read. Expected spend of some may be
        infinite in some draws: `clvmodels.posterior.finite.valued` tells whose.
    future : Future
        What is asked.
    draws : Draws
        Of both models, or of purchases alone.
    margin : Margin or None
        Which values have; None where there are no values.
    certain : bool
        Whether the draws are a single point, so that there are no intervals.
    calendar : Calendar
        What the posterior's clock tells of the future; what is asked has its average.
    share : ndarray or None, shape (N,)
        Customers' own margins, where values are made of them.
    unknown : ndarray of bool or None, shape (N,)
        Who has levels that the base which was fitted did not have; None if there are none to have.
    """

    columns: RfmColumns
    m_bar: FloatArray
    future: Future
    draws: Draws
    margin: Margin | None
    certain: bool
    calendar: Calendar = field(default_factory=Calendar)
    share: FloatArray | None = None
    unknown: npt.NDArray[np.bool_] | None = None

    @property
    def who(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Customers as the loops take them: x, t_x, T and m_bar, of amounts that count."""
        one = self.columns
        return one.kind, one.t_x, one.T, self.draws.means(one.x, self.m_bar)

    def until(self, purchases: PurchasePosterior, horizon: Horizon) -> Future:
        """The same with another horizon, checked."""
        return until(purchases, self.draws, self.future, horizon, self.calendar)


@named
def prepared(
    purchases: PurchasePosterior,
    spend: SpendPosterior | None,
    rfm: RfmTable | Frame,
    *,
    own: bool = False,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    **terms: Unpack[ValueTerms],
) -> Prepared:
    """Check all that a prediction of customers needs.

    Parameters
    ----------
    own : bool
        Whether customers may have margins of their own, and costs: they are refused if not.

    Raises
    ------
    SchemaError, TimeUnitError
        The table is not of the right form or unit, or a margin is given where there are no
        values.
    DomainError
        An option is out of range, or undiscounted whole-life purchases are infinite.
    """
    said = schema.scale_said(time_unit, time_scaler)
    modelled = spend if isinstance(spend, GammaGammaPosterior) else None
    columns = columns_of(purchases, rfm, said, money=modelled is not None)
    m_bar = means_of(modelled, columns) if modelled else np.zeros(len(columns))
    used = margin_known(purchases, spend, terms["margin"], table=columns.margin)
    if used is not None:
        refuse_own(None if own else used.of)
        terms["margin"] = used.warned().value if used.of is None else used.of
    future, draws, _ = asked_of(purchases, spend, **terms)
    if used is not None:
        future = replace(future, margin=used.value)
    share = None if used is None else own_shares(columns, used)
    certain = purchases.certain or draws.count == 1 or (spend is not None and spend.certain)
    calendar = Calendar.by(purchases.metadata.clock, columns.last_day)
    asked = until(purchases, draws, future, terms["horizon"], calendar)
    design, stratum = purchases.metadata.design, columns.stratum
    unknown = None if design is None or stratum is None else design.is_new(stratum)
    return Prepared(columns, m_bar, asked, draws, used, certain, calendar, share, unknown)


@named
def predicted_frame(
    purchases: PurchasePosterior,
    spend: SpendPosterior | None,
    rfm: RfmTable | Frame,
    predictive: bool,
    **terms: Unpack[PredictTerms],
) -> Any:
    """A row of predictions for every customer, in the kind of frame that was passed."""
    import pandas as pd

    rfm, predictive = frames.eager(rfm), schema.check_flag("predictive", predictive)
    lengths = labelled(terms["horizon"])
    one: FrameTerms = {**terms, "horizon": next(iter(lengths.values()))}
    given = prepared(purchases, spend, rfm, own=True, **one)
    futures = {label: given.until(purchases, length) for label, length in lengths.items()}
    columns = given.columns
    reasons = no_value(given.draws, columns.x)
    valued(given.draws, columns.x).warned()
    found = predicted(given, futures, predictive=predictive)
    m_bar = columns.m_bar if isinstance(spend, GammaGammaPosterior) else None
    if m_bar is not None and columns.first_value is not None:
        past = past_value(given.future, given.share, columns.first_value, columns.x, m_bar)
        total = {f"total_value{label}": past + found[f"clv{label}"] for label in futures}
        found |= {"historical_value": past} | total
    if given.margin is not None:
        found[schema.MARGIN] = shares_of(given.future, given.share, len(columns))
    if reasons is not None:
        found[schema.REASON] = pd.Series(reasons, dtype="str")
    scores = customers_frame(columns, m_bar).assign(**found)
    return frames.like(rfm, scores, own={schema.CUSTOMER_ID: None})


def predicted(
    given: Prepared, futures: Mapping[str, Future], *, predictive: bool
) -> dict[str, Any]:
    """Every column of a prediction by name, in the order of the output.

    Parameters
    ----------
    given : Prepared
        Customers and draws; of purchases alone there are no columns of money.
    futures : mapping of str to Future
        What is asked, by what is added to the names of the columns that depend on it.
    predictive : bool
        Whether intervals of outcomes are wanted too.
    """
    draws, who, money = given.draws, given.who, given.draws.spend is not None
    dues = [future.due for future in futures.values()]
    each = Predictor(draws, given.future, more=dues[1:]).each(*who, given.share)
    uncertain, found = intervals_of(money=money), {}
    for (label, future), one in zip(futures.items(), each, strict=True):
        columns: dict[str, Any] = dict(one.columns)
        if given.certain:
            columns |= {name: np.full(len(who[0]), np.nan) for name in uncertain}
        if predictive:
            columns |= OutcomePredictor(draws, future)(*who, given.share)
        found[label] = columns
    first = next(iter(found.values()))
    names = (*points_of(money=money), *uncertain, *(name for name in OUTCOMES if name in first))
    return {column: found[of][name] for column, (name, of) in by_label(names, futures).items()}


def customers_frame(columns: RfmColumns, m_bar: FloatArray | None = None) -> pd.DataFrame:
    """The customers of a prediction, a row each."""
    import pandas as pd

    frame = {
        schema.CUSTOMER_ID: columns.customer_id,
        schema.FREQUENCY: columns.x.astype(np.int64),
        schema.RECENCY: columns.recency,
        schema.T: columns.age,
    }
    return pd.DataFrame(frame if m_bar is None else frame | {schema.MONETARY_VALUE: m_bar})
