"""A known matrix times a variable vector, as PyTensor knows it.

PyTensor's own product is a call of BLAS with all its cases: compiling it, forth and back, was three
quarters of what a first fit with covariates compiled (27 of 37 s of processor time), and the
matrices are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from clvmodels.schema import FloatArray

# PyTensor keeps compiled functions on disk: count up where the loops below change.
_EDITION = 1


class Product(Op):  # type: ignore[misc]
    """``matrix @ vector``, or ``matrix.T @ vector``; the matrix is not differentiated.

    Parameters
    ----------
    transposed : bool
    """

    __props__ = ("transposed",)

    def __init__(self, transposed: bool = False) -> None:
        self.transposed = transposed

    def make_node(self, matrix: Any, vector: Any) -> Apply:
        """Take a matrix, shape (N, K), and a vector, shape (K,), or (N,) of a transposed one."""
        matrix, vector = pt.as_tensor_variable(matrix), pt.as_tensor_variable(vector)
        length = matrix.type.shape[1 if self.transposed else 0]
        return Apply(self, [matrix, vector], [pt.tensor(dtype="float64", shape=(length,))])

    def perform(
        self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]
    ) -> None:
        """Evaluate outside compiled functions."""
        matrix, vector = inputs
        output_storage[0][0] = np.asarray((matrix.T if self.transposed else matrix) @ vector)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """The same matrix, the other way round."""
        back: Any = Product(not self.transposed)
        return [pytensor.gradient.disconnected_type(), back(inputs[0], cotangents[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the vector is connected."""
        return [[False], [True]]


def product(matrix: FloatArray, vector: Any) -> Variable:
    """A matrix of numbers, shape (N, K), times a variable, shape (K,)."""
    op: Any = Product()
    return op(pt.constant(matrix), vector)


@register_funcify_default_op_cache_key(Product)  # type: ignore[untyped-decorator]
def _numba(op: Product, **kwargs: Any) -> Any:
    @numba.njit
    def forth(matrix, vector):  # type: ignore[no-untyped-def]
        out = np.zeros(matrix.shape[0])
        for n in range(matrix.shape[0]):
            for k in range(matrix.shape[1]):
                out[n] += matrix[n, k] * vector[k]
        return out

    @numba.njit
    def back(matrix, vector):  # type: ignore[no-untyped-def]
        out = np.zeros(matrix.shape[1])
        for n in range(matrix.shape[0]):
            for k in range(matrix.shape[1]):
                out[k] += matrix[n, k] * vector[n]
        return out

    return (back if op.transposed else forth), _EDITION
