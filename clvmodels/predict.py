"""Draws x histories -> one row of moments and quantiles per distinct customer.

What a customer will buy given that they are alive depends on (x, T) only, P(alive) on
the history, spend on (x, m_bar); so everything is computed per distinct row, in blocks
of a bounded number of draws x rows. Purchases and spend have independent posteriors:
mean and variance of their product come from their moments, its quantiles from draws
paired after a seeded permutation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.purchases import PurchaseFormulas
from clvmodels.formulas.residual import ResidualPurchases
from clvmodels.histories import distinct_rows
from clvmodels.schema import FloatArray

# Draws x rows held at once: about a dozen arrays of 16 MB.
BLOCK_CELLS: Final = 2_000_000
_PAIRING_SEED: Final = 20050510


@dataclass(frozen=True, slots=True)
class Future:
    """What is to be predicted.

    Attributes
    ----------
    horizon : float
        In units of T; infinite for the whole remaining life.
    delta : float
        Continuous discount rate per unit of T.
    month : float or None
        Length of a month in units of T where purchases are discounted by the month.
    interval : float
        Probability of the equal-tailed intervals.
    margin : float
        Share of revenue that values are made of.
    """

    horizon: float
    delta: float
    month: float | None
    interval: float
    margin: float


@dataclass(frozen=True, slots=True)
class Draws:
    """Paired parameter draws of both models.

    Attributes
    ----------
    purchases : mapping of str to ndarray, shape (S,)
        r, alpha, a, b.
    spend : mapping of str to ndarray, shape (S,)
        p, q, v, already permuted against the purchases.
    formulas : PurchaseFormulas
        Of the purchase model.
    """

    purchases: Mapping[str, FloatArray]
    spend: Mapping[str, FloatArray]
    formulas: PurchaseFormulas

    @property
    def count(self) -> int:
        """Number of draws."""
        return len(next(iter(self.purchases.values())))


def pair(
    purchases: Mapping[str, FloatArray], spend: Mapping[str, FloatArray], formulas: PurchaseFormulas
) -> Draws:
    """Pair the draws of two independent posteriors by a fixed, seeded permutation."""
    count = len(next(iter(spend.values())))
    order = np.random.default_rng(_PAIRING_SEED).permutation(count)
    return Draws(purchases, {name: values[order] for name, values in spend.items()}, formulas)


def predict_rows(
    draws: Draws, x: FloatArray, t_x: FloatArray, T: FloatArray, m_bar: FloatArray, future: Future
) -> dict[str, FloatArray]:
    """Moments and quantiles for every row.

    Parameters
    ----------
    draws : Draws
        Paired draws.
    x, t_x, T, m_bar : ndarray, shape (N,)
        Customers, in any order.
    future : Future
        Horizon, discounting, interval, margin.

    Returns
    -------
    mapping of str to ndarray, shape (N,)
        p_alive, p_purchase, expected_purchases, discounted_purchases, expected_spend,
        clv, clv_sd, and ``_lower`` and ``_upper`` of p_alive, expected_purchases,
        expected_spend and clv.
    """
    first, inverse = distinct_rows(x, T, t_x, m_bar)
    x, t_x, T, m_bar = x[first], t_x[first], T[first], m_bar[first]
    blocks = [
        _block(draws, x[rows], t_x[rows], T[rows], m_bar[rows], future)
        for rows in blocks_of(len(first), draws.count)
    ]
    return {name: np.concatenate([block[name] for block in blocks])[inverse] for name in blocks[0]}


def totals_by_draw(
    draws: Draws, x: FloatArray, t_x: FloatArray, T: FloatArray, m_bar: FloatArray, future: Future
) -> tuple[FloatArray, float]:
    """Value of all customers together in every draw.

    Parameters
    ----------
    draws, x, t_x, T, m_bar, future
        As in `predict_rows`.

    Returns
    -------
    by_draw : ndarray, shape (S,)
        Sum over customers of margin x discounted purchases x spend.
    mean : float
        Sum of the customers' clv as `predict_rows` gives it.
    """
    first, inverse = distinct_rows(x, T, t_x, m_bar)
    count = np.bincount(inverse, minlength=len(first)).astype(np.float64)
    x, t_x, T, m_bar = x[first], t_x[first], T[first], m_bar[first]
    by_draw, mean = np.zeros(draws.count), 0.0
    for rows in blocks_of(len(first), draws.count):
        alive, if_alive = _purchases(draws, x[rows], t_x[rows], T[rows], future)
        discounted, spend = alive * if_alive.discounted, _spend(draws, x[rows], m_bar[rows])
        by_draw += (discounted * spend) @ count[rows]
        mean += float(product_moments(discounted, spend)[0] @ count[rows])
    return future.margin * by_draw, future.margin * mean


def blocks_of(rows: int, draws: int) -> Iterator[slice]:
    """Consecutive slices of rows that keep draws x rows within bounds."""
    size = max(BLOCK_CELLS // draws, 1)
    for start in range(0, max(rows, 1), size):
        yield slice(start, min(start + size, rows))


def _block(
    draws: Draws, x: FloatArray, t_x: FloatArray, T: FloatArray, m_bar: FloatArray, future: Future
) -> dict[str, FloatArray]:
    alive, if_alive = _purchases(draws, x, t_x, T, future)
    by_draw = {name: values[:, None] for name, values in draws.purchases.items()}
    buys = draws.formulas.p_purchase(x, t_x, T, future.horizon, **by_draw)
    # Without end only draws with a > 1 have a finite number of purchases.
    endless = math.isinf(future.horizon) and bool((draws.purchases["a"] <= 1).any())
    purchases = None if endless else alive * if_alive.purchases
    discounted = alive * if_alive.discounted
    spend = _spend(draws, x, m_bar)
    value, value_sd = product_moments(discounted, spend)
    tails = tail_probabilities(future.interval)
    return {
        **_summary("p_alive", alive, tails),
        "p_purchase": buys.mean(axis=0),
        **_summary("expected_purchases", purchases, tails, rows=len(x)),
        "discounted_purchases": discounted.mean(axis=0),
        **_summary("expected_spend", spend, tails),
        **_summary("clv", future.margin * discounted * spend, tails),
        "clv": future.margin * value,
        "clv_sd": future.margin * value_sd,
    }


def _purchases(
    draws: Draws, x: FloatArray, t_x: FloatArray, T: FloatArray, future: Future
) -> tuple[FloatArray, ResidualPurchases]:
    """P(alive), and purchases of the living, for draws by rows."""
    by_draw = {name: values[:, None] for name, values in draws.purchases.items()}
    alive = draws.formulas.p_alive(x, t_x, T, **by_draw)
    first, inverse = distinct_rows(x, T)
    found = draws.formulas.if_alive_block(
        x[first], T[first], future.horizon, future.delta, **draws.purchases, month=future.month
    )
    return alive, ResidualPurchases(found.purchases[:, inverse], found.discounted[:, inverse])


def _spend(draws: Draws, x: FloatArray, m_bar: FloatArray) -> FloatArray:
    """Expected spend per purchase, for draws by rows."""
    by_draw = {name: values[:, None] for name, values in draws.spend.items()}
    first, inverse = distinct_rows(x, m_bar)
    found: FloatArray = gamma_gamma.expected_spend(x[first], m_bar[first], **by_draw)
    return found[:, inverse]


def _summary(
    name: str, values: FloatArray | None, tails: tuple[float, float], *, rows: int = 0
) -> dict[str, FloatArray]:
    """Mean and interval over draws; NaN where there is no finite number to speak of."""
    if values is None:
        return {f"{name}{end}": np.full(rows, np.nan) for end in ("", "_lower", "_upper")}
    lower, upper = np.quantile(values, tails, axis=0)
    return {name: values.mean(axis=0), f"{name}_lower": lower, f"{name}_upper": upper}


def product_moments(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and sd over draws of the product of two independent quantities.

    Parameters
    ----------
    one, other : ndarray, shape (S, ...)
        Draws of each.

    Returns
    -------
    mean, sd : ndarray, shape (...)
        From the moments of each, so that no accidental pairing of the draws enters.
    """
    mean_1, mean_2 = one.mean(axis=0), other.mean(axis=0)
    var_1, var_2 = one.var(axis=0), other.var(axis=0)
    variance = var_1 * mean_2**2 + var_2 * mean_1**2 + var_1 * var_2
    return mean_1 * mean_2, np.sqrt(variance)


def tail_probabilities(interval: float) -> tuple[float, float]:
    """Lower and upper probability of an equal-tailed interval."""
    return (1.0 - interval) / 2.0, (1.0 + interval) / 2.0


def share(condition: npt.NDArray[np.bool_]) -> float:
    """Share of draws for which something holds."""
    return float(np.mean(condition))
