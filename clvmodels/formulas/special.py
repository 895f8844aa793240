"""Special functions for compiled loops, where SciPy's ufuncs cannot be called."""

from __future__ import annotations

import math

from clvmodels.formulas._jit import compiled

_SHIFT = 8.0


@compiled
def digamma(x: float) -> float:
    """Logarithmic derivative of the gamma function for x > 0.

    Shifted by psi(x) = psi(x + 1) - 1/x (DLMF 5.5.2) to where seven terms of the
    asymptotic series (DLMF 5.11.2) are exact in double precision.
    """
    shift = 0.0
    while x < _SHIFT:
        shift -= 1.0 / x
        x += 1.0
    u = 1.0 / (x * x)
    series = u * (
        1 / 12
        - u * (1 / 120 - u * (1 / 252 - u * (1 / 240 - u * (1 / 132 - u * (691 / 32760 - u / 12)))))
    )
    return shift + math.log(x) - 0.5 / x - series
