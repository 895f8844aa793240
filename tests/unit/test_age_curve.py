"""The age curve: own time by age, in the formulas, in every verb, and learnt from a log."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.errors import SchemaError
from clvmodels.fit.clock_density import AGE, ClockDensity, DailyLog
from clvmodels.fit.density import compile_density
from clvmodels.fit.purchases import purchase_specification
from clvmodels.formulas.discounting import Due
from clvmodels.purchases.age_curve import SLOPES, AgeCurve, Passed, prior_scale
from clvmodels.purchases.aged import AgedFamily
from clvmodels.purchases.catalogue import purchase_model
from clvmodels.purchases.clock import Clock, LearntClock
from clvmodels.purchases.design import FIRST_PURCHASE
from clvmodels.rfm.day_pairs import by_clock
from clvmodels.rfm.histories import rfm_columns
from tests.clocks import BEGIN, DAYS, NAMES, clock, days_from, intensity, log_by

END = BEGIN + pd.Timedelta(days=DAYS)
BENT = (-0.15, -0.25, 0.1, 0.2, -0.1, 0.1, 0.0, -0.02, -0.01)
CURVE = AgeCurve(BENT, 550.0)
DELTA = math.log(1.1) / 365.25
X, T_X, T = np.array([0.0, 1.0, 5.0]), np.array([0.0, 40.0, 80.0]), np.array([50.0, 100.0, 90.0])


def draws(size: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    theta = {"r": 0.8, "alpha": 30.0, "a": 0.5, "b": 3.0}
    return {name: at * np.exp(0.05 * rng.normal(size=size)) for name, at in theta.items()}


def rows(**theta: Any) -> dict[str, Any]:
    return {name: values[:, None] for name, values in theta.items()}


# --- the curve itself ---


@pytest.mark.parametrize("t", [1.0, 30.0, 400.0, 9000.0, 400_000.0])
def test_what_passes_is_the_integral_of_the_curve(t: float) -> None:
    def at(s: float) -> float:
        return float(CURVE.intensity(np.array([s]))[0])

    breaks = [p for p in (1.0, 10.0, 100.0, 1e3, 1e4, 1e5) if p < t]
    want, _ = quad(at, 0.0, t, limit=500, points=breaks or None, epsrel=1e-11)
    assert float(CURVE.passed(t)) == pytest.approx(want, rel=1e-8)
    weeks = replace(CURVE, days=7.0)
    assert float(weeks.passed(t / 7.0)) * 7.0 == pytest.approx(want, rel=1e-8)


def test_a_flat_curve_changes_nothing_and_all_time_passes() -> None:
    flat = AgeCurve((0.0,) * SLOPES, 550.0)
    t = np.array([0.0, 0.3, 20.0, 4000.0, 1e6, np.inf])
    np.testing.assert_allclose(flat.passed(t), t, rtol=2e-9)
    assert CURVE.passed(np.inf) == np.inf
    assert float(CURVE.intensity(np.array([550.0]))[0]) == 1.0


def test_the_pace_and_the_slopes_derivatives_are_those_of_what_passes() -> None:
    days, slopes = np.array([0.5, 7.0, 90.0, 700.0]), np.array(BENT)
    table = Passed.of(slopes, 550.0, each=True)
    rise = (table.at(days + 1e-4) - table.at(days - 1e-4))[:, 0] / 2e-4
    np.testing.assert_allclose(table.pace(days), rise, rtol=1e-7)
    np.testing.assert_allclose(table.pace(days), CURVE.intensity(days), rtol=1e-5)
    way = 1e-5 * np.arange(1.0, SLOPES + 1.0)
    more, less = (Passed.of(slopes + s * way, 550.0).at(days)[:, 0] for s in (1, -1))
    np.testing.assert_allclose(table.at(days)[:, 1:] @ way, (more - less) / 2, rtol=1e-6)


def test_slopes_are_an_autoregression_a_priori() -> None:
    scale = prior_scale()
    covariance = scale @ scale.T
    np.testing.assert_allclose(np.diag(covariance), 0.01)
    assert covariance[2, 3] == pytest.approx(0.008)


# --- the family ---


@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
def test_points_are_those_of_the_family_in_time_by_age(key: str) -> None:
    base = purchase_model(key).formulas
    aged, theta, passed = AgedFamily(base, CURVE), rows(**draws()), CURVE.passed
    own = X, passed(T_X), passed(T)
    np.testing.assert_array_equal(aged.p_alive(X, T_X, T, **theta), base.p_alive(*own, **theta))
    ahead = passed(T + 60.0) - passed(T)
    for verb in ("p_purchase", "expected_purchases"):
        found = getattr(aged, verb)(X, T_X, T, 60.0, **theta)
        np.testing.assert_array_equal(found, getattr(base, verb)(*own, ahead, **theta))
    assert aged.pmf(2, X, T_X, T, 60.0, **theta).shape == (4, 3)


@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
@pytest.mark.parametrize("verb", ["along", "staying"])
def test_lengths_of_time_are_those_of_the_family_in_time_by_age(key: str, verb: str) -> None:
    """Of each age by itself, in the family's own words; the code takes them as of one age."""
    base, theta, passed = purchase_model(key).formulas, draws(), CURVE.passed
    ages, lengths = np.array([0.0, 40.0, 900.0]), np.array([1.0, 30.0, 400.0])
    for x in (0.0, 1.0, 5.0):
        found = getattr(AgedFamily(base, CURVE), verb)(x, ages, lengths, theta)
        for i, age in enumerate(ages):
            ahead = passed(age + lengths) - passed(age)
            want = getattr(base, verb)(x, passed(ages[i : i + 1]), ahead, theta)
            np.testing.assert_allclose(found[:, :, i], want[:, :, 0], rtol=1e-9)


