"""What histories do, as their weights mix what living customers do: sums over phases, by draw."""

from __future__ import annotations

from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.schema import FloatArray


@compiled_sum
def mean_of(values: FloatArray) -> float:
    """Mean over draws."""
    total = 0.0
    for d in range(values.size):
        total += values[d]
    return total / values.size


@compiled_sum
def variance_of(values: FloatArray, mean: float) -> float:
    """Variance over draws, whose mean is known."""
    total = 0.0
    for d in range(values.size):
        total += (values[d] - mean) * (values[d] - mean)
    return total / values.size


@compiled_sum
def mean_product(one: FloatArray, other: FloatArray) -> float:
    """Mean over draws of a product."""
    total = 0.0
    for d in range(one.size):
        total += one[d] * other[d]
    return total / one.size


@compiled
def mixed_mean(weights: FloatArray, h: int, values: FloatArray) -> float:
    """Mean over draws of what history h does: values, shape (K, S), by its weights."""
    total = mean_product(weights[0, h], values[0])
    for j in range(1, values.shape[0]):
        total += mean_product(weights[j, h], values[j])
    return total


@compiled
def weights_of(weights: FloatArray, h: int) -> FloatArray:
    """Weights of history h, shape (K S,), the phases one after the other."""
    if weights.shape[0] == 1:
        one: FloatArray = weights[0, h]
        return one
    return weights[:, h].copy().reshape(-1)


@compiled
def mixed(weights: FloatArray, h: int, values: FloatArray, out: FloatArray) -> None:
    """Fill what history h does in every draw: values, shape (K, S), by its weights."""
    _times(weights[0, h], values[0], out)
    for j in range(1, values.shape[0]):
        _add_times(weights[j, h], values[j], out)


@compiled
def alive_of(weights: FloatArray, h: int) -> FloatArray:
    """P(alive) of history h by draw: the sum over its phases."""
    alive: FloatArray = weights[0, h]
    if weights.shape[0] > 1:
        alive = alive.copy()
    for j in range(1, weights.shape[0]):
        alive += weights[j, h]
    return alive


@compiled_sum
def _times(one: FloatArray, other: FloatArray, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] = one[d] * other[d]


@compiled_sum
def _add_times(one: FloatArray, other: FloatArray, out: FloatArray) -> None:
    for d in range(out.size):
        out[d] += one[d] * other[d]
