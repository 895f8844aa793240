"""A PyMC model as a compiled density in unconstrained space.

One compiled function, value and gradient together, serves the mode and NUTS; importance
weights need the value alone, which costs half, of a large base. Data are arguments of the compiled
functions, so models that differ in their data only share one compilation.
"""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import Mode, get_mode
from pytensor.graph.replace import graph_replace, vectorize_graph
from pytensor.graph.traversal import ancestors
from pytensor.link.numba.linker import NumbaLinker
from pytensor.scalar.loop import ScalarLoop
from pytensor.scan.op import Scan
from scipy import sparse

from clvmodels.formulas._jit import sound_caches

if TYPE_CHECKING:
    import pymc as pm

FloatArray = npt.NDArray[np.float64]
Whitened = Callable[[FloatArray], tuple[float, FloatArray]]

_KEPT: Final = 16
# Numbers in a base's tables up to which a function of the value alone, which takes half the time,
# does not repay the two to three seconds that it takes to compile: some 5,000 histories.
_SMALL: Final = 50_000
_ENOUGH: Final = 10  # draws for each dimension, for their covariance
_LOOP: Final = "pytensor.link.c.cvm"
STANDARD: Final = "standard_"
"""How variables are called of which others are made, and which nobody wants to see."""
_compiled: OrderedDict[Hashable, _Compiled] = OrderedDict()


class Smooth(Protocol):
    """What the search for a mode and the weighing of draws take of a density."""

    @property
    def dim(self) -> int:
        """Length of the vector."""

    @property
    def start(self) -> FloatArray:
        """Where a climb begins."""

    @property
    def metric(self) -> FloatArray | None:
        """Steps that change the density about alike, of a start that is near the mode."""

    def __call__(self, theta: FloatArray, /) -> tuple[float, FloatArray]:
        """Value and gradient."""

    def value_function(self) -> Callable[[FloatArray], float]:
        """Return a function theta -> value."""


