"""What each of some models is better at, and what is a tie: tables into sentences.

Apart from the tables, since who reads them in another language or cut-off needs none of this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from clvmodels.display import listed
from clvmodels.evaluation.heldout import HeldOut
from clvmodels.posterior.leave_one_out import CLEAR_ERRORS, unclear_elpd

# Of log scores, shares and correlations; of other scores as a share of the best one's. Less
# does not matter, however many customers make it certain.
MATTERS: Final = 0.01
_TIMINGS: Final = "timings"
ASPECTS: Final = {
    _TIMINGS: "elpd",
    "totals": "total_error",
    "ranking": "gini",
    "counts of single customers": "log_score",
    "intervals of single customers": "interval_score",
}
"""What models may be better at, and the score that says so."""
# What is said of the best one, its standard error, how that is written, and in what unit
_Figures = tuple[str, float, str, str]
_RELATIVE: Final = ("crps", "interval_score", "relative_error")


@dataclass(frozen=True, slots=True)
class Strength:
    """Who is best at one thing.

    Attributes
    ----------
    aspect : str
        A key of `ASPECTS`.
    leaders : tuple of str
        The model with the best score, and those that are not clearly behind it.
    behind : tuple of str
        The others, by rising distance.
    words : str
        The same in a sentence.
    """

    aspect: str
    leaders: tuple[str, ...]
    behind: tuple[str, ...]
    words: str


def strengths(timings: pd.DataFrame, heldout: HeldOut) -> tuple[Strength, ...]:
    """Judge every aspect, that of timings by the table of a comparison."""
    found = [_of_timings(timings)]
    for aspect, score in ASPECTS.items():
        if aspect != _TIMINGS:
            rows = heldout.differences.query("score == @score").set_index("model")
            found.append(_judged(aspect, score, rows, heldout))
    return tuple(found)


def _of_timings(table: pd.DataFrame) -> Strength:
    best, rest = str(table.index[0]), table.iloc[1:]
    near = unclear_elpd(rest)
    leaders = (best, *map(str, rest.index[near]))
    behind = tuple(map(str, rest.index[~near]))
    told = None
    if behind:
        apart, error = (float(table[name][behind[0]]) for name in ("elpd_diff", "dse"))
        told = f"elpd {apart:,.0f} above that of {behind[0]}", error, ",.0f", ""
    return _told(_TIMINGS, leaders, behind, told)


def _judged(aspect: str, score: str, rows: pd.DataFrame, heldout: HeldOut) -> Strength:
    best = str(rows["best"].iloc[0])
    whole = abs(float(heldout.table[score][best])) if score in _RELATIVE else 1.0
    ordered = rows.drop(index=best).sort_values("difference", kind="stable")
    # A difference without an error is of what cannot happen by a model (log 0), or of nothing
    near = (ordered["difference"] < MATTERS * whole) | (
        ordered["difference"] <= CLEAR_ERRORS * ordered["se"].fillna(0.0)
    )
    leaders = (best, *map(str, ordered.index[near]))
    behind = tuple(map(str, ordered.index[~near]))
    told = None
    if behind:
        told = _figures(score, best, behind[0], heldout, float(ordered["se"][behind[0]]))
    return _told(aspect, leaders, behind, told)


def _figures(score: str, best: str, second: str, heldout: HeldOut, se: float) -> _Figures:
    one, other = (float(heldout.table[score][name]) for name in (best, second))
    if score == "total_error":
        return (
            f"off by {100 * one:.1f} %, {second} by {100 * other:.1f} %",
            100 * se,
            ".1f",
            " points",
        )
    name = {
        "gini": "Gini",
        "log_score": "log score a customer",
        "interval_score": f"score of {100 * heldout.interval:.0f} % intervals",
    }[score]
    return f"{name} {one:.3f}, {second} {other:.3f}", se, ".3f", ""


def _told(
    aspect: str,
    leaders: Sequence[str],
    behind: Sequence[str],
    figures: _Figures | None,
) -> Strength:
    subject = f"{aspect[0].upper()}{aspect[1:]}"
    if figures is None:
        words = f"{subject}: no clear difference between {listed(leaders)}."
    else:
        text, se, how, unit = figures
        error = "" if math.isnan(se) else f"; standard error of the difference {se:{how}}{unit}"
        who = f"{leaders[0]} is best" if len(leaders) == 1 else f"{listed(leaders)} are tied ahead"
        at = "" if len(leaders) == 1 else f"{leaders[0]}: "
        words = f"{subject}: {who} ({at}{text}{error})."
    return Strength(aspect, tuple(leaders), tuple(behind), words)


def in_words(found: Sequence[Strength], heldout: HeldOut) -> Iterator[str]:
    """Sentences: each aspect, then where they disagree, then what holds for none."""
    yield from (one.words for one in found if one.behind)
    ties = [one.aspect for one in found if not one.behind]
    if ties:
        yield f"No clear difference in {listed(ties)}."
    everywhere = [name for name in found[0].leaders if all(name in one.leaders for one in found)]
    if everywhere:
        names = list(dict.fromkeys([*everywhere, *heldout.table.index]))
        if len(everywhere) == len(names):
            yield "So nothing here speaks for one of them: take the simplest."
        else:
            verb = "is" if len(everywhere) == 1 else "are"
            yield f"So {listed(everywhere)} {verb} best or tied in all of these."
    else:
        yield f"So they disagree: {_who_for_what(found)}."
    if not heldout.table["totals_inside"].any():
        many = "the date" if heldout.dates == 1 else f"any of the {heldout.dates} dates"
        yield (
            f"The actual total was outside every model's {100 * heldout.interval:.0f} % interval "
            f"at {many}: what changes for the whole base, such as a season, is in none of them."
        )


def _who_for_what(found: Sequence[Strength]) -> str:
    """Aspects that have one and the same leaders, together."""
    by: dict[frozenset[str], list[Strength]] = {}
    for one in found:
        if one.behind:
            by.setdefault(frozenset(one.leaders), []).append(one)
    parts = [f"{_who(alike[0])} for {listed(one.aspect for one in alike)}" for alike in by.values()]
    return "take " + ", ".join(parts)


def _who(one: Strength) -> str:
    if len(one.leaders) > 2 and len(one.behind) < len(one.leaders):
        return f"any but {listed(one.behind, 'or')}"
    return listed(one.leaders, "or")
