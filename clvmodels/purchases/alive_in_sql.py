"""How a warehouse computes who is alive: what a family says of it in SQL.

The expression has words that every warehouse knows (LN, EXP, CASE, LEAST, GREATEST), the times
of a history as ``t_x`` and ``age``, and ``{name}`` for numbers of its x and of a draw. Those
that depend on x alone are columns; what depends on x and a time is a function of that time,
which the table of coefficients keeps as a polynomial (`clvmodels.warehouse`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from clvmodels.formulas.pareto_nbd import log_first
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.formulas.beta_dropout import BetaDropout
    from clvmodels.purchases.family import Draws

PHASE: Final = "phase"
_CUT: Final = 300  # PostgreSQL refuses exponentials of less than -745
_NEVER: Final = -1e300  # a logarithm of 0 that every warehouse can store
_PASSED: Final = "{power} * LN(({alpha} + age) / ({alpha} + t_x))"


type Function = Callable[[float, FloatArray, Draws], FloatArray]


@dataclass(frozen=True, slots=True)
class AliveInSql:
    """P(alive, in phase) of a history in one draw, as an expression.

    Attributes
    ----------
    text : str
        The expression; of a family of several phases, ``{phase}`` says of which.
    columns : callable
        Takes x and draws of shape (k,) by name, and returns the numbers that ``{name}`` stands
        for: finite, of shape (k,), by name.
    of_recency, of_age : mapping of str to callable
        By name what takes x, times of shape (n,) and draws, and returns a function of t_x or
        of T, shape (n, k), that is analytic in ln(c + time) where `Family.strip` says.
    """

    text: str
    columns: Callable[[float, Draws], dict[str, FloatArray]]
    of_recency: Mapping[str, Function] = field(default_factory=dict)
    of_age: Mapping[str, Function] = field(default_factory=dict)


def exp_in_sql(log: str) -> str:
    """Write an exponential that no warehouse refuses, of an expression."""
    return f"EXP(LEAST({_CUT}.0, GREATEST(-{_CUT}.0, {log})))"


def dropout_in_sql(formulas: BetaDropout, phases: int) -> AliveInSql:
    """Of those who leave at purchases: the odds of each phase beside those of having left.

    Parameters
    ----------
    formulas : BetaDropout
        Of the family.
    phases : int
        k, of Erlang-k timing: one who has had j stages since t_x has odds of
        ((T - t_x) / (alpha + T))^j (R)_j / j! beside one who has had none.
    """

    def columns(x: float, draws: Draws) -> dict[str, FloatArray]:
        odds = formulas.log_odds_terms(x, **draws)
        power = odds.power + np.zeros(len(draws["alpha"]))
        log_odds = np.maximum(odds.offset, _NEVER)
        return {"alpha": draws["alpha"], "power": power, "log_odds": log_odds}

    odds = ["1.0"]
    for j in range(1, phases):
        step = f"(age - t_x) / ({{alpha}} + age) * ({{power}} + {j - 1}) / {j}"
        odds.append(step if j == 1 else f"{odds[-1]} * {step}")
    left = exp_in_sql(f"{{log_odds}} + {_PASSED}")
    cases = " ".join(f"WHEN {{{PHASE}}} = {j} THEN {one}" for j, one in enumerate(odds))
    own = f"CASE {cases} END" if phases > 1 else "1.0"
    own = f"({own})" if phases > 1 else own
    return AliveInSql(f"{own} / ({' + '.join(odds)} + {left})", columns)


def leaving_in_sql() -> AliveInSql:
    """Of Pareto/NBD: 1 / (p + e^(a(T) - a(t_x)) q), as `clvmodels.purchases.pareto_nbd` has it."""

    def columns(x: float, draws: Draws) -> dict[str, FloatArray]:
        power = draws["r"] + x
        return {"alpha": draws["alpha"], "power": power, "beta": draws["beta"], "s": draws["s"]}

    def first(x: float, times: FloatArray, draws: Draws, *, purchase: bool) -> FloatArray:
        t = times[:, None]
        living = draws["r"] + x, draws["alpha"] + t, draws["s"], draws["beta"] + t
        return log_first(living, purchase=purchase)

    left = f"{_PASSED} + {{s}} * LN(({{beta}} + age) / ({{beta}} + t_x))\n      + {{log_leaves}}"
    return AliveInSql(
        f"1.0 / (EXP({{log_buys}})\n      + {exp_in_sql(left)})",
        columns,
        of_recency={"log_leaves": partial(first, purchase=False)},
        of_age={"log_buys": partial(first, purchase=True)},
    )
