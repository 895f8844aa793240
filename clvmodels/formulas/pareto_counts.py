"""How many purchases a living customer of Pareto/NBD will make: the whole distribution.

Given alive at T, lambda ~ Gamma(R, A) and mu ~ Gamma(s, B), independent. With y = t / (A + t)
and k = (A - B) / B the n-th purchase comes within the horizon h, and before death, with probability

    p(n) = Gamma(R + n) / (Gamma(R) Gamma(n))
           integral of y^(n-1) (1-y)^(R+s-1) (1+ky)^-s over (0, Y),   Y = h / (A + h).

The derivative of y^n (1-y)^(R+s) (1+ky)^(1-s) gives a recurrence that three of them meet,

    (R + n) p(n) = (R + n) u(n) + (n + R + s - k (n + 1 - s)) p(n+1) + k (n + 1) p(n+2),
    u(n) = P(n purchases of one who does not die) P(not dying) (1 + kY).

It is solved from p(0) = 1 on as a system of equations (Olver 1967, "Numerical solution of
second-order linear difference equations", J. Res. Natl. Bur. Stand. 71B, 111-129), since its other
solutions grow: as (-1/k)^n. That is stable where k is at most a half, and quick where it is not
next to -1. Elsewhere counts are mixed over the time of death.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas._pareto_loops import BELL, FALL, PANEL, SLOPE, W16, X16
from clvmodels.formulas.counts import begin_counts, mean_of_row, more_rows, next_count
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_ROWS: Final = 512  # of tables of counts, at 8 bytes for each draw
_LEAST_K, _MOST_K = -0.95, 0.5
_LEAST_PIVOT: Final = 0.25
_LATEST: Final = 640.0  # logarithm of one over the least chance of no purchase to begin with
_NOTHING: Final = 1e-17


@compiled
def _count_nodes(
    R: float,
    A: float,
    s: float,
    B: float,
    horizon: float,
    place: IntArray,
    d: int,
    ratio: FloatArray,
    weight: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Add nodes and weights for the time t until which a living customer buys.

    P(count >= n) is the sum of weight times the probability that a negative binomial count
    with shape R and ratio t/A is n or more, for every n: t is when the customer dies, or the
    horizon. Nodes are those of Gauss and Legendre on panels in ln(1 + t / min(A, B)), which
    are so short that neither the density of t nor the distribution of the n-th purchase, as a
    function of ln(1 + t/A), changes more over one than 16 nodes follow.

    Parameters
    ----------
    place : ndarray of int, shape (S + 1,)
        place[d + 1] is filled: where they end; they begin at place[d].
    ratio, weight : ndarray
        Of all draws, one after the other.

    Returns
    -------
    ratio, weight
        The same, or longer ones.
    """
    n, low = place[d], min(A, B)
    # nobody lives longer, to within 1e-17
    lasts = B * math.expm1(min(FALL / s, 700.0))
    end = math.log1p(min(horizon, lasts) / low)
    u, steep = 0.0, max(R, s)
    while u < end:
        width = PANEL
        for _ in range(2):
            t = low * math.expm1(u)
            bell = BELL * math.sqrt(-math.expm1(-math.log1p(t / A)) / steep)
            later = low * math.expm1(u + width)
            width = min(PANEL, max(SLOPE / steep, bell) * (A + later) / (low + later))
        width = min(width, end - u)
        if n + 17 > ratio.size:
            ratio, weight = _longer(ratio), _longer(weight)
        for i in range(16):
            t = low * math.expm1(u + 0.5 * width * (1.0 + X16[i]))
            dies = s * math.exp(-s * math.log1p(t / B)) * (low + t) / (B + t)
            ratio[n], weight[n] = t / A, 0.5 * width * W16[i] * dies
            n += 1
        u += width
    if horizon < lasts:
        ratio[n], weight[n] = horizon / A, math.exp(-s * math.log1p(horizon / B))
        n += 1
    place[d + 1] = n
    return ratio, weight


@compiled
def _longer(values: FloatArray) -> FloatArray:
    more = np.empty(2 * values.size + 17)
    for n in range(values.size):
        more[n] = values[n]
    return more


@compiled_sum
def _eliminate(
    n: float,
    R: FloatArray,
    s: FloatArray,
    k: FloatArray,
    some: FloatArray,
    lives: FloatArray,
    pmf: FloatArray,
    g: FloatArray,
    h: FloatArray,
    left: FloatArray,
    next_g: FloatArray,
    next_h: FloatArray,
) -> tuple[float, float]:
    """From p(n) = g - h p(n+1) to p(n+1) = next_g - next_h p(n+2), of all draws.

    Returns the mean of a bound of p(n+1), and the greatest share of one in p(n+1) at which
    the equations began: what it does to it not to know p(n+2).
    """
    total = worst = 0.0
    by_next = 1.0 / (n + 1.0)
    for d in range(R.size):
        pivot = n + R[d] + s[d] - k[d] * (n + 1.0 - s[d]) + h[d] * (R[d] + n)
        value = (g[d] - pmf[d] * lives[d]) * (R[d] + n) / pivot
        # The tail of one who does not die bounds what the difference cannot resolve.
        shrink = max((R[d] + n) * by_next, 1.0) * some[d]
        bound = 1.5 * pmf[d] / (1.0 - shrink) if shrink < 1.0 else 1.5
        value = max(min(value, bound), 0.0)
        back = k[d] * (n + 1.0) / pivot
        most = value / (1.0 + min(back, 0.0)) if back > -1.0 else value
        next_g[d], next_h[d] = value, back
        left[d] *= abs(back)
        total += most
        worst = max(worst, left[d] * most)
        pmf[d] *= (R[d] + n) * by_next * some[d]
    return total / R.size, worst


