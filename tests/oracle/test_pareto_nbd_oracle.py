"""Pareto/NBD against published numbers, mpmath, the peer, simulation, and its own laws.

`make_pareto_references.py` computes the references by other formulas than the package's.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import exp1

from clvmodels import ParetoNBDPosterior, RfmTable, datasets, rfm_summary
from clvmodels.errors import DomainError
from clvmodels.formulas import paretonbd
from clvmodels.formulas.fused import Fused

NAMES = ("r", "alpha", "s", "beta")
CDNOW = {"r": 0.55327001, "alpha": 10.57780068, "s": 0.60602000, "beta": 11.66391453}
BTYD = {"r": 0.55, "alpha": 10.56, "s": 0.61, "beta": 11.64}
PLAIN = {"r": 0.55, "alpha": 10.6, "s": 0.61, "beta": 11.7}
RELATIVE = 1e-10
WEEK = math.log(1.1) / 52

with (Path(__file__).parents[1] / "data" / "pareto_references.json").open() as file:
    REFERENCES: dict[str, list[dict[str, Any]]] = json.load(file)


def columns(kind: str, *names: str) -> list[np.ndarray]:
    return [np.array([float(point[name]) for point in REFERENCES[kind]]) for name in names]


def parameters(kind: str) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, columns(kind, *NAMES), strict=True))


def cdnow() -> tuple[np.ndarray, ...]:
    names = {"customer_id_col": "customer_id", "datetime_col": "date"}
    log = datasets.load_cdnow(sample=True)
    rfm = rfm_summary(log, **names, time_scaler=7, observation_period_end="1997-09-30").to_pandas()
    return tuple(rfm[name].to_numpy(float) for name in ("frequency", "recency", "T"))


def base_of(x: Any, t_x: Any, T: Any, count: Any = None, stratum: Any = None) -> Fused:
    rows = [np.asarray(v, dtype=float) for v in (x, t_x, T)]
    customers = np.ones(len(rows[0])) if count is None else count
    return paretonbd.fused(*rows, customers, stratum=stratum)


def at(base: Fused, theta: dict[str, Any], *, gradient: bool = True) -> np.ndarray:
    return base(*(theta[name] for name in NAMES), gradient=gradient)


class TestPublished:
    def test_the_fit_of_the_cdnow_sample(self) -> None:
        """Its log-likelihood, and that no direction leads up from there."""
        x, t_x, T = cdnow()
        assert paretonbd.log_likelihood(x, t_x, T, **CDNOW).sum() == pytest.approx(
            -9594.976181, abs=1e-6
        )
        value, *slopes = at(base_of(x, t_x, T), CDNOW)
        assert value == pytest.approx(-9594.976181, abs=1e-6)
        steps = np.array(slopes) * list(CDNOW.values())  # by the logarithms
        assert np.abs(steps).max() < 0.1  # of 9,595, with standard errors of 0.07 and more

    def test_the_walkthrough_and_manual_of_btyd(self) -> None:
        """Customer 1516 of the CDNOW sample, at the fit; new customers, at the manual's values."""
        history = (26, 30.86, 31)
        assert round(float(paretonbd.p_alive(*history, **CDNOW)), 4) == 0.9979
        assert round(float(paretonbd.expected_purchases(*history, 52, **CDNOW)), 2) == 25.46
        expected = [0.0, 0.05077821, 0.09916088, 0.14542507, 0.18979930, 0.23247466, 0.27361274]
        value = paretonbd.expected_purchases_new(np.arange(7), **BTYD)
        np.testing.assert_allclose(value, expected, atol=5e-9)


