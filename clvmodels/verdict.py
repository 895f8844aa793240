"""The verdict on a fit: each check with its value, its limit and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Status = Literal["pass", "warn", "fail", "unavailable"]
Method = Literal["nuts", "laplace", "map", "given"]

_ORDER: Final[tuple[Status, ...]] = ("unavailable", "pass", "warn", "fail")

MAX_RHAT: Final = 1.01
MIN_ESS_PER_CHAIN: Final = 100.0
MAX_DIVERGENT_SHARE: Final = 0.005
MAX_KHAT: Final = 0.7
MIN_IMPORTANCE_ESS: Final = 100.0
_TAILS: Final = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a fit.

    Attributes
    ----------
    name : str
        What was looked at.
    value, limit : float or None
        The figure and the bound that it is held against; None where there is none.
    status : {"pass", "warn", "fail", "unavailable"}
        A figure that the method should have and is NaN fails.
    advice : str
        One sentence of what it means or what to do.
    """

    name: str
    value: float | None
    limit: float | None
    status: Status
    advice: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a fit may be used.

    Attributes
    ----------
    method : {"nuts", "laplace", "map", "given"}
        How the draws were made.
    checks : tuple of Check
        In the order in which they should be read.
    """

    method: Method
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status of all checks."""
        return max((check.status for check in self.checks), key=_ORDER.index, default="unavailable")

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return self.status != "fail"

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "fail")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite becomes None."""
        checks = [asdict(check) | {"value": _json_number(check.value)} for check in self.checks]
        return {"method": self.method, "status": self.status, "checks": checks}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Verdict:
        """Rebuild from :meth:`to_dict`."""
        return cls(record["method"], tuple(Check(**check) for check in record["checks"]))

    def __str__(self) -> str:
        lines = [f"{self.method}: {self.status}"]
        lines += [_line(check) for check in self.checks]
        return "\n".join(lines)


def explain_failure(verdict: Verdict) -> str:
    """One line for an error message."""
    figures = "; ".join(_line(check).strip() for check in verdict.failures)
    advice = " ".join(dict.fromkeys(check.advice for check in verdict.failures))
    fit = "fit" if verdict.method == "given" else f"{verdict.method} fit"
    return f"The {fit} did not converge ({figures}). {advice}"


def at_most(name: str, value: float, limit: float, advice: str) -> Check:
    """Pass where value <= limit; NaN fails."""
    return Check(name, value, limit, "pass" if value <= limit else "fail", advice)


def at_least(name: str, value: float, limit: float, advice: str) -> Check:
    """Pass where value >= limit; NaN fails."""
    return Check(name, value, limit, "pass" if value >= limit else "fail", advice)


def nuts_verdict(
    draws: Mapping[str, FloatArray], diverging: npt.NDArray[np.bool_] | None
) -> Verdict:
    """Judge Markov chains by R-hat, effective sample sizes and divergences.

    Parameters
    ----------
    draws : mapping of str to ndarray, shape (chains, draws)
        By parameter.
    diverging : ndarray of bool, shape (chains, draws), or None
        Divergent transitions; None where the sampler did not report them.

    Notes
    -----
    Rank-normalised split R-hat and bulk and tail ESS as in ArviZ (Vehtari et al. 2021).
    """
    chains = next(iter(draws.values())).shape[0]
    rhat = _worst([_rhat(values) for values in draws.values()], np.max)
    bulk = _worst([_ess(values, method="bulk") for values in draws.values()], np.min)
    tail = _worst([_ess(values, method="tail", prob=_TAILS) for values in draws.values()], np.min)
    need = MIN_ESS_PER_CHAIN * chains
    longer = "Sample longer: raise tune and draws."
    return Verdict(
        "nuts",
        (
            at_most("largest R-hat", rhat, MAX_RHAT, "The chains disagree: raise tune and draws."),
            at_least("smallest bulk ESS", bulk, need, longer),
            at_least("smallest tail ESS", tail, need, longer),
            _divergences(diverging),
        ),
    )


def laplace_verdict(khat: float, importance_ess: float) -> Verdict:
    """Judge a Laplace approximation by its importance weights (Vehtari et al. 2024)."""
    advice = "The posterior is not close to Gaussian: use method='nuts'."
    return Verdict(
        "laplace",
        (
            at_most("Pareto k-hat", khat, MAX_KHAT, advice),
            at_least("importance ESS", importance_ess, MIN_IMPORTANCE_ESS, advice),
        ),
    )


def map_verdict(decrement: float, limit: float) -> Verdict:
    """Judge a mode by the optimiser; a single point carries no uncertainty."""
    return Verdict(
        "map",
        (
            at_most(
                "distance from the mode, in posterior sd",
                decrement,
                limit,
                "The optimiser stopped early: use method='nuts'.",
            ),
            Check(
                "uncertainty",
                None,
                None,
                "unavailable",
                "A mode carries no uncertainty: sd and interval columns are empty.",
            ),
        ),
    )


def given_verdict() -> Verdict:
    """Draws that come from elsewhere: nothing is known of how they were made."""
    advice = "The draws were given, not sampled here: check their convergence where they came from."
    return Verdict("given", (Check("convergence", None, None, "unavailable", advice),))


def _rhat(values: FloatArray) -> float:
    from arviz_stats.base import array_stats

    if values.shape[0] == 1:
        # Split by hand, so that a single chain has an R-hat too.
        half = values.shape[1] // 2
        values = np.stack([values[0, :half], values[0, values.shape[1] - half :]])
    with np.errstate(divide="ignore", invalid="ignore"):  # a stuck chain has a NaN
        return float(array_stats.rhat(values, method="rank"))


def _ess(values: FloatArray, **how: Any) -> float:
    from arviz_stats.base import array_stats

    with np.errstate(divide="ignore", invalid="ignore"):
        return float(array_stats.ess(values, **how))


def _worst(values: Sequence[float], pick: Any) -> float:
    return math.nan if any(math.isnan(value) for value in values) else float(pick(values))


def _divergences(diverging: npt.NDArray[np.bool_] | None) -> Check:
    name, limit = "share of divergent transitions", MAX_DIVERGENT_SHARE
    if diverging is None:
        return Check(name, None, limit, "unavailable", "The sampler did not report divergences.")
    share = float(np.mean(diverging))
    advice = "NUTS could not follow the posterior everywhere: raise tune, or use stronger priors."
    status: Status = "pass" if share == 0 else "warn" if share <= limit else "fail"
    return Check(name, share, limit, status, advice)


def _json_number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _line(check: Check) -> str:
    if check.value is None:
        return f"  {check.name}: {check.status}"
    limit = "" if check.limit is None else f" (limit {check.limit:g})"
    return f"  {check.name} {check.value:.4g}{limit}: {check.status}"
