"""Numbers as words: the same few ways of writing them in every sentence of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clvmodels.schema import FloatArray, Horizon, TimeScale
from clvmodels.sentences import percent as percent


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with a few significant digits; whole ones from 1,000 on in full."""
    if value is None or not math.isfinite(value):
        return "unavailable" if value is None or math.isnan(value) else "infinite"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def money(value: float | None, currency: str = "") -> str:
    """Write an amount, with its currency where there is one."""
    if value is None or not math.isfinite(value):
        return "unavailable"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
    return f"{currency}{text}" if len(currency) <= 1 else f"{text} {currency}"


def round_number(value: float) -> str:
    """Write a number as it is said: three digits, millions by name."""
    size = abs(value)
    for unit, name in ((1e9, "billion"), (1e6, "million")):
        if size >= 0.9995 * unit:
            return f"{value / unit:.3g} {name}"
    return f"{float(f'{value:.3g}'):,.0f}" if size >= 100 else number(value)


def round_money(value: float, currency: str = "") -> str:
    """Write an amount as it is said: three digits, with its currency."""
    if not 100 <= abs(value) < math.inf:
        return money(value, currency)
    text = round_number(value)
    return f"{currency}{text}" if len(currency) <= 1 else f"{text} {currency}"


def profit_or_revenue(margin: float) -> str:
    """Name money by the margin that is in it."""
    if margin == 1:
        return "revenue, no margin applied"
    return f"profit, at a margin of {percent(margin)}"


def span(lower: str, upper: str) -> str:
    """Write an interval."""
    return f"{lower} to {upper}"


def listed(items: Sequence[str], *, most: int = 6) -> str:
    """Join names by commas, and say how many more there are."""
    shown = list(items[:most])
    more = len(items) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def unit_of(scale: TimeScale) -> str:
    """Name the unit of time, such as "days" or "units of 10 days"."""
    return scale.unit_name


def horizon_of(horizon: Horizon, scale: TimeScale) -> str:
    """Name a horizon, such as "the next 365 days"."""
    length = scale.horizon(horizon)
    if math.isinf(length):
        return "their remaining lifetime"
    return f"the next {scale.horizon_words(horizon)}"


def short(values: FloatArray, digits: int = 6) -> list[float | None]:
    """Round numbers to some significant digits for a figure; None where not finite."""
    return [
        float(f"{value:.{digits}g}") if math.isfinite(value) else None
        for value in np.asarray(values, dtype=np.float64).reshape(-1).tolist()
    ]
