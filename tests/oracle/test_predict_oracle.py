"""Predictions against published values, slow loops over draws, simulation, and the peer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.special import hyp2f1

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    RfmTable,
)
from clvmodels.simulate import simulate_log

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "data" / "reference_values.json").read_text(encoding="utf-8")
)
WEEKS = {"time_unit": "D", "time_scaler": 7}
TRUE = REFERENCE["bgnbd_params"]
BGNBD = BetaGeoPosterior.from_draws(**TRUE, **WEEKS)
SPEND = GammaGammaPosterior.from_draws(**REFERENCE["gamma_gamma_params"])


def people(*rows: tuple[float, ...]) -> pd.DataFrame:
    names = ["frequency", "recency", "T", "monetary_value"][: len(rows[0])]
    frame = pd.DataFrame(list(rows), columns=names)
    frame.insert(0, "customer_id", [f"c{i}" for i in range(len(rows))])
    return frame.assign(monetary_value=30.0) if "monetary_value" not in frame else frame


def annual(delta_per_week: float) -> float:
    """The effective annual rate that is this continuous rate a week."""
    return math.expm1(delta_per_week / 7 * 365.25)


# --- published values ---

CUSTOMERS = REFERENCE["customers"]
REFERENCE_PEOPLE = people(*[(c["x"], float(c["tx"]), float(c["T"])) for c in CUSTOMERS])


def column(key: str) -> list[float]:
    return [float(customer[key]) for customer in CUSTOMERS]


def test_p_alive() -> None:
    values = BGNBD.expected_probability_alive(REFERENCE_PEOPLE)
    np.testing.assert_allclose(values.squeeze(), column("p_alive"), rtol=1e-8)


@pytest.mark.parametrize("weeks", [1, 26, 39, 52, 104])
def test_expected_purchases(weeks: int) -> None:
    expected = column(f"cet_{weeks}")
    for horizon in (weeks, f"{weeks}W", f"{7 * weeks}D"):
        values = BGNBD.expected_purchases(REFERENCE_PEOPLE, future_t=horizon)
        np.testing.assert_allclose(values.squeeze(), expected, rtol=1e-8)
        table = CLVPosterior(BGNBD, SPEND).predict(REFERENCE_PEOPLE, horizon=horizon)
        np.testing.assert_allclose(table["expected_purchases"], expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("key", "horizon", "delta"),
    [
        ("det_52w_10pct", "52W", math.log(1.10) / 52),
        ("dert_10pct", None, math.log(1.10) / 52),
        ("dert_15pct", None, math.log(1.15) / 52),
    ],
)
def test_discounted_purchases(key: str, horizon: str | None, delta: float) -> None:
    table = CLVPosterior(BGNBD, SPEND).predict(
        REFERENCE_PEOPLE, horizon=horizon, discount_rate=annual(delta)
    )
    np.testing.assert_allclose(table["discounted_purchases"], column(key), rtol=1e-8)


def test_new_customers() -> None:
    reference = REFERENCE["expected_repeat_purchases_new_customer"]
    times = [float(t) for t in reference]
    together = BGNBD.expected_purchases_new_customer(t=times)
    expected = [float(value) for value in reference.values()]
    assert together.dims == ("chain", "draw", "t")
    assert together["t"].to_numpy().tolist() == times
    np.testing.assert_allclose(together.squeeze(), expected, rtol=1e-8)
    one = BGNBD.expected_purchases_new_customer(t="52W")
    assert one.dims == ("chain", "draw")
    assert one.item() == pytest.approx(float(reference["52"]), rel=1e-8)


def test_a_near_one() -> None:
    for key, value in REFERENCE["cet39_x2_tx30.43_T38.86_with_a_near_1"].items():
        if key == "note":
            continue
        posterior = BetaGeoPosterior.from_draws(**(TRUE | {"a": 1 + float(key)}), **WEEKS)
        found = posterior.expected_purchases(people((2, 30.43, 38.86)), future_t=39)
        assert found.item() == pytest.approx(float(value), rel=1e-8)


def test_extremes() -> None:
    # Weeks too, but counted in hours, in which several purchases a day are possible
    hourly = BetaGeoPosterior.from_draws(**TRUE, time_unit="h", time_scaler=168)
    for key, expected in REFERENCE["extreme"].items():
        x, t_x, T = (float(part) for part in key.split(","))
        row = people((x, t_x, T))
        for value, name in [
            (hourly.expected_probability_alive(row).item(), "p_alive"),
            (hourly.expected_purchases(row, future_t=52).item(), "cet_52"),
        ]:
            # Below 1e-300 a value may be 0.
            assert value == pytest.approx(float(expected[name]), rel=1e-8, abs=1e-300)


def test_expected_spend() -> None:
    reference = REFERENCE["gamma_gamma_mean_spend_x_mbar"]
    pairs = [tuple(float(part) for part in key.split(",")) for key in reference]
    rows = people(*[(x, x, max(x, 10.0), m) for x, m in pairs])
    expected = [float(value) for value in reference.values()]
    found = SPEND.expected_customer_spend(rows)
    np.testing.assert_allclose(found.squeeze(), expected, rtol=1e-8)
    table = CLVPosterior(BGNBD, SPEND).predict(rows)
    np.testing.assert_allclose(table["expected_spend"], expected, rtol=1e-8)


def test_probability_of_a_purchase_at_frequency_0() -> None:
    """A peer leaves out that nobody who bought once has dropped out, and says .073."""
    row = people((0, 0.0, 38.86))
    r, alpha = TRUE["r"], TRUE["alpha"]
    expected = 1 - ((alpha + 38.86) / (alpha + 38.86 + 39)) ** r
    assert expected == pytest.approx(1 - 0.855, abs=5e-4)
    found = BGNBD.probability_of_purchase(row, future_t=39)
    assert found.item() == pytest.approx(expected, rel=1e-12)
    table = CLVPosterior(BGNBD, SPEND).predict(row, horizon=39)
    assert table["p_purchase"].item() == pytest.approx(expected, rel=1e-12)


# --- a slow loop over draws, written down from the papers ---

EXTRA = {"bgnbd": 0, "mbgnbd": 1}
KINDS = {"bgnbd": BetaGeoPosterior, "mbgnbd": ModifiedBetaGeoPosterior}
ROWS = people(
    (0, 0.0, 0.0, 0.0),
    (0, 0.0, 270.0, 0.0),
    (1, 12.0, 272.0, 18.5),
    (2, 213.0, 272.0, 22.35),
    (7, 206.0, 272.0, 73.74),
    (26, 216.0, 217.0, 33.0),
    (40, 50.0, 400.0, 5.0),
)
DRAWS = 7


def some_draws(seed: int = 1, count: int = DRAWS) -> tuple[dict, dict]:
    rng = np.random.default_rng(seed)

    def about(value: float, sd: float) -> np.ndarray:
        return value * np.exp(sd * rng.normal(size=count))

    bought = {"r": about(0.25, 0.1), "alpha": about(31, 0.1), "a": about(0.9, 0.3)}
    bought["b"] = 3 * bought["a"]
    spent = {"p": about(6, 0.2), "q": about(3.7, 0.1), "v": about(15, 0.3)}
    return bought, spent


def one_draw(kind, r, alpha, a, b, x, t_x, T, H, delta) -> tuple[float, float, float, float]:
    """P(alive), P(purchase), E[purchases] (eq. 10) and their discounted sum, by quadrature."""
    stays = x + EXTRA[kind]
    R, A, B = r + x, alpha + T, b + stays
    alive = 1.0
    if stays > 0:
        alive = 1 / (1 + a / (B - 1) * ((alpha + T) / (alpha + t_x)) ** R)
    some = alive * (1 - (A / (A + H)) ** R)
    grown = (A / (A + H)) ** R * hyp2f1(R, B, a + B - 1, H / (A + H))
    expected = alive * (a + B - 1) / (a - 1) * (1 - grown)

    def rate(s: float) -> float:
        return math.exp(-delta * s) * R / A * hyp2f1(R + 1, a, a + B, -s / A)

    value, _ = quad(rate, 0, H, epsabs=0, epsrel=1e-12, points=[H / 100, H / 10], limit=400)
    return alive, some, expected, alive * value


@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_column_is_the_slow_loop(kind: str, margin: float) -> None:
    bought, spent = some_draws()
    posterior = CLVPosterior(
        KINDS[kind].from_draws(**bought), GammaGammaPosterior.from_draws(**spent)
    )
    H, rate = 365.0, 0.12
    table = RfmTable.from_pandas(ROWS.assign(first_value=11.0), margin=margin)
    result = posterior.predict(table, horizon=H, discount_rate=rate, interval=0.8)
    delta = math.log(1 + rate) / 365.25
    for position, row in enumerate(ROWS.itertuples()):
        x, t_x, T, m = row.frequency, row.recency, row.T, row.monetary_value
        draws = [
            one_draw(kind, *(bought[n][i] for n in ["r", "alpha", "a", "b"]), x, t_x, T, H, delta)
            for i in range(DRAWS)
        ]
        alive, some, expected, discounted = (np.array(c) for c in zip(*draws, strict=True))
        spend = np.array(
            [p * (v + x * m) / (p * x + q - 1) for p, q, v in zip(*spent.values(), strict=True)]
        )
        products = np.outer(discounted, spend)  # every pair: the posteriors are independent
        found = result.iloc[position]
        hand = {
            "frequency": x,
            "recency": t_x,
            "T": T,
            "monetary_value": m,
            "p_alive": alive.mean(),
            "p_purchase": some.mean(),
            "expected_purchases": expected.mean(),
            "discounted_purchases": discounted.mean(),
            "expected_spend": spend.mean(),
            "margin": margin,
            "clv": margin * products.mean(),
            "clv_sd": margin * products.std(),
            "historical_value": margin * (11.0 + x * m),
            "total_value": margin * (11.0 + x * m + products.mean()),
        }
        for name, draw in [
            ("p_alive", alive),
            ("expected_purchases", expected),
            ("expected_spend", spend),
        ]:
            hand[f"{name}_lower"], hand[f"{name}_upper"] = np.quantile(draw, [0.1, 0.9])
        for name, value in hand.items():
            assert found[name] == pytest.approx(value, rel=1e-8), name
        assert margin * products.min() <= found["clv_lower"] <= found["clv"]
        assert found["clv"] <= found["clv_upper"] <= margin * products.max()
        assert set(result.columns) == {*hand, "customer_id", "clv_lower", "clv_upper"}


def test_the_columns_are_those_of_the_contract() -> None:
    posterior = CLVPosterior(BGNBD, SPEND)
    expected = [
        "customer_id",
        "frequency",
        "recency",
        "T",
        "monetary_value",
        "p_alive",
        "p_purchase",
        "expected_purchases",
        "discounted_purchases",
        "expected_spend",
        "clv",
        "clv_sd",
        "clv_lower",
        "clv_upper",
        "p_alive_lower",
        "p_alive_upper",
        "expected_purchases_lower",
        "expected_purchases_upper",
        "expected_spend_lower",
        "expected_spend_upper",
    ]
    assert list(posterior.predict(ROWS)) == [*expected, "margin"]
    past = posterior.predict(ROWS.assign(first_value=1.0))
    assert list(past) == [*expected, "historical_value", "total_value", "margin"]


def test_the_interval_of_value_carries_both_uncertainties() -> None:
    """Its ends cut off the right shares of all pairs of draws, not of plugged-in means."""
    count = 2_000
    bought, spent = some_draws(5, count)
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(**bought), GammaGammaPosterior.from_draws(**spent)
    )
    rows = ROWS.iloc[[1, 3]]
    found = posterior.predict(rows, draws=count, interval=0.9)
    purchases = posterior.purchases.expected_purchases(rows, future_t="365D").to_numpy()[0]
    # Undiscounted here, so ask for no discount there.
    plain = posterior.predict(rows, draws=count, interval=0.9, discount_rate=0.0)
    spend = posterior.spend.expected_customer_spend(rows).to_numpy()[0]
    for i in range(len(rows)):
        every = np.sort(np.outer(purchases[:, i], spend[:, i]), axis=None)
        for end, share in [("clv_lower", 0.05), ("clv_upper", 0.95)]:
            below = np.searchsorted(every, plain[end].iloc[i]) / every.size
            assert abs(below - share) < 4.5 * math.sqrt(0.05 * 0.95 / count)
        plugged = np.quantile(purchases[:, i] * spend[:, i].mean(), [0.05, 0.95])
        assert plain["clv_upper"].iloc[i] - plain["clv_lower"].iloc[i] > np.ptp(plugged)
    assert (found["clv_upper"] < plain["clv_upper"]).all()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("horizon", ["365D", None])
def test_one_customer_to_thirty_digits(kind: str, horizon: str | None) -> None:
    """The formulas in mpmath, by the definition: an integral over p of the flow's value."""
    r, alpha, a, b, delta = 0.25, 31.0, 0.8, 2.5, math.log(1.1) / 365.25
    x, t_x, T, m = 2, 213.0, 272.0, 22.35
    with mpmath.workdps(30):
        R, A, B = mpmath.mpf(r) + x, mpmath.mpf(alpha) + T, mpmath.mpf(b) + x + EXTRA[kind]
        alive = 1 / (1 + a / (B - 1) * (A / (mpmath.mpf(alpha) + t_x)) ** R)

        def flow(s):
            return mpmath.exp(-delta * s) * R / A * mpmath.hyp2f1(R + 1, a, a + B, -s / A)

        ends = [0, 100, 365] if horizon else [0, 100, 365, 2_000, 20_000, 200_000, mpmath.inf]
        value = alive * mpmath.quad(flow, ends)
        spend = mpmath.mpf(6) * (15 + x * mpmath.mpf(m)) / (6 * x + mpmath.mpf(3.7) - 1)
    posterior = CLVPosterior(
        KINDS[kind].from_draws(r=r, alpha=alpha, a=a, b=b),
        GammaGammaPosterior.from_draws(p=6.0, q=3.7, v=15.0),
    )
    found = posterior.predict(people((x, t_x, T, m)), horizon=horizon, discount_rate=0.1)
    assert found["discounted_purchases"].item() == pytest.approx(float(value), rel=1e-8)
    assert found["clv"].item() == pytest.approx(float(value * spend), rel=1e-8)


