"""The beta-geometric family in the loops: BG/NBD, MBG/NBD.

Weights are P(alive) = 1 / (1 + e^z), z = offset + R (ln(alpha + T) - ln(alpha + t_x)). Given
alive, lambda ~ Gamma(R, A) and p ~ Beta(a, B) with R = r + x, A = alpha + T, B = b + x and
one more for MBG/NBD. Paths integrate both out step by step (Bayes' rule after every
purchase), which needs one exponential and one uniform number a purchase, and neither lambda
nor p:

- after k purchases by time t the rate is Gamma(R + k, A + t), so that
  ln((A + t') / (A + t)) of the next time t' is exponential with rate R + k;
- after k stays p is Beta(a, B + k): the customer leaves with probability a / (a + B + k).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.beta_geometric import BetaGeometric
from clvmodels.formulas.counts import (
    begin_counts,
    count_sf_if_alive,
    mean_of_row,
    more_rows,
    next_count,
)
from clvmodels.formulas.discounting import Due, calendar_time, present_value
from clvmodels.formulas.random import exponential, uniform
from clvmodels.formulas.special import exp_negative, growth_logs, log_sums, one_less_exp
from clvmodels.purchases.family import NO_ROWS, Draws, LeavesAtPurchases, OnePhase
from clvmodels.purchases.walks import Int32Array, Walks, order
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_ROWS: Final = 256  # of tables of counts, at 8 bytes for each draw, that stay in the caches


@dataclass(frozen=True, slots=True)
class BetaGeometricFamily(OnePhase, LeavesAtPurchases, BetaGeometric):
    """The formulas, and what the loops read; see `clvmodels.purchases.family.Family`."""

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> _Weights:
        """P(alive) of histories; what depends on x is computed once for each distinct one."""
        counts, x_of = np.unique(x, return_inverse=True)
        odds = self.log_odds_terms(counts[:, None], **draws)
        times = Logs.of(t_x, draws["alpha"]), Logs.of(T, draws["alpha"])
        return _Weights(x_of, odds.offset, odds.power, *times)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> _Living:
        """What customers do who are alive."""
        counts, x_of = np.unique(x, return_inverse=True)
        ages, T_of = np.unique(T, return_inverse=True)
        power, stays = draws["r"] + counts[:, None], self.stay_shape(counts[:, None], b=draws["b"])
        return _Living(self, draws, due, x, T, x_of, T_of, power, stays, ages)

    def strip(self, draws: Draws) -> tuple[float, float]:
        """Return the least alpha, and pi: T occurs as alpha + T alone."""
        return float(draws["alpha"].min()), math.pi


@dataclass(frozen=True, slots=True)
class Logs:
    """ln(alpha + t) of times: of each distinct one once, where they repeat.

    By a clock hardly any does, and a table as long as the histories takes longer to write and
    to read than the logarithms, tile by tile; to the last bit they are the same either way.
    """

    t: FloatArray
    alpha: FloatArray
    row: IntArray
    table: FloatArray

    @classmethod
    def of(cls, t: FloatArray, alpha: FloatArray) -> Logs:
        """Take those of a table, where there is to be one."""
        distinct, row = np.unique(t, return_inverse=True)
        repeat = 2 * len(distinct) <= len(t)
        return cls(t, alpha, row, log_sums(distinct[: None if repeat else 0], alpha))

    def rows(self, part: slice) -> tuple[IntArray, FloatArray]:
        """Return where the logarithms of some of the times are, and a table that has them."""
        if len(self.table):
            return self.row[part], self.table
        some = self.t[part]
        return np.arange(len(some)), log_sums(some, self.alpha)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Numbers by draw of distinct x, where each history's are, and its times."""

    x_of: IntArray
    offset: FloatArray
    power: FloatArray
    recency: Logs
    age: Logs

    def fill(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + out.shape[1])
        (t_x_of, log_recency), (T_of, log_age) = self.recency.rows(part), self.age.rows(part)
        where = self.x_of[part], t_x_of, T_of
        _fill_alive(*where, self.offset, self.power, log_recency, log_age, out[0])


