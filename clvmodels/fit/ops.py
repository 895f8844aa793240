"""Ops of our own in graphs of PyTensor: the log-likelihoods of all models, and a product."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from numba.core.dispatcher import Dispatcher
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from clvmodels.formulas.fused import Fused
from clvmodels.schema import FloatArray

# Functions of the same kernels on disk that hold the interpreter's lock are of an earlier one.
_EDITION: Final = 1
_PRODUCTS_EDITION: Final = 2  # to be counted up where their loops change


class FusedLogLikelihood(Op):  # type: ignore[misc]
    """Value and gradient in one vector; the gradient of the value is the rest of it.

    Inputs are the parameters, each a number or a vector with one number a stratum, and the
    tables of a :class:`~clvmodels.formulas.fused.Fused`.

    Parameters
    ----------
    kernel : callable
        As in Fused.
    parameters : int
        How many there are.
    gradient : bool
        Whether the derivatives are wanted; else they must not be used.
    """

    __props__ = ("name", "digest", "parameters", "gradient")

    def __init__(
        self, kernel: Callable[..., Any], parameters: int, *, gradient: bool = True
    ) -> None:
        self.kernel = kernel
        self.name, self.digest = digest_of(kernel)
        self.parameters = parameters
        self.gradient = gradient

    def make_node(self, *inputs: Any) -> Apply:
        """Take the parameters, then the tables of the base."""
        variables = [pt.as_tensor_variable(one) for one in inputs]
        for number in range(self.parameters):
            variables[number] = pt.atleast_1d(variables[number].astype("float64"))
        return Apply(self, variables, [pt.vector(dtype="float64")])

    def perform(
        self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]
    ) -> None:
        """Evaluate outside compiled graphs, for PyMC's own samplers and find_MAP."""
        theta, tables = inputs[: self.parameters], inputs[self.parameters :]
        output_storage[0][0] = self.kernel(tuple(theta), tuple(tables), self.gradient)

    def value_only(self) -> FusedLogLikelihood:
        """The same Op without its derivatives."""
        return FusedLogLikelihood(self.kernel, self.parameters, gradient=False)

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """Gradient of the value; the derivatives themselves are not differentiated."""
        upstream, (derivatives,) = cotangents[0][0], outputs
        strata = inputs[0].shape[0]
        by_parameter = [
            upstream * derivatives[1 + k * strata : 1 + (k + 1) * strata]
            for k in range(self.parameters)
        ]
        rest = [pytensor.gradient.disconnected_type() for _ in inputs[self.parameters :]]
        return by_parameter + rest

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the parameters are connected; the data are given."""
        return [[number < self.parameters] for number in range(len(node.inputs))]


def log_likelihood(fused: Fused, parameters: Sequence[Any], tables: Sequence[Any]) -> Variable:
    """Log-likelihood of a base as a PyTensor variable.

    Parameters
    ----------
    fused : Fused
        The base.
    parameters : sequence of variables
        In the order of the model.
    tables : sequence of variables or ndarrays
        Its tables.
    """
    op: Any = FusedLogLikelihood(fused.kernel, len(parameters))
    return op(*parameters, *tables)[0]


@cache
def digest_of(kernel: Any) -> tuple[str, int]:
    """Name of a compiled function, and a digest of the files that it is made of.

    PyTensor keeps compiled functions on disk, with the kernels linked into them; by the
    digest it knows when one has changed.
    """
    files, seen, left = set(), set(), [kernel]
    while left:
        function = left.pop().py_func
        seen.add(function)
        files.add(function.__code__.co_filename)
        known = (function.__globals__.get(name) for name in function.__code__.co_names)
        left += [one for one in known if isinstance(one, Dispatcher) and one.py_func not in seen]
    name = f"{kernel.py_func.__module__}.{kernel.py_func.__qualname__}"
    return name, zlib.crc32(b"".join(Path(file).read_bytes() for file in sorted(files)))


@register_funcify_default_op_cache_key(FusedLogLikelihood)  # type: ignore[untyped-decorator]
def _numba(op: FusedLogLikelihood, **kwargs: Any) -> Any:
    kernel, count, gradient = op.kernel, op.parameters, op.gradient

    @numba.njit
    def fused(*inputs):  # type: ignore[no-untyped-def]
        return kernel(inputs[:count], inputs[count:], gradient)

    return fused, op.digest + _EDITION


class Product(Op):  # type: ignore[misc]
    """``matrix @ vector``, or ``matrix.T @ vector``; the matrix is not differentiated.

    PyTensor's own product is a call of BLAS with all its cases: compiling it, forth and back,
    was three quarters of what a first fit with covariates compiled (27 of 37 s of processor
    time), and these matrices are small.

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
def _numba_product(op: Product, **kwargs: Any) -> Any:
    transposed = op.transposed

    @numba.njit
    def multiplied(matrix, vector):  # type: ignore[no-untyped-def]
        out = np.zeros(matrix.shape[1 if transposed else 0])
        for n in range(matrix.shape[0]):
            for k in range(matrix.shape[1]):
                if transposed:  # known when compiled
                    out[k] += matrix[n, k] * vector[n]
                else:
                    out[n] += matrix[n, k] * vector[k]
        return out

    return multiplied, _PRODUCTS_EDITION
