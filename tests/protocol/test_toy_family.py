"""A model that is in the catalogue is fitted and simulated, without another line of code."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.reports import alive_note
from clvmodels.diagnostics.prospects import heterogeneity
from clvmodels.evaluation.fitting import centre
from clvmodels.fit.density import compile_density
from clvmodels.fit.purchases import purchase_specification
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.total import total_value
from clvmodels.purchases import MODELS
from clvmodels.purchases.mixture import stacked_model
from clvmodels.purchases.model import NEVER
from clvmodels.rfm.histories import purchase_histories
from clvmodels.simulate import simulate_customers, simulate_log, simulate_rfm
from tests.toy_family import TOY, TRUTH, ToyFamily, add_to_catalogue

N = 4_000
QUIET = {"random_seed": 3, "progressbar": False, "time_unit": "D"}


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_catalogue(monkeypatch)


def base():
    """Continuous time, and so exactly the model's process."""
    return simulate_rfm(N, parameters=TRUTH, T=(10.0, 300.0), seed=5, period=None, model="toy")


# --- simulation ---


def test_customers_and_their_log_are_simulated() -> None:
    options = {"parameters": TRUTH, "seed": 5, "model": "toy"}
    rate, leaves = simulate_customers(7, **options)
    assert (set(rate), set(leaves)) == ({TRUTH["lam"]}, {TRUTH["p_leave"]})
    log = simulate_log(300, T=(20.0, 90.0), observation_end="2024-06-30", **options)
    rfm = simulate_rfm(300, T=(20.0, 90.0), **options)
    columns = {"customer_id_col": "customer_id", "datetime_col": "date"}
    found = clv.rfm_summary(log, **columns, observation_period_end="2024-06-30").to_pandas()
    assert (found["frequency"].to_numpy() == rfm["frequency"].to_numpy()).all()


def test_repeat_purchases_have_the_closed_form_mean() -> None:
    """Until they leave customers stay with e^(-lam p t) on average: (1 - e^(-lam p T)) / p."""
    lam, p = TRUTH.values()
    rfm = simulate_rfm(100_000, parameters=TRUTH, T=60.0, seed=6, period=None, model="toy")
    x = rfm["frequency"].to_numpy(float)
    expected = (1.0 - math.exp(-lam * p * 60.0)) / p
    assert abs(x.mean() - expected) < 4.5 * x.std() / math.sqrt(len(x))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"parameters": {"lam": 0.1}}, r"lam, p_leave; given are lam\."),
        ({"r": 0.5, "parameters": TRUTH}, r"given are r, lam, p_leave\."),
        ({}, r"given are none\."),
        ({"parameters": {**TRUTH, "lam": -1.0}}, r"lam=-1\.0"),
    ],
)
def test_parameters_are_those_of_the_model(given, says: str) -> None:
    with pytest.raises(clv.errors.ClvError, match=says):
        simulate_rfm(3, **given, T=9, seed=1, model="toy")


# --- likelihood ---


def test_the_fused_value_is_the_sum_of_rows_and_has_its_slopes() -> None:
    h, family = purchase_histories(base()), ToyFamily()
    fused = family.fused(h.x, h.t_x, h.T, h.count)
    rows = h.count * family.log_likelihood(h.x, h.t_x, h.T, **TRUTH)
    found = fused(*TRUTH.values())
    assert found[0] == pytest.approx(math.fsum(rows), rel=1e-12)
    for place, name in enumerate(TRUTH):
        up, down = (
            fused(*(TRUTH | {name: TRUTH[name] + side * 1e-6}).values())[0] for side in (1.0, -1.0)
        )
        assert found[1 + place] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=0.05)


def test_the_density_is_compiled_beside_that_of_other_models() -> None:
    """Two families in one process, and in PyTensor's folder, are not taken for each other."""
    toy = compile_density(purchase_specification("toy").build(base(), time_unit="D"))
    other = compile_density(clv.BetaGeoModel().build(base(), time_unit="D"))
    assert (toy.dim, other.dim) == (2, 4)
    values = [one(one.start)[0] for one in (toy, other)]
    assert np.isfinite(values).all()
    assert values[0] == pytest.approx(toy.value_function()(toy.start), rel=1e-12)
    assert values[0] != pytest.approx(values[1], rel=1e-3)


