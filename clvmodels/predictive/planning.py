"""Totals to plan with: what a base will bring, and how much of the doubt comes from where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels import frames
from clvmodels.economics.labels import WHOLE, By
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Predictor, tail_probabilities
from clvmodels.forecast.calendar import Calendar
from clvmodels.forecast.outcomes import check_finite, outcomes_of
from clvmodels.forecast.paths import MOST_PURCHASES
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import MarginSource
from clvmodels.posterior.finite import Valued, valued
from clvmodels.posterior.layout import labelled
from clvmodels.posterior.predicting import Prepared
from clvmodels.posterior.scorable import Scorable, prepared_for, scorable
from clvmodels.posterior.terms import FrameTerms, PredictTerms
from clvmodels.predictive.base import margin_said
from clvmodels.predictive.by_time import Asked, Run, asked_of
from clvmodels.predictive.calendars import CalendarChoice, Scenario, calendar_of, under
from clvmodels.predictive.totals import PATHS, check_few, groups_of
from clvmodels.schema import FloatArray, check_choice

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

    IntArray = npt.NDArray[np.int64]

SOURCES: Final = ("parameters", "chance", "calendar")
_WORDS: Final = {
    "none": "no doubt about the calendar",
    "assumed": "calendar's sd {sd:g}, assumed",
    "given": "calendar's sd {sd:g}",
    "learnt": "calendar's sd {sd:g}, learnt from the log",
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TotalForecast:
    """Totals of a base and how well they are known, by horizon or month.

    Attributes
    ----------
    table : DataFrame or Table
        One row per segment (the last one, "(whole)", of all customers; the only one without
        ``by``), horizon or month, and total ("purchases" or "value"):

        - mean: the expectation, given an average calendar and the scenario; without a
          scenario it is the sum of ``predict``'s expected_purchases or clv;
        - expected_lower, expected_upper: interval of that expectation, of which the
          parameters are in doubt; null where they are a single point;
        - lower, upper: interval of the outcome, what will really happen: parameters, chance
          and the calendar together;
        - sd: of the outcome;
        - sd_parameters, sd_chance, sd_calendar: what each source alone is worth; their
          squares add up to the outcome's, as far as so many paths tell;
        - share_parameters, share_chance, share_calendar: of the sum of those squares.

        Of the kind of frame that was passed, pandas for an RfmTable. Value is discounted,
        times margin; of customers who have one.
    calendar : Calendar
        Doubt about what moves all customers at once, with who says so, and the scenario by
        day.
    scenario : dict of str to float
        The scenario's factors by period; of one by name the mean factor.
    interval : float
        Probability of the equal-tailed intervals.
    samples : ndarray, shape (rows of the table, paths)
        The outcome on every path.
    margin : float or None
        Share of revenue that value is made of; None where there is none.
    margin_from : {"argument", "table", "posterior", "not said"} or None
        Who said it.
    without_value : int
        Customers who have no finite expected value: they are not in the totals of value.
    reason : str
        Why they have none; empty where everybody has one.
    whole : TotalForecast or None
        With ``path``: the whole horizon on the same futures. Its intervals are not the sums of
        the months', since good months may make up for bad ones.
    edges : tuple of str
        With ``path``: the first day of each month, of the first one the day after observation
        ended, and the day after the last one's end; ISO dates.
    """

    table: Any
    calendar: Calendar
    scenario: dict[str, float]
    interval: float
    samples: FloatArray = field(repr=False)
    margin: float | None = None
    margin_from: MarginSource | None = None
    without_value: int = 0
    reason: str = ""
    whole: TotalForecast | None = None
    edges: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: rows, calendar and scenario, and the whole of months; no paths."""
        rows = frames.to_pandas(self.table).to_dict("records")
        return {
            "interval": self.interval,
            "calendar": {"sd": self.calendar.sd, "source": self.calendar.source},
            "scenario": dict(self.scenario),
            "margin": self.margin,
            "margin_from": self.margin_from,
            "without_value": self.without_value,
            "reason": self.reason,
            "rows": [{n: None if v != v else v for n, v in row.items()} for row in rows],
            "edges": list(self.edges),
            "whole": None if self.whole is None else self.whole.to_dict()["rows"],
        }

    def __repr__(self) -> str:
        said = _WORDS[self.calendar.source].format(sd=self.calendar.sd)
        if self.scenario:
            said += ", scenario " + ", ".join(f"{p} x {f:g}" for p, f in self.scenario.items())
        said += margin_said(self.margin, self.margin_from)
        return f"<TotalForecast, {100 * self.interval:.0f} % intervals, {said}>\n{self.table}"

    def _repr_html_(self) -> str:
        return str(frames.to_pandas(self.table).to_html(border=0))


