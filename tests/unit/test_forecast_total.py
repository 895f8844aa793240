"""Totals to plan with: their doubt by source, horizons, months, segments and scenarios."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clvmodels as clv
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import total_value
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.predictive.planning import SOURCES
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_rfm

S = 60
HORIZON = "180D"
CENTRES = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 2.5, "s": 0.6, "beta": 40.0}


def posterior_of(key: str = "bgnbd", draws: int = S) -> clv.CLVPosterior:
    rng = np.random.default_rng(3)
    spread = {n: at * np.exp(0.03 * rng.standard_normal(draws)) for n, at in CENTRES.items()}
    own = {name: spread[name] for name in MODELS[key].parameter_names}
    spend = {
        n: at * np.exp(0.01 * rng.standard_normal(draws))
        for n, at in {"p": 6.0, "q": 4.0, "v": 15.0}.items()
    }
    return clv.CLVPosterior(
        purchase_posterior(key).from_draws(**own), clv.GammaGammaPosterior.from_draws(**spend)
    )


def table(customers: int = 400, **more: Any) -> clv.RfmTable:
    frame = simulate_rfm(
        customers, r=0.6, alpha=30.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0, T=(5.0, 300.0), seed=3
    )
    frame["channel"] = np.where(np.arange(customers) % 3 == 0, "shop", "web")
    more = {"observation_end": "2024-06-30", **more}
    return clv.RfmTable.from_pandas(frame, **more)


POSTERIOR, RFM = posterior_of(), table()


def rows(found: Any, total: str = "purchases") -> pd.DataFrame:
    return found.table[found.table["total"] == total].reset_index(drop=True)


# --- without a calendar it is what there has been ---


def test_without_a_calendar_it_is_the_portfolio_and_the_total_value() -> None:
    found = clv.forecast_total(
        POSTERIOR, RFM, horizon=HORIZON, calendar="none", paths=100, draws=50, random_seed=5
    )
    same = clv.portfolio(POSTERIOR, RFM, horizon=HORIZON, paths=100, draws=50, random_seed=5)
    np.testing.assert_array_equal(found.samples[0], same.draws("purchases"))
    np.testing.assert_array_equal(found.samples[1], same.draws("value"))
    value = total_value(POSTERIOR, RFM, horizon=HORIZON, draws=50)
    one = rows(found, "value").iloc[0]
    np.testing.assert_allclose(
        one[["expected_lower", "expected_upper"]].astype(float), [value.lower, value.upper]
    )
    assert one["mean"] == pytest.approx(value.mean, rel=1e-12)
    assert one["sd_parameters"] == pytest.approx(value.sd, rel=1e-12)
    assert one["sd_calendar"] == one["share_calendar"] == 0.0


@pytest.mark.parametrize("key", ["bgnbd", "paretonbd", "mbgcnbd2"])
def test_a_calendar_widens_the_outcome_and_leaves_the_expectation(key: str) -> None:
    posterior = posterior_of(key)
    none, some, much = (
        clv.forecast_total(posterior, RFM, horizon=HORIZON, calendar=sd, paths=500)
        for sd in ("none", "auto", 0.3)
    )
    kept = ["mean", "expected_lower", "expected_upper", "sd_parameters"]
    pd.testing.assert_frame_equal(some.table[kept], none.table[kept])
    pd.testing.assert_frame_equal(much.table[kept], none.table[kept])
    assert (some.table["lower"] < none.table["lower"]).all()
    assert (some.table["upper"] > none.table["upper"]).all()
    ratio = much.table["sd_calendar"] / some.table["sd_calendar"]
    np.testing.assert_allclose(ratio, 2.0, rtol=0.15)
    # .49 of w^2 stays, the swing and the drift come in: somewhat less than w in half a year
    share = some.table["sd_calendar"] / some.table["mean"]
    assert ((share > 0.08) & (share < 0.15)).all()


def test_sources_add_up_to_the_outcome() -> None:
    found = clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, paths=4_000, random_seed=1)
    of = found.table
    whole = sum(of[f"sd_{name}"] ** 2 for name in SOURCES)
    np.testing.assert_allclose(np.sqrt(whole), of["sd"], rtol=0.1)
    assert sum(of[f"share_{name}"] for name in SOURCES).to_numpy() == pytest.approx(1.0)
    for i in range(2):
        error = found.samples[i].std() / math.sqrt(500)  # as many calendars
        assert abs(found.samples[i].mean() - of["mean"][i]) < 4.5 * error + 0.01 * of["mean"][i]


def test_what_comes_of_a_known_calendar_is_in_the_interval_as_often_as_it_says() -> None:
    """Futures simulated under calendars of their own fall evenly among the paths."""
    forecast = clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, paths=500, random_seed=1)
    other = clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, paths=500, random_seed=99)
    lower, upper = rows(forecast).loc[0, ["lower", "upper"]]
    inside = np.mean((lower <= other.samples[0]) & (other.samples[0] <= upper))
    assert abs(inside - 0.9) < 5 * math.sqrt(0.09 / 500)


def test_a_single_point_has_no_interval_of_the_expectation_and_many_calendars() -> None:
    found = clv.forecast_total(posterior_of(draws=1), RFM, horizon=HORIZON)
    assert found.table[["expected_lower", "expected_upper"]].isna().all(axis=None)
    assert (found.table["sd_parameters"] == 0.0).all()
    assert (found.table["sd_calendar"] > 0.05 * found.table["mean"]).all()
    assert len(np.unique(found.samples[1])) == 500


# --- rows ---


def test_horizons_are_forecast_in_one_pass_like_one_by_one() -> None:
    both = clv.forecast_total(POSTERIOR, RFM, horizon=["180D", "30D"], paths=100)
    one = clv.forecast_total(POSTERIOR, RFM, horizon="180D", paths=100)
    assert rows(both)["horizon"].tolist() == ["30 days", "180 days"]
    last = both.table[both.table["horizon"] == "180 days"].reset_index(drop=True)
    pd.testing.assert_frame_equal(last, one.table, rtol=1e-9)
    np.testing.assert_allclose(both.samples[2:], one.samples, rtol=1e-9)
    soon = clv.forecast_total(POSTERIOR, RFM, horizon="30D", paths=100)
    exact = ["mean", "expected_lower", "expected_upper", "sd_calendar"]
    first = both.table[both.table["horizon"] == "30 days"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first[exact], soon.table[exact], rtol=1e-6)


@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_months_add_up_to_the_horizon(discounting: Any) -> None:
    terms: Any = {"horizon": "180D", "paths": 100, "discounting": discounting}
    whole = clv.forecast_total(POSTERIOR, RFM, **terms)
    found = clv.forecast_total(POSTERIOR, RFM, path="M", **terms)
    months = [f"2024-{m:02d}" for m in range(7, 13)]
    assert rows(found)["month"].tolist() == months
    for i, total in enumerate(("purchases", "value")):
        assert rows(found, total)["mean"].sum() == pytest.approx(
            rows(whole, total)["mean"][0], rel=1e-9
        )
        np.testing.assert_allclose(found.samples[i::2].sum(axis=0), whole.samples[i], rtol=1e-9)
    drawn = found.samples[::2]
    error = drawn.std(axis=1) / math.sqrt(100)
    assert (abs(drawn.mean(axis=1) - rows(found)["mean"]) < 5 * error).all()


def test_segments_add_up_to_the_whole() -> None:
    found = clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, by="channel", paths=80)
    whole = clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, paths=80)
    purchases = rows(found)
    assert purchases["channel"].tolist() == ["shop", "web", "(whole)"]
    assert purchases["mean"][2] == pytest.approx(purchases["mean"][:2].sum())
    last = found.table.tail(2).drop(columns="channel").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, whole.table, rtol=1e-9)
    # segments share the calendar: their doubts add up, and not their squares
    assert purchases["sd_calendar"][2] == pytest.approx(
        purchases["sd_calendar"][:2].sum(), rel=0.02
    )


def test_order_of_customers_and_threads_do_not_matter() -> None:
    frame = RFM.to_pandas()
    turned = frame.sample(frac=1.0, random_state=1)
    one, other = (
        clv.forecast_total(POSTERIOR, each, horizon=90.0, paths=60, threads=threads)
        for each, threads in ((frame, 1), (turned, 2))
    )
    pd.testing.assert_frame_equal(one.table, other.table, rtol=1e-9)


def test_weeks_are_days_by_seven() -> None:
    weeks = RFM.to_pandas().assign(recency=lambda f: f["recency"] / 7, T=lambda f: f["T"] / 7)
    draws = {n: v.copy() for n, v in POSTERIOR.purchases.draws(S).items()}
    draws["alpha"] /= 7
    by_week = clv.CLVPosterior(
        clv.BetaGeoPosterior.from_draws(**draws, time_unit="D", time_scaler=7), POSTERIOR.spend
    )
    one = clv.forecast_total(POSTERIOR, RFM, horizon="182D", paths=60)
    other = clv.forecast_total(
        by_week, weeks, horizon="26W", paths=60, time_unit="D", time_scaler=7
    )
    exact = ["mean", "expected_lower", "expected_upper", "sd_calendar"]
    pd.testing.assert_frame_equal(one.table[exact], other.table[exact], rtol=1e-9)


def test_purchases_alone_and_the_kind_of_frame() -> None:
    frame = pl.from_pandas(RFM.to_pandas())
    found = clv.forecast_total(POSTERIOR.purchases, frame, horizon=HORIZON, paths=20)
    assert isinstance(found.table, pl.DataFrame)
    assert found.table["total"].to_list() == ["purchases"]
    assert "margin" not in found.table.columns
    assert repr(found).startswith("<TotalForecast, 90 % intervals, calendar's sd 0.15, assumed>")


# --- scenarios ---


def test_a_scenario_multiplies_the_intensity_and_is_kept() -> None:
    scenario = {"2024-12": 1.2, "2024-08": 0.0}
    terms: Any = {"horizon": "184D", "path": "M", "calendar": "none", "paths": 40}
    plain = rows(clv.forecast_total(POSTERIOR, RFM, **terms))
    found = clv.forecast_total(POSTERIOR, RFM, scenario=scenario, **terms)
    changed = rows(found)
    assert found.scenario == {"2024-12": 1.2, "2024-08": 0.0}
    assert "scenario 2024-12 x 1.2, 2024-08 x 0" in repr(found)
    assert changed["mean"][0] == pytest.approx(plain["mean"][0], rel=1e-9)
    assert changed["mean"][1] == changed["upper"][1] == 0.0
    # a little more than before, since who does not buy in August has not left either
    assert 1.2 < changed["mean"][5] / plain["mean"][5] < 1.3
    even = clv.forecast_total(POSTERIOR, RFM, scenario={"2024": 1.0}, **terms)
    np.testing.assert_allclose(rows(even)["mean"], plain["mean"], rtol=1e-9)


@pytest.mark.parametrize(
    "scenario",
    [
        {pd.Period("2024-08", "M"): 0.5},
        pd.Series([0.5], index=pd.PeriodIndex(["2024-08"], freq="M")),
        pd.Series(0.5, index=pd.date_range("2024-08-01", "2024-08-31")),
        dict.fromkeys(pd.date_range("2024-08-01", "2024-08-31").date, 0.5),
        {"2024-08": 5.0, "2024Q3": 0.1, "2024-07": 10.0, "2024-09": 10.0},
    ],
    ids=["period", "months", "days", "dates", "overlapping"],
)
def test_periods_are_said_in_many_ways(scenario: Any) -> None:
    terms: Any = {"horizon": "100D", "paths": 20}
    found = clv.forecast_total(POSTERIOR, RFM, scenario=scenario, **terms)
    same = clv.forecast_total(POSTERIOR, RFM, scenario={"2024-08": 0.5}, **terms)
    numbers = found.table.select_dtypes("number")
    pd.testing.assert_frame_equal(numbers, same.table[numbers.columns], rtol=1e-9)


@pytest.mark.parametrize(
    ("scenario", "error", "said"),
    [
        ({"2023-12": 1.2}, SchemaError, "2023-12, which is not within the horizon, 2024-07-01 to"),
        ({"December": 1.2}, SchemaError, "'December', which is not a period"),
        ({"2024-13": 1.2}, SchemaError, "'2024-13', which is not a period"),
        ({}, SchemaError, "The scenario is empty"),
        (1.2, SchemaError, "must be a mapping or a pandas Series"),
        ({"2024-08": -0.1}, DomainError, "factor for 2024-08 is -0.1"),
        ({"2024-08": math.nan}, DomainError, "factor for 2024-08 is nan"),
        ({"2024-08": math.inf}, DomainError, "factor for 2024-08 is inf"),
        ({"2024-08": 120}, DomainError, "1.2 for 20 percent more"),
        ({"2024-08": "much"}, DomainError, "factor for 2024-08 is 'much'"),
        ({"2024-08": 1.0, pd.Period("2024-08", "M"): 2.0}, SchemaError, "2024-08 twice"),
        (
            pd.Series([1.0, 2.0], index=pd.to_datetime(["2024-08-01", "2024-09-01"])),
            SchemaError,
            "not one day after the other",
        ),
    ],
)
def test_scenarios_are_checked(scenario: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        clv.forecast_total(POSTERIOR, RFM, horizon=HORIZON, scenario=scenario)


def test_dates_are_needed_where_they_are() -> None:
    frame = RFM.to_pandas()
    for more in ({"scenario": {"2024-08": 1.1}}, {"path": "M"}):
        with pytest.raises(SchemaError, match="needs dates, and these customers have none"):
            clv.forecast_total(POSTERIOR, frame, horizon=HORIZON, **more)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"calendar": "learnt"}, SchemaError, "this one has none: fit it with"),
        ({"calendar": "much"}, SchemaError, '"auto", "none", "learnt" or the sd'),
        ({"calendar": True}, SchemaError, '"auto", "none", "learnt" or the sd'),
        ({"calendar": -0.1}, DomainError, "between 0 and 1"),
        ({"calendar": 15}, DomainError, "0.15 for about 15 percent"),
        ({"calendar": math.nan}, DomainError, "between 0 and 1"),
        ({"horizon": None}, DomainError, "finite horizon"),
        ({"horizon": ["30D", "90D"], "path": "M"}, SchemaError, "found several: pass one"),
        ({"path": "W"}, SchemaError, "path"),
        ({"by": "region"}, SchemaError, "region"),
    ],
)
def test_options_are_checked(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        clv.forecast_total(POSTERIOR, RFM, **{"horizon": HORIZON, **options})


def test_nobody_is_followed_for_ever() -> None:
    """Two who come daily and stay: it is each that may make 100,000 purchases, not both."""
    rates = {"r": [1.0, 1.1], "alpha": [1e-3, 2e-3], "a": [1e-9, 1e-9], "b": [1.0, 1.0]}
    posterior = clv.BetaGeoPosterior.from_draws(**rates)
    frame = pd.DataFrame(
        {"customer_id": [1, 2], "frequency": [40, 40], "recency": [40.0, 40.0], "T": [40.0, 40.0]}
    )
    ask: dict[str, Any] = {"draws": 2, "paths": 2, "calendar": "none"}
    mean = rows(clv.forecast_total(posterior, frame, horizon=80_000.0, **ask)).loc[0, "mean"]
    assert 160_000 < mean < 170_000
    with pytest.raises(DomainError, match="more than 100,000 purchases within the horizon"):
        clv.forecast_total(posterior, frame, horizon=100_000.0, **ask)


def test_no_customers_and_endless_spend() -> None:
    with pytest.raises(DomainError, match="no customers"):
        clv.forecast_total(POSTERIOR, RFM.to_pandas().iloc[:0], horizon=HORIZON)
    spend = clv.GammaGammaPosterior.from_draws(p=[6.0, 6.0], q=[0.9, 4.0], v=[15.0, 15.0])
    odd = clv.CLVPosterior(POSTERIOR.purchases, spend)
    with pytest.warns(UserWarning, match="expected spend"):
        found = clv.forecast_total(odd, RFM, horizon=HORIZON, paths=20)
    once = int((RFM.to_pandas()["frequency"] == 0).sum())
    assert found.without_value == once
    assert np.isfinite(rows(found, "value")[["mean", "lower", "upper"]]).all(axis=None)


# --- portfolio under a calendar ---


def test_a_portfolio_takes_the_same_calendar() -> None:
    terms: Any = {"horizon": HORIZON, "paths": 500, "random_seed": 4}
    whole = clv.forecast_total(POSTERIOR, RFM, calendar=0.2, **terms)
    found = clv.portfolio(POSTERIOR, RFM, calendar=0.2, by="channel", **terms)
    np.testing.assert_allclose(found.draws("purchases"), whole.samples[0])
    np.testing.assert_allclose(found.draws("value"), whole.samples[1])
    shops = [found.draws("purchases", i) for i in (0, 1)]
    assert np.corrcoef(shops)[0, 1] > 0.5  # they share it
    apart = clv.portfolio(POSTERIOR, RFM, by="channel", **terms)
    assert np.corrcoef([apart.draws("purchases", i) for i in (0, 1)])[0, 1] < 0.5
