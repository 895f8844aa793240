"""``clvmodels concentration``: how much of the value few customers hold."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clvmodels.cli.files import check_results, finish, opened, write_results
from clvmodels.cli.score import read_horizon
from clvmodels.cli.terminal import Terminal, between, number, percent, share_text, table
from clvmodels.display import many

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.schema import FloatArray


def run(
    fitted: Mapping[str, Path],
    *,
    results: Mapping[str, Path | None],
    share: Sequence[float],
    horizon: str,
    csv: Mapping[str, str | None],
    basket_value: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Report, print, write and draw; options are those of `clvmodels.top_shares`."""
    check_results(results, fitted.values())
    options["horizon"] = read_horizon(horizon)
    terminal = Terminal(quiet=quiet)
    with terminal.step("Reading"):
        from clvmodels.economics import top_shares
        from clvmodels.economics.outlook import past_revenue, scores_of
        from clvmodels.posterior.scorable import value_posterior
        from clvmodels.predictive.cohort_curves import plain_rows

        given = opened(fitted, basket_value, csv)
        whose = value_posterior(given.posterior)
    with terminal.step(f"Valuing {many(len(given.base), 'customer')}", loops=True):
        found = top_shares(whose, given.base, shares=share, **options)
        found = found.dropna(axis="columns", how="all")
        with warnings.catch_warnings():  # as `top_shares` said already
            warnings.simplefilter("ignore", UserWarning)
            ahead = scores_of(whose, given.base, **options)["clv"].dropna().to_numpy()
        past = past_revenue(given.base)
        curves = _curves(ahead, past)
    from clvmodels.economics import gini

    ginis = {name: gini(values) for name, values in curves.items()}
    record = {"interval": options["interval"], "gini": ginis, "rows": plain_rows(found)}
    write_results(results, found, record, lambda aside: _draw(curves, aside))
    finish(terminal, given, lambda: show(terminal, found, ginis, options["interval"]), results)


def _curves(ahead: FloatArray, past: FloatArray | None) -> dict[str, FloatArray]:
    found = {"expected value": ahead, "past revenue": past}
    return {name: one for name, one in found.items() if one is not None and one.sum() > 0}


def show(
    terminal: Terminal, found: pd.DataFrame, ginis: Mapping[str, float], interval: float
) -> None:
    """Print what the first customers hold of what lies ahead, and of the past."""
    terminal.heading("What the most valuable customers hold")
    past = "past_share" in found
    rows = [
        (
            f"top {percent(row['top'])}",
            number(row["customers"]),
            share_text(row["value_share"]),
            between(100 * row.get("value_share_lower", float("nan")),
                    100 * row.get("value_share_upper", float("nan")), 1),
            *((share_text(row["past_share"]), share_text(row["past_top_share"])) if past else ()),
        )
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = ["\n", "\ncustomers", "of value\nahead", f"{percent(interval)}\ninterval, %"]
    heads += ["of past\nrevenue", "the top of\nthe past"] if past else []
    terminal.show(table(heads, rows))
    terminal.say()
    said = ", ".join(f"{value:.2f} of {name}" for name, value in ginis.items())
    terminal.say(
        f"Gini coefficient: {said}; 0 where all are equal, towards 1 where one has everything. "
        "Expected values are more equal than what customers will really spend."
    )
    terminal.say()


def _draw(curves: Mapping[str, FloatArray], path: Path) -> None:
    from clvmodels import plots

    figure, (axes,) = plots.new_figure(1, 1, "How concentrated the value is")
    plots.plot_lorenz(dict(curves), ax=axes)
    plots.save_figure(figure, path)