@named
def forecast_total(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    calendar: CalendarChoice = "auto",
    scenario: Scenario | None = None,
    by: By | None = None,
    path: Literal["M"] | None = None,
    paths: int = PATHS,
    random_seed: int = 0,
    threads: int | None = None,
    **terms: Unpack[PredictTerms],
) -> TotalForecast:
    """Purchases and value of a base within a horizon, with an interval to plan with.

    Three things are not known of a total: the parameters, what each customer does by chance,
    and the calendar, that is the season, campaigns, shortages and the state of the trade.
    The calendar moves all customers at once, so it does not average out, and in large bases
    it is most of the doubt: an intensity, common to all, that is 1 on average and whose
    logarithm has about the sd ``calendar`` after a year.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone there is no total of value.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time, with monetary_value where the posterior
        reads it.
    calendar : {"auto", "none", "learnt"} or float
        "auto" is what the posterior has learnt of its log, or else an assumption: an sd of
        0.15, since on real logs a common shift of 10 to 20 percent between past and future
        is usual. A number is an sd of your own, "none" leaves the calendar out.
    scenario : mapping, Series, "as last year" or "no season", optional
        Factors of the intensity by period, as in ``{"2024-12": 1.2, "2024-08": 0.0}`` for a
        campaign and a closed month: dates, pandas Periods, or text of a day, month, quarter
        or year. Factors of periods that overlap are multiplied; days of which it says
        nothing have 1. It needs an RfmTable that knows when its observation ended. Of a
        posterior with a clock "as last year" has the shocks of the last year again, and
        "no season" spreads the season evenly.
    by : str, sequence of str, mapping or Series, optional
        Segment columns of the RfmTable, or "cohort"; or the segment of every customer by id.
    path : {"M"}, optional
        One row per calendar month within the horizon in place of one for all of it.
    paths : int
        Simulated futures, rounded up to as many of every draw.
    random_seed : int
        Of the simulation.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    horizon : str, float, or list of these
        As in :meth:`CLVPosterior.predict`, finite; several are forecast in one pass.
    discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    TotalForecast
        A row per segment, horizon or month, and total.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; a horizon is endless; ``by`` names no segment column;
        there are no customers; calendar or scenario are not as described, or need dates that
        the table has not; a path by month is asked for over several horizons.
    """
    rfm, cores = frames.eager(rfm), cores_for(threads)
    whose = scorable(posterior, "Totals need")
    lengths = labelled(terms["horizon"])
    if path is not None:
        check_choice("path", path, ("M",))
        if len(lengths) > 1:
            raise SchemaError(
                "A path by month goes to one horizon, found several: pass one, or leave path out."
            )
    far = max(lengths.values(), key=whose.scale.horizon)
    one: FrameTerms = {**terms, "horizon": far}
    given = prepared_for(whose, rfm, **one)
    check_finite(given.future.due.horizon)
    if not len(given.columns):
        raise DomainError("The table has no customers: there is nothing to add up.")
    days = given.future.due.horizon * whose.scale.days
    doubt, said = calendar_of(calendar, scenario, rfm, days=days, learnt=given.calendar)
    asked = asked_of(rfm, whose.scale, lengths, days, by_month=path is not None)
    names, labels, group = groups_of(rfm, by, len(given.columns))
    known = valued(given.draws, given.columns.x).warned()
    usual = under(given, doubt.average, 1, whose.scale.days)
    really = under(given, doubt, paths, whose.scale.days)
    run = Run(asked, group, len(labels), cores, known)
    usually = run.expected(usual)
    if usually[:, -1, 0, 0].sum() > MOST_PURCHASES:  # of all: somebody may make as many
        alone = replace(usual.draws, spend=None)
        bought = Predictor(alone, usual.future, wanted="none", threads=cores)(*usual.who)
        check_few(bought.columns["expected_purchases"])
    likely = run.expected(really) if doubt.sd > 0.0 else usually
    samples = run.outcomes(really, outcomes_of(really.draws, paths=paths, seed=random_seed))
    texts = {name: [*(label[i] for label in labels), WHOLE] for i, name in enumerate(names)}
    found = _Found(rfm, given, doubt, said, known, texts)
    parts = [_with_whole(one) for one in (usually, likely, samples)]
    if path is None:
        return found.forecast(asked, parts)
    alike = asked.whole(whose.scale.horizon_words(far))
    whole = found.forecast(alike, [*(one[:, -1:] for one in parts[:2]), parts[2].sum(1)[:, None]])
    months = [asked.parts(one) for one in parts[:2]]
    return replace(found.forecast(asked, [*months, parts[2]]), whole=whole, edges=asked.edges)


