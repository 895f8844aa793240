"""``clvmodels score``: a base of any size and a posterior -> a row of predictions each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import read_posterior
from clvmodels.cli.groups import with_costs
from clvmodels.cli.reports import (
    ahead,
    alive_note,
    interval_name,
    show_audit,
    show_top,
    unit_name,
)
from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.schema import Horizon, plain_horizon

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.posterior.scorable import Scorable
    from clvmodels.scoring import ScoreReport
    from clvmodels.scoring.block_records import Total

REJECTED: Final = 3


def run(
    source: str,
    posterior: Path,
    output: str,
    *,
    quiet: bool,
    log_json: bool,
    engine: str,
    allow_rejects: bool,
    basket_value: float | None,
    horizon: Sequence[str],
    alone: bool = True,
    **options: Any,
) -> int:
    """Score customers; options are those of `clvmodels.score`.

    Returns
    -------
    int
        The exit code: 3 where rows could not be scored.
    """
    lengths = [read_horizon(one) for one in horizon]
    options = with_costs(options)
    options["horizon"] = lengths[0] if len(lengths) == 1 else lengths
    terminal = Terminal(quiet=quiet)
    with _watched(terminal, bar=not log_json) as progress:
        score, given = _engine(engine), read_posterior(posterior, basket_value)
        report = score(source, given, output, allow_rejects=True, progress=progress, **options)
    if not quiet:
        show_scored(terminal, report, given, options)
        if alone and report.scored and report.record["audit"] is None and Path(source).is_file():
            files = f"--rfm {quote(source)} --posterior {quote(str(posterior))}"
            terminal.follow(f"clvmodels report {files} -o report.html")
    return _judge(report, allow_rejects)


def read_horizon(text: str) -> Horizon:
    """Read an option: a length, a number in the table's unit, or "none"."""
    if text.strip().lower() == "none":
        return None
    try:
        return plain_horizon(float(text))
    except ValueError:
        return plain_horizon(text)


def _engine(name: str) -> Any:
    if name == "local":
        from clvmodels.scoring import score

        return score
    return import_module("clvmodels.spark").score_files


def _judge(report: ScoreReport, allow_rejects: bool) -> int:
    from clvmodels.scoring.manifest import rejects_text

    if not report.rejected:
        return 0
    if allow_rejects:
        speech.log("rejects", "info", {"rejected": report.rejected, "file": str(report.rejects)})
        return 0
    speech.say("warning", f"{rejects_text(report)} All others are in {report.output}.")
    return REJECTED


@contextmanager
def _watched(terminal: Terminal, *, bar: bool) -> Iterator[Any]:
    """Yield a listener that logs every event, and moves a bar where somebody may watch."""
    with terminal.step("Scoring") if bar else nullcontext() as told:

        def listen(event: str, fields: Mapping[str, Any]) -> None:
            if event == "warning":
                return  # which is also raised as one, and said as such
            speech.log(event, "info", fields)
            if told is None:
                return
            if event == "scoring":
                told(fields["done"] / max(fields["rows"], 1), many(fields["rows"], "customer"))
            elif event == "block":
                done = fields["done"] == fields["of"]
                rate = f"{fields['rows_per_second']:,} rows/s"
                told(fields["done"] / max(fields["of"], 1), "writing" if done else rate)

        yield listen


_TOP: Final = 0.2
_MEMORY: Final = "1GB"


@dataclass(frozen=True, slots=True)
class Figures:
    """What must be asked of the rows.

    Attributes
    ----------
    top : DataFrame
        The ten customers who come first: by value, or where there is none by purchases.
    top_share : float
        Share of the value, or of the purchases, that the top 20 % have; NaN where there are
        none.
    one_time : float
        Value, or purchases, of the customers who bought once.
    """

    top: pd.DataFrame
    top_share: float
    one_time: float


