"""A PyMC model as a compiled density in unconstrained space.

One compiled function, value and gradient together, serves the mode and NUTS; importance
weights need the value alone, which costs half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import numpy.typing as npt
import pytensor
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.traversal import ancestors

if TYPE_CHECKING:
    import pymc as pm

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Density:
    """Log density and gradient of a model over a flat, unconstrained vector.

    Attributes
    ----------
    dim : int
        Length of the vector.
    function : callable
        Compiled (theta, *data) -> (value, gradient).
    data : tuple of ndarray
        Values of the model's shared variables, in the order of ``function``.
    start : ndarray, shape (dim,)
        The model's own initial point.
    constrain : callable
        ndarray (n, dim) -> mapping of names to ndarray (n,), the model's variables.
    compile_value : callable
        () -> compiled theta -> value, which holds no interpreter lock.
    """

    dim: int
    function: Callable[..., tuple[Any, FloatArray]]
    data: tuple[npt.NDArray[Any], ...]
    start: FloatArray
    constrain: Callable[[FloatArray], dict[str, FloatArray]]
    compile_value: Callable[[], Callable[[FloatArray], float]]

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at one point; -inf and zeros where it is not finite."""
        value, gradient = self.function(np.ascontiguousarray(theta, dtype=np.float64), *self.data)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros(self.dim)
        return float(value), gradient

    def without_gil(self) -> Callable[..., tuple[float, FloatArray]]:
        """Compile (z, loc, scale, *data) -> value and gradient by z at loc + scale z.

        The compiled code holds no interpreter lock, so chains run side by side.
        """
        inner = self.function

        @numba.njit(nogil=True)
        def whitened(z, loc, scale, *data):  # type: ignore[no-untyped-def]
            value, gradient = inner(loc + scale @ z, *data)
            return value.item(), scale.T @ gradient

        compiled: Callable[..., tuple[float, FloatArray]] = whitened
        return compiled


def compile_density(model: pm.Model, *, jacobian: bool = True) -> Density:
    """Compile a model's log density with its gradient.

    Parameters
    ----------
    model : pm.Model
        With scalar, continuous free variables.
    jacobian : bool
        Whether the density is that of the unconstrained variables (for sampling) or
        of the constrained ones (for the posterior mode).
    """
    values = [model.rvs_to_values[variable] for variable in model.free_RVs]
    joined = pt.vector("theta", shape=(len(values),), dtype="float64")
    parts = {value: joined[i].astype(value.dtype) for i, value in enumerate(values)}
    (logp,) = graph_replace([model.logp(jacobian=jacobian)], parts)
    function = pytensor.function([joined], [logp, pytensor.grad(logp, joined)], mode="NUMBA")
    initial = model.initial_point()
    start = np.array([float(initial[value.name]) for value in values])
    return Density(
        dim=len(values),
        function=function.vm.jit_fn,
        data=_data(function),
        start=start,
        constrain=_constrain(model, values),
        compile_value=lambda: _compile_value(joined, logp),
    )


def _compile_value(joined: Any, logp: Any) -> Callable[[FloatArray], float]:
    function = pytensor.function([joined], _without_gradient(logp), mode="NUMBA")
    inner, data = function.vm.jit_fn, _data(function)

    @numba.njit(nogil=True)
    def evaluate(theta, *data):  # type: ignore[no-untyped-def]
        return inner(theta, *data)[0].item()

    return lambda theta: float(evaluate(theta, *data))


def _data(function: Any) -> tuple[npt.NDArray[Any], ...]:
    return tuple(shared.get_value(borrow=True) for shared in function.get_shared())


def _without_gradient(graph: Any) -> Any:
    """Let Ops that can compute their value without derivatives do so."""
    replacements = {
        one: one.owner.op.value_only()(*one.owner.inputs)
        for one in ancestors([graph])
        if one.owner is not None and hasattr(one.owner.op, "value_only")
    }
    return graph_replace([graph], replacements)[0] if replacements else graph


def _constrain(model: pm.Model, values: list[Any]) -> Callable[[FloatArray], dict[str, FloatArray]]:
    wanted = [*model.free_RVs, *model.deterministics]
    names = [variable.name for variable in wanted]
    outputs = model.replace_rvs_by_values(wanted)
    columns = [pt.vector(f"{value.name}_draws", dtype=value.dtype) for value in values]
    transformed = [_backward(model, variable) for variable in model.free_RVs]
    outputs = transformed + outputs[len(model.free_RVs) :]
    batched = vectorize_graph(outputs, dict(zip(values, columns, strict=True)))
    # A few element-wise steps on a few thousand numbers: not worth compiling.
    function = pytensor.function(columns, batched, mode="FAST_COMPILE")

    def constrain(theta: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(names, function(*theta.T), strict=True))

    return constrain


def _backward(model: pm.Model, variable: Any) -> Any:
    value, transform = model.rvs_to_values[variable], model.rvs_to_transforms[variable]
    if transform is None:
        return value
    return transform.backward(value, *variable.owner.inputs)