@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
@pytest.mark.parametrize("month", [None, 30.4375])
@pytest.mark.parametrize("horizon", [90.0, 4000.0, np.inf])
def test_a_flat_curve_discounts_as_the_family_does(
    key: str, month: float | None, horizon: float
) -> None:
    base = purchase_model(key).formulas
    flat, theta = AgedFamily(base, AgeCurve((0.0,) * SLOPES, 550.0)), draws()
    at = (X, T_X, T, horizon, DELTA)
    want = base.discounted_purchases(*at, month=month, **rows(**theta))
    found = flat.discounted_purchases(*at, month=month, **rows(**theta))
    within = 1e-6 if month and np.isinf(horizon) else 1e-8  # later months flow evenly
    np.testing.assert_allclose(found, want, rtol=within)
    due = Due(horizon, DELTA, month or 0.0)
    both = zip(*(one.living(X, T, theta, due).expect() for one in (flat, base)), strict=True)
    for one, other in both:
        known = np.isfinite(other)
        np.testing.assert_allclose(one[known], other[known], rtol=within)


def test_discounting_by_a_bent_curve_is_the_sum_over_small_steps() -> None:
    aged, theta = AgedFamily(purchase_model("bgnbd").formulas, CURVE), rows(**draws())
    ends = np.linspace(0.0, 200.0, 801)
    bought = np.array([aged.expected_purchases(X, T_X, T, t, **theta) for t in ends])
    worth = np.exp(-DELTA * (ends[1:] + ends[:-1]) / 2.0)
    want = np.einsum("tsn,t->sn", np.diff(bought, axis=0), worth)
    found = aged.discounted_purchases(X, T_X, T, 200.0, DELTA, **theta)
    np.testing.assert_allclose(found, want, rtol=1e-7)


def test_lengths_of_all_ages_are_those_of_points() -> None:
    aged, theta = AgedFamily(purchase_model("bgnbd").formulas, CURVE), draws()
    lengths = np.array([3.0, 60.0, 700.0])
    found = aged.along(5.0, T, lengths, theta)[0]
    alive = aged.p_alive(5.0, T, T, **rows(**theta))
    for k, length in enumerate(lengths):
        want = aged.expected_purchases(5.0, T, T, length, **rows(**theta)) / alive
        np.testing.assert_allclose(found[:, :, k], want, rtol=1e-8)
    by_draw = aged.along(5.0, T, np.tile(lengths, (4, 1)), theta)
    np.testing.assert_allclose(by_draw[0], found, rtol=1e-12)


