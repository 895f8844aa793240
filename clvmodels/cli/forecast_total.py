"""``clvmodels forecast-total``: totals of a base to plan with, by horizon, month and segment.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_results, finish, opened, read_by, write_results
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, share_text, table
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.predictive import TotalForecast


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    horizon: Sequence[str],
    by: Sequence[str],
    segments: Path | None,
    scenario: Sequence[str],
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Forecast, print and write; options are those of `clvmodels.forecast_total`."""
    check_results(results, [segments, *fitted.values()])
    known = read_scenario(scenario)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.predictive import forecast_total

        given = opened(fitted, basket_value, csv)
        divided = read_by(by, segments, csv)
    lengths = [read_horizon(one) for one in horizon]
    with terminal.step(
        f"Forecasting the totals of {many(len(given.base), 'customer')}", loops=True
    ):
        found: TotalForecast = forecast_total(
            given.posterior,
            given.base,
            horizon=lengths[0] if len(lengths) == 1 else lengths,
            by=divided,
            scenario=known,
            **options,
        )
    write_results(results, found.table, found.to_dict())
    finish(terminal, given, lambda: show(terminal, found), results)
    files = f"--rfm {quote(str(fitted['rfm']))} --posterior {quote(str(fitted['posterior']))}"
    terminal.follow(f"clvmodels track forecasts.parquet {files}")


def read_scenario(said: Sequence[str]) -> dict[str, float] | str | None:
    """Read PERIOD=FACTOR, as often as it was given, or the name of a scenario.

    Raises
    ------
    SchemaError
        One is something else, or a period is there twice.
    """
    if len(said) == 1 and "=" not in said[0]:
        from clvmodels.predictive.calendars import AGAIN

        if said[0].strip() in AGAIN:
            return said[0].strip()
    found: dict[str, float] = {}
    for one in said:
        period, _, factor = (part.strip() for part in one.partition("="))
        try:
            number_of = float(factor)
        except ValueError:
            raise SchemaError(
                f"Scenario {one!r} must be a period and its factor, such as 2024-12=1.2."
            ) from None
        if period in found:
            raise SchemaError(f"The scenario names {period} twice: give one factor for it.")
        found[period] = number_of
    return found or None


def show(terminal: Terminal, found: TotalForecast) -> None:
    """Print a forecast: what is expected, what to plan with, and where the doubt comes from."""
    from clvmodels.diagnostics.planned import calendar_said, in_words
    from clvmodels.predictive.base import margin_said

    whole = found.table if found.whole is None else found.whole.table
    if found.whole is not None:
        _show_parts(terminal, found.table)
    _show_table(terminal, whole)
    last = whole.to_dict("records")[-1]
    terminal.say(
        f"To plan with: the {percent(found.interval)} interval of what may really come. The last "
        "three columns are shares of its variance. "
        f"{in_words(last)}"
    )
    terminal.say()
    terminal.say(calendar_said(found.calendar))
    if found.scenario:
        told = ", ".join(f"{period} x {factor:g}" for period, factor in found.scenario.items())
        terminal.say(f"Scenario: {told}.")
    if found.margin is not None:
        terminal.say(f"Value is discounted{margin_said(found.margin, found.margin_from)}.")
    if found.without_value:
        terminal.say(f"{many(found.without_value, 'customer', 'have')} no value: {found.reason}")
    terminal.say()


def _show_parts(terminal: Terminal, rows: pd.DataFrame) -> None:
    """A line for each part, with all of its totals."""
    names = list(rows.columns[: list(rows.columns).index("total")])
    totals = list(dict.fromkeys(rows["total"]))
    shown = [
        (
            " ".join(map(str, part)),
            *(
                text
                for row in lines.set_index("total").loc[totals].to_dict("records")
                for text in (number(row["mean"]), between(row["lower"], row["upper"]))
            ),
        )
        for part, lines in rows.groupby(names, sort=False)
    ]
    headings = [name for total in totals for name in (total, "plan with")]
    terminal.show(table((" and ".join(names), *headings), shown))
    terminal.say()


def _show_table(terminal: Terminal, rows: pd.DataFrame) -> None:
    names = list(rows.columns[: list(rows.columns).index("total")])
    first = "total"
    if "horizon" in names and len({*rows["horizon"]}) == 1:  # said once, and not in each row
        first = str(rows["horizon"].iloc[0])
        names.remove("horizon")
    shown = [
        (
            " ".join([row["total"], *(str(row[name]) for name in names)]),
            number(row["mean"]),
            between(row["lower"], row["upper"]),
            *(
                share_text(row[f"share_{source}"])
                for source in ("parameters", "chance", "calendar")
            ),
        )
        for row in rows.to_dict("records")
    ]
    headings = (first, "expected", "plan with", "parameters", "chance", "calendar")
    terminal.show(table(headings, shown))
    terminal.say()
