"""Simulated customers against closed forms, and logs against RFM tables.

Sample means must lie within 4.5 standard errors: false alarms are rarer than 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy.special import betaln, factorial, gammaln, hyp2f1, poch
from scipy.stats import nbinom

from clvmodels import RfmTable
from clvmodels.errors import ClvError, DomainError
from clvmodels.purchases import MODELS
from clvmodels.purchases import stories as _simulated
from clvmodels.simulate import simulate_customers, simulate_log, simulate_rfm
from tests.kinds import KINDS

Array = npt.NDArray[np.float64]
BGNBD = {"r": 0.8, "alpha": 20.0, "a": 1.6, "b": 3.0}
TRUTH = {model: {"parameters": BGNBD} for model in KINDS}
TRUTH["paretonbd"] = {"parameters": {"r": 0.8, "alpha": 20.0, "s": 1.6, "beta": 90.0}}
SPEND = {"p": 5.0, "q": 6.0, "v": 40.0}
N = 200_000


def assert_mean(sample: npt.ArrayLike, expected: float) -> None:
    values = np.asarray(sample, dtype=float)
    error = values.std(ddof=1) / np.sqrt(values.size)
    assert abs(values.mean() - expected) < 4.5 * error


def expected_repeats(t: float, theta: Sequence[float], model: str) -> float:
    """Fader, Hardie & Lee (2005) eq. 9; Batislam et al. (2007); Schmittlein et al. (1987).

    With regular timing the sum over n of P(the n-th is made): k n stages by t, and as many stays
    as were asked for before it.
    """
    if model == "paretonbd":
        r, alpha, s, beta = theta
        return float(r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + t)) ** (s - 1)))
    r, alpha, a, b = theta
    k, shift = MODELS[model].regularity, 1 if model.startswith("m") else 0
    if k > 1:
        n = np.arange(1, 20_000)
        stays = betaln(a, b + n - 1 + shift) - betaln(a, b)
        return float((np.exp(stays) * nbinom.sf(k * n - 1, r, alpha / (alpha + t))).sum())
    hyper = hyp2f1(r, b + shift, a + b - 1 + shift, t / (alpha + t))
    factor = b / (a - 1) if shift else (a + b - 1) / (a - 1)
    return float(factor * (1 - (alpha / (alpha + t)) ** r * hyper))


def log_likelihood(x: Array, t_x: Array, t: Array, theta: Sequence[float], model: str) -> Array:
    """Log-likelihood per customer: FHL (2005) eq. 6; the MBG/NBD counts one more chance.

    With regular timing k stages make a purchase, and fewer have passed since the last one.
    """
    if model == "paretonbd":  # with beta > alpha: Fader & Hardie, note 28, eq. 2 and 3
        r, alpha, s, beta = theta
        R, total = r + x, r + x + s
        common = gammaln(R) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        ends = (
            hyp2f1(total, R, total + 1, (beta - alpha) / (beta + u)) / (beta + u) ** total
            for u in (t_x, t)
        )
        gone = s / total * (next(ends) - next(ends))
        return common + np.log((alpha + t) ** -R * (beta + t) ** -s + gone)
    r, alpha, a, b = theta
    k, shift = MODELS[model].regularity, 1.0 if model.startswith("m") else 0.0
    R, since = r + k * x, (t - t_x) / (alpha + t)
    phases = sum(poch(R, j) * since**j / factorial(j) for j in range(k))
    common = gammaln(R) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    alive = betaln(a, b + x + shift) - R * np.log(alpha + t) + np.log(phases)
    gone = betaln(a + 1, b + x - 1 + shift) - R * np.log(alpha + t_x)
    return common + np.where((x > 0) | (shift > 0), np.logaddexp(alive, gone), alive)


def spend_log_likelihood(x: Array, mean: Array, theta: Sequence[float]) -> Array:
    """Log-density of the mean of x amounts: Fader & Hardie (2013) eq. 1a."""
    p, q, v = theta
    px = p * x
    return (-betaln(px, q) + q * np.log(v) + (px - 1) * np.log(mean) + px * np.log(x)) - (
        px + q
    ) * np.log(x * mean + v)


def assert_score_is_zero(
    log_density: Callable[[Sequence[float]], Array], truth: Sequence[float]
) -> None:
    """At the true parameters the log-likelihood's gradient has mean zero."""
    for position, value in enumerate(truth):
        step = 1e-4 * value
        up, down = list(truth), list(truth)
        up[position], down[position] = value + step, value - step
        assert_mean((log_density(up) - log_density(down)) / (2 * step), 0.0)


