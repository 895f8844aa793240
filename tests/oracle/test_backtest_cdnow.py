"""Backtests of real logs against arithmetic that shares nothing with the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from clvmodels import Backtest, backtest
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.formulas import bgnbd

CUT, END = pd.Timestamp("1997-09-30"), pd.Timestamp("1998-06-30")
COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
DELTA = np.log(1.1) / 365.25

pytestmark = pytest.mark.slow


def run(log: pd.DataFrame, **changes: Any) -> Backtest:
    options: dict[str, Any] = {"train_period_end": "1997-09-30", **COLUMNS, **changes}
    return backtest(log, **options)


@pytest.fixture(scope="module")
def sample() -> Backtest:
    return run(load_cdnow(sample=True), random_seed=1)


@pytest.fixture(scope="module")
def whole() -> Backtest:
    return run(load_cdnow(), random_seed=1)


def truth(log: pd.DataFrame, when: str, cut: pd.Timestamp) -> pd.DataFrame:
    """Count and discounted value of the holdout's days, by customer known at the cut."""
    days = log.assign(day=log[when].dt.normalize())
    days = days[days["amount"] >= 0].dropna(subset=["customer_id"])
    known = days.loc[days["day"] <= cut, "customer_id"].unique()
    later = days[days["day"] > cut]
    later = later.assign(value=later["amount"] * np.exp(-DELTA * (later["day"] - cut).dt.days))
    by_day = later.groupby(["customer_id", "day"])["value"].sum().reset_index()
    found = by_day.groupby("customer_id")["value"].agg(["size", "sum"])
    return found.reindex(np.sort(known)).fillna(0.0)


def check_metrics(found: Backtest, target: str, y: np.ndarray) -> None:
    """Recompute every figure of the table from the customers' forecasts."""
    table, customers = found.table(target), found.customers
    np.testing.assert_allclose(customers[f"{target}_actual"], y, rtol=1e-9)
    for name in table.columns:
        f = customers[f"{target}_{name}"].to_numpy()
        column = table[name]
        assert column["bias"] == pytest.approx((f.sum() - y.sum()) / y.sum())
        assert column["mae"] == pytest.approx(np.mean(np.abs(f - y)))
        assert column["rmse"] == pytest.approx(np.sqrt(np.mean((f - y) ** 2)))
        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.where(y > 0, y * np.log(y / f), 0.0) - (y - f)
        assert column["poisson_deviance"] == pytest.approx(2 * np.mean(unit))
        if np.ptp(f) > 0:
            assert column["spearman"] == pytest.approx(stats.spearmanr(f, y).statistic)
            ranks, own = stats.rankdata(f), stats.rankdata(y)
            gini = np.cov(ranks, y)[0, 1] / np.cov(own, y)[0, 1]
            assert column["gini"] == pytest.approx(gini)
        else:
            assert np.isnan(column["spearman"])


def test_the_sample_is_what_is_known_of_it(sample: Backtest) -> None:
    purchases = sample.table("purchases")["model"]
    assert purchases["mae"] == pytest.approx(0.785, abs=0.003)
    assert purchases["rmse"] == pytest.approx(1.608, abs=0.005)
    assert purchases["bias"] == pytest.approx(-0.12, abs=0.01)
    value = sample.table("value")["model"]
    assert value["bias"] == pytest.approx(-0.156, abs=0.015)
    assert len(sample) == 2357
    assert sample.settings["new_customers"] == 0
    assert sample.settings["horizon_days"] == 273.0


def test_metrics_of_the_sample_by_other_arithmetic(sample: Backtest) -> None:
    y = truth(load_cdnow(sample=True), "date", CUT)
    assert y["size"].sum() == 1882
    check_metrics(sample, "purchases", y["size"].to_numpy())
    check_metrics(sample, "value", y["sum"].to_numpy())


def test_the_sample_warns_of_its_total(sample: Backtest) -> None:
    """About 1,653 forecast, 1,882 came, outside the 90 % interval 1,490 to 1,820."""
    total = sample.totals.set_index(["target", "level"]).loc[("purchases", 0.9)]
    assert total["actual"] == 1882
    assert total["forecast"] == pytest.approx(1653, abs=12)
    # an end of 2,000 paths is known to about sd x .047, and parameters are drawn, too
    assert total["lower"] == pytest.approx(1490, abs=25)
    assert total["upper"] == pytest.approx(1820, abs=25)
    assert not total["inside"]
    (warning,) = [check for check in sample.checks if "total purchases" in check.name]
    assert warning.status == "warn"
    assert warning.value == pytest.approx(total["forecast"] / 1882 - 1)
    said = f"{total['forecast']:,.0f} purchases were forecast, 1,882 came, outside the 90 %"
    assert warning.advice.startswith(said)
    assert sample.status == "warn"
    assert {use.use: use.verdict for use in sample.uses}["totals"] == "with care"


