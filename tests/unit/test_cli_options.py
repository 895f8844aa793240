"""Options of the command line: each stands once, and a group of them is expanded at its place."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from importlib import import_module
from typing import Annotated, Any, TypedDict, get_args

import pytest
import typer
from typer.testing import CliRunner

from clvmodels.cli.commands import app
from clvmodels.cli.groups import Covariates, Fitted, Pictured
from clvmodels.cli.options import Csv, LogColumns, Rows, declared
from clvmodels.keywords import defaults

COMMANDS = {
    (one.name or one.callback.__name__.replace("_", "-")): one.callback
    for one in app.registered_commands
    if one.callback is not None
}


@defaults(size=3)
class Pair(TypedDict):
    """Two options."""

    size: Annotated[int, typer.Option("--how-big", help="How big.")]
    colour: Annotated[str | None, typer.Option(help="Which colour.")]


def tried(monkeypatch: pytest.MonkeyPatch, pair: Any, run: Any, *said: str) -> Any:
    def paint(*, first: str = "a", pair: Any, last: str = "z") -> None:
        """Paint."""

    paint.__annotations__ |= {"first": str, "pair": pair, "last": str}
    module = type(sys)("clvmodels.cli.paint")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    little = typer.Typer(add_completion=False)
    little.command()(declared(paint))
    return CliRunner().invoke(little, list(said))


@pytest.mark.parametrize(
    ("helps", "shown"),
    [((), "Which colour."), (({"colour": "Of the wall."},), "Of the wall.")],
)
def test_a_group_stands_at_its_place_with_its_helps(
    monkeypatch: pytest.MonkeyPatch, helps: Any, shown: str
) -> None:
    kind = Annotated[Pair, *helps] if helps else Pair
    text = tried(monkeypatch, kind, None, "--help").output
    places = [text.index(one) for one in ("--first", "--how-big", "--colour", "--last")]
    assert places == sorted(places)
    assert shown in text
    assert "[default: 3]" in text


def test_a_command_gets_options_one_by_one_or_as_the_group_that_it_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def flat(**given: Any) -> int:
        seen.append(given)
        return 0

    def together(*, pair: Any, **given: Any) -> int:
        seen.append((pair, given))
        return 3

    assert tried(monkeypatch, Pair, flat, "--colour", "red").exit_code == 0
    assert tried(monkeypatch, Pair, together, "--how-big", "4").exit_code == 3
    rest = {"first": "a", "last": "z"}
    assert seen == [
        {**rest, "size": 3, "colour": "red"},
        ({"size": 4, "colour": None}, rest),
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_run_with_the_options_that_it_has(name: str) -> None:
    given = inspect.signature(COMMANDS[name]).parameters
    run = inspect.signature(import_module(f"clvmodels.cli.{name.replace('-', '_')}").run)
    groups = {
        option: one
        for one, kind in (
            ("csv", Csv),
            ("columns", LogColumns),
            ("fitted", Fitted),
            ("results", Pictured),
            ("rows", Rows),
            ("covariates", Covariates),
        )
        if one in run.parameters
        for option in kind.__annotations__
    }
    run.bind(**dict.fromkeys(groups.get(one, one) for one in given))


@pytest.mark.parametrize("name", ["summarize", "backtest", "compare-models", "score"])
def test_options_of_rows_are_those_of_the_group(name: str) -> None:
    """With other helps in places, but never another type, default or spelling."""
    found = inspect.signature(COMMANDS[name]).parameters
    wanted = inspect.signature(COMMANDS["summarize"]).parameters
    for option in (*Rows.__annotations__, *Csv.__annotations__):
        (kind, said), (same, first) = (get_args(p[option].annotation) for p in (found, wanted))
        assert (kind, said.param_decls) == (same, first.param_decls)
        assert found[option].default == wanted[option].default


def completed(line: str) -> list[str]:
    known = {"_CLVMODELS_COMPLETE": "complete_bash", "COMP_WORDS": line}
    known["COMP_CWORD"] = str(len(line.split(" ")) - 1)
    out = subprocess.run(
        [sys.executable, "-m", "clvmodels.cli"],
        env=os.environ | known,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stderr == ""
    return out.stdout.split()


def test_shells_complete_commands_options_and_choices() -> None:
    assert set(completed("clvmodels ")) == set(COMMANDS)
    assert completed("clvmodels comp") == ["compare", "compare-models"]
    assert completed("clvmodels fit --on") == ["--on-failure"]
    assert completed("clvmodels score x --discounting ") == ["continuous", "monthly"]
