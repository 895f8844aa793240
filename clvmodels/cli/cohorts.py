"""``clvmodels cohorts``: value per customer by months since the first order, table and picture.

Apart, since a command's options are there at once, and what it does loads when it runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import check_results, opened, read_by, write_results
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.predictive import CohortCurves

_SHOWN: Final = 12
_LARGE: Final = 100.0  # from where on decimals say nothing


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    log: str,
    cohort: str,
    by: Sequence[str],
    segments: Path | None,
    cac: Sequence[str],
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compute, print, write and draw; options are those of `clvmodels.cohorts`."""
    check_results(results, [log, segments, *fitted.values()])
    costs = read_costs(cac)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.predictive import cohorts

        given = opened(fitted, basket_value, csv)
        divided = read_by(by, segments, csv)
    with terminal.step(f"Following {many(len(given.base), 'customer')}", loops=True):
        every: Any = None if cohort == "none" else cohort
        found = cohorts(
            given.posterior, given.base, log=log, cohort=every, by=divided, cac=costs, **options
        )
    write_results(results, found.table, found.to_dict(), lambda aside: _draw(found, aside))
    if not quiet:
        show(terminal, found)
        terminal.wrote_all(results)


def _draw(found: CohortCurves, path: Path) -> None:
    from clvmodels import plots

    figure, (axes,) = plots.new_figure(1, 1, "What cohorts bring")
    plots.plot_cohorts(found, ax=axes)
    plots.save_figure(figure, path)


def read_costs(
    said: Sequence[str], what: str = "CAC", example: str = "web=12.5"
) -> float | dict[str, float] | None:
    """Read NUMBER, or COHORT=NUMBER as often as it was given.

    Raises
    ------
    SchemaError
        One is something else, or there are several numbers for one.
    """
    found: dict[str, float] = {}
    for one in said:
        name, _, cost = (part.strip() for part in one.rpartition("="))
        try:
            amount = float(cost)
            if not math.isfinite(amount):
                raise ValueError
        except ValueError:
            raise SchemaError(
                f"{what} {one!r} must be a number, or a cohort or segment and its number, such as "
                f"{example}."
            ) from None
        if name in found or (found and "" in (name, *found)):
            raise SchemaError(
                f"{what} is given several times for the same customers: give one number, or one "
                "for each cohort or segment."
            )
        found[name] = amount
    return found.get("", found or None)


def show(terminal: Terminal, found: CohortCurves) -> None:
    """Print the curves at some months, and when each cohort has paid back."""
    total = "value" if "value" in found.table else "purchases"
    months = sorted({round(found.months * part) for part in (0.0, 0.25, 0.5, 1.0)})
    groups = [*found.table.groupby(list(found.by), sort=False)]
    terminal.heading(f"{total.capitalize()} per customer so far, by months since the first order")
    digits = 0 if groups[-1][1][total].iloc[-1] >= _LARGE else 1
    rows = [
        (name_of(key), number(one["customers"].iloc[0]), *_cells(one, total, months, digits))
        for key, one in groups[-_SHOWN:]
    ]
    headings = ("cohort", "customers", *(f"month {month}" for month in months))
    terminal.show(table(headings, rows))
    terminal.say()
    earlier = many(len(groups) - _SHOWN, "earlier cohort", "are")
    more = f" {earlier} left out here; -o writes all." if len(groups) > _SHOWN else ""
    terminal.say(
        "A single number has happened; two are the interval of what may have come by then." + more
    )
    if found.payback is not None:
        _show_payback(terminal, found.payback, found)
    if found.without_value:
        terminal.say(f"{many(found.without_value, 'customer', 'have')} no value: {found.reason}")
    terminal.say()


def _cells(rows: pd.DataFrame, total: str, months: Sequence[int], digits: int) -> list[str]:
    cells = []
    for row in rows[rows["month"].isin(months)].to_dict("records"):
        if row["known"] == 1.0:
            cells.append(number(row[total], digits))
        else:
            cells.append(between(row[f"{total}_lower"], row[f"{total}_upper"], digits))
    return cells


def _show_payback(terminal: Terminal, payback: pd.DataFrame, found: CohortCurves) -> None:
    terminal.heading("Month by whose end the cost of acquisition is paid back")
    rows = [
        (
            name_of([row[name] for name in found.by]),
            number(row["cac"], 2),
            _month(row["month"]),
            f"{_month(row['month_lower'])} to {_month(row['month_upper'])}",
            percent(row["chance"]),
        )
        for row in payback.to_dict("records")[-_SHOWN:]
        if not math.isnan(row["cac"])
    ]
    ends = f"{percent(found.interval)}\ninterval"
    headings = ("\ncohort", "\ncac", "\nmonth", ends, f"within\n{found.months} months")
    terminal.show(table(headings, rows))
    terminal.say()


def name_of(parts: Sequence[object]) -> str:
    """The cohort of a row; the whole is one, however many columns say so."""
    return " ".join(dict.fromkeys(map(str, parts)))


def _month(month: float) -> str:
    return "later" if math.isinf(month) else f"{month:.0f}"