@pytest.mark.parametrize("months", [12.0, 7.4, 0.3])
def test_monthly_discounting_is_the_sum_of_months(months: float) -> None:
    """Each 30.4375-day month's purchases by (1+d)^(-k/12), the last, partial one too."""
    bought, spent = some_draws(3)
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(**bought), GammaGammaPosterior.from_draws(**spent)
    )
    rate, month = 0.2, 30.4375
    found = posterior.predict(
        ROWS, horizon=months * month, discount_rate=rate, discounting="monthly"
    )
    hand, before = 0.0, 0.0
    for k in range(1, math.ceil(months) + 1):
        upto = posterior.purchases.expected_purchases(ROWS, future_t=min(k, months) * month)
        hand = hand + (1 + rate) ** (-k / 12) * (upto - before)
        before = upto
    np.testing.assert_allclose(
        found["discounted_purchases"], hand.mean(("chain", "draw")), rtol=1e-8
    )
    monthly = posterior.predict(ROWS, horizon=f"{months}M", discounting="monthly")
    days = posterior.predict(ROWS, horizon=months * month, discounting="monthly")
    pd.testing.assert_frame_equal(monthly, days, rtol=1e-12)


# --- simulation ---


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("rate", [0.1, 0.95])
def test_new_customers_are_worth_what_simulated_ones_bring(kind: str, rate: float) -> None:
    true = {"r": 0.8, "alpha": 20.0, "a": 0.9, "b": 2.5}
    spend = {"p": 5.0, "q": 6.0, "v": 40.0}
    n, margin = 60_000, 0.4
    log = simulate_log(n, **true, **spend, T=365.0, seed=21, period=None, model=kind)
    first = log.groupby("customer_id")["date"].transform("min")
    waited = (log["date"] - first) / pd.Timedelta(days=1)
    present = margin * log["amount"] * (1 + rate) ** (-waited / 365.25)
    brought = present.groupby(log["customer_id"]).sum()
    assert len(brought) == n
    posterior = CLVPosterior(
        KINDS[kind].from_draws(**true), GammaGammaPosterior.from_draws(**spend)
    )
    value = posterior.new_customer_value("365D", rate, margin=margin)
    error = brought.std() / math.sqrt(n)
    assert abs(value.mean - brought.mean()) < 4.5 * error
    assert math.isnan(value.sd)
    assert math.isnan(value.lower)
    assert math.isnan(value.upper)