# --- every verb ---


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    log = log_by(intensity(DAYS), 250, r=0.8, alpha=30.0, a=0.5, b=3.0)
    amounts = np.random.default_rng(4).gamma(5.0, 6.0, len(log)).round(2)
    return log.assign(amount=amounts)


def table(log: pd.DataFrame, **options: Any) -> clv.RfmTable:
    columns = {**NAMES, "monetary_value_col": "amount"}
    return clv.rfm_summary(log, **columns, day_pairs=True, observation_period_end=END, **options)


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> clv.RfmTable:
    return table(log, margin=0.3)


def given(slopes: Any = BENT, *, size: int = 4, **changes: Any) -> clv.CLVPosterior:
    purchases = clv.BetaGeoPosterior.from_draws(**draws(size))
    by = clock(slopes=np.array(slopes), **changes)
    purchases = replace(purchases, metadata=replace(purchases.metadata, clock=by))
    return clv.CLVPosterior(purchases, clv.GammaGammaPosterior.from_draws(p=5.0, q=4.0, v=15.0))


def test_predictions_are_those_of_the_formulas(rfm: clv.RfmTable, tmp_path: Path) -> None:
    posterior = given()
    by = posterior.purchases.metadata.clock
    own = by_clock(rfm_columns(rfm), by)
    end = int(own.last_day)
    ahead = float(np.diff(by.own_days(np.array([end, end + 90])))[0])
    aged = AgedFamily(purchase_model("bgnbd").formulas, AgeCurve(BENT, float(DAYS)))
    theta = rows(**posterior.purchases.draws())
    want = aged.expected_purchases(own.x, own.t_x, own.T, ahead, **theta).mean(axis=0)
    found = posterior.predict(rfm, horizon="90D", predictive=True)
    np.testing.assert_allclose(found["expected_purchases"], want, rtol=1e-7)
    alive = aged.p_alive(own.x, own.t_x, own.T, **theta).mean(axis=0)
    np.testing.assert_allclose(found["p_alive"], alive, rtol=1e-7)
    again = posterior.purchases.expected_purchases(rfm, future_t=90).mean(("chain", "draw"))
    np.testing.assert_allclose(again, want, rtol=1e-7)
    # files and saved posteriors
    posterior.save(tmp_path / "p.nc")
    loaded = clv.load_posterior(tmp_path / "p.nc")
    assert loaded.purchases.metadata.clock.slopes.tolist() == list(BENT)
    rfm.to_parquet(tmp_path / "rfm.parquet")
    scores = tmp_path / "scores.parquet"
    clv.score(tmp_path / "rfm.parquet", tmp_path / "p.nc", scores, horizon="90D")
    scored = pd.read_parquet(scores).set_index("customer_id")["clv"]
    np.testing.assert_array_equal(scored.loc[found["customer_id"]], found["clv"])


@pytest.mark.slow
def test_a_flat_curve_changes_no_verb(rfm: clv.RfmTable) -> None:
    flat, none = given((0.0,) * SLOPES), given(())
    for options in ({"horizon": None}, {"horizon": "400D", "discounting": "monthly"}):
        one, other = (p.predict(rfm, **options).select_dtypes("number") for p in (flat, none))
        np.testing.assert_allclose(one, other, rtol=2e-8)
    values = [p.new_customer_value(horizon="2Y").mean for p in (flat, none)]
    assert values[0] == pytest.approx(values[1], rel=1e-8)
    totals = [clv.forecast_total(p, rfm, horizon="180D", path="M").table for p in (flat, none)]
    one, other = (t.select_dtypes("number") for t in totals)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    times = [clv.next_purchase(p, rfm).customers["p_never"] for p in (flat, none)]
    np.testing.assert_allclose(*times, atol=1e-8)


