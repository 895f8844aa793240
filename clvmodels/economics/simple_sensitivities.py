"""Which input of the simple formula moves lifetime value most."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from clvmodels.economics.inputs import SimpleInputs
from clvmodels.economics.simple_figures import SimpleClv
from clvmodels.errors import DomainError
from clvmodels.keywords import named
from clvmodels.schema import check_choice, check_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Over", "simple_sensitivity"]

Over = Literal["horizon", "lifetime"]

# Input -> the largest value that it can have
_LIMITS: Final = {
    "order_value": math.inf,
    "orders_per_year": math.inf,
    "margin": 1.0,
    "churn": 1.0,
}
_BETTER: Final = dict.fromkeys(_LIMITS, "raise") | {"churn": "lower"}


@named
def simple_sensitivity(
    inputs: SimpleClv | SimpleInputs, *, change: float = 0.01, over: Over = "horizon"
) -> pd.DataFrame:
    """By how much value rises and falls when one input is changed by a percent.

    Order value, frequency and margin are factors, so that a percent of each is a percent
    of value. A percent less churn is worth 1 % over the lifetime 1 / churn. Over a
    horizon retention is (1 - churn)^t: where few leave, a percent of these few is worth
    less than that, where most leave within the year it is worth more.

    Parameters
    ----------
    inputs : SimpleClv or SimpleInputs
        Where to start from.
    change : float
        Relative change of each input, in (0, 1): 0.01 is one percent.
    over : {"horizon", "lifetime"}
        Which value: over the horizon, discounted, or over the lifetime.

    Returns
    -------
    DataFrame
        One row per input, the one that raises value most per percent first: input,
        better ("raise" or "lower"), per_percent (percent that value gains per percent of
        that), at, lowered_to, raised_to, value, value_lowered, value_raised,
        change_lowered and change_raised (shares of value), and note, why something is
        not available: a margin or churn of more than 1.

    Raises
    ------
    DomainError
        The change is not in (0, 1), or value is 0 or infinite, where percents of it
        have no meaning.

    Examples
    --------
    >>> start = SimpleInputs(order_value=50, orders_per_year=4, margin=0.5, churn=0.25)
    >>> simple_sensitivity(start, over="lifetime")[["input", "better", "per_percent"]].round(4)
                 input better  per_percent
    0            churn  lower       1.0101
    1      order_value  raise       1.0000
    2  orders_per_year  raise       1.0000
    3           margin  raise       1.0000
    """
    import pandas as pd

    check_choice("over", over, get_args(Over))
    if not 0 < check_number("change", change) < 1:
        raise DomainError(f"change={change!r} must lie between 0 and 1: 0.01 is one percent.")
    start = inputs.inputs if isinstance(inputs, SimpleClv) else inputs
    value = _value(start, over)
    if not (math.isfinite(value) and value > 0):
        advice = "use over='horizon'" if over == "lifetime" else "use a finite horizon"
        if value > 0:
            raise DomainError(f"The value over the {over} is {value:g} without churn: {advice}.")
        raise DomainError(f"The value over the {over} is {value:g}: see which input is 0.")
    rows = [_row(start, name, change, over, value) for name in _LIMITS]
    table = pd.DataFrame(rows)
    # Rounding must not order inputs that count alike
    order = table["per_percent"].round(9).sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def _row(start: SimpleInputs, name: str, change: float, over: Over, value: float) -> dict[str, Any]:
    at = float(getattr(start, name))
    ends = {"lowered": at * (1.0 - change), "raised": at * (1.0 + change)}
    values = {
        end: _value(_moved(start, name, moved), over) if moved <= _LIMITS[name] else math.nan
        for end, moved in ends.items()
    }
    gain = values["lowered" if _BETTER[name] == "lower" else "raised"] / value - 1.0
    return {
        "input": name,
        "better": _BETTER[name],
        "per_percent": gain / change,
        "at": at,
        **{f"{end}_to": moved for end, moved in ends.items()},
        "value": value,
        **{f"value_{end}": found for end, found in values.items()},
        **{f"change_{end}": found / value - 1.0 for end, found in values.items()},
        "note": _note(name, at, ends["raised"]),
    }


def _moved(start: SimpleInputs, name: str, value: float) -> SimpleInputs:
    changed: Any = {name: value}
    return replace(start, **changed)


def _note(name: str, at: float, raised: float) -> str:
    if name == "churn" and at == 0:
        return "there is no churn to lower"
    return f"{name} cannot be more than 1" if raised > _LIMITS[name] else ""


def _value(inputs: SimpleInputs, over: Over) -> float:
    return inputs.value if over == "horizon" else inputs.lifetime_value
