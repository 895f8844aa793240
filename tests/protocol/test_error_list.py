"""The documentation lists every message of the package, and none that is no more."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.protocol.error_messages import Message, messages

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
_LISTED = re.compile(r"^(?:- |  )`(?P<text>.+)` \((?P<kind>[\w ]+)\)\\$")
# A capital, a place, or the name of an argument.
_BEGINS = re.compile(r"[A-Z<]|\w+=|[a-z_-]+ (?:cannot|gives|has|is|makes|must|of|sends) ")
_ENTRY = re.compile(r"(?:`.+` \([\w ]+\)\\\n  )+\*Cause:\* \S.*\\\n  \*Cure:\* \S.*\n?")


def listed(page: str) -> list[Message]:
    """Messages of the page, with the number of the line of each."""
    found = []
    for number, line in enumerate(page.splitlines(), 1):
        match = _LISTED.match(line)
        if match is not None:
            found.append(Message(match["kind"], match["text"], f"line {number}"))
    return found


def differences(said: Iterable[Message], page: Iterable[Message]) -> str:
    """Lines to add to the page and to take out of it; empty where they agree."""
    ours, theirs = ({one.key: one for one in several} for several in (said, page))
    add = [one for key, one in ours.items() if key not in theirs]
    remove = [one for key, one in theirs.items() if key not in ours]
    lines = ["Add to docs/errors.md, with a cause and a cure:"] if add else []
    lines += [f"- `{one.text}` ({one.kind})\\    [{one.where}]" for one in add]
    lines += ["No message of the package any more:"] if remove else []
    lines += [f"- `{one.text}` ({one.kind})\\    [{one.where}]" for one in remove]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def said() -> list[Message]:
    """Messages of the package."""
    return messages(ROOT / "clvmodels")


def test_every_message_is_listed_and_no_other(said: list[Message]) -> None:
    told = differences(said, listed(PAGE.read_text()))
    assert not told, f"\n{told}"


def test_no_message_is_listed_twice() -> None:
    keys = [one.key for one in listed(PAGE.read_text())]
    assert len(set(keys)) == len(keys), [key for key in keys if keys.count(key) > 1]


def test_every_entry_has_a_cause_and_a_cure() -> None:
    entries = re.split(r"^- ", PAGE.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    for entry in entries:
        assert _ENTRY.match(entry), f"\n- {entry}"


def test_messages_are_sentences(said: list[Message]) -> None:
    """Each begins like one, and ends like one unless another library has the last word."""
    for one in said:
        if one.kind in ("SchemaError", "DomainError", "TimeUnitError", "ResumeError"):
            assert one.text.endswith((".", "?", ">")), one
            assert _BEGINS.match(one.text), one


# --- that the comparison finds what it should ---

_PACKAGE = {
    "errors.py": """
        class OurError(Exception): ...
        class WrongError(OurError, ValueError): ...
        """,
    "checks.py": """
        import warnings
        from small.errors import OurError, WrongError
        from small import names

        MOST = 2e8

        def refuse(bad, what):
            if bad:
                raise WrongError(f"{bad:,} rows have {what}: drop them.")

        def no_number(name, error=WrongError):
            raise error(f"{name} must be a number.")

        def hint(name):
            return f"Did you mean {name!r}?" if name else "Look again."

        def check(rows, path):
            refuse(rows, "no id")
            refuse(rows, f"a {path} below 0")
            no_number("x")
            more = "" if rows else f"; and {len(rows)} more"
            busy = OurError(f"{path} is busy{more}. " "Wait.")
            raise busy

        def warn(rows):
            said = [f"{rows} are old."]
            said.append("There are no rows.")
            for text in said:
                warnings.warn(text, UserWarning)
            if rows > MOST:
                raise WrongError(f"{names.ID} has {rows!r}, more than {MOST:.0e}. {hint(rows)}")
            raise ValueError
        """,
    "names.py": 'ID = "customer_id"\n',
}
_SAID = {
    ("WrongError", "<bad> rows have no id: drop them."),
    ("WrongError", "<bad> rows have a <path> below 0: drop them."),
    ("WrongError", "<name> must be a number."),
    ("OurError", "<path> is busy. Wait."),
    ("OurError", "<path> is busy; and <count> more. Wait."),
    ("UserWarning", "<rows> are old."),
    ("UserWarning", "There are no rows."),
    ("WrongError", "customer_id has <rows>, more than 2e+08. Did you mean <name>?"),
    ("WrongError", "customer_id has <rows>, more than 2e+08. Look again."),
}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A package whose messages are put together in all the ways that are known."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name, source in _PACKAGE.items():
        (folder / name).write_text(textwrap.dedent(source))
    return folder


def test_messages_of_a_small_package(small: Path) -> None:
    assert {(one.kind, one.text) for one in messages(small)} == _SAID


@pytest.mark.parametrize("missing", sorted(_SAID))
def test_a_message_that_the_page_lacks_is_found(small: Path, missing: tuple[str, str]) -> None:
    page = [Message(*one, "page") for one in _SAID - {missing}]
    kind, text = missing
    told = differences(messages(small), page).splitlines()
    assert len(told) == 2
    assert told[1].startswith(f"- `{text}` ({kind})\\    [small/checks.py:")


def test_a_message_that_is_no_more_is_found(small: Path) -> None:
    page = [Message(*one, "page") for one in _SAID]
    old = Message("WrongError", "<path> was never good.", "line 7")
    told = differences(messages(small), [*page, old]).splitlines()
    assert told[1:] == ["- `<path> was never good.` (WrongError)\\    [line 7]"]


def test_of_another_class_it_is_another_message(small: Path) -> None:
    page = [Message(kind.replace("Our", "Wrong"), text, "page") for kind, text in _SAID]
    assert "- `<path> is busy. Wait.` (OurError)" in differences(messages(small), page)


def test_places_may_be_called_otherwise(small: Path) -> None:
    page = [Message(kind, text.replace("<path>", "<file>"), "page") for kind, text in _SAID]
    assert not differences(messages(small), page)


def test_the_package_is_read_and_not_run(small: Path) -> None:
    (small / "bomb.py").write_text("raise SystemExit('it was run')\n")
    said = messages(small)
    assert Message("SystemExit", "it was run", "small/bomb.py:1") in said
    assert len(said) == len(_SAID) + 1