def test_parameters_follow_their_distributions() -> None:
    r, alpha, a, b = BGNBD.values()
    rate, dropout = simulate_customers(N, **BGNBD, seed=1)
    assert rate.shape == dropout.shape == (N,)
    assert_mean(rate, r / alpha)
    assert_mean(rate**2, r * (r + 1) / alpha**2)
    assert_mean(dropout, a / (a + b))
    assert_mean(dropout**2, a * (a + 1) / ((a + b) * (a + b + 1)))
    assert_mean((rate - rate.mean()) * (dropout - dropout.mean()), 0.0)


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("t", [3.0, 50.0, 2_000.0])
def test_repeat_purchases_have_the_closed_form_mean(model: str, t: float) -> None:
    rfm = simulate_rfm(N, **TRUTH[model], T=t, seed=2, period=None, model=model)
    theta = list(TRUTH[model]["parameters"].values())
    assert_mean(rfm["frequency"], expected_repeats(t, theta, model))


@pytest.mark.parametrize("period", [None, 1.0])
def test_share_without_repeats(period: float | None) -> None:
    r, alpha, a, b = BGNBD.values()
    silent = (alpha / (alpha + 30.0)) ** r
    plain = simulate_rfm(N, **BGNBD, T=30, seed=3, period=period)
    assert_mean(plain["frequency"] == 0, silent)
    modified = simulate_rfm(N, **BGNBD, T=30, seed=3, period=period, model="mbgnbd")
    assert_mean(modified["frequency"] == 0, a / (a + b) + b / (a + b) * silent)