# --- fits ---


@pytest.mark.parametrize("method", ["nuts", "laplace", "map"])
def test_a_fit_finds_the_truth(method: str) -> None:
    posterior = purchase_specification("toy").fit(base(), method=method, **QUIET)
    assert posterior.facts is TOY
    assert (posterior.metadata.model, posterior.metadata.method) == ("toy", method)
    assert posterior.verdict.ok
    draws, sd = posterior.draws(), spread_of_estimates()
    for name, truth in TRUTH.items():
        assert abs(draws[name].mean() - truth) < 5.0 * sd[name]
        if method != "map":
            assert draws[name].std() == pytest.approx(sd[name], rel=0.15)


def spread_of_estimates() -> dict[str, float]:
    """Of each parameter, from the curvature at the truth: slopes of the gradient."""
    h = purchase_histories(base())
    fused, sd = ToyFamily().fused(h.x, h.t_x, h.T, h.count), {}
    for place, name in enumerate(TRUTH):
        step = 1e-4 * TRUTH[name]
        up, down = (
            fused(*(TRUTH | {name: TRUTH[name] + side * step}).values())[1 + place]
            for side in (1.0, -1.0)
        )
        sd[name] = math.sqrt(2.0 * step / (down - up))
    return sd


# --- backtest ---


def test_the_centre_of_a_share_is_within_zero_and_one() -> None:
    """On the log odds, so that it does not matter whether leaving or staying is counted."""
    share = np.array([0.02, 0.5, 0.98])
    kind = purchase_posterior("toy")
    found = centre(kind.from_draws(lam=[0.1, 0.2, 0.4], p_leave=share)).draws()
    assert found["lam"] == pytest.approx(0.2)
    assert found["p_leave"] == pytest.approx(0.5)


def test_its_specification_is_frozen_like_the_named_ones() -> None:
    one = purchase_specification("toy")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.something_new = 1
    assert one == purchase_specification("toy")


# --- predictions ---

HORIZON, RATE, S = 90.0, 0.2, 40


def posterior(draws: int = S) -> clv.CLVPosterior:
    """Draws that differ enough for means over them not to be those of one."""
    rng = np.random.default_rng(1)
    lam, p = (
        value * np.exp(0.1 * rng.standard_normal(draws))
        for value in (TRUTH["lam"], TRUTH["p_leave"])
    )
    purchases = purchase_posterior("toy").from_draws(lam=lam, p_leave=p)
    return clv.CLVPosterior(purchases, 20.0)


def some(rows: int = 60):
    """Customers with an order, of whom some share a history."""
    found = simulate_rfm(rows, parameters=TRUTH, T=(10.0, 300.0), seed=8, period=1.0, model="toy")
    return found.assign(monetary_value=20.0)


def closed(rfm, draws, horizon: float = HORIZON):
    """P(alive), P(a purchase) and purchases, by draw and customer, by the equations above."""
    lam, p = draws["lam"][:, None], draws["p_leave"][:, None]
    x, gap = rfm["frequency"].to_numpy(), (rfm["T"] - rfm["recency"]).to_numpy()
    alive = np.where(x > 0, 1.0 / (1.0 + p / (1.0 - p) * np.exp(lam * gap)), 1.0)
    bought = alive * -np.expm1(-lam * p * horizon) / p
    return alive, alive * -np.expm1(-lam * horizon), bought


