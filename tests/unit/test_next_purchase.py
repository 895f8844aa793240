"""When customers buy next: against the formula at points, closed forms, and the calendar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clvmodels as clv
from clvmodels.datasets import load_cdnow
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.forecast import Draws
from clvmodels.forecast.chunks import Chunk
from clvmodels.formulas.discounting import Due
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.purchases import MODELS
from clvmodels.simulate import simulate_log

NAMES = ["customer_id", "frequency", "recency", "T"]
ROWS = pd.DataFrame(
    [
        (1, 0, 0.0, 5.0),
        (2, 0, 0.0, 400.0),
        (3, 1, 30.0, 35.0),
        (4, 1, 30.0, 300.0),
        (5, 12, 350.0, 360.0),
        (6, 12, 200.0, 360.0),
        (7, 200, 399.0, 400.0),
        (8, 0, 0.0, 0.0),
        (9, 1, 30.0, 35.0),
    ],
    columns=NAMES,
)


def posterior(key: str = "bgnbd", *, count: int = 40, days: float = 1.0) -> PurchasePosterior:
    """Draws around those of a usual base."""
    kind, rng = purchase_posterior(key), np.random.default_rng(4)
    about = {"r": 0.6, "alpha": 20.0 / days, "a": 0.9, "b": 2.5, "s": 0.9, "beta": 40.0 / days}
    draws = {
        name: about[name] * rng.lognormal(0.0, 0.15 if count > 1 else 0.0, count)
        for name in kind.facts.parameter_names
    }
    return kind.from_draws(**draws, time_unit="D", time_scaler=days)


def chance(one: PurchasePosterior, time: Any, T: Any = None) -> np.ndarray:
    """P(a purchase within a time of its own for each row), averaged over draws."""
    draws = {name: values[:, None] for name, values in one.draws().items()}
    x, t_x = (ROWS[name].to_numpy(float) for name in ("frequency", "recency"))
    T = ROWS["T"].to_numpy(float) if T is None else T
    return one.formulas.p_purchase(x, t_x, T, time, **draws).mean(axis=0)


@pytest.mark.parametrize("key", MODELS)
def test_chances_and_times_are_those_of_the_formula(key: str) -> None:
    one = posterior(key)
    found = clv.next_purchase(one, ROWS, within=["10D", 90, "2Y"], interval=0.8).customers
    for name, length in (("10D", 10.0), ("90", 90.0), ("2Y", 730.5)):
        np.testing.assert_allclose(
            found[f"p_within_{name}"], chance(one, length), rtol=1e-11, atol=1e-15
        )
    ever = 1.0 - found["p_never"].to_numpy()
    np.testing.assert_allclose(ever, chance(one, 1e15), atol=2e-5)
    for column, share in (("next_lower", 0.1), ("next", 0.5), ("next_upper", 0.9)):
        times = found[column].to_numpy()
        known = np.isfinite(times)
        assert known[ROWS["frequency"] > 0].all()
        at = chance(one, np.where(known, times, 1.0)) / ever
        np.testing.assert_allclose(at[known], share, rtol=2e-6)
        # Where none is told it would be beyond a century
        assert (chance(one, 36_525.0) / ever < share)[~known].all()


@pytest.mark.parametrize("key", MODELS)
def test_usual_silence_is_what_was_expected_at_the_last_purchase(key: str) -> None:
    one = posterior(key)
    found = clv.next_purchase(one, ROWS, late=0.75).customers
    usual, t_x = found["usual_silence"].to_numpy(), ROWS["recency"].to_numpy(float)
    known = np.isfinite(usual)
    assert known[ROWS["frequency"] > 0].all()
    at = chance(one, np.where(known, usual, 1.0), T=t_x) / chance(one, 1e15, T=t_x)
    np.testing.assert_allclose(at[known], 0.75, rtol=2e-5)
    silence = (ROWS["T"] - ROWS["recency"]).to_numpy()
    np.testing.assert_array_equal(found["silence"], silence)
    np.testing.assert_array_equal(found["overdue"], silence > usual)
    assert found["overdue"][[3, 5]].all()
    assert not found["overdue"][[2, 4, 7]].any()


def test_times_of_one_draw_have_a_closed_form() -> None:
    """Given alive the rate is Gamma(r + x, alpha + T): the time to the next is Lomax."""
    one = posterior(count=1)
    draw = {name: float(values[0]) for name, values in one.draws().items()}
    found = clv.next_purchase(one, ROWS, interval=0.5).customers
    age, power = draw["alpha"] + ROWS["T"], draw["r"] + ROWS["frequency"]
    for column, share in (("next_lower", 0.25), ("next", 0.5), ("next_upper", 0.75)):
        np.testing.assert_allclose(
            found[column], age * ((1.0 - share) ** (-1.0 / power) - 1.0), rtol=3e-6
        )
    np.testing.assert_allclose(
        1.0 - found["p_never"], one.expected_probability_alive(ROWS).to_numpy().ravel(), rtol=1e-12
    )


def test_times_are_those_of_simulated_customers() -> None:
    one, far = posterior(count=200), 3_000.0
    rows = ROWS[ROWS["customer_id"].isin([3, 5])].reset_index(drop=True)
    found = clv.next_purchase(one, rows, draws=200).customers
    paths = 20_000
    futures = clv.simulate_future(one, rows, horizon=far, paths=paths, draws=200, random_seed=5)
    first = futures.purchases.groupby(["customer_id", "path"])["time"].min()
    for row in found.itertuples():
        times = first[row.customer_id].to_numpy()
        ever, error = 1.0 - row.p_never, 4.5 / np.sqrt(paths)
        assert abs(len(times) / paths - ever) < error  # nobody waits for longer, nearly
        for time, share in ((row.next_lower, 0.1), (row.next, 0.5), (row.next_upper, 0.9)):
            assert abs((times <= time).sum() / paths - share * ever) < error


def test_a_stack_mixes_its_members() -> None:
    members = {"one": posterior("bgnbd"), "other": posterior("paretonbd")}
    rows = clv.RfmTable.from_frame(ROWS, time_unit="D")
    stack = clv.stack(members, weights={"one": 0.5, "other": 0.5})
    found = clv.next_purchase(stack, rows, draws=400).customers["p_within_90D"]
    known = stack.predict(rows, horizon="90D", draws=400)["p_purchase"]
    np.testing.assert_allclose(found, known, rtol=1e-11)


def test_answers_do_not_depend_on_order_threads_or_units() -> None:
    one = posterior("mbgcnbd2")
    plain = clv.next_purchase(one, ROWS, threads=1).customers
    order = np.random.default_rng(0).permutation(len(ROWS))
    mixed = clv.next_purchase(one, ROWS.iloc[order], threads=2).customers
    pd.testing.assert_frame_equal(
        mixed.sort_values("customer_id", ignore_index=True), plain, check_exact=True
    )
    weeks = ROWS.assign(recency=ROWS["recency"] / 7.0, T=ROWS["T"] / 7.0)
    scaled = clv.next_purchase(posterior("mbgcnbd2", days=7.0), weeks).customers
    np.testing.assert_allclose(scaled["p_within_90D"], plain["p_within_90D"], rtol=1e-11)
    for column in ("next", "next_lower", "next_upper", "silence", "usual_silence"):
        np.testing.assert_allclose(7.0 * scaled[column], plain[column], rtol=1e-5, err_msg=column)


def test_many_histories_are_those_of_each_alone() -> None:
    """More than are worked off at a time, of the same (x, T) too."""
    rng = np.random.default_rng(3)
    x = rng.integers(0, 40, 3_000)
    T = rng.integers(50, 400, 3_000).astype(float)
    base = pd.DataFrame({"customer_id": np.arange(3_000), "frequency": x, "T": T})
    base["recency"] = np.where(x > 0, np.maximum(np.round(T * rng.random(3_000)), 1.0), 0.0)
    base.loc[base["frequency"] > base["recency"], "frequency"] = base["recency"].astype(int)
    one = posterior()
    whole = clv.next_purchase(one, base).customers
    some = rng.choice(3_000, 50, replace=False)
    alone = clv.next_purchase(one, base.iloc[some]).customers
    expected = whole.iloc[some].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.reset_index(drop=True), expected, rtol=1e-11)


@pytest.mark.parametrize("key", ["bgnbd", "paretonbd", "mbgcnbd4"])
def test_times_far_out_in_the_tails_are_those_of_the_formula(key: str) -> None:
    one = posterior(key)
    found = clv.next_purchase(one, ROWS, interval=0.998, within=[]).customers
    ever = 1.0 - found["p_never"].to_numpy()
    for column, share in (("next_lower", 0.001), ("next_upper", 0.999)):
        times = found[column].to_numpy()
        known = np.isfinite(times) & (times > 2.0**-9)
        assert known.sum() >= 4
        at = chance(one, np.where(known, times, 1.0)) / ever
        np.testing.assert_allclose(at[known], share, rtol=2e-6)


def test_times_are_looked_at_once_for_many_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs an exponential for every (x, T) and draw."""
    seen: list[float] = []
    until = Chunk.until

    def looked_at(self: Chunk, due: Due, draws: Draws) -> Chunk:
        seen.append(due.horizon)
        return until(self, due, draws)

    monkeypatch.setattr(Chunk, "until", looked_at)
    rng = np.random.default_rng(8)
    T = rng.integers(200, 400, 4_000).astype(float)
    base = pd.DataFrame({"customer_id": np.arange(4_000), "frequency": 2, "T": T})
    base["recency"] = np.round(T * rng.uniform(0.1, 1.0, 4_000))
    clv.next_purchase(posterior(), base, threads=1)
    now = len(seen) - len(set(seen))  # the second question is of the last purchase
    assert now < 40
    assert len(set(seen)) < 60