def test_new_customers_value_and_its_uncertainty() -> None:
    bought, spent = some_draws(8, 400)
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(**bought), GammaGammaPosterior.from_draws(**spent)
    )
    value = posterior.new_customer_value("365D", 0.0, draws=400, interval=0.8)
    repeats = posterior.purchases.expected_purchases_new_customer(t="365D").to_numpy().ravel()
    spend = spent["p"] * spent["v"] / (spent["q"] - 1)
    every = np.outer(1 + repeats, spend)
    assert value.mean == pytest.approx(every.mean(), rel=1e-9)
    assert value.sd == pytest.approx(every.std(), rel=1e-9)
    for end, share in [(value.lower, 0.1), (value.upper, 0.9)]:
        assert abs((every < end).mean() - share) < 4.5 * math.sqrt(0.1 * 0.9 / 400)
    once = posterior.new_customer_value(0, 0.1, draws=400)
    assert once.mean == pytest.approx(spend.mean(), rel=1e-12)


# --- the peer ---


@pytest.fixture(scope="module")
def peer():
    """pymc-marketing's models, given our draws."""
    import xarray as xr
    from pymc_marketing import clv

    bought, spent = some_draws(11, 6)

    def with_draws(model, draws: dict) -> object:
        model.build_model(ROWS[ROWS["frequency"] > 0])
        data = xr.Dataset(
            {n: (("chain", "draw"), values.reshape(2, 3)) for n, values in draws.items()},
            coords={"chain": [0, 1], "draw": [0, 1, 2]},
        )
        model.idata = xr.DataTree.from_dict({"posterior": data})
        return model

    return (
        {
            "bgnbd": with_draws(clv.BetaGeoModel(), bought),
            "mbgnbd": with_draws(clv.ModifiedBetaGeoModel(), bought),
            "gamma_gamma": with_draws(clv.GammaGammaModel(), spent),
        },
        bought,
        spent,
    )


