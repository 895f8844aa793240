"""The limits that a report judges by, all in one place, and how figures are held to them.

Limits of the sampler's convergence are those of `clvmodels.verdict`.
"""

from __future__ import annotations

import math
from typing import Final

from clvmodels.verdict import Check, Status

# Below this many repeat customers the priors speak louder than the base, or alone.
FEW_REPEAT_CUSTOMERS: Final = 100
TOO_FEW_REPEAT_CUSTOMERS: Final = 10
# Rows of a log that may be left out without a question.
MAX_LEFT_OUT: Final = 0.10
MAX_UNOBSERVED: Final = 0.05
MAX_ZERO_SPEND: Final = 0.05
# Monte Carlo error of a mean, in posterior standard deviations.
MAX_MCSE: Final = 0.10
# Betancourt (2016): below 0.3 the momentum is resampled too slowly for the energy's tails.
MIN_BFMI: Final = 0.3
MAX_TREE_DEPTH_SHARE: Final = 0.01
# Kallioinen et al. (2024): above 0.05 a component changes the posterior noticeably.
MAX_PRIOR_SENSITIVITY: Final = 0.05
MIN_PRIOR_TAIL: Final = 0.01
# Share of customers that a histogram of the model puts into the wrong bin.
MAX_MISPLACED: Final = 0.05
TOO_MANY_MISPLACED: Final = 0.20
MAX_SPEND_MISPLACED: Final = 0.10
TOO_MUCH_SPEND_MISPLACED: Final = 0.30
# Relative error of the repeat purchases expected of customers like these.
MAX_TOTAL_ERROR: Final = 0.05
TOO_MUCH_TOTAL_ERROR: Final = 0.20
# Rank correlation of frequency and mean spend, which Gamma-Gamma takes to be 0.
MAX_CORRELATION: Final = 0.30
# Mean dropout probability a / (a + b), below which nobody seems to drop out.
MIN_DROPOUT: Final = 0.01


def judged(
    name: str,
    value: float | None,
    limit: float,
    advice: str,
    *,
    fine: str = "",
    fail_from: float | None = None,
    otherwise: Status = "warn",
) -> Check:
    """Pass where value <= limit, warn above, and fail above ``fail_from``.

    Parameters
    ----------
    name : str
        What was looked at.
    value : float or None
        None is unavailable; NaN, where there should be a figure, fails.
    limit : float
        The most that passes.
    advice : str
        What to do where it does not.
    fine : str
        What it means where it does.
    fail_from : float, optional
        Beyond which a warning becomes a failure.
    otherwise : {"warn", "fail"}
        The status above the limit.
    """
    if value is None:
        return Check(name, None, limit, "unavailable", advice)
    status: Status = "pass" if value <= limit else otherwise
    if math.isnan(value) or (fail_from is not None and value > fail_from):
        status = "fail"
    return Check(name, float(value), limit, status, fine if status == "pass" and fine else advice)


def judged_least(
    name: str,
    value: float | None,
    limit: float,
    advice: str,
    *,
    fine: str = "",
    fail_below: float | None = None,
    otherwise: Status = "warn",
) -> Check:
    """Pass where value >= limit, warn below, and fail below ``fail_below``; see `judged`."""
    if value is None:
        return Check(name, None, limit, "unavailable", advice)
    status: Status = "pass" if value >= limit else otherwise
    if math.isnan(value) or (fail_below is not None and value < fail_below):
        status = "fail"
    return Check(name, float(value), limit, status, fine if status == "pass" and fine else advice)


def unavailable(name: str, advice: str, limit: float | None = None) -> Check:
    """A check that could not be made, and why."""
    return Check(name, None, limit, "unavailable", advice)
