"""The calendar of the future: how fast the time of all customers passes, day by day.

Seasons, campaigns, shortages and the state of the trade move all customers at once, so they do
not average out over a base, as what each of them does for himself does. They are one intensity
g(t), common to all, that speeds customers' own time up and slows it down: what they do within
a horizon H is what they would do within int_0^H g of their own time. In every draw it is

    log g(t) = level + swing(t) + drift(t) - variance(t) / 2 + log(usual(t)) + log(scenario(t)),

a level that stays (sd .7 w), a mean-reverting swing (Ornstein-Uhlenbeck from 0 on, sd .7 w in
the long run, with a half-life of 120 days) and a random walk (sd .5 w after a year, growing
with the square root of time). With half of its variance taken off, g is usual (or what the
scenario says) in expectation on every day, whatever w is: more doubt does not promise more
purchases. What is usual is 1, or what a clock that was learnt from a log has for the day, with
the doubt of its week and season.

Customers' own time is that of leaving, too. Where they leave at purchases (BG/NBD and its kin)
nothing else can be meant. Where they leave at any time (Pareto/NBD), a slow month then also
delays leaving: for calendars that are 1 on average the two differ little, and all formulas stay
exact for what is said here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np

from clvmodels.forecast.draws import Draws
from clvmodels.formulas.along import to_coefficients
from clvmodels.formulas.discounting import Due
from clvmodels.purchases.clock import LearntClock
from clvmodels.schema import DAYS_PER_YEAR, FloatArray

MOST_SD: Final = 0.3  # that is learnt from a log
_LEVEL: Final = 0.7
_SWING: Final = 0.7
_DRIFT: Final = 0.5
_HALF_LIFE: Final = 120.0  # days
_SEED: Final = 20261128
_DEGREE: Final = 20
_FAR: Final = 10.0 * DAYS_PER_YEAR  # days
_YEAR: Final = int(DAYS_PER_YEAR)
_MOST_LENGTHS: Final = 4_000_000  # whose purchases are there at a time

Source = Literal["none", "assumed", "given", "learnt"]


def sd_of_level(sd_of_shocks: float) -> float:
    """Turn the sd of a log's own shocks into that of the logarithm of the future's level.

    On real logs .05 + .4 sd holds in about nine of ten origins. A log whose shocks are smaller
    than that .05 does not promise larger ones: a stable business may plan with narrow totals.
    """
    return min(min(0.05, sd_of_shocks) + 0.4 * sd_of_shocks, MOST_SD)


@dataclass(frozen=True, slots=True)
class Calendar:
    """What is known, and not known, of the intensity to come.

    Attributes
    ----------
    sd : float
        w, about the sd of the logarithm of a year's intensity; 0 where it is known.
    source : {"none", "assumed", "given", "learnt"}
        Who says so.
    factors : ndarray, shape (n,)
        What a scenario multiplies each day's intensity by, from the day after the end of
        observation on; empty where there is none. Days beyond are not multiplied.
    seed : int
        Of the paths.
    clock : LearntClock or None
        What is usual of each day; None where all days are alike.
    first_day : int
        The day after the end of observation, since 1970-01-01, where there is a clock.
    """

    sd: float = 0.0
    source: Source = "none"
    factors: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    seed: int = _SEED
    clock: LearntClock | None = field(default=None, repr=False)
    first_day: int = 0

    @classmethod
    def by(cls, clock: LearntClock | None, last_day: int | None) -> Calendar:
        """What a clock tells of the days after the end of an observation."""
        if clock is None or last_day is None:
            return cls()
        sd = sd_of_level(clock.sd_of_shocks)
        return cls(sd, "learnt", clock=clock, first_day=last_day + 1)

    @property
    def matters(self) -> bool:
        """Whether it changes anything."""
        return self.sd > 0.0 or self.factors.size > 0 or self.clock is not None

    @property
    def average(self) -> Calendar:
        """The same without doubt: what is usual, and the scenario."""
        return replace(self, sd=0.0)

    def intensity(self, draws: int, days: int) -> FloatArray:
        """Paths of g, shape (draws, days).

        A path depends on the seed, the number of its draw and the number of the day alone.
        Draws go by twos, the second one with the logarithm mirrored, so that means over
        draws are near those of all paths.
        """
        factors = self._usual(days)
        factors[: self.factors.size] *= self.factors[:days]
        if self.sd == 0.0:
            return np.broadcast_to(factors, (draws, days))
        pairs = -(-draws // 2)
        path, variance = self._level(pairs, days)
        if self.clock is not None:
            doubts = self.clock.doubts(self.first_day + np.arange(days))
            path += self._normal(pairs, len(doubts)) @ doubts
            variance = variance + (doubts**2).sum(axis=0)
        both = np.stack([path, -path], axis=1).reshape(2 * pairs, days)[:draws]
        return np.asarray(np.exp(both - variance / 2.0) * factors)

    def _usual(self, days: int) -> FloatArray:
        if self.clock is None:
            return np.ones(days)
        return self.clock.intensity(self.first_day + np.arange(days))

    def _normal(self, pairs: int, count: int) -> FloatArray:
        rngs = (np.random.default_rng([self.seed, pair, 1]) for pair in range(pairs))
        return np.array([rng.normal(size=count) for rng in rngs]).reshape(pairs, count)

    def _level(self, pairs: int, days: int) -> tuple[FloatArray, FloatArray]:
        """Logarithms of the level on every day, for every other draw, and their variance."""
        level, swing, drift = (self.sd * share for share in (_LEVEL, _SWING, _DRIFT))
        stays, step = 0.5 ** (1.0 / _HALF_LIFE), drift / math.sqrt(DAYS_PER_YEAR)
        first, noise = np.empty(pairs), np.empty((pairs, days, 2))
        for pair in range(pairs):
            rng = np.random.default_rng([self.seed, pair])
            first[pair], noise[pair] = rng.normal(), rng.normal(size=(days, 2))
        shocks = noise[..., 0] * swing * math.sqrt(1.0 - stays**2)
        for i in range(1, days):
            shocks[:, i] += stays * shocks[:, i - 1]
        path = level * first[:, None] + shocks + step * np.cumsum(noise[..., 1], axis=1)
        day = np.arange(1, days + 1)
        variance = level**2 + swing**2 * (1.0 - stays ** (2 * day)) + step**2 * day
        return path, variance

    def over(self, due: Due, days_per_unit: float, draws: int) -> Due:
        """What is due, with this calendar in place of time that passes evenly.

        Parameters
        ----------
        due : Due
            Of a time that passes evenly. For the remaining lifetime there is what is usual for
            ten years, and then the mean of the last one; doubt is of finite horizons.
        days_per_unit : float
            Length of a unit of T.
        draws : int
            How many paths.
        """
        if not self.matters:
            return due
        if math.isinf(due.horizon) and self.sd > 0.0:
            return self.average.over(due, days_per_unit, draws)
        # rounding must not make a day of nothing
        length = due.horizon * days_per_unit if math.isfinite(due.horizon) else _FAR
        days = max(math.ceil(length - 1e-9), 1)
        own = np.zeros((draws, days + 1))
        np.cumsum(self.intensity(draws, days), axis=1, out=own[:, 1:])
        return due._replace(edges=np.arange(days + 1) / days_per_unit, warped=own / days_per_unit)


def by_parts(
    draws: Draws, x: FloatArray, T: FloatArray, due: Due, parts: Parts | None = None
) -> tuple[FloatArray, FloatArray]:
    """Purchases of the living under a calendar, undiscounted and discounted.

    Parameters
    ----------
    draws : Draws
        Of purchases.
    x, T : ndarray, shape (P,)
        Of the customers.
    due : Due
        With a calendar.
    parts : Parts, optional
        Of that, where it was made before.

    Returns
    -------
    tuple of ndarray, shape (P, K, S)
    """
    if math.isinf(due.horizon):
        return _for_life(draws, x, T, due)
    parts = parts or Parts.of(due, np.array([due.horizon]))
    both = np.empty((2, len(x), draws.formulas.phases, draws.count))
    for one in np.unique(x):
        same = np.flatnonzero(x == one)
        both[:, same] = parts.of_one(draws, float(one), T[same])[:, 0]
    return both[0], both[1]


def _for_life(
    draws: Draws, x: FloatArray, T: FloatArray, due: Due
) -> tuple[FloatArray, FloatArray]:
    """Purchases of a lifetime, with a calendar that is the same in all draws.

    Beyond its end time passes evenly, at the pace c of its last year: own time s is reached at
    t = H + (s - S(H)) / c, so that what comes after H is what is discounted at delta / c beyond
    S(H), times e^(-delta (H - S(H) / c)). Seasons go on: what they are worth when a year
    is discounted, at an even flow, they are worth in every later one: 5e-5 off at most.
    """

    def without(due: Due) -> tuple[FloatArray, FloatArray]:
        return draws.formulas.living(x, T, draws.purchases, due).expect()

    if due.delta == 0.0:
        return without(Due(due.horizon))
    H, own = float(due.edges[-1]), due.warped[0]
    # a year of means over seven days, two years before the one that follows
    begin = due.edges.size - 1 - round(2.0 * DAYS_PER_YEAR) - 3
    days = np.arange(begin, begin + _YEAR)
    pace = (own[days + 7] - own[days]) / (due.edges[days + 7] - due.edges[days])
    c = float(pace.mean())
    purchases, soon = by_parts(draws, x, T, due._replace(horizon=H))
    if c == 0.0:
        return purchases, soon
    purchases, whole = without(Due(math.inf, due.delta / c))
    later = (whole - without(Due(float(own[-1]), due.delta / c))[1]) * math.exp(
        -due.delta * (H - float(own[-1]) / c)
    )
    early = np.exp(-due.delta * due.edges[:_YEAR])
    later *= float(early @ pace) / (c * float(early.sum()))
    by_month = due.delta * due.month  # what is due at a month's end, if it comes evenly
    return purchases, soon + later * (by_month / math.expm1(by_month) if by_month else 1.0)


@dataclass(frozen=True, slots=True)
class Parts:
    """What is due by several ends under one calendar, as sums over lengths of own time.

    A flow of which M(S(t)) has come by t is worth, by parts,
    e^(-delta H) M(S(H)) + delta int_0^H e^(-delta t) M(S(t)) dt. The calendar S is rough, but
    M is smooth, most so in the root of its argument: Chebyshev's points in that, up to the
    last end, are enough for the integrals. By the month the value is a sum of differences of M
    at the months' ends, and exact; so is what is not discounted.

    Attributes
    ----------
    lengths : ndarray, shape (S, n)
        Of own time.
    weights : ndarray, shape (2, E, S, n)
        Of the purchases within them, in those by each end, and in their value.
    """

    lengths: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, due: Due, ends: FloatArray) -> Parts:
        """What is due by some ends, rising, none of them beyond the calendar."""
        draws = len(due.warped)
        if draws > 1 and (due.warped == due.warped[0]).all():  # of one draw it says all
            alike = cls.of(due.some(slice(0, 1)), ends)
            shape = (*alike.weights.shape[:2], draws, alike.weights.shape[3])
            lengths = np.broadcast_to(alike.lengths, shape[2:])
            return cls(lengths, np.broadcast_to(alike.weights, shape))
        H, delta, month = float(ends[-1]), due.delta, due.month
        if delta == 0.0 or H == 0.0:
            lengths = due.own_time(ends)
            one = np.broadcast_to(np.eye(len(ends))[:, None], (len(ends), *lengths.shape))
            return cls(lengths, np.stack([one, one]))
        return cls._monthly(due, ends) if month > 0.0 else cls._continuously(due, ends)

    @classmethod
    def _monthly(cls, due: Due, ends: FloatArray) -> Parts:
        months = due.month * np.arange(1, max(math.ceil(ends[-1] / due.month), 1) + 1)
        at = np.unique(np.append(np.minimum(months, ends[-1]), ends))
        weights = np.zeros((2, len(ends), 1, len(at)))
        for e, end in enumerate(ends):
            until = months[: max(math.ceil(end / due.month), 1)]
            place = np.searchsorted(at, np.minimum(until, end))
            weights[0, e, 0, place[-1]] = 1.0
            weights[1, e, 0, place] = -np.diff(np.exp(-due.delta * until), append=0.0)
        lengths = due.own_time(at)
        return cls(lengths, np.broadcast_to(weights, (*weights.shape[:2], *lengths.shape)))

    @classmethod
    def _continuously(cls, due: Due, ends: FloatArray) -> Parts:
        at_ends = due.own_time(ends)
        until = at_ends[:, -1:]
        days = np.unique(np.concatenate([due.edges[due.edges < ends[-1]], [0.0], ends]))
        lost = -np.diff(np.exp(-due.delta * days))
        passed = due.own_time((days[1:] + days[:-1]) / 2.0)
        at = 2.0 * np.sqrt(passed / np.maximum(until, 1e-300)) - 1.0
        place = np.searchsorted(days, ends)  # how many of the days have passed
        moments = np.empty((len(ends), len(until), _DEGREE + 1))
        before, now = at, np.ones_like(at)  # T_-1 = T_1
        for degree in range(_DEGREE + 1):
            come = np.insert(np.cumsum(now * lost, axis=1), 0, 0.0, axis=1)
            moments[..., degree] = come[:, place].T
            before, now = now, 2.0 * at * now - before
        points = (1.0 - np.cos(np.pi * np.arange(1, _DEGREE + 1) / _DEGREE)) / 2.0
        # besides the points the ends themselves, of which the last is a point
        lengths = np.concatenate([until * points**2, at_ends[:, :-1]], axis=1)
        weights = np.zeros((2, len(ends), *lengths.shape))
        weights[1, ..., :_DEGREE] = (moments @ to_coefficients(_DEGREE).T)[..., 1:]
        for e, end in enumerate(ends):
            own = _DEGREE - 1 if e == len(ends) - 1 else _DEGREE + e
            weights[0, e, :, own] = 1.0
            weights[1, e, :, own] += math.exp(-due.delta * end)
        return cls(lengths, weights)

    def of_one(self, draws: Draws, x: float, T: FloatArray) -> FloatArray:
        """Purchases and value of the living of one x and some T, shape (2, E, P, K, S)."""
        values, ends, S, n = self.weights.shape
        by_length = self.weights.reshape(values * ends, S, n).transpose(1, 2, 0)
        both = np.empty((draws.formulas.phases, S, len(T), values * ends))
        some = max(_MOST_LENGTHS // self.lengths.size, 1)
        lengths = self.lengths  # where they are the same in all draws, one row says it all
        lengths = lengths[0] if (lengths == lengths[0]).all() else lengths
        for begin in range(0, len(T), some):
            rows = slice(begin, begin + some)
            bought = draws.formulas.along(x, T[rows], lengths, draws.purchases)
            both[:, :, rows] = bought @ by_length
        return both.transpose(3, 2, 0, 1).reshape(values, ends, len(T), -1, S)