@pytest.mark.parametrize("model", KINDS)
def test_whole_histories_have_the_models_likelihood(model: str) -> None:
    rfm = simulate_rfm(N, **TRUTH[model], T=(10.0, 200.0), seed=4, period=None, model=model)
    x, t_x, t = (rfm[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    assert_score_is_zero(
        lambda theta: log_likelihood(x, t_x, t, theta, model),
        list(TRUTH[model]["parameters"].values()),
    )


def test_spend_has_the_models_likelihood() -> None:
    rfm = simulate_rfm(N, **BGNBD, **SPEND, T=100.0, seed=5, period=None)
    buyers = rfm[rfm["frequency"] > 0]
    x, mean = (buyers[name].to_numpy(float) for name in ("frequency", "monetary_value"))
    assert_mean(mean, SPEND["p"] * SPEND["v"] / (SPEND["q"] - 1))
    assert_score_is_zero(lambda theta: spend_log_likelihood(x, mean, theta), list(SPEND.values()))
    assert (rfm.loc[rfm["frequency"] == 0, "monetary_value"] == 0).all()


def test_merging_counts_distinct_days() -> None:
    """Given lambda, a day has a purchase with probability 1 - exp(-lambda) if nobody leaves."""
    rate_mean, t = 0.5, 40
    rfm = simulate_rfm(N, r=5e3, alpha=5e3 / rate_mean, a=1e-6, b=1e3, T=t, seed=6)
    rate = simulate_customers(N, r=5e3, alpha=5e3 / rate_mean, a=1e-6, b=1e3, seed=6)[0]
    assert_mean(rfm["frequency"] - t * -np.expm1(-rate), 0.0)


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("cents", [False, True])
@pytest.mark.parametrize("period", [None, 1.0, 7.0])
def test_rfm_is_the_summary_of_the_log(model: str, cents: bool, period: float | None) -> None:
    n, end = 3_000, pd.Timestamp("2024-03-01")
    busy = {"parameters": TRUTH[model]["parameters"] | {"alpha": 2.0}}  # so that days are shared
    options = {"T": (0.0, 364.0), "seed": 7, "period": period, "cents": cents, "model": model}
    rfm = simulate_rfm(n, **busy, **SPEND, **options)
    log = simulate_log(n, **busy, **SPEND, **options, observation_end=end)

    totals = log.groupby(["customer_id", "date"], as_index=False)["amount"].sum()
    first = totals.groupby("customer_id")["date"].transform("min")
    repeats = totals[totals["date"] > first].groupby("customer_id")
    span = totals.groupby("customer_id")["date"].agg(["min", "max"])
    day = pd.Timedelta(days=1)
    summary = pd.DataFrame({"recency": (span["max"] - span["min"]) / day})
    summary["T"] = (end - span["min"]) / day
    summary["frequency"] = repeats.size().reindex(summary.index, fill_value=0)
    summary["monetary_value"] = repeats["amount"].mean().reindex(summary.index, fill_value=0.0)

    exact = period is not None
    assert ("log_gaps" in rfm) == (MODELS[model].regularity > 1)
    if exact and "log_gaps" in rfm:  # the log's microseconds tell short ones apart too roughly
        gaps = np.log(totals.groupby("customer_id")["date"].diff() / day)
        summary["log_gaps"] = gaps.groupby(totals["customer_id"]).sum()
        assert RfmTable.from_pandas(rfm, observation_end=end).log_gaps == pytest.approx(
            gaps.sum(), rel=1e-9
        )
    assert len(summary) == n
    assert len(log) > len(totals) or not exact
    for name in summary:
        tolerance = {"rtol": 1e-12, "atol": 0.0} if exact else {"rtol": 0.0, "atol": 1e-9}
        if name == "monetary_value":
            tolerance = {"rtol": 1e-11, "atol": 0.0}
        if name == "log_gaps":
            tolerance = {"rtol": 0.0, "atol": 1e-11}
        np.testing.assert_allclose(summary[name], rfm[name], **tolerance, err_msg=name)


def test_log_is_ordered_and_ends_in_time() -> None:
    log = simulate_log(5_000, **BGNBD, **SPEND, T=60, seed=8, observation_end="1969-12-31")
    assert log[["customer_id", "date"]].equals(
        log[["customer_id", "date"]].sort_values(["customer_id", "date"], ignore_index=True)
    )
    assert log["date"].min() == pd.Timestamp("1969-11-01")
    assert log["date"].max() <= pd.Timestamp("1969-12-31")
    assert (log["date"] == log["date"].dt.normalize()).all()


def test_units_of_time_agree() -> None:
    weekly = simulate_log(2_000, **BGNBD, T=30, seed=9, time_unit="W")
    daily = simulate_log(
        2_000, **(BGNBD | {"alpha": 7 * BGNBD["alpha"]}), T=210, seed=9, period=7.0
    )
    assert weekly.equals(daily)


def test_cents_are_whole_and_at_least_one() -> None:
    spend = {"p": 0.5, "q": 3.0, "v": 0.02}
    amount = simulate_log(5_000, **BGNBD, **spend, T=50, seed=10, cents=True)["amount"]
    assert amount.min() == 0.01
    assert (amount == (100 * amount).round() / 100).all()


def test_same_seed_same_data_other_seed_other_data() -> None:
    def one(seed: int) -> pd.DataFrame:
        return simulate_rfm(1_000, **BGNBD, **SPEND, T=(0, 99), seed=seed)

    assert one(11).equals(one(11))
    unequal = (one(11) != one(12)).any()
    assert set(unequal[unequal].index) == {"frequency", "recency", "T", "monetary_value"}


def test_customers_are_those_of_the_table() -> None:
    """The rate drawn by simulate_customers is the one that the histories follow."""
    rate = simulate_customers(N, **BGNBD, seed=13).purchase_rate
    rfm = simulate_rfm(N, **BGNBD, T=5.0, seed=13, period=None)
    assert_mean((rfm["frequency"] == 0) - np.exp(-5.0 * rate), 0.0)
    assert_mean(((rfm["frequency"] == 0) - np.exp(-5.0 * rate)) * rate, 0.0)


def test_blocks_are_independent_and_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full blocks do not depend on how many customers follow, and share no numbers."""
    monkeypatch.setattr(_simulated, "BLOCK", 500)
    few, many = (simulate_rfm(n, **BGNBD, **SPEND, T=50, seed=14) for n in (1_000, 1_700))
    assert few.equals(many.head(1_000))
    rates = simulate_customers(1_700, **BGNBD, seed=14).purchase_rate
    assert np.unique(rates).size == 1_700
    log = simulate_log(1_700, **BGNBD, **SPEND, T=50, seed=14)
    assert log["customer_id"].nunique() == 1_700
    assert log["customer_id"].is_monotonic_increasing


def test_observation_times() -> None:
    ranged = simulate_rfm(N, **BGNBD, T=(7.0, 21.0), seed=15, period=7.0)["T"]
    assert sorted(ranged.unique()) == [7.0, 14.0, 21.0]
    assert_mean(ranged, 14.0)
    given = np.array([0.0, 3.0, 8.0])
    table = simulate_rfm(3, **BGNBD, T=given, seed=15)
    assert (table["T"] == given).all()
    assert table.loc[0, "frequency"] == table.loc[0, "recency"] == 0


def test_shape_of_the_result() -> None:
    table = simulate_rfm(4, **BGNBD, T=10, seed=16)
    assert list(table) == ["customer_id", "frequency", "recency", "T"]
    assert table.attrs == {"time_unit": "D"}
    assert list(simulate_log(4, **BGNBD, T=10, seed=16)) == ["customer_id", "date"]
    for empty in (simulate_rfm, simulate_log):
        nobody, somebody = (empty(n, **BGNBD, **SPEND, T=10, seed=16) for n in (0, 4))
        assert len(nobody) == 0
        assert (nobody.dtypes == somebody.dtypes).all()
    assert simulate_customers(0, **BGNBD, seed=16).dropout.shape == (0,)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"r": 0.0}, "r=0.0"),
        ({"alpha": np.inf}, "alpha=inf"),
        ({"b": np.nan}, "b=nan"),
        ({"T": -1.0}, "T must be finite and >= 0"),
        ({"T": 2.5}, "whole periods"),
        ({"T": (5.0, 2.0)}, "low <= high"),
        ({"T": [1.0, 2.0]}, "shape"),
        ({"period": 0.0}, "period=0.0"),
        ({"p": 1.0}, "all three"),
        ({"p": 1.0, "q": -2.0, "v": 1.0}, "q=-2.0"),
        ({"n": -1}, "n=-1"),
        ({"n": 2.5}, "n=2.5"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_has_no_meaning_is_refused(wrong: dict[str, object], says: str) -> None:
    arguments = {"n": 3, **BGNBD, "T": 10.0, "seed": 1} | wrong
    with pytest.raises(DomainError, match=says):
        simulate_rfm(**arguments)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ClvError, match="model='pareto'"):
        simulate_rfm(3, **BGNBD, T=10, seed=1, model="pareto")
    with pytest.raises(ClvError, match="time_unit='Q'"):
        simulate_rfm(3, **BGNBD, T=10, seed=1, time_unit="Q")


@pytest.mark.filterwarnings("error")
def test_extreme_populations_raise_no_warning() -> None:
    idle = simulate_rfm(2_000, r=1e-3, alpha=1e4, a=1e-3, b=1e-3, T=10_000, seed=17)
    assert np.isfinite(idle.to_numpy(float)).all()
    assert (idle["recency"] <= idle["T"]).all()
