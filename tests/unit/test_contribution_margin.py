"""Values by customers' own margins and costs: against plain NumPy, in every journey."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Predictor, Whole
from clvmodels.forecast.calendar import Calendar
from clvmodels.forecast.draws import Costs, Draws, Future
from clvmodels.forecast.serving import Serving, annuity
from clvmodels.formulas.discounting import Due
from clvmodels.posterior import total_value
from clvmodels.purchases import MODELS
from clvmodels.purchases.beta_geometric import bgnbd, mbgnbd
from tests.kinds import KINDS
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR
from tests.unit.test_contributions import FOUND, ORDERS, RFM
from tests.unit.test_predict_kernel import DELTA, many_customers, some_draws

COSTS = Costs(order=3.0, year=12.0 / 365.25, active=20.0 / 365.25)
PARAMETERS = {
    "bgnbd": {"r": 0.5, "alpha": 12.0, "a": 0.9, "b": 2.5},
    "paretonbd": {"r": 0.5, "alpha": 12.0, "s": 0.6, "beta": 20.0},
}


def draws_of(key: str, count: int = 5) -> Draws:
    known = PARAMETERS["paretonbd" if key == "paretonbd" else "bgnbd"]
    rng = np.random.default_rng(3)
    draws = {n: v * np.exp(0.2 * rng.standard_normal(count)) for n, v in known.items()}
    return Draws(draws, None, MODELS[key].formulas)


def still_alive(draws: Draws, x: float, T: float, lengths: np.ndarray) -> np.ndarray:
    """P(alive) some time ahead by simulation: customers are born, observed, and followed."""
    rng = np.random.default_rng(1)
    p = {n: float(v[0]) for n, v in draws.purchases.items()}
    size, k = 400_000, draws.formulas.phases
    lam = rng.gamma(p["r"] + k * x, 1 / (p["alpha"] + T), size)
    if "s" in p:
        gone = rng.exponential(1 / rng.gamma(p["s"], 1 / (p["beta"] + T), size))
        return (gone[:, None] > lengths).mean(axis=0)
    leave = rng.beta(p["a"], float(draws.formulas.stay_shape(x, b=p["b"])), size)
    gone, alive = np.full(size, np.inf), np.ones(size, dtype=bool)
    at = np.zeros(size)
    for _ in range(200):
        at += rng.gamma(k, 1 / lam)
        leaves = alive & (rng.random(size) < leave)
        gone[leaves], alive[leaves] = at[leaves], False
    return (gone[:, None] > lengths).mean(axis=0)


@pytest.mark.parametrize("key", KINDS)
def test_who_stays_by_simulation(key: str) -> None:
    draws, lengths = draws_of(key), np.array([5.0, 40.0, 400.0])
    found = draws.formulas.staying(3.0, np.array([90.0]), lengths, draws.purchases)[0, 0, 0]
    expected = still_alive(draws, 3.0, 90.0, lengths)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(0.25 / 400_000))


@pytest.mark.parametrize("month", [0.0, 30.4375])
@pytest.mark.parametrize("horizon", [0.0, 10.0, 365.0, 3652.5, np.inf])
@pytest.mark.parametrize("key", ["bgnbd", "mbgcnbd3", "paretonbd"])
def test_time_alive_is_the_integral(key: str, horizon: float, month: float) -> None:
    draws, due = draws_of(key), Due(horizon, DELTA, month)
    serving = Serving.of(due, draws)
    x, T = np.array([0.0, 2.0, 2.0]), np.array([0.0, 3.0, 700.0])
    found = serving.if_alive(draws, x, T)
    assert serving.weights.sum() == pytest.approx(annuity(due), rel=1e-9)
    if horizon == 0.0:
        assert (found == 0.0).all()
        return
    end = min(horizon, 45 / DELTA)
    edges = np.arange(0.0, end, month or 500.0)
    edges = np.unique([0.0, 0.01, 0.1, 1.0, 10.0, 100.0, *edges, end])
    edges = edges[edges <= end]
    nodes, weights = np.polynomial.legendre.leggauss(10)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    t, w = (middle + half * nodes).ravel(), (half * weights).ravel()
    w *= np.exp(-DELTA * (t if month == 0 else month * np.ceil(t / month)))
    for i in range(3):
        stay = draws.formulas.staying(float(x[i]), T[i : i + 1], t, draws.purchases)
        np.testing.assert_allclose(found[i], (stay @ w)[:, :, 0], rtol=2e-7, atol=1e-12)


def test_time_alive_under_a_calendar() -> None:
    draws = draws_of("bgnbd", 1)
    factors = 1.0 + 0.8 * np.sin(np.arange(400) / 20.0)
    due = Calendar(source="given", factors=factors).over(Due(365.0, DELTA), 1.0, 1)
    found = Serving.of(due, draws).if_alive(draws, np.array([2.0]), np.array([50.0]))[0, 0, 0]

    def paid(t: float) -> float:
        own = due.own_time(np.array([t]))[0]
        stay = draws.formulas.staying(2.0, np.array([50.0]), own, draws.purchases)
        return float(stay[0, 0, 0, 0] * np.exp(-DELTA * t))

    expected = sum(quad(paid, day, day + 5, epsabs=1e-10)[0] for day in range(0, 365, 5))
    assert found == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("formulas", [bgnbd, mbgnbd])
def test_the_loop_is_the_formula(formulas) -> None:
    rng, draws = np.random.default_rng(5), some_draws(formulas)
    x, t_x, T, m_bar = many_customers(rng)
    share = rng.normal(0.3, 0.2, len(x))
    future = Future(Due(365.0, DELTA), 0.9, 1.0, COSTS)
    found = Predictor(draws, future)(x, t_x, T, m_bar, share)
    by_draw = {n: v[:, None] for n, v in draws.purchases.items()}
    alive = formulas.p_alive(x, t_x, T, **by_draw)
    later = alive * formulas.if_alive_block(x, T, 365.0, DELTA, **draws.purchases).discounted
    serving = Serving.of(future.due, draws).if_alive(draws, x, T)[:, 0].T * alive * COSTS.active
    p, q, v = (draws.spend[n][:, None] for n in "pqv")
    spend = p * (v + x * m_bar) / (p * x + q - 1)
    value = later * (share * spend - COSTS.order) - serving - COSTS.year * annuity(future.due)
    lower, upper = np.quantile(value, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(found.columns["clv_lower"], lower, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.columns["clv_upper"], upper, rtol=1e-8, atol=1e-8)
    mean = later.mean(axis=0) * (share * spend.mean(axis=0) - COSTS.order) - serving.mean(axis=0)
    mean -= COSTS.year * annuity(future.due)
    np.testing.assert_allclose(found.columns["clv"], mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.by_draw, value.sum(axis=1), rtol=1e-9)
    # spend and the rest are independent: their moments, without the pairing of the draws
    left = share * spend.mean(axis=0) - COSTS.order
    own = np.var(later * left - serving, axis=0)
    other = share**2 * spend.var(axis=0)
    sd = np.sqrt(own + other * (later.var(axis=0) + later.mean(axis=0) ** 2))
    np.testing.assert_allclose(found.columns["clv_sd"], sd, rtol=1e-8)


def test_where_all_are_interpolated_it_is_the_same() -> None:
    """A chunk of a large base has no (x, T) left that is computed by itself."""
    draws, (x, t_x, T, m_bar) = some_draws(), many_customers(np.random.default_rng(2))
    rows = x <= 2
    who = tuple(column[rows] for column in (x, t_x, T, m_bar))
    future = Future(Due(365.0, DELTA), 0.9, 0.4, COSTS)
    found = Predictor(draws, future)(*who)
    some = Predictor(draws, future)(*(column[:20] for column in who))
    np.testing.assert_allclose(found.columns["clv"][:20], some.columns["clv"], rtol=1e-9)


def test_without_costs_it_is_what_it_was() -> None:
    draws, who = some_draws(), many_customers(np.random.default_rng(2))
    due = Due(365.0, DELTA)
    plain = Predictor(draws, Future(due, 0.9, 0.4), whole=Whole((0.0, 600.0)))(*who)
    own = Predictor(draws, Future(due, 0.9, 0.4, Costs()), whole=Whole((0.0, 600.0)))(*who)
    for name, column in plain.columns.items():
        np.testing.assert_allclose(own.columns[name], column, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(own.by_draw, plain.by_draw, rtol=1e-12)


# --- the whole way: a base of CDNOW whose customers have margins of their own ---

MADE = clv.ContributionMargin(
    column="margin", cost_per_order=2.0, cost_per_year=1.5, cost_per_active_year=4.0
)
OWN = FOUND.join(RFM)
TERMS: dict[str, Any] = {"draws": 60, "margin": MADE}


def test_the_table_has_everybodys_margin_and_says_the_bases(tmp_path: Path) -> None:
    assert OWN.margin == FOUND.base
    assert OWN["margin"].to_numpy() == pytest.approx(FOUND.of(RFM["customer_id"]))
    OWN.to_parquet(tmp_path / "own.parquet")
    again = clv.RfmTable.from_parquet(tmp_path / "own.parquet")
    assert again == OWN == FOUND.join(OWN)
    assert FOUND.join(RFM, column="mine").segment_cols == ("mine",)


def test_every_verb_values_alike(tmp_path: Path) -> None:
    scores = POSTERIOR.predict(OWN, **TERMS)
    left = clv.contributions(
        POSTERIOR, RFM, margins=FOUND, draws=60,
        cost_per_order=2.0, cost_per_year=1.5, cost_per_active_year=4.0,
    )  # fmt: skip
    np.testing.assert_allclose(left.customers["contribution"], scores["clv"], rtol=1e-12)
    first = RFM["first_value"] + RFM["frequency"] * RFM["monetary_value"]
    past = OWN["margin"] * first - 2.0 * (1 + RFM["frequency"])
    np.testing.assert_allclose(scores["historical_value"], past)
    np.testing.assert_allclose(scores["total_value"], past + scores["clv"])
    total = total_value(POSTERIOR, OWN, **TERMS)
    assert total.mean == pytest.approx(scores["clv"].sum(), rel=1e-12)
    tiers = clv.tier_report(POSTERIOR, OWN, **TERMS)
    assert tiers["clv"].iloc[-1] == pytest.approx(total.mean)
    assert tiers["clv_lower"].iloc[-1] == pytest.approx(total.lower)
    segments = clv.segment_report(POSTERIOR, OWN, by="cohort", **TERMS)
    assert segments["past_margin"].iloc[-1] == pytest.approx(past.sum())
    each = clv.acquired_customer_value(POSTERIOR, OWN, **TERMS)
    assert each.mean == pytest.approx((past.sum() + total.mean) / len(OWN))
    listed = clv.customers(POSTERIOR, OWN, **TERMS).customers
    assert_values_listed(listed, scores)
    lists = clv.action_lists(POSTERIOR, OWN, **TERMS).customers
    np.testing.assert_allclose(lists["clv"], scores["clv"])
    usual = (lists["clv_as_usual"] + 1.5 * years()) / (lists["clv"] + 1.5 * years())
    then = np.maximum(lists["p_alive_at_last"] / lists["p_alive"], 1.0)
    np.testing.assert_allclose(usual, then, rtol=1e-6)
    OWN.to_parquet(tmp_path / "own.parquet")
    report = clv.score(tmp_path / "own.parquet", POSTERIOR, tmp_path / "s.parquet", **TERMS)
    files = pd.read_parquet(tmp_path / "s.parquet")
    for name in ("clv", "clv_lower", "clv_upper", "clv_sd", "historical_value", "margin"):
        np.testing.assert_allclose(files[name], scores[name], rtol=1e-9, err_msg=name)
    assert report.clv is not None
    assert report.clv.mean == pytest.approx(total.mean)
    assert report.record["input"]["contribution_margin"]["cost_per_order"] == 2.0


def assert_values_listed(listed: pd.DataFrame, scores: pd.DataFrame) -> None:
    """The most valuable first, in cents."""
    value = scores.set_index("customer_id")["clv"].loc[listed["customer_id"]]
    np.testing.assert_allclose(listed["value"], value, atol=0.00501)
    assert listed["value"].is_monotonic_decreasing


def years() -> float:
    return (1 - 1.1 ** (-365 / 365.25)) / math.log(1.1)


def test_weeks_cents_and_order_make_no_difference() -> None:
    weeks = clv.rfm_summary(LOG, time_scaler=7.0, **COLUMNS)
    scale = {"alpha": 7.0}
    in_weeks = clv.CLVPosterior(
        clv.BetaGeoPosterior.from_draws(
            **{n: v / scale.get(n, 1.0) for n, v in POSTERIOR.purchases.draws().items()},
            time_scaler=7.0,
        ),
        POSTERIOR.spend,
    )
    one = POSTERIOR.predict(OWN, horizon="52W", **TERMS)["clv"]
    other = in_weeks.predict(FOUND.join(weeks), horizon="52W", **TERMS)["clv"]
    np.testing.assert_allclose(other, one, rtol=1e-8, atol=1e-8)
    some = OWN.to_pandas().sample(frac=0.3, random_state=1)
    found = POSTERIOR.predict(some, horizon="52W", **TERMS)["clv"]
    np.testing.assert_allclose(found, one.loc[some.index], rtol=1e-10)
    alone = POSTERIOR.predict(some.iloc[:1], horizon="52W", **TERMS)["clv"].iloc[0]
    assert alone == pytest.approx(found.iloc[0], rel=1e-10)


def test_new_customers_have_the_share_and_its_costs() -> None:
    new, usual = (
        POSTERIOR.new_customer_value(draws=60, margin=one)
        for one in (clv.ContributionMargin(share=0.3, cost_per_order=2.0, cost_per_year=1.5), 0.3)
    )
    orders = clv.CLVPosterior(POSTERIOR.purchases, 1.0).new_customer_value(draws=60).mean
    assert new.mean == pytest.approx(usual.mean - 2.0 * orders - 1.5 * years(), rel=1e-9)
    assert new.sd > 0
    served = clv.ContributionMargin(share=0.3, cost_per_active_year=1.5)
    active = POSTERIOR.new_customer_value(draws=60, margin=served)
    assert usual.mean - 1.5 * years() < active.mean < usual.mean
    report = clv.acquisition_report(POSTERIOR, OWN, margin=served, draws=60, cac=15.0)
    assert report["value"].iloc[-1] == pytest.approx(active.mean)
    plain = clv.payback_period(POSTERIOR, 15.0, margin=0.3, draws=60)
    later = clv.payback_period(POSTERIOR, 15.0, margin=served, draws=60)
    assert later.days > plain.days
    never = clv.ContributionMargin(share=0.3, cost_per_year=500.0)
    assert clv.payback_period(POSTERIOR, 15.0, margin=never, draws=60).days in (0.0, math.inf)
    with pytest.raises(SchemaError, match="give share="):
        POSTERIOR.new_customer_value(margin=clv.ContributionMargin(column="margin"))


def test_outcomes_know_margins_and_costs_of_years() -> None:
    made = clv.ContributionMargin(column="margin", cost_per_year=1.5)
    plain = POSTERIOR.predict(OWN, margin=1.0, draws=20, predictive=True)
    own = POSTERIOR.predict(OWN, margin=made, draws=20, predictive=True)
    ends = np.sort(
        plain[["value_lower", "value_upper"]].to_numpy() * OWN["margin"].to_numpy()[:, None]
    )
    np.testing.assert_allclose(own[["value_lower", "value_upper"]], ends - 1.5 * years())
    with pytest.raises(DomainError, match="not of a cost_per_order"):
        POSTERIOR.predict(OWN, margin=MADE, predictive=True)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"share": 1.2}, DomainError, "share=1.2"),
        ({"share": "x"}, DomainError, "share='x'"),
        ({"column": ""}, SchemaError, "name of a column"),
        ({"cost_per_order": -1}, DomainError, "cost_per_order=-1"),
        ({"cost_per_active_year": math.inf}, DomainError, "cost_per_active_year"),
    ],
)
def test_what_cannot_be_a_margin(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        clv.ContributionMargin(**given)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no column 'margin'"):
        POSTERIOR.predict(RFM, margin=MADE)
    holes = OWN.to_pandas().assign(margin=np.nan)
    with pytest.raises(SchemaError, match="no margin in 'margin'"):
        POSTERIOR.predict(holes, margin=MADE)
    with pytest.raises(SchemaError, match="convert it"):
        POSTERIOR.predict(holes.assign(margin="high"), margin=MADE)
    with pytest.raises(DomainError, match="never end"):
        POSTERIOR.predict(OWN, margin=MADE, horizon=None)
    one_share = (clv.simulate_future, clv.forecast_total, clv.value_distribution, clv.explore)
    for verb in (*one_share, clv.report, clv.compare_with_simple):
        with pytest.raises(SchemaError, match="one share of revenue for all"):
            verb(POSTERIOR, OWN, horizon="90D", margin=MADE)
    with pytest.raises(SchemaError, match="one share of revenue for all"):
        clv.score_sql(POSTERIOR, margin=MADE, longest=300)
    holes["margin"] = np.where(np.arange(len(holes)) < 3, np.nan, 0.3)
    holes.to_parquet(tmp_path / "holes.parquet")
    with pytest.warns(UserWarning, match="could not be scored"):
        report = clv.score(tmp_path / "holes.parquet", POSTERIOR, tmp_path / "s.parquet", **TERMS)
    assert report.reasons == {"the customer's own margin is missing, not finite or above 1": 3}


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ORDERS.to_csv("orders.csv", index=False)
    POSTERIOR.save("p.nc")
    columns = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
    summary = ["summarize", "orders.csv", "-o", "own.parquet", *columns, "--margin-col", "left"]
    assert main([*summary, "--quiet"]) == 0
    costs = ["--own-margins", "margin", "--cost-per-order", "2", "--cost-per-year", "1.5"]
    costs += ["--cost-per-active-year", "4", "--draws", "60"]
    assert main(["score", "own.parquet", "--posterior", "p.nc", "-o", "s.csv", *costs]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "less 2 an order and 1.5 a year and 4 a year alive" in said
    wanted = POSTERIOR.predict(OWN, **TERMS)
    np.testing.assert_allclose(pd.read_csv("s.csv")["clv"], wanted["clv"], rtol=1e-9)
    base = ["--rfm", "own.parquet", "--posterior", "p.nc", *costs]
    assert main(["customers", *base, "-o", "list.csv"]) == 0
    assert_values_listed(pd.read_csv("list.csv"), wanted)
    for verb in (["tiers"], ["actions"], ["segments", "--by", "cohort"], ["acquisition"]):
        assert main([*verb, *base, "--quiet"]) == 0, verb
    capsys.readouterr()
    assert (
        main(["score", "own.parquet", "--posterior", "p.nc", "-o", "x.csv", *costs, "--predictive"])
        == 2
    )
    assert "--cost-per-order" in capsys.readouterr().err
    assert main([*summary, "--margin", "0.3"]) == 2
    assert main([*summary, "--where", "amount > 1"]) == 2


def test_csv_of_customers(tmp_path: Path) -> None:
    OWN.to_pandas().to_csv(tmp_path / "own.csv", index=False)
    clv.score(tmp_path / "own.csv", POSTERIOR, tmp_path / "s.parquet", time_unit="D", **TERMS)
    wanted = POSTERIOR.predict(OWN, **TERMS)
    np.testing.assert_allclose(pd.read_parquet(tmp_path / "s.parquet")["clv"], wanted["clv"])
