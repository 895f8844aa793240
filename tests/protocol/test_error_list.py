"""Messages say what to do; the page of errors has them, and what no message can hold."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from clvmodels.log.audit import Reason
from clvmodels.scoring.row_checks import REASONS

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_ext"))

from messages import KINDS, messages, text_of  # noqa: E402  # the path comes first

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
SAID = messages()
# A capital, a place, or the name of an argument or a package.
_BEGINS = re.compile(
    r"[A-Z<\[]|\w+=|pymc-marketing |[a-z]\w*_\w+ |(actual|by|model|polars|shares|t) "
)
# A second clause, or the form that something must have.
_CURE = re.compile(r"[:;] \S|[.?]\]? \[?[A-Z<]|[)>] [A-Z]| (?:must|takes) ")


def test_every_class_is_on_the_page() -> None:
    on_page = re.findall(r"^```\{messages\} (\w+)$", PAGE, re.MULTILINE)
    assert sorted(on_page) == sorted(SAID)
    assert KINDS - {"ClvError"} <= set(on_page)


def test_messages_are_sentences_that_say_what_to_do() -> None:
    assert sum(map(len, SAID.values())) > 300
    for text in (text for several in SAID.values() for text in several):
        assert _BEGINS.match(text), text
        assert text.endswith((".", ".]", "?]", ">", ")")), text
        assert _CURE.search(text), text


def test_reasons_are_those_of_the_code() -> None:
    rows = {reason.text for reason in Reason} - {Reason.USED.text}
    tables = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert sorted(set(tables) - KINDS) == sorted(rows | set(REASONS))


def test_what_is_explained_by_hand_is_still_said() -> None:
    """Each entry begins with pieces of texts that are in the code."""
    trees = (ast.parse(file.read_bytes()) for file in (ROOT / "clvmodels").rglob("*.py"))
    texts = (n.value for t in trees for n in ast.walk(t) if isinstance(n, ast.Constant))
    code = "\n".join(text for text in texts if isinstance(text, str))
    entries = re.findall(r"^- (`[^:]+)", PAGE, re.MULTILINE)
    assert len(entries) > 25
    for quoted in re.findall(r"`([^`]+)`", " ".join(entries)):
        for piece in re.split(r"<\w+>", quoted):
            assert piece in code, quoted


def test_texts_are_read_off_the_source() -> None:
    for source, text in {
        "f'{rows:,} rows of {path.name!r} lack {names.ID}.'": "<rows> rows of <name> lack id.",
        "'Wait' + (f' for {one_line(path)}' if x else '') + '.'": "Wait[ for <path>].",
        "f'{type(x).__name__} ' + ('a' if x else 'b') + f'{x[0]}{now()}'": "<x> [a | b]<x><now>",
    }.items():
        assert text_of(ast.parse(source).body[0].value, {"ID": "id"}) == text