def test_simulated_purchases_come_when_they_are_expected(rfm: clv.RfmTable) -> None:
    posterior = given(size=40)
    future = clv.simulate_future(posterior, rfm, horizon="180D", paths=200, random_seed=3)
    for end in (30, 180):
        want = posterior.predict(rfm, horizon=f"{end}D")["expected_purchases"].sum()
        within = future.purchases[future.purchases["time"] <= end]
        count = within.groupby("path").size().reindex(range(200), fill_value=0)
        assert abs(count.mean() - want) < 4.0 * count.std() / math.sqrt(200) + 0.002 * want


def test_weeks_are_days(log: pd.DataFrame, rfm: clv.RfmTable) -> None:
    weekly = {n: v / 7.0 if n == "alpha" else v for n, v in draws().items()}
    purchases = clv.BetaGeoPosterior.from_draws(**weekly, time_scaler=7)
    purchases = replace(
        purchases, metadata=replace(purchases.metadata, clock=clock(slopes=np.array(BENT)))
    )
    found = purchases.predict(table(log, time_scaler=7), horizon="91D")
    want = given().purchases.predict(rfm, horizon="91D")
    np.testing.assert_allclose(found["expected_purchases"], want["expected_purchases"], rtol=1e-7)


# --- learning ---


def aged_log(customers: int, seed: int = 1, days: int = 500) -> pd.DataFrame:
    """A log without a calendar, whose customers grow older by the curve."""
    rng = np.random.default_rng([seed, 1])
    family = purchase_model("bgnbd").formulas
    first = rng.integers(0, days, customers)
    first[:2] = 0, days - 1
    theta = {"r": 0.8, "alpha": 40.0, "a": 0.4, "b": 4.0}
    drawn = family.customers(customers, (rng, np.random.default_rng([seed, 2])), **theta)
    grid = np.arange(0.0, days + 1.0, 0.1)
    passed = STEEP.passed(grid)
    who, when = [np.arange(customers)], [first.astype(float)]
    for some, own in family.repeat_purchases(drawn, STEEP.passed(days - first.astype(float)), rng):
        who.append(some)
        when.append(np.ceil(first[some] + np.interp(own, passed, grid)))
    day = np.concatenate(when).astype(int)
    date = BEGIN + pd.to_timedelta(day, unit="D")
    found = pd.DataFrame({"customer_id": np.concatenate(who), "date": date})
    return found.sort_values(["customer_id", "date"]).reset_index(drop=True)


STEEP = AgeCurve((-0.3, -0.3, -0.25, -0.2, -0.1, -0.05, 0.0, 0.0, 0.0), 500.0)


@pytest.fixture(scope="module")
def aged() -> clv.RfmTable:
    end = BEGIN + pd.Timedelta(days=500)
    return clv.rfm_summary(aged_log(3000), **NAMES, day_pairs=True, observation_period_end=end)


@pytest.mark.slow  # compiles two densities
@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
def test_the_density_has_the_right_gradient(key: str, rfm: clv.RfmTable) -> None:
    model, asked = purchase_specification(key), Clock(age=True)
    log = DailyLog.of(rfm_columns(rfm), 0)
    joint = ClockDensity.of(model, log, asked, season=False, older=True)
    rng = np.random.default_rng(3)
    theta = joint.start + 0.3 * rng.normal(size=joint.dim)
    _, gradient = joint(theta)
    for place in (slice(0, joint.priors.dim), joint.blocks[AGE].place, slice(0, joint.dim)):
        way = np.zeros(joint.dim)
        way[place] = 1e-4 * rng.normal(size=len(way[place]))
        rise = (joint(theta + way)[0] - joint(theta - way)[0]) / 2.0
        assert gradient @ way == pytest.approx(rise, rel=1e-5, abs=1e-7)