@dataclass(frozen=True, slots=True)
class _Found:
    """What all tables of a call have in common: whose totals, and under which calendar."""

    rfm: Any
    given: Prepared
    doubt: Calendar
    said: dict[str, float]
    known: Valued
    texts: dict[str, list[str]]

    def forecast(self, asked: Asked, parts: Sequence[FloatArray]) -> TotalForecast:
        """Make a table of expectations with an average calendar, with others, and of outcomes."""
        given, margin = self.given, self.given.margin
        totals = ("purchases", "value")[: 1 if margin is None else 2]
        interval, certain = given.future.interval, given.certain
        table, flat = _table(self.texts, asked, totals, parts, interval, certain)
        if margin is not None:
            table["margin"] = margin.value
        return TotalForecast(
            frames.like(self.rfm, table),
            self.doubt,
            self.said,
            interval,
            flat,
            None if margin is None else margin.value,
            None if margin is None else margin.source,
            self.known.without,
            self.known.reason,
        )


def _with_whole(parts: FloatArray) -> FloatArray:
    """Add the sum of the segments as the last one, unless there is only the whole."""
    if len(parts) == 1:
        return parts
    return np.concatenate([parts, parts.sum(axis=0, keepdims=True)])


def _table(
    texts: dict[str, list[str]],
    asked: Asked,
    totals: tuple[str, ...],
    parts: Sequence[FloatArray],
    interval: float,
    certain: bool,
) -> tuple[pd.DataFrame, FloatArray]:
    """One row per segment, time and total, and the paths of each."""
    import pandas as pd

    usually, likely, samples = parts
    rows, paths = [], []
    tails = tail_probabilities(interval)
    for s, e, i in np.ndindex(len(samples), len(asked.words), len(totals)):
        usual, given, real = usually[s, e, i, 1:], likely[s, e, i, 1:], samples[s, e, i]
        doubt = _sources(usual, given, real)
        whole = sum(sd * sd for sd in doubt)
        ends = (math.nan, math.nan) if certain else np.quantile(usual, tails)
        rows.append(
            {name: values[s] for name, values in texts.items()}
            | {asked.name: asked.words[e], "total": totals[i], "mean": usually[s, e, i, 0]}
            | dict(zip(("expected_lower", "expected_upper"), ends, strict=True))
            | dict(zip(("lower", "upper"), np.quantile(real, tails), strict=True))
            | {"sd": real.std()}
            | {f"sd_{name}": sd for name, sd in zip(SOURCES, doubt, strict=True)}
            | {
                f"share_{name}": sd * sd / whole if whole else math.nan
                for name, sd in zip(SOURCES, doubt, strict=True)
            }
        )
        paths.append(real)
    return pd.DataFrame(rows), np.array(paths)


def _sources(usual: FloatArray, given: FloatArray, real: FloatArray) -> tuple[float, ...]:
    """What parameters, chance and calendar are worth, as standard deviations.

    ``usual`` are expectations by draw with an average calendar, ``given`` with that of each
    draw, ``real`` outcomes on paths; draws go round. Given the parameters calendars change
    expectations by nothing on average, and given both chance does not either, so that the
    three are uncorrelated and their variances add up.
    """
    shift = given - np.resize(usual, len(given))
    chance = real - np.resize(given, len(real))
    return float(usual.std()), float(np.sqrt(np.mean(chance**2))), float(shift.std())