def test_the_equations_are_those_of_the_story() -> None:
    """Of customers whose history is alike, so many are alive and buy on as is said."""
    lam, p = TRUTH.values()
    rng, size, T = np.random.default_rng(2), 200_000, 40.0
    lives = rng.geometric(p, size)  # the purchase at which a customer leaves
    times = np.cumsum(rng.exponential(1.0 / lam, (size, 40)), axis=1)
    by_T = np.minimum((times <= T).sum(axis=1), lives)
    one = (by_T == 1) & (times[:, 0] > 15) & (times[:, 0] < 25)
    alive, later = lives > 1, np.minimum((times <= T + HORIZON).sum(axis=1), lives) - by_T
    said = ToyFamily().p_alive(1, times[one, 0], T, **TRUTH)
    error = math.sqrt(said.mean() * (1 - said.mean()) / one.sum())
    assert abs(alive[one].mean() - said.mean()) < 4.5 * error
    expected = ToyFamily().expected_purchases(1, times[one, 0], T, HORIZON, **TRUTH)
    assert abs(later[one].mean() - expected.mean()) < 4.5 * later[one].std() / math.sqrt(one.sum())
    for n in range(4):
        chance = ToyFamily().pmf(n, 1, times[one, 0], T, HORIZON, **TRUTH).mean()
        error = math.sqrt(chance * (1 - chance) / one.sum())
        assert abs((later[one] == n).mean() - chance) < 4.5 * error


@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_every_column_of_a_prediction(discounting) -> None:
    whole, rfm = posterior(), some()
    alive, buys, bought = closed(rfm, whole.purchases.draws())
    options = {"horizon": HORIZON, "discount_rate": RATE, "discounting": discounting}
    found = whole.predict(rfm, interval=0.8, margin=0.5, predictive=True, **options)
    near = {"rtol": 1e-11, "atol": 0}
    for name, cell in {
        "p_alive": alive,
        "p_purchase": buys,
        "expected_purchases": bought,
    }.items():
        np.testing.assert_allclose(found[name], cell.mean(axis=0), **near)
    for name, cell in {"p_alive": alive, "expected_purchases": bought}.items():
        ends = np.quantile(cell, [0.1, 0.9], axis=0)
        np.testing.assert_allclose([found[f"{name}_lower"], found[f"{name}_upper"]], ends, **near)
    np.testing.assert_allclose(found["clv"], 10.0 * found["discounted_purchases"], **near)
    day = np.arange(9000) / 100.0 + 0.005  # middles of hundredths
    lam, p = (one[:, None, None] for one in whole.purchases.draws().values())
    ends = (
        np.log1p(RATE)
        / 365.25
        * (np.ceil(day / 30.4375) * 30.4375 if options["discounting"] == "monthly" else day)
    )
    flow = (lam * np.exp(-lam * p * day) * np.exp(-ends) * 0.01).sum(axis=2)
    expected = (alive * flow).mean(axis=0)
    np.testing.assert_allclose(found["discounted_purchases"], expected, rtol=2e-5)


def test_methods_by_draw_and_their_means_agree() -> None:
    purchases, rfm = posterior().purchases, some()
    alive, buys, bought = closed(rfm, purchases.draws())
    for cell, found in (
        (alive, purchases.expected_probability_alive(rfm)),
        (buys, purchases.probability_of_purchase(rfm, future_t=HORIZON)),
        (bought, purchases.expected_purchases(rfm, future_t=HORIZON)),
    ):
        np.testing.assert_allclose(found.to_numpy()[0], cell, rtol=1e-12)
    new = purchases.expected_purchases_new_customer(t=[HORIZON, 1.0]).to_numpy()[0, :, 0]
    lam, p = purchases.draws().values()
    np.testing.assert_allclose(new, -np.expm1(-lam * p * HORIZON) / p, rtol=1e-12)


def test_counts_are_those_of_the_formula_and_of_the_paths() -> None:
    whole, rfm = posterior(), some()
    found, draws = clv.count_distribution(whole, rfm, horizon=HORIZON), whole.purchases.draws()
    _, _, bought = closed(rfm, draws)
    # Distributions are cut off at 1e-12
    np.testing.assert_allclose(found.mean, bought.mean(axis=0), rtol=1e-9, atol=1e-11)
    columns = {name: values[:, None] for name, values in draws.items()}
    who = rfm["frequency"].to_numpy(), rfm["recency"].to_numpy(), rfm["T"].to_numpy()
    for n in (0, 1, 5):
        by_draw = ToyFamily().pmf(float(n), *who, HORIZON, **columns)
        np.testing.assert_allclose(found.pmf(n), by_draw.mean(axis=0), rtol=1e-9, atol=1e-13)
    predicted = whole.predict(rfm, horizon=HORIZON, predictive=True)
    ends = found.quantile([0.05, 0.95])
    np.testing.assert_array_equal(predicted["purchases_lower"], ends[0])
    np.testing.assert_array_equal(predicted["purchases_upper"], ends[1])
    np.testing.assert_allclose(np.exp(found.log_score(np.full(len(rfm), 2.0))), found.pmf(2.0))


