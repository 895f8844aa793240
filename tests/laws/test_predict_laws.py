"""Laws of predictions: what must hold whatever the customers and the draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
)
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.forecast import rows
from clvmodels.formulas import gamma_gamma
from clvmodels.posterior import core
from clvmodels.posterior.by_model import purchase_posterior
from tests.kinds import KINDS

POSTERIORS = [purchase_posterior(key) for key in KINDS]
INTERVALS = ["p_alive", "expected_purchases", "expected_spend", "clv"]
NULLABLE = ["clv_sd", *(f"{n}_{end}" for n in INTERVALS for end in ("lower", "upper"))]


def posterior(kind=BetaGeoPosterior, *, count: int = 60, seed: int = 1, a: float = 0.9):
    rng = np.random.default_rng(seed)

    def about(value: float, sd: float) -> np.ndarray:
        return value * np.exp(sd * rng.normal(size=count))

    draws = {"r": about(0.25, 0.1), "alpha": about(31, 0.1)}
    draws |= {"a": about(a, 0.2), "b": about(2.5, 0.2)}
    if "s" in kind.facts.parameter_names:
        draws |= {"s": about(a, 0.2), "beta": about(40, 0.2)}
    return CLVPosterior(
        kind.from_draws(**{name: draws[name] for name in kind.facts.parameter_names}),
        GammaGammaPosterior.from_draws(p=about(6, 0.2), q=about(3.7, 0.1), v=about(15, 0.3)),
    )


POSTERIOR = posterior()


@st.composite
def bases(draw, least: int = 1, most: int = 12) -> pd.DataFrame:
    """RFM rows of all sorts: nobody, first-time buyers, heavy ones, T = 0, duplicates."""
    rows = []
    for _ in range(draw(st.integers(least, most))):
        T = draw(st.one_of(st.just(0.0), st.floats(0.5, 5_000)))
        x = 0 if T == 0 else draw(st.one_of(st.just(0), st.integers(1, 30), st.integers(31, 3_000)))
        t_x = 0.0 if x == 0 else T * draw(st.floats(0.01, 1.0))
        # Whole days would allow one purchase a day at most
        t_x -= 0.003 if x and abs(t_x - round(t_x)) < 0.001 else 0.0
        m = 0.0 if x == 0 else draw(st.floats(0.01, 1e5))
        rows.append((draw(st.integers(0, 5)), x, t_x, T, m))
    names = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    return pd.DataFrame(rows, columns=names)


horizons = st.one_of(st.floats(0, 10_000), st.just(None), st.sampled_from(["365D", "12M", "3W"]))
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@given(bases(), st.integers(0, 2**32 - 1), horizons)
@FEW
def test_order_and_identity_of_customers_do_not_matter(
    rfm: pd.DataFrame, seed: int, horizon
) -> None:
    """Rows keep their order and their ids, repeated ones too; each depends on itself alone."""
    order = np.random.default_rng(seed).permutation(len(rfm))
    whole = POSTERIOR.predict(rfm, horizon=horizon)
    inputs = ["customer_id", "frequency", "recency", "T", "monetary_value"]
    pd.testing.assert_frame_equal(whole[inputs], rfm, check_dtype=False, check_exact=True)
    shuffled = POSTERIOR.predict(rfm.iloc[order], horizon=horizon)
    pd.testing.assert_frame_equal(
        shuffled, whole.iloc[order].reset_index(drop=True), rtol=1e-12, atol=0.0
    )
    alone = POSTERIOR.predict(rfm.iloc[[0]], horizon=horizon)
    pd.testing.assert_frame_equal(alone, whole.iloc[[0]], rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("kind", POSTERIORS, ids=KINDS)
@given(rfm=bases(), horizon=horizons, discounting=st.sampled_from(["continuous", "monthly"]))
@FEW
def test_bounds_and_nesting(kind, rfm: pd.DataFrame, horizon, discounting: str) -> None:
    one = posterior(kind, count=20)
    table = one.predict(rfm, horizon=horizon, discounting=discounting, interval=0.5)
    wide = one.predict(rfm, horizon=horizon, discounting=discounting, interval=0.95)
    assert np.isfinite(table.drop(columns=["customer_id"]).filter(regex="^(?!expected_pur)")).all(
        axis=None
    )
    for name in ("p_alive", "p_purchase"):
        assert table[name].between(0, 1).all()
    assert (table["p_purchase"] <= table["p_alive"] * (1 + 1e-12)).all()
    for name in INTERVALS:
        if name == "expected_purchases" and horizon is None:
            assert table.filter(like=name).isna().all(axis=None)
            continue
        assert (wide[f"{name}_lower"] <= table[f"{name}_lower"]).all()
        assert (table[f"{name}_lower"] <= table[f"{name}_upper"]).all()
        assert (table[f"{name}_upper"] <= wide[f"{name}_upper"]).all()
        if name != "clv":
            slack = 1e-12 * table[name].abs() + 1e-300
            full = one.predict(rfm, horizon=horizon, discounting=discounting, interval=1 - 1e-12)
            assert (full[f"{name}_lower"] <= table[name] + slack).all()
            assert (table[name] <= full[f"{name}_upper"] + slack).all()
    if horizon is not None:
        assert (table["discounted_purchases"] <= table["expected_purchases"] * (1 + 1e-9)).all()


@given(bases(), horizons, st.floats(0.01, 1.0))
@FEW
def test_margin_enters_once_and_values_are_products(rfm, horizon, margin: float) -> None:
    known = rfm.assign(customer_id=np.arange(len(rfm)), first_value=7.0)
    whole = POSTERIOR.predict(RfmTable.from_pandas(known, time_unit="D"), horizon=horizon)
    part = POSTERIOR.predict(
        RfmTable.from_pandas(known, time_unit="D", margin=margin), horizon=horizon
    )
    values = {"clv", "clv_sd", "clv_lower", "clv_upper", "historical_value", "total_value"}
    values |= {"margin"}
    for name in whole.columns:
        factor = margin if name in values else 1.0
        if name == "customer_id":
            assert (part[name] == whole[name]).all()
        else:
            np.testing.assert_allclose(part[name], factor * whole[name], rtol=1e-12, err_msg=name)
    product = part["discounted_purchases"] * part["expected_spend"]
    np.testing.assert_allclose(part["clv"], margin * product, rtol=1e-12)
    np.testing.assert_allclose(part["total_value"], part["historical_value"] + part["clv"])
    past = margin * (7.0 + known["frequency"] * known["monetary_value"])
    np.testing.assert_allclose(part["historical_value"], past, rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10**9])
@pytest.mark.parametrize("horizon", ["365D", None])
def test_chunk_size_changes_nothing(
    chunk: int, horizon: str | None, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.integers(0, 8, size=200)
    T = rng.uniform(10, 500, size=200).round()
    rfm = pd.DataFrame(
        {
            "customer_id": np.arange(200),
            "frequency": x,
            "recency": np.where(x > 0, x + np.floor((T - x) * rng.uniform(size=200)), 0.0),
            "T": T,
            "monetary_value": np.where(x > 0, rng.gamma(6, 5, size=200), 0.0),
        }
    )
    whole = POSTERIOR.predict(rfm, horizon=horizon)
    monkeypatch.setattr(rows, "CHUNK", chunk)
    parts = POSTERIOR.predict(rfm, horizon=horizon)
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-12, atol=0.0)


@given(bases(), st.floats(1e-4, 1e6))
@FEW
def test_money_scales_through(rfm: pd.DataFrame, unit: float) -> None:
    other = CLVPosterior(
        POSTERIOR.purchases,
        GammaGammaPosterior.from_draws(
            **(POSTERIOR.spend.draws() | {"v": unit * POSTERIOR.spend.draws()["v"]})
        ),
    )
    one = POSTERIOR.predict(rfm)
    scaled = other.predict(rfm.assign(monetary_value=unit * rfm["monetary_value"]))
    for name in one.columns.drop("customer_id"):
        money = name == "monetary_value" or name.startswith(("clv", "expected_spend"))
        factor = unit if money else 1.0
        # Squares of an sd below 1e-150 are below the least number of full precision, in any unit.
        least = 1e-150 * factor if name.endswith("_sd") else 0.0
        found, expected = scaled[name], factor * one[name]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=least, err_msg=name)


@given(bases(), st.floats(0.05, 50.0))
@FEW
def test_time_scales_through(rfm: pd.DataFrame, unit: float) -> None:
    """The same people and draws in units that are ``unit`` days long."""
    draws = POSTERIOR.purchases.draws()
    other = CLVPosterior(
        BetaGeoPosterior.from_draws(**(draws | {"alpha": draws["alpha"] / unit}), time_scaler=unit),
        POSTERIOR.spend,
    )
    one = POSTERIOR.predict(rfm, horizon="200D")
    times = {"recency": rfm["recency"] / unit, "T": rfm["T"] / unit}
    scaled = other.predict(rfm.assign(**times), horizon="200D")
    for name in one.columns.drop(["customer_id", "recency", "T"]):
        np.testing.assert_allclose(scaled[name], one[name], rtol=1e-8, err_msg=name)


@pytest.mark.parametrize("kind", POSTERIORS, ids=KINDS)
@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
@given(rfm=bases())
@FEW
def test_horizon_zero_is_nothing(kind, discounting: str, rfm: pd.DataFrame) -> None:
    table = posterior(kind, count=20).predict(rfm, horizon=0, discounting=discounting)
    zero = ["p_purchase", "expected_purchases", "discounted_purchases", "clv", "clv_sd"]
    assert (table[[*zero, "clv_lower", "clv_upper"]] == 0).all(axis=None)
    assert (table["p_alive"] > 0).any() or (rfm["frequency"] > 0).any()


@given(bases(), st.lists(st.floats(0, 20_000), min_size=2, max_size=4))
@FEW
def test_more_time_is_never_worth_less(rfm: pd.DataFrame, lengths: list[float]) -> None:
    names = ["p_purchase", "expected_purchases", "discounted_purchases", "clv"]
    tables = [POSTERIOR.predict(rfm, horizon=length)[names] for length in sorted(lengths)]
    for shorter, longer in itertools.pairwise(tables):
        assert (shorter <= longer * (1 + 1e-9) + 1e-300).all(axis=None)
    life = POSTERIOR.predict(rfm, horizon=None)
    for name in ("p_purchase", "discounted_purchases", "clv"):
        assert (tables[-1][name] <= life[name] * (1 + 1e-9) + 1e-300).all()


@given(bases(), st.floats(0.0, 0.99), st.floats(0.0, 0.99))
@FEW
def test_a_higher_rate_is_never_worth_more(rfm: pd.DataFrame, one: float, other: float) -> None:
    low, high = sorted([one, other])
    cheap, dear = (POSTERIOR.predict(rfm, discount_rate=rate) for rate in (low, high))
    assert (dear["clv"] <= cheap["clv"] * (1 + 1e-9)).all()
    plain = POSTERIOR.predict(rfm, discount_rate=0.0)
    np.testing.assert_allclose(
        plain["discounted_purchases"], plain["expected_purchases"], rtol=1e-9
    )


# --- the lifetime ---

ROW = pd.DataFrame(
    {
        "customer_id": ["once", "twice"],
        "frequency": [0, 2],
        "recency": [0.0, 213.0],
        "T": [272.0, 272.0],
        "monetary_value": [0.0, 22.35],
    }
)


def test_whole_life_with_some_a_below_one() -> None:
    one = posterior(a=1.0)
    a = one.purchases.draws()["a"]
    share = float((a <= 1).mean())
    assert 0 < share < 1
    table = one.predict(ROW, horizon=None)
    assert (table["p_purchase"] == table["p_alive"]).all()
    assert table.filter(like="expected_purchases").isna().all(axis=None)
    assert np.isfinite(table[["discounted_purchases", "clv", "clv_sd", "clv_upper"]]).all(axis=None)
    with pytest.raises(DomainError, match=f"{100 * share:.1f} % of the draws have a <= 1"):
        one.predict(ROW, horizon=None, discount_rate=0)
    with pytest.raises(DomainError, match=f"{100 * share:.1f} % of the draws have a <= 1"):
        one.new_customer_value(None, 0.0)
    infinite = one.purchases.expected_purchases(ROW, future_t=None).to_numpy()[0]
    assert (np.isinf(infinite) == (a <= 1)[:, None]).all()


def test_whole_life_with_every_a_above_one() -> None:
    """Expected purchases are then p_alive (a + b + x - 1) / (a - 1), discounted or not."""
    one = posterior(a=3.0)
    draws = one.purchases.draws()
    assert (draws["a"] > 1).all()
    table = one.predict(ROW, horizon=None, discount_rate=0)
    alive = one.purchases.expected_probability_alive(ROW).to_numpy()[0]
    x = ROW["frequency"].to_numpy(float)
    each = alive * ((draws["a"] + draws["b"])[:, None] + x - 1) / (draws["a"] - 1)[:, None]
    np.testing.assert_allclose(table["expected_purchases"], each.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(table["discounted_purchases"], each.mean(axis=0), rtol=1e-10)
    assert table["expected_purchases_lower"].notna().all()
    assert math.isfinite(one.new_customer_value(None, 0.0).mean)


# --- infinite spend ---


def test_infinite_spend_is_infinite_in_the_function_and_empty_in_values() -> None:
    q = np.array([0.7, 0.9, 3.0, 4.0])
    spend = GammaGammaPosterior.from_draws(p=0.2, q=q, v=15.0)
    one = CLVPosterior(posterior(count=4).purchases, spend)
    found = spend.expected_customer_spend(ROW).to_numpy()[0]
    assert np.isinf(found[:, 0]).tolist() == [True, True, False, False]  # x = 0
    assert np.isinf(found[:, 1]).tolist() == [False] * 4  # p x + q = 1.1 at x = 2
    assert (gamma_gamma.expected_spend(2, 22.35, p=0.2, q=q, v=15.0) == found[:, 1]).all()
    with pytest.raises(DomainError, match=r"50.0 % of the draws.*q a prior.*longer log"):
        one.new_customer_value()
    repeat = one.predict(ROW.iloc[[1]])
    assert np.isfinite(repeat["clv"]).all()
    with pytest.warns(UserWarning, match="have no expected value"):
        table = one.predict(ROW)
    assert table.loc[0, ["expected_spend", "clv", "clv_sd", "clv_upper"]].isna().all()
    assert "in 50.0 % of the draws" in table.loc[0, "reason"]
    assert table.loc[1, "clv"] == repeat["clv"].iloc[0]
    assert table["expected_purchases"].notna().all()


# --- draws ---


def test_a_mode_has_no_intervals() -> None:
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.25, alpha=31.0, a=0.8, b=2.5),
        GammaGammaPosterior.from_draws(p=6.0, q=3.7, v=15.0),
    )
    table = point.predict(ROW)
    assert table[NULLABLE].isna().all(axis=None)
    assert table.drop(columns=NULLABLE).notna().all(axis=None)
    assert list(table) == list(POSTERIOR.predict(ROW))
    assert POSTERIOR.predict(ROW, draws=1)[NULLABLE].isna().all(axis=None)


def test_a_point_goes_with_every_draw_of_the_other() -> None:
    """Else the one draw that it happened to meet would decide."""
    point = BetaGeoPosterior.from_draws(r=0.25, alpha=31.0, a=0.8, b=2.5)
    spend = posterior(count=4_000, seed=3).spend
    table = CLVPosterior(point, spend).predict(ROW, draws=500)
    assert table[NULLABLE].isna().all(axis=None)
    mean = spend.expected_customer_spend(ROW).to_numpy()[0].mean(axis=0)
    same = GammaGammaPosterior.from_draws(**spend.draws(500)).expected_customer_spend(ROW)
    np.testing.assert_allclose(table["expected_spend"], same.to_numpy()[0].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(table["expected_spend"], mean, rtol=0.02)


def test_draws_are_evenly_spaced() -> None:
    assert core.evenly_spaced(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert core.evenly_spaced(4_000, 500)[[0, -1]].tolist() == [4, 3_996]
    assert core.evenly_spaced(3, 500).tolist() == [0, 1, 2]
    for count in (1, 7, 499, 4_000):
        chosen = core.evenly_spaced(4_000, count)
        assert len(np.unique(chosen)) == count
        assert np.ptp(np.diff(chosen)) <= 1 if count > 1 else True
    ramp = BetaGeoPosterior.from_draws(r=np.arange(1, 11), alpha=1, a=1, b=1)
    assert ramp.draws(5)["r"].tolist() == [2, 4, 6, 8, 10]


def test_unequal_counts_are_thinned_to_the_smaller() -> None:
    many, few = posterior(count=90), posterior(count=30, seed=5)
    table = CLVPosterior(many.purchases, few.spend).predict(ROW)
    thin = many.purchases.draws(30)
    same = CLVPosterior(BetaGeoPosterior.from_draws(**thin), few.spend).predict(ROW)
    pd.testing.assert_frame_equal(table, same, check_exact=True)


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"draws": 0}, DomainError, "draws=0"),
        ({"draws": 2.5}, DomainError, "draws=2.5"),
        ({"interval": 0.0}, DomainError, "interval=0.0"),
        ({"interval": 1.0}, DomainError, "interval=1.0"),
        ({"interval": math.nan}, DomainError, "interval=nan"),
        ({"horizon": -1}, DomainError, "horizon=-1"),
        ({"horizon": "a year"}, TimeUnitError, "is not one length of time"),
        ({"discount_rate": -0.1}, DomainError, "discount_rate=-0.1"),
        ({"discounting": "weekly"}, SchemaError, "discounting='weekly'"),
    ],
)
def test_options_without_a_meaning(options: dict, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        POSTERIOR.predict(ROW, **options)
    if "draws" not in options:
        with pytest.raises(error, match=says):
            POSTERIOR.new_customer_value(**options)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"monetary_value": [0.0, -1.0]}, "1 repeat customers.*row 1"),
        ({"monetary_value": [0.0, np.nan]}, "1 repeat customers"),
        ({"monetary_value": [0.0, np.inf]}, "1 repeat customers"),
        ({"recency": [0.0, 300.0]}, "recency outside"),
    ],
)
def test_rows_without_a_meaning(change: dict, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        POSTERIOR.predict(ROW.assign(**change))
    with pytest.raises(SchemaError, match="lacks monetary_value"):
        POSTERIOR.predict(ROW.drop(columns="monetary_value"))


METHODS: list[Callable[[CLVPosterior, RfmTable], object]] = [
    lambda one, rfm: one.predict(rfm),
    lambda one, rfm: one.purchases.expected_purchases(rfm, future_t=3),
    lambda one, rfm: one.purchases.expected_probability_alive(rfm),
    lambda one, rfm: one.purchases.probability_of_purchase(rfm, future_t=3),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("unit", [{"time_unit": "W"}, {"time_scaler": 7}, {"time_unit": "h"}])
def test_a_table_in_another_unit_is_refused(method, unit: dict) -> None:
    assert method(POSTERIOR, RfmTable.from_pandas(ROW)) is not None
    with pytest.raises(TimeUnitError, match="time_unit='D', time_scaler=1"):
        method(POSTERIOR, RfmTable.from_pandas(ROW, **unit))


def test_too_many_cells_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_CELLS", 119)
    with pytest.raises(DomainError, match=r"60 draws x 2 customers.*predict and score"):
        POSTERIOR.purchases.expected_probability_alive(ROW)
    with pytest.raises(DomainError, match="predict and score"):
        POSTERIOR.spend.expected_customer_spend(ROW)
    monkeypatch.setattr(core, "MAX_CELLS", 120)
    assert POSTERIOR.spend.expected_customer_spend(ROW).size == 120


def test_the_limit_is_two_hundred_million_and_costs_nothing_to_meet() -> None:
    """Refused before anything of that size is made."""
    assert core.MAX_CELLS == 2e8
    draws = np.full(20_001, 0.5)
    big = BetaGeoPosterior.from_draws(r=draws, alpha=1, a=1, b=1)
    rows = pd.DataFrame(
        {"customer_id": np.arange(10_000), "frequency": 0, "recency": 0.0, "T": 1.0}
    )
    with pytest.raises(DomainError, match=r"2.0e\+08 cells"):
        big.expected_purchases(rows, future_t=1)


def test_two_posteriors_of_a_kind_are_refused() -> None:
    with pytest.raises(SchemaError, match="purchases must be a PurchasePosterior"):
        CLVPosterior(POSTERIOR.spend, POSTERIOR.purchases)
    with pytest.raises(SchemaError, match="spend must be a GammaGammaPosterior"):
        CLVPosterior(POSTERIOR.purchases, POSTERIOR.purchases)


@pytest.mark.parametrize(
    ("draws", "says"),
    [
        ({"r": [1.0, 2.0], "alpha": [1.0, 2.0, 3.0]}, "r has 2 draws"),
        ({"r": -1.0}, "r must be positive"),
        ({"r": [1.0, np.nan]}, "r must be positive and finite"),
        ({"alpha": np.inf}, "alpha must be positive and finite"),
        ({"b": []}, "b must be a number or a 1-D array"),
        ({"b": np.ones((2, 2))}, "b must be a number or a 1-D array"),
        ({"a": "many"}, "a must be numbers"),
    ],
)
def test_draws_without_a_meaning(draws: dict, says: str) -> None:
    with pytest.raises(DomainError, match=says):
        BetaGeoPosterior.from_draws(**({"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0} | draws))


# --- labels ---


def test_labels_of_the_arrays() -> None:
    one = POSTERIOR.purchases
    twice = pd.concat([ROW, ROW]).reset_index(drop=True)
    for values in (
        one.expected_purchases(twice, future_t="52W"),
        one.expected_probability_alive(twice),
        one.probability_of_purchase(twice, future_t=None),
        POSTERIOR.spend.expected_customer_spend(twice),
    ):
        assert values.dims == ("chain", "draw", "customer_id")
        assert values.shape == (1, 60, 4)
        assert values["customer_id"].to_numpy().tolist() == ["once", "twice"] * 2
        assert (values.to_numpy()[..., :2] == values.to_numpy()[..., 2:]).all()


def test_no_customers_no_rows() -> None:
    empty = ROW.head(0)
    assert list(POSTERIOR.predict(empty)) == list(POSTERIOR.predict(ROW))
    assert len(POSTERIOR.predict(empty)) == 0
    assert POSTERIOR.purchases.expected_purchases(empty, future_t=3).shape == (1, 60, 0)
