"""What numbers may be used for, by what is known of how they predict: one verdict for each use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from clvmodels.sentences import TEST
from clvmodels.verdict import USES, Check, Status, Use

Support = Literal["supported", "with care", "not supported", "not checked"]

SUBJECTS: Final[dict[Use, str]] = {
    "totals": "totals",
    "ranking": "rankings",
    "customers": "figures of single customers",
}
"""The uses in the plural, as sentences name them."""
STATUS: Final[dict[Support, Status]] = {
    "supported": "pass",
    "with care": "warn",
    "not supported": "fail",
    "not checked": "unavailable",
}
"""The status of a check that says as much."""
_BY_STATUS: Final[dict[Status, Support]] = {status: one for one, status in STATUS.items()}
_RANK: Final[tuple[Status, ...]] = ("unavailable", "pass", "warn", "fail")
_NOT_CHECKED: Final = "No backtest says how well they predict."
_MOST: Final = 3
_MORE: Final[dict[Status, tuple[str, str]]] = {
    "pass": ("agrees", "agree"),
    "warn": ("warns", "warn"),
    "fail": ("failed", "failed"),
}


@dataclass(frozen=True, slots=True)
class UseVerdict:
    """Whether numbers may be used for one thing.

    Attributes
    ----------
    use : {"totals", "ranking", "customers"}
        Sums over the base; who comes before whom; what is said of single customers.
    verdict : {"supported", "with care", "not supported", "not checked"}
        Not supported where a check that bears on the use failed; not checked where none
        failed, but no backtest says how well the numbers predict.
    reason : str
        Why, in a sentence or two.
    """

    use: Use
    verdict: Support
    reason: str

    @property
    def status(self) -> Status:
        """The verdict as the status of a check."""
        return STATUS[self.verdict]

    @property
    def subject(self) -> str:
        """The use as a noun in the plural."""
        return SUBJECTS[self.use]

    def __str__(self) -> str:
        return f"{self.subject[0].upper()}{self.subject[1:]}: {self.verdict}. {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> UseVerdict:
        """Rebuild from :meth:`to_dict`."""
        return cls(**record)


def judge_uses(checks: Iterable[Check], predicted: Iterable[Check]) -> tuple[UseVerdict, ...]:
    """Give each use its verdict.

    Parameters
    ----------
    checks : iterable of Check
        Of data and fit.
    predicted : iterable of Check
        Of a backtest; without any that bears on a use, the use was not checked.

    Returns
    -------
    tuple of UseVerdict
        In the order of `USES`.
    """
    every, held_out = list(checks), list(predicted)
    return tuple(_judge(use, every, held_out) for use in USES)


def _judge(use: Use, checks: Sequence[Check], predicted: Sequence[Check]) -> UseVerdict:
    mine, held_out = (
        [check for check in some if use in check.bears_on and check.status != "unavailable"]
        for some in (checks, predicted)
    )
    every = [*held_out, *mine]  # what was seen to happen is the better reason
    status = _worst(every)
    if not held_out and status != "fail":
        doubts = [check for check in mine if check.status == "warn"]
        return UseVerdict(use, "not checked", f"{_NOT_CHECKED} {_read(doubts)}".rstrip())
    if status == "pass":
        return UseVerdict(use, "supported", _read(held_out))
    reasons = [check for check in every if check.status == status]
    return UseVerdict(use, _BY_STATUS[status], _read(reasons))


def _worst(checks: Sequence[Check]) -> Status:
    return max((check.status for check in checks), key=_RANK.index, default="unavailable")


def _read(checks: Sequence[Check]) -> str:
    """What checks of one status found, of as many as one reads."""
    said = ""
    for before, sentence in pairwise(["", *(check.sentence for check in checks[:_MOST])]):
        if before.startswith(TEST) and sentence.startswith(TEST):
            said = f"{said[:-1]}; {sentence.removeprefix(f'{TEST}, ')}"
        else:
            said = f"{said} {sentence}".lstrip()
    more = len(checks) - _MOST
    if more <= 0:
        return said
    one, many = _MORE[checks[0].status]
    return f"{said} {more} more {f'check {one}' if more == 1 else f'checks {many}'}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def overall(uses: Iterable[UseVerdict]) -> Status:
    """One status for all uses: fail only where there is nothing left to use the numbers for."""
    found = {use.status for use in uses}
    if found == {"pass"}:
        return "pass"
    if found <= {"unavailable"}:
        return "unavailable"
    return "fail" if not found & {"pass", "warn"} else "warn"


def in_one_sentence(uses: Sequence[UseVerdict]) -> str:
    """The headline: what the numbers can be used for."""
    by: dict[Support, list[str]] = {one: [] for one in STATUS}
    for use in uses:
        by[use.verdict].append(use.subject)
    everything = {verdict for verdict, named in by.items() if named}
    if everything == {"not supported"}:
        return "Do not use these numbers: none of their uses is supported."
    if everything <= {"not checked"}:
        return "How well these numbers predict was not checked: there is no backtest."
    if everything == {"supported"}:
        return "These numbers can be used: totals, rankings and figures of single customers."
    if everything == {"with care"}:
        return "Use these numbers with care: totals, rankings and figures of single customers."
    parts = []
    if by["not supported"]:
        parts.append(f"Do not use {_either(by['not supported'])}.")
    if by["with care"]:
        parts.append(f"Use {_and(by['with care'])} with care.")
    if by["supported"]:
        parts.append(f"{_upper(_and(by['supported']))} can be used.")
    if by["not checked"]:
        parts.append(f"How well {_and(by['not checked'])} predict was not checked.")
    return " ".join(parts)


def _and(named: Sequence[str]) -> str:
    return " and ".join(named)


def _either(named: Sequence[str]) -> str:
    return " or ".join(named)
