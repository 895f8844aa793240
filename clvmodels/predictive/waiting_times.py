"""The numerics of times to a next purchase: chances at some times, and quantiles between them.

P(a purchase within t) is mixed over phases and draws, so that its quantiles have no closed
form. It is known at times at most a factor of 1.7 apart, and between them by polynomials: of
ln(-ln(1 - P(t) / P(ever))) in ln t, which is a straight line where times are exponential and
nearly one for all models. Times are looked at only where a quantile lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast import Draws
from clvmodels.forecast.chunks import CHUNK, Chunk, Tile, chunk_of
from clvmodels.forecast.grouping import Groups
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.discounting import Due
from clvmodels.predictive.base import history_of_rows
from clvmodels.purchases.family import Living
from clvmodels.schema import FloatArray, TimeScale

FAR: Final = 100 * 365.25  # days beyond which no time is told
_NEAR: Final = 2.0**-10  # days below which times are told no finer
# Logarithms of times lie so far apart where customers have one phase, and where timing is
# regular: quantiles are then right to 2e-6. A factor of 2 would be right to 7e-6
_STEP: Final = math.log(1.7)
_FINE_STEP: Final = math.log(1.5)
_ASIDE: Final = 5  # times that a polynomial takes on either side
_COARSE: Final = 4  # of so many times one is looked at first
# Chances nearer to P(ever) than this have too few digits for ln(1 - P / P(ever))
_FULL: Final = 1e-7
_TABLE: Final = 500_000  # draws x ages, for which a chunk has a table at each time: 4 MB
_LEAST: Final = 512  # histories of a chunk, however many draws there are


class Solved(NamedTuple):
    """By row: chances (L, N), that of no purchase ever (N,), and times (Q, N)."""

    chances: FloatArray
    never: FloatArray
    times: FloatArray


def solve(
    groups: Groups,
    draws: Draws,
    scale: TimeScale,
    lengths: FloatArray,
    tails: FloatArray,
    cores: int,
) -> Solved:
    """Chances and times of all rows; histories that share (x, T) share what the living do.

    Parameters
    ----------
    groups : Groups
        Distinct histories, N rows in all.
    draws : Draws
        Of purchases.
    scale : TimeScale
        Unit of the histories.
    lengths : ndarray, shape (L,)
        Whose chances are told.
    tails : ndarray, shape (Q,)
        Probabilities of the quantiles of the time, if a purchase comes.
    cores : int
        Threads; the answer does not depend on them.
    """
    grid = _grid(scale, _STEP if draws.formulas.phases == 1 else _FINE_STEP)

    def work(part: tuple[int, int]) -> Solved:
        begin, end = part
        chunk = chunk_of(groups, begin, draws, Due(math.inf), size=end - begin)
        return _Times(chunk, draws, grid).solved(lengths, tails)

    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(work, _parts(groups, draws.count)))
    where = history_of_rows(groups)
    none = Solved(np.empty((len(lengths), 0)), np.empty(0), np.empty((len(tails), 0)))
    joined = (np.concatenate(column, axis=-1) for column in zip(none, *parts, strict=True))
    return Solved(*(column[..., where] for column in joined))


def _grid(scale: TimeScale, step: float) -> FloatArray:
    near, far = (math.log(days / scale.days) for days in (_NEAR, FAR))
    return np.asarray(np.exp(np.arange(near, far + _ASIDE * step, step)))


def _parts(groups: Groups, draws: int) -> Iterator[tuple[int, int]]:
    """Histories worked off at a time: fewer where ages are so many that tables grow with them."""
    many = len(np.unique(groups.T)) * draws > _TABLE
    size = max(_TABLE // draws, _LEAST) if many else CHUNK
    for begin in range(0, len(groups.x), size):
        yield begin, min(begin + size, len(groups.x))


@dataclass(frozen=True)
class _Times:
    """Histories of a chunk, and what the living do within each time that was looked at."""

    chunk: Chunk
    draws: Draws
    grid: FloatArray
    known: dict[float, Living] = field(default_factory=dict)

    def solved(self, lengths: FloatArray, tails: FloatArray) -> Solved:
        """Solve tile by tile; where quantiles lie in one they mostly do in the next."""
        parts, around = [], None
        step = math.log(self.grid[1] / self.grid[0])
        for tile in self.chunk.tiles():
            ever, chances = self._ever(tile), self._chances(tile, lengths)
            begin, end = around or self._about(tile, ever, tails)
            at_times, begin = self._bracketed(tile, ever, tails, begin, end)
            found = np.empty((len(tails), len(ever)))
            _quantiles(math.log(self.grid[begin]), step, at_times, ever, tails, found)
            parts.append(Solved(chances.T, 1.0 - ever, found))
            around = self._around(at_times, ever, tails, begin)
        return Solved(*(np.concatenate(column, axis=-1) for column in zip(*parts, strict=True)))

    def _ever(self, tile: Tile) -> FloatArray:
        found = np.empty((tile.end - tile.begin, 1))
        self._mix(tile, self.chunk.living, found, 0)
        return found[:, 0]

    def _chances(self, tile: Tile, times: FloatArray) -> FloatArray:
        """P(a purchase within each time), shape (n, times)."""
        found = np.empty((tile.end - tile.begin, len(times)))
        for e, time in enumerate(times.tolist()):
            if time not in self.known:
                self.known[time] = self.chunk.until(Due(time), self.draws).living
            self._mix(tile, self.known[time], found, e)
        return found

    def _mix(self, tile: Tile, living: Living, out: FloatArray, column: int) -> None:
        buys = np.empty((tile.keys.stop - tile.keys.start, self.chunk.phases, self.chunk.draws))
        living.buys(tile.keys.start, buys)
        key_of = self.chunk.customers.key_of[tile.begin : tile.end] - tile.keys.start
        _mix(key_of, buys, tile.weights, out[:, column])

    def _about(self, tile: Tile, ever: FloatArray, tails: FloatArray) -> tuple[int, int]:
        """Range of times in which the quantiles lie, by few of them."""
        few = np.unique([*range(0, len(self.grid), _COARSE), len(self.grid) - 1])
        first, last = _where(self._chances(tile, self.grid[few]), ever, tails)
        return self._wide(int(few[max(first - 1, 0)]), int(few[min(last, len(few) - 1)]))

    def _around(
        self, at_times: FloatArray, ever: FloatArray, tails: FloatArray, begin: int
    ) -> tuple[int, int]:
        first, last = _where(at_times, ever, tails)
        return self._wide(begin + first - 1, begin + last)

    def _wide(self, first: int, last: int) -> tuple[int, int]:
        """Two times, with the neighbours that polynomials take, as a range."""
        return max(first + 1 - _ASIDE, 0), min(last + _ASIDE, len(self.grid))

    def _bracketed(
        self, tile: Tile, ever: FloatArray, tails: FloatArray, begin: int, end: int
    ) -> tuple[FloatArray, int]:
        """Chances at all times that the quantiles need, and the first of these."""
        found = self._chances(tile, self.grid[begin:end])
        while True:
            first, last = _where(found, ever, tails)
            low, high = self._wide(begin + first - 1, begin + last)
            if low >= begin and high <= end:
                return np.minimum(found, ever[:, None]), begin
            low, high = min(low, begin), max(high, end)
            before = self._chances(tile, self.grid[low:begin])
            after = self._chances(tile, self.grid[end:high])
            found, begin, end = np.hstack([before, found, after]), low, high


def _where(chances: FloatArray, ever: FloatArray, tails: FloatArray) -> tuple[int, int]:
    """First and last of the places, among some times, before which a quantile lies."""
    some = ever > 0.0
    if not some.any():
        return 1, 1
    places = (chances[some, :, None] < ever[some, None, None] * tails).sum(axis=1)
    return int(places.min()), int(places.max())


@compiled_sum
def _product(one: FloatArray, other: FloatArray) -> float:
    total = 0.0
    for d in range(one.size):
        total += one[d] * other[d]
    return total


@compiled
def _mix(
    key_of: np.ndarray[tuple[int], np.dtype[np.int64]],
    buys: FloatArray,
    weights: FloatArray,
    out: FloatArray,
) -> None:
    """Mix what the living of each key do, over phases and draws, for its histories."""
    for h in range(key_of.size):
        total = 0.0
        for k in range(weights.shape[0]):
            total += _product(weights[k, h], buys[key_of[h], k])
        out[h] = total / weights.shape[2]


@compiled
def _line(share: float) -> float:
    """ln(-ln(1 - share)), a straight line in ln t where times are exponential."""
    return math.log(-math.log1p(-share))


@compiled
def _between(values: FloatArray, at: float) -> float:
    """Value of the polynomial through all values, ``at`` steps after the first."""
    total = 0.0
    for i in range(values.size):
        term = values[i]
        for j in range(values.size):
            if j != i:
                term *= (at - j) / (i - j)
        total += term
    return total


@compiled
def _quantiles(
    first: float,
    step: float,
    chances: FloatArray,
    ever: FloatArray,
    tails: FloatArray,
    out: FloatArray,
) -> None:
    """Fill the times, shape (Q, H), by which a share of those who buy again has bought."""
    last = chances.shape[1] - 1
    lines = np.empty(last + 1)
    for h in range(chances.shape[0]):
        mine, most = chances[h], ever[h]
        for q in range(tails.size):
            wanted = tails[q] * most
            if not most > 0.0 or mine[last] < wanted:
                out[q, h] = np.inf
                continue
            place = np.searchsorted(mine, wanted)
            if place == 0:  # before the first time a chance grows in proportion, or faster
                out[q, h] = math.exp(first) * wanted / mine[0]
                continue
            begin, end = place, place
            while begin > 0 and begin > place - _ASIDE and mine[begin - 1] > 0.0:
                begin -= 1
            while end < last and end < place + _ASIDE - 1 and mine[end + 1] < most * (1.0 - _FULL):
                end += 1
            if begin == place or mine[place] >= most * (1.0 - 1e-12):
                # Nothing to go by: a straight line of chances
                before = mine[place - 1]
                share = (wanted - before) / (mine[place] - before)
                out[q, h] = math.exp(first + (place - 1 + share) * step)
                continue
            for i in range(begin, end + 1):
                lines[i] = _line(mine[i] / most)
            target, values = _line(tails[q]), lines[begin : end + 1]
            low, high = float(place - 1 - begin), float(place - begin)
            for _ in range(40):
                middle = 0.5 * (low + high)
                if _between(values, middle) < target:
                    low = middle
                else:
                    high = middle
            out[q, h] = math.exp(first + (begin + 0.5 * (low + high)) * step)
