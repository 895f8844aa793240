"""The verdict on a fit: each check with its value, its limit and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from clvmodels.sentences import sentence_of

FloatArray = npt.NDArray[np.float64]
type Status = Literal["pass", "warn", "fail", "unavailable"]
Method = Literal["nuts", "laplace", "map", "given", "stack"]
Use = Literal["totals", "ranking", "customers"]
"""What numbers may be used for: sums over the base, who comes before whom, single customers."""
Side = Literal["", "at most", "at least", "within"]
"""Which side of its limit a figure has to stay on; within is that far from 0 either way."""
Unit = Literal["number", "share", "truth"]
"""How figures are written: a share in percent, a truth (1 or 0) as yes or no."""

USES: Final[tuple[Use, ...]] = ("totals", "ranking", "customers")
_ORDER: Final[tuple[Status, ...]] = ("unavailable", "pass", "warn", "fail")

WORDS: Final[dict[Status, str]] = {
    "pass": "pass",
    "warn": "warn",
    "fail": "fail",
    "unavailable": "not available",
}
"""Statuses as they are read."""

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
        What was looked at: the key by which files and `sentences` know it.
    value, limit : float or None
        The figure and the bound that it is held against; None where there is none.
    status : {"pass", "warn", "fail", "unavailable"}
        A figure that the method should have and is NaN fails.
    advice : str
        What it means or what to do; "" where the check's own sentence says all.
    side : {"", "at most", "at least", "within"}
        Where the figure has to lie of its limit.
    unit : {"number", "share", "truth"}
        How figure and limit are written.
    bears_on : tuple of str
        What a figure beyond its limit puts in doubt: "totals", "ranking", "customers" (what
        is said of single ones), any of them or none. By default all: the draws of a fit
        that failed are good for nothing.
    """

    name: str
    value: float | None
    limit: float | None
    status: Status
    advice: str
    side: Side = ""
    unit: Unit = "number"
    bears_on: tuple[Use, ...] = USES

    def __post_init__(self) -> None:
        # JSON has lists
        object.__setattr__(self, "bears_on", tuple(u for u in USES if u in self.bears_on))

    @property
    def figure(self) -> str:
        """The value as it is read; "" where there is none."""
        signed = self.side == "within"
        return "" if self.value is None else figure_text(self.value, self.unit, signed=signed)

    @property
    def bound(self) -> str:
        """The limit with its direction, such as "at most 5 %"; "" where there is none."""
        if self.limit is None or self.unit == "truth":
            return ""
        sign = "\N{PLUS-MINUS SIGN}" if self.side == "within" else ""
        return f"{self.side or 'limit'} {sign}{figure_text(self.limit, self.unit)}"

    @property
    def finding(self) -> str:
        """What it found, as it is read aloud; without its limit, and without a full stop."""
        return self._said()

    @property
    def sentence(self) -> str:
        """What it found, with the limit where it is beyond one."""
        # that there should be none needs no saying
        beyond = self.status != "pass" and self.limit
        return f"{self._said(self.bound if beyond else '')}."

    def _said(self, bound: str = "") -> str:
        if self.value is None:
            return f"{self.name[:1].upper()}{self.name[1:]}: {WORDS[self.status]}"
        passed = self.status == "pass"
        return sentence_of(self.name, self.figure, self.value, passed=passed, bound=bound)

    def __str__(self) -> str:
        return f"{WORDS[self.status]}: {self.sentence}"


