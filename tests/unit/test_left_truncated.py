"""Customers who came before the log began: a rate of their own, learnt with the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import DomainError, SchemaError
from clvmodels.fit.clock_density import OLDER, ClockDensity, DailyLog
from clvmodels.fit.covariates import OLDER_SD
from clvmodels.fit.density import compile_density
from clvmodels.fit.purchases import purchase_specification
from clvmodels.purchases.clock import Clock
from clvmodels.purchases.design import FIRST_PURCHASE
from clvmodels.rfm.histories import rfm_columns
from tests.clocks import BEGIN, NAMES, intensity, log_by

DAYS = 400
THETA = {"r": 0.8, "a": 0.7, "b": 2.4}
TIMES = 2.5  # as fast as others
EFFECT = f"purchases[{FIRST_PURCHASE}=first month]"
MODEL = clv.BetaGeoModel(clock=Clock(season=False))
HOW: dict[str, Any] = {"method": "laplace", "draws": 100, "random_seed": 1}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """A log that begins in the middle of business."""
    g = intensity(DAYS, season=False)
    later = log_by(g, 3000, seed=1, alpha=60.0, **THETA)
    first = later.groupby("customer_id")["date"].transform("min")
    later = later[(first - BEGIN).dt.days > 30]
    older = log_by(g, 700, seed=2, last=30, alpha=60.0 / TIMES, **THETA)
    both = [older.assign(customer_id=-1 - older["customer_id"]), later]
    return pd.concat(both, ignore_index=True)


def table(log: pd.DataFrame, **options: Any) -> clv.RfmTable:
    end = BEGIN + pd.Timedelta(days=DAYS)
    return clv.rfm_summary(log, **NAMES, day_pairs=True, observation_period_end=end, **options)


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> clv.RfmTable:
    return table(log)


@pytest.fixture(scope="module")
def fitted(rfm: clv.RfmTable) -> clv.BetaGeoPosterior:
    return MODEL.fit(rfm, **HOW)


@pytest.mark.slow  # compiles two densities
@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd2"])
def test_the_density_is_that_of_the_fit_with_the_same_effect(key: str, rfm: clv.RfmTable) -> None:
    """Where all days are alike; and its gradient is right where they are not."""
    model = purchase_specification(key).replace(clock=Clock(left_truncated=True))
    columns, design = model._designed(rfm_columns(rfm))
    log = DailyLog.of(columns, 0)
    joint = ClockDensity.of(model, log, Clock(), season=False, older=True)
    statistics, scale = model._prepare(columns)
    density = compile_density(model._build(statistics, scale, design))
    gaps = float(np.sum(columns.log_gaps)) if key != "bgnbd" else 0.0
    found = []
    for u in (0.0, 0.7, -0.4):
        theta = np.zeros(joint.dim)
        theta[: joint.priors.dim] = joint.priors.start + 0.1
        theta[joint.blocks[OLDER].place] = u
        value, gradient = joint(theta)
        want, slope = density(np.concatenate([density.start[:-1] + 0.1, [u]]))
        assert np.exp(OLDER_SD * u) == pytest.approx(joint._speed(theta)[0][log.first < 30].max())
        np.testing.assert_allclose(gradient[: joint.priors.dim], slope[:-1], rtol=1e-7, atol=1e-5)
        assert gradient[joint.blocks[OLDER].begin] == pytest.approx(slope[-1], rel=1e-7)
        found.append(value - want)
    np.testing.assert_allclose(np.array(found) - gaps, found[0] - gaps, rtol=0, atol=1e-6)
    rng = np.random.default_rng(3)
    theta = joint.start + 0.3 * rng.normal(size=joint.dim)
    _, gradient = joint(theta)
    way = rng.normal(size=joint.dim) * 1e-4
    rise = (joint(theta + way)[0] - joint(theta - way)[0]) / 2.0
    assert gradient @ way == pytest.approx(rise, rel=1e-5, abs=1e-6)


@pytest.mark.slow  # the fit
def test_their_rate_is_given_back(fitted: clv.BetaGeoPosterior) -> None:
    effects = fitted.effects()
    assert effects["covariate"].unique().tolist() == [FIRST_PURCHASE]
    one = effects[effects["level"] == "first month"].iloc[0]
    assert one["times_lower"] < TIMES < one["times_upper"]
    assert one["times_upper"] / one["times_lower"] < 1.6
    other = effects[effects["level"] == "later"].iloc[0]
    assert (other["times_lower"], other["times_upper"]) == (1.0, 1.0)
    assert "by first purchase" in repr(fitted)


@pytest.mark.slow
def test_they_are_predicted_by_the_formulas_at_their_rate(
    fitted: clv.BetaGeoPosterior, rfm: clv.RfmTable, tmp_path: Path
) -> None:
    found = fitted.predict(rfm, horizon="90D")
    first = rfm.observation_end - pd.to_timedelta(rfm.to_pandas()["T"], unit="D")
    older = ((first - BEGIN).dt.days < 30.4375).to_numpy()
    assert 500 < older.sum() < 800
    draws = fitted.draws()
    columns = rfm_columns(rfm)
    clock = fitted.metadata.clock
    end = columns.last_day
    horizon = np.diff(clock.own_days(np.array([end, end + 90])))[0]
    from clvmodels.formulas import bgnbd
    from clvmodels.rfm.day_pairs import by_clock

    own = by_clock(columns, clock)
    for who, faster in ((older, np.exp(draws[EFFECT])), (~older, 1.0)):
        some = np.flatnonzero(who)[:20]
        want = bgnbd.expected_purchases(
            *(v[some] for v in (own.x, own.t_x, own.T)),
            horizon,
            **{
                name: (draws[name] / (faster if name == "alpha" else 1.0))[:, None]
                for name in ("r", "alpha", "a", "b")
            },
        ).mean(axis=0)
        np.testing.assert_allclose(found["expected_purchases"].to_numpy()[some], want, rtol=1e-9)
    # a few of them, in a file, by a posterior that was kept: each is what it was
    some = rfm.to_pandas().iloc[[*np.flatnonzero(older)[:3], *np.flatnonzero(~older)[:3]]]
    few = clv.RfmTable.from_frame(some, observation_end=rfm.observation_end)
    few.to_parquet(tmp_path / "few.parquet")
    fitted.save(tmp_path / "posterior.nc")
    again = clv.load_posterior(tmp_path / "posterior.nc")
    clv.score(tmp_path / "few.parquet", again, tmp_path / "scores.parquet", horizon="90D")
    scored = pd.read_parquet(tmp_path / "scores.parquet").set_index("customer_id")
    same = found.set_index("customer_id").loc[scored.index]
    np.testing.assert_allclose(scored["expected_purchases"], same["expected_purchases"], rtol=1e-9)


@pytest.mark.slow
def test_new_customers_are_as_later_ones(fitted: clv.BetaGeoPosterior) -> None:
    later = fitted.of({FIRST_PURCHASE: "later"})
    older = fitted.of({FIRST_PURCHASE: "first month"})
    new, as_later, as_older = (
        float(one.expected_purchases_new_customer(t="365D").mean())
        for one in (fitted, later, older)
    )
    assert new == as_later
    assert as_older > 1.3 * new


def test_auto_tells_them_apart_only_where_they_buy_more(
    log: pd.DataFrame, rfm: clv.RfmTable
) -> None:
    assert MODEL._designed(rfm_columns(rfm))[1].columns == (FIRST_PURCHASE,)
    off = MODEL.replace(clock=Clock(left_truncated=False))
    assert off._designed(rfm_columns(rfm))[1] is None
    assert clv.BetaGeoModel()._designed(rfm_columns(rfm))[1] is None
    alike = rfm_columns(table(log_by(intensity(DAYS), 2000)))
    assert MODEL._designed(alike)[1] is None
    with_another = MODEL.replace(purchase_covariates=["cohort"])
    design = with_another._designed(rfm_columns(rfm))[1]
    assert design.columns == ("cohort", FIRST_PURCHASE)
    levels = design.levels_of([g for g, _ in design.mix])
    assert (levels[FIRST_PURCHASE] == 1).all()


def test_what_cannot_be_is_refused(log: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="left_truncated=2"):
        Clock(left_truncated=2)  # type: ignore[arg-type]
    first = log.groupby("customer_id")["date"].transform("min")
    cohort = rfm_columns(table(log[(first - BEGIN).dt.days <= 30]))
    assert MODEL._designed(cohort)[1] is None
    model = MODEL.replace(clock=Clock(left_truncated=True))
    with pytest.raises(DomainError, match="came within the log's first month"):
        model._designed(cohort)


@pytest.mark.slow
def test_the_command_says_so(
    log: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(log).to_parquet(tmp_path / "rfm.parquet")
    out = str(tmp_path / "posterior.nc")
    fit = ["fit", str(tmp_path / "rfm.parquet"), "-o", out, "--clock", "--method", "map"]
    assert main(fit) == 0
    assert "first month" in capsys.readouterr().out
    assert clv.load_posterior(out).metadata.design.columns == (FIRST_PURCHASE,)


@pytest.mark.slow
def test_a_backtest_expects_each_customer_at_their_rate(log: pd.DataFrame) -> None:
    model = clv.CLVModel(MODEL)
    how: dict[str, Any] = {"method": "map", "train_period_end": "2022-11-30", "horizon": "60D"}
    found = clv.backtest(log, **NAMES, model=model, bootstrap=20, draws=20, **how)
    calibration = found.tracking[found.tracking["part"] == "train"].iloc[-1]
    bought = found.customers["frequency"].sum()
    assert calibration["cumulative_actual"] == bought
    # of later customers alone they would be a third fewer
    assert calibration["cumulative_expected"] == pytest.approx(bought, rel=0.03)
    assert found.repeats["expected"].sum() == pytest.approx(len(found))
    mean = found.repeats["expected"] @ np.minimum(np.arange(8), 7) / len(found)
    actual = found.repeats["actual"] @ np.minimum(np.arange(8), 7) / len(found)
    assert mean == pytest.approx(actual, rel=0.05)