def test_values_follow_the_counts_where_every_order_is_worth_the_same() -> None:
    whole, rfm = posterior(), some()
    counts = clv.count_distribution(whole, rfm, horizon=HORIZON)
    values = clv.value_distribution(
        whole, rfm, horizon=HORIZON, discount_rate=0.0, margin=1.0, paths=4_000
    )
    np.testing.assert_allclose(values.mean, 20.0 * counts.mean, rtol=1e-9, atol=1e-9)
    for n in (0, 1, 3):
        error = 4.5 * math.sqrt(0.25 / 4_000)
        assert np.abs(values.cdf(np.full(len(rfm), 20.0 * n + 1.0)) - counts.cdf(n)).max() < error
    assert np.isfinite(values.crps(np.full(len(rfm), 20.0))).all()


def test_totals_and_futures_of_the_base() -> None:
    whole, rfm = posterior(), some()
    counts = clv.count_distribution(whole, rfm, horizon=HORIZON)
    found = clv.portfolio(whole, rfm, horizon=HORIZON, paths=2_000, margin=1.0, random_seed=2)
    for total, exact in (("purchases", counts.mean.sum()), ("buyers", counts.sf(0).sum())):
        assert found.table[total].item() == pytest.approx(exact, rel=1e-9)
        drawn = found.draws(total)
        assert abs(drawn.mean() - exact) < 5.0 * drawn.std() / math.sqrt(S)
    lam, p = (one[:, None] for one in whole.purchases.draws().values())
    at_end = closed(rfm, whole.purchases.draws())[0] * np.exp(-lam * p * HORIZON)
    drawn, exact = found.draws("alive"), at_end.mean(axis=0).sum()
    assert abs(drawn.mean() - exact) < 5.0 * drawn.std() / math.sqrt(S)
    paths = clv.simulate_future(whole, rfm, HORIZON, paths=200, margin=1.0, discount_rate=0.0)
    assert paths.purchases["time"].between(0, HORIZON).all()
    assert (paths.purchases["amount"] == 20.0).all()
    np.testing.assert_allclose(paths.values, 20.0 * paths.counts)
    each = paths.purchases.groupby(["customer_id", "path"]).size().sum()
    assert each == paths.counts.sum() == len(paths.purchases)
    assert (np.diff(paths.purchases["time"])[np.diff(paths.purchases["path"]) == 0] > 0).any()
    assert abs(paths.counts.sum(axis=0).mean() / counts.mean.sum() - 1.0) < 0.1


def test_amounts_of_gamma_gamma_are_drawn_on_the_way() -> None:
    fitted = clv.GammaGammaPosterior.from_draws(p=6.0, q=9.0, v=40.0)
    whole = clv.CLVPosterior(posterior().purchases, fitted)
    paths = clv.simulate_future(whole, some(), HORIZON, paths=300, margin=1.0)
    expected = whole.predict(some(), horizon=HORIZON, margin=1.0)["clv"].sum()
    drawn = paths.values.sum(axis=0)
    assert abs(drawn.mean() - expected) < 5.0 * drawn.std() / math.sqrt(S)


def test_values_of_the_base_and_of_new_customers() -> None:
    whole, rfm = posterior(), some()
    options = {"horizon": HORIZON, "discount_rate": RATE, "margin": 0.5}
    total = total_value(whole, rfm, **options)
    assert total.mean == pytest.approx(whole.predict(rfm, **options)["clv"].sum(), rel=1e-11)
    lam, p = whole.purchases.draws().values()
    decay = lam * p + np.log1p(RATE) / 365.25
    new = 10.0 * (1.0 + lam * -np.expm1(-decay * HORIZON) / decay)
    assert whole.new_customer_value(**options).mean == pytest.approx(new.mean(), rel=1e-11)
    endless = whole.predict(rfm, horizon=None, discount_rate=RATE, margin=0.5)
    assert (endless["clv"] > whole.predict(rfm, **options)["clv"]).all()