class TestAgainstReferences:
    def test_log_likelihood(self) -> None:
        x, t_x, T, expected = columns("histories", "x", "t_x", "T", "log_likelihood")
        value = paretonbd.log_likelihood(x, t_x, T, **parameters("histories"))
        # to 1e-10, or to a few units in the last place of sums of large numbers
        assert (np.abs(value - expected) <= np.maximum(RELATIVE, 1e-13 * np.abs(expected))).all()

    def test_p_alive(self) -> None:
        x, t_x, T, expected = columns("histories", "x", "t_x", "T", "p_alive")
        value = paretonbd.p_alive(x, t_x, T, **parameters("histories"))
        exponent = np.abs(np.log(np.maximum(expected, 1e-300)))  # whose rounding is multiplied
        error = np.abs(value / np.maximum(expected, 1e-300) - 1.0)
        normal = expected > 1e-290
        assert (error <= RELATIVE + 1e-14 * exponent)[normal].all()
        assert (value[~normal] <= 1e-289).all()

    def test_the_fused_value_and_gradient(self) -> None:
        """Each history as a base of one customer; derivatives by the logarithms."""
        by_log = np.array(columns("histories", *(f"by_log_{name}" for name in NAMES))).T
        for point, expected in zip(REFERENCES["histories"], by_log, strict=True):
            base = base_of([point["x"]], [point["t_x"]], [point["T"]])
            value, *slopes = at(base, point)
            exact = float(point["log_likelihood"])
            assert value == pytest.approx(exact, abs=max(RELATIVE, 1e-13 * abs(exact)))
            found = np.array(slopes) * [point[name] for name in NAMES]
            # A derivative near 0 is a sum of terms as large as x and the other derivatives.
            size = 1.0 + point["x"] + np.abs(expected).max()
            assert (np.abs(found - expected) <= 1e-10 * size).all()

    def test_expected_and_discounted(self) -> None:
        s, B, horizon, delta = columns("futures", "s", "B", "horizon", "delta")
        theta = {"r": 2.5, "alpha": 5.0, "s": s, "beta": B}
        value = paretonbd.discounted_purchases_new(horizon, delta, **theta)
        (expected,) = columns("futures", "discounted")
        np.testing.assert_allclose(value, 0.5 * expected, rtol=RELATIVE)
        value = paretonbd.discounted_purchases_new(horizon, 0.01, month=30.4375, **theta)
        (expected,) = columns("futures", "monthly")
        np.testing.assert_allclose(value, 0.5 * expected, rtol=RELATIVE)
        value = paretonbd.expected_purchases_new(horizon, **theta)
        for found, point in zip(value, REFERENCES["futures"], strict=True):
            expected = 0.5 * float(point.get("undiscounted", math.inf))
            assert found == pytest.approx(expected, rel=RELATIVE)

    def test_counts(self) -> None:
        n, t, pmf, at_least = columns("counts", "n", "t", "pmf", "at_least")
        theta = parameters("counts")
        np.testing.assert_allclose(
            paretonbd.pmf_new(n, t, **theta), pmf, rtol=RELATIVE, atol=1e-290
        )
        some = n > 0
        theta = {name: values[some] for name, values in theta.items()}
        value = paretonbd.sf_new(n[some] - 1, t[some], **theta)
        np.testing.assert_allclose(value, at_least[some], rtol=RELATIVE, atol=1e-290)


def exact_first(theta: dict[str, float], x: int, T: float, horizon: float) -> mp.mpf:
    """P(next purchase within the horizon | alive) by quadrature over its time."""
    R, A, s, B = (mp.mpf(v) for v in (theta["r"] + x, theta["alpha"] + T, theta["s"], 0))
    B = mp.mpf(theta["beta"]) + T
    end = mp.log1p(mp.mpf(horizon) / A) if math.isfinite(horizon) else 200 / R
    pieces = [end * k / 40 for k in range(41)]
    return mp.quad(lambda u: R * mp.exp(-R * u) * (1 + A * mp.expm1(u) / B) ** -s, pieces)


@pytest.mark.parametrize("horizon", [1e-4, 1.0, 365.0, math.inf])
def test_chance_of_a_purchase_live(horizon: float, rng: np.random.Generator) -> None:
    for _ in range(8):
        theta = {name: float(np.exp(rng.uniform(-2, 5))) for name in NAMES}
        x, T = int(rng.integers(1, 40)), float(rng.uniform(0, 400))
        value = paretonbd.p_purchase(x, T, T, horizon, **theta)  # P(alive) = 1
        with mp.workdps(20):
            assert value == pytest.approx(float(exact_first(theta, x, T, horizon)), rel=RELATIVE)


