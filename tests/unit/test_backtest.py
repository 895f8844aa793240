"""One call from a log to a verdict: what it holds, how it is kept, and what it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    Backtest,
    BetaGeoPosterior,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    SchemaError,
    backtest,
    load_backtest,
)
from clvmodels.evaluation import checks, tracking
from clvmodels.evaluation.cut_dates import Calendar
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.fitting import Fitting, centre
from clvmodels.evaluation.metrics import METRICS
from clvmodels.evaluation.simulated_weeks import Histories, simulate_counts
from clvmodels.formulas import along, bgnbd
from clvmodels.purchases import MODELS
from clvmodels.schema import TimeScale
from clvmodels.simulate import simulate_log
from clvmodels.uses import judge_uses
from tests.kinds import KINDS

COLUMNS: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
MONEY: dict[str, Any] = {**COLUMNS, "monetary_value_col": "amount"}
TRUTH = {"r": 0.5, "alpha": 20.0, "a": 0.8, "b": 2.5}
OF_MODEL = dict.fromkeys(KINDS, TRUTH)
OF_MODEL["paretonbd"] = {"r": 0.5, "alpha": 20.0, "s": 0.7, "beta": 30.0}
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}
QUICK: dict[str, Any] = {"bootstrap": 50, "draws": 50}


def known(rfm: Any, draws: int) -> Any:
    """A posterior around what the log was simulated from."""
    rng = np.random.default_rng(3)
    scatter = [0.1 * (draws > 1) * rng.normal(size=draws) for _ in range(7)]
    values = {**TRUTH, **SPEND}
    some = {k: v * np.exp(e) for (k, v), e in zip(values.items(), scatter, strict=True)}
    unit = {"time_unit": rfm.time_unit, "time_scaler": rfm.time_scaler}
    purchases = BetaGeoPosterior.from_draws(**{name: some[name] for name in TRUTH}, **unit)
    if not rfm.has_money:
        return purchases
    return CLVPosterior(
        purchases, GammaGammaPosterior.from_draws(**{name: some[name] for name in SPEND})
    )


@pytest.fixture(scope="module", autouse=True)
def _no_fits() -> Iterator[None]:
    """Backtests of CDNOW fit models; here they are known, so that all is about the rest."""

    def fit(self: Fitting, rfm: Any, **changes: Any) -> Any:
        return known(rfm, 1 if "map" in {*self.options.values(), *changes.values()} else 60)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "fit", fit)
        yield


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    found = simulate_log(400, **TRUTH, **SPEND, T=(200.0, 300.0), seed=11)
    return found[["customer_id", "date", "amount"]]


@pytest.fixture(scope="module")
def cut(log: pd.DataFrame) -> str:
    first, last = log["date"].min(), log["date"].max()
    return str((first + 0.6 * (last - first)).date())


@pytest.fixture(scope="module")
def found(log: pd.DataFrame, cut: str) -> Backtest:
    return backtest(log, **MONEY, train_period_end=cut, origins=2, sensitivity=True, **QUICK)


@pytest.mark.slow  # makes the backtest that the next tests look at
def test_all_tables_speak_of_the_same_customers(found: Backtest, log: pd.DataFrame) -> None:
    settings = found.settings
    assert len(found) == settings["customers"] == len(found.customers)
    assert len(found) + settings["new_customers"] == log["customer_id"].nunique()
    later = log[log["date"] >= pd.Timestamp(found.train_end) + pd.Timedelta(days=1)]
    later = later[later["customer_id"].isin(found.customers["customer_id"])]
    days = later.assign(day=later["date"].dt.floor("D")).drop_duplicates(["customer_id", "day"])
    assert found.customers["purchases_actual"].sum() == len(days)
    tracked = found.tracking[found.tracking["part"] == "holdout"]
    assert tracked["actual"].sum() == len(days)
    assert tracked["expected"].sum() == pytest.approx(found.customers["purchases_model"].sum())
    train = found.tracking[found.tracking["part"] == "train"]
    assert train["actual"].sum() == found.customers["frequency"].sum()
    assert tracked["cumulative_actual"].iloc[-1] == len(days) + train["actual"].sum()
    assert found.repeats["actual"].sum() == len(found)
    assert found.repeats["expected"].sum() == pytest.approx(len(found))
    for target in ("purchases", "value"):
        totals = found.totals[found.totals["target"] == target]
        assert (totals["forecast"] == totals["forecast"].iloc[0]).all()
        assert totals["actual"].iloc[0] == pytest.approx(found.customers[f"{target}_actual"].sum())
        assert (np.diff(totals["upper"] - totals["lower"]) > 0).all()


def test_every_metric_of_every_forecast_is_there(found: Backtest) -> None:
    names = ["model", "simple", "simple_per_customer", "last_period", "cohort", "point"]
    for target in found.targets:
        assert found.table(target).index.tolist() == list(METRICS)
        assert found.table(target).columns.tolist() == names
        assert found.verdict(target).columns.tolist() == names[1:]
        assert set(np.unique(found.verdict(target))) <= {"", "better", "worse", "unclear"}
    assert set(found.coverage["level"]) == {0.5, 0.8, 0.9, 0.95}
    with pytest.raises(SchemaError, match="has purchases, value"):
        found.table("spend")


def test_rolling_origins_lie_in_the_second_half(found: Backtest, log: pd.DataFrame) -> None:
    assert found.rolling is not None
    ends = found.rolling.drop_duplicates("origin")
    assert ends["origin"].tolist() == [1, 2]
    first, last = log["date"].min(), log["date"].max()
    middle = first + (last - first) / 2
    assert abs(pd.Timestamp(ends["train_end"].iloc[0]) - middle) < pd.Timedelta(days=2)
    assert ends["train_end"].iloc[1] == ends["test_end"].iloc[0]
    assert set(found.rolling["metric"]) == set(METRICS)


def test_totals_allow_for_the_calendar_at_every_cut(found: Backtest) -> None:
    assert found.settings["calendar"] == "auto"
    table = found.calendar_totals
    assert table is not None
    cuts = {(found.train_end, found.test_end)} | set(
        found.rolling[["train_end", "test_end"]].itertuples(index=False, name=None)
    )
    assert set(table[["train_end", "test_end"]].itertuples(index=False, name=None)) == cuts
    by = table.set_index(["train_end", "test_end", "target", "calendar_sd"])
    without, allowed = by.xs(0.0, level="calendar_sd"), by.xs(0.15, level="calendar_sd")
    assert len(without) == len(allowed) == 2 * len(cuts)
    assert (allowed["lower"] < without["lower"]).all()
    assert (allowed["upper"] > without["upper"]).all()
    pd.testing.assert_series_equal(allowed["forecast"], without["forecast"])
    for (start, end, target), one in allowed.iterrows():
        if (start, end) != (found.train_end, found.test_end):
            continue
        assert one["forecast"] == pytest.approx(found.customers[f"{target}_model"].sum())
        assert one["actual"] == pytest.approx(found.customers[f"{target}_actual"].sum())
    real, lower, upper = (table[name] for name in ("actual", "lower", "upper"))
    inside = (lower <= real) & (real <= upper)
    assert table["inside"].tolist() == inside.tolist()
    missed = np.maximum(lower - real, 0) + np.maximum(real - upper, 0)
    np.testing.assert_allclose(table["interval_score"] * real, upper - lower + 20 * missed)


def test_next_purchases_are_held_against_what_came(found: Backtest, log: pd.DataFrame) -> None:
    table = found.next_purchases
    assert table is not None
    by = table.set_index("statement")
    length = (pd.Timestamp(found.test_end) - pd.Timestamp(found.train_end)).days
    dates = pd.to_datetime(log["date"]).dt.normalize()
    later = log[(dates > found.train_end) & (dates <= found.test_end)]
    first = pd.to_datetime(later.groupby("customer_id")["date"].min()).dt.normalize()
    first = first.reindex(found.customers["customer_id"])
    for days in (30, 90, 365):
        assert (f"bought within {days} days" in by.index) == (days <= length)
        if days <= length:
            real = (first <= pd.Timestamp(found.train_end) + pd.Timedelta(days, "D")).mean()
            assert by.loc[f"bought within {days} days", "happened"] == pytest.approx(real)
    parts = by.loc[["not overdue: bought in the holdout", "overdue: bought in the holdout"]]
    assert parts["customers"].sum() == len(found)
    back = (parts["customers"] * parts["happened"]).sum()
    assert back == pytest.approx((found.customers["purchases_actual"] > 0).sum())
    assert ((table["lower"] <= table["said"]) & (table["said"] <= table["upper"])).all()


def test_what_was_said_of_next_purchases_comes_true_of_the_model_itself() -> None:
    """Of customers simulated from it all shares lie where chance may put them."""
    log = simulate_log(4_000, **TRUTH, T=(300.0, 700.0), seed=12, observation_end="2024-12-31")
    found = backtest(
        log, **COLUMNS, train_period_end="2024-04-30", interval=0.9999, calendar="none", **QUICK
    )
    table = found.next_purchases
    assert table is not None
    assert len(table) == 6
    assert (table["customers"] > 100).all()
    # The posterior lies within a tenth of the truth, which moves chances by about .01
    assert (table["happened"] >= table["lower"] - 0.01).all()
    assert (table["happened"] <= table["upper"] + 0.01).all()


def test_sensitivity_is_one_table(found: Backtest) -> None:
    table = found.sensitivity
    assert table is not None
    assert table["handling"].iloc[0] == "as given"
    assert table["purchases_change"].iloc[0] == 0
    # the log has neither refunds nor zeros nor duplicates
    same = table[table["handling"].str.contains("refunds|amounts of 0|duplicate")]
    assert len(same) == 3
    np.testing.assert_allclose(same["value_change"], 0.0, atol=1e-9)
    later = table[table["handling"].str.startswith("observation starts")]
    assert (later["customers"] <= table["customers"].iloc[0]).all()
    assert (later["repeat_purchases"] < table["repeat_purchases"].iloc[0]).all()
    assert table["purchases_actual"].iloc[0] == found.customers["purchases_actual"].sum()
    hours = table[table["handling"] == "one purchase per hour, not per day"]
    assert (hours["repeat_purchases"] == table["repeat_purchases"].iloc[0]).all()


def test_it_is_kept_whole(found: Backtest, tmp_path: Path) -> None:
    again = load_backtest(found.save(tmp_path / "kept"))
    assert again.to_dict() == found.to_dict()
    for name in (
        "metrics",
        "customers",
        "tracking",
        "calibration",
        "repeats",
        "rolling",
        "calendar_totals",
        "next_purchases",
    ):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name), check_dtype=False)
    assert str(again) == str(found)
    header = json.loads((tmp_path / "kept" / "metrics.json").read_text())
    assert header["status"] == found.status
    header["format_version"] = 99
    (tmp_path / "kept" / "metrics.json").write_text(json.dumps(header))
    with pytest.raises(SchemaError, match="newer than"):
        load_backtest(tmp_path / "kept")
    with pytest.raises(SchemaError, match="no whole backtest"):
        load_backtest(tmp_path)


def test_it_shows_itself(found: Backtest) -> None:
    page = found._repr_html_()
    assert "share of the true top 10 % found" in page
    assert page.count("<table") >= 4
    assert found.train_end in repr(found)


def test_the_same_seed_gives_the_same_figures(log: pd.DataFrame, cut: str) -> None:
    one, other = (backtest(log, **MONEY, train_period_end=cut, **QUICK) for _ in range(2))
    # Sums of the log are exact to the last bit or so: threads add in another order.
    for name in ("metrics", "customers", "coverage", "totals", "calibration", "tracking"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), rtol=1e-9)


def test_a_mode_is_its_own_point_estimate(log: pd.DataFrame, cut: str) -> None:
    mode = backtest(log, **MONEY, train_period_end=cut, method="map", **QUICK)
    assert "point" not in mode.table()
    assert "single point" in mode.notes[0]
    total = mode.totals.set_index(["target", "level"]).loc[("purchases", 0.9)]
    assert total["lower"] < total["forecast"] < total["upper"]  # chance alone


def test_margin_scales_value_and_nothing_else(log: pd.DataFrame, cut: str, found: Backtest) -> None:
    third = backtest(log, **MONEY, train_period_end=cut, margin=0.25, **QUICK)
    scale = {"mae": 0.25, "rmse": 0.25, "poisson_deviance": 0.25, "crps": 0.25}
    for metric in METRICS:
        one, other = third.table("value").loc[metric], found.table("value").loc[metric]
        np.testing.assert_allclose(one, scale.get(metric, 1.0) * other, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(third.table("purchases"), found.table("purchases"))


def test_without_amounts_purchases_alone_are_tested(log: pd.DataFrame, cut: str) -> None:
    alone = backtest(log, **COLUMNS, train_period_end=cut, **QUICK)
    assert alone.targets == ("purchases",)
    assert "value_actual" not in alone.customers
    total = alone.totals.set_index("level")
    assert total["lower"][0.9] < total["forecast"][0.9] < total["upper"][0.9]


# --- what is refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_period_end": "1990-01-01"}, "before the log: the log runs from"),
        ({"train_period_end": "2025-03-08"}, "no repeat purchase to learn from"),
        ({"train_period_end": "2030-01-01"}, "no purchase in the holdout.*may be from"),
        ({"test_period_end": "2030-01-01"}, "after the log"),
        ({"horizon": "5Y"}, "after the log"),
        ({"origins": "all"}, "origins='all' is unknown"),
        ({"horizon": "4W", "test_period_end": "2025-12-01"}, "either test_period_end or horizon"),
        ({"origins": 0}, "whole number >= 1"),
        ({"origins": 90, "horizon": "100D"}, "do not fit"),
        ({"interval": 1.0}, "between 0 and 1"),
        ({"bootstrap": -1}, "whole number >= 0"),
        ({"discount_rate": -0.1}, "effective annual rate"),
        ({"model": "pareto"}, "unknown"),
        ({"horizon": 0}, "at least one period"),
    ],
)
def test_bad_input_says_what_would_work(
    log: pd.DataFrame, cut: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((SchemaError, DomainError), match=message):
        backtest(log, **MONEY, **{"train_period_end": cut, **QUICK, **options})


def test_the_dates_in_the_message_do_work(log: pd.DataFrame) -> None:
    reading = Reading.of(log, {**MONEY, **_DEFAULTS})
    with pytest.raises(SchemaError) as error:
        reading.calendar.span("1990-01-01", None, None)
    earliest = str(error.value).split("may be from ")[1].split(" to ")
    latest, sensible = earliest[1].split(";")[0], earliest[1].split("; ")[1].split(" ")[0]
    for date in (earliest[0], latest, sensible):
        reading.calendar.span(date, None, None)
    day_before = pd.Timestamp(earliest[0]) - pd.Timedelta(days=1)
    with pytest.raises(SchemaError, match="no repeat purchase"):
        reading.calendar.span(day_before, None, None)


def test_customers_only_in_the_holdout() -> None:
    log = pd.DataFrame(
        {
            "customer_id": [1, 1, 2, 3, 4],
            "date": ["2020-01-01", "2020-02-01", "2020-02-01", "2020-03-01", "2020-04-01"],
            "amount": [5.0, 6.0, 7.0, 8.0, 9.0],
        }
    )
    with pytest.raises(SchemaError, match=r"None of the 2 customers .* only 2 new ones"):
        backtest(log, **MONEY, train_period_end="2020-02-01", **QUICK)


def test_a_log_without_purchases() -> None:
    empty = pd.DataFrame({"customer_id": [1], "date": ["x"], "amount": [1.0]})
    with pytest.raises(SchemaError, match="no usable purchase"):
        backtest(empty, **MONEY, train_period_end="2020-01-01", **QUICK)


def test_nobody_buys_twice() -> None:
    log = pd.DataFrame({"customer_id": [1, 2], "date": ["2020-01-01", "2020-02-01"], "amount": 1.0})
    with pytest.raises(SchemaError, match="Nobody buys twice"):
        backtest(log, **MONEY, train_period_end="2020-01-15", **QUICK)


_DEFAULTS: dict[str, Any] = {
    "time_unit": "D",
    "time_scaler": 1.0,
    "refunds": "drop",
    "zero_amounts": "keep",
    "duplicates": "keep",
    "id_map": None,
    "margin": 1.0,
}


@pytest.mark.parametrize(("count", "horizon"), [(1, None), (4, None), (5, "10D"), (3, 20)])
def test_origins_are_equally_spaced(count: int, horizon: Any) -> None:
    periods = np.arange(0, 201)
    repeat = periods > 0
    calendar = Calendar(periods, repeat, 200, TimeScale())
    spans = calendar.origins(count, None, horizon)
    assert len(spans) == count
    assert spans[0].train_end == 100
    assert len({span.length for span in spans}) == 1
    assert spans[-1].test_end == 200 if count > 1 or horizon is None else True
    steps = np.diff([span.train_end for span in spans])
    assert len(steps) == 0 or np.ptp(steps) <= 1


def test_usual_origins_are_as_many_as_there_is_room_for() -> None:
    def found(days: int, horizon: Any = None, scale: TimeScale | None = None) -> list[Any]:
        periods = np.arange(days + 1)
        return Calendar(periods, periods > 0, days, scale or TimeScale()).usual_origins(
            None, horizon
        )

    assert [len(found(n)) for n in (365, 200, 120, 60)] == [4, 3, 2, 1]
    assert len(found(60, "10D")) == 4  # of a length that was asked for
    assert len(found(60, scale=TimeScale("W"))) == 4
    with pytest.raises(SchemaError):
        found(1)


def test_without_a_date_there_are_rolling_origins_and_totals_over_all(
    log: pd.DataFrame, cut: str
) -> None:
    auto = backtest(log, **MONEY, **QUICK)
    same = backtest(log, **MONEY, origins=auto.rolling["origin"].nunique(), **QUICK)
    pd.testing.assert_frame_equal(auto.rolling, same.rolling)
    assert auto.train_end == auto.rolling["train_end"].iloc[-1]
    assert backtest(log, **MONEY, train_period_end=cut, **QUICK).rolling is None
    over = auto.totals_over_dates
    dates = auto.rolling["train_end"].nunique()
    assert {*zip(over["target"], over["calendar_sd"], strict=True)} == {
        (target, sd) for target in ("purchases", "value") for sd in (0.0, 0.15)
    }
    assert (over["dates"] == dates).all()
    rows = auto.calendar_totals.query("target == 'value' and calendar_sd > 0")
    mine = over.query("target == 'value' and calendar_sd > 0").iloc[0]
    assert mine["inside"] == rows["inside"].sum()
    assert mine["coverage"] == rows["inside"].mean()
    assert mine["interval_score"] == pytest.approx(rows["interval_score"].mean())
    assert mine["error"] == pytest.approx((rows["forecast"] / rows["actual"] - 1).mean())
    none = backtest(log, **MONEY, train_period_end=cut, calendar="none", **QUICK)
    assert none.totals_over_dates is None


# --- expectations by week --------------------------------------------------------------


@pytest.mark.parametrize("model", KINDS)
def test_simulated_weeks_have_the_expectation_of_the_closed_form(model: str) -> None:
    formulas: Any = MODELS[model].formulas
    n, S = 300, 400
    parameters = {name: np.full(S, value) for name, value in OF_MODEL[model].items()}
    rng = np.random.default_rng(5)
    T = rng.uniform(10, 60, n)
    x = np.repeat([0.0, 1.0, 4.0], n // 3)
    t_x = np.where(x > 0, T * rng.uniform(0.2, 1.0, n), 0.0)
    edges = np.array([0.0, 7.0, 14.0, 60.0])
    drawn = simulate_counts(formulas, parameters, Histories(x, t_x, T, np.zeros(n)), edges, seed=1)
    expected = [
        float(formulas.expected_purchases(x, t_x, T, s, **OF_MODEL[model]).sum()) for s in edges[1:]
    ]
    error = drawn.mean(axis=0) - np.diff([0.0, *expected])
    assert (np.abs(error) < 4.5 * drawn.std(axis=0) / np.sqrt(S)).all()


@pytest.mark.parametrize("model", KINDS)
def test_new_customers_who_start_at_any_time_have_the_expectation_of_the_closed_form(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are walked with others of about their time, which changes nothing."""
    formulas: Any = MODELS[model].formulas
    n, S, edges = 300, 400, np.array([-5.0, 0.0, 7.0, 30.0, 60.0])
    parameters = {name: np.full(S, value) for name, value in OF_MODEL[model].items()}
    nothing, start = np.zeros(n), np.random.default_rng(7).uniform(-20.0, 59.0, n)
    new = Histories(nothing, nothing, nothing, start)
    drawn = simulate_counts(formulas, parameters, new, edges, seed=2)
    reached = [
        formulas.expected_purchases_new(np.maximum(edge - start, 0.0), **OF_MODEL[model]).sum()
        for edge in edges
    ]
    error = drawn.mean(axis=0) - np.diff(reached)
    assert (np.abs(error) < 4.5 * drawn.std(axis=0) / np.sqrt(S)).all()
    monkeypatch.setattr("clvmodels.evaluation.simulated_weeks._WINDOWS", 1)
    np.testing.assert_array_equal(simulate_counts(formulas, parameters, new, edges, seed=2), drawn)


