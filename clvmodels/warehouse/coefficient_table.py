"""The table that a warehouse scores with: a row for each x and each of its few draws.

What a column holds, the statement says that reads it (`clvmodels.warehouse.statement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.forecast import Draws, Future, infinite_share
from clvmodels.formulas.beta_dropout import BetaDropout
from clvmodels.formulas.pareto_nbd import ParetoNBD, log_first
from clvmodels.machine import cores_for
from clvmodels.progress import telling_part
from clvmodels.schema import FREQUENCY, FloatArray
from clvmodels.warehouse.few_draws import Few, Polynomials, Span, degree, few_of

if TYPE_CHECKING:
    import pandas as pd

LEAST: Final = "recency_from"
MIDDLE: Final = "middle"
HALF: Final = "half"
SPEND: Final = "spend"
SLOPE: Final = "spend_slope"
GONE: Final = "log_leaves"  # of Pareto/NBD, by t_x
STILL: Final = "log_buys"  # and by T
_NEVER: Final = -1e300  # a logarithm of 0 that every warehouse can store


@dataclass(frozen=True, slots=True, eq=False)
class CoefficientTable:
    """The table, and what the statement must know of it.

    Attributes
    ----------
    rows : pandas.DataFrame
        Columns of numbers.
    degrees : mapping of str to int
        Of the polynomials in each column's name.
    regularity : int
        Phases of a living customer; 0 of Pareto/NBD, whose P(alive) has another form.
    shift : float
        c of u = ln(c + t), of which polynomials are.
    """

    rows: pd.DataFrame
    degrees: Mapping[str, int]
    regularity: int
    shift: float


def table_of(draws: Draws, future: Future, span: Span) -> CoefficientTable:
    """Make the table for all x up to the greatest."""

    def one(x: int) -> dict[str, FloatArray]:
        few = few_of(draws, x, span)
        polynomials = Polynomials(draws, future.due, span, x)
        own = _pareto(draws, x, few, polynomials) if _is_pareto(draws) else _beta(draws, x, few)
        nodes = polynomials.nodes
        of_x = {FREQUENCY: x, LEAST: span.least(x), MIDDLE: nodes.middle, HALF: nodes.half}
        alike = {name: np.full(len(few.draw), float(value)) for name, value in of_x.items()}
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
    shift, _ = draws.formulas.strip(draws.purchases) or (0.0, 0.0)
    return CoefficientTable(
        _framed(parts, degrees, draws),
        degrees,
        0 if _is_pareto(draws) else draws.formulas.phases,
        shift,
    )


def can_be_told(draws: Draws) -> bool:
    """Whether P(alive) of a family has a form that a warehouse computes."""
    return isinstance(draws.formulas, BetaDropout | ParetoNBD)


def _is_pareto(draws: Draws) -> bool:
    return isinstance(draws.formulas, ParetoNBD)


def _beta(draws: Draws, x: int, few: Few) -> dict[str, FloatArray]:
    """What the odds of having left owe to x and the draw."""
    formulas: Any = draws.formulas
    chosen = {name: values[few.draw] for name, values in draws.purchases.items()}
    odds = formulas.log_odds_terms(float(x), **chosen)
    found = {
        "alpha": chosen["alpha"],
        "power": odds.power + np.zeros(len(few.draw)),
        "log_odds": np.maximum(odds.offset, _NEVER),
    }
    return {**found, "phase": few.phase.astype(float)} if formulas.phases > 1 else found


def _pareto(draws: Draws, x: int, few: Few, polynomials: Polynomials) -> dict[str, FloatArray]:
    """The parameters, and the chances of what comes first to a living customer."""
    chosen = {name: values[few.draw] for name, values in draws.purchases.items()}
    t = polynomials.times[:, None]
    living = chosen["r"] + x, chosen["alpha"] + t, chosen["s"], chosen["beta"] + t
    leaves, buys = (log_first(living, purchase=one) for one in (False, True))
    return {
        "alpha": chosen["alpha"],
        "power": chosen["r"] + x,
        "beta": chosen["beta"],
        "s": chosen["s"],
        GONE: polynomials.through(leaves),
        STILL: polynomials.through(buys),
    }


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
