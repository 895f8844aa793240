"""``clvmodels compare``: the simple formula beside the model, for the base and by decile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import (
    check_folder,
    check_input,
    check_output,
    read_posterior,
    read_rfm,
    read_table,
    write_aside,
    write_frame,
)
from clvmodels.cli.reports import ahead, interval_name
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.outputs import refuse_inputs
from clvmodels.path_checks import named_paths
from clvmodels.schema import CUSTOMER_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from clvmodels.economics import SimpleClv
    from clvmodels.rfm import RfmTable

FILES: Final = ("comparison.csv", "comparison.parquet", "simple_formula.csv", "comparison.png")
_SILENCE: Final = {
    "given": "the limit that was given",
    "gaps": "longer than 95 % of the gaps between purchases",
    "mean gaps": (
        "longer than 95 % of customers' mean gaps between purchases, which are shorter than the "
        "gaps themselves: pass --log to count those"
    ),
}


def run(
    rfm: Path,
    posterior: Path,
    output: Path,
    *,
    log: Sequence[str],
    actual: Path | None,
    silence: float | None,
    basket_value: float | None,
    csv: Mapping[str, str | None],
    quiet: bool,
    horizon: str,
    interval: float,
    draws: int,
    **options: Any,
) -> None:
    """Compare, print and write to a folder; options are those of `compare_with_simple`."""
    inputs = [check_input(path) for path in (rfm, posterior, actual) if path is not None]
    check_folder(output)
    refuse_inputs((output / name for name in FILES), named_paths([*inputs, *log]))
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.posterior.scorable import at_margin, open_scorable, value_posterior

        given, _ = open_scorable(read_posterior(posterior, basket_value))
        fitted = value_posterior(given)
        base, assumed = read_rfm(rfm, fitted.scale, csv=csv, whole=fitted.purchases.metadata.whole)
        base = at_margin(fitted, base)
        really = None if actual is None else read_actual(actual, csv)
    with terminal.step("The simple formula"):
        from clvmodels.economics import compare_with_simple, simple_clv

        source = None if not log else log[0] if len(log) == 1 else list(log)
        simple = simple_clv(base, log=source, silence=silence, **options)
    with terminal.step(f"Comparing {many(len(base), 'customer')}", loops=True):
        compared = compare_with_simple(
            fitted,
            base,
            actual=really,
            silence=simple.silence,
            interval=interval,
            draws=draws,
            **options,
        )
    with terminal.step("Writing files and a picture"):
        paths = _write(output, compared, simple, interval)
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    _show(terminal, compared, base, options, interval)
    _say_simple(terminal, simple)
    terminal.say()
    for path, what in zip(paths, _meanings(), strict=True):
        terminal.wrote(path, what)
    terminal.follow("clvmodels backtest LOG --customer-id ... --timestamp ... -o backtest")


def read_actual(path: Path, csv: Mapping[str, str | None]) -> pd.Series[float]:
    """Read what happened: a table of customer_id and one column of money.

    Raises
    ------
    SchemaError
        There is no such file, or it has other columns.
    """
    frame = read_table(path, csv, wanted=(CUSTOMER_ID,), only_numbers=True)[0].to_pandas()
    others = [name for name in frame if name != CUSTOMER_ID]
    if CUSTOMER_ID not in frame or len(others) != 1:
        raise SchemaError(
            f"{path} must have customer_id and one more column, what each customer spent; found "
            f"{', '.join(map(str, frame))}."
        )
    values: pd.Series[float] = frame.set_index(CUSTOMER_ID)[others[0]]
    return values


def _write(output: Path, compared: pd.DataFrame, simple: SimpleClv, interval: float) -> list[Path]:
    paths = [check_output(output / name) for name in FILES]
    write_frame(compared, paths[0])
    write_frame(compared, paths[1])
    write_frame(_inputs(simple), paths[2])
    write_aside(paths[3], lambda aside: draw(compared, interval, aside))
    return paths


def _meanings() -> tuple[str, ...]:
    return (
        "the table",
        "the same, with its types",
        "inputs and results of the simple formula",
        "both at a glance",
    )


def _inputs(simple: SimpleClv) -> pd.DataFrame:
    """Inputs and results of the simple formula, one in each row."""
    from dataclasses import asdict

    import pandas as pd

    named = {name: str(value) for name, value in asdict(simple).items()}
    return pd.DataFrame({"name": list(named), "value": list(named.values())})


def draw(compared: pd.DataFrame, interval: float, path: Path) -> None:
    """Draw the base and its groups."""
    from clvmodels import plots

    figure, axes = plots.new_figure(1, 2, "The simple formula and the model, in money")
    whole = compared.iloc[-1]
    totals = {"model": whole["model"], "simple formula": whole["simple"]}
    colours = [plots.EXPECTED, plots.OTHER]
    if "actual" in compared:
        totals["actual"] = whole["actual"]
        colours.append(plots.ACTUAL)
    certain = whole["model_lower"] != whole["model_lower"]
    bounds = None if certain else (whole["model_lower"], whole["model_upper"])
    plots.plot_totals(totals, colours=colours, interval=bounds, ax=axes[0])
    name = "" if certain else f"\nwith {percent(interval)} interval of the model's expected value"
    axes[0].set_title(f"All {many(whole['customers'], 'customer')}{name}")
    plots.plot_comparison(compared, ax=axes[1])
    axes[1].set_title("By groups of customers")
    plots.save_figure(figure, path)


def _show(
    terminal: Terminal,
    compared: pd.DataFrame,
    base: RfmTable,
    options: Mapping[str, Any],
    interval: float,
) -> None:
    of = "revenue" if base.margin == 1 else f"a margin of {percent(base.margin)} on revenue"
    who = many(len(base), "customer", "are")
    terminal.heading(f"What {who} worth, by the simple formula and the model")
    terminal.say(
        f"Value is {of} over {ahead(options['horizon'], base)}, discounted at "
        f"{percent(options['discount_rate'])} a year, summed over the customers of each group, in "
        "the log's own money. Group 1 is the tenth of customers that the model values most."
    )
    terminal.say()
    known = "actual" in compared
    headings = ["\ngroup", "simple\nformula", "own\nfigures", "\nmodel"]
    headings += [f"{percent(interval)}\ninterval", *(["\nreally"] if known else [])]
    rows = [
        (
            row["decile"].strip("()"),
            *(number(row[n]) for n in ("simple", "simple_per_customer", "model")),
            between(row["model_lower"], row["model_upper"]),
            *((number(row["actual"]),) if known else ()),
        )
        for row in compared.to_dict("records")
    ]
    terminal.show(table(headings, rows))
    terminal.say()
    terminal.say(
        "Simple formula: one number for all customers. Own figures: the same formula with each "
        "customer's own order value and frequency, and the base's churn. The interval is the "
        f"model's: {interval_name(interval)}, from draws, not a range for what will really be "
        "spent."
    )
    if known:
        terminal.say()
        terminal.say(_off(compared.iloc[-1]))


def _off(whole: Any) -> str:
    names = {
        "simple": "the simple formula",
        "simple_per_customer": "own figures",
        "model": "the model",
    }
    parts = [
        f"{name} {percent(abs(off))} too {'high' if off > 0 else 'low'}"
        for key, name in names.items()
        if (off := whole[f"{key}_off"]) == off
    ]
    return (
        f"Compared with what really came, over all customers: {', '.join(parts)}." if parts else ""
    )


def _say_simple(terminal: Terminal, simple: SimpleClv) -> None:
    terminal.say()
    terminal.say(
        f"The simple formula: {number(simple.order_value, 2)} per purchase x "
        f"{simple.orders_per_year:.2f} purchases per customer and year x margin {simple.margin:g} "
        f"x {simple.retained_years:.3f} years (retention summed over the horizon, discounted) = "
        f"{number(simple.value, 2)} for each customer. Churn is {percent(simple.churn)} a year: "
        f"{many(simple.lost, 'customer', 'are')} taken for lost, silent for more than "
        f"{simple.silence:.4g} days, {_SILENCE[simple.silence_source]}."
    )
    terminal.say()
    terminal.say(
        f"Over a lifetime of 1 / churn = {simple.lifetime_years:.2f} years it gives "
        f"{number(simple.lifetime_value, 2)} for each customer, undiscounted: a different figure, "
        "not comparable with those above."
    )
