"""The model's forecasts: expectations, and the distributions of what will really happen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.evaluation.baselines import POINT, Forecast
from clvmodels.evaluation.fitting import FittedModel
from clvmodels.evaluation.metrics import LEVELS, Target
from clvmodels.evaluation.observed import Observed
from clvmodels.evaluation.over_dates import WITHOUT
from clvmodels.evaluation.tracking import total_purchases
from clvmodels.forecast import tail_probabilities
from clvmodels.posterior import CLVPosterior
from clvmodels.predictive import (
    count_distribution,
    forecast_total,
    portfolio,
    value_distribution,
)
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.schema import Discounting, FloatArray

PATHS: Final = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the model beside the split.

    Attributes
    ----------
    discount_rate : float
    discounting : {"continuous", "monthly"}
    interval : float
        Probability of the intervals that are shown; the others are `LEVELS`.
    draws : int
        Posterior draws to use.
    seed : int
        Of whatever is simulated.
    calendar : {"auto", "none", "learnt"} or float
        Doubt about what moves all customers at once, in a table of totals of its own.
    """

    discount_rate: float
    discounting: Discounting
    interval: float
    draws: int
    seed: int
    calendar: CalendarChoice = "none"

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of predictive intervals, the one that is shown among them."""
        return tuple(sorted({*LEVELS, self.interval}))


def expected(observed: Observed, posterior: FittedModel, asked: Asked, name: str) -> Forecast:
    """What a posterior expects of every customer."""
    note = "parameters at the means of their logarithms" if name == POINT else ""
    if isinstance(posterior, CLVPosterior):
        scores = posterior.predict(
            observed.train,
            horizon=observed.terms.horizon,
            discount_rate=asked.discount_rate,
            discounting=asked.discounting,
            interval=asked.interval,
            draws=asked.draws,
        )
        return Forecast(
            name, scores["expected_purchases"].to_numpy(), scores["clv"].to_numpy(), note
        )
    counts = count_distribution(
        posterior, observed.train, horizon=observed.terms.horizon, draws=asked.draws
    )
    return Forecast(name, counts.mean, None, note)


def purchases_target(
    observed: Observed, posterior: FittedModel, forecasts: list[Forecast], asked: Asked
) -> Target:
    """Counts, with what the model's predictive distribution gave to what happened."""
    actual = observed.bought.astype(np.float64)
    by_name = {forecast.name: forecast.purchases for forecast in forecasts}
    counts = count_distribution(
        posterior, observed.train, horizon=observed.terms.horizon, draws=asked.draws
    )
    lower, upper = _ends(counts.quantile(_tails(asked)), asked)
    return Target(
        "purchases",
        actual,
        by_name,
        crps=counts.crps(actual),
        log_score=counts.log_score(actual),
        lower=lower,
        upper=upper,
    )


def value_target(
    observed: Observed, posterior: FittedModel, forecasts: list[Forecast], asked: Asked
) -> Target | None:
    """Discounted value; None for a log without amounts, or where nobody has a finite one."""
    spent = observed.spent
    if spent is None or not isinstance(posterior, CLVPosterior):
        return None
    by_name = {f.name: f.value for f in forecasts if f.value is not None}
    who = has_value(forecasts)
    if not who.any():
        return None
    values = value_distribution(
        posterior,
        observed.train,
        horizon=observed.terms.horizon,
        discount_rate=asked.discount_rate,
        discounting=asked.discounting,
        draws=asked.draws,
        random_seed=asked.seed,
    )
    quantiles, crps = values.quantile_and_crps(_tails(asked), spent)
    lower, upper = _ends(quantiles[:, who], asked)
    return Target(
        "value",
        spent[who],
        {name: value[who] for name, value in by_name.items()},
        crps=crps[who],
        lower=lower,
        upper=upper,
        who=who if not who.all() else None,
    )