@pytest.mark.parametrize(
    ("unit", "last", "later"),
    [("D", "2024-03-31", 1), ("W", "2024-03-25", 7), ("M", "2024-03-01", 31), ("h", None, 0)],
)
def test_dates_are_the_first_days_of_periods(unit: str, last: str | None, later: int) -> None:
    when = pd.to_datetime(["2024-01-02", "2024-03-29", "2024-03-31"])
    log = pd.DataFrame({"who": [1, 1, 2], "when": when})
    rfm = clv.rfm_summary(log, customer_id_col="who", datetime_col="when", time_unit=unit)
    draws = {"r": [50.0], "alpha": [1e-3], "a": [0.1], "b": [2.0]}  # buys at once
    one = clv.BetaGeoPosterior.from_draws(**draws, time_unit=unit)
    found = clv.next_purchase(one, rfm).customers
    dates = found[["next", "next_lower", "next_upper", "last_purchase", "overdue_from"]]
    assert all(kind.kind == "M" for kind in dates.dtypes)
    silence = found["silence"][1]
    assert silence == 0
    if last is None:
        assert found["last_purchase"][1] == pd.Timestamp("2024-03-31 00:00")
        assert found["next"][1] == pd.Timestamp("2024-03-31 01:00")
    else:
        assert found["last_purchase"][1] == pd.Timestamp(last)
        assert found["next"][1] == pd.Timestamp(last) + pd.Timedelta(days=later)


