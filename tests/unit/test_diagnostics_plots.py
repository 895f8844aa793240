"""Every kind of figure is drawn from the record alone, and shows its numbers."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Picture

from clvmodels import GammaGammaPosterior, RfmTable, plots
from clvmodels.diagnostics import Figure, diagnose
from clvmodels.diagnostics.origins import origin_figures
from clvmodels.plots import convergence, draw_figure, expectations, fit, new_figure
from clvmodels.plots.diagnostics import PLOTS
from clvmodels.plots.inks import ACTUAL, CHAINS, DARK, EXPECTED, GROUND, OTHER, dark_style
from clvmodels.posterior import CLVPosterior
from clvmodels.reporting.images import make_picture, make_pictures
from tests import inks
from tests.unit.diagnostics_cases import SPEND, base, fitted, normal_in_logs

# What only a backtest gives
BACKTEST = {
    "conditional_expectations",
    "gains",
    "group_calibration",
    "interval_coverage",
    "origin_totals",
}

MADE = {
    "conditional_expectations": {
        "groups": ["0", "1"],
        "customers": [5, 3],
        "actual": [0.5, 1.5],
        "expected": [0.4, 1.7],
    },
    "gains": {
        "share": [0.0, 0.5, 1.0],
        "curves": {"model": [0.0, 0.8, 1.0], "the best": [0.0, 0.9, 1.0]},
        "quantity": "purchases",
    },
    "group_calibration": {
        "expected": [0.1, 2.0],
        "actual": [0.2, 1.8],
        "lower": [0.1, None],
        "upper": [0.3, None],
        "quantity": "purchases",
        "unit": "",
    },
    "interval_coverage": {
        "series": [
            {
                "name": "purchases",
                "level": [0.5, 0.9],
                "coverage": [0.8, 0.95],
                "lower": [0.78, 0.94],
                "upper": [0.82, 0.96],
            }
        ]
    },
    "alive_history": {
        "dates": ["2020-01-07", "2020-01-14"],
        "p_alive": [1.0, 0.8],
        "lower": [1.0, 0.7],
        "upper": [1.0, 0.9],
        "purchases": ["2020-01-01", "2020-01-07"],
        "name": "37",
    },
    "customer_value": {
        "edges": [0.0, 10.0, 20.0],
        "chances": [0.3, 0.1],
        "nothing": 0.6,
        "mean": 5.0,
        "lower": 0.0,
        "upper": 18.0,
        "interval": 0.9,
        "unit": "$",
    },
    "heterogeneity": {
        "parameters": [
            {"name": "rate", "bins": ["< 1", "> 1"], "share": [0.7, 0.3]},
            {"name": "leaving", "bins": ["0-50 %", "50-100 %"], "share": [0.6, 0.4]}
            | {"lower": [0.5, 0.3], "upper": [0.7, 0.5]},
        ]
    },
    "next_purchase": {
        "times": ["2020-01-01", "2020-02-01", "2020-03-01"],
        "chances": [0.0, 0.3, 0.4],
        "never": 0.5,
        "next": ["2020-01-20", "2020-01-05", None],
        "interval": 0.8,
    },
    "payback": {
        "months": [0, 1, 2],
        "value": [10.0, 15.0, 18.0],
        "lower": [9.0, 13.0, 15.0],
        "upper": [11.0, 17.0, 21.0],
        "is_profit": True,
        "cac": 8.0,
        "paid_back": 0.0,
        "unit": "$",
    },
    "timelines": {
        "names": ["a name of many letters", "b"],
        "seen": [["2020-01-01", "2020-01-14"], ["2020-01-05"]],
        "later": [["2020-02-02"], []],
        "end": "2020-01-31",
        "p_alive": [0.9, 1.0],
    },
    "times_between": {
        "edges": [0.5, 1.5, 2.5],
        "actual": [3, 1],
        "expected": [2.5, 1.5],
        "median": 1.0,
        "beyond": 0.1,
        "unit": "days",
    },
    "clock": {
        "dates": ["2020-01-07", "2020-01-14", "2020-01-21"],
        "intensity": [0.9, 1.1, 1.2],
        "season": [1.0, 1.05, 1.1],
        "end": "2020-01-15",
        "week": [1.0] * 6 + [0.5],
    },
    "effects": {
        "levels": ["ads", "shop", "web"],
        "covariates": ["channel"] * 3,
        "series": [
            {
                "name": "how often they buy",
                "places": [0, 1, 2],
                "times": [0.7, 1.0, 1.4],
                "lower": [0.6, 0.9, 1.2],
                "upper": [0.8, 1.1, 1.6],
            }
        ],
    },
    "origin_totals": {
        "dates": ["2020-01-31", "2020-06-30"],
        "series": [
            {
                "calendar": allowed,
                "forecast": [0.9, 1.2],
                "lower": [0.9 - width, 1.2 - width],
                "upper": [0.9 + width, None],
            }
            for allowed, width in ((False, 0.05), (True, 0.25))
        ],
        "quantity": "purchases",
    },
    "purchases_over_time": {
        "dates": ["2020-01-07", "2020-01-14", "2020-01-21"],
        "actual": [1.0, 4.0, 3.0],
        "expected": [2.0, 3.0, 3.0],
        "lower": [0.0, 1.0, 1.0],
        "upper": [4.0, 6.0, 6.0],
        "split": "2020-01-14",
        "cumulative": False,
    },
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    """One figure of each kind, from a report and by hand, as JSON would hand them on."""
    posterior = CLVPosterior(normal_in_logs(0.05, prior_sigma=1.0), fitted(GammaGammaPosterior))
    rows = RfmTable.from_pandas(base(), observation_end="2020-01-31")
    found = {figure.kind: figure for figure in diagnose(posterior, rows, currency="$").figures}
    made = {k: Figure(k, k, "Title", "Caption.", "Alt.", data) for k, data in MADE.items()}
    passed_on = {}
    for kind, figure in (found | made).items():
        data = json.loads(json.dumps(figure.to_dict(), allow_nan=False))["data"]
        passed_on[kind] = Figure(figure.key, kind, figure.title, figure.caption, figure.alt, data)
    return passed_on


def all_axes(picture: Picture) -> Iterator[Axes]:
    yield from picture.axes


def test_every_kind_is_there_and_public(figures: dict[str, Figure]) -> None:
    assert set(figures) == set(PLOTS)
    assert set(figures) >= BACKTEST
    for kind in PLOTS:
        assert f"plot_{kind}" in plots.__all__
        assert callable(getattr(plots, f"plot_{kind}"))


@pytest.mark.parametrize("kind", sorted(PLOTS))
def test_axes_say_what_they_show(figures: dict[str, Figure], kind: str) -> None:
    picture = draw_figure(figures[kind])
    picture.canvas.draw()
    main = [axes for axes in all_axes(picture) if axes.get_label() != "<colorbar>"]
    assert main
    for axes in main:
        assert axes.get_xlabel() or kind in ("tiers", "cohorts")  # names; a twin's
        assert axes.get_ylabel() or kind in ("prior_sensitivity", "comparison")  # names; money
        assert axes.has_data()
    labels = " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in main)
    if kind in ("spend_density", "spend_by_frequency", "value_distribution"):
        assert "($)" in labels
    if kind == "history_matrix":
        assert "(days)" in labels
    assert not plt.get_fignums()  # nothing was left in pyplot's hands


@pytest.mark.parametrize("kind", ["repeat_histogram", "alive_histogram", "history_matrix"])
def test_given_axes_are_used(figures: dict[str, Figure], kind: str) -> None:
    picture, axes = new_figure(1, 1, "")
    assert draw_figure(figures[kind], axes[0]) is picture
    assert axes[0].has_data()


def test_panels_take_as_many_axes(figures: dict[str, Figure]) -> None:
    picture, axes = new_figure(2, 2, "")
    assert draw_figure(figures["trace"], axes) is picture
    with pytest.raises(ValueError, match="panels"):
        draw_figure(figures["trace"], axes[0])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        draw_figure(Figure("key", "nothing", "", "", "", {}))


def test_bars_are_the_numbers(figures: dict[str, Figure]) -> None:
    (axes,) = draw_figure(figures["repeat_histogram"]).axes
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == figures["repeat_histogram"].data["actual"]


def test_points_are_the_numbers() -> None:
    data = {"bins": ["0", "1"], "actual": [5.0, 2.0], "expected": [4.0, 3.0]}
    axes = fit.draw_repeat_histogram(**data, lower=[3.0, 1.0], upper=[6.0, 4.0])
    (points,) = axes.lines
    np.testing.assert_allclose(points.get_ydata(), data["expected"])
    (ends,) = axes.collections
    assert [segment[:, 1].tolist() for segment in ends.get_segments()] == [[3.0, 6.0], [1.0, 4.0]]


def test_forecasts_of_one_cut_are_named_by_their_ends(figures: dict[str, Figure]) -> None:
    """A backtest that cuts once, and forecasts several spans from there."""
    rows = [
        ("2020-03-31", "2020-06-30", 10.0, 9.0),
        ("2020-03-31", "2020-05-15", 5.0, 6.0),
        ("2020-05-16", "2020-06-30", 4.0, 4.0),
    ]
    totals = pd.DataFrame(rows, columns=["train_end", "test_end", "forecast", "actual"]).assign(
        target="purchases", clock="without", calendar="assumed", level=0.9, inside=True
    )
    totals = totals.assign(lower=totals["forecast"] - 2, upper=totals["forecast"] + 2)
    (figure,) = origin_figures(SimpleNamespace(calendar_totals=totals))
    (axes,) = draw_figure(figure).axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == [
        "2020-03-31\nto 2020-06-30",
        "2020-03-31\nto 2020-05-15",
        "2020-05-16",
    ]


def test_chains_are_lines_of_their_own(figures: dict[str, Figure]) -> None:
    figure = figures["ranks"]
    picture = draw_figure(figure)
    assert len(picture.axes) == len(figure.data["parameters"]) == len(SPEND)
    for axes, panel in zip(picture.axes, figure.data["parameters"], strict=True):
        steps = [patch.get_data().values.tolist() for patch in axes.patches]
        assert steps == panel["chains"]


def test_divergent_draws_are_marked() -> None:
    pair = {
        "x_name": "a", "y_name": "b", "x_unit": "", "y_unit": "days",
        "x": [0.5, 0.6, 0.7], "y": [1.0, 2.0, 3.0], "diverging": [False, True, False],
    }  # fmt: skip
    (axes,) = convergence.draw_ridges([pair])
    usual, divergent = axes.collections
    assert usual.get_offsets().tolist() == [[0.5, 1.0], [0.7, 3.0]]
    assert divergent.get_offsets().tolist() == [[0.6, 2.0]]
    assert axes.get_ylabel() == "b (days)"


def test_impossible_histories_are_empty() -> None:
    axes = expectations.draw_history_matrix(
        [0, 1], [0.0, 5.0], [[1.0, 0.2], [None, 0.9]], label="P(alive)", share=True
    )
    drawn = axes.collections[0].get_array()
    assert np.ma.getmaskarray(drawn).tolist() == [[False, False], [True, False]]
    assert axes.collections[0].get_clim() == (0.0, 1.0)


def test_stacked_customers_add_up() -> None:
    axes = expectations.draw_value_distribution([1.0, 10.0, 100.0], [3, 1], [5, 0], currency="$")
    tops = [patch.get_data() for patch in axes.patches]
    assert tops[0].values.tolist() == [8, 1]
    assert np.broadcast_to(tops[0].baseline, 2).tolist() == [5, 0]
    assert tops[1].values.tolist() == [5, 0]


def test_colours_can_be_told_apart_without_hue() -> None:
    """Chains differ in lightness or along blue to yellow, not along red to green alone."""
    colours = [np.array(to_rgb(colour)) for colour in CHAINS]
    seen = [deuteranope(colour) for colour in colours]
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(gaps) > 0.15


@pytest.mark.parametrize("dark", [False, True])
def test_inks_are_seen_on_their_ground_and_differ_as_greys(dark: bool) -> None:
    ground = GROUND if dark else "#ffffff"
    on = DARK if dark else {one: one for one in DARK}
    for ink in (EXPECTED, ACTUAL, OTHER, *CHAINS):
        assert inks.contrast(on[ink], ground) >= inks.SEEN
    for ink in ("#000000", EXPECTED):  # which labels have
        assert inks.contrast(on[ink], ground) >= inks.READ
    three = [on[ink] for ink in (EXPECTED, ACTUAL, OTHER)]
    for one, other in itertools.combinations(three, 2):
        assert inks.contrast(one, other) >= inks.IN_GREY
    chains = [on[ink] for ink in CHAINS]
    for one, other in itertools.combinations(chains, 2):
        assert inks.contrast(one, other) >= 1.15


def test_panels_are_images_of_their_own_that_a_narrow_page_stacks(
    figures: dict[str, Figure],
) -> None:
    for kind, count in (("ranks", len(SPEND)), ("heterogeneity", 2), ("prior_sensitivity", 1)):
        pictures = make_pictures(figures[kind], draw_figure)
        assert len(pictures) == count
        assert len({one.uri for one in pictures}) == count
    one = figures["ranks"]
    first = {**one.data, "parameters": one.data["parameters"][:1]}
    (axes,) = draw_figure(replace(one, data=first)).axes
    assert axes.has_data()


def test_an_odd_panel_is_as_wide_as_two(figures: dict[str, Figure]) -> None:
    picture = draw_figure(figures["ranks"])
    picture.canvas.draw()
    widths = [axes.get_position().width for axes in picture.axes]
    assert len(widths) == 3
    assert widths[2] > 1.8 * widths[0]


def test_every_colour_of_a_report_has_one_on_dark_ground(figures: dict[str, Figure]) -> None:
    """Else it would stay as it is on light ground, where it may not be seen."""
    for figure in figures.values():
        svg = base64.b64decode(make_picture(figure, draw_figure).uri.partition(",")[2]).decode()
        used = set(re.findall(r'(?:fill|stroke)="(#\w{6})"', svg))
        assert used <= DARK.keys(), figure.kind
        assert svg.count("<style>") == 1
        assert dark_style().replace(">", "&gt;") in svg


def deuteranope(rgb: np.ndarray) -> np.ndarray:
    """What is left of a colour without green cones (Machado, Oliveira & Fernandes 2009)."""
    matrix = np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    )
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(matrix @ linear, 0.0, 1.0) ** (1.0 / 2.2)
