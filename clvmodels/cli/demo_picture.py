"""The demo's picture: prediction and truth at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from clvmodels import plots

if TYPE_CHECKING:
    from clvmodels.cli.demo import Outcome
    from clvmodels.schema import FloatArray

MOST_REPEATS: Final = 7
BINS: Final = 10


def draw(outcome: Outcome, path: Path) -> None:
    """Draw totals, purchases by past purchases, chances, and concentration."""
    title = "CDNOW: 39 weeks predicted on 1997-09-30, and what really happened"
    figure, axes = plots.new_figure(2, 2, title)
    total = outcome.total
    plots.plot_totals(
        {
            "model": total.mean,
            "simple formula": outcome.simple.total,
            "really spent": float(outcome.spent.sum()),
        },
        colours=(plots.EXPECTED, plots.OTHER, plots.ACTUAL),
        interval=(total.lower, total.upper),
        unit="$",
        axes=axes[0],
    )
    axes[0].set_title("Value of all customers, with 90 % interval\nof the model's expected value")
    unit = "purchases per customer in 39 weeks"
    plots.plot_pairs(*by_repeats(outcome), unit=unit, axes=axes[1])
    axes[1].set_xlabel("repeat purchases so far")
    axes[1].set_title("Purchases to come, by purchases so far")
    plots.plot_calibration(*by_chance(outcome), axes=axes[2])
    axes[2].set_xlabel("predicted chance of buying again in 39 weeks")
    axes[2].set_ylabel("share who did")
    axes[2].set_title("Who buys again: ten groups of customers")
    plots.plot_concentration(outcome.scores, axes=axes[3])
    axes[3].set_xlabel("share of customers, most valuable first")
    axes[3].set_ylabel("share of expected value")
    axes[3].set_title("Who holds the value")
    plots.save_figure(figure, path)


def by_repeats(outcome: Outcome) -> tuple[list[str], FloatArray, FloatArray]:
    """Mean purchases expected and made, by repeat purchases so far; many are one group."""
    group = np.minimum(outcome.scores["frequency"].to_numpy(), MOST_REPEATS)
    count = np.bincount(group)
    expected = np.bincount(group, outcome.scores["expected_purchases"].to_numpy()) / count
    made = np.bincount(group, outcome.bought) / count
    names = [*map(str, range(MOST_REPEATS)), f"{MOST_REPEATS}+"]
    return names, expected, made


def by_chance(outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """Mean chance and share who bought, in groups of equal size ordered by chance."""
    chance = outcome.scores["p_purchase"].to_numpy()
    groups = np.array_split(np.argsort(chance, kind="stable"), BINS)
    did = outcome.bought > 0
    predicted = np.array([chance[rows].mean() for rows in groups])
    return predicted, np.array([did[rows].mean() for rows in groups])