def show_scored(
    terminal: Terminal, report: ScoreReport, given: Path | Scorable, options: Mapping[str, Any]
) -> None:
    """Show totals of a scored base, and the customers who come first."""
    from clvmodels.log.audit import Audit
    from clvmodels.posterior.layout import labelled
    from clvmodels.posterior.scorable import open_scorable

    posterior, _ = open_scorable(given)
    first, *_ = labelled(options["horizon"]).values()
    options = {**options, "horizon": first}
    if report.assumed:
        terminal.say(report.assumed)
    if report.record["audit"] is not None:
        terminal.heading("What became of the rows")
        unit = report.record["input"]["time_unit"]
        show_audit(terminal, Audit.from_dict(report.record["audit"]), unit)
    if report.scored and report.clv is not None:
        figures = read_figures(report, options["table"])
        terminal.heading(f"What {many(report.scored, 'customer', 'are')} worth")
        _show_value(terminal, report, report.clv, figures, posterior, options)
        terminal.heading("The ten most valuable")
        show_top(terminal, figures.top, posterior, options["interval"])
    elif report.scored and report.purchases is not None:
        figures = read_figures(report, options["table"])
        terminal.heading(f"What {many(report.scored, 'customer', 'are')} expected to buy")
        _show_purchases(terminal, report, report.purchases, figures, posterior, options)
        terminal.heading("The ten who are expected to buy most")
        _show_busiest(terminal, figures.top, posterior, options["interval"])
    if report.by_horizon:
        terminal.heading("By horizon")
        _show_horizons(terminal, report, posterior)
    terminal.say()
    terminal.wrote(report.output, many(report.scored, "customer"))
    if report.rejects is not None:
        terminal.wrote(report.rejects, f"{many(report.rejected, 'row')} that could not be scored")


def read_figures(report: ScoreReport, table_name: str) -> Figures:
    """Ask the output, whatever its format, without reading it into memory."""
    import duckdb

    database = report.record["output"]["kind"] == "duckdb"
    path = str(report.output) if database else ":memory:"
    settings = {"memory_limit": _MEMORY}
    with duckdb.connect(path, read_only=database, config=settings) as connection:
        scan = _scan(report, table_name)
        by, order, total = _ranked_by(report)
        label = next((f"_{length}" for length in report.by_horizon), "")
        by, order = (text.replace("{}", label) for text in (by, order))
        top = connection.execute(f"SELECT * FROM {scan} ORDER BY {order} LIMIT 10").df()
        count = max(round(_TOP * (report.scored - report.without_value)), 1)
        # A column that is empty everywhere has no type in CSV
        best, once = connection.execute(
            f"WITH rows AS (SELECT CAST({by} AS DOUBLE) AS expected, frequency FROM {scan}) "
            "SELECT (SELECT sum(expected) FROM (SELECT expected FROM rows ORDER BY expected DESC "
            f"LIMIT {count})), "
            "(SELECT if(count(*) = 0, 0, sum(expected)) FROM rows WHERE frequency = 0)"
        ).fetchone()
    texts = ("customer_id", "reason")
    top = top.astype({name: "float64" for name in top.columns if name not in texts})
    top = top.rename(columns=lambda name: name.removesuffix(label))
    once = float("nan") if once is None else once
    return Figures(top, best / total if total > 0 else float("nan"), once)


def _ranked_by(report: ScoreReport) -> tuple[str, str, float]:
    """The column that is added up, the order of customers, and the sum over all of them."""
    if report.clv is not None:
        return "clv{}", "clv{} DESC", report.clv.mean
    # Over a lifetime the number may have no finite expectation; discounted it has one.
    order = "expected_purchases{} DESC, discounted_purchases{} DESC"
    return "expected_purchases{}", order, report.expected_purchases


def _scan(report: ScoreReport, table_name: str) -> str:
    from glob import escape

    from clvmodels.log.embedded import quoted

    kind, path = report.record["output"]["kind"], report.output
    if kind == "duckdb":
        return f'"{table_name}"'
    if kind == "csv":
        text = "types = {'customer_id': 'VARCHAR'}, hive_partitioning = false"
        return f"read_csv({quoted(escape(str(path)))}, {text})"
    files = f"{escape(str(path))}/*.parquet" if kind == "folder" else escape(str(path))
    return f"read_parquet({quoted(files)}, hive_partitioning = false)"


