"""The beta-geometric family with regular timing in the loops: BG/CNBD-k, MBG/CNBD-k.

A living customer is in phase j where j stages have passed since the last purchase:
lambda ~ Gamma(R + j, A) and p ~ Beta(a, B), with R = r + k x, A = alpha + T, B = b + x and one
more for MBG/CNBD-k. Paths integrate both out step by step, stage by stage: after n stages in
all by time t the rate is Gamma(r + n, A + t), so that ln((A + t') / (A + t)) of the next stage
is exponential with rate r + n; every k-th stage is a purchase.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.along import by_age, purchases_along
from clvmodels.formulas.cnbd import RegularBetaGeometric
from clvmodels.formulas.counts import begin_counts, next_count
from clvmodels.formulas.discounting import Due, calendar_time, present_value
from clvmodels.formulas.erlang_along import both_along
from clvmodels.formulas.erlang_counts import count_sf_if_alive
from clvmodels.formulas.erlang_means import purchases_if_alive
from clvmodels.formulas.random import exponential, uniform
from clvmodels.formulas.special import exp_negative, log_from_one
from clvmodels.purchases.beta_geometric import Logs
from clvmodels.purchases.family import NO_ROWS, Draws, LeavesAtPurchases
from clvmodels.purchases.walks import Int32Array, Walks, order
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]
_REST: Final = 1e-17
_ROWS: Final = 256  # of tables of counts, at 8 bytes for each phase and draw


@dataclass(frozen=True, slots=True)
class RegularFamily(LeavesAtPurchases, RegularBetaGeometric):
    """The formulas, and what the loops read; see `clvmodels.purchases.family.Family`."""

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> _Weights:
        """P(alive, in phase) of histories; what depends on x is computed once for each."""
        counts, x_of = np.unique(x, return_inverse=True)
        odds = self.log_odds_terms(counts[:, None], **draws)
        times = Logs.of(t_x, draws["alpha"]), Logs.of(T, draws["alpha"])
        return _Weights(x_of, odds.offset, odds.power, *times)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> _Living:
        """What customers do who are alive."""
        return _Living(self, draws, due, x, T)

    def strip(self, draws: Draws) -> tuple[float, float]:
        """Return the least alpha, and how far off the axis u = ln(alpha + T) is singular.

        That is where 1 + (1 - u) h / A = 0 for a u on or within the unit circle, u^k real.
        """
        return float(draws["alpha"].min()), min(math.pi, math.pi / 2.0 + math.pi / self.regularity)

    def along(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers of one x within many lengths of time."""
        k, out = self.regularity, []
        for j in range(k):
            R, A, a, B = self.if_alive(j, x, T, **{n: v[:, None] for n, v in draws.items()})
            w = (by_age(lengths) / A[..., None]).reshape(len(a), -1)
            mean = partial(purchases_if_alive, regularity=k, phase=j)
            bought = purchases_along(R[:, 0], a[:, 0], B[:, 0], w, mean)
            out.append(bought.reshape(*A.shape, -1))
        return np.array(out)


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
        where = self.x_of[part], t_x_of, T_of, self.recency.t[part], self.age.t[part]
        of_x, of_time = (self.offset, self.power), (log_recency, log_age)
        _fill_phases(*where, *of_x, *of_time, self.age.alpha, out)


