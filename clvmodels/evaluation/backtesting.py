"""Fit on the past, predict the holdout, compare: the one call."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack, get_args

import pandas as pd

from clvmodels.evaluation.backtest_record import Backtest
from clvmodels.evaluation.counting_first import first_order_check
from clvmodels.evaluation.cut_dates import ORIGINS, Calendar, Span
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.evaluated import (
    REPORT_STEPS,
    STEPS,
    Evaluated,
    Plan,
    evaluate,
    report_tables,
)
from clvmodels.evaluation.fitting import Fitting, verdicts
from clvmodels.evaluation.model_forecasts import Asked, calendar_rows
from clvmodels.evaluation.over_dates import NO_SEASON, WITH, WITHOUT, clock_check
from clvmodels.evaluation.sensitivity import MOST_VARIANTS, data_sensitivity
from clvmodels.keywords import named
from clvmodels.log.options import BacktestTerms
from clvmodels.predictive.calendars import CalendarChoice, sd_of
from clvmodels.progress import by_steps, progress
from clvmodels.purchases import ModelChoice
from clvmodels.schema import (
    Discounting,
    Horizon,
    annual_rate_to_delta,
    check_choice,
    check_interval,
    check_whole,
)

if TYPE_CHECKING:
    from clvmodels.fit import CLVModel

Method = Literal["auto", "nuts", "laplace", "map"]
MAX_BOOTSTRAP: Final = 100_000
_OTHERWISE: Final = {NO_SEASON: "without a season", WITHOUT: "without the clock"}


@named
def backtest(
    log: Any,
    *,
    train_period_end: Any = None,
    test_period_end: Any = None,
    horizon: Horizon = None,
    origins: int | Literal["auto"] | None = None,
    without_first_month: bool = False,
    id_map: Any = None,
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    model: ModelChoice | CLVModel = "bgnbd",
    method: Method = "auto",
    on_failure: Literal["nuts", "raise", "warn"] = "nuts",
    draws: int = 500,
    interval: float = 0.9,
    calendar: CalendarChoice = "auto",
    bootstrap: int = 1000,
    sensitivity: bool = False,
    random_seed: int = 0,
    progressbar: bool = True,
    **terms: Unpack[BacktestTerms],
) -> Backtest:
    """Fit on the past of a log, predict the rest, and compare with what happened.

    Customers first seen in the holdout cannot be forecast one by one: they are left out,
    and counted. The baselines forecast the same customers over the same horizon, with
    the same discounting and margin: the simple formula, for the base as a whole and
    with customers' own figures; everybody's last period repeated; the average of those who
    came in the same month; and the model at the centre of its posterior, as one number.

    Parameters
    ----------
    log : object
        In any of the forms of `rfm_summary`.
    customer_id_col, datetime_col, monetary_value_col : str
        As in `rfm_summary`; without amounts only purchases are tested.
    train_period_end : str, date or Period, optional
        Last calibration period, as in `rfm_train_test_split`. Without it there are rolling
        origins, of which the last is the one that is reported.
    test_period_end : str, date or Period, optional
        Last holdout period; by default that of the last date in the log. "last whole
        period" is the last calendar week or month that is over on that date.
    horizon : str or float, optional
        Length of the holdout, such as "26W", in place of test_period_end; of every
        holdout, where there are rolling origins.
    origins : int or "auto", optional
        Also cut the log at so many dates, equally spaced in its second half, each of which
        costs a fit. Without a horizon their holdouts follow each other without overlap.
        "auto" are four, or as many as the log has room for with holdouts of four weeks or
        more; it is what there is without train_period_end.
    time_unit, time_scaler, refunds, order_id_col, zero_amounts, duplicates, id_map, margin
        As in `rfm_summary`. Calibration and holdout each know the refunds up to their own
        end; one of a purchase in the calibration, made in the holdout, changes neither.
        Without a margin, values are revenue; ``settings`` says which it is.
    implausible_dates, missing_ids, varying_segments
        As in `rfm_summary`.
    date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in :func:`clvmodels.rfm_summary`.
    without_first_month : bool
        Leave out the customers of the log's first month, whose first row is not their
        first order if the log begins in the middle of business; as
        `clvmodels.rfm.without_first_month`.
    discount_rate, discounting
        As in :meth:`CLVPosterior.predict`; what really was spent is discounted alike.
    model : str or CLVModel
        The specification to fit, a name of ``clvmodels.purchases.MODELS``, or "auto".
    method, on_failure : str
        As in :meth:`BetaGeoModel.fit`.
    draws : int
        Posterior draws to predict with.
    interval : float
        Probability of the predictive intervals shown and of the bootstrap intervals.
    calendar : {"auto", "none", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`: ``calendar_totals`` has the totals without it and
        with it, at every cut. "none" leaves that table out. A model with a clock is also
        fitted without it at every cut, and without its season, to be held against.
    bootstrap : int
        Samples of customers for the intervals of the metrics.
    sensitivity : bool
        Also fit with the data handled in other ways; see `Backtest.sensitivity`.
    random_seed : int
        Makes fit, bootstrap and simulation repeatable.
    progressbar : bool
        Show what is being done, on a terminal or in a notebook.

    Returns
    -------
    Backtest
        Tables and checks; ``save`` keeps them, `load_backtest` reads them. Its tables are
        pandas, whatever the log is, as they are after reading.

    Raises
    ------
    SchemaError
        The log cannot be read, or a date leaves no repeat purchase to learn from or no
        holdout; the message says which dates would do.
    DomainError
        A number is out of range, or a draw has an infinite expected spend.
    ConvergenceError
        A fit did not converge.
    """
    asked = Asked(
        discount_rate,
        discounting,
        _checked(interval, discounting, discount_rate, bootstrap, draws, random_seed),
        draws,
        random_seed,
        _calendar(calendar, Fitting(model, {}).has_clock),
    )
    options = {**terms, "missing_ids": list(terms["missing_ids"]), "id_map": id_map}
    fit_options = {
        "method": method,
        "on_failure": on_failure,
        "random_seed": random_seed,
        "progressbar": False,  # of a step, where there is one of all
    }
    fitting = Fitting(model, fit_options)
    if isinstance(origins, str):
        check_choice("origins", origins, ("auto",))
    rolling = "auto" if origins is None and train_period_end is None else origins
    cuts = rolling if isinstance(rolling, int) else ORIGINS if rolling else 0
    each = STEPS + len(_OTHERWISE) * (fitting.has_clock and asked.calendar != "none")
    steps = 2 + each * (1 + cuts) + REPORT_STEPS + MOST_VARIANTS * sensitivity
    with progress("Backtest", shown=progressbar) as told:
        begin = by_steps(told, steps)
        begin("loading PyMC")
        fitting.specification()  # refuses what is not a model before the log is read
        options |= {"day_pairs": fitting.has_clock, "segment_cols": fitting.columns}
        begin("reading the log")
        reading = Reading.of(log, options, later_only=without_first_month)
        spans = _spans(reading.calendar, train_period_end, test_period_end, horizon, rolling)
        found = _tested(Plan(reading, fitting, asked, bootstrap, begin), *spans, sensitivity)
        covered = reading.calendar.notes(spans[0], train_period_end, test_period_end)
        return replace(found, notes=(*found.notes, *covered))


def _spans(
    calendar: Calendar,
    train_end: Any,
    test_end: Any,
    horizon: Horizon,
    origins: int | Literal["auto"] | None,
) -> tuple[Span, list[Span]]:
    """The cut that is reported, and rolling ones."""
    rolling: list[Span] = []
    if origins == "auto":
        rolling = calendar.usual_origins(test_end, horizon)
    elif origins is not None:
        rolling = calendar.origins(origins, test_end, horizon)
    if train_end is None:
        return rolling[-1], rolling
    return calendar.span(train_end, test_end, horizon), rolling


def _tested(plan: Plan, span: Span, rolling: list[Span], sensitivity: bool) -> Backtest:
    """Everything that is reported of a cut, and of others."""
    calendar, main = plan.reading.calendar, evaluate(plan, span)
    allowing = _allowing_for_the_calendar(plan, main)
    metrics, more = _rolling(plan, rolling, main)
    totals = pd.DataFrame(rows) if (rows := allowing + more) else None
    found = Backtest(
        train_end=calendar.last_day(span.train_end),
        test_end=calendar.last_day(span.test_end),
        settings=_settings(plan, main),
        **report_tables(main, plan),
        fits=verdicts(main.posterior),
        rolling=metrics,
        calendar_totals=totals,
        sensitivity=data_sensitivity(plan, main) if sensitivity else None,
    )
    for judged in (clock_check(totals), first_order_check(main, plan)):
        found = found if judged is None else replace(found, checks=(*found.checks, judged))
    if not (left_out := main.observed.left_out):
        return found
    note = f"{left_out:,} customers of the log's first month are left out"
    return replace(found, notes=(note, *found.notes))


def _allowing_for_the_calendar(plan: Plan, one: Evaluated) -> list[dict[str, Any]]:
    """Totals of a cut without doubt about the calendar and with it, if it is asked for.

    Where the model has a clock, also by the same model without.
    """
    calendar, span = plan.reading.calendar, one.observed.span
    if plan.asked.calendar == "none":
        return []
    ends = {
        "train_end": calendar.last_day(span.train_end),
        "test_end": calendar.last_day(span.test_end),
    }
    fitted = {WITH if plan.fitting.has_clock else WITHOUT: one.posterior}
    for name, fitting in plan.fitting.otherwise(one.posterior).items():
        plan.begin(f"fitting {_OTHERWISE[name]} to {calendar.date(span.train_end)}")
        fitted[name] = fitting.beside(one.posterior, one.observed.train)
    return [
        ends | row
        for name, posterior in fitted.items()
        for row in calendar_rows(one.observed, posterior, one.targets, plan.asked, name)
    ]


def _rolling(
    plan: Plan, spans: list[Span], main: Evaluated
) -> tuple[pd.DataFrame | None, list[dict[str, Any]]]:
    """Metrics and totals of every rolling origin; the reported cut is not done twice."""
    calendar = plan.reading.calendar
    parts, allowing = [], []
    for i, span in enumerate(spans):
        one = main if span == main.observed.span else evaluate(plan, span)
        allowing += _allowing_for_the_calendar(plan, one) if one is not main else []
        table = one.metrics(plan.asked.interval)
        table.insert(0, "origin", i + 1)
        table.insert(1, "train_end", calendar.last_day(span.train_end))
        table.insert(2, "test_end", calendar.last_day(span.test_end))
        table.insert(3, "customers", one.observed.customers)
        parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else None, allowing


def _settings(plan: Plan, main: Evaluated) -> dict[str, Any]:
    observed, asked = main.observed, plan.asked
    shown = {name: value for name, value in plan.reading.options.items() if name != "id_map"}
    return shown | {
        "margin": observed.terms.margin,
        "margin_from": "not said" if plan.reading.options["margin"] is None else "argument",
        "without_first_month": plan.reading.later_only,
        "customers": observed.customers,
        "customers_back": int((observed.bought > 0).sum()),
        "new_customers": observed.split.new_customers,
        "horizon_days": observed.terms.horizon * observed.scale.days,
        "discount_rate": asked.discount_rate,
        "discounting": asked.discounting,
        "model": plan.fitting.name,
        **plan.fitting.basket,
        "first_order": plan.fitting.first_order if observed.has_money else None,
        "method": plan.fitting.options["method"],
        "draws": asked.draws,
        "interval": asked.interval,
        "calendar": asked.calendar,
        "bootstrap": plan.bootstrap,
        "random_seed": asked.seed,
    }


def _calendar(choice: CalendarChoice, has_clock: bool) -> CalendarChoice:
    """Check the choice, of which a clock that is to be learnt leaves nothing to refuse."""
    if has_clock and choice in ("auto", "learnt"):
        return choice
    return choice if sd_of(choice) else "none"


def _checked(
    interval: float, discounting: str, discount_rate: float, bootstrap: int, draws: int, seed: int
) -> float:
    check_choice("discounting", discounting, get_args(Discounting))
    annual_rate_to_delta(discount_rate)
    check_whole("draws", draws)
    check_whole("random_seed", seed, least=0)
    check_whole("bootstrap", bootstrap, least=0, most=MAX_BOOTSTRAP)
    return check_interval(interval)
