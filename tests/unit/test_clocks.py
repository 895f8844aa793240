"""A posterior with a clock: own time everywhere, from predictions to scores and forecasts."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast.calendar import Calendar, sd_of_level
from clvmodels.formulas.discounting import Due
from clvmodels.mlflow.saved_parts import parts
from clvmodels.purchases.clock import LearntClock, harmonics
from clvmodels.rfm.day_pairs import by_clock
from clvmodels.rfm.histories import rfm_columns
from tests.clocks import BEGIN, DAYS, NAMES, clock, days_from, intensity, log_by

END = BEGIN + pd.Timedelta(days=DAYS)
AMOUNTS = {**NAMES, "monetary_value_col": "amount"}
DELTA = math.log(1.1) / 365.25


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    log = log_by(intensity(DAYS), 400, r=0.8, alpha=30.0, a=0.5, b=3.0)
    rng = np.random.default_rng(4)
    return log.assign(amount=rng.gamma(5.0, 6.0, len(log)).round(2))


def table(log: pd.DataFrame, **options: Any) -> clv.RfmTable:
    return clv.rfm_summary(log, **AMOUNTS, day_pairs=True, observation_period_end=END, **options)


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> clv.RfmTable:
    return table(log, margin=0.3)


@pytest.fixture(scope="module")
def fitted(rfm: clv.RfmTable) -> clv.CLVPosterior:
    model = clv.CLVModel(clv.BetaGeoModel(clock=True))
    return model.fit(rfm, method="laplace", draws=100, random_seed=1)


def given(key: Any = clv.BetaGeoPosterior, **options: Any) -> Any:
    rng = np.random.default_rng(5)
    theta = {"r": 0.8, "alpha": 30.0, "a": 0.5, "b": 3.0}
    draws = {name: at * np.exp(0.05 * rng.normal(size=6)) for name, at in theta.items()}
    found = key.from_draws(**draws, **options)
    return replace(found, metadata=replace(found.metadata, clock=clock()))


# --- the clock itself ---


def test_own_days_of_the_log_are_its_days_and_add_up() -> None:
    one = clock()
    ends = np.array([one.first_day, one.last_day])
    assert float(np.diff(one.own_days(ends))[0]) == pytest.approx(DAYS, rel=1e-12)
    days = one.first_day + np.arange(-400, DAYS + 800)
    np.testing.assert_allclose(np.diff(one.own_days(days)), one.intensity(days[1:]), atol=1e-10)
    # whoever is asked for beside it, a day has the same time, to the last bit
    np.testing.assert_array_equal(one.own_days(days[600:601]), one.own_days(days)[600:601])
    np.testing.assert_array_equal(one.own_days(days[:1]), one.own_days(days)[:1])


def test_after_the_log_its_last_year_says_the_level_and_before_it_nothing() -> None:
    one = clock()
    last_year = one.last_day - np.arange(365)
    usual, real = np.exp(one.pattern(last_year)), one.intensity(last_year) * math.exp(one.level)
    assert one.worth == pytest.approx(math.log(real.sum() / usual.sum()))
    after, before = np.array([one.last_day + 9]), np.array([one.first_day - 9])
    assert one.log_intensity(after)[0] == one.pattern(after)[0] + one.worth - one.level
    assert one.log_intensity(before)[0] == one.pattern(before)[0] - one.level
    year = one.intensity(one.last_day + 1 + np.arange(365))
    assert one.pace == pytest.approx(year.mean(), rel=1e-12)


def test_a_clock_goes_into_a_file_and_comes_out() -> None:
    one = clock(notes=("a note",), log_evidence=-5.0)
    again = LearntClock.from_dict(one.to_dict())
    assert again.to_dict() == one.to_dict()
    days = one.first_day + np.arange(900)
    np.testing.assert_array_equal(again.own_days(days), one.own_days(days))
    np.testing.assert_array_equal(again.doubts(days), one.doubts(days))


def test_the_future_has_the_doubt_of_week_and_season_and_of_the_level() -> None:
    one = clock()
    calendar = Calendar.by(one, one.last_day)
    assert (calendar.sd, calendar.source) == (sd_of_level(0.12), "learnt")
    usual = one.intensity(one.last_day + 1 + np.arange(200))
    np.testing.assert_array_equal(calendar.average.intensity(3, 200), [usual] * 3)
    paths = calendar.intensity(4000, 200)
    error = paths.std(axis=0) / math.sqrt(4000)
    assert (np.abs(paths.mean(axis=0) - usual) < 5.0 * error).all()
    sd = np.log(paths).std(axis=0)
    level = np.log(replace(calendar, clock=None).intensity(4000, 200)).std(axis=0)
    doubts = np.sqrt((one.doubts(one.last_day + 1 + np.arange(200)) ** 2).sum(axis=0))
    np.testing.assert_allclose(sd, np.hypot(level, doubts), rtol=0.06)


# --- predictions ---


@pytest.mark.parametrize("key", [clv.BetaGeoPosterior, clv.ModifiedBetaGeoPosterior])
def test_predictions_are_the_models_in_own_time(key: Any, rfm: clv.RfmTable) -> None:
    posterior = given(key)
    found = posterior.predict(rfm, horizon="90D", draws=6)
    columns = rfm_columns(rfm)
    one = clock()
    end = one.last_day
    first = end - np.rint(columns.T).astype(int)
    own = {day: one.own_days(at) for day, at in (("first", first), ("now", np.full(1, end)))}
    last = one.own_days(first + np.rint(columns.t_x).astype(int))
    who = columns.x, last - own["first"], own["now"] - own["first"]
    horizon = float(np.diff(one.own_days(np.array([end, end + 90])))[0])
    draws = {name: v[:, None] for name, v in posterior.draws().items()}
    formulas = posterior.formulas
    want = {
        "p_alive": formulas.p_alive(*who, **draws),
        "p_purchase": formulas.p_purchase(*who, horizon, **draws),
        "expected_purchases": formulas.expected_purchases(*who, horizon, **draws),
    }
    for name, values in want.items():
        np.testing.assert_allclose(found[name], values.mean(axis=0), rtol=1e-9, err_msg=name)
    # discounted: what is bought on each day, at the middle of it
    days = one.own_days(end + np.arange(91)) - one.own_days(np.array([end]))
    by_day = np.array([formulas.expected_purchases(*who, h, **draws) for h in days])
    middle = np.exp(-DELTA * (np.arange(90) + 0.5))
    discounted = np.tensordot(middle, np.diff(by_day, axis=0), axes=1).mean(axis=0)
    np.testing.assert_allclose(found["discounted_purchases"], discounted, rtol=1e-5)
    # customers keep the times that they came with
    np.testing.assert_array_equal(found["recency"], columns.t_x)
    np.testing.assert_array_equal(found["T"], columns.T)
    np.testing.assert_allclose(
        posterior.expected_purchases(rfm, future_t="90D"), want["expected_purchases"][None]
    )
    np.testing.assert_allclose(
        posterior.probability_of_purchase(rfm, future_t="90D"), want["p_purchase"][None]
    )
    np.testing.assert_allclose(posterior.expected_probability_alive(rfm), want["p_alive"][None])


@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_a_lifetime_is_where_long_horizons_go(discounting: Any, rfm: clv.RfmTable) -> None:
    posterior = given()
    terms: dict[str, Any] = {"discount_rate": 0.3, "discounting": discounting, "draws": 3}
    whole = posterior.predict(rfm, horizon=None, **terms)
    long = posterior.predict(rfm, horizon="60Y", **terms)
    np.testing.assert_allclose(
        whole["discounted_purchases"], long["discounted_purchases"], rtol=2e-5
    )
    assert (whole["p_purchase"] == whole["p_alive"]).all()


def test_horizons_of_a_list_are_each_as_alone(rfm: clv.RfmTable) -> None:
    posterior = given()
    both = posterior.predict(rfm, horizon=["30D", "200D", None])
    for label, horizon in (("30D", "30D"), ("200D", "200D"), ("lifetime", None)):
        alone = posterior.predict(rfm, horizon=horizon)
        name = "discounted_purchases"
        np.testing.assert_allclose(both[f"{name}_{label}"], alone[name], rtol=1e-12)


def test_weeks_and_days_agree(log: pd.DataFrame) -> None:
    days = given().predict(table(log), horizon="90D")
    draws = given().draws()
    draws["alpha"] = draws["alpha"] / 7.0
    weekly = clv.BetaGeoPosterior.from_draws(**draws, time_unit="D", time_scaler=7.0)
    weekly = replace(weekly, metadata=replace(weekly.metadata, clock=clock()))
    weeks = weekly.predict(table(log, time_scaler=7), horizon="90D")
    for name in ("p_alive", "expected_purchases", "discounted_purchases"):
        np.testing.assert_allclose(weeks[name], days[name], rtol=1e-9)


def test_a_later_table_has_the_clock_of_its_own_end(log: pd.DataFrame) -> None:
    posterior, later = given(), END + pd.Timedelta(days=100)
    moved = clv.rfm_summary(log, **NAMES, observation_period_end=later)
    found = posterior.predict(moved, horizon="30D")
    one = clock()
    columns = by_clock(rfm_columns(moved), one)
    end = one.last_day + 100
    horizon = float(np.diff(one.own_days(np.array([end, end + 30])))[0])
    draws = {name: v[:, None] for name, v in posterior.draws().items()}
    who = columns.x, columns.t_x, columns.T
    want = posterior.formulas.expected_purchases(*who, horizon, **draws).mean(axis=0)
    np.testing.assert_allclose(found["expected_purchases"], want, rtol=1e-9)


def test_new_customers_come_at_the_pace_of_the_year_to_come() -> None:
    posterior, one = given(), clock()
    draws = posterior.draws()
    want = posterior.formulas.expected_purchases(0, 0, 0, 180.0 * one.pace, **draws)
    found = posterior.expected_purchases_new_customer(t="180D")
    np.testing.assert_allclose(found, want[None], rtol=1e-12)
    with_value = clv.CLVPosterior(posterior, 20.0)
    value = with_value.new_customer_value(horizon="180D", discount_rate=0.0)
    assert value.mean == pytest.approx(20.0 * (1.0 + want.mean()), rel=1e-9)
    unhurried = replace(posterior, metadata=replace(posterior.metadata, clock=None))
    quick = clv.payback_period(with_value, 30.0, within="5Y")
    slow = clv.payback_period(clv.CLVPosterior(unhurried, 20.0), 30.0, within="5Y")
    assert quick.days == pytest.approx(slow.days / one.pace, rel=1e-6)


def test_frames_that_know_no_dates_are_refused(rfm: clv.RfmTable, tmp_path: Path) -> None:
    posterior = given()
    with pytest.raises(SchemaError, match="A clock needs to know the days"):
        posterior.predict(rfm.to_pandas())
    pq.write_table(rfm.to_arrow(), tmp_path / "bare.parquet")
    with pytest.raises(SchemaError, match="A clock needs to know the days"):
        clv.score(tmp_path / "bare.parquet", posterior, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


# --- the journey of a fitted one ---


def test_fitted_saved_and_loaded(
    fitted: clv.CLVPosterior, rfm: clv.RfmTable, tmp_path: Path
) -> None:
    learnt = fitted.purchases.metadata.clock
    assert isinstance(learnt, LearntClock)
    assert learnt.last_day - learnt.first_day == DAYS
    again = clv.load_posterior(fitted.save(tmp_path / "p.nc"))
    want = fitted.predict(rfm, horizon="90D", predictive=True)
    pd.testing.assert_frame_equal(again.predict(rfm, horizon="90D", predictive=True), want)
    assert again.fingerprint() == fitted.fingerprint()
    bare = replace(fitted.purchases, metadata=replace(fitted.purchases.metadata, clock=None))
    assert bare.fingerprint() != fitted.purchases.fingerprint()
    # values are in the margin of the base
    assert (want["margin"] == 0.3).all()


def test_scores_are_the_predictions(
    fitted: clv.CLVPosterior, rfm: clv.RfmTable, tmp_path: Path
) -> None:
    want = fitted.predict(rfm, horizon="90D", predictive=True)
    path = tmp_path / "rfm.parquet"
    rfm.to_parquet(path)
    for horizon, wanted in (("90D", want), (None, fitted.predict(rfm, horizon=None))):
        out = tmp_path / f"{horizon}.parquet"
        predictive = horizon is not None
        terms: dict[str, Any] = {"horizon": horizon, "predictive": predictive, "block_rows": 100}
        clv.score(path, fitted, out, **terms)
        scores = pd.read_parquet(out)
        for name in scores.columns.intersection(wanted.columns):
            if name != "customer_id":
                np.testing.assert_allclose(scores[name], wanted[name], rtol=1e-9, err_msg=name)


def test_a_log_is_scored_as_its_table(
    fitted: clv.CLVPosterior, log: pd.DataFrame, rfm: clv.RfmTable, tmp_path: Path
) -> None:
    log.to_parquet(tmp_path / "log.parquet")
    clv.score(
        tmp_path / "log.parquet", fitted, tmp_path / "scores.parquet", horizon="90D", **AMOUNTS
    )
    scores = pd.read_parquet(tmp_path / "scores.parquet").sort_values("customer_id")
    end = log["date"].max()
    own = clv.rfm_summary(log, **AMOUNTS, observation_period_end=end)
    want = fitted.predict(own, horizon="90D").sort_values("customer_id")
    np.testing.assert_allclose(scores["clv"], want["clv"], rtol=1e-9)


def test_totals_take_the_clocks_calendar(fitted: clv.CLVPosterior, rfm: clv.RfmTable) -> None:
    terms: dict[str, Any] = {"horizon": "90D", "draws": 50, "paths": 400}
    total = clv.forecast_total(fitted, rfm, **terms)
    learnt = fitted.purchases.metadata.clock
    assert learnt is not None
    assert total.calendar.source == "learnt"
    assert total.calendar.sd == sd_of_level(learnt.sd_of_shocks)
    predicted = fitted.predict(rfm, horizon="90D", draws=50)
    by_total = total.table.set_index("total")
    assert by_total.loc["purchases", "mean"] == pytest.approx(
        predicted["expected_purchases"].sum(), rel=1e-9
    )
    assert by_total.loc["value", "mean"] == pytest.approx(predicted["clv"].sum(), rel=1e-9)
    assert clv.forecast_total(fitted, rfm, calendar="learnt", **terms).calendar == total.calendar
    without = clv.forecast_total(fitted, rfm, calendar="none", **terms)
    mean = without.table.set_index("total").loc["purchases", "mean"]
    assert mean == by_total.loc["purchases", "mean"]  # the season stays
    given = clv.forecast_total(fitted, rfm, calendar=0.3, **terms)
    assert (given.calendar.sd, given.calendar.source) == (0.3, "given")
    path = clv.forecast_total(fitted, rfm, path="M", **terms).table
    months = path[path["total"] == "purchases"]["mean"].sum()
    assert months == pytest.approx(by_total.loc["purchases", "mean"], rel=1e-9)


def test_scenarios_by_name_are_made_of_the_clock(rfm: clv.RfmTable) -> None:
    posterior, one = given(), clock()
    end = int(days_from(pd.Timestamp(rfm.observation_end), 0)[0])
    ahead = end + np.arange(1, 401)
    terms: dict[str, Any] = {"horizon": "400D", "draws": 20, "paths": 40, "calendar": "none"}
    pattern = one.pattern(ahead) - one.level
    again = clv.forecast_total(posterior, rfm, scenario="as last year", **terms)
    back = np.where(ahead - 364 > one.last_day, ahead - 728, ahead - 364)
    assert (back <= one.last_day).all()
    even = clv.forecast_total(posterior, rfm, scenario="no season", **terms)
    year = np.exp(harmonics(end + 1 + np.arange(365)) @ one.season).mean()
    log_g = pattern - harmonics(ahead) @ one.season + one.worth + np.log(year)
    for found, g in ((again, np.exp(pattern + one.shock(back))), (even, np.exp(log_g))):
        columns = by_clock(rfm_columns(rfm), one)
        want = posterior.formulas.expected_purchases(
            columns.x,
            columns.t_x,
            columns.T,
            g.sum(),
            **{n: v[:, None] for n, v in posterior.draws(20).items()},
        )
        assert found.table["mean"].iloc[0] == pytest.approx(want.mean(axis=0).sum(), rel=1e-9)
    assert list(again.scenario) == ["as last year"]
    assert "no season x " in repr(even)
    bare = replace(posterior, metadata=replace(posterior.metadata, clock=None))
    with pytest.raises(SchemaError, match="needs a posterior with a clock"):
        clv.forecast_total(bare, rfm, scenario="no season", **terms)
    for changes, name in (
        ({"season": np.zeros(0), "doubt": np.zeros((7, 7))}, "no season"),
        ({"shocks": np.zeros(0)}, "as last year"),
    ):
        less = replace(posterior.metadata, clock=clock(**changes))
        with pytest.raises(DomainError, match=name):
            clv.forecast_total(replace(posterior, metadata=less), rfm, scenario=name, **terms)
    with pytest.raises(SchemaError, match="must be a mapping"):
        clv.forecast_total(posterior, rfm, scenario="as ever", **terms)


def test_a_closed_month_is_taken_out_of_the_season(
    fitted: clv.CLVPosterior, rfm: clv.RfmTable
) -> None:
    closed = str((END + pd.Timedelta(days=40)).to_period("M"))
    terms: dict[str, Any] = {"horizon": "120D", "draws": 20, "paths": 50, "path": "M"}
    usual = clv.forecast_total(fitted, rfm, **terms).table
    found = clv.forecast_total(fitted, rfm, scenario={closed: 0.0}, **terms).table
    assert (found[found["month"] == closed]["mean"] == 0.0).all()
    before = found["month"] < closed
    np.testing.assert_allclose(found[before]["mean"], usual[before]["mean"], rtol=1e-9)


def test_the_whole_life_undiscounted_does_not_depend_on_the_calendar(rfm: clv.RfmTable) -> None:
    posterior = given()
    draws = {**posterior.draws(), "a": np.full(6, 1.5)}
    endless = clv.BetaGeoPosterior.from_draws(**draws)
    timed = replace(endless, metadata=replace(endless.metadata, clock=clock()))
    found = timed.predict(rfm, horizon=None, discount_rate=0.0)
    columns = by_clock(rfm_columns(rfm), clock())
    who = columns.x, columns.t_x, columns.T
    draws = {name: v[:, None] for name, v in draws.items()}
    want = endless.formulas.expected_purchases(*who, math.inf, **draws).mean(axis=0)
    np.testing.assert_allclose(found["expected_purchases"], want, rtol=1e-9)
    np.testing.assert_allclose(found["discounted_purchases"], want, rtol=1e-9)


def test_where_a_clock_has_no_place_it_is_said(
    fitted: clv.CLVPosterior, rfm: clv.RfmTable, tmp_path: Path
) -> None:
    plain = clv.BetaGeoPosterior.from_draws(r=[0.8] * 6, alpha=[30.0] * 6, a=[0.5] * 6, b=[3.0] * 6)
    with pytest.raises(SchemaError, match="has a clock of its own"):
        clv.stack({"one": given(), "other": plain})
    with pytest.raises(SchemaError, match="compare it with others by backtest"):
        clv.compare({"timed": clv.BetaGeoModel(clock=True), "plain": clv.BetaGeoModel()}, rfm)
    with pytest.raises(SchemaError, match="MLflow's models predict plain frames"):
        parts(fitted, tmp_path, None, None, "raise")
    with pytest.raises(SchemaError, match="pymc-marketing has no clock"):
        clv.to_pymc_marketing(given(), rfm)


def test_one_customer(fitted: clv.CLVPosterior, rfm: clv.RfmTable) -> None:
    one = replace(rfm, table=rfm.table.slice(3, 1), day_pairs=None)
    all_of_them = fitted.predict(rfm, horizon="90D")
    found = fitted.predict(one, horizon="90D")
    np.testing.assert_allclose(found["clv"], all_of_them["clv"].iloc[[3]], rtol=1e-9)


def test_a_calendar_without_end_has_none_of_the_doubt() -> None:
    calendar = Calendar.by(clock(), clock().last_day)
    due = calendar.over(Due(math.inf, DELTA), 1.0, 4)
    assert due.warped.shape == (4, 3654)
    assert (due.warped == due.warped[0]).all()
    assert due.until(4).tolist() == [math.inf] * 4


def test_own_days_lead_back_to_days() -> None:
    one = clock()
    days = one.first_day + np.array([-300, 0, 7, DAYS, DAYS + 500])
    np.testing.assert_allclose(one.days_at(one.own_days(days)), days, rtol=0, atol=1e-9)
    far = one.days_at(one.own_days(days[-1:]) + np.array([1e5, np.inf]))
    assert far[0] == pytest.approx(days[-1] + 1e5 / one.pace, rel=1e-3)
    assert far[1] == np.inf


def test_outcomes_by_customer_take_the_clock(fitted: clv.CLVPosterior, rfm: clv.RfmTable) -> None:
    want = fitted.predict(rfm, horizon="90D", draws=100)
    counts = clv.count_distribution(fitted, rfm, horizon="90D", draws=100)
    np.testing.assert_allclose(counts.mean, want["expected_purchases"], rtol=1e-6, atol=1e-9)
    terms: dict[str, Any] = {"horizon": "90D", "draws": 100, "paths": 2000, "calendar": "none"}
    samples = clv.portfolio(fitted, rfm, **terms).draws("purchases")
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - want["expected_purchases"].sum()) < 5.0 * error


def test_the_next_purchase_is_dated_by_the_clock(rfm: clv.RfmTable) -> None:
    posterior = given()
    found = clv.next_purchase(posterior, rfm, within=["30D", "90D"]).customers
    draws = {name: v[:, None] for name, v in posterior.draws().items()}
    for days in (30, 90):
        want = posterior.probability_of_purchase(rfm, future_t=f"{days}D").mean(("chain", "draw"))
        np.testing.assert_allclose(found[f"p_within_{days}D"], want, rtol=1e-9)
    # at the median that is said, half have bought: of those who ever will
    one, columns = clock(), by_clock(rfm_columns(rfm), clock())
    who = columns.x, columns.t_x, columns.T
    ahead = (found["next"] - END).dt.days.to_numpy()
    likely = np.flatnonzero((found["p_never"] < 0.4) & (ahead < 400))[:20]
    assert len(likely) == 20
    for i in likely:
        chances = []
        for day in (ahead[i] - 1, ahead[i]):
            own = float(np.diff(one.own_days(one.last_day + np.array([0, day])))[0])
            mine = (column[i] for column in who)
            chance = float(posterior.formulas.p_purchase(*mine, own, **draws).mean())
            chances.append(chance / (1.0 - found["p_never"][i]))
        assert chances[0] < 0.5 + 1e-6 <= chances[1] + 2e-6


def test_the_command_line_learns_one(
    log: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: list[str], code: int = 0) -> str:
        assert main(arguments) == code
        out, err = capsys.readouterr()
        return " ".join(f"{out} {err}".split())

    log.to_parquet(tmp_path / "log.parquet")
    file, out = str(tmp_path / "rfm.parquet"), str(tmp_path / "p.nc")
    names = ("--customer-id", "customer_id", "--timestamp", "date")
    run(["summarize", str(tmp_path / "log.parquet"), "-o", file, *names])
    fit = ["fit", file, "-o", out, "--clock", "--method", "map"]
    refused = run(fit, code=2)
    assert "--day-pairs" in refused
    run(["summarize", str(tmp_path / "log.parquet"), "-o", file, *names, "--day-pairs"])
    run(fit)
    found = clv.load_posterior(out)
    assert isinstance(found, clv.BetaGeoPosterior)
    assert found.metadata.clock is not None
    run(["score", file, "--posterior", out, "-o", f"{out}.parquet"])
    scores = pd.read_parquet(f"{out}.parquet")
    want = found.predict(clv.RfmTable.from_parquet(file), horizon="365D")
    np.testing.assert_allclose(scores["expected_purchases"], want["expected_purchases"])
    assert "--clock" in run([*fit, "--model", "auto"], code=2)
    assert "learns no clock" in run([*fit, "--model", "paretonbd"], code=2)


def test_the_report_shows_the_clock(
    fitted: clv.CLVPosterior, log: pd.DataFrame, rfm: clv.RfmTable
) -> None:
    found = clv.diagnostics.diagnose(fitted, rfm, log=log, horizon="180D", calendar="learnt")
    fit = next(one for one in found.sections if one.key == "fit")
    figure = next(one for one in fit.figures if one.key == "clock")
    learnt = fitted.purchases.metadata.clock
    assert learnt is not None
    assert figure.data["end"] == f"{END:%Y-%m-%d}"
    assert f"{365 * learnt.pace:,.0f} days" in figure.title
    week = next(one for one in fit.tables if one.key == "week")
    row = np.array(week.rows[0], dtype=float)
    assert row.mean() == pytest.approx(1.0)
    assert int(row.argmin()) == 6  # of the log that was simulated, Sunday
    plan = next(one for one in found.facts if one.key == "value_to_plan_with")
    assert "was learnt from the log" in plan.note
    assert "by a clock" in repr(fitted)
    with pytest.raises(SchemaError, match="has no clock to draw"):
        clv.plots.plot_clock(clv.BetaGeoPosterior.from_draws(r=0.8, alpha=30.0, a=0.5, b=3.0))


@pytest.mark.slow
def test_spark_scores_by_the_clock(fitted: clv.CLVPosterior, log: pd.DataFrame, spark: Any) -> None:
    frame = spark.createDataFrame(log).repartition(3)
    base = clv.spark.rfm_summary(frame, **AMOUNTS, observation_period_end=END)
    found = clv.spark.score(base, fitted, horizon="90D").toArrow().to_pandas()
    scores = found.sort_values("customer_id")
    own = clv.rfm_summary(log, **AMOUNTS, observation_period_end=END)
    want = fitted.predict(own, horizon="90D").sort_values("customer_id")
    for name in ("recency", "T", "p_alive", "expected_purchases", "clv"):
        np.testing.assert_allclose(scores[name], want[name], rtol=1e-9, err_msg=name)
    with pytest.raises(SchemaError, match="A clock needs to know the days"):
        clv.spark.score(base.table, fitted, horizon="90D")
