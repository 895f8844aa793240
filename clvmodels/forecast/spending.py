"""What draws of spend say: Gamma-Gamma's p, q, v, or the one value of every purchase."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.strata import plain, stratum_of
from clvmodels.purchases.design import Design
from clvmodels.schema import FloatArray

BASKET: Final = "value"  # the only parameter of a fixed basket
Spend = Mapping[str, FloatArray]


def is_fixed(spend: Spend) -> bool:
    """Whether every purchase has the same value, whoever makes it."""
    return BASKET in spend


@dataclass(frozen=True, slots=True)
class SpendEffects:
    """By how much v differs from stratum to stratum.

    All amounts of a customer go with v, so a stratum is the whole base in another money.

    Attributes
    ----------
    design : Design
        Of spend, by the strata that customers' x have in them.
    draws : mapping of str to ndarray, shape (S, ...)
        Of its effects.
    """

    design: Design
    draws: Mapping[str, Any]

    def times(self, stratum: int) -> Any:
        """What v is multiplied by for customers of a stratum, in every draw."""
        return np.exp(self.design.eta("spend", stratum, self.draws))


def split_effects(
    draws: Mapping[str, Any], design: Design | None
) -> tuple[dict[str, Any], SpendEffects | None]:
    """Draws of the average customer's spend, and of what covariates do to it, if they do."""
    if design is None:
        return dict(draws), None
    own = {name: values for name, values in draws.items() if name not in design.drawn}
    return own, SpendEffects(design, {name: draws[name] for name in design.drawn})


def at_strata(
    formula: Callable[..., FloatArray], design: Design | None
) -> Callable[..., FloatArray]:
    """A formula of (x, m_bar) in points as it is where v differs by the stratum in x.

    Parameters
    ----------
    formula : callable
        Of `clvmodels.formulas.gamma_gamma`.
    design : Design or None
        None where v does not differ.

    Returns
    -------
    callable
        Takes x, with strata, and m_bar, of shape (N,), and by name draws of p, q, v and all
        effects, of shape (S, 1); returns shape (S, N).
    """
    if design is None:
        return formula

    def by_stratum(x: FloatArray, m_bar: FloatArray, **draws: FloatArray) -> FloatArray:
        spend, effects = split_effects(draws, design)
        assert effects is not None
        found, strata = np.empty((len(spend["v"]), len(x))), stratum_of(x)
        for g in np.unique(strata):
            rows = strata == g
            own = spend | {"v": spend["v"] * effects.times(int(g))}
            found[:, rows] = formula(plain(x[rows]), m_bar[rows], **own)
        return found

    return by_stratum


def scales(
    spend: Spend | None, effects: SpendEffects | None, kinds: FloatArray, count: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """What amounts go with: v, or the value of a basket, and 1 where nothing is known.

    Parameters
    ----------
    spend : mapping of str to ndarray, shape (S,), or None
    effects : SpendEffects or None
        By which v differs.
    kinds : ndarray, shape (N,)
        Purchases with the strata of customers.
    count : int
        Draws, S.

    Returns
    -------
    scale : ndarray, shape (V, S)
        The different ones.
    place : ndarray of int, shape (N,)
        Which each has.
    """
    if spend is None:
        common = np.ones(count)
    else:
        common = np.ascontiguousarray(spend[BASKET if is_fixed(spend) else "v"])
    if effects is None:
        return common[None], np.zeros(len(kinds), dtype=np.int64)
    strata, place = np.unique(stratum_of(kinds), return_inverse=True)
    return np.array([common * effects.times(int(g)) for g in strata]), place


def coefficients(
    spend: Spend | None, counts: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Intercept and slope of the expected spend, which is intercept + slope m_bar.

    Parameters
    ----------
    spend : mapping of str to ndarray, shape (S,), or None
        None where nothing is known: a purchase then counts as one.
    counts : ndarray, shape (X,)
        Amounts that m_bar is the mean of.
    scale : ndarray, shape (X, S) or (1, S)
        What their amounts go with, of `scales`.

    Returns
    -------
    intercept, slope : ndarray, shape (X, S) or (X, 1)
        Where a draw makes the expected spend infinite, the intercept is infinite.
    """
    if spend is None or is_fixed(spend):
        intercept = np.broadcast_to(scale, (len(counts), scale.shape[1]))
        return intercept, np.zeros_like(intercept)
    found = gamma_gamma.spend_coefficients(counts[:, None], **{**spend, "v": scale})
    return found.intercept, found.slope


def infinite(spend: Spend | None, x: float) -> npt.NDArray[np.bool_]:
    """In which draws the expected spend is infinite after x amounts, shape (S,)."""
    if spend is None or is_fixed(spend):
        return np.zeros(1, dtype=bool)
    return np.asarray(spend["p"] * x + spend["q"] <= 1)


def mean_of_new(spend: Spend) -> FloatArray:
    """Expected spend of a customer not yet acquired, shape (S,)."""
    return spend[BASKET] if is_fixed(spend) else gamma_gamma.population_mean(**spend)


def shapes(spend: Spend, counted: float) -> tuple[FloatArray, FloatArray]:
    """p, q as simulations take them: p is 0 where every purchase has one value.

    They know repeat purchases: of a first order that counts, q has its share.
    """
    if is_fixed(spend):
        value = spend[BASKET]
        return np.zeros(len(value)), np.ones(len(value))
    p, q = (np.ascontiguousarray(spend[name]) for name in ("p", "q"))
    return p, q + counted * p