def has_value(forecasts: list[Forecast]) -> npt.NDArray[np.bool_]:
    """Whether all forecasts of a customer's value are there, shape (N,)."""
    values = [f.value for f in forecasts if f.value is not None]
    return np.asarray(~np.isnan(np.column_stack(values)).any(axis=1))


def total_draws(observed: Observed, posterior: FittedModel, asked: Asked) -> dict[str, FloatArray]:
    """Draws of the totals of the base that would really come, by target."""
    horizon = observed.terms.horizon
    if not isinstance(posterior, CLVPosterior):
        draws = total_purchases(observed, posterior, paths=PATHS, seed=asked.seed)
        return {"purchases": draws}
    found = portfolio(
        posterior,
        observed.train,
        horizon=horizon,
        discount_rate=asked.discount_rate,
        discounting=asked.discounting,
        draws=asked.draws,
        paths=PATHS,
        random_seed=asked.seed,
    )
    return {name: found.draws(name) for name in ("purchases", "value")}


def calendar_rows(
    observed: Observed, posterior: FittedModel, targets: list[Target], asked: Asked, clock: str
) -> list[dict[str, Any]]:
    """Rows of the table of totals without doubt about the calendar, and with it.

    ``clock`` says of the posterior whether it has one; see `clvmodels.evaluation.over_dates`.
    """
    actual = {t.name: float(t.actual.sum()) for t in targets if t.who is None}
    rows = []
    learnt = clock != WITHOUT or asked.calendar != "learnt"
    for calendar in dict.fromkeys(("none", asked.calendar if learnt else "auto")):
        terms: Any = {"draws": asked.draws, "random_seed": asked.seed, "calendar": calendar}
        found = forecast_total(
            posterior,
            observed.train,
            horizon=observed.terms.horizon,
            discount_rate=asked.discount_rate,
            discounting=asked.discounting,
            interval=asked.interval,
            **terms,
        )
        for one in found.table.to_dict("records"):
            if one["total"] not in actual:
                continue
            real, lower, upper = actual[one["total"]], float(one["lower"]), float(one["upper"])
            missed = max(lower - real, 0.0) + max(real - upper, 0.0)
            score = upper - lower + 2.0 / (1.0 - asked.interval) * missed
            rows.append(
                {"target": one["total"], "clock": clock, "calendar": found.calendar.source}
                | {"calendar_sd": found.calendar.sd, "level": asked.interval}
                | {"forecast": float(one["mean"]), "lower": lower, "upper": upper}
                | {"actual": real, "inside": bool(lower <= real <= upper)}
                | {"interval_score": score / real if real else math.nan}
            )
    return rows


def _tails(asked: Asked) -> list[float]:
    return [(1.0 - c) / 2.0 for c in asked.levels] + [(1.0 + c) / 2.0 for c in asked.levels]


def _ends(
    quantiles: FloatArray, asked: Asked
) -> tuple[dict[float, FloatArray], dict[float, FloatArray]]:
    """Quantiles of `_tails`, shape (2 L, N), as ends by level."""
    count = len(asked.levels)
    lower = dict(zip(asked.levels, quantiles[:count], strict=True))
    return lower, dict(zip(asked.levels, quantiles[count:], strict=True))


def totals_rows(target: Target, samples: FloatArray, asked: Asked) -> list[dict[str, Any]]:
    """Rows of the table of totals.

    Parameters
    ----------
    target : Target
        What was forecast and what happened.
    samples : ndarray, shape (S,)
        Draws of the total that would really come.
    asked : Asked
        Says the levels.
    """
    forecast = float(target.forecasts[target.model].sum())
    actual = float(target.actual.sum())
    rows = []
    for level in asked.levels:
        lower, upper = (float(end) for end in np.quantile(samples, tail_probabilities(level)))
        row = {"target": target.name, "level": level, "forecast": forecast}
        row |= {"lower": lower, "upper": upper, "actual": actual}
        rows.append(row | {"inside": bool(lower <= actual <= upper)})
    return rows
