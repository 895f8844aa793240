"""Every limit of the report is crossed both ways, by posteriors and bases made for it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import CLVPosterior, RfmTable, limits, rfm_summary
from clvmodels.diagnostics.convergence import convergence_checks
from clvmodels.diagnostics.data import data_section
from clvmodels.diagnostics.fit_checks import fit_section
from clvmodels.diagnostics.prediction import prediction_section
from clvmodels.diagnostics.prior_checks import prior_section
from clvmodels.diagnostics.study import Question, Study, prepare
from clvmodels.verdict import Check, laplace_verdict, map_verdict
from tests.unit.diagnostics_cases import (
    CHAINS,
    DRAWS,
    PURCHASES,
    base,
    chains,
    fitted,
    given,
    good_statistics,
    normal_in_logs,
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return base(1_500)


def find(checks: Iterable[Check], part: str) -> Check:
    (found,) = [check for check in checks if part in check.name]
    return found


def study(posterior: Any, rows: Any, **question: Any) -> Study:
    return prepare(posterior, rows, Question(**question))


# --- how figures are held to limits ---


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (0.1, "pass"),
        (0.1 + 1e-9, "warn"),
        (0.3, "warn"),
        (0.3 + 1e-9, "fail"),
        (math.nan, "fail"),
        (None, "unavailable"),
    ],
)
def test_at_most(value: float | None, status: str) -> None:
    check = limits.judged("name", value, 0.1, "Do this.", fine="Fine.", fail_from=0.3)
    assert check.status == status
    assert check.advice == ("Fine." if status == "pass" else "Do this.")


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (0.3, "pass"),
        (0.3 - 1e-9, "warn"),
        (0.1, "warn"),
        (0.1 - 1e-9, "fail"),
        (math.nan, "fail"),
        (None, "unavailable"),
    ],
)
def test_at_least(value: float | None, status: str) -> None:
    assert limits.judged_least("name", value, 0.3, "Do.", fail_below=0.1).status == status


# --- data ---


@pytest.mark.parametrize(
    ("repeat", "status"), [(100, "pass"), (99, "warn"), (10, "warn"), (9, "fail"), (0, "fail")]
)
def test_repeat_customers(rows: pd.DataFrame, repeat: int, status: str) -> None:
    some = pd.concat([rows[rows["frequency"] == 0], rows[rows["frequency"] > 0].head(repeat)])
    (check,) = [
        c for c in data_section(study(given(), some)).checks if c.name == "repeat customers"
    ]
    assert (check.value, check.status) == (repeat, status)


def test_much_money_in_few_rows_is_warned_of() -> None:
    rows = [(who, day, 10.0) for who in "abcdefghij" for day in (1, 2, 3)] + [("a", 4, -40.0)]
    log = pd.DataFrame(rows, columns=["who", "day", "paid"])
    log["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(log["day"], unit="D")
    for refunds, shares in (("drop", (1 / 31, 40 / 260)), ("net_earlier", (0.0, 10 / 260))):
        rfm = rfm_summary(
            log,
            customer_id_col="who",
            datetime_col="when",
            monetary_value_col="paid",
            refunds=refunds,
            observation_period_end="2020-02-01",
        )
        checks = data_section(study(given(), rfm)).checks
        by_rows, by_amount = find(checks, "rows that was"), find(checks, "amount that was")
        if refunds == "drop":
            assert (by_rows.value, by_amount.value) == pytest.approx(shares)
            assert (by_rows.status, by_amount.status) == ("pass", "warn")
            assert "mainly: refund" in by_amount.advice
        else:  # a bought for 30 and gave back 40
            assert by_amount.value == pytest.approx(shares[1])
            assert (by_rows.status, by_amount.status) == ("pass", "pass")


@pytest.mark.parametrize(("missing", "status"), [(10, "pass"), (11, "warn")])
def test_rows_left_out(missing: int, status: str) -> None:
    log = pd.DataFrame(
        {
            "who": [None] * missing + [f"c{i % 20}" for i in range(100 - missing)],
            "when": pd.date_range("2020-01-01", periods=100),
            "paid": 10.0,
        }
    )
    late = log.assign(when=log["when"] + pd.Timedelta(days=400), who="c0")
    rfm = rfm_summary(
        pd.concat([log, late]),
        customer_id_col="who",
        datetime_col="when",
        monetary_value_col="paid",
        observation_period_end="2020-12-31",
    )
    check = find(data_section(study(given(), rfm)).checks, "rows that was left out")
    # rows after the observation end were left out because that was asked for
    assert (check.value, check.status) == (pytest.approx(missing / 100), status)


@pytest.mark.parametrize(("unseen", "status"), [(5, "pass"), (6, "warn")])
def test_customers_observed_for_no_time(rows: pd.DataFrame, unseen: int, status: str) -> None:
    some = rows[rows["T"] > 0].head(100).reset_index(drop=True)
    some.loc[: unseen - 1, ["frequency", "recency", "T"]] = 0
    check = find(data_section(study(given(), some)).checks, "observed for no time")
    assert (check.value, check.status) == (pytest.approx(unseen / 100), status)


@pytest.mark.parametrize(("free", "status"), [(5, "pass"), (6, "warn")])
def test_repeat_customers_who_spend_nothing(rows: pd.DataFrame, free: int, status: str) -> None:
    some = rows[rows["frequency"] > 0].head(100).reset_index(drop=True)
    some.loc[: free - 1, "monetary_value"] = 0.0
    check = find(data_section(study(given(), some)).checks, "mean spend of 0")
    assert (check.value, check.status) == (pytest.approx(free / 100), status)


def test_the_table_that_was_fitted(rows: pd.DataFrame) -> None:
    name = "is the one that was fitted"
    known = study(given(), rows).histories.fingerprint()
    posterior = fitted(fingerprint=known)
    assert find(data_section(study(posterior, rows)).checks, name).status == "pass"
    assert find(data_section(study(posterior, rows.head(900))).checks, name).status == "warn"
    assert find(data_section(study(given(), rows)).checks, name).status == "unavailable"


# --- convergence ---


def test_chains_that_agree_and_that_do_not() -> None:
    assert {check.status for check in convergence_checks(fitted())} == {"pass"}
    apart = chains(PURCHASES)
    apart["alpha"][0] *= 1.05
    check = find(convergence_checks(fitted(draws=apart)), "R-hat")
    assert check.value > 1.01
    assert check.status == "fail"


@pytest.mark.parametrize(("memory", "status"), [(0.0, "pass"), (0.9, "fail")])
def test_effective_draws(memory: float, status: str) -> None:
    checks = convergence_checks(fitted(draws=sticky(memory)))
    assert find(checks, "bulk ESS").status == status
    assert find(checks, "tail ESS").status == status


@pytest.mark.parametrize(("memory", "status"), [(0.5, "pass"), (0.95, "warn")])
def test_monte_carlo_error(memory: float, status: str) -> None:
    check = find(convergence_checks(fitted(draws=sticky(memory))), "Monte Carlo error")
    assert check.status == status
    assert (check.value <= limits.MAX_MCSE) == (status == "pass")


def sticky(memory: float) -> dict[str, np.ndarray]:
    """Chains that remember: first-order autoregressions around the truth."""
    rng = np.random.default_rng(8)
    found = {}
    for name, value in PURCHASES.items():
        z = np.zeros((CHAINS, DRAWS))
        for i in range(1, DRAWS):
            z[:, i] = memory * z[:, i - 1] + rng.standard_normal(CHAINS)
        found[name] = value * np.exp(0.01 * z)
    return found


def test_a_stuck_chain_fails() -> None:
    stuck = chains(PURCHASES)
    stuck["b"][:] = 2.4
    checks = convergence_checks(fitted(draws=stuck))
    assert find(checks, "R-hat").status == "fail"
    assert find(checks, "Monte Carlo error").status == "fail"


@pytest.mark.parametrize(("bad", "status"), [(0, "pass"), (1, "warn"), (5, "warn"), (6, "fail")])
def test_divergences(bad: int, status: str) -> None:
    statistics = good_statistics()
    statistics["diverging"].reshape(-1)[:bad] = True
    check = find(convergence_checks(fitted(statistics=statistics)), "divergent")
    assert (check.value, check.status) == (bad / 1000, status)


@pytest.mark.parametrize(("memory", "status"), [(0.5, "pass"), (0.95, "warn")])
def test_energy(memory: float, status: str) -> None:
    rng = np.random.default_rng(9)
    energy = np.zeros((CHAINS, DRAWS))
    for i in range(1, DRAWS):
        energy[:, i] = memory * energy[:, i - 1] + rng.standard_normal(CHAINS)
    statistics = {**good_statistics(), "energy": energy}
    assert find(convergence_checks(fitted(statistics=statistics)), "BFMI").status == status


@pytest.mark.parametrize(("bad", "status"), [(10, "pass"), (11, "warn")])
def test_tree_depth(bad: int, status: str) -> None:
    statistics = good_statistics()
    statistics["reached_max_treedepth"].reshape(-1)[:bad] = True
    check = find(convergence_checks(fitted(statistics=statistics)), "tree depth")
    assert (check.value, check.status) == (bad / 1000, status)


def test_a_sampler_that_reported_nothing() -> None:
    checks = convergence_checks(fitted(statistics={}))
    for part in ("divergent", "BFMI", "tree depth"):
        assert find(checks, part).status == "unavailable"


@pytest.mark.parametrize(
    ("khat", "ess", "statuses"),
    [
        (0.69, 101.0, ("pass", "pass")),
        (0.71, 101.0, ("fail", "pass")),
        (0.69, 99.0, ("pass", "fail")),
        (math.nan, 99.0, ("fail", "fail")),
    ],
)
def test_laplace(khat: float, ess: float, statuses: tuple[str, str]) -> None:
    posterior = fitted(
        method="laplace",
        statistics={"khat": khat, "importance_ess": ess},
        verdict=laplace_verdict(khat, ess),
    )
    checks = convergence_checks(posterior)
    assert tuple(find(checks, part).status for part in ("k-hat", "importance ESS")) == statuses


@pytest.mark.parametrize(("decrement", "status"), [(0.9e-3, "pass"), (1.1e-3, "fail")])
def test_mode(decrement: float, status: str) -> None:
    point = {name: np.array([[value]]) for name, value in PURCHASES.items()}
    posterior = fitted(
        draws=point, method="map", statistics={}, verdict=map_verdict(decrement, 1e-3)
    )
    assert find(convergence_checks(posterior), "distance from the mode").status == status


def test_given_draws_are_judged_as_chains_only_if_there_are_several() -> None:
    assert find(convergence_checks(given().purchases), "convergence").status == "unavailable"
    several = convergence_checks(fitted(method="given", statistics={}))
    assert find(several, "R-hat").status == "pass"
    assert find(several, "divergent").status == "unavailable"


# --- priors ---


@pytest.mark.parametrize(("prior_sigma", "status"), [(3.0, "pass"), (0.25, "warn")])
def test_prior_sensitivity(rows: pd.DataFrame, prior_sigma: float, status: str) -> None:
    posterior = normal_in_logs(0.1, prior_sigma=prior_sigma)
    check = find(prior_section(study(posterior, rows)).checks, "sensitivity")
    assert check.status == status
    assert (check.value <= limits.MAX_PRIOR_SENSITIVITY) == (status == "pass")


def test_prior_sensitivity_needs_densities(rows: pd.DataFrame) -> None:
    for posterior in (given().purchases, fitted()):
        check = find(prior_section(study(posterior, rows)).checks, "sensitivity")
        assert check.status == "unavailable"
    foreign = {n: {"dist": "SkewNormal", "kwargs": {}} for n in PURCHASES}
    check = find(prior_section(study(fitted(priors=foreign), rows)).checks, "sensitivity")
    assert "of a kind" in check.advice


@pytest.mark.parametrize(("mu", "status"), [(3.4, "pass"), (14.0, "warn"), (-8.0, "warn")])
def test_prior_predictive(rows: pd.DataFrame, mu: float, status: str) -> None:
    def near(value: float) -> dict[str, Any]:
        return {"dist": "LogNormal", "kwargs": {"mu": math.log(value), "sigma": 0.5}}

    priors = {n: near(v) for n, v in PURCHASES.items()}
    priors["alpha"] = {"dist": "LogNormal", "kwargs": {"mu": mu, "sigma": 0.5}}
    check = find(prior_section(study(fitted(priors=priors), rows)).checks, "as far out as the real")
    assert check.status == status


# --- fit ---

REPEATS = "a different number of repeats"
TOTAL = "error of the repeat purchases expected"
SPEND = "a different mean amount"


@pytest.mark.parametrize(("r", "status"), [(0.25, "pass"), (0.35, "warn"), (0.7, "fail")])
def test_repeat_histogram(rows: pd.DataFrame, r: float, status: str) -> None:
    check = find(fit_section(study(given(r=r).purchases, rows)).checks, REPEATS)
    assert check.status == status


def test_a_small_base_may_differ_by_chance() -> None:
    check = find(fit_section(study(given().purchases, base(40))).checks, REPEATS)
    assert check.limit > 2 * limits.MAX_MISPLACED
    assert check.status == "pass"


@pytest.mark.parametrize(("r", "status"), [(0.25, "pass"), (0.28, "warn"), (0.7, "fail")])
def test_total_of_repeats(rows: pd.DataFrame, r: float, status: str) -> None:
    assert find(fit_section(study(given(r=r).purchases, rows)).checks, TOTAL).status == status


@pytest.mark.parametrize(("v", "status"), [(15.0, "pass"), (22.0, "warn"), (60.0, "fail")])
def test_spend_histogram(rows: pd.DataFrame, v: float, status: str) -> None:
    assert find(fit_section(study(given(v=v), rows)).checks, SPEND).status == status


@pytest.mark.parametrize(("power", "status"), [(0.0, "pass"), (1.0, "warn"), (-1.0, "warn")])
def test_correlation(rows: pd.DataFrame, power: float, status: str) -> None:
    x = np.maximum(rows["frequency"], 1)
    leaning = rows.assign(monetary_value=rows["monetary_value"] * x**power)
    check = find(fit_section(study(given(), leaning)).checks, "rank correlation")
    assert check.status == status
    assert (abs(check.value) <= limits.MAX_CORRELATION) == (status == "pass")
    assert (check.value > 0) == (power >= 0) or power == 0
    assert check.bound == "within ±0.3"


@pytest.mark.parametrize(("q", "share"), [(3.7, 0.0), (1.0, None), (0.8, 1.0)])
def test_draws_without_mean_spend(rows: pd.DataFrame, q: float, share: float | None) -> None:
    check = find(fit_section(study(given(q=q), rows)).checks, "mean spend is infinite")
    assert check.status == ("pass" if share == 0.0 else "fail")
    assert check.value == share if share is not None else 0 < check.value < 1


@pytest.mark.parametrize(("a", "status"), [(0.8, "fail"), (2.0, "pass")])
def test_draws_without_end(rows: pd.DataFrame, a: float, status: str) -> None:
    asked = {"horizon": None, "discount_rate": 0.0}
    check = find(fit_section(study(given(a=a), rows, **asked)).checks, "without end")
    assert (check.value, check.status) == (float(a < 1), status)


@pytest.mark.parametrize("question", [{}, {"horizon": None}])
def test_what_cannot_fail_is_a_note_and_no_check(rows: pd.DataFrame, question: dict) -> None:
    section = fit_section(study(given(a=0.8), rows, **question))
    assert not [check for check in section.checks if "without end" in check.name]
    (note,) = [note for note in section.notes if "without end" in note]
    assert "100 % of the draws" in note


@pytest.mark.parametrize(("a", "status"), [(0.03, "pass"), (0.02, "warn"), (1e-9, "warn")])
def test_nobody_drops_out(rows: pd.DataFrame, a: float, status: str) -> None:
    check = find(fit_section(study(given(a=a), rows)).checks, "leave after a purchase")
    assert check.status == status
    assert check.value == pytest.approx(a / (a + 2.4), rel=0.05)


# --- prediction and verdict ---


def test_a_missing_backtest_is_said(rows: pd.DataFrame) -> None:
    section = prediction_section(study(given(), rows))
    assert section.checks[0].status == "unavailable"
    assert not section.figures


def test_a_posterior_pair_is_judged_model_by_model(rows: pd.DataFrame) -> None:
    both = given()
    pair = CLVPosterior(fitted(), both.spend)
    table = RfmTable.from_pandas(rows)
    found = study(pair, table)
    names = [check.name for model in found.models for check in convergence_checks(model)]
    assert {name.partition(":")[0] for name in names} == {"BG/NBD", "Gamma-Gamma"}
