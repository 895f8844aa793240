"""Random numbers for compiled simulations, from seeds that are hashes of what is simulated.

A stream belongs to a history and a path, not to a place in a loop: so results do not
depend on the order of rows, on blocks or on threads. The generator is SplitMix64 (Steele,
Lea & Flood 2014), whose state is one 64-bit number.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled

State = npt.NDArray[np.uint64]
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S12 = (np.uint64(bits) for bits in (30, 27, 31, 12))
_UNIT: Final = 2.0**-52


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
def uniform(state: State) -> float:
    """Uniform on (0, 1), never an end; the state goes on."""
    state[0] += _STEP
    return float((mixed(state[0]) >> _S12) + 0.5) * _UNIT


@compiled
def exponential(state: State) -> float:
    """Exponential with mean 1."""
    return -math.log(uniform(state))


@compiled
def normal(state: State) -> float:
    """Standard normal, by Marsaglia's polar method."""
    while True:
        one, other = 2.0 * uniform(state) - 1.0, 2.0 * uniform(state) - 1.0
        square = one * one + other * other
        if 0.0 < square < 1.0:
            return one * math.sqrt(-2.0 * math.log(square) / square)


@compiled
def gamma(shape: float, state: State) -> float:
    """Gamma with this shape > 0 and scale 1: Marsaglia & Tsang (2000).

    Shapes below 1 by Gamma(s) = Gamma(s + 1) U^(1/s).
    """
    if shape < 1.0:
        return gamma_from_one(shape + 1.0, state) * math.pow(uniform(state), 1.0 / shape)
    return gamma_from_one(shape, state)


@compiled
def gamma_from_one(shape: float, state: State) -> float:
    """Gamma with a shape >= 1."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        z = normal(state)
        cube = 1.0 + c * z
        if cube <= 0.0:
            continue
        cube = cube * cube * cube
        u, square = uniform(state), z * z
        if u < 1.0 - 0.0331 * square * square:
            return d * cube
        if math.log(u) < 0.5 * square + d * (1.0 - cube + math.log(cube)):
            return d * cube