def test_becoming_overdue_is_dated_from_the_last_purchase() -> None:
    rfm = clv.rfm_summary(
        load_cdnow(sample=True), customer_id_col="customer_id", datetime_col="date",
        observation_period_end="1997-09-30",
    )  # fmt: skip
    found = clv.next_purchase(posterior("mbgnbd"), rfm).customers
    known = found["overdue_from"].notna()
    assert known.mean() > 0.5
    days = (found["overdue_from"] - found["last_purchase"]).dt.days[known]
    np.testing.assert_array_equal(days, np.ceil(found["usual_silence"][known] - 1e-6))
    late = found["overdue_from"] < pd.Timestamp("1997-09-30")
    assert (found["overdue"] >= late)[known].all()
    assert found["overdue"].sum() > 100


def test_who_is_surely_gone_is_said_to_be() -> None:
    """However small the chance, the time of those who buy again is told."""
    gone = pd.DataFrame([(1, 5_000, 5_000.0, 30_000.0)], columns=NAMES)
    found = clv.next_purchase(posterior(), gone).customers.iloc[0]
    assert found["p_never"] == 1.0
    assert found["p_within_365D"] < 1e-200
    assert 0.0 < found["next_lower"] < found["next"] < found["next_upper"]
    assert found["overdue"]


def test_a_frame_keeps_its_kind_and_may_be_empty() -> None:
    table = pl.from_pandas(ROWS)
    found = clv.next_purchase(posterior(), table).customers
    assert isinstance(found, pl.DataFrame)
    assert found.columns[:2] == ["customer_id", "p_within_30D"]
    none = clv.next_purchase(posterior(), ROWS.head(0)).customers
    assert list(none.columns) == found.columns
    assert len(none) == 0


def test_purchases_and_spend_together_are_asked_too() -> None:
    whole = clv.CLVPosterior(posterior(), 25.0)
    found, alone = (clv.next_purchase(one, ROWS) for one in (whole, posterior()))
    pd.testing.assert_frame_equal(found.customers, alone.customers)
    assert "customers" in repr(found)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"within": ["90D", None]}, DomainError, "p_never"),
        ({"within": ["soon"]}, TimeUnitError, "soon"),
        ({"within": [-1]}, DomainError, "-1"),
        ({"interval": 1.0}, DomainError, "interval=1"),
        ({"late": 0.0}, DomainError, "late=0"),
        ({"draws": 0}, DomainError, "draws=0"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        clv.next_purchase(posterior(), ROWS, **options)


def test_other_things_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="The next purchase needs a posterior of purchases"):
        clv.next_purchase(load_cdnow, ROWS)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="takes posterior first"):
        clv.next_purchase(ROWS, posterior())  # type: ignore[arg-type]


@pytest.mark.slow
def test_overdue_flags_and_chances_hold_on_simulated_customers() -> None:
    """Fitted, and held against what the same customers did next."""
    truth = {"r": 0.8, "alpha": 20.0, "a": 0.6, "b": 2.5}
    log = simulate_log(6_000, **truth, T=(700.0, 720.0), seed=3, observation_end="2024-12-31")
    how = {"customer_id_col": "customer_id", "datetime_col": "date"}
    rfm = clv.rfm_summary(log, **how, observation_period_end="2024-03-31")
    one = clv.BetaGeoModel().fit(rfm, method="laplace", random_seed=2, progressbar=False)
    found = clv.next_purchase(one, rfm, within=["90D"], late=0.8).customers
    later = log[log["date"] > "2024-03-31"]
    first = later.groupby("customer_id")["date"].min().reindex(found["customer_id"]).to_numpy()
    within = first <= np.datetime64("2024-06-29")
    for part in (found["overdue"], ~found["overdue"]):
        p = found["p_within_90D"][part]
        assert abs(within[part].sum() - p.sum()) < 4.5 * np.sqrt((p * (1.0 - p)).sum())
    assert found["overdue"].sum() > 500