@pytest.mark.parametrize("which", ["sample", "whole"])
def test_intervals_of_counts_hold(which: str, request: pytest.FixtureRequest) -> None:
    found: Backtest = request.getfixturevalue(which)
    rows = found.coverage.set_index(["target", "level"])
    assert 0.88 <= rows.loc[("purchases", 0.9), "coverage"] <= 0.97
    assert 0.88 <= rows.loc[("value", 0.9), "coverage"] <= 0.97
    for target in ("purchases", "value"):
        assert rows.loc[target]["coverage"].is_monotonic_increasing
        assert rows.loc[target]["width"].is_monotonic_increasing
        mine = found.customers
        inside = mine[f"{target}_actual"].between(
            mine[f"{target}_lower"] - 1e-9, mine[f"{target}_upper"] + 1e-9
        )
        assert rows.loc[(target, 0.9), "coverage"] == pytest.approx(inside.mean())


def test_the_model_beats_the_baselines_where_it_should(sample: Backtest) -> None:
    verdict = sample.verdict("purchases")
    others = ["simple", "simple_per_customer", "last_period", "cohort"]
    assert (verdict.loc[["bias", "mae", "rmse", "crps"], others] == "better").all(axis=None)
    # and not everywhere: those who bought lately rank next to as well
    assert verdict.loc["spearman", "last_period"] == "worse"


def test_tracking_is_the_published_expectation(sample: Backtest) -> None:
    """Repeat purchases to the end of the calibration, by eq. 9 at maximum likelihood."""
    log = load_cdnow(sample=True)
    first = log.groupby("customer_id")["date"].min()
    age = (CUT - first).dt.days.to_numpy() / 7.0
    known = {"r": 0.24259454, "alpha": 4.41360188, "a": 0.79291991, "b": 2.42588806}
    at_maximum = float(bgnbd.expected_purchases_new(age, **known).sum())
    train = sample.tracking[sample.tracking["part"] == "train"]
    assert train["cumulative_expected"].iloc[-1] == pytest.approx(at_maximum, rel=0.02)
    assert train["cumulative_actual"].iloc[-1] == 4814 - 2357
    days = log.assign(day=log["date"]).drop_duplicates(["customer_id", "day"])
    repeats = days[days["day"] > days["customer_id"].map(first)]
    assert sample.tracking["actual"].sum() == len(repeats)
    week = sample.tracking.iloc[20]
    inside = (repeats["day"] > week["date"] - pd.Timedelta(days=7)) & (
        repeats["day"] <= week["date"]
    )
    assert week["actual"] == inside.sum()
    holdout = sample.tracking[sample.tracking["part"] == "holdout"]
    assert len(holdout) == 39
    assert holdout["expected"].sum() == pytest.approx(sample.customers["purchases_model"].sum())
    assert holdout["cumulative_actual"].iloc[-1] > holdout["cumulative_upper"].iloc[-1]


def test_customers_by_repeats(sample: Backtest) -> None:
    assert sample.repeats["actual"].tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    inside = sample.repeats["actual"].between(sample.repeats["lower"], sample.repeats["upper"])
    assert inside.sum() >= 7


def test_all_of_cdnow_by_other_arithmetic(whole: Backtest) -> None:
    y = truth(load_cdnow(), "date", CUT)
    assert len(whole) == 23_570
    check_metrics(whole, "purchases", y["size"].to_numpy())
    check_metrics(whole, "value", y["sum"].to_numpy())
    purchases = whole.table("purchases")
    others = purchases.loc["mae"].drop(["model", "point"])
    assert (purchases.loc["mae", "model"] < 0.8 * others).all()


def test_online_retail_by_other_arithmetic() -> None:
    log = load_online_retail()
    found = backtest(
        log,
        customer_id_col="customer_id",
        datetime_col="timestamp",
        monetary_value_col="amount",
        train_period_end="2011-08-31",
        random_seed=1,
        bootstrap=200,
    )
    y = truth(log, "timestamp", pd.Timestamp("2011-08-31"))
    check_metrics(found, "purchases", y["size"].to_numpy(dtype=float))
    check_metrics(found, "value", y["sum"].to_numpy())
    later = log[(log["timestamp"] >= "2011-09-01") & (log["amount"] >= 0)]
    new = set(later["customer_id"].dropna()) - set(y.index)
    assert found.settings["new_customers"] == len(new)
    # three months before Christmas: the total is missed, and said to be
    (warning,) = [check for check in found.checks if "total purchases" in check.name]
    assert warning.status == "warn"
