"""Pictures of tiers, concentration and the comparison draw the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvmodels import gini, lorenz_curve
from clvmodels.plots import new_figure, plot_comparison, plot_lorenz, plot_tiers

TIERS = pd.DataFrame(
    {
        "tier": ["top", "rest", "(whole)"],
        "customer_share": [0.2, 0.8, 1.0],
        "past_share": [0.5, 0.5, 1.0],
        "value_share": [0.7, 0.3, 1.0],
        "value_share_lower": [0.6, 0.25, 1.0],
        "value_share_upper": [0.75, 0.4, 1.0],
    }
)
COMPARED = pd.DataFrame(
    {
        "decile": ["1", "2", "(whole)"],
        "simple": [5.0, 5.0, 10.0],
        "simple_per_customer": [8.0, 3.0, 11.0],
        "model": [9.0, 2.0, 11.0],
        "model_lower": [8.0, 1.5, 10.0],
        "model_upper": [10.0, 3.5, 12.0],
        "actual": [9.5, 1.0, 10.5],
    }
)


def heights(axes: object) -> list[list[float]]:
    return [[bar.get_height() for bar in bars] for bars in axes.containers if len(bars) == 2]


def whiskers(axes: object) -> list[list[float]]:
    (lines,) = axes.containers[-1].lines[2]
    return [path[:, 1].tolist() for path in lines.get_segments()]


def test_tiers_are_bars_of_shares() -> None:
    axes = plot_tiers(TIERS)
    assert heights(axes)[:3] == [[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]]
    np.testing.assert_allclose(whiskers(axes), [[0.6, 0.75], [0.25, 0.4]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["top", "rest"]


def test_comparison_has_bars_and_what_happened() -> None:
    axes = plot_comparison(COMPARED)
    assert heights(axes)[:3] == [[5, 5], [8, 3], [9, 2]]
    np.testing.assert_allclose(whiskers(axes), [[8, 10], [1.5, 3.5]])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "actual" in names
    without = plot_comparison(COMPARED.drop(columns="actual"))
    assert "actual" not in [text.get_text() for text in without.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("plot", "table", "names"),
    [
        (plot_tiers, TIERS, ["value_share_lower", "value_share_upper"]),
        (plot_comparison, COMPARED, ["model_lower", "model_upper"]),
    ],
)
def test_without_intervals_there_are_no_whiskers(
    plot: object, table: pd.DataFrame, names: list[str]
) -> None:
    axes = plot(table.assign(**dict.fromkeys(names, np.nan)))
    assert whiskers(axes) == []


def test_lorenz_draws_its_curves_where_it_is_told() -> None:
    _, (axes, other) = new_figure(1, 2, "both")
    curve = lorenz_curve([1.0, 2.0, 7.0])
    assert plot_lorenz({f"Gini {gini([1.0, 2.0, 7.0]):.1f}": curve}, ax=axes) is axes
    diagonal, drawn = axes.get_lines()
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_array_equal(drawn.get_xydata(), np.transpose(curve))
    assert drawn.get_label() == "Gini 0.4"
    assert other.get_lines() == []
