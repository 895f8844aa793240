"""Fit on the past, predict the holdout, compare: the one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import pandas as pd

from clvmodels.errors import DomainError, SchemaError
from clvmodels.evaluation import checks
from clvmodels.evaluation.baselines import LABELS, MODEL, POINT, Forecast, baselines
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.dates import Span
from clvmodels.evaluation.fitting import FittedModel, Fitting, ModelName, centre, verdicts
from clvmodels.evaluation.metrics import (
    Replicates,
    Target,
    calibration_rows,
    coverage_rows,
    metric_rows,
    replicate,
)
from clvmodels.evaluation.observed import Observed
from clvmodels.evaluation.outcomes import (
    Asked,
    expected,
    purchases_target,
    total_draws,
    totals_rows,
    value_target,
)
from clvmodels.evaluation.record import Backtest
from clvmodels.evaluation.sensitivity import data_sensitivity
from clvmodels.evaluation.tracking import repeats, tracking
from clvmodels.rfm.periods import PERIOD_FREQUENCY
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    Discounting,
    Horizon,
    T,
    TimeUnit,
    annual_rate_to_delta,
    check_choice,
)
from clvmodels.transactions import KeepDrop, Refunds
from clvmodels.verdict import Check

if TYPE_CHECKING:
    from clvmodels.models import CLVModel

Method = Literal["auto", "nuts", "laplace", "map"]
MAX_BOOTSTRAP: Final = 100_000
_PATHS: Final = 200


def backtest(
    log: Any,
    *,
    customer_id_col: str,
    datetime_col: str,
    monetary_value_col: str | None = None,
    train_period_end: Any = None,
    test_period_end: Any = None,
    horizon: Horizon = None,
    origins: int | None = None,
    time_unit: TimeUnit = "D",
    time_scaler: float = 1,
    refunds: Refunds = "drop",
    zero_amounts: KeepDrop = "keep",
    duplicates: KeepDrop = "keep",
    id_map: Any = None,
    margin: float = 1.0,
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    model: ModelName | CLVModel = "bgnbd",
    method: Method = "auto",
    on_failure: Literal["nuts", "raise", "warn"] = "nuts",
    draws: int = 500,
    interval: float = 0.9,
    bootstrap: int = 1000,
    sensitivity: bool = False,
    random_seed: int = 0,
    progressbar: bool = False,
) -> Backtest:
    """Fit on the past of a log, predict the rest, and compare with what happened.

    Customers first seen in the holdout cannot be forecast one by one: they are left out,
    and counted. The baselines forecast the same customers over the same horizon, with
    the same discounting and margin: the simple formula, for the base as a whole and
    with customers' own figures; everybody's last period again; the average of those who
    came in the same month; and the model at the centre of its posterior, as one number.

    Parameters
    ----------
    log : object
        In any of the forms of `rfm_summary`.
    customer_id_col, datetime_col, monetary_value_col : str
        As in `rfm_summary`; without amounts only purchases are tested.
    train_period_end : str, date or Period, optional
        Last calibration period, as in `rfm_train_test_split`. It may be left out where
        there are rolling origins; then the last of these is the one that is reported.
    test_period_end : str, date or Period, optional
        Last holdout period; by default that of the last date in the log.
    horizon : str or float, optional
        Length of the holdout, such as "26W", in place of test_period_end; of every
        holdout, where there are rolling origins.
    origins : int, optional
        Also cut the log at so many dates, equally spaced in its second half. Without a
        horizon their holdouts follow each other without overlap.
    time_unit, time_scaler, refunds, zero_amounts, duplicates, id_map, margin
        As in `rfm_summary`.
    discount_rate, discounting
        As in :meth:`CLVPosterior.predict`; what really was spent is discounted alike.
    model : {"bgnbd", "mbgnbd"} or CLVModel
        The specification to fit.
    method, on_failure : str
        As in :meth:`BetaGeoModel.fit`.
    draws : int
        Posterior draws to predict with.
    interval : float
        Probability of the predictive intervals shown and of the bootstrap intervals.
    bootstrap : int
        Samples of customers for the intervals of the metrics.
    sensitivity : bool
        Also fit with the data handled otherwise; see `Backtest.sensitivity`.
    random_seed : int
        Makes fit, bootstrap and simulation repeatable.
    progressbar : bool
        Show the sampler's progress.

    Returns
    -------
    Backtest
        Tables and checks; ``save`` keeps them, `load_backtest` reads them.

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
        _checked(interval, discounting, discount_rate, bootstrap),
        draws,
        random_seed,
    )
    options = {
        "customer_id_col": customer_id_col,
        "datetime_col": datetime_col,
        "monetary_value_col": monetary_value_col,
        "time_unit": time_unit,
        "time_scaler": time_scaler,
        "refunds": refunds,
        "zero_amounts": zero_amounts,
        "duplicates": duplicates,
        "id_map": id_map,
        "margin": margin,
    }
    fit_options = {
        "method": method,
        "on_failure": on_failure,
        "random_seed": random_seed,
        "progressbar": progressbar,
    }
    fitting = Fitting(model, fit_options)
    fitting.specification()  # refuses what is no model before the log is read
    reading = Reading.of(log, options)
    rolling = _spans(reading, origins, test_period_end, horizon)
    if train_period_end is None and not rolling:
        raise SchemaError(
            f"Pass train_period_end, the last date to learn from, or origins: "
            f"{reading.calendar.range()}, and "
            f"{reading.calendar.date(reading.calendar.sensible())} would leave the last third."
        )
    span = (
        rolling[-1]
        if train_period_end is None
        else reading.calendar.span(train_period_end, test_period_end, horizon)
    )
    main = _evaluate(reading, span, fitting, asked, bootstrap)
    return _report(reading, main, rolling, fitting, asked, bootstrap, sensitivity)


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """One origin: what was forecast, what happened, and how well they agree."""

    observed: Observed
    posterior: FittedModel
    forecasts: list[Forecast]
    targets: list[Target]
    found: list[Replicates]

    def metrics(self, interval: float) -> pd.DataFrame:
        """Rows of all targets."""
        pairs = zip(self.targets, self.found, strict=True)
        return pd.DataFrame([row for t, f in pairs for row in metric_rows(t, f, interval)])