def assert_same(ours, theirs) -> None:
    assert ours.dims == ("chain", "draw", "customer_id")
    theirs = theirs.transpose("chain", "draw", "customer_id")
    assert ours["customer_id"].to_numpy().tolist() == theirs["customer_id"].to_numpy().tolist()
    np.testing.assert_allclose(
        ours.to_numpy().reshape(6, -1), theirs.to_numpy().reshape(6, -1), rtol=1e-8
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_parity_of_purchases(peer, kind: str) -> None:
    models, bought, _ = peer
    ours, theirs = KINDS[kind].from_draws(**bought), models[kind]
    assert_same(ours.expected_probability_alive(ROWS), theirs.expected_probability_alive(ROWS))
    for t in (30, 365):
        assert_same(
            ours.expected_purchases(ROWS, future_t=t), theirs.expected_purchases(ROWS, future_t=t)
        )
        new = theirs.expected_purchases_new_customer(ROWS, t=t).isel(customer_id=0)
        mine = ours.expected_purchases_new_customer(t=t)
        np.testing.assert_allclose(mine.to_numpy().ravel(), new.to_numpy().ravel(), rtol=1e-8)


@pytest.mark.slow
def test_parity_of_the_probability_of_a_purchase_but_at_frequency_0(peer) -> None:
    models, bought, _ = peer
    repeat = ROWS[ROWS["frequency"] > 0]
    ours = BetaGeoPosterior.from_draws(**bought)
    none = models["bgnbd"].expected_probability_no_purchase(t=100, data=repeat)
    assert_same(1 - ours.probability_of_purchase(repeat, future_t=100), none)
    once = ROWS[ROWS["frequency"] == 0]
    none = models["bgnbd"].expected_probability_no_purchase(t=100, data=once).to_numpy().ravel()
    mine = ours.probability_of_purchase(once, future_t=100).to_numpy().ravel()
    assert np.abs(mine - (1 - none)).max() > 0.01  # their known error


@pytest.mark.slow
def test_parity_of_spend_and_value(peer) -> None:
    models, bought, spent = peer
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(**bought), GammaGammaPosterior.from_draws(**spent)
    )
    theirs = models["gamma_gamma"].expected_customer_spend(ROWS)
    assert_same(posterior.spend.expected_customer_spend(ROWS), theirs)
    rate = 0.15
    value = models["gamma_gamma"].expected_customer_lifetime_value(
        transaction_model=models["bgnbd"],
        data=ROWS,
        future_t=12,
        discount_rate=(1 + rate) ** (1 / 12) - 1,
        time_unit="D",
    )
    mine = posterior.predict(ROWS, horizon="12M", discount_rate=rate, discounting="monthly")
    np.testing.assert_allclose(mine["clv"], value.mean(("chain", "draw")), rtol=1e-8)
