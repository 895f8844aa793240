"""The domain of the formulas: checks that turn array-likes into float64 arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError
from clvmodels.schema import FloatArray

BoolArray = npt.NDArray[np.bool_]


def _floats(name: str, values: npt.ArrayLike) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DomainError(f"{name} must hold numbers: {error}") from error


def _refuse(bad: BoolArray, what: str, *examples: FloatArray) -> None:
    """Raise with the number of bad values and the first of them."""
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    shown = ", ".join(f"{np.broadcast_to(e, bad.shape)[first]:g}" for e in examples)
    raise DomainError(f"{what}: {int(bad.sum())} of {bad.size} are not; the first is {shown}.")


def check_positive(**parameters: npt.ArrayLike) -> tuple[FloatArray, ...]:
    """Return the named parameters as float64 arrays, each finite and > 0.

    Raises
    ------
    DomainError
        A parameter is zero, negative, infinite or NaN.
    """
    arrays = []
    for name, values in parameters.items():
        array = _floats(name, values)
        _refuse(~((array > 0) & np.isfinite(array)), f"{name} must be finite and > 0", array)
        arrays.append(array)
    return tuple(arrays)


def check_counts(name: str, values: npt.ArrayLike, *, least: int = 0) -> FloatArray:
    """Return whole numbers >= least as float64."""
    array = _floats(name, values)
    whole = np.isfinite(array) & (array >= least) & (np.floor(array) == array)
    _refuse(~whole, f"{name} must be whole numbers >= {least}", array)
    return array


def check_amounts(name: str, values: npt.ArrayLike) -> FloatArray:
    """Return finite numbers >= 0 as float64."""
    array = _floats(name, values)
    _refuse(~((array >= 0) & np.isfinite(array)), f"{name} must be finite and >= 0", array)
    return array


def check_histories(
    x: npt.ArrayLike, t_x: npt.ArrayLike, T: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return purchase histories as float64 arrays.

    Raises
    ------
    DomainError
        x is not a whole number >= 0, or not 0 <= t_x <= T, or t_x > 0 where x = 0.
    """
    count = check_counts("x", x)
    recency, age = check_amounts("t_x", t_x), check_amounts("T", T)
    late = np.asarray(recency > age)
    _refuse(late, "t_x must be <= T", recency, age)
    unbought = np.asarray((count == 0) & (recency > 0))
    _refuse(unbought, "t_x must be 0 where x = 0", recency)
    return count, recency, age


def check_horizon(horizon: npt.ArrayLike) -> FloatArray:
    """Return lengths of time >= 0, infinity allowed."""
    array = _floats("horizon", horizon)
    _refuse(~(array >= 0), "horizon must be >= 0", array)
    return array


def check_discounting(
    horizon: npt.ArrayLike, delta: npt.ArrayLike, month: float | None
) -> tuple[FloatArray, FloatArray, float]:
    """Return horizon, continuous rate, and the month's length (0 for none)."""
    rate = check_amounts("delta", delta)
    if month is None:
        return check_horizon(horizon), rate, 0.0
    (length,) = check_positive(month=month)
    return check_horizon(horizon), rate, float(length)


def flat(*columns: FloatArray) -> tuple[list[FloatArray], tuple[int, ...]]:
    """Bring columns to one shape and lay them out flat."""
    arrays = np.broadcast_arrays(*columns)
    return [np.array(array, order="C").ravel() for array in arrays], arrays[0].shape
