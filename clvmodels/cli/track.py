"""``clvmodels track``: forecasts are recorded, and judged when they are due.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import check_output, check_results, opened, write_results
from clvmodels.cli.score import read_horizon
from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal, between, number, signed, table
from clvmodels.display import listed, many
from clvmodels.errors import SchemaError
from clvmodels.outputs import refuse_twice

if TYPE_CHECKING:
    from clvmodels.evaluation import JudgedForecasts
    from clvmodels.rfm import RfmTable

ALARM: Final = 7


def run(
    ledger: Path,
    *,
    rfm: Path | None,
    posterior: Path | None,
    log: str | None,
    columns: Mapping[str, str | None],
    only_these: bool,
    horizon: Sequence[str],
    basket_value: float | None,
    results: Mapping[str, Path | None],
    rows: Mapping[str, Any],
    where: str | None,
    csv: Mapping[str, str | None],
    quiet: bool,
    **options: Any,
) -> int:
    """Judge what is due, then record; options are those of `record_forecast`.

    Returns
    -------
    int
        The exit code: 7 where there is an alarm.
    """
    _check(rfm, posterior, log, columns, only_these=only_these, results=results)
    inputs = [one for one in (rfm, posterior, log) if one is not None]
    check_output(ledger, suffixes=(".parquet",), inputs=inputs)
    check_results(results, [*inputs, str(ledger)])
    refuse_twice(results.values())
    terminal, known = Terminal(quiet=quiet), None
    if rfm is not None and posterior is not None:
        with terminal.step("Reading"):
            known = opened({"rfm": rfm, "posterior": posterior}, basket_value, csv)
    code = 0
    if log is not None and (ledger.exists() or known is None):
        whose = known.base if known is not None and only_these else None
        how = {**columns, **rows, **csv, "where": where}
        code = _judge(terminal, ledger, log, whose, how, results)
    if known is not None:
        from clvmodels.evaluation import record_forecast

        lengths = [read_horizon(one) for one in horizon]
        who = many(len(known.base), "customer", "are")
        with terminal.step(f"Recording what {who} to bring", loops=True):
            record_forecast(known.posterior, known.base, ledger, horizon=lengths, **options)
        if not quiet:
            terminal.say(f"Recorded what {who} to bring in {listed(horizon)}.")
            terminal.wrote(ledger, "the forecasts, to be judged when they are due")
            terminal.follow(
                f"clvmodels track {quote(str(ledger))} --log LOG --customer-id ... --timestamp ..."
            )
    return code


def _check(
    rfm: Path | None,
    posterior: Path | None,
    log: str | None,
    columns: Mapping[str, str | None],
    *,
    only_these: bool,
    results: Mapping[str, Path | None],
) -> None:
    """Refuse options that do not go together."""
    if (rfm is None) != (posterior is None):
        raise SchemaError("A forecast is recorded of --rfm and --posterior: give both.")
    if rfm is None and log is None:
        raise SchemaError(
            "There is nothing to do: give --rfm and --posterior to record a forecast, --log to "
            "judge those that are due, or all three."
        )
    if log is not None and not (columns["customer_id_col"] and columns["datetime_col"]):
        raise SchemaError("A log needs its columns: give --customer-id and --timestamp.")
    if only_these and (rfm is None or log is None):
        raise SchemaError(
            "Customers are counted by --only-these where --log is judged beside --rfm: give both."
        )
    if log is None and any(results.values()):
        raise SchemaError("What is written is what was judged: give --log, or leave them out.")


def _judge(
    terminal: Terminal,
    ledger: Path,
    log: str,
    rfm: RfmTable | None,
    how: Mapping[str, Any],
    results: Mapping[str, Path | None],
) -> int:
    from clvmodels.evaluation import judge_forecasts

    with terminal.step("Judging the forecasts that are due"):
        found = judge_forecasts(ledger, log, rfm=rfm, **how)
    write_results(results, found.table, found.to_dict())
    if not terminal.quiet:
        show(terminal, found)
    for line in (*found.notes, *found.alarms):
        speech.say("warning", line)
    return ALARM if found.alarms else 0


def show(terminal: Terminal, found: JudgedForecasts) -> None:
    """Print the totals of all customers by vintage and horizon, and how often they held."""
    whole = found.table[found.table["group"] == "(whole)"]
    terminal.heading(f"{len(whole):,} totals are due; {found.pending:,} forecasts are to come")
    if len(whole):
        shown = [
            (
                row["as_of"],
                row["horizon"],
                row["total"],
                between(row["lower"], row["upper"]),
                number(row["actual"]),
                signed(row["off"]),
                "yes" if row["inside"] else "no",
            )
            for row in whole.to_dict("records")
        ]
        headings = ("made", "within", "total", "forecast", "came", "off", "held")
        terminal.show(table(headings, shown))
    for row in found.by_horizon.to_dict("records"):
        terminal.say(
            f"  {row['total']} within {row['horizon']}: {row['inside']} of {row['vintages']} held."
        )
    terminal.say()