def _evaluate(
    reading: Reading, span: Span, fitting: Fitting, asked: Asked, bootstrap: int
) -> Evaluated:
    observed = reading.cut(span, asked.discount_rate, asked.discounting)
    _check_somebody_came_back(reading, observed)
    posterior = fitting.fit(observed.train)
    forecasts = [expected(observed, posterior, asked, MODEL)]
    forecasts += baselines(
        observed,
        log=reading.log,
        id_map=reading.options["id_map"],
        discount_rate=asked.discount_rate,
        discounting=asked.discounting,
    )
    if not posterior.certain:
        forecasts.append(expected(observed, centre(posterior), asked, POINT))
    value = value_target(observed, posterior, forecasts, asked)
    targets = [purchases_target(observed, posterior, forecasts, asked)]
    targets += [] if value is None else [value]
    found = [replicate(target, samples=bootstrap, seed=asked.seed) for target in targets]
    return Evaluated(observed, posterior, forecasts, targets, found)


def _check_somebody_came_back(reading: Reading, observed: Observed) -> None:
    if observed.bought.any():
        return
    calendar, span = reading.calendar, observed.span
    raise SchemaError(
        f"None of the {observed.customers:,} customers known on {calendar.date(span.train_end)} "
        f"buys again up to {calendar.date(span.test_end)}, only {observed.split.new_customers:,} "
        f"new ones do: let the holdout last longer, the log reaches to "
        f"{calendar.date(calendar.last)}, or pass another train_period_end, such as "
        f"{calendar.date(calendar.sensible())}."
    )


def _report(
    reading: Reading,
    main: Evaluated,
    rolling: list[Span],
    fitting: Fitting,
    asked: Asked,
    bootstrap: int,
    sensitivity: bool,
) -> Backtest:
    observed, interval = main.observed, asked.interval
    pairs = list(zip(main.targets, main.found, strict=True))
    metrics = main.metrics(interval)
    coverage = _frame([row for t, f in pairs for row in coverage_rows(t, f, interval)], _COVERAGE)
    totals = _totals(main, asked)
    band: dict[str, Any] = {"interval": interval, "draws": asked.draws, "seed": asked.seed}
    tracked = tracking(observed, main.posterior, paths=_PATHS, **band)
    return Backtest(
        train_end=_last_date(reading, observed.span.train_end),
        test_end=_last_date(reading, observed.span.test_end),
        settings=_settings(reading, main, fitting, asked, bootstrap),
        metrics=metrics,
        customers=_customers(main, interval),
        coverage=coverage,
        totals=totals,
        calibration=pd.DataFrame(
            [row for t, f in pairs for row in calibration_rows(t, f, interval)]
        ),
        tracking=tracked,
        repeats=repeats(observed, main.posterior, **band),
        checks=_checks(main.targets, metrics, coverage, totals, tracked, interval),
        fits=verdicts(main.posterior),
        notes=_notes(main),
        rolling=_rolling(reading, rolling, main, fitting, asked, bootstrap),
        sensitivity=(
            data_sensitivity(reading, observed.span, observed, fitting, asked)
            if sensitivity
            else None
        ),
    )


