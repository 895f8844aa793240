"""A backtest holds a clock against the same model without it, and without its season."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.terminal import Terminal
from clvmodels.cli.totals_by_date import show_totals
from clvmodels.diagnostics.origins import origin_figures, origin_tables
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.over_dates import clock_check, with_clock
from clvmodels.purchases.clock import Clock, clock_of
from tests.clocks import NAMES, THETA, clock, intensity, log_by

QUICK: dict[str, Any] = {"bootstrap": 20, "draws": 40, "origins": 3, "horizon": "60D"}


def given(self: Fitting, rfm: Any, **changes: Any) -> Any:
    """What generated the log, with as much of its clock as the model has."""
    rng = np.random.default_rng(3)
    draws = {name: value * np.exp(0.05 * rng.normal(size=40)) for name, value in THETA.items()}
    found = clv.BetaGeoPosterior.from_draws(**draws, time_unit="D")
    asked = clock_of(self.specification().purchases.clock)  # type: ignore[union-attr]
    if asked is None:
        return found
    season = {} if asked.season else {"season": np.zeros(0), "doubt": 0.05 * np.eye(7)}
    return replace(found, metadata=replace(found.metadata, clock=clock(**season)))


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return log_by(intensity(550), 600)


def held_out(log: pd.DataFrame, model: Any = None, **options: Any) -> clv.Backtest:
    model = clv.CLVModel(clv.BetaGeoModel(clock=True)) if model is None else model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "fit", given)
        patch.setattr(Fitting, "purchases", given)
        return clv.backtest(log, **NAMES, model=model, **{**QUICK, **options})


@pytest.fixture(scope="module")
def found(log: pd.DataFrame) -> clv.Backtest:
    return held_out(log)


@pytest.mark.slow
def test_every_date_has_totals_with_the_clock_and_without(found: clv.Backtest) -> None:
    rows = found.calendar_totals
    kinds = {*zip(rows["clock"], rows["calendar"], strict=True)}
    assert kinds == {
        ("with", "none"),
        ("with", "learnt"),
        ("without season", "none"),
        ("without season", "learnt"),
        ("without", "none"),
        ("without", "assumed"),
    }
    assert rows.groupby("train_end").size().tolist() == [6, 6, 6]
    assert rows.loc[rows["calendar"] == "assumed", "calendar_sd"].unique().tolist() == [0.15]
    over = found.totals_over_dates
    assert over["dates"].tolist() == [3] * 6  # learnt sds differ by date, and are one row
    moved = found.moved_by_clock
    by = rows[rows["calendar"] == "none"].set_index(["train_end", "clock"])["forecast"]
    assert moved["train_end"].is_monotonic_increasing
    for one in moved.to_dict("records"):
        plain, timed = (by[one["train_end"], name] for name in ("without", "with"))
        assert (one["forecast_without"], one["forecast_with"]) == (plain, timed)
        assert one["moved"] == pytest.approx(timed / plain - 1)
    assert moved["moved"].abs().max() > 0.02


@pytest.mark.slow
def test_without_a_clock_there_is_one_kind_and_nothing_moved(log: pd.DataFrame) -> None:
    plain = held_out(log, clv.CLVModel())
    assert set(plain.calendar_totals["clock"]) == {"without"}
    assert plain.moved_by_clock is None
    assert clock_check(plain.calendar_totals) is None
    assert not [check for check in plain.checks if "clock" in check.name]
    none = held_out(log, calendar="none")
    assert (none.calendar_totals, none.moved_by_clock, none.totals_over_dates) == (None,) * 3
    learnt = held_out(log, calendar="learnt", origins=1)
    assert set(learnt.calendar_totals["calendar"]) == {"none", "learnt", "assumed"}
    sd = held_out(log, calendar=0.2, origins=1).calendar_totals
    assert set(sd["calendar"]) == {"none", "given"}
    unseasonal = clv.CLVModel(clv.BetaGeoModel(clock=Clock(season=False)))
    assert set(held_out(log, unseasonal, origins=1).calendar_totals["clock"]) == {"with", "without"}


def test_held_out_dates_may_object_to_the_clock_or_to_its_season(found: clv.Backtest) -> None:
    rows = found.calendar_totals.copy()
    check = clock_check(rows)
    assert check in found.checks
    allowed = rows[rows["calendar"] != "none"]
    mean = allowed.groupby("clock")["interval_score"].mean()
    ratio = mean["with"] / mean.drop("with").min()
    assert check.value == pytest.approx(ratio)
    assert check.status == ("pass" if ratio <= 1 else "warn")
    for kind, words in (("without", "without the clock:"), ("without season", "season=False")):
        worse = rows.copy()
        better = (worse["clock"] == kind) & (worse["calendar"] != "none")
        worse.loc[better, "interval_score"] = 0.01
        said = clock_check(worse)
        assert said.status == "warn"
        assert words in said.advice
    two = rows["train_end"].isin(sorted(rows["train_end"].unique())[:2])
    assert clock_check(rows[two]) is None


def test_report_plot_and_terminal_show_both(
    found: clv.Backtest, capsys: pytest.CaptureFixture[str]
) -> None:
    over, moved = origin_tables(found)
    assert "clock" in over.columns
    assert [row[-1] for row in moved.rows] == found.moved_by_clock["actual"].tolist()
    (figure,) = origin_figures(found)
    assert ", without the clock " in figure.title
    assert len(figure.data["series"]) == 2
    axes = clv.plots.plot_origin_totals(found)
    assert "without the clock" in [one.get_text() for one in axes.get_legend().get_texts()]
    show_totals(Terminal(quiet=False), found)
    said = capsys.readouterr().out
    assert "which the clock has learnt" in " ".join(said.split())
    assert "by the clock" in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_it_is_kept_and_older_files_are_read(found: clv.Backtest, tmp_path: Path) -> None:
    again = clv.load_backtest(found.save(tmp_path / "kept"))
    pd.testing.assert_frame_equal(again.totals_over_dates, found.totals_over_dates)
    pd.testing.assert_frame_equal(again.moved_by_clock, found.moved_by_clock)
    old = found.calendar_totals.query("clock == 'without'").drop(columns=["clock", "calendar"])
    read = with_clock(old)
    assert read.columns.tolist() == found.calendar_totals.columns.tolist()
    assert set(read["calendar"]) == {"none", "given"}


@pytest.mark.slow
def test_both_are_fitted_to_the_same_customers(log: pd.DataFrame) -> None:
    model = clv.CLVModel(clv.BetaGeoModel(clock=Clock(season=False)))
    how: dict[str, Any] = {"method": "map", "train_period_end": "2023-05-01", "origins": None}
    found = clv.backtest(log, **NAMES, model=model, **{**QUICK, **how})
    moved = found.moved_by_clock.iloc[0]
    train = clv.rfm_summary(log, **NAMES, observation_period_end="2023-05-01")
    plain = clv.BetaGeoModel().fit(train, method="map")
    expected = plain.predict(train, horizon="60D")["expected_purchases"].sum()
    assert moved["forecast_without"] == pytest.approx(expected)
    assert moved["forecast_with"] == pytest.approx(found.customers["purchases_model"].sum())
