"""Random numbers for compiled simulations, from seeds that are hashes of what is simulated.

A stream belongs to a history and a path, not to a place in a loop: so results do not
depend on the order of rows, on blocks or on threads. The generator is SplitMix64 (Steele,
Lea & Flood 2014), whose state is one 64-bit number. Every function takes the state and
returns the next one: in an array it would cost three times as much, since numba counts
references to arrays in the innermost loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from clvmodels.formulas._jit import compiled
from clvmodels.schema import FloatArray

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = (np.uint64(bits) for bits in (30, 27, 31, 12))
_UNIT: Final = 2.0**-52

# Ziggurats of Marsaglia & Tsang (2000): layers of equal area under a density, of which the
# lowest has the tail in it. Layer and place in it come from other bits of a number, without
# which normal numbers would be wrong (Doornik 2005).
_LAYERS: Final = 256
_LAYER: Final = np.uint64(_LAYERS - 1)


def _edges(
    tail: float, beyond: float, density: Callable[[float], float], inverse: Callable[[float], float]
) -> FloatArray:
    """Right ends of the layers, and 0; the lowest is as if its tail, too, were in a box."""
    area = tail * density(tail) + beyond
    edges = [area / density(tail), tail]
    for _ in range(_LAYERS - 2):
        edges.append(inverse(density(edges[-1]) + area / edges[-1]))
    return np.array([*edges, 0.0])


# Where the tail begins, such that there are so many layers
_TAIL: Final = 3.6541528853610088
_TAIL_EXP: Final = 7.69711747013104972
_X: Final = _edges(
    _TAIL,
    math.sqrt(math.pi / 2.0) * math.erfc(_TAIL / math.sqrt(2.0)),
    lambda x: math.exp(-0.5 * x * x),
    lambda y: math.sqrt(-2.0 * math.log(y)),
)
_F: Final = np.exp(-0.5 * _X * _X)
_X_EXP: Final = _edges(
    _TAIL_EXP, math.exp(-_TAIL_EXP), lambda x: math.exp(-x), lambda y: -math.log(y)
)
_F_EXP: Final = np.exp(-_X_EXP)


@compiled
def mixed(z: np.uint64) -> np.uint64:
    """Scramble 64 bits, one to one."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@compiled
def hashed(seed: np.uint64, number: np.uint64) -> np.uint64:
    """Combine a seed with one more number."""
    return mixed(mixed(seed + _STEP) ^ (number + _STEP))


@compiled
def bits_of(value: float) -> np.uint64:
    """Return the bits of a float, one zero and not two."""
    return np.float64(value + 0.0).view(np.uint64)


@compiled
def uniform(state: np.uint64) -> tuple[float, np.uint64]:
    """Uniform on (0, 1), never an end."""
    state += _STEP
    return float((mixed(state) >> _S12) + 0.5) * _UNIT, state


@compiled
def exponential(state: np.uint64) -> tuple[float, np.uint64]:
    """Exponential with mean 1."""
    beyond = 0.0
    while True:
        state += _STEP
        bits = mixed(state)
        i = np.int64(bits & _LAYER)
        x = float((bits >> _S12) + 0.5) * _UNIT * _X_EXP[i]
        if x < _X_EXP[i + 1]:
            return beyond + x, state
        if i == 0:
            beyond += _TAIL_EXP  # without memory: what lies beyond is distributed alike
            continue
        u, state = uniform(state)
        if _F_EXP[i] + u * (_F_EXP[i + 1] - _F_EXP[i]) < math.exp(-x):
            return beyond + x, state


@compiled
def normal(state: np.uint64) -> tuple[float, np.uint64]:
    """Standard normal."""
    while True:
        state += _STEP
        bits = mixed(state)
        i = np.int64(bits & _LAYER)
        x = (float((bits >> _S12) + 0.5) * 2.0 * _UNIT - 1.0) * _X[i]
        if abs(x) < _X[i + 1]:
            return x, state
        if i == 0:
            tail, state = _normal_tail(state)
            return math.copysign(tail, x), state
        u, state = uniform(state)
        if _F[i] + u * (_F[i + 1] - _F[i]) < math.exp(-0.5 * x * x):
            return x, state


@compiled
def _normal_tail(state: np.uint64) -> tuple[float, np.uint64]:
    """Standard normal, given that it exceeds the lowest layer: Marsaglia (1964)."""
    while True:
        one, state = exponential(state)
        other, state = exponential(state)
        beyond = one / _TAIL
        if 2.0 * other > beyond * beyond:
            return _TAIL + beyond, state


@compiled
def gamma(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """Gamma with this shape > 0 and scale 1: Marsaglia & Tsang (2000).

    Shapes below 1 by Gamma(s) = Gamma(s + 1) U^(1/s).
    """
    if shape < 1.0:
        value, state = gamma_from_one(shape + 1.0, state)
        u, state = uniform(state)
        return value * math.pow(u, 1.0 / shape), state
    return gamma_from_one(shape, state)


@compiled
def gamma_from_one(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """Gamma with a shape >= 1."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        z, state = normal(state)
        cube = 1.0 + c * z
        if cube <= 0.0:
            continue
        cube = cube * cube * cube
        u, state = uniform(state)
        square = z * z
        if u < 1.0 - 0.0331 * square * square:
            return d * cube, state
        if math.log(u) < 0.5 * square + d * (1.0 - cube + math.log(cube)):
            return d * cube, state