@compiled_sum
def _substitute(g: FloatArray, h: FloatArray, later: FloatArray) -> None:
    """Put g - h later, p(n), in the place of g."""
    for d in range(g.size):
        g[d] = max(min(g[d] - h[d] * later[d], 1.0), 0.0)


@compiled
def _recursion(
    R: FloatArray,
    A: FloatArray,
    s: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    least: float,
    most: int,
    fewest: int,
    table: FloatArray,
    filled: int,
) -> tuple[FloatArray, int]:
    """Add the rows of one key to a table; return it, and how many: -1 where it is not stable."""
    S = R.size
    k, some, lives, pmf, left = (
        (A - B) / B,
        horizon / (A + horizon),
        np.empty(S),
        np.empty(S),
        np.ones(S),
    )
    back = np.empty((64, S))
    if filled + 2 > table.shape[0]:
        table = more_rows(table)
    for d in range(S):
        none = R[d] * math.log1p(horizon[d] / A[d])
        pivot = (R[d] + s[d] - k[d] * (1.0 - s[d])) / R[d]
        if not _LEAST_K < k[d] < _MOST_K or pivot < _LEAST_PIVOT or none > _LATEST:
            return table, -1
        lives[d] = math.exp(-s[d] * math.log1p(horizon[d] / B[d])) * (1.0 + k[d] * some[d])
        pmf[d] = math.exp(-none)
        table[filled, d] = max(1.0 - pmf[d] * lives[d], 0.0) / pivot
        back[0, d] = k[d] / R[d] / pivot
        pmf[d] *= R[d] * some[d]
    n, enough, until = 1, False, 2 * most + 1_000
    while n < until:
        if filled + n + 1 >= table.shape[0]:
            table = more_rows(table)
        if n == back.shape[0]:
            back = more_rows(back)
        before, after = filled + n - 1, filled + n
        mean, worst = _eliminate(
            float(n),
            R,
            s,
            k,
            some,
            lives,
            pmf,
            table[before],
            back[n - 1],
            left,
            table[after],
            back[n],
        )
        if not enough:
            enough = mean <= least and n + 1 >= fewest
            left[:] = 1.0
        elif worst <= _NOTHING:
            break
        n += 1
    if n == until:
        return table, 0
    for d in range(S):
        table[filled + n, d] /= 1.0 + max(back[n, d], -0.5)
    for i in range(n - 1, -1, -1):
        _substitute(table[filled + i], back[i], table[filled + i + 1])
    for rows in range(1, min(n, most) + 1):
        if rows >= fewest and mean_of_row(table[filled + rows - 1]) <= least:
            return table, rows
    return table, 0


@compiled_sum
def _mixed(values: FloatArray, weight: FloatArray) -> float:
    total = 0.0
    for j in range(values.size):
        total += values[j] * weight[j]
    return total


@compiled
def _mixture(
    R: FloatArray,
    A: FloatArray,
    s: FloatArray,
    B: FloatArray,
    horizon: FloatArray,
    least: float,
    most: int,
    fewest: int,
    table: FloatArray,
    filled: int,
) -> tuple[FloatArray, int]:
    """As :func:`_recursion`, wherever.

    A mixture over the time of death (nodes and weights of :func:`_count_nodes`) of negative
    binomial counts until then, each advanced by the same recursion from n to n + 1.
    """
    S = R.size
    place = np.zeros(S + 1, dtype=np.int64)
    ratio, weight = np.empty(64 * S), np.empty(64 * S)
    for d in range(S):
        ratio, weight = _count_nodes(R[d], A[d], s[d], B[d], horizon[d], place, d, ratio, weight)
    n = place[S]
    shape = np.empty(n)
    for d in range(S):
        shape[place[d] : place[d + 1]] = R[d]
    ratio, weight = ratio[:n].copy(), weight[:n].copy()
    none, all_of_it = np.zeros(n), np.ones(n)
    state, first, row = np.empty((4, n)), np.empty(n), np.empty(n)
    latest = begin_counts(shape, ratio, first, state)
    for rows in range(most):
        if filled + rows == table.shape[0]:
            table = more_rows(table)
        next_count(float(rows), shape, ratio, none, all_of_it, first, latest, state, row)
        into = table[filled + rows]
        for d in range(S):
            i, j = place[d], place[d + 1]
            into[d] = min(_mixed(row[i:j], weight[i:j]), 1.0)
        if mean_of_row(into) <= least and rows + 1 >= fewest:
            return table, rows + 1
    return table, 0


@compiled
def count_tables(
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    x: FloatArray,
    T: FloatArray,
    horizon: FloatArray,
    least: float,
    most: int,
    fewest: IntArray,
) -> tuple[FloatArray, IntArray]:
    """P(count >= n | alive) by draw of some (x, T), until there are `_ROWS` rows.

    As `clvmodels.purchases.family.Living.survival` has it, which says what least, most and
    fewest are.
    """
    filled, keys = 0, 0
    table, start = np.empty((_ROWS, r.size)), np.zeros(x.size + 1, dtype=np.int64)
    while keys < x.size and filled < _ROWS:
        R, A, B = r + x[keys], alpha + T[keys], beta + T[keys]
        few = fewest[keys] if keys < fewest.size else 0
        table, rows = _recursion(R, A, s, B, horizon, least, most, few, table, filled)
        if rows < 0:
            table, rows = _mixture(R, A, s, B, horizon, least, most, few, table, filled)
        filled += rows
        keys += 1
        start[keys] = filled
    return table[:filled], start[: keys + 1]
