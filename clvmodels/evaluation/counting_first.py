"""Whether the first order should count in spend: both choices, judged by what came.

Apart, since what is compared here is no forecast of the tables: two versions of one model, at the
most likely point of each spend, and what is said is a recommendation.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import pandas as pd

from clvmodels.evaluation.baselines import MODEL
from clvmodels.evaluation.evaluated import Evaluated, Plan, beyond_chance
from clvmodels.evaluation.fitting import FittedModel, centre
from clvmodels.evaluation.metrics import Target, metric_rows, replicate
from clvmodels.evaluation.model_forecasts import expected
from clvmodels.posterior import CLVPosterior
from clvmodels.sentences import percent
from clvmodels.verdict import Check

CHECK: Final = "gain in the Gini of value where first orders count"
_OTHER: Final = {"exclude": "include", "include": "exclude", "covariate": "exclude"}
_ORDER, _SINGLE, _TOTAL = "gini", "mae", "bias"


def first_order_check(main: Evaluated, plan: Plan) -> Check | None:
    """Hold the model against itself with first orders counted, or left out; None without spend."""
    value = next((one for one in main.targets if one.name == "value"), None)
    own = plan.fitting.first_order
    posterior = centre(main.posterior)
    if value is None or own is None or not isinstance(posterior, CLVPosterior):
        return None
    made = {}
    for choice in (own, _OTHER[own]):
        fitted = _counting(posterior, main, plan, choice)
        values = expected(main.observed, fitted, plan.asked, MODEL).value
        assert values is not None
        made[choice] = values if value.who is None else values[value.who]
    if any(pd.isna(values).any() for values in made.values()):
        return None  # an expected spend is infinite at the point itself
    target = Target("value", value.actual, made)
    found = replicate(target, samples=plan.bootstrap, seed=plan.asked.seed)
    interval = plan.asked.interval
    rows = metric_rows(target, found, interval, metrics=(_ORDER, _SINGLE, _TOTAL))
    return _judged(beyond_chance(pd.DataFrame(rows), interval), own)


def _counting(posterior: CLVPosterior, main: Evaluated, plan: Plan, choice: str) -> FittedModel:
    """The same purchases, with spend at its most likely point."""
    model = plan.fitting.specification().replace(spend__first_order=choice)
    how: dict[str, Any] = {**plan.fitting.options, "method": "map", "on_failure": "warn"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        spend: Any = model.spend.fit(main.observed.train, **how)  # type: ignore[union-attr]
    return CLVPosterior(posterior.purchases, spend, margin=posterior.margin)


def _judged(table: pd.DataFrame, own: str) -> Check:
    other = _OTHER[own]
    rows = table.set_index(["metric", "forecast"])
    value = rows["value"]
    told = {name: str(rows.loc[(name, other), "model_is"]) for name in (_ORDER, _SINGLE)}
    counted, out = (other, own) if own == "exclude" else (own, other)
    figures = (
        f"With first_order={counted!r} the Gini of value is {value[_ORDER, counted]:.3f}, with "
        f"{out!r} {value[_ORDER, out]:.3f}; the mean absolute error is "
        f"{value[_SINGLE, counted]:.4g} and {value[_SINGLE, out]:.4g}, and the total is off by "
        f"{_signed(value[_TOTAL, counted])} and {_signed(value[_TOTAL, out])}."
    )
    gain = float(value[_ORDER, counted] - value[_ORDER, out])
    said = f"{figures} {_advice(told, own, other, value)}"
    return Check(CHECK, gain, None, "pass", said, bears_on=())


def _advice(told: dict[str, str], own: str, other: str, value: Any) -> str:
    """What to do: the other choice where it is better beyond chance, else this one."""
    won = [name for name, is_ in told.items() if is_ == "worse"]  # the model's own choice is
    lost = [name for name, is_ in told.items() if is_ == "better"]
    what = {_ORDER: "ranks customers", _SINGLE: "forecasts single customers"}
    if not won:
        why = "is better beyond chance" if lost else "does not differ from it beyond chance"
        subject = "This" if lost else f"first_order={other!r}"
        return f"{subject} {why}: keep first_order={own!r}."
    said = " and ".join(what[name] for name in won)
    text = f"first_order={other!r} {said} better beyond chance: fit with it"
    further_off = abs(value[_TOTAL, other]) > abs(value[_TOTAL, own])
    return f"{text}, but keep {own!r} for totals." if further_off else f"{text}."


def _signed(error: float) -> str:
    return f"{'+' if error > 0 else '-'}{percent(abs(error))}"