@dataclass(frozen=True)
class _Living:
    """Keys, tables of R (power) and B (stays) by distinct x, and the distinct T (ages)."""

    family: BetaGeometricFamily
    draws: Draws
    due: Due
    x: FloatArray
    T: FloatArray
    x_of: IntArray
    T_of: IntArray
    power: FloatArray
    stays: FloatArray
    ages: FloatArray

    @cached_property
    def until(self) -> FloatArray:
        """The horizon of each draw."""
        return self.due.until(len(self.draws["a"]))

    @cached_property
    def growth(self) -> FloatArray:
        """ln((A + horizon) / A) of each distinct T."""
        return growth_logs(self.until, self.ages, self.draws["alpha"])

    def expect(self) -> tuple[FloatArray, FloatArray]:
        both = self.family.if_alive_block(
            self.x,
            self.T,
            self.due.horizon,
            self.due.delta,
            month=self.due.month or None,
            **self.draws,
        )
        one, other = (np.ascontiguousarray(v.T)[:, None] for v in (both.purchases, both.discounted))
        return one, other

    def buys(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + len(out))
        _fill_buys(self.x_of[part], self.T_of[part], self.power, self.growth, out[:, 0])

    def idle(self, begin: int, out: FloatArray) -> None:
        self.buys(begin, out)
        np.subtract(1.0, out, out=out)  # nobody leaves but at a purchase

    def busiest(self, begin: int, end: int) -> FloatArray:
        age = self.draws["alpha"] + self.T[begin:end, None]
        most = self.power[self.x_of[begin:end]] * self.until / age
        return np.asarray(most.max(axis=1))

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        alpha, a = self.draws["alpha"], self.draws["a"]
        keys, horizon = (self.x_of[begin:], self.T[begin:]), self.until
        table, start = _tables(
            *keys, self.power, self.stays, alpha, a, horizon, least, most, fewest, self.room.pop()
        )
        self.room.append(table)
        return table[: start[-1], None], start

    @cached_property
    def room(self) -> list[FloatArray]:
        """Where tables of counts go, one after the other: memory is dear to get anew."""
        return [np.empty((2 * _ROWS, len(self.draws["a"])))]

    def exceeds(self, key: int, n: float) -> FloatArray:
        if n < 0:
            return np.ones((1, len(self.draws["a"])))
        k, age = self.x_of[key], self.draws["alpha"] + self.T[key]
        R, a, B = self.power[k], self.draws["a"], self.stays[k]
        return count_sf_if_alive(n, R, age, a, B, self.until)[None]

    def walk(self, walks: Walks) -> None:
        _walk(
            walks.key,
            walks.draw,
            walks.chance,
            walks.state,
            walks.shape,
            self.x_of,
            self.T_of,
            self.T,
            self.power,
            self.stays,
            self.growth,
            self.draws["alpha"],
            self.draws["a"],
            self.due,
            walks.orders,
            walks.bought,
            walks.stays,
            walks.begin,
            walks.times,
            walks.amounts,
        )


@compiled_sum
def _enter_alive(
    offset: FloatArray,
    power: FloatArray,
    log_age: FloatArray,
    log_recency: FloatArray,
    out: FloatArray,
) -> None:
    for d in range(out.size):
        z = offset[d] + power[d] * (log_age[d] - log_recency[d])
        e = exp_negative(-abs(z))
        out[d] = (e if z > 0.0 else 1.0) / (1.0 + e)


@compiled
def _fill_alive(
    x_of: IntArray,
    t_x_of: IntArray,
    T_of: IntArray,
    offset: FloatArray,
    power: FloatArray,
    log_recency: FloatArray,
    log_age: FloatArray,
    out: FloatArray,
) -> None:
    """P(alive) by draw of some histories."""
    for h in range(x_of.size):
        k = x_of[h]
        _enter_alive(offset[k], power[k], log_age[T_of[h]], log_recency[t_x_of[h]], out[h])


