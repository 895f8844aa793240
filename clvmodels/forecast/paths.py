"""What is simulated of customers, and of the living who buy in the horizon, for each (x, T).

Values are those of orders Gamma(p, nu), nu ~ Gamma(q + p x, v + x m_bar). The amounts of
a path are simulated in units of v + x m_bar, so that one simulation serves all spenders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from clvmodels.forecast.chunks import Chunk
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.random import bits_of, gamma, hashed, uniform
from clvmodels.formulas.strata import plain
from clvmodels.purchases.walks import Int32Array, Walks
from clvmodels.schema import FloatArray

MOST_PURCHASES: Final = 1e5  # on a path, in expectation; more are not simulated
_BATCH: Final = 16_384  # paths walked at a time, or those of one (x, T)


class Outcomes(NamedTuple):
    """What is simulated.

    Attributes
    ----------
    p, q : ndarray, shape (S,)
        Draws of the spend model; p is 0 where every purchase has one value.
    per_draw : int
        Paths of every draw.
    seed : uint64
    """

    p: FloatArray
    q: FloatArray
    per_draw: int
    seed: np.uint64


@compiled
def level_of(x: float, p: float, q: float, state: np.uint64) -> float:
    """Draw nu of a customer with x repeat purchases; 1 where baskets are of one value."""
    if p == 0.0:
        return 1.0
    level, _ = gamma(q + p * x, state)
    return float(level)


@compiled
def _start(
    begin: int,
    x: FloatArray,
    T: FloatArray,
    buys: FloatArray,
    outcomes: Outcomes,
    walks_key: Int32Array,
    walks_phase: Int32Array,
    walks_draw: Int32Array,
    chance: FloatArray,
    state: np.ndarray,
) -> None:
    """Fill where the paths of some (x, T) start, all with a purchase."""
    keys, K, S = buys.shape
    n = 0
    for i in range(keys):
        seed = hashed(hashed(outcomes.seed, bits_of(x[begin + i])), bits_of(T[begin + i]))
        number = 0
        for phase in range(K):
            for _ in range(outcomes.per_draw):
                for d in range(S):
                    u, state[n] = uniform(hashed(seed, np.uint64(number)))
                    chance[n] = u * buys[i, phase, d]
                    walks_key[n], walks_phase[n], walks_draw[n] = begin + i, phase, d
                    number += 1
                    n += 1


@compiled
def _settle(
    x: FloatArray,
    key: Int32Array,
    draw: Int32Array,
    state: np.ndarray,
    orders: FloatArray,
    outcomes: Outcomes,
    out: FloatArray,
) -> None:
    """Fill the paths' values in units of v + x m_bar."""
    p, q = outcomes.p, outcomes.q
    for n in range(out.size):
        d = draw[n]
        out[n] = orders[n] / level_of(x[key[n]], p[d], q[d], state[n])


def unit_values(chunk: Chunk, outcomes: Outcomes) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Simulate the living of every (x, T) who buy in the horizon, some (x, T) at a time.

    Yields
    ------
    begin : int
        The first (x, T).
    units : ndarray, shape (keys, K, per_draw, S)
        Discounted values in units of v + x m_bar, given a purchase; NaN where somebody who
        never drops out would make more than ``MOST_PURCHASES``.
    buys : ndarray, shape (keys, K, S)
        P(a purchase | alive).
    """
    shape = (chunk.phases, outcomes.per_draw, chunk.draws)
    paths = int(np.prod(shape))
    numbers, room = plain(chunk.x), Walks.room(max(_BATCH // paths, 1) * paths, outcomes.p)
    for begin in range(0, len(chunk.x), max(_BATCH // paths, 1)):
        end = min(begin + max(_BATCH // paths, 1), len(chunk.x))
        buys = chunk.buys(slice(begin, end))
        units = np.full((end - begin, *shape), np.nan)
        # Runs of those who can be walked; nearly always all of them
        fine = np.flatnonzero(~(chunk.living.busiest(begin, end) > MOST_PURCHASES))
        for run in np.split(fine, np.flatnonzero(np.diff(fine) > 1) + 1):
            if not len(run):
                continue
            walks = room.some(slice(len(run) * paths))
            _start(
                begin + run[0],
                numbers,
                chunk.T,
                buys[run[0] : run[-1] + 1],
                outcomes,
                walks.key,
                walks.phase,
                walks.draw,
                walks.chance,
                walks.state,
            )
            chunk.living.walk(walks)
            flat = units[run[0] : run[-1] + 1].reshape(-1)
            _settle(numbers, walks.key, walks.draw, walks.state, walks.orders, outcomes, flat)
        yield begin, units, buys
