"""The domain of the simple formula: numbers and shares."""

from __future__ import annotations

import math

from clvmodels import schema
from clvmodels.errors import DomainError


def check_number(name: str, value: float, *, endless: bool = False, signed: bool = False) -> float:
    """Return a number >= 0 as a float.

    Parameters
    ----------
    endless, signed : bool
        Whether infinity, and numbers below 0, are allowed too.
    """
    number = schema.check_number(name, value)
    fine = number == number and (endless or not math.isinf(number)) and (signed or number >= 0)
    if not fine:
        kind = "a number" if endless else "a finite number"
        raise DomainError(f"{name}={value!r} must be {kind}{'' if signed else ' >= 0'}.")
    return number


def check_divisor(name: str, value: float, need: str) -> float:
    """Return a finite number > 0 as a float; ``need`` says who cannot do without it."""
    number = schema.check_number(name, value)
    if not (math.isfinite(number) and number > 0):
        raise DomainError(f"{name}={value!r} must be > 0: {need}.")
    return number


def check_share(name: str, value: float) -> float:
    """Return a share between 0 and 1 as a float."""
    number = schema.check_number(name, value)
    if not 0 <= number <= 1:
        raise DomainError(f"{name}={value!r} must be a share between 0 and 1.")
    return number
