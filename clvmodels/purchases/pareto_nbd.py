"""Pareto/NBD in the loops: customers leave at any time.

Weights are P(alive) = 1 / (p + e^(a(T) - a(t_x)) q) with a(t) = R ln(alpha + t) + s ln(beta + t),
p the chance that one alive at T buys next, q that one alive at t_x leaves next: numbers of
(x, T) and of (x, t_x), by draw. Given alive, lambda ~ Gamma(R, A) and mu ~ Gamma(s, B),
independent, with R = r + x, A = alpha + T, B = beta + T. On paths both are integrated out:

- who is alive at t leaves at t', ln((B + t') / (B + t)) being exponential with rate s;
- after k purchases by time t, ln((A + t') / (A + t)) of the next time t' is exponential with
  rate R + k, and comes about if the customer has not left by then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._competing import (
    MOST_NODES,
    chance_rule,
    log_chance,
    purchase_within,
    roles,
)
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas._pareto_loops import (
    active_time_loop,
    counts_loop,
    discounted_time_loop,
)
from clvmodels.formulas.discounting import Due, calendar_time, present_value
from clvmodels.formulas.pareto_counts import count_tables
from clvmodels.formulas.pareto_nbd import ParetoNBD
from clvmodels.formulas.pareto_nbd_fused import distinct_pairs
from clvmodels.formulas.random import exponential
from clvmodels.formulas.special import exp_negative
from clvmodels.purchases.alive_in_sql import AliveInSql, leaving_in_sql
from clvmodels.purchases.family import NO_ROWS, Draws, NoCalendar, OnePhase
from clvmodels.purchases.walks import Int32Array, Walks, order
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_NEAR_ENOUGH: Final = 1e-14  # to the chance that a path's first purchase is asked for


def _parameters(draws: Draws) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return draws["r"], draws["alpha"], draws["s"], draws["beta"]


@dataclass(frozen=True, slots=True)
class ParetoFamily(OnePhase, NoCalendar, ParetoNBD):
    """The formulas, and what the loops read; see `clvmodels.purchases.family.Family`."""

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> _Weights:
        """P(alive) of histories; quadratures are done once for each distinct (x, time)."""
        counts, x_of = np.unique(x, return_inverse=True)
        of_age, age, T_of = distinct_pairs(x_of, T)
        of_recency, recency, t_x_of = distinct_pairs(x_of, t_x)
        parameters = _parameters(draws)
        gone = np.empty((len(recency), len(draws["r"])))
        still, most = (np.empty((len(age), len(draws["r"]))) for _ in range(2))
        _fill_chances(*parameters, counts, of_recency, recency, False, gone, gone)
        _fill_chances(*parameters, counts, of_age, age, True, still, most)
        return _Weights(t_x_of, T_of, gone, still, most)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> _Living:
        """What customers do who are alive."""
        return _Living(draws, due, due.until(len(draws["r"])), x, T)

    def staying(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """P(alive after many lengths | alive at T), (1, S, ages, lengths): of mu ~ Gamma(s, B)."""
        B = draws["beta"][:, None, None] + T[:, None]
        longer = np.log1p((lengths if lengths.ndim == 1 else lengths[:, None]) / B)
        return np.asarray(np.exp(-draws["s"][:, None, None] * longer))[None]

    def strip(self, draws: Draws) -> tuple[float, float]:
        """Return the least alpha or beta, and pi: T occurs as alpha + T and beta + T alone."""
        return float(min(draws["alpha"].min(), draws["beta"].min())), math.pi

    def in_sql(self) -> AliveInSql:
        """P(alive) in SQL."""
        return leaving_in_sql()


@dataclass(frozen=True, slots=True)
class _Weights:
    """Numbers by draw of distinct (x, t_x) and (x, T), and where each history's are.

    ln q - a(t_x); a(T) - ln p; and 1 / p.
    """

    t_x_of: Int32Array
    T_of: Int32Array
    gone: FloatArray
    still: FloatArray
    most: FloatArray

    def fill(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + out.shape[1])
        _fill_alive(self.t_x_of[part], self.T_of[part], self.gone, self.still, self.most, out[0])


@dataclass(frozen=True, slots=True)
class _Living:
    """Keys, draws, what is due, and the horizon of each draw."""

    draws: Draws
    due: Due
    until: FloatArray
    x: FloatArray
    T: FloatArray

    def expect(self) -> tuple[FloatArray, FloatArray]:
        ages, T_of = np.unique(self.T, return_inverse=True)
        rate = (self.draws["r"] + self.x[:, None]) / (self.draws["alpha"] + self.T[:, None])
        columns = np.broadcast_arrays(
            self.draws["s"][:, None], self.draws["beta"][:, None] + ages, self.due.horizon
        )
        s, B, horizon = (np.array(column).ravel() for column in columns)  # numba takes no views
        time, later = np.empty(s.size), np.empty(s.size)
        active_time_loop(s, B, horizon, time)
        delta = np.full(s.size, self.due.delta)
        discounted_time_loop(s, B, horizon, delta, self.due.month, later)
        one, other = (
            rate * values.reshape(len(self.draws["s"]), -1)[:, T_of].T for values in (time, later)
        )
        return one[:, None], other[:, None]

    def buys(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + len(out))
        _fill_buys(*_parameters(self.draws), self.x[part], self.T[part], self.until, out[:, 0])

    def idle(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + len(out))
        _fill_idle(*_parameters(self.draws), self.x[part], self.T[part], self.until, out[:, 0])

    def busiest(self, begin: int, end: int) -> FloatArray:
        rate = (self.draws["r"] + self.x[begin:end, None]) / (
            self.draws["alpha"] + self.T[begin:end, None]
        )
        return np.asarray((rate * self.until).max(axis=1))

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        of, where = _parameters(self.draws), (self.x[begin:], self.T[begin:], self.until)
        table, start = count_tables(*of, *where, least, most, fewest)
        return table[:, None], start

    def exceeds(self, key: int, n: float) -> FloatArray:
        r, alpha, s, beta = _parameters(self.draws)
        out = np.empty(len(r))
        count, horizon, T = np.full(len(r), float(n)), self.until, self.T[key]
        counts_loop(count, r + self.x[key], alpha + T, s, beta + T, horizon, True, out)
        return out[None]

    def walk(self, walks: Walks) -> None:
        # in an order in which one rule serves many paths; each has random numbers of its own
        _counts, x_of = np.unique(self.x, return_inverse=True)
        turn = np.lexsort((x_of[walks.key], walks.draw))
        _walk(
            turn,
            walks.key,
            walks.draw,
            walks.chance,
            walks.state,
            walks.shape,
            self.x,
            self.T,
            *_parameters(self.draws),
            self.until,
            self.due,
            walks.orders,
            walks.bought,
            walks.stays,
            walks.begin,
            walks.times,
            walks.amounts,
        )


@compiled
def _fill_chances(
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    x: FloatArray,
    x_of: Int32Array,
    time: FloatArray,
    purchase: bool,
    out: FloatArray,
    inverse: FloatArray,
) -> None:
    """Fill a(t) - ln p and 1 / p of distinct (x, t), or ln q - a(t), by draw.

    Ordered by x and time, so that k falls.
    """
    rule = np.empty((5, MOST_NODES))
    for d in range(r.size):
        n, last = 0, -1
        for i in range(time.size):
            R, A, B = r[d] + x[x_of[i]], alpha[d] + time[i], beta[d] + time[i]
            near, far, k, far_buys = roles(R, A, s[d], B)
            if x_of[i] != last:
                last = x_of[i]
                n = chance_rule(near, far, far_buys == purchase, k, rule)
            chance = log_chance(near, far, far_buys == purchase, k, rule, n)
            age = R * math.log(A) + s[d] * math.log(B)
            if purchase:
                out[i, d], inverse[i, d] = age - chance, math.exp(-chance)
            else:
                out[i, d] = chance - age


@compiled_sum
def _enter_alive(gone: FloatArray, still: FloatArray, most: FloatArray, out: FloatArray) -> None:
    """1 / (p + e^y q) = (1/p) / (1 + e^z), z = y + ln q - ln p."""
    for d in range(out.size):
        z = still[d] + gone[d]
        e = exp_negative(-abs(z))
        out[d] = min(most[d] * ((e if z > 0.0 else 1.0) / (1.0 + e)), 1.0)


@compiled
def _fill_alive(
    t_x_of: Int32Array,
    T_of: Int32Array,
    gone: FloatArray,
    still: FloatArray,
    most: FloatArray,
    out: FloatArray,
) -> None:
    """P(alive) by draw of some histories."""
    for h in range(t_x_of.size):
        _enter_alive(gone[t_x_of[h]], still[T_of[h]], most[T_of[h]], out[h])


@compiled
def _fill_buys(
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    x: FloatArray,
    T: FloatArray,
    horizon: FloatArray,
    out: FloatArray,
) -> None:
    """P(a purchase within the horizon | alive) by draw of some keys."""
    rule = np.empty((5, MOST_NODES))
    for d in range(r.size):
        n, last = 0, -1.0
        for i in range(x.size):
            if x[i] != last:
                last = x[i]
                near, far, k, far_buys = roles(r[d] + x[i], alpha[d], s[d], beta[d])
                n = chance_rule(near, far, far_buys, k, rule)
            out[i, d] = purchase_within(
                r[d] + x[i], alpha[d] + T[i], s[d], beta[d] + T[i], horizon[d], rule, n
            )


@compiled
def _fill_idle(
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    x: FloatArray,
    T: FloatArray,
    horizon: FloatArray,
    out: FloatArray,
) -> None:
    """P(neither a purchase nor the end within the horizon | alive) by draw of some keys."""
    for i in range(x.size):
        for d in range(r.size):
            R, A, B = r[d] + x[i], alpha[d] + T[i], beta[d] + T[i]
            out[i, d] = math.exp(
                -R * math.log1p(horizon[d] / A) - s[d] * math.log1p(horizon[d] / B)
            )


@compiled
def _first_purchase(
    chance: float,
    R: float,
    A: float,
    s: float,
    B: float,
    horizon: float,
    rule: FloatArray,
    n: int,
) -> float:
    """The t at which P(next purchase <= t | alive) is this, by Newton's method.

    In v = ln(1 + t/A) the cumulative hazard -ln P(later than t | a purchase comes first) has
    the slope R / P(a purchase comes first to one alive at t): nearly a straight line.
    """
    near, far, k, far_buys = roles(R, A, s, B)
    log_p = log_chance(near, far, far_buys, k, rule, n)
    share = chance * math.exp(-log_p)
    low, high = 0.0, math.log1p(horizon / A)
    if share >= 1.0:
        return horizon
    aim = -math.log1p(-share)
    v = min(aim / R, high)
    for _ in range(60):
        t = A * math.expm1(v)
        near, far, k, far_buys = roles(R, A + t, s, B + t)
        log_later = log_chance(near, far, far_buys, k, rule, n)
        miss = R * v + s * math.log1p(t / B) - log_later + log_p - aim
        if miss > 0.0:
            high = v
        else:
            low = v
        step = miss * math.exp(log_later) / R
        new = v - step
        if not (low <= new <= high):
            new = 0.5 * (low + high)
        if abs(new - v) <= _NEAR_ENOUGH * (1.0 + v):
            v = new
            break
        v = new
    return min(A * math.expm1(v), horizon)


@compiled
def _walk(
    turn: IntArray,
    key: Int32Array,
    draw: Int32Array,
    chance: FloatArray,
    state: npt.NDArray[np.uint64],
    shape: FloatArray,
    x: FloatArray,
    T: FloatArray,
    r: FloatArray,
    alpha: FloatArray,
    s: FloatArray,
    beta: FloatArray,
    until: FloatArray,
    due: Due,
    orders: FloatArray,
    bought: IntArray,
    alive: npt.NDArray[np.bool_],
    begin: IntArray,
    times: FloatArray,
    amounts: FloatArray,
) -> None:
    """Walk all paths; ``at`` is ln((A + t) / A) of the next purchase."""
    rule, nodes, last_x, last_d = np.empty((5, MOST_NODES)), 0, -1.0, -1
    for m in range(turn.size):
        n = turn[m]
        d, i, bits, horizon = draw[n], key[n], state[n], until[draw[n]]
        R, A, B = r[d] + x[i], alpha[d] + T[i], beta[d] + T[i]
        if d != last_d or x[i] != last_x:
            last_d, last_x = d, x[i]
            near, far, k, far_buys = roles(R, alpha[d], s[d], beta[d])
            nodes = chance_rule(near, far, far_buys, k, rule)
        t = _first_purchase(chance[n], R, A, s[d], B, horizon, rule, nodes)
        at, count, total = math.log1p(t / A), 0, 0.0
        wait, bits = exponential(bits)
        leaves = t + (B + t) * math.expm1(min(wait / s[d], 700.0))
        while (t <= horizon and t < leaves) or count == 0:
            amount, bits = order(shape[d], bits)
            when = calendar_time(t, d, due.edges, due.warped)
            total += amount * present_value(when, due.delta, due.month)
            if begin.size > 0:
                times[begin[n] + count], amounts[begin[n] + count] = when, amount
            count += 1
            more, bits = exponential(bits)
            at += more / (R + count)
            t = A * math.expm1(min(at, 700.0))
        orders[n], bought[n], alive[n], state[n] = total, count, leaves > horizon, bits


paretonbd: Final = ParetoFamily()
