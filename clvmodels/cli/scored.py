"""What a scored base is worth, asked of the output that was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.reports import (
    ahead,
    alive_note,
    interval_name,
    show_audit,
    show_top,
)
from clvmodels.cli.terminal import Terminal, between, number, percent, table

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.posterior import CLVPosterior
    from clvmodels.scoring import ScoreReport

_TOP: Final = 0.2
_MEMORY: Final = "1GB"


@dataclass(frozen=True, slots=True)
class Figures:
    """What must be asked of the rows.

    Attributes
    ----------
    top : DataFrame
        The ten most valuable customers.
    top_share : float
        Share of the value that the top 20 % have; NaN where there is no value.
    one_time_value : float
        Value of the customers who bought once.
    """

    top: pd.DataFrame
    top_share: float
    one_time_value: float


def show_scored(
    terminal: Terminal, report: ScoreReport, posterior_path: Path, options: Mapping[str, Any]
) -> None:
    """Show totals of a scored base, and its most valuable customers."""
    from clvmodels.audit import Audit
    from clvmodels.posterior import load_posterior
    from clvmodels.posterior.clv import value_posterior

    posterior = value_posterior(load_posterior(posterior_path))
    if report.assumed:
        terminal.say(report.assumed)
    if report.record["audit"] is not None:
        terminal.heading("What became of the rows")
        unit = report.record["input"]["time_unit"]
        show_audit(terminal, Audit.from_dict(report.record["audit"]), unit)
    if report.scored:
        figures = read_figures(report, options["table"])
        terminal.heading(f"What {report.scored:,} customers are worth")
        _show_value(terminal, report, figures, posterior, options)
        terminal.heading("The ten most valuable")
        show_top(terminal, figures.top, posterior, options["interval"])
    terminal.say()
    terminal.wrote(report.output, f"{report.scored:,} customers")
    if report.rejects is not None:
        terminal.wrote(report.rejects, f"{report.rejected:,} rows that could not be scored")


def read_figures(report: ScoreReport, table_name: str) -> Figures:
    """Ask the output, whatever its format, without reading it into memory."""
    import duckdb

    database = report.record["output"]["kind"] == "duckdb"
    path = str(report.output) if database else ":memory:"
    settings = {"memory_limit": _MEMORY}
    with duckdb.connect(path, read_only=database, config=settings) as connection:
        scan = _scan(report, table_name)
        top = connection.execute(f"SELECT * FROM {scan} ORDER BY clv DESC LIMIT 10").df()
        count = max(round(_TOP * (report.scored - report.without_value)), 1)
        best, once = connection.execute(
            f"SELECT (SELECT sum(clv) FROM (SELECT clv FROM {scan} ORDER BY clv DESC LIMIT {count}"
            f")), (SELECT if(count(*) = 0, 0, sum(clv)) FROM {scan} WHERE frequency = 0)"
        ).fetchone()
    # A column that is empty everywhere, as the intervals of a mode are, has no type in CSV.
    texts = ("customer_id", "reason")
    top = top.astype({name: "float64" for name in top.columns if name not in texts})
    total = report.clv.mean
    once = float("nan") if once is None else once
    return Figures(top, best / total if total > 0 else float("nan"), once)


def _scan(report: ScoreReport, table_name: str) -> str:
    from glob import escape

    from clvmodels.rfm.on_disk import quoted

    kind, path = report.record["output"]["kind"], report.output
    if kind == "duckdb":
        return f'"{table_name}"'
    if kind == "csv":
        return f"read_csv({quoted(escape(str(path)))}, types = {{'customer_id': 'VARCHAR'}})"
    files = f"{escape(str(path))}/*.parquet" if kind == "folder" else escape(str(path))
    return f"read_parquet({quoted(files)}, hive_partitioning = false)"


def _show_value(
    terminal: Terminal,
    report: ScoreReport,
    figures: Figures,
    posterior: CLVPosterior,
    options: Mapping[str, Any],
) -> None:
    margin, clv = report.margin, report.clv
    of = "revenue" if margin == 1 else f"a margin of {percent(margin)} on revenue"
    terminal.say(
        f"Value is {of} over {ahead(options['horizon'], posterior)}, discounted at "
        f"{percent(options['discount_rate'])} a year, in the log's own money."
    )
    terminal.say()
    rows = [
        ("expected purchases", number(report.expected_purchases)),
        ("expected value of the base", number(clv.mean)),
        (f"  {interval_name(clv.interval)}", between(clv.lower, clv.upper)),
        ("share of it in the top 20 % of customers", percent(figures.top_share)),
    ]
    if report.without_value:
        rows.append(("customers without a value, not in it", number(report.without_value)))
    rows += [
        ("customers who bought only once", number(report.one_time)),
        ("  their expected value", number(figures.one_time_value)),
    ]
    if report.zero_spend:
        rows.append(("repeat customers who paid nothing", number(report.zero_spend)))
    terminal.show(table(("", ""), rows, ruled=False))
    terminal.say()
    terminal.say(
        "The interval is of the expected value: how well the averages are known if the model "
        "holds. What customers will really spend varies more."
    )
    terminal.say(alive_note(posterior, options["horizon"]))