@pytest.mark.slow  # compiles a density
def test_where_all_days_are_alike_the_density_is_the_fits_at_times_by_age(
    rfm: clv.RfmTable,
) -> None:
    """Besides the purchases' ages, which parameters do not move."""
    model, columns = purchase_specification("bgnbd"), rfm_columns(rfm)
    log = DailyLog.of(columns, 0)
    joint = ClockDensity.of(model, log, Clock(age=True), season=False)
    standard = 3.0 * np.sin(np.arange(SLOPES))
    curve = AgeCurve(tuple(prior_scale() @ standard), float(log.days))
    own = replace(columns, t_x=curve.passed(columns.t_x), T=curve.passed(columns.T))
    statistics, _ = model._prepare(own)
    density = compile_density(model._build(statistics, model._prepare(columns)[1]))
    found = []
    for shift in (0.0, 0.2, -0.3):
        theta = np.zeros(joint.dim)
        theta[: joint.priors.dim] = joint.priors.start + shift
        theta[joint.blocks[AGE].place] = standard
        found.append(joint(theta)[0] - density(joint.priors.start + shift)[0])
    np.testing.assert_allclose(found, found[0], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_known_curve_is_given_back(aged: clv.RfmTable) -> None:
    how: dict[str, Any] = {"method": "laplace", "draws": 200, "random_seed": 1}
    found = clv.BetaGeoModel(clock=Clock(season=False, age=True)).fit(aged, **how)
    by: LearntClock = found.metadata.clock
    ages = np.array([3.0, 30.0, 120.0, 300.0])
    want, got = STEEP.intensity(ages), by.curve(1.0).intensity(ages)
    assert (want[:2] > 1.4).all()
    np.testing.assert_allclose(got / got[-1], want / want[-1], rtol=0.2)
    # the fit that follows is at the mode of both together
    assert found.draws()["alpha"].mean() == pytest.approx(40.0, rel=0.3)
    # customers of the first month are told apart, and do not age
    assert found.metadata.design is not None
    assert FIRST_PURCHASE in found.metadata.design.columns
    assert found.verdict.status == "pass"
    plain = clv.BetaGeoModel(clock=Clock(season=False)).fit(aged, **how)
    later = days_from(BEGIN, 0)[0]
    assert plain.metadata.clock.first_day == later
    totals = [p.predict(aged, horizon="365D")["expected_purchases"].sum() for p in (found, plain)]
    assert totals[0] < 0.95 * totals[1]  # whose customers grow older


def test_tables_without_ages_are_refused_in_words(log: pd.DataFrame) -> None:
    early = log[log["date"] < BEGIN + pd.Timedelta(days=300)]
    columns = {**NAMES, "monetary_value_col": "amount"}
    end = BEGIN + pd.Timedelta(days=300)
    first = clv.rfm_summary(early, **columns, day_pairs=True, observation_period_end=end)
    both = first.update(log[log["date"] > end], observation_period_end=END)
    assert both.day_pairs is not None
    assert both.day_pairs.ages is None
    with pytest.raises(SchemaError, match="learnt from purchases by customers' age"):
        clv.BetaGeoModel(clock=Clock(age=True)).fit(both, method="map")


def test_options_are_checked() -> None:
    with pytest.raises(SchemaError, match=r"Clock\(age='yes'\) must be True or False"):
        Clock(age="yes")
    with pytest.raises(SchemaError, match="leave left_truncated at"):
        Clock(age=True, left_truncated=False)


@pytest.mark.slow
def test_the_command_line_learns_one(log: pd.DataFrame, tmp_path: Path) -> None:
    log.to_parquet(tmp_path / "log.parquet")
    base, posterior = str(tmp_path / "rfm.parquet"), str(tmp_path / "p.nc")
    columns = ["--customer-id", "customer_id", "--timestamp", "date"]
    assert (
        main(["summarize", str(tmp_path / "log.parquet"), "-o", base, "--day-pairs", *columns]) == 0
    )
    assert main(["fit", base, "-o", posterior, "--age-curve", "--method", "map"]) == 0
    found = clv.load_posterior(posterior)
    assert len(found.metadata.clock.slopes) == SLOPES
    assert main(["score", base, "--posterior", posterior, "-o", str(tmp_path / "s.parquet")]) == 0
