"""The table that a warehouse scores with: a row for each x and each of its few draws.

What a column holds, the statement says that reads it (`clvmodels.warehouse.statement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from clvmodels.forecast import Draws, Future, infinite_share
from clvmodels.machine import cores_for
from clvmodels.progress import telling_part
from clvmodels.purchases.alive_in_sql import PHASE, AliveInSql
from clvmodels.schema import FREQUENCY, FloatArray
from clvmodels.warehouse.few_draws import Few, Polynomials, Span, degree, few_of, strip_of

if TYPE_CHECKING:
    import pandas as pd

LEAST: Final = "recency_from"
MIDDLE: Final = "middle"
HALF: Final = "half"
SPEND: Final = "spend"
SLOPE: Final = "spend_slope"


@dataclass(frozen=True, slots=True, eq=False)
class CoefficientTable:
    """The table, and what the statement must know of it.

    Attributes
    ----------
    rows : pandas.DataFrame
        Columns of numbers.
    degrees : mapping of str to int
        Of the polynomials in each column's name.
    alive : AliveInSql
        How P(alive) comes about: of which functions are of t_x, the other degrees are of T.
    shift : float
        c of u = ln(c + t), of which polynomials are.
    """

    rows: pd.DataFrame
    degrees: Mapping[str, int]
    alive: AliveInSql
    shift: float


def table_of(draws: Draws, future: Future, span: Span, alive: AliveInSql) -> CoefficientTable:
    """Make the table for all x up to the greatest, of who is alive as the family says."""

    def one(x: int) -> dict[str, FloatArray]:
        few = few_of(draws, x, span)
        polynomials = Polynomials(draws, future.due, span, x)
        nodes = polynomials.nodes
        of_x = {FREQUENCY: x, LEAST: span.least(x), MIDDLE: nodes.middle, HALF: nodes.half}
        alike = {name: np.full(len(few.draw), float(value)) for name, value in of_x.items()}
        own = _alive(alive, draws, x, few, polynomials)
        return {**alike, **own, **polynomials.of(few)}

    told, parts = telling_part(), []
    with ThreadPoolExecutor(cores_for(None)) as pool:
        for part in pool.map(one, range(span.most_purchases + 1)):
            parts.append(part)
            told(len(parts) / (span.most_purchases + 1))
    degrees = {
        name: max(degree(part[name]) for part in parts)
        for name, values in parts[0].items()
        if values.ndim == 2
    }
    shift, _ = strip_of(draws)
    return CoefficientTable(_framed(parts, degrees, draws), degrees, alive, shift)


def _alive(
    alive: AliveInSql, draws: Draws, x: int, few: Few, polynomials: Polynomials
) -> dict[str, FloatArray]:
    """What P(alive) owes to x and the draw, and polynomials."""
    chosen = {name: values[few.draw] for name, values in draws.purchases.items()}
    found = alive.columns(float(x), chosen)
    if draws.formulas.phases > 1:
        found[PHASE] = few.phase.astype(float)
    for name, function in {**alive.of_recency, **alive.of_age}.items():
        found[name] = polynomials.through(function(float(x), polynomials.times, chosen))
    return found


def _framed(
    parts: list[dict[str, FloatArray]], degrees: Mapping[str, int], draws: Draws
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, FloatArray] = {}
    for name in parts[0]:
        if name not in degrees:
            columns[name] = np.concatenate([part[name] for part in parts])
            continue
        for n in range(degrees[name] + 1):
            columns[f"{name}_{n}"] = np.concatenate([_term(part[name], n) for part in parts])
    if draws.spend is not None:
        columns |= _spend(draws, columns[FREQUENCY])
    # Infinite where nothing is discounted and customers may live for ever
    return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan)


def _term(coefficients: FloatArray, n: int) -> FloatArray:
    """Those of the n-th power, 0 beyond a polynomial's degree."""
    return coefficients[n] if n < len(coefficients) else np.zeros(coefficients.shape[1])


def _spend(draws: Draws, x: FloatArray) -> dict[str, FloatArray]:
    """Expected spend is spend + spend_slope m_bar; empty where a draw makes it infinite."""
    intercept, slope = draws.spend_line(x)
    finite = infinite_share(draws, x) == 0
    return {
        name: np.where(finite, np.where(finite[:, None], values, 0.0).mean(axis=1), np.nan)
        for name, values in ((SPEND, intercept), (SLOPE, slope))
    }