@dataclass(frozen=True)
class Density:
    """Log density and gradient of a model over a flat, unconstrained vector.

    Attributes
    ----------
    compiled : _Compiled
        The compiled functions, for any data.
    data : mapping of str to ndarray
        Values of the model's shared variables.
    start : ndarray, shape (dim,)
        The model's own initial point, or one that is thought to be near the mode.
    metric : ndarray, shape (dim, dim), optional
        Of such a point: steps that change the density about alike.
    pooled : bool
        Whether spreads of groups are learnt, so that the mode says little of where the mass is.
    groups : tuple of slice
        Where the effects of many groups stand, of each side that they move: as many each.
    """

    compiled: _Compiled
    data: Mapping[str, npt.NDArray[Any]]
    start: FloatArray
    metric: FloatArray | None = None
    pooled: bool = False
    groups: tuple[slice, ...] = ()

    @property
    def dim(self) -> int:
        """Length of the vector."""
        return len(self.start)

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at one point; -inf and zeros where it is not finite."""
        function, data = self.compiled.gradient, self._arguments(self.compiled.gradient)
        try:
            value, gradient = function.call(np.ascontiguousarray(theta, dtype=np.float64), *data)
        except SystemError as error:  # numba's, where a signal comes as it makes the arrays
            if _interrupted(error):
                raise KeyboardInterrupt from error
            raise
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros(self.dim)
        return float(value), gradient

    def constrain(self, theta: FloatArray) -> dict[str, FloatArray]:
        """Turn points (n, dim) into the model's variables by name, each (n,) or (n, length)."""
        for shared in self.compiled.constrain.get_shared():
            shared.set_value(self.data[shared.name])  # those of this base, and its coordinates
        columns = [theta[:, place] for place in self.compiled.places]
        return dict(zip(self.compiled.names, self.compiled.constrain(*columns), strict=True))

    def value_function(self) -> Callable[[FloatArray], float]:
        """Return a function theta -> value that holds no interpreter lock.

        Of a small base it is that of value and gradient, which has been compiled anyway.
        """
        small = self.compiled.often and sum(map(np.size, self.data.values())) < _SMALL
        made = self.compiled.gradient if small else self.compiled.value
        call, data = made.call, self._arguments(made)
        return lambda theta: float(call(theta, *data)[0])

    def whitened_function(self, loc: FloatArray, scale: FloatArray) -> Whitened:
        """Return a function z -> value and gradient by z at loc + scale z.

        It holds no interpreter lock, so that chains run side by side. Where one of both is not
        finite, they are -inf and zeros. Of a scale of many groups, which is all but empty, the
        entries that are not zero count.
        """
        matrix: Any = sparse.csr_array(scale) if self.groups else scale
        back, data = matrix.T, self._arguments(self.compiled.gradient)
        call, finite = self.compiled.gradient.call, np.isfinite

        # Called a hundred thousand times a fit: looking things up was a tenth of its 14 to 30 us
        def whitened(z: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = call(loc + matrix @ z, *data)
            if not (math.isfinite(value) and finite(gradient).all()):
                return -np.inf, np.zeros(len(loc))
            return float(value), back @ gradient

        return whitened

    def _arguments(self, function: _Function) -> list[npt.NDArray[Any]]:
        return [self.data[name] for name in function.arguments]


@dataclass(frozen=True)
class _Function:
    """A function and the names of the data that follow its first argument."""

    call: Any
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class _Compiled:
    """The compiled functions of a model, each made when it is first needed."""

    joined: Any
    logp: Any
    places: tuple[int | slice, ...]
    names: tuple[str, ...]
    constrain: Any
    often: bool

    @cached_property
    def gradient(self) -> _Function:
        return self._made([self.logp, pytensor.grad(self.logp, self.joined)])

    @cached_property
    def value(self) -> _Function:
        return self._made([_without_gradient(self.logp)])

    def _made(self, outputs: list[Any]) -> _Function:
        jit = self.often or _loops(outputs)
        with _compiling():
            mode = _unlocked() if jit else "FAST_COMPILE"
            function: Any = pytensor.function([self.joined], outputs, mode=mode)
        names = tuple(one.name for one in function.get_shared())
        assert jit or not names  # as values of these are arguments of compiled functions
        return _Function(function.vm.jit_fn if jit else function, names)


def _interrupted(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is what an error comes from."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def compile_density(
    model: pm.Model, *, jacobian: bool = True, key: Hashable | None = None, often: bool = True
) -> Density:
    """Compile a model's log density with its gradient.

    Parameters
    ----------
    model : pm.Model
        With continuous free variables, numbers or vectors.
    jacobian : bool
        Whether the density is that of the unconstrained variables (for sampling) or
        of the constrained ones (for the posterior mode).
    key : hashable, optional
        Equal for models that differ in the values of their data only; these are
        compiled once in a process.
    often : bool
        Whether it is asked so often that it pays to compile it, which takes some ten seconds for
        a model of PyMC's own functions. Otherwise its data have to be constants.
    """
    values = [model.rvs_to_values[variable] for variable in model.free_RVs]
    with _compiling():
        initial = model.initial_point()
    points = [np.asarray(initial[value.name], dtype=np.float64) for value in values]
    start = np.concatenate([one.ravel() for one in points])
    data = {shared.name: shared.get_value(borrow=True) for shared in model.data_vars}
    places = _places([one.shape for one in points])
    if not often:
        return Density(_describe(model, values, places, jacobian, often=False), data, start)
    return Density(_lookup(model, values, places, jacobian, key), data, start)


def _places(shapes: list[tuple[int, ...]]) -> tuple[int | slice, ...]:
    """Where each variable stands in the flat vector: a number, or those of a vector."""
    found: list[int | slice] = []
    begin = 0
    for shape in shapes:
        size = math.prod(shape)
        found.append(slice(begin, begin + size) if shape else begin)
        begin += size
    return tuple(found)


def unconstrain(model: pm.Model, draws: Mapping[str, FloatArray]) -> FloatArray:
    """Turn draws of a model's free variables into points of its density.

    Parameters
    ----------
    model : pm.Model
        With scalar, continuous free variables.
    draws : mapping of str to ndarray, shape (n,)
        By variable.

    Returns
    -------
    ndarray, shape (n, dim)
    """
    columns = [pt.vector(one.name, dtype=one.dtype) for one in model.free_RVs]
    points = [_forward(model, one) for one in model.free_RVs]
    batched = vectorize_graph(points, dict(zip(model.free_RVs, columns, strict=True)))
    with _compiling():
        function: Any = pytensor.function(columns, batched, mode="FAST_COMPILE")
    return np.column_stack(function(*(draws[one.name] for one in model.free_RVs)))


def begun_at(density: Density, model: pm.Model, draws: Mapping[str, FloatArray] | None) -> Density:
    """The same density, begun at the mean of some draws if that is higher than its own start.

    Their covariance is the metric of the climb: an earlier posterior is about as wide as this one.
    """
    names = {one.name for one in model.free_RVs}
    if draws is None or not names <= draws.keys():
        return density
    points = unconstrain(model, draws)
    start, metric = points.mean(axis=0), np.eye(density.dim)
    if not density(start)[0] > density(density.start)[0]:
        return density
    if len(points) > _ENOUGH * density.dim:
        values, vectors = np.linalg.eigh(np.cov(points, rowvar=False))
        metric = vectors * np.sqrt(np.maximum(values, 0.0))
    return replace(density, start=start, metric=metric)


def _lookup(
    model: pm.Model,
    values: list[Any],
    places: tuple[int | slice, ...],
    jacobian: bool,
    key: Hashable | None,
) -> _Compiled:
    found = _compiled.get((key, jacobian)) if key is not None else None
    if found is None:
        found = _describe(model, values, places, jacobian)
    if key is not None:
        _compiled[key, jacobian] = found
        _compiled.move_to_end((key, jacobian))
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return found


def _describe(
    model: pm.Model,
    values: list[Any],
    places: tuple[int | slice, ...],
    jacobian: bool,
    *,
    often: bool = True,
) -> _Compiled:
    dim = sum(1 if isinstance(one, int) else one.stop - one.start for one in places)
    joined = pt.vector("theta", shape=(dim,), dtype="float64")
    parts = {
        value: joined[place].astype(value.dtype)
        for value, place in zip(values, places, strict=True)
    }
    (logp,) = graph_replace([model.logp(jacobian=jacobian)], parts)
    names, constrain = _constrain(model, values)
    return _Compiled(joined, logp, places, names, constrain, often)


@cache
def _unlocked() -> Mode:
    """PyTensor's mode for numba, of functions that hold no interpreter lock while they run.

    A function of our own around PyTensor's would do the same, but would be compiled anew in every
    process, where PyTensor's are kept on disk.
    """
    from pytensor.link.numba.dispatch.basic import numba_njit

    class Unlocked(NumbaLinker):  # type: ignore[misc]
        def jit_compile(self, fn_and_cache: Any) -> Any:
            function, key = fn_and_cache
            how = {"final_function": True, "cache": key is not None, "nogil": True}
            return numba_njit(function.py_func, **how)

    return Mode(Unlocked(), get_mode("NUMBA").provided_optimizer)


@contextmanager
def _compiling() -> Iterator[None]:
    """Let no file in PyTensor's folder stop a compilation, whatever became of it.

    Numba's files carry a digest meanwhile. The loop in C that PyTensor loads from there, or
    builds there, whether it is used or not, is never used here: it is not loaded, since a
    damaged library would abort the process.
    """
    unloaded = _LOOP not in sys.modules
    if unloaded:
        sys.modules[_LOOP] = None  # type: ignore[assignment]
    try:
        with sound_caches():
            yield
    finally:
        if unloaded:
            sys.modules.pop(_LOOP, None)


def _loops(outputs: list[Any]) -> bool:
    """Whether something goes step by step, which takes minutes where it is not compiled."""
    ops = [one.owner.op for one in ancestors(outputs) if one.owner is not None]
    return any(isinstance(getattr(one, "scalar_op", one), Scan | ScalarLoop) for one in ops)


def _without_gradient(graph: Any) -> Any:
    """Let Ops that can compute their value without derivatives do so."""
    replacements = {
        one: one.owner.op.value_only()(*one.owner.inputs)
        for one in ancestors([graph])
        if one.owner is not None and hasattr(one.owner.op, "value_only")
    }
    return graph_replace([graph], replacements)[0] if replacements else graph


def _constrain(model: pm.Model, values: list[Any]) -> tuple[tuple[str, ...], Any]:
    shown = [one for one in model.free_RVs if not one.name.startswith(STANDARD)]
    wanted = [*shown, *model.deterministics]
    outputs = [_backward(model, variable) for variable in shown]
    outputs += model.replace_rvs_by_values(model.deterministics)
    columns = [
        pt.tensor(f"{value.name}_draws", dtype=value.dtype, shape=(None, *value.type.shape))
        for value in values
    ]
    batched = vectorize_graph(outputs, dict(zip(values, columns, strict=True)))
    # A few element-wise steps on a few thousand numbers: not worth compiling.
    with _compiling():
        function: Any = pytensor.function(columns, batched, mode="FAST_COMPILE")
    return tuple(variable.name for variable in wanted), function


def _forward(model: pm.Model, variable: Any) -> Any:
    transform = model.rvs_to_transforms[variable]
    return variable if transform is None else transform.forward(variable, *variable.owner.inputs)


def _backward(model: pm.Model, variable: Any) -> Any:
    value, transform = model.rvs_to_values[variable], model.rvs_to_transforms[variable]
    if transform is None:
        return value
    return transform.backward(value, *variable.owner.inputs)
