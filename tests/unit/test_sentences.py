"""What checks found is said in sentences, of every check that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import clvmodels
from clvmodels.sentences import _PATTERNS, came_out, sentence_of
from clvmodels.uses import judge_uses
from clvmodels.verdict import Check, at_most

PACKAGE = Path(clvmodels.__file__).parent
MAKERS = {"judged", "judged_least", "unavailable", "at_most", "at_least", "Check"}
NOT_SAID = {"backtest", "convergence"}  # which are never more than not available


def names() -> Iterator[str]:
    """Every name that a check is given in the package, what varies in it as "*"."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for scope in ast.walk(tree):
            if not isinstance(scope, ast.FunctionDef):
                continue
            calls = [one for one in ast.walk(scope) if isinstance(one, ast.Call) and one.args]
            for call in calls:
                called = getattr(call.func, "attr", getattr(call.func, "id", ""))
                if called in MAKERS:
                    yield from texts(call.args[0], scope)


def texts(node: ast.expr, scope: ast.FunctionDef) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            getattr(part, "value", "*") if isinstance(part, ast.Constant) else "*"
            for part in node.values
        )
    elif isinstance(node, ast.Name):
        for one in ast.walk(scope):
            if isinstance(one, ast.Assign) and any(
                isinstance(to, ast.Name) and to.id == node.id for to in one.targets
            ):
                yield from texts(one.value, scope)


def known(name: str) -> bool:
    """A name with any of what may vary in it."""
    fillings = ("", "purchases", "90 %", "rows", "at ranking customers by purchases")
    return any(p.fullmatch(name.replace("*", f)) for p, _ in _PATTERNS for f in fillings)


def test_every_check_of_the_package_has_its_sentence() -> None:
    found = {name for name in names() if name.strip("*")}
    assert len(found) > 25
    assert {name for name in found if not known(name)} == NOT_SAID


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("said", [said for _, said in _PATTERNS], ids=str)
def test_sentences_are_sentences(said: tuple[str, str], passed: bool) -> None:
    text = said[0 if passed else 1]
    assert text[0] in "{ATCFHINOPMWM" or text[0].isupper()
    assert not re.search(r"[.:;]$", text)
    assert "  " not in text


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (1 / 1.17 - 1, "spending came out 17 % higher than forecast"),
        (0.25, "spending came out 20 % lower than forecast"),
        (0.001, "spending came out as forecast"),
        (float("inf"), "spending came out 100 % lower than forecast"),
        (-1.0, "spending was forecast to be nothing"),
    ],
)
def test_what_came_is_measured_by_the_forecast(error: float, said: str) -> None:
    assert came_out("spending", error) == f"In a test on the past, {said}"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("error of the repeat purchases expected of customers like these", 0.13, "13 % more"),
        ("error of the repeat purchases expected of customers like these", -0.13, "13 % fewer"),
        ("error of the repeat purchases expected of customers like these", 0.0, "as many repeat"),
        ("rank correlation of frequency and mean spend", 0.4, "spend more an order"),
        ("rank correlation of frequency and mean spend", -0.4, "spend less an order"),
    ],
)
def test_sentences_have_their_direction(name: str, value: float, said: str) -> None:
    assert said in sentence_of(name, f"{value}", value, passed=False)


def test_the_limit_has_its_direction_and_stands_where_it_is_broken() -> None:
    broken = at_most("BG/NBD: largest R-hat", 1.4, 1.01, "Sample longer.")
    assert broken.sentence == (
        "BG/NBD: the chains disagree (largest R-hat 1.4; it should be at most 1.01)."
    )
    assert str(broken) == f"fail: {broken.sentence}"
    kept = at_most("largest R-hat", 1.0, 1.01, "")
    assert kept.sentence == "The chains agree (largest R-hat 1)."
    none = Check("share of divergent transitions", 0.2, 0.0, "fail", "", "at most", "share")
    assert none.sentence == (
        "The sampler could not follow the posterior in 20 % of its steps (divergent transitions)."
    )
    gone = Check("repeat customers", 0.0, 100.0, "fail", "", "at least")
    assert gone.sentence == "None of the customers came back (there should be at least 100)."
    few = Check("repeat customers", 35.0, 100.0, "warn", "", "at least")
    assert few.sentence == "Only 35 of the customers came back (there should be at least 100)."
    assert Check("figure", None, None, "unavailable", "").sentence == "Figure: not available."


def test_what_was_found_in_the_same_test_is_read_in_one_breath() -> None:
    totals = [
        Check(f"error of total {what} in the holdout", -0.2, None, "warn", "", "within", "share")
        for what in ("purchases", "discounted value")
    ]
    assert judge_uses([], totals)[0].reason == (
        "In a test on the past, the number of purchases came out 25 % higher than forecast; "
        "spending came out 25 % higher than forecast."
    )
    four = [Check("figure", 1.0, None, "pass", "")] * 5
    assert judge_uses([], four)[0].reason.endswith(" 2 more checks agree.")