def test_simulated_weeks_do_not_depend_on_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    x, T = rng.integers(0, 5, 200).astype(float), rng.integers(20, 90, 200).astype(float)
    known = Histories(x, np.where(x > 0, T - 5, 0.0), T, np.zeros(200))
    parameters = {name: np.full(40, value) for name, value in TRUTH.items()}
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(
            "clvmodels.evaluation.simulated_weeks.available_cores", lambda n=cores: n
        )
        edges = np.array([0.0, 7.0, 14.0, 60.0])
        found.append(simulate_counts(MODELS["bgnbd"].formulas, parameters, known, edges, seed=3))
    np.testing.assert_array_equal(*found)
    assert len(np.unique(found[0], axis=0)) > 30  # every draw has a stream of its own


def test_weekly_expectation_is_the_closed_form(log: pd.DataFrame, cut: str) -> None:
    reading = Reading.of(log, {**MONEY, **_DEFAULTS})
    base = reading.cut(reading.calendar.span(cut, None, None), 0.1, "continuous")
    rng = np.random.default_rng(2)
    draws = {name: value * rng.lognormal(0, 0.1, 30) for name, value in TRUTH.items()}
    posterior = BetaGeoPosterior.from_draws(**draws)
    edges = np.append(np.arange(base.span.train_end, base.span.test_end, 3), base.span.test_end)
    assert len(edges) > 20  # so that it is interpolated
    by_week = tracking.expected_of_known(base, posterior, edges, 30)
    frame = base.train.to_pandas()
    x, t_x, T = (frame[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    columns = {name: values[:, None] for name, values in draws.items()}
    exact = [
        bgnbd.expected_purchases(x, t_x, T, float(edge - edges[0]), **columns).sum(axis=1).mean()
        for edge in edges
    ]
    np.testing.assert_allclose(by_week, np.diff(exact), rtol=1e-9)
    first = base.first
    weeks = np.arange(base.span.train_end - 70, base.span.train_end + 1, 7)
    new = tracking.expected_of_new(posterior.formulas, draws, first, weeks).mean(axis=0)
    ages = np.maximum(weeks[:, None] - first, 0).astype(float)
    each = [bgnbd.expected_purchases_new(ages, **_one(draws, s)).sum(axis=1) for s in range(30)]
    np.testing.assert_allclose(new, np.diff(np.mean(each, axis=0)), rtol=1e-10)


def test_weeks_do_not_cost_an_integral_a_customer(
    log: pd.DataFrame, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a and b run off together the integral is dear: 374 of 442 seconds were spent so."""
    reading = Reading.of(log, {**MONEY, **_DEFAULTS})
    base = reading.cut(reading.calendar.span(cut, None, None), 0.1, "continuous")
    draws = {"r": [0.9, 1.0], "alpha": [20.0, 21.0], "a": [50.0, 60.0], "b": [4e3, 5e3]}
    posterior = BetaGeoPosterior.from_draws(**{k: np.array(v) for k, v in draws.items()})
    edges = np.append(np.arange(base.span.train_end, base.span.test_end, 3), base.span.test_end)
    asked = []
    direct = along.purchases_if_alive

    def counted(*arguments: Any) -> Any:
        found = direct(*arguments)
        asked.append(found.size)
        return found

    monkeypatch.setattr(along, "purchases_if_alive", counted)
    tracking.expected_of_known(base, posterior, edges, 2)
    table = base.train.to_pandas()
    pairs = len(table[["frequency", "T"]].drop_duplicates())
    assert pairs > 100
    assert sum(asked) < 2 * pairs * 16 / 2  # draws, and lengths of time


def _one(draws: dict[str, Any], s: int) -> dict[str, float]:
    return {name: float(values[s]) for name, values in draws.items()}


# --- checks ----------------------------------------------------------------------------


def test_a_total_outside_its_interval_is_a_warning_with_the_figure() -> None:
    row = {"target": "purchases", "level": 0.9, "forecast": 1653.0, "actual": 1882.0}
    totals = pd.DataFrame([row | {"lower": 1490.0, "upper": 1820.0}])
    outside = checks.total_check(totals, "purchases", 0.9)
    assert (outside.status, outside.figure, outside.bound) == ("warn", "-12.2 %", "")
    assert "1,653 purchases were forecast, 1,882 came, outside" in outside.advice
    assert "1,490 to 1,820" in outside.advice
    inside = checks.total_check(totals.assign(actual=1700.0), "purchases", 0.9)
    assert inside.status == "pass"
    low = checks.total_check(totals.assign(actual=1400.0), "purchases", 0.9)
    assert (low.status, low.figure) == ("warn", "+18.1 %")
    nothing = checks.total_check(totals.assign(actual=0.0), "purchases", 0.9)
    assert (nothing.status, nothing.figure) == ("fail", "infinite")


@pytest.mark.parametrize(
    ("coverage", "upper", "status"),
    [(0.94, 0.95, "pass"), (0.89, 0.91, "pass"), (0.80, 0.82, "warn"), (0.70, 0.72, "fail")],
)
def test_intervals_that_are_too_narrow(coverage: float, upper: float, status: str) -> None:
    row = {"target": "value", "level": 0.9, "coverage": coverage, "lower": 0.6, "upper": upper}
    check = checks.coverage_check(pd.DataFrame([row]), "value", 0.9)
    assert (check.status, check.bound) == (status, "at least 90 %")
    assert check.bears_on == ("customers",)


def test_lost_comparisons_are_named() -> None:
    rows = [
        ("mae", "model", 0.8, ""),
        ("mae", "simple", 0.7, "worse"),
        ("mae", "point", 0.79, "worse"),
        ("rmse", "model", 0.8, ""),
        ("rmse", "simple", 0.9, "better"),
        ("gini", "model", 0.5, ""),
        ("gini", "simple", 0.4, "better"),
    ]
    table = pd.DataFrame(rows, columns=["metric", "forecast", "value", "model_is"])
    errors, rankings = checks.baseline_checks(table.assign(target="purchases"), "purchases")
    assert (errors.status, errors.value, errors.bears_on) == ("pass", 0.0, ("customers",))
    assert "1 of 2 comparisons are won beyond chance, 1 is lost" in errors.advice
    assert "mean absolute error 0.8 against 0.7 of the simple formula" in errors.advice
    assert "1 more is lost to the model's own point estimate" in errors.advice
    assert (rankings.status, rankings.bears_on) == ("pass", ("ranking",))


def test_what_could_not_be_compared_supports_nothing() -> None:
    """Of one customer there is no order: that no baseline is better at it says nothing."""
    rows = [
        ("gini", "model", math.nan, ""),
        ("gini", "simple", math.nan, ""),
        ("top_found", "model", 0.1, ""),
        ("top_found", "simple", 0.1, "unclear"),
        ("mae", "model", 0.8, ""),
        ("mae", "simple", 0.9, "better"),
    ]
    table = pd.DataFrame(rows, columns=["metric", "forecast", "value", "model_is"])
    errors, rankings = checks.baseline_checks(table.assign(target="purchases"), "purchases")
    assert (errors.status, rankings.status) == ("pass", "unavailable")
    assert rankings.value is None
    by_use = {one.use: one.verdict for one in judge_uses([], [errors, rankings])}
    assert by_use["ranking"] == "not checked"


def test_a_folder_of_the_first_format_is_read_and_judged_anew(
    found: Backtest, tmp_path: Path
) -> None:
    """Its checks could not fail, and knew not what they bear on."""
    found.save(tmp_path)
    header = json.loads((tmp_path / "metrics.json").read_text())
    assert header["format_version"] == 2
    old = {"name": "x", "value": 1.0, "limit": None, "status": "warn", "advice": "."}
    header |= {"format_version": 1, "checks": [old]}
    header.pop("uses")
    (tmp_path / "metrics.json").write_text(json.dumps(header))
    again = load_backtest(tmp_path)
    # but for what needs the log
    only_now = ("known customers", "gain in the Gini of value where first orders count")
    kept = tuple(c for c in found.checks if not c.name.startswith(only_now))
    assert again.checks == kept
    assert [use.verdict for use in again.uses] == [use.verdict for use in found.uses]


def test_the_point_estimate_is_the_centre_of_the_posterior() -> None:
    posterior = BetaGeoPosterior.from_draws(r=[1.0, 4.0], alpha=[9.0, 9.0], a=[1.0, 1.0], b=2.0)
    point = centre(posterior)
    assert isinstance(point, BetaGeoPosterior)
    assert not isinstance(point, CLVPosterior)
    assert {name: float(v[0]) for name, v in point.draws().items()} == pytest.approx(
        {"r": 2.0, "alpha": 9.0, "a": 1.0, "b": 2.0}
    )