@dataclass(frozen=True)
class _Living:
    """Keys, and what is due of them."""

    family: RegularFamily
    draws: Draws
    due: Due
    x: FloatArray
    T: FloatArray

    def state(
        self, phase: int, keys: slice
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """R, A, a and B in a phase, of some keys by draw."""
        x, T = self.x[keys, None], self.T[keys, None]
        return self.family.if_alive(phase, x, T, **self.draws)

    def expect(self) -> tuple[FloatArray, FloatArray]:
        k, (horizon, delta, month) = self.family.regularity, self.due[:3]
        both = np.empty((2, len(self.x), k, len(self.draws["a"])))
        for x in np.unique(self.x):
            rows = np.flatnonzero(self.x == x)  # all ages of one x together
            living = self.family.if_alive(0, x, self.T[rows, None], **self.draws)
            found = both_along(*living, horizon, delta, regularity=k, month=month or None)
            both[:, rows] = np.swapaxes(found, 1, 2)
        return both[0], both[1]

    def buys(self, begin: int, out: FloatArray) -> None:
        part = slice(begin, begin + len(out))
        _fill_buys(self.by_x[0][part], self.by_age[0][part], self.by_x[1], self.by_age[1], out)

    def idle(self, begin: int, out: FloatArray) -> None:
        self.buys(begin, out)
        np.subtract(1.0, out, out=out)  # nobody leaves but at a purchase

    def busiest(self, begin: int, end: int) -> FloatArray:
        k = self.family.regularity
        R, A, _, _ = self.state(k - 1, slice(begin, end))
        return np.asarray((R * self.until / A).max(axis=1) / k + 1.0)

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        R, A, a, B = self.state(0, slice(begin, begin + _ROWS))
        B = np.broadcast_to(B, R.shape)
        k, ratio = self.family.regularity, self.until / A
        return _tables(k, R, ratio, a, B, least, most, fewest)

    def exceeds(self, key: int, n: float) -> FloatArray:
        k, horizon, values = self.family.regularity, self.until, []
        if n < 0:
            return np.ones((k, len(self.draws["a"])))
        for j in range(k):
            R, A, a, B = self.state(j, slice(key, key + 1))
            values.append(count_sf_if_alive(n, R, A, a, B, horizon, regularity=k, phase=j)[0])
        return np.array(values)

    @cached_property
    def until(self) -> FloatArray:
        """The horizon of each draw."""
        return self.due.until(len(self.draws["a"]))

    @cached_property
    def by_x(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Where each key's R and B of phase 0 are, and both by draw."""
        counts, x_of = np.unique(self.x, return_inverse=True)
        R, _, _, B = self.family.if_alive(0, counts[:, None], 0.0, **self.draws)
        return x_of, R, np.broadcast_to(B, R.shape)

    @cached_property
    def by_age(self) -> tuple[IntArray, FloatArray]:
        """Where each key's ln((A + horizon) / A) is, and that by draw."""
        ages, T_of = np.unique(self.T, return_inverse=True)
        return T_of, np.log1p(self.until / (self.draws["alpha"] + ages[:, None]))

    def walk(self, walks: Walks) -> None:
        k, (x_of, power, stays) = self.family.regularity, self.by_x
        # By inversion of P(first <= t) = P(k - phase stages by t)
        shape = power[x_of[walks.key], walks.draw] + walks.phase
        first = -np.log1p(-betaincinv(k - walks.phase, shape, walks.chance))
        _walk(
            k,
            first,
            walks.key,
            walks.draw,
            walks.state,
            walks.shape,
            x_of,
            self.T,
            power,
            stays,
            self.draws["alpha"],
            self.draws["a"],
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
def _enter_phase(
    j: int, power: FloatArray, alpha: FloatArray, since: float, T: float, odds: FloatArray
) -> None:
    """Fill the odds of phase j against phase 0, those of j - 1 being there, and add them up."""
    for d in range(alpha.size):
        odds[0, d] *= since / (alpha[d] + T) * (power[d] + (j - 1)) / j
        odds[1, d] += odds[0, d]


@compiled
def _enter_share(
    offset: FloatArray,
    power: FloatArray,
    log_recency: FloatArray,
    log_age: FloatArray,
    total: FloatArray,
    out: FloatArray,
) -> None:
    """P(alive, in phase 0), total being the odds of all phases against it."""
    for d in range(out.size):
        z = offset[d] + power[d] * (log_age[d] - log_recency[d]) - log_from_one(total[d])
        e = exp_negative(-abs(z))
        out[d] = (e if z > 0.0 else 1.0) / (1.0 + e) / total[d]


@compiled
def _fill_phases(
    x_of: IntArray,
    t_x_of: IntArray,
    T_of: IntArray,
    t_x: FloatArray,
    T: FloatArray,
    offset: FloatArray,
    power: FloatArray,
    log_recency: FloatArray,
    log_age: FloatArray,
    alpha: FloatArray,
    out: FloatArray,
) -> None:
    """P(alive, in phase) by draw of some histories: odds of phases against e^z.

    Draws are the innermost loop everywhere, so that each vectorises.
    """
    odds = np.empty((2, alpha.size))
    for h in range(x_of.size):
        n, recency, age = x_of[h], log_recency[t_x_of[h]], log_age[T_of[h]]
        odds[:] = 1.0
        for j in range(1, out.shape[0]):
            _enter_phase(j, power[n], alpha, T[h] - t_x[h], T[h], odds)
            out[j, h] = odds[0]
        _enter_share(offset[n], power[n], recency, age, odds[1], out[0, h])
        for j in range(1, out.shape[0]):
            out[j, h] *= out[0, h]


@compiled
def _fill_buys(
    x_of: IntArray, T_of: IntArray, power: FloatArray, growth: FloatArray, out: FloatArray
) -> None:
    """P(k - phase stages or more) of some keys, by phase and draw.

    All but the first few where these are most; where they are almost all, the sum of the rest.
    """
    K = out.shape[1]
    for n in range(x_of.size):
        for d in range(power.shape[1]):
            R, log_up = power[x_of[n], d], growth[T_of[n], d]
            some = -math.expm1(-log_up)
            w = math.inf if some == 1.0 else some / (1.0 - some)
            for phase in range(K):
                stages = K - phase
                term = math.exp(-(R + phase) * log_up)  # of no stage
                if w < 0.5 and (R + phase) * w < 1.0 and stages > 1:
                    for m in range(stages):
                        term *= some * (R + phase + m) / (m + 1.0)
                    total, more = 0.0, float(stages)
                    while term > _REST * total:
                        total += term
                        term *= some * (R + phase + more) / (more + 1.0)
                        more += 1.0
                    out[n, phase, d] = total
                    continue
                left = -math.expm1(-(R + phase) * log_up)
                for m in range(stages - 1):
                    term *= some * (R + phase + m) / (m + 1.0)
                    left -= term
                out[n, phase, d] = max(left, 0.0)


@compiled
def _longer(table: FloatArray) -> FloatArray:
    more = np.empty((2 * table.shape[0], table.shape[1], table.shape[2]))
    more[: table.shape[0]] = table
    return more


@compiled
def _tables(
    k: int,
    power: FloatArray,
    ratio: FloatArray,
    a: FloatArray,
    stays: FloatArray,
    least: float,
    most: int,
    fewest: IntArray,
) -> tuple[FloatArray, IntArray]:
    """P(count >= n | alive, in phase) by draw of some keys, until there are `_ROWS` rows.

    Stages are counted as the purchases of customers who never leave: their p has a = 0.
    """
    S, filled, keys = a.size, 0, 0
    table = np.empty((2 * _ROWS, k, S))
    start = np.zeros(power.shape[0] + 1, dtype=np.int64)
    never, one, unused = np.zeros(S), np.ones(S), np.empty(S)
    R, state, first, latest = np.empty((k, S)), np.empty((k, 4, S)), np.empty((k, S)), np.zeros(k)
    while keys < power.shape[0] and filled < _ROWS:
        w, stay, rows, done = ratio[keys], np.ones(S), 0, False
        for phase in range(k):
            R[phase] = power[keys] + phase
            latest[phase] = begin_counts(R[phase], w, first[phase], state[phase])
        while not done:
            if rows == most:
                rows = 0
                break
            if filled + rows == table.shape[0]:
                table = _longer(table)
            done = keys >= fewest.size or rows + 1 >= fewest[keys]
            for phase in range(k):
                row = table[filled + rows, phase]
                for stage in range(max(rows * k - phase, 0), (rows + 1) * k - phase):
                    enough = row if stage == (rows + 1) * k - phase - 1 else unused
                    next_count(
                        float(stage), R[phase], w, never, one, first[phase], latest[phase],
                        state[phase], enough,
                    )  # fmt: skip
                mean = 0.0
                for d in range(S):
                    row[d] *= stay[d]
                    mean += row[d]
                done = done and mean <= least * S
            for d in range(S):
                stay[d] *= (stays[keys, d] + rows) / (a[d] + stays[keys, d] + rows)
            rows += 1
        filled += rows
        keys += 1
        start[keys] = filled
    return table[:filled], start[: keys + 1]


@compiled
def _walk(
    k: int,
    first: FloatArray,
    key: Int32Array,
    draw: Int32Array,
    state: npt.NDArray[np.uint64],
    shape: FloatArray,
    x_of: IntArray,
    T: FloatArray,
    power: FloatArray,
    stays: FloatArray,
    alpha: FloatArray,
    a: FloatArray,
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
    delta, month = due.delta, due.month
    for n in range(key.size):
        d, i, bits = draw[n], x_of[key[n]], state[n]
        R, A, p, asked = power[i, d], alpha[d] + T[key[n]], a[d], a[d] + stays[i, d]
        end = math.log1p(until[d] / A)
        at = min(first[n], end)
        count, total, stay = 0, 0.0, True
        while stay and at <= end:
            amount, bits = order(shape[d], bits)
            u, bits = uniform(bits)
            stay = u * (asked + count) >= p
            t = calendar_time(A * math.expm1(at), d, due.edges, due.warped)
            total += amount * present_value(t, delta, month)
            if len(begin) > 0:
                times[begin[n] + count], amounts[begin[n] + count] = t, amount
            count += 1
            for stage in range(k):
                more, bits = exponential(bits)
                at += more / (R + (k * count + stage))
        orders[n], bought[n], alive[n], state[n] = total, count, stay, bits


bgcnbd2: Final = RegularFamily(extra_stays=0, regularity=2)
bgcnbd3: Final = RegularFamily(extra_stays=0, regularity=3)
bgcnbd4: Final = RegularFamily(extra_stays=0, regularity=4)
mbgcnbd2: Final = RegularFamily(extra_stays=1, regularity=2)
mbgcnbd3: Final = RegularFamily(extra_stays=1, regularity=3)
mbgcnbd4: Final = RegularFamily(extra_stays=1, regularity=4)