def figure_text(value: float, unit: Unit = "number", *, signed: bool = False) -> str:
    """Write a figure: the same one is written alike wherever it stands.

    Examples
    --------
    >>> figure_text(0.1234, "share"), figure_text(0.011, "share", signed=True)
    ('12.3 %', '+1.1 %')
    >>> figure_text(1.00123), figure_text(152.23), figure_text(1882.0), figure_text(1.0, "truth")
    ('1.001', '152.2', '1,882', 'yes')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinity"
    if unit == "truth":
        return "yes" if value else "no"
    plus = "+" if signed and value > 0 else ""
    most = 3 if abs(value) >= 0.001 else 1  # of a share below 0.1 % nobody needs more
    return (
        f"{plus}{_digits(100.0 * value, most)} %" if unit == "share" else plus + _digits(value, 4)
    )


def _digits(value: float, most: int) -> str:
    """Up to that many significant digits; all of those before the point."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent >= 15:
        return f"{value:.{most - 1}e}"
    text = f"{value:,.{max(0, most - 1 - exponent)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a fit may be used.

    Attributes
    ----------
    method : {"nuts", "laplace", "map", "given", "stack"}
        How the draws were made; a stack has the checks of all its members.
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
        """Rebuild from :meth:`to_dict`.

        Raises
        ------
        ValueError
            It holds a word that no verdict has.
        """
        # "uncertainty" of a mode, which could neither pass nor fail, was a check once
        checks = [check for check in record["checks"] if check["name"] != "uncertainty"]
        method = _known("method", record["method"], get_args(Method))
        return cls(method, tuple(map(_remembered, checks)))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        lines = [f"{self.method}: {WORDS[self.status]}"]
        lines += [f"  {check}" for check in self.checks]
        return "\n".join(lines)


def _remembered(check: Mapping[str, Any]) -> Check:
    """A check from a file; older ones did not write down which side is the right one."""
    name, limit = check["name"], check["limit"]
    side = "" if limit is None else "at least" if "ESS" in name else "at most"
    unit = "share" if name.startswith("share of") else "number"
    found = Check(**{"side": side, "unit": unit, **check})
    for field, kind in (("status", Status.__value__), ("side", Side), ("unit", Unit)):
        _known(field, getattr(found, field), get_args(kind))
    return found


def _known(field: str, value: Any, words: tuple[Any, ...]) -> Any:
    if value not in words:
        raise ValueError(f"{field} {value!r} is not one of {', '.join(map(repr, words))}")
    return value


_FITS: Final[dict[Method, str]] = {"given": "fit", "stack": "fit of a member of the stack"}


def explain_failure(verdict: Verdict, of: str = "") -> str:
    """One line for an error message, which names the model where it is not said beside it."""
    found = " ".join(check.sentence for check in verdict.failures)
    advice = " ".join(dict.fromkeys(check.advice for check in verdict.failures))
    fit = _FITS.get(verdict.method, f"{verdict.method} fit")
    whose = f"{fit} of {of}" if of else fit
    return f"The {whose} did not converge. {found} {advice}"


def at_most(name: str, value: float, limit: float, advice: str) -> Check:
    """Pass where value <= limit; NaN fails."""
    status: Status = "pass" if value <= limit else "fail"
    return Check(name, value, limit, status, advice, "at most")


def at_least(name: str, value: float, limit: float, advice: str) -> Check:
    """Pass where value >= limit; NaN fails."""
    status: Status = "pass" if value >= limit else "fail"
    return Check(name, value, limit, status, advice, "at least")


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
            at_most("largest R-hat", rhat, MAX_RHAT, longer),
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
    advice = "The optimiser stopped early: use method='nuts'."
    name = "distance from the mode, in posterior sd"
    return Verdict("map", (at_most(name, decrement, limit, advice),))


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
    name = "share of divergent transitions"
    if diverging is None:
        return Check(name, None, 0.0, "unavailable", "The sampler did not report divergences.")
    share = float(np.mean(diverging))
    advice = (
        "NUTS could not follow the posterior everywhere: raise tune, or use stronger priors. "
        f"Above {figure_text(MAX_DIVERGENT_SHARE, 'share')} the fit fails."
    )
    status: Status = "pass" if share == 0 else "warn" if share <= MAX_DIVERGENT_SHARE else "fail"
    return Check(name, share, 0.0, status, advice, "at most", "share")


def _json_number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
