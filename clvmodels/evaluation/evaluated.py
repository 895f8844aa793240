"""One cut of a log: forecasts, what happened, and the parts of the report about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from clvmodels.errors import SchemaError
from clvmodels.evaluation import checks
from clvmodels.evaluation.baselines import LABELS, MODEL, PLAIN, POINT, Forecast, baselines
from clvmodels.evaluation.cut_dates import Span
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.fitting import FittedModel, Fitting, centre
from clvmodels.evaluation.metrics import (
    Replicates,
    Target,
    calibration_rows,
    coverage_rows,
    metric_rows,
    replicate,
)
from clvmodels.evaluation.model_forecasts import (
    Asked,
    expected,
    has_value,
    purchases_target,
    total_draws,
    totals_rows,
    value_target,
)
from clvmodels.evaluation.next_purchases import next_purchases
from clvmodels.evaluation.observed import Observed
from clvmodels.evaluation.repeats import repeats
from clvmodels.evaluation.tracking import tracking
from clvmodels.posterior import CLVPosterior
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, MONETARY_VALUE, RECENCY, T

_PATHS: Final = 200
STEPS: Final = 4  # of a cut that a user may be told of
REPORT_STEPS: Final = 2  # of its tables


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
        rows = [row for t, f in pairs for row in metric_rows(t, f, interval)]
        return beyond_chance(pd.DataFrame(rows), interval)


def beyond_chance(table: pd.DataFrame, interval: float) -> pd.DataFrame:
    """Leave "better" and "worse" only where they hold of all comparisons together.

    Of forty comparisons, four lie outside their 90 % intervals by chance alone, so they are
    judged as one family (Holm 1979, "A simple sequentially rejective multiple test
    procedure", Scandinavian Journal of Statistics 6, 65-70). How unlikely each is by chance
    is read off the end of its interval that is nearer to 0, as of a normal distribution.
    """
    difference = table["difference"].to_numpy(dtype=np.float64)
    ends = table[["difference_lower", "difference_upper"]].to_numpy(dtype=np.float64)
    near = np.where(difference > 0, ends[:, 0], ends[:, 1])
    told = table["model_is"].isin(["better", "worse"]).to_numpy(copy=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(difference) / np.abs(difference - near)
    apart = np.where(np.isnan(apart), np.inf, apart)  # infinite in every sample
    chance = 2.0 * ndtr(apart * ndtri((1.0 - interval) / 2.0))
    chance = np.where(told, chance, 1.0)
    together, least = int((table["model_is"] != "").sum()), 0.0
    for rank, place in enumerate(np.argsort(chance, kind="stable")[:together]):
        least = max(least, float(chance[place]) * (together - rank))
        told[place] &= least <= 1.0 - interval
    unsure = ~told & (table["model_is"] != "")
    return table.assign(model_is=table["model_is"].mask(unsure, "unclear"))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is the same at every cut of a log.

    Attributes
    ----------
    reading : Reading
        The log.
    fitting : Fitting
        The model, and how it is fitted.
    asked : Asked
        What is asked of it.
    bootstrap : int
        Samples of customers.
    begin : callable
        Is told what begins; of every cut there are `STEPS`.
    """

    reading: Reading
    fitting: Fitting
    asked: Asked
    bootstrap: int
    begin: Callable[[str], None]


def evaluate(plan: Plan, span: Span) -> Evaluated:
    """Fit up to a date, forecast the holdout, and compare.

    Raises
    ------
    SchemaError
        None of the customers came back.
    """
    reading, asked = plan.reading, plan.asked
    until = reading.calendar.date(span.train_end)
    plan.begin(f"customers as of {until}")
    observed = reading.cut(span, asked.discount_rate, asked.discounting)
    _check_somebody_came_back(reading, observed)
    plan.begin(f"fitting to {until}")
    posterior = plan.fitting.fit(observed.train)
    plan.begin(f"predicting from {until} on")
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
    if plan.fitting.asked:
        forecasts.append(
            expected(observed, plan.fitting.without(posterior, observed.train), asked, PLAIN)
        )
    value = value_target(observed, posterior, forecasts, asked)
    targets = [purchases_target(observed, posterior, forecasts, asked)]
    targets += [] if value is None else [value]
    plan.begin(f"comparing with what came after {until}")
    found = [replicate(target, samples=plan.bootstrap, seed=asked.seed) for target in targets]
    return Evaluated(observed, posterior, forecasts, targets, found)


def _check_somebody_came_back(reading: Reading, observed: Observed) -> None:
    if observed.bought.any():
        return
    calendar, span = reading.calendar, observed.span
    raise SchemaError(
        f"None of the {observed.customers:,} customers known on {calendar.date(span.train_end)} "
        f"buys again by {calendar.date(span.test_end)}, only {observed.split.new_customers:,} new "
        f"ones do: extend the holdout (the log ends on {calendar.date(calendar.last)}), or pass "
        f"another train_period_end, such as {calendar.date(calendar.sensible())}."
    )


def report_tables(main: Evaluated, plan: Plan) -> dict[str, Any]:
    """Tables, checks and notes of one cut, under their names in `Backtest`."""
    observed, asked, interval = main.observed, plan.asked, plan.asked.interval
    pairs = list(zip(main.targets, main.found, strict=True))
    band: dict[str, Any] = {"interval": interval, "draws": asked.draws, "seed": asked.seed}
    plan.begin("simulating totals")
    totals = _totals(main, asked)
    plan.begin("following the weeks")
    tables = {
        "metrics": main.metrics(interval),
        "customers": _customers(main, interval),
        "coverage": pd.DataFrame([row for t, f in pairs for row in coverage_rows(t, f, interval)]),
        "totals": totals,
        "calibration": pd.DataFrame(
            [row for t, f in pairs for row in calibration_rows(t, f, interval)]
        ),
        "tracking": tracking(observed, main.posterior, paths=_PATHS, **band),
        "repeats": repeats(observed, main.posterior, **band),
        "next_purchases": next_purchases(observed, main.posterior, asked),
    }
    end, scale = observed.span.test_end, observed.scale
    same = checks.continuity_check(
        plan.reading.continuity(end), end, scale, of=" in the log of the backtest"
    )
    found = (*checks.judge(tables, interval), same)
    return {**tables, "checks": found, "notes": _notes(main)}


def _totals(main: Evaluated, asked: Asked) -> pd.DataFrame:
    samples = total_draws(main.observed, main.posterior, asked)
    rows = [totals_rows(target, samples[target.name], asked) for target in main.targets]
    return pd.DataFrame([row for part in rows for row in part])


def _customers(main: Evaluated, interval: float) -> pd.DataFrame:
    table = main.observed.train.to_pandas()
    names = [CUSTOMER_ID, FREQUENCY, RECENCY, T]
    names += [MONETARY_VALUE] if main.observed.has_money else []
    columns: dict[str, Any] = {}
    for target in main.targets:
        found = {"actual": target.actual, **target.forecasts}
        if interval in target.lower:
            found |= {"lower": target.lower[interval], "upper": target.upper[interval]}
        columns |= {f"{target.name}_{name}": target.in_base(v) for name, v in found.items()}
    return pd.concat([table[names], pd.DataFrame(columns)], axis=1)


def _notes(main: Evaluated) -> tuple[str, ...]:
    of_forecasts = [f"{LABELS[f.name]}: {f.note}" for f in main.forecasts if f.note]
    alone = "the model is a single point: its intervals leave out the uncertainty of the parameters"
    notes = [alone, *of_forecasts] if main.posterior.certain else of_forecasts
    return (*notes, *_without_value(main), *_untested_value(main))


def _untested_value(main: Evaluated) -> Iterator[str]:
    """Say that the value of a basket was not held against anything."""
    if main.observed.spent is None and isinstance(main.posterior, CLVPosterior):
        yield (
            f"value: the log has no amounts, so that every purchase brings "
            f"{main.posterior.basket_value:g} is not tested, and purchases alone are"
        )


def _without_value(main: Evaluated) -> Iterator[str]:
    """Say how many customers the test of value leaves out."""
    if main.forecasts[0].value is None:
        return
    has = has_value(main.forecasts)
    without = int(np.count_nonzero(~has))
    if without:
        yield (
            f"value: {without:,} of {len(has):,} customers have no expected value, since their "
            "expected spend is infinite in some draws (p x + q <= 1); forecasts and outcomes are "
            "those of the others"
        )