def peer_histories(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x, T = rng.integers(0, 12, 60).astype(float), rng.uniform(10, 80, 60)
    return x, np.where(x > 0, T * rng.uniform(0.1, 1.0, 60), 0.0), T


PEER_POINTS = [CDNOW, {"r": 0.9, "alpha": 20.0, "s": 1.4, "beta": 7.0}]


@pytest.mark.parametrize("theta", PEER_POINTS)
def test_the_peers_likelihood(theta: dict[str, float], rng: np.random.Generator) -> None:
    x, t_x, T = peer_histories(rng)
    exact = {name: np.array(value) for name, value in theta.items()}  # else float32
    peer = pytest.importorskip("pymc_marketing.clv.distributions").ParetoNBD.dist(**exact, T=T)
    rows = pm.logp(peer, np.stack([t_x, x], axis=1)).eval()
    np.testing.assert_allclose(paretonbd.log_likelihood(x, t_x, T, **theta), rows, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("theta", PEER_POINTS)
def test_the_peers_predictions(theta: dict[str, float], rng: np.random.Generator) -> None:
    history = peer_histories(rng)
    data = pd.DataFrame(dict(zip(["frequency", "recency", "T"], history, strict=True)))
    data["customer_id"] = np.arange(len(data))
    peer = pytest.importorskip("pymc_marketing.clv").ParetoNBDModel()
    peer.build_model(data)
    draws = {name: (("chain", "draw"), np.array([[value]])) for name, value in theta.items()}
    peer.idata = xr.DataTree.from_dict({"posterior": xr.Dataset(draws)})
    for found, expected in [
        (peer.expected_probability_alive(data, future_t=0), paretonbd.p_alive(*history, **theta)),
        (
            peer.expected_purchases(data, future_t=26),
            paretonbd.expected_purchases(*history, 26, **theta),
        ),
        (
            peer.expected_purchases_new_customer(data[:1], t=26),
            paretonbd.expected_purchases_new(26, **theta),
        ),
        (
            peer.expected_purchase_probability(data, n_purchases=2, future_t=26),
            paretonbd.pmf(2, *history, 26, **theta),
        ),
    ]:
        np.testing.assert_allclose(np.squeeze(found), expected, rtol=1e-10)


# --- limits, corners, laws ---


def test_t_x_at_the_end_is_alive() -> None:
    for theta in (PLAIN, {**PLAIN, "beta": 1e-3}, {**PLAIN, "alpha": 1e4}, {**PLAIN, "r": 1e4}):
        assert paretonbd.p_alive([0, 3, 900], [0, 40, 40], [0, 40, 40], **theta) == pytest.approx(
            1.0, abs=1e-12
        )


def test_who_was_watched_for_no_time_says_nothing() -> None:
    theta = {name: np.array([0.3, 7.0, 900.0]) for name in NAMES}
    assert (paretonbd.log_likelihood(0, 0, 0, **theta | {"beta": 11.0}) == 0.0).all()
    assert paretonbd.log_likelihood(2, 0, 0, **PLAIN) != 0.0


def test_equal_rate_parameters_are_a_point_like_any_other() -> None:
    """At alpha = beta P(alive) has a closed form (Fader & Hardie 2005, eq. 18)."""
    x, t_x, T = np.array([0, 2, 30]), np.array([0, 10.0, 35]), np.array([40.0, 40, 40])
    theta = {"r": 0.5, "alpha": 12.0, "s": 0.7, "beta": 12.0}
    share = theta["s"] / (theta["r"] + x + theta["s"])
    odds = share * (((12 + T) / (12 + t_x)) ** (theta["r"] + x + theta["s"]) - 1)
    np.testing.assert_allclose(paretonbd.p_alive(x, t_x, T, **theta), 1 / (1 + odds), rtol=1e-12)
    near = paretonbd.p_alive(x, t_x, T, **{**theta, "beta": 12.0 * (1 + 1e-12)})
    np.testing.assert_allclose(near, 1 / (1 + odds), rtol=1e-10)


@pytest.mark.parametrize("s", [1.0, 1.0 + 1e-12, 1.0 - 1e-12])
def test_near_s_of_1_nothing_breaks(s: float) -> None:
    theta = {**PLAIN, "s": s}
    rate = PLAIN["r"] / PLAIN["alpha"]
    value = paretonbd.expected_purchases_new(52, **theta)
    assert value == pytest.approx(rate * 11.7 * math.log1p(52 / 11.7), rel=1e-10)
    z = 0.01 * 11.7  # B e^z E_1(z)
    value = paretonbd.discounted_purchases_new(math.inf, 0.01, **theta)
    assert value == pytest.approx(rate * 11.7 * math.exp(z) * exp1(z), rel=1e-10)


@pytest.mark.parametrize(("s", "life"), [(0.6, math.inf), (1.0, math.inf), (1.5, 2 * 11.7)])
def test_undiscounted_whole_life(s: float, life: float) -> None:
    theta = {**PLAIN, "s": s}
    value = paretonbd.expected_purchases_new(math.inf, **theta)
    assert value == pytest.approx(PLAIN["r"] / PLAIN["alpha"] * life)
    assert paretonbd.endless(**theta) == math.isinf(life)


CORNERS = list(itertools.product([1e-3, 1.0, 1e4], repeat=4))
HISTORIES = [(0, 0, 0), (0, 0, 1e4), (1, 0.5, 1), (5000, 1.0, 1e4), (5000, 1e4, 1e4), (3, 0, 0)]


@pytest.mark.parametrize("delta", [0.0, 1e-9, 2.6e-4, 1.0])
@pytest.mark.parametrize("month", [None, 30.4375])
def test_no_nan_and_no_warning_at_the_corners(delta: float, month: float | None) -> None:
    theta = dict(zip(NAMES, np.array(CORNERS)[:, :, None].transpose(1, 0, 2), strict=True))
    x, t_x, T = np.array(HISTORIES, dtype=float).T
    for horizon in (0.0, 1e-3, 365.0, 1e4, math.inf):
        discounted = paretonbd.discounted_purchases(x, t_x, T, horizon, delta, month=month, **theta)
        purchases = paretonbd.expected_purchases(x, t_x, T, horizon, **theta)
        chance = paretonbd.p_purchase(x, t_x, T, horizon, **theta)
        assert not np.isnan(discounted).any()
        assert not np.isnan(purchases).any()
        assert (discounted <= purchases * (1 + 1e-11)).all()
        assert ((chance >= 0) & (chance <= 1)).all()
        assert (chance <= purchases * (1 + 1e-11)).all()
        finite = math.isfinite(horizon) or delta > 0
        assert not finite or np.isfinite(discounted).all()


def test_likelihood_and_counts_at_the_corners() -> None:
    theta = dict(zip(NAMES, np.array(CORNERS)[:, :, None].transpose(1, 0, 2), strict=True))
    x, t_x, T = np.array(HISTORIES, dtype=float).T
    assert np.isfinite(paretonbd.log_likelihood(x, t_x, T, **theta)).all()
    alive = paretonbd.p_alive(x, t_x, T, **theta)
    assert ((alive >= 0) & (alive <= 1)).all()
    pmf = paretonbd.pmf([0, 1, 7], 2, 3.0, 9.0, [[[0.0]], [[1e4]], [[math.inf]]], **theta)
    assert ((pmf >= 0) & (pmf <= 1)).all()


# Where a chain or a line search may look, tens of prior standard deviations away.
FAR = [
    (0.5, 30.0, 1e9, 1e10),
    (0.5, 30.0, 0.7, 1e12),
    (0.5, 30.0, 1e-12, 20.0),
    (1e9, 3e10, 0.8, 2.5),
    (1e6, 1e-3, 0.8, 2.5),
    (1e-12, 1e9, 0.8, 2.5),
    (0.5, 1e-9, 0.8, 1e9),
]


@pytest.mark.parametrize("point", FAR)
def test_far_away_the_value_is_finite_and_agrees_with_the_rows(point: tuple[float, ...]) -> None:
    x, t_x, T = [0.0, 1, 1, 2, 7, 40], [0.0, 3, 9, 30, 200, 650], [50.0, 60, 9, 90, 210, 700]
    theta = dict(zip(NAMES, point, strict=True))
    value, *slopes = at(base_of(x, t_x, T), theta)
    assert np.isfinite(slopes).all()
    rows = paretonbd.log_likelihood(x, t_x, T, **theta)
    assert value == pytest.approx(math.fsum(rows), rel=1e-10)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_outside_the_domain_the_fused_value_is_minus_infinity(position: int, bad: float) -> None:
    point = list(CDNOW.values())
    point[position] = bad
    out = base_of([2], [3], [9])(*point)
    assert out[0] == -math.inf
    assert not np.isnan(out).any()


def test_counts_of_the_fused_table() -> None:
    """Customers who share a history enter as often as they are."""
    x, t_x, T = [0, 2, 2, 5, 0], [0.0, 3, 3, 9, 0], [30.0, 9, 9, 30, 9]
    count = np.array([7.0, 2, 3, 1, 4])
    each = base_of(*(np.repeat(v, count.astype(int)) for v in (x, t_x, T)))
    np.testing.assert_allclose(
        at(base_of(x, t_x, T, count), CDNOW), at(each, CDNOW), rtol=1e-12, atol=1e-12
    )
    assert at(each, CDNOW, gradient=False)[0] == pytest.approx(at(each, CDNOW)[0], rel=1e-14)


def test_strata_are_bases_of_their_own() -> None:
    x, t_x, T = [0, 2, 2, 5, 0], [0.0, 3, 7, 9, 0], [30.0, 9, 9, 30, 9]
    stratum = np.array([0, 1, 0, 1, 1])
    theta = {name: np.array([value, 2.0 * value]) for name, value in PLAIN.items()}
    whole = at(base_of(x, t_x, T, stratum=stratum), theta)
    alone = [
        at(
            base_of(*(np.array(v)[stratum == g] for v in (x, t_x, T))),
            {name: values[g] for name, values in theta.items()},
        )
        for g in range(2)
    ]
    assert whole[0] == pytest.approx(alone[0][0] + alone[1][0], rel=1e-13)
    np.testing.assert_allclose(whole[1:].reshape(4, 2).T, [one[1:] for one in alone], rtol=1e-12)


def powers(lo: float, hi: float) -> st.SearchStrategy[float]:
    return st.floats(lo, hi).map(lambda exponent: 10.0**exponent)


ANY = st.fixed_dictionaries({name: powers(-3, 4) for name in NAMES})
LENGTHS = st.one_of(powers(-3, 4), st.just(1.0))
RATES = powers(-7, -1)


@st.composite
def any_history(draw: st.DrawFn) -> tuple[int, float, float]:
    x = draw(st.one_of(st.just(0), st.integers(1, 50), st.integers(1, 5000)))
    T = draw(st.one_of(st.just(0.0), powers(-2, 4)))
    return x, (T * draw(st.floats(0, 1)) if x else 0.0), T


def near(value: Any, other: Any, rtol: float = RELATIVE) -> None:
    np.testing.assert_allclose(value, other, rtol=rtol, atol=1e-290)


@given(any_history(), ANY, LENGTHS, RATES)
def test_horizon_zero_gives_zero(history: Any, theta: Any, month: float, delta: float) -> None:
    assert paretonbd.expected_purchases(*history, 0, **theta) == 0
    assert paretonbd.p_purchase(*history, 0, **theta) == 0
    assert paretonbd.discounted_purchases(*history, 0, delta, **theta) == 0
    assert paretonbd.discounted_purchases(*history, 0, delta, month=month, **theta) == 0
    assert paretonbd.pmf(0, *history, 0, **theta) == pytest.approx(1.0)


@given(any_history(), ANY, LENGTHS, st.floats(0, 3), RATES)
def test_monotone_in_the_horizon(
    history: Any, theta: Any, horizon: float, more: float, delta: float
) -> None:
    lengths = np.array([horizon, horizon * (1 + more), math.inf])
    for value in (
        paretonbd.expected_purchases(*history, lengths, **theta),
        paretonbd.discounted_purchases(*history, lengths, delta, **theta),
        paretonbd.p_purchase(*history, lengths, **theta),
    ):
        assert (value[1:] >= value[:-1] * (1 - RELATIVE)).all()


@given(any_history(), ANY, LENGTHS, RATES, st.integers(1, 30))
def test_months_add_up(history: Any, theta: Any, horizon: float, delta: float, months: int) -> None:
    month = horizon / months
    ends = month * np.arange(months + 1)
    each = np.diff(paretonbd.expected_purchases(*history, ends, **theta))
    total = (np.exp(-delta * ends[1:]) * each).sum()
    value = paretonbd.discounted_purchases(*history, ends[-1], delta, month=month, **theta)
    near(value, total, 1e-9)


@given(any_history(), ANY, LENGTHS, RATES, st.sampled_from([1 / 7, 7.0, 365.25]))
def test_scaling_time(history: Any, theta: Any, horizon: float, delta: float, scale: float) -> None:
    x, t_x, T = history
    scaled = {**theta, "alpha": scale * theta["alpha"], "beta": scale * theta["beta"]}
    later = (x, scale * t_x, scale * T)
    near(paretonbd.p_alive(*later, **scaled), paretonbd.p_alive(*history, **theta), 1e-9)
    one = paretonbd.discounted_purchases(*history, horizon, delta, **theta)
    other = paretonbd.discounted_purchases(*later, scale * horizon, delta / scale, **scaled)
    near(other, one, 1e-9)
    value = paretonbd.log_likelihood(*later, **scaled) + x * math.log(scale)
    expected = paretonbd.log_likelihood(*history, **theta)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(any_history(), ANY, LENGTHS)
def test_waiting_is_a_mixture_of_what_happens(history: Any, theta: Any, gap: float) -> None:
    """A customer not heard of for longer is less likely alive, and P(alive) is in [0, 1]."""
    x, t_x, T = history
    alive = paretonbd.p_alive(x, t_x, [T, T + gap], **theta)
    assert 0 <= alive[1] <= alive[0] * (1 + 1e-11) <= 1 + 1e-11


@given(any_history(), st.fixed_dictionaries({name: powers(-1, 2) for name in NAMES}), powers(-1, 2))
def test_counts_are_a_distribution(history: Any, theta: Any, horizon: float) -> None:
    x, t_x, T = (min(history[0], 20), history[1], history[2])
    history = (x, t_x if x else 0.0, T)
    n = np.arange(4)
    pmf = paretonbd.pmf(n, *history, horizon, **theta)
    assert pmf.sum() <= 1 + 1e-11
    none = 1.0 - paretonbd.p_purchase(*history, horizon, **theta)
    assert pmf[0] == pytest.approx(none, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("theta", [PLAIN, {"r": 3.0, "alpha": 5.0, "s": 2.5, "beta": 90.0}])
def test_counts_sum_to_one_and_to_the_mean(theta: dict[str, float]) -> None:
    n = np.arange(3000.0)
    pmf = paretonbd.pmf_new(n, 60.0, **theta)
    above = paretonbd.sf_new(n, 60.0, **theta)
    assert pmf.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(above, 1.0 - np.cumsum(pmf), atol=1e-12)
    assert above.sum() == pytest.approx(paretonbd.expected_purchases_new(60.0, **theta), rel=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: paretonbd.log_likelihood(1, 7, 6, **PLAIN),
        lambda: paretonbd.p_alive(0, 1, 6, **PLAIN),
        lambda: paretonbd.p_purchase(1, 2, 6, -1, **PLAIN),
        lambda: paretonbd.expected_purchases(1.5, 2, 6, 10, **PLAIN),
        lambda: paretonbd.expected_purchases_new(math.nan, **PLAIN),
        lambda: paretonbd.discounted_purchases(1, 2, 6, 10, -0.1, **PLAIN),
        lambda: paretonbd.discounted_purchases_new(10, 0.1, month=0.0, **PLAIN),
        lambda: paretonbd.pmf_new(-1, 10, **PLAIN),
        lambda: paretonbd.pmf(0.5, 1, 2, 6, 10, **PLAIN),
        lambda: paretonbd.endless(**{**PLAIN, "s": 0.0}),
    ],
)
def test_arguments_outside_the_domain(call: Any) -> None:
    with pytest.raises(DomainError):
        call()


def test_many_lengths_at_once() -> None:
    draws = {name: np.array([value, 1.5 * value, 4 * value]) for name, value in PLAIN.items()}
    T, lengths = np.array([3.0, 40.0]), np.array([0.0, 1.0, 7.0, 365.0])
    found = paretonbd.if_alive_along(4.0, T, lengths, **draws)
    assert found.shape == (3, 2, 4)
    for d, j, k in itertools.product(range(3), range(2), range(4)):
        theta = {name: values[d] for name, values in draws.items()}
        expected = paretonbd.expected_purchases(4, T[j], T[j], lengths[k], **theta)
        assert found[d, j, k] == pytest.approx(float(expected), rel=1e-12)


# --- the process itself ---

AGE, HORIZON, MONTH, DELTA, CUSTOMERS, ERRORS = 20.0, 30.0, 4.345, 0.02, 300_000, 5.0
WORLD = {"r": 0.9, "alpha": 6.0, "s": 0.8, "beta": 9.0}


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """Every purchase of every customer: history to AGE, and what happened after it."""
    rng = np.random.default_rng(1987)
    n = CUSTOMERS
    rate = rng.gamma(WORLD["r"], 1 / WORLD["alpha"], n)
    life = rng.exponential(1 / rng.gamma(WORLD["s"], 1 / WORLD["beta"], n))
    seen = {name: np.zeros(n) for name in ("x", "t_x", "later", "discounted", "monthly")}
    seen["alive"] = life > AGE
    time, left = np.zeros(n), np.arange(n)
    while left.size:
        time[left] += rng.exponential(1 / rate[left])
        left = left[time[left] <= np.minimum(life[left], AGE + HORIZON)]
        now = time[left]
        early, late = left[now <= AGE], left[now > AGE]
        seen["x"][early] += 1
        seen["t_x"][early] = time[early]
        after = time[late] - AGE
        seen["later"][late] += 1
        seen["discounted"][late] += np.exp(-DELTA * after)
        seen["monthly"][late] += np.exp(-DELTA * MONTH * np.ceil(after / MONTH))
    return seen


def agree(happened: np.ndarray, expected: np.ndarray) -> None:
    """Mean difference within ERRORS of its simulated standard error."""
    difference = happened - expected
    error = difference.std(ddof=1) / math.sqrt(difference.size)
    assert abs(difference.mean()) <= ERRORS * error


@pytest.mark.parametrize("group", [0, 1, 2, 3, 6])
def test_the_simulated_process(world: dict[str, np.ndarray], group: int) -> None:
    """Groups of one x, and 6 or more; two halves of each by t_x."""
    chosen = (world["x"] >= 6) if group == 6 else (world["x"] == group)
    middle = np.median(world["t_x"][chosen])
    for half in (world["t_x"] <= middle, world["t_x"] > middle):
        who = np.flatnonzero(chosen & half)[:20_000]
        if not who.size:
            continue
        history = (world["x"][who], world["t_x"][who], np.full(who.size, AGE))
        agree(world["alive"][who], paretonbd.p_alive(*history, **WORLD))
        later = world["later"][who]
        agree(later, paretonbd.expected_purchases(*history, HORIZON, **WORLD))
        agree(later > 0, paretonbd.p_purchase(*history, HORIZON, **WORLD))
        value = paretonbd.discounted_purchases(*history, HORIZON, DELTA, **WORLD)
        agree(world["discounted"][who], value)
        value = paretonbd.discounted_purchases(*history, HORIZON, DELTA, month=MONTH, **WORLD)
        agree(world["monthly"][who], value)
        few = who[:2_000]
        for n in (0, 1, 3):
            pmf = paretonbd.pmf(n, *(v[:2_000] for v in history), HORIZON, **WORLD)
            agree(world["later"][few] == n, pmf)


def test_the_simulated_counts_of_new_customers(world: dict[str, np.ndarray]) -> None:
    for n in range(6):
        pmf = float(paretonbd.pmf_new(n, AGE, **WORLD))
        error = math.sqrt(pmf * (1 - pmf) / CUSTOMERS)
        assert abs((world["x"] == n).mean() - pmf) <= ERRORS * error


def test_the_story_that_is_simulated(world: dict[str, np.ndarray]) -> None:
    """`simulate` tells the same story: its counts and times, against the formulas."""
    rngs = tuple(np.random.default_rng(seed) for seed in (1, 2))
    customers = paretonbd.customers(CUSTOMERS, rngs, **WORLD)
    x, t_x = np.zeros(CUSTOMERS), np.zeros(CUSTOMERS)
    observed = np.full(CUSTOMERS, AGE)
    for who, when in paretonbd.repeat_purchases(customers, observed, np.random.default_rng(3)):
        assert (np.diff(who) > 0).all()
        assert (when <= AGE).all()
        x[who] += 1
        t_x[who] = when
    agree(x, np.full(CUSTOMERS, paretonbd.expected_purchases_new(AGE, **WORLD)))
    for n in range(4):
        agree(x == n, np.full(CUSTOMERS, paretonbd.pmf_new(n, AGE, **WORLD)))
    for n in (1, 4):  # when the last purchase was, as the world's customers have it
        one, other = t_x[x == n], world["t_x"][world["x"] == n]
        error = math.hypot(*(v.std() / math.sqrt(v.size) for v in (one, other)))
        assert abs(one.mean() - other.mean()) < ERRORS * error


def _dert(x: float, t_x: float, T: float, delta: float, **theta: float) -> float:
    """Discounted expected residual transactions, as they were published.

    Fader, Hardie & Lee (2005), "RFM and CLV", eq. 2, with the likelihood of Fader & Hardie
    (2005): written out, and computed by mpmath.
    """
    r, alpha, s, beta = (mp.mpf(theta[name]) for name in ("r", "alpha", "s", "beta"))
    total, low, high = r + s + x, min(alpha, beta), max(alpha, beta)
    second = s + 1 if alpha >= beta else r + x
    early, late = (
        mp.hyp2f1(total, second, total + 1, (high - low) / (high + t)) / (high + t) ** total
        for t in (t_x, T)
    )
    living = (alpha + T) ** -(r + x) * (beta + T) ** -s
    common = mp.gamma(r + x) * alpha**r * beta**s / mp.gamma(r)
    likelihood = common * (living + s / total * (early - late))
    whole = alpha**r * beta**s * delta ** (s - 1) * mp.gamma(r + x + 1)
    whole *= mp.hyperu(s, s, delta * (beta + T))
    return float(whole / (mp.gamma(r) * (alpha + T) ** (r + x + 1) * likelihood))


@pytest.mark.parametrize("weekly", [0.0027, 0.012])
@pytest.mark.parametrize(
    "theta",
    [
        {"r": 0.5533, "alpha": 10.578, "s": 0.6061, "beta": 11.669},
        {"r": 0.5533, "alpha": 11.669, "s": 1.4, "beta": 10.578},
    ],
    ids=["CDNOW", "alpha > beta"],
)
def test_whole_lives_are_worth_the_published_dert(theta: dict[str, float], weekly: float) -> None:
    """Of the formulas, of posteriors of tables in weeks, and of new customers."""
    rate = math.expm1(weekly * 365.25 / 7.0)
    days = [(0, 0, 272), (2, 213, 272), (7, 206, 272), (26, 216, 217)]
    histories = [(x, t_x / 7, T / 7) for x, t_x, T in days]
    wanted = [_dert(*history, weekly, **theta) for history in histories]
    x, t_x, T = map(np.array, zip(*histories, strict=True))
    found = paretonbd.discounted_purchases(x, t_x, T, math.inf, weekly, **theta)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    posterior = ParetoNBDPosterior.from_draws(**theta, time_unit="D", time_scaler=7)
    frame = pd.DataFrame({"customer_id": range(4), "frequency": x, "recency": t_x, "T": T})
    table = RfmTable.from_pandas(frame, time_scaler=7)
    predicted = posterior.predict(table, horizon=None, discount_rate=rate)
    np.testing.assert_allclose(predicted["discounted_purchases"], wanted, rtol=1e-8)
    new = paretonbd.discounted_purchases_new(math.inf, weekly, **theta)
    assert float(new) == pytest.approx(_dert(0, 0.0, 0.0, weekly, **theta), rel=1e-10)
