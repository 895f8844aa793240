"""The options of ``clvmodels run``: those of the commands that it stands for, put together.

Apart, since the other commands are declared one by one: here nothing is declared twice, and an
option is added, or its help changed, where its own command has it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from clvmodels.cli.options import LogJson, Quiet, dressed

# What each step gets from the step before it, or from `run` itself.
_FROM_RUN: Final = {
    "summarize": ("output", "quiet"),
    "fit": ("rfm", "output", "time_unit", "time_scaler", "margin", "quiet", "draws", "update"),
    "score": ("source", "posterior", "output", "basket_value", "restart", "quiet", "log_json"),
}
# Of the options of `summarize` those that say nothing about logs
_NOT_OF_LOGS: Final = ("max_rejects", "memory_limit", "threads")
Folder = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="Folder for rfm.parquet, posterior.nc, the scores, and run.json, which says what "
        "they were made of.",
    ),
]
Scores = Annotated[
    str,
    typer.Option(
        help="Name of the scores in the folder: Parquet, CSV (also .csv.gz) or a DuckDB database "
        "(.duckdb, .db); without suffix a folder of Parquet files."
    ),
]
FitDraws = Annotated[int, typer.Option(help="Draws of the fit to keep, per chain.")]
Restart = Annotated[bool, typer.Option("--restart", help="Do every step again.")]


Steps = dict[str, dict[str, Parameter]]


def steps_of(**commands: Callable[..., None]) -> Steps:
    """Return the options that each step of ``run`` is given.

    Parameters
    ----------
    **commands : callable
        summarize, fit and score.
    """
    known = {step: dict(signature(one).parameters) for step, one in commands.items()}
    of_logs = known["summarize"].keys() - set(_NOT_OF_LOGS)
    steps = {}
    for step, options in known.items():
        left_out = {*_FROM_RUN[step], *(() if step == "summarize" else of_logs)}
        steps[step] = {name: one for name, one in options.items() if name not in left_out}
    return steps


def run_of(steps: Steps) -> Callable[..., None]:
    """Return the command ``run``, with all the options of its steps."""

    def run(**given: Any) -> None:
        """Go the whole way from a log to scores in one folder: summarize, fit, score.

        A step whose input and options are as they were is not done again, so a run that was
        stopped goes on when the command is repeated. Exit codes are those of the steps.
        """
        if code := import_module("clvmodels.cli.run").run(**given):
            raise typer.Exit(code)

    shown = {"log": steps["summarize"]["log"], "output": _option("output", Folder)}
    shown["scores"] = _option("scores", Scores, "scores.parquet")
    for options in steps.values():
        shown |= {name: one for name, one in options.items() if name not in shown}
    shown["fit_draws"] = _option("fit_draws", FitDraws, 1000)
    shown["restart"] = _option("restart", Restart, False)
    shown["quiet"] = _option("quiet", Quiet, False)
    shown["log_json"] = _option("log_json", LogJson, False)
    return dressed(run, "run", list(shown.values()))


def _option(name: str, kind: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