def _show_value(
    terminal: Terminal,
    report: ScoreReport,
    clv: Total,
    figures: Figures,
    posterior: Scorable,
    options: Mapping[str, Any],
) -> None:
    margin = 1.0 if report.margin is None else report.margin
    of = "revenue" if margin == 1 else f"a margin of {percent(margin)} on revenue"
    if (own := report.record["input"].get("contribution_margin")) is not None:
        from clvmodels.margin import ContributionMargin

        of = f"what is left of revenue ({ContributionMargin(**own)})"
    terminal.say(
        f"Value is {of} over {ahead(options['horizon'], posterior)}, discounted at "
        f"{percent(options['discount_rate'])} a year, in the log's own money."
    )
    terminal.say()
    rows = [
        ("expected purchases", number(report.expected_purchases)),
        ("expected value of the base", number(clv.mean)),
        (f"  {interval_name(clv.interval)}", between(clv.lower, clv.upper)),
        ("share of it from the top 20 % of customers", percent(figures.top_share)),
    ]
    if report.without_value:
        rows.append(("customers without a value, not included", number(report.without_value)))
    rows += [
        ("customers who bought only once", number(report.one_time)),
        ("  their expected value", number(figures.one_time)),
    ]
    rows += _of_unknown_levels(report)
    if report.zero_spend:
        rows.append(("repeat customers who paid nothing", number(report.zero_spend)))
    terminal.show(table(("", ""), rows, ruled=False))
    terminal.say()
    terminal.say(
        "The interval is of the expected value: how well the averages are known if the model "
        "holds. What customers will really spend varies more."
    )
    terminal.say(alive_note(posterior, options["horizon"]))


def _show_purchases(
    terminal: Terminal,
    report: ScoreReport,
    purchases: Total,
    figures: Figures,
    posterior: Scorable,
    options: Mapping[str, Any],
) -> None:
    terminal.say(
        f"Purchases are counted over {ahead(options['horizon'], posterior)}. The posterior knows "
        "only purchases, so there is no spend or value."
    )
    terminal.say()
    rows = [
        ("expected purchases", number(purchases.mean)),
        (
            f"  {percent(purchases.interval)} interval of the expected number",
            between(purchases.lower, purchases.upper),
        ),
        ("share of them from the top 20 % of customers", percent(figures.top_share)),
        ("customers who bought only once", number(report.one_time)),
        ("  their expected purchases", number(figures.one_time)),
        *_of_unknown_levels(report),
    ]
    terminal.show(table(("", ""), rows, ruled=False))
    terminal.say()
    if math.isnan(purchases.mean):
        terminal.say(
            "Over a lifetime the expected number is infinite in some draws, so it is left empty: "
            "customers are ordered by discounted_purchases."
        )
        return
    terminal.say(
        "The interval is of the expected number: how well the averages are known if the model "
        "holds. What customers will really buy varies more."
    )
    terminal.say(alive_note(posterior, options["horizon"]))


def _of_unknown_levels(report: ScoreReport) -> list[tuple[str, str]]:
    many = report.unknown_levels
    return [("customers of levels that were not fitted", number(many))] if many else []


def _show_horizons(terminal: Terminal, report: ScoreReport, posterior: Scorable) -> None:
    """Show what the base adds up to over each horizon: value, or purchases where there is none."""
    lengths, rows = report.record["options"]["horizon"], []
    for length, one in zip(lengths, report.by_horizon.values(), strict=True):
        bought, total = number(one.expected_purchases), one.clv or one.purchases
        assert total is not None
        cells = (bought,) if one.clv is None else (bought, number(total.mean))
        rows.append((ahead(length, posterior), *cells, between(total.lower, total.upper)))
    headings = ["expected\npurchases", "expected\nvalue"][: 1 if report.clv is None else 2]
    interval = percent(report.record["options"]["interval"])
    terminal.show(table(("", *headings, f"{interval}\ninterval"), rows))


def _show_busiest(
    terminal: Terminal, top: pd.DataFrame, posterior: Scorable, interval: float
) -> None:
    """Show customers with the purchases that are expected of them, one line each."""
    headings = ["\ncustomer", "repeat\nbuys", f"{unit_name(posterior.scale)}\nsilent"]
    headings += ["chance\nto buy", "buys\nahead", f"{percent(interval)}\ninterval"]
    rows = [
        (
            str(row["customer_id"]),
            number(row["frequency"]),
            number(row["T"] - row["recency"]),
            percent(row["p_purchase"]),
            number(row["expected_purchases"], 1),
            between(row["expected_purchases_lower"], row["expected_purchases_upper"], 1),
        )
        for row in top.to_dict("records")
    ]
    terminal.show(table(headings, rows), indent=0)
