"""The limits that reports and backtests judge by, with their reasons, all in one place.

Limits of the sampler's convergence are those of `clvmodels.verdict`. Every check says
what it bears on: totals, ranking, single customers.
"""

from __future__ import annotations

import math
from typing import Final

from clvmodels.verdict import USES, Check, Side, Status, Unit, Use

# Share of a log's rows, or of its amount, that may be left out without a question.
MAX_LEFT_OUT: Final = 0.10
# Below this many repeat customers the priors speak louder than the base, or alone.
FEW_REPEAT_CUSTOMERS: Final = 100
TOO_FEW_REPEAT_CUSTOMERS: Final = 10
MAX_UNOBSERVED: Final = 0.05
MAX_ZERO_SPEND: Final = 0.05
MAX_UNKNOWN: Final = 0.01
# Customers known at a date who come back later, against some weeks before and after: of four
# real and 240 simulated logs, seasonal ones and campaigns among them, the lowest was 0.83. Where
# 80 % of the ids were given anew at a date it was 0.26 to 0.66, where all were, 0.
MIN_RETURNING_AT_ONCE: Final = 0.75
TOO_FEW_RETURNING_AT_ONCE: Final = 0.50
# Purchase rate of a log's first month's customers against the next three months': about 2 on
# Online Retail, which begins in the middle of business, 0.98 on a log that does not.
MAX_FIRST_MONTH_RATE: Final = 1.25
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
# A bar of that histogram is named where chance does not explain it and it is off by more than
# this share of what is expected: in a large base chance explains nothing, and little matters.
MAX_BAR_ERROR: Final = 0.05
# Relative error of the repeat purchases expected of customers like these.
MAX_TOTAL_ERROR: Final = 0.05
TOO_MUCH_TOTAL_ERROR: Final = 0.20
# Rank correlation of frequency and mean spend, which Gamma-Gamma takes to be 0.
MAX_CORRELATION: Final = 0.30
# Mean dropout probability a / (a + b), below which nobody seems to drop out.
MIN_DROPOUT: Final = 0.01


# What a calendar that is not learnt does to a total: on seven real logs past and future differed
# by a shift that all customers shared, of 10 to 20 %. Standard deviation of its logarithm.
CALENDAR_SD: Final = 0.15
# What customers spend on an order shifts too, for all at once: on ten origins of three real logs by
# 8 % (root mean square), where purchases shifted by 11 %; .25 of it at CDNOW, .9 at Online Retail.
# Share of the calendar's sd: a choice between those two.
SPEND_SHARE: Final = 0.6
# Error of a holdout's total: two of those standard deviations are a miss that no calendar excuses.
MAX_FORECAST_ERROR: Final = 0.30
# Rank correlation of forecast and outcome: real bases have 0.2 to 0.6, chance 0.
MIN_RANK_CORRELATION: Final = 0.15
TOO_LOW_RANK_CORRELATION: Final = 0.05
# Share of the true best tenth in the forecast's best tenth: chance finds 10 %.
MIN_TOP_FOUND: Final = 0.20
TOO_FEW_TOP_FOUND: Final = 0.12
# How much less often than it says a customer's interval may hold, in shares of all customers.
TOO_MUCH_UNCOVERED: Final = 0.10
# Customers of a backtest who are in the base that is reported; fewer, and it is of another base.
MIN_SAME_CUSTOMERS: Final = 0.90
TOO_FEW_SAME_CUSTOMERS: Final = 0.50


def judged(
    name: str,
    value: float | None,
    limit: float,
    advice: str,
    *,
    fine: str = "",
    fail_from: float | None = None,
    otherwise: Status = "warn",
    within: bool = False,
    unit: Unit = "number",
    bears_on: tuple[Use, ...] = USES,
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
        What there is to say beyond the check's own sentence where it does.
    fail_from : float, optional
        Beyond which a warning becomes a failure.
    otherwise : {"warn", "fail"}
        The status above the limit.
    within : bool
        The value has a sign, and its distance from 0 is held to the limits.
    unit, bears_on
        As in `Check`.
    """
    side: Side = "within" if within else "at most"
    if value is None:
        return Check(name, None, limit, "unavailable", advice, side, unit, bears_on)
    size = abs(value) if within else value
    status: Status = "pass" if size <= limit else otherwise
    if math.isnan(size) or (fail_from is not None and size > fail_from):
        status = "fail"
    said = fine if status == "pass" else advice
    return Check(name, float(value), limit, status, said, side, unit, bears_on)


def judged_least(
    name: str,
    value: float | None,
    limit: float,
    advice: str,
    *,
    fine: str = "",
    fail_below: float | None = None,
    otherwise: Status = "warn",
    unit: Unit = "number",
    bears_on: tuple[Use, ...] = USES,
) -> Check:
    """Pass where value >= limit, warn below, and fail below ``fail_below``; see `judged`."""
    if value is None:
        return Check(name, None, limit, "unavailable", advice, "at least", unit, bears_on)
    status: Status = "pass" if value >= limit else otherwise
    if math.isnan(value) or (fail_below is not None and value < fail_below):
        status = "fail"
    said = fine if status == "pass" else advice
    return Check(name, float(value), limit, status, said, "at least", unit, bears_on)


def enough_returned(customers: float) -> Check:
    """Judge a base by how many of its customers came back."""
    return judged_least(
        "repeat customers",
        float(customers),
        FEW_REPEAT_CUSTOMERS,
        "So few customers came back that the priors decide much of what follows: use a longer log.",
        fail_below=TOO_FEW_REPEAT_CUSTOMERS,
    )


def unavailable(
    name: str,
    advice: str,
    limit: float | None = None,
    *,
    side: Side = "",
    unit: Unit = "number",
    bears_on: tuple[Use, ...] = USES,
) -> Check:
    """A check that could not be made, and why."""
    return Check(name, None, limit, "unavailable", advice, side, unit, bears_on)