_COVERAGE: Final = (
    "target",
    "level",
    "coverage",
    "lower",
    "upper",
    "width",
    "width_lower",
    "width_upper",
)


def _totals(main: Evaluated, asked: Asked) -> pd.DataFrame:
    samples = total_draws(main.observed, main.posterior, asked)
    rows = [totals_rows(target, samples[target.name], asked) for target in main.targets]
    return pd.DataFrame([row for part in rows for row in part])


def _frame(rows: list[dict[str, object]], columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def _spans(
    reading: Reading, origins: int | None, test_period_end: Any, horizon: Horizon
) -> list[Span]:
    if origins is None:
        return []
    return reading.calendar.origins(origins, test_period_end, horizon)


def _rolling(
    reading: Reading,
    spans: list[Span],
    main: Evaluated,
    fitting: Fitting,
    asked: Asked,
    bootstrap: int,
) -> pd.DataFrame | None:
    """Metrics of every rolling origin; one that is the reported cut is not done twice."""
    if not spans:
        return None
    parts = []
    for i, span in enumerate(spans):
        same = span == main.observed.span
        one = main if same else _evaluate(reading, span, fitting, asked, bootstrap)
        table = one.metrics(asked.interval)
        table.insert(0, "origin", i + 1)
        table.insert(1, "train_end", _last_date(reading, span.train_end))
        table.insert(2, "test_end", _last_date(reading, span.test_end))
        table.insert(3, "customers", one.observed.customers)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _customers(main: Evaluated, interval: float) -> pd.DataFrame:
    table = main.observed.train.to_pandas()
    names = [CUSTOMER_ID, FREQUENCY, RECENCY, T]
    names += [MONETARY_VALUE] if main.observed.has_money else []
    columns: dict[str, Any] = {}
    for target in main.targets:
        columns[f"{target.name}_actual"] = target.actual
        columns |= {f"{target.name}_{name}": f for name, f in target.forecasts.items()}
        if interval in target.lower:
            columns[f"{target.name}_lower"] = target.lower[interval]
            columns[f"{target.name}_upper"] = target.upper[interval]
    return pd.concat([table[names], pd.DataFrame(columns)], axis=1)


def _checks(
    targets: list[Target],
    metrics: pd.DataFrame,
    coverage: pd.DataFrame,
    totals: pd.DataFrame,
    tracked: pd.DataFrame,
    interval: float,
) -> tuple[Check, ...]:
    found = [checks.training_check(tracked, interval)]
    found += [checks.total_check(totals, target.name, interval) for target in targets]
    found += [checks.coverage_check(coverage, target.name, interval) for target in targets]
    found += [checks.baseline_check(metrics, target.name) for target in targets]
    return tuple(found)


def _notes(main: Evaluated) -> tuple[str, ...]:
    of_forecasts = [f"{LABELS[f.name]}: {f.note}" for f in main.forecasts if f.note]
    alone = "the model is a single point: what is not known of its parameters is in no interval"
    return tuple([alone, *of_forecasts] if main.posterior.certain else of_forecasts)


def _settings(
    reading: Reading, main: Evaluated, fitting: Fitting, asked: Asked, bootstrap: int
) -> dict[str, Any]:
    observed = main.observed
    shown = {name: value for name, value in reading.options.items() if name != "id_map"}
    return shown | {
        "customers": observed.customers,
        "customers_back": int((observed.bought > 0).sum()),
        "new_customers": observed.split.new_customers,
        "horizon_days": observed.terms.horizon * observed.scale.days,
        "discount_rate": asked.discount_rate,
        "discounting": asked.discounting,
        "model": fitting.name,
        "method": fitting.options["method"],
        "draws": asked.draws,
        "interval": asked.interval,
        "bootstrap": bootstrap,
        "random_seed": asked.seed,
    }


def _last_date(reading: Reading, period: int) -> str:
    """Last day of a period, or its hour."""
    unit = reading.calendar.scale.time_unit
    if unit == "h":
        return reading.calendar.date(period)
    end = pd.Period(reading.calendar.moment(period), freq=PERIOD_FREQUENCY[unit])
    return str(end.end_time.date())


def _checked(interval: float, discounting: str, discount_rate: float, bootstrap: int) -> float:
    check_choice("discounting", discounting, get_args(Discounting))
    annual_rate_to_delta(discount_rate)
    if not 0 < interval < 1:
        raise DomainError(f"interval={interval!r} must lie between 0 and 1, such as 0.9.")
    if bootstrap != int(bootstrap) or not 0 <= bootstrap <= MAX_BOOTSTRAP:
        raise DomainError(
            f"bootstrap={bootstrap!r} must be a whole number of samples, 0 to {MAX_BOOTSTRAP:,}."
        )
    return float(interval)