@compiled
def _enter_buys(power: FloatArray, growth: FloatArray, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] = one_less_exp(-power[d] * growth[d])


@compiled
def _fill_buys(
    x_of: IntArray, T_of: IntArray, power: FloatArray, growth: FloatArray, out: FloatArray
) -> None:
    """P(a purchase | alive) = 1 - (A / (A + horizon))^R by draw of some keys."""
    for i in range(x_of.size):
        _enter_buys(power[x_of[i]], growth[T_of[i]], out[i])


@compiled
def _tables(
    x_of: IntArray,
    T: FloatArray,
    power: FloatArray,
    stays: FloatArray,
    alpha: FloatArray,
    a: FloatArray,
    horizon: FloatArray,
    least: float,
    most: int,
    fewest: IntArray,
    table: FloatArray,
) -> tuple[FloatArray, IntArray]:
    """P(count >= n | alive) by draw of some keys, until there are `_ROWS` rows."""
    S, filled, keys = a.size, 0, 0
    start = np.zeros(x_of.size + 1, dtype=np.int64)
    state, first, ratio = np.empty((4, S)), np.empty(S), np.empty(S)
    while keys < x_of.size and filled < _ROWS:
        R, B = power[x_of[keys]], stays[x_of[keys]]
        for d in range(S):
            ratio[d] = horizon[d] / (alpha[d] + T[keys])
        latest, rows = begin_counts(R, ratio, first, state), 0
        while True:
            if rows == most:
                rows = 0
                break
            if filled + rows == table.shape[0]:
                table = more_rows(table)
            row = table[filled + rows]
            next_count(float(rows), R, ratio, a, B, first, latest, state, row)
            rows += 1
            if mean_of_row(row) <= least and (keys >= fewest.size or rows >= fewest[keys]):
                break
        filled += rows
        keys += 1
        start[keys] = filled
    return table, start[: keys + 1]


@compiled
def _walk(
    key: Int32Array,
    draw: Int32Array,
    chance: FloatArray,
    state: npt.NDArray[np.uint64],
    shape: FloatArray,
    x_of: IntArray,
    T_of: IntArray,
    T: FloatArray,
    power: FloatArray,
    stays: FloatArray,
    growth: FloatArray,
    alpha: FloatArray,
    a: FloatArray,
    due: Due,
    orders: FloatArray,
    bought: IntArray,
    alive: npt.NDArray[np.bool_],
    begin: IntArray,
    times: FloatArray,
    amounts: FloatArray,
) -> None:
    """Walk all paths; ``at`` is ln((A + t) / A) of the next purchase."""
    delta, month, recorded = due.delta, due.month, begin.size > 0
    for n in range(key.size):
        d, k, bits = draw[n], x_of[key[n]], state[n]
        R, A, p, asked = power[k, d], alpha[d] + T[key[n]], a[d], a[d] + stays[k, d]
        end = growth[T_of[key[n]], d]
        at = min(-math.log1p(-chance[n]) / R, end)  # by inversion of P(first <= t)
        count, total, stay = 0, 0.0, True
        while stay and at <= end:
            amount, bits = order(shape[d], bits)
            u, bits = uniform(bits)
            stay = u * (asked + count) >= p
            more, bits = exponential(bits)
            t = calendar_time(A * math.expm1(at), d, due.edges, due.warped)
            total += amount * present_value(t, delta, month)
            if recorded:
                times[begin[n] + count], amounts[begin[n] + count] = t, amount
            count += 1
            at += more / (R + count)
        orders[n], bought[n], alive[n], state[n] = total, count, stay, bits


bgnbd: Final = BetaGeometricFamily(extra_stays=0)
mbgnbd: Final = BetaGeometricFamily(extra_stays=1)
