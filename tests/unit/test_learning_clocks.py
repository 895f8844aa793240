"""Clocks are learnt from logs: the density's gradient, known calendars given back, refusals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.errors import ConvergenceError, DomainError, SchemaError
from clvmodels.fit import clock_density, clock_learning
from clvmodels.fit.clock_density import ClockDensity, DailyLog
from clvmodels.fit.clock_learning import learn_clock
from clvmodels.fit.mode import Mode
from clvmodels.fit.purchases import purchase_specification
from clvmodels.purchases.clock import Clock, LearntClock, clock_of, width_of_shocks
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from tests.clocks import BEGIN, NAMES, WEEK, days_from, intensity, log_by

YEAR_AND_A_HALF = 550


def table(log: pd.DataFrame, days: int, **options: Any) -> clv.RfmTable:
    end = BEGIN + pd.Timedelta(days=days)
    return clv.rfm_summary(log, **NAMES, day_pairs=True, observation_period_end=end, **options)


@pytest.fixture(scope="module")
def columns() -> RfmColumns:
    return rfm_columns(table(log_by(intensity(YEAR_AND_A_HALF), 4000), YEAR_AND_A_HALF))


@pytest.mark.parametrize("key", ["bgnbd", "mbgnbd", "bgcnbd2", "mbgcnbd3"])
def test_the_gradient_is_that_of_the_density(key: str, columns: RfmColumns) -> None:
    log = DailyLog.of(columns, 0)
    joint = ClockDensity.of(purchase_specification(key), log, Clock(), season=True)
    rng = np.random.default_rng(3)
    theta = joint.start + 0.3 * rng.normal(size=joint.dim)
    value, gradient = joint(theta)
    assert np.isfinite(value)
    for _ in range(5):
        way = rng.normal(size=joint.dim) * 1e-4
        rise = (joint(theta + way)[0] - joint(theta - way)[0]) / 2.0
        assert gradient @ way == pytest.approx(rise, rel=1e-5, abs=1e-6)


def test_without_any_part_the_density_is_that_of_the_fit(columns: RfmColumns) -> None:
    """Where all days are alike, value and mode are those of the model without a clock."""
    model = purchase_specification("bgcnbd2")
    joint = ClockDensity.of(model, DailyLog.of(columns, 0), Clock(), season=True)
    statistics, scale = model._prepare(columns)
    from clvmodels.fit.density import compile_density

    density = compile_density(model._build(statistics, scale))
    gaps = float(np.sum(columns.log_gaps))
    for start in (density.start, density.start + 0.3):
        theta = np.concatenate([start, np.zeros(joint.dim - density.dim)])
        value, gradient = joint(theta)
        want, slope = density(start)
        assert value == pytest.approx(want + gaps, rel=1e-11)
        np.testing.assert_allclose(gradient[: density.dim], slope, rtol=1e-8, atol=1e-6)


def pattern_error(found: LearntClock, g: np.ndarray, days: int) -> float:
    """Root of the mean square of what log g is off by, over the log."""
    at = days_from(BEGIN, days)[1:]
    return float(np.sqrt(np.mean((found.log_intensity(at) - np.log(g[1:])) ** 2)))


@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
def test_a_known_calendar_is_given_back(key: str) -> None:
    g = intensity(YEAR_AND_A_HALF)
    theta = {"r": 0.8, "alpha": 30.0 if key == "bgnbd" else 15.0, "a": 0.5, "b": 3.0}
    base = rfm_columns(table(log_by(g, 8000, key=key, **theta), YEAR_AND_A_HALF))
    found = learn_clock(purchase_specification(key), base, Clock(season=True), 0)
    spread = float(np.log(g[1:]).std())
    assert spread > 0.4
    assert pattern_error(found, g, YEAR_AND_A_HALF) < 0.2 * spread
    np.testing.assert_allclose(found.week - found.week.mean(), WEEK - WEEK.mean(), atol=0.12)
    assert found.sd_of_shocks < 0.1
    assert not found.notes


def test_auto_has_a_season_where_there_is_one_and_none_in_a_year() -> None:
    g = intensity(YEAR_AND_A_HALF)
    base = rfm_columns(table(log_by(g, 8000, r=0.8, alpha=30.0, a=0.5, b=3.0), YEAR_AND_A_HALF))
    model = clv.BetaGeoModel()
    assert len(learn_clock(model, base, Clock(), 0).season) == 16
    short = rfm_columns(table(log_by(intensity(365), 3000), 365))
    found = learn_clock(model, short, Clock(), 0)
    assert len(found.season) == 0
    assert len(found.shocks) == 365 // 7
    with pytest.raises(DomainError, match="365 days, and a season takes 457"):
        learn_clock(model, short, Clock(season=True), 0)


def test_auto_has_none_where_there_is_none() -> None:
    base = rfm_columns(
        table(log_by(intensity(YEAR_AND_A_HALF, season=False), 4000), YEAR_AND_A_HALF)
    )
    found = learn_clock(clv.BetaGeoModel(), base, Clock(), 0)
    assert len(found.season) == 0
    assert found.sd_of_shocks < 0.06


def test_parts_may_be_left_out(columns: RfmColumns) -> None:
    model = clv.BetaGeoModel()
    week = learn_clock(model, columns, Clock(season=False, shocks=False), 0)
    assert len(week.week) == 7
    assert (len(week.season), len(week.shocks), week.sd_of_shocks) == (0, 0, 0.0)
    assert week.worth == 0.0
    assert week.pace == pytest.approx(1.0, abs=0.02)
    shocks = learn_clock(model, columns, Clock(season=False, day_of_week=False), 0)
    assert len(shocks.week) == 0
    assert shocks.sd_of_shocks > 0.05  # the season is in them


def test_shocks_hold_no_trend(columns: RfmColumns) -> None:
    found = learn_clock(clv.BetaGeoModel(), columns, Clock(season=False), 0)
    time = np.linspace(-1.0, 1.0, len(found.shocks))
    trends = np.stack([np.ones_like(time), time, time**2])
    np.testing.assert_allclose(trends @ found.shocks, 0.0, atol=1e-9)


def test_a_sample_teaches_what_the_base_does(
    columns: RfmColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = clv.BetaGeoModel()
    whole = learn_clock(model, columns, Clock(season=False), 0)
    monkeypatch.setattr(clock_density, "_MOST_CUSTOMERS", 2000)
    some = learn_clock(model, columns, Clock(season=False), 0)
    again = learn_clock(model, columns, Clock(season=False), 0)
    assert some.to_dict() == again.to_dict()
    # half of the customers, but purchases of all: the week hardly differs
    sd = np.sqrt(np.diag(some.doubt @ some.doubt.T))
    assert (np.abs(some.week - whole.week) < 3.0 * sd).all()
    assert not np.array_equal(some.week, whole.week)


def test_units_and_order_of_rows_do_not_matter() -> None:
    log = log_by(intensity(YEAR_AND_A_HALF), 1500)
    model = clv.BetaGeoModel()
    one = learn_clock(model, rfm_columns(table(log, YEAR_AND_A_HALF)), Clock(), 0)
    mixed = log.sample(frac=1.0, random_state=2)
    other = learn_clock(model, rfm_columns(table(mixed, YEAR_AND_A_HALF)), Clock(), 0)
    assert one.to_dict() == other.to_dict()
    weeks = learn_clock(model, rfm_columns(table(log, YEAR_AND_A_HALF, time_scaler=7)), Clock(), 0)
    np.testing.assert_allclose(weeks.week, one.week, atol=1e-5)
    np.testing.assert_allclose(weeks.shocks, one.shocks, atol=1e-5)


def test_refusals_say_what_to_do(columns: RfmColumns) -> None:
    log = log_by(intensity(120), 300)
    bare = clv.rfm_summary(log, **NAMES)
    with pytest.raises(SchemaError, match=re.escape("day_pairs=True")):
        clv.BetaGeoModel(clock=True).fit(bare)
    with pytest.raises(SchemaError, match="Pareto/NBD learns no clock"):
        learn_clock(clv.ParetoNBDModel(clock=True), columns, Clock(), 0)
    with pytest.raises(DomainError, match="A clock takes 30 repeat purchases at least"):
        clv.BetaGeoModel(clock=True).fit(table(log.head(20), 120))
    with pytest.raises(SchemaError, match="must be a Clock"):
        clv.BetaGeoModel(clock="week")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="leave the clock out"):
        Clock(day_of_week=False, season=False, shocks=False)
    with pytest.raises(SchemaError, match="season"):
        Clock(season="yes")  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="shocks"):
        Clock(shocks=1)  # type: ignore[arg-type]
    assert (clock_of(False), clock_of(None), clock_of(True)) == (None, None, Clock())


def test_shocks_are_longer_in_longer_logs() -> None:
    assert [width_of_shocks(days) for days in (300, 456, 457, 912, 914, 3000)] == [
        *(7, 7, 14, 14, 28, 28)
    ]


def test_regularity_is_chosen_with_the_clock() -> None:
    g = intensity(YEAR_AND_A_HALF)
    log = log_by(g, 3000, key="bgcnbd2", r=0.8, alpha=15.0, a=0.5, b=3.0)
    fitted = clv.BetaGeoModel(regularity="auto", clock=Clock(season=False)).fit(
        table(log, YEAR_AND_A_HALF), method="map"
    )
    assert fitted.model == "bgcnbd2"
    assert fitted.metadata.clock is not None
    assert "Regularity k = 2 was chosen" in fitted.metadata.why


def test_a_clock_that_does_not_converge_is_not_used(
    columns: RfmColumns, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(joint: Any, theta: Any, matrix: Any = None) -> Mode:
        return Mode(joint.start, 0.0, np.eye(joint.dim), 0.3, curved=False)

    monkeypatch.setattr(clock_learning, "_polished", nowhere)
    monkeypatch.setattr(clock_learning, "find_mode", lambda joint: nowhere(joint, None))
    with pytest.raises(ConvergenceError, match=r"0\.3 posterior standard deviations away"):
        learn_clock(clv.BetaGeoModel(), columns, Clock(season=False), 0)