def test_files_are_scored_as_frames_are_predicted(tmp_path) -> None:
    whole, rfm, saved = posterior(), some(), tmp_path / "toy.nc"
    whole.save(saved)
    loaded = clv.load_posterior(saved)
    assert loaded.purchases.facts is TOY
    rfm.to_parquet(tmp_path / "rfm.parquet")
    report = clv.score(
        tmp_path / "rfm.parquet",
        saved,
        tmp_path / "scores.parquet",
        margin=0.5,
        intervals="all",
        predictive=True,
        threads=2,
    )
    assert report.scored == len(rfm)
    found = pd.read_parquet(tmp_path / "scores.parquet").sort_values("customer_id")
    expected = loaded.predict(rfm, margin=0.5, predictive=True).sort_values("customer_id")
    for name in ("p_alive", "clv", "clv_upper", "purchases_upper", "value_upper"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-11)
    alone = clv.load_posterior(whole.purchases.save(tmp_path / "alone.nc"))
    np.testing.assert_allclose(alone.predict(rfm)["p_alive"], expected_alive(whole, rfm))


def expected_alive(whole: clv.CLVPosterior, rfm) -> np.ndarray:
    return closed(rfm, whole.purchases.draws())[0].mean(axis=0)


@pytest.mark.parametrize("share", [1.0, 1.5, [0.2, 1.0]])
def test_a_share_is_less_than_one(share) -> None:
    with pytest.raises(clv.errors.DomainError, match="p_leave must lie between 0 and 1"):
        purchase_posterior("toy").from_draws(lam=0.1, p_leave=share)
    with pytest.raises(clv.errors.DomainError, match=r"p_leave=1.5 must lie between 0 and 1"):
        simulate_rfm(3, parameters={"lam": 0.1, "p_leave": 1.5}, T=9, seed=1, model="toy")


class EndlessFamily(ToyFamily):
    """Taken for one of which nobody leaves, as far as words go."""

    def endless(self, **parameters: Any) -> np.ndarray:
        return np.ones(np.shape(parameters["lam"]), dtype=bool)


def test_a_model_of_which_nobody_leaves_has_words_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = dataclasses.replace(TOY, leaves=NEVER, endless_where="", family=EndlessFamily())
    monkeypatch.setitem(MODELS, TOY.key, kept)
    one, rfm = posterior(), clv.RfmTable.from_frame(some(), time_unit="D")
    said = alive_note(one, "90D")
    assert "It says nothing about any customer: in Toy/NBD nobody ever leaves, so for" in said
    found = clv.diagnostics.diagnose(one.purchases, rfm, horizon="90D")
    notes = [note for section in found.sections for note in section.notes]
    assert any(
        note.startswith("In Toy/NBD nobody ever leaves, so P(alive) stays") for note in notes
    )
    without = "buy without end if nothing were discounted; a finite or discounted horizon"
    assert any(without in note for note in notes)
    _, leaving = heterogeneity(one.purchases, 0.9)["parameters"]
    assert leaving["name"] == "chance of ever leaving"
    with pytest.raises(clv.DomainError, match=r"^In Toy/NBD the undiscounted purchases of a"):
        one.predict(rfm, horizon=None, discount_rate=0.0)
    both = stacked_model.__wrapped__(("toy", "bgnbd"))  # not from the cache, nor into it
    assert both.leaves == "after each repeat purchase"
    assert both.endless_where == "a <= 1"


def test_without_a_peer_it_is_not_converted() -> None:
    alone = posterior().purchases
    with pytest.raises(clv.SchemaError, match=r"has no Toy/NBD: .* one of BetaGeoModel"):
        clv.to_pymc_marketing(alone, some())
    with pytest.raises(clv.SchemaError, match=r"no Toy/NBD, and so no priors"):
        purchase_specification("toy").replace(priors="pymc-marketing").build(base(), time_unit="D")
