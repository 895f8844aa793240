"""``clvmodels compare-models``: which model describes, and which forecasts, a base better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import check_input, check_output, read_rfm, write_json
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, number, percent, table
from clvmodels.cli.wording import in_options
from clvmodels.display import many
from clvmodels.errors import SchemaError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation import Comparison, HeldOut

# What makes the input a log, by the names of the library
_OF_LOGS: Final = ("customer_id_col", "datetime_col")
_CUTS: Final = ("origins", "train_period_end", "test_period_end")
_TIMED: Final = 2  # with k = 3 and 4 the answer is much that of k = 2, at twice the cost
_NOT_PRINTED: Final = ["crps"]  # for which 80 columns have no room


def run(
    source: str,
    *,
    posteriors: Sequence[Path],
    models: Sequence[str],
    json: Path | None,
    quiet: bool,
    horizon: str | None,
    draws: int,
    columns: Mapping[str, str | None],
    **options: Any,
) -> None:
    """Compare, print and write; options are those of `clvmodels.compare`.

    Raises
    ------
    SchemaError
        What is to be compared is neither of a log nor of a table of customers.
    """
    if json is not None:
        check_output(json, suffixes=(".json",), inputs=[source, *posteriors])
    terminal = Terminal(quiet=quiet)
    is_log = any(columns[name] is not None for name in _OF_LOGS)
    assumed = None
    if is_log:
        if posteriors:
            raise SchemaError(
                "A --posterior is for a table of customers, and --customer-id and --timestamp are "
                "of a log, where models are fitted at several dates: name them by --model."
            )
        found = _of_log(terminal, source, models, horizon, draws, {**columns, **options})
    else:
        cuts = {name: options[name] for name in _CUTS} | {"horizon": horizon}
        found, assumed = _of_table(terminal, source, posteriors, models, draws, options, cuts)
    if json is not None:
        write_json(found.to_dict(), json)
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    show(terminal, found)
    if json is not None:
        terminal.say()
        terminal.wrote(json, "the same numbers")
    best = set.intersection(set(found.table.index), *({*one.leaders} for one in found.strengths))
    if is_log and len(best) == 1:
        terminal.follow(f"clvmodels fit rfm.parquet --model {best.pop()} -o posterior.nc")


def _of_log(
    terminal: Terminal,
    source: str,
    models: Sequence[str],
    horizon: str | None,
    draws: int,
    options: Mapping[str, Any],
) -> Comparison:
    from clvmodels.evaluation import compare
    from clvmodels.purchases import MODELS

    if len({*models}) == 1:
        raise SchemaError(
            f"A comparison needs two models, and --model {models[0]} is one: name another --model, "
            "or none to compare all."
        )
    return compare(
        list(dict.fromkeys(models)) or [k for k, one in MODELS.items() if one.regularity <= _TIMED],
        source,
        draws=draws,
        horizon=None if horizon is None else read_horizon(horizon),
        progressbar=terminal.watched,
        **options,
    )


def _of_table(
    terminal: Terminal,
    source: str,
    posteriors: Sequence[Path],
    models: Sequence[str],
    draws: int,
    options: Mapping[str, Any],
    cuts: Mapping[str, Any],
) -> tuple[Comparison, str | None]:
    if models or len(posteriors) < 2:
        raise SchemaError(
            f"{source} is compared as a table of customers, which takes two --posterior or more: "
            "pass those, or --customer-id and --timestamp if it is a log, with --model."
        )
    path = check_input(Path(source))
    with terminal.step("Reading"):
        from clvmodels.evaluation import compare
        from clvmodels.posterior.scorable import open_scorable, purchases_of

        named = dict(zip(_names(posteriors), posteriors, strict=True))
        opened = {name: open_scorable(check_input(one))[0] for name, one in named.items()}
        first = purchases_of(next(iter(opened.values())))
        csv = {name: options[name] for name in ("decimal", "delimiter", "encoding")}
        base, assumed = read_rfm(path, first.scale, csv=csv, whole=first.metadata.whole)
    with terminal.step(f"Comparing {many(len(base), 'customer')}"):
        return compare(opened, base, draws=draws, progressbar=False, **cuts), assumed


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of files without folder and suffix, or whole where two are alike."""
    stems = [path.stem for path in paths]
    if len({*paths}) < len(paths):
        raise SchemaError("A --posterior is given twice: pass two different files or more.")
    return stems if len({*stems}) == len(stems) else list(map(str, paths))


def show(terminal: Terminal, found: Comparison) -> None:
    """Print a comparison."""
    whose = many(found.customers, "customer")
    terminal.heading(f"How {len(found.table)} models describe the purchases of {whose}")
    _show_timings(terminal, found)
    if found.heldout is not None:
        _show_forecasts(terminal, found.heldout)
        _show_totals(terminal, found.heldout)
    terminal.heading("What this says")
    for sentence in found.sentences:
        terminal.say(in_options(_as_command(sentence)))


def _as_command(sentence: str) -> str:
    """Name the command where the library names its function."""
    if "clvmodels.compare(" not in sentence:
        return sentence
    said = sentence.partition(": clvmodels.compare(")[0]
    return f"{said}: 'clvmodels compare-models LOG --customer-id ... --timestamp ...'."


def _show_timings(terminal: Terminal, found: Comparison) -> None:
    rows = [
        (
            str(name),
            number(row["elpd"], 1),
            "best" if name == found.best else number(row["elpd_diff"], 1),
            "" if name == found.best else number(row["dse"], 1),
            f"{row['weight']:.2f}",
            number(row["doubtful"]),
            str(row["verdict"]),
        )
        for name, row in found.table.iterrows()
    ]
    headings = ("model", "elpd", "behind by", "+-", "weight", "doubtful", "fit")
    terminal.show(table(headings, rows))
    terminal.say()
    terminal.say(
        "elpd: log density of the customers' histories, each left out in turn; behind by how "
        "much, with its standard error; weight in the mixture that describes the base best; "
        "customers whose own estimate is doubtful."
    )


def _show_forecasts(terminal: Terminal, found: HeldOut) -> None:
    from clvmodels.evaluation.comparison_record import heldout_shown

    terminal.heading(found.title)
    wide = heldout_shown(found).drop(columns=_NOT_PRINTED)
    rows = [(str(name), *row) for name, row in zip(wide.index, wide.to_numpy(), strict=True)]
    terminal.show(
        table(["model", *(str(name).replace(" ", "\n") for name in wide)], rows), indent=0
    )
    terminal.say()
    level = percent(found.interval)
    terminal.say(
        "Total off by: mean error of the total; totals inside: share of dates whose total lies "
        f"in its {level} interval. Relative error: sum of |forecast - actual| over that of actual "
        "purchases. Gini: of the ranking, 1 is perfect. Log score (greater is better) and interval "
        f"score (smaller is better): of the counts of single customers; {level} "
        "intervals hold at least so many by design."
    )


def _show_totals(terminal: Terminal, found: HeldOut) -> None:
    terminal.heading("Purchases in total, forecast at each date")
    models = list(found.table.index)
    rows = [_total_row(part, models) for _, part in found.origins.groupby("origin", sort=True)]
    terminal.show(table(["from", "to", "actual", *map(str, models)], rows))


def _total_row(part: pd.DataFrame, models: Sequence[Any]) -> tuple[str, ...]:
    first, by_model = part.iloc[0], part.set_index("model")
    ends = (str(first["train_end"]), str(first["test_end"]))
    forecasts = (number(float(by_model["forecast"][name])) for name in models)
    return (*ends, number(first["purchases"]), *forecasts)
