"""What numbers can be used for: each use by the checks that bear on it, and by a backtest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, backtest, rfm_summary
from clvmodels.diagnostics import diagnose
from clvmodels.diagnostics.report import headline
from clvmodels.evaluation import Backtest, checks
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.metrics import METRIC_LABELS
from clvmodels.reporting import render_text
from clvmodels.reporting.values import write
from clvmodels.sentences import percent
from clvmodels.simulate import simulate_log
from clvmodels.uses import UseVerdict, in_one_sentence, judge_uses, overall
from clvmodels.verdict import USES, Check, laplace_verdict

COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
TRUTH = {"r": 0.8, "alpha": 30.0, "a": 0.8, "b": 4.0}
SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}


def made(status: str, *bears_on: str, value: float = 1.0) -> Check:
    return Check("figure", value, 2.0, status, "Do.", "at most", "number", bears_on)  # type: ignore[arg-type]


def verdicts(some: tuple[UseVerdict, ...]) -> list[str]:
    assert [use.use for use in some] == list(USES)
    return [use.verdict for use in some]


# --- the rule ---


@pytest.mark.parametrize(
    ("fit", "held", "expected", "status"),
    [
        ("pass", None, ["not checked"] * 3, "unavailable"),
        ("warn", None, ["not checked"] * 3, "unavailable"),
        ("fail", None, ["not supported"] * 3, "fail"),
        ("pass", "pass", ["supported"] * 3, "pass"),
        ("warn", "pass", ["with care"] * 3, "warn"),
        ("pass", "warn", ["with care"] * 3, "warn"),
        ("pass", "fail", ["not supported"] * 3, "fail"),
        ("fail", "pass", ["not supported"] * 3, "fail"),
    ],
)
def test_the_worst_check_and_a_backtest_decide(
    fit: str, held: str | None, expected: list[str], status: str
) -> None:
    found = judge_uses([made(fit, *USES)], [] if held is None else [made(held, *USES)])
    assert verdicts(found) == expected
    assert overall(found) == status


def test_a_check_touches_only_what_it_bears_on() -> None:
    found = judge_uses([made("fail", "customers"), made("warn")], [made("pass", *USES)])
    assert verdicts(found) == ["supported", "supported", "not supported"]
    assert in_one_sentence(found) == (
        "Do not use figures of single customers. Totals and rankings can be used."
    )
    assert overall(found) == "warn"


def test_without_a_backtest_the_headline_says_so() -> None:
    said = headline((made("pass", *USES),), ())
    assert said.headline == "How well these numbers predict was not checked: there is no backtest."
    assert said.status == "unavailable"
    part = headline((made("fail", "customers"),), ())
    assert part.headline == (
        "Do not use figures of single customers. How well totals and rankings predict was not "
        "checked."
    )


def test_the_reason_names_the_figure_and_the_limits_side() -> None:
    (totals, *_) = judge_uses([], [made("fail", "totals", value=2.5)])
    assert totals.reason == "Figure: 2.5 (it should be at most 2)."
    assert str(totals) == "Totals: not supported. Figure: 2.5 (it should be at most 2)."


# --- real cases ---


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth in place of fits: all here is about what happens after them."""
    monkeypatch.setattr(Fitting, "fit", lambda self, rfm, **changes: known())


def known() -> CLVPosterior:
    rng = np.random.default_rng(3)
    both = {k: v * np.exp(0.02 * rng.normal(size=60)) for k, v in {**TRUTH, **SPEND}.items()}
    return CLVPosterior(
        BetaGeoPosterior.from_draws(**{name: both[name] for name in TRUTH}),
        GammaGammaPosterior.from_draws(**{name: both[name] for name in SPEND}),
    )


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    found = simulate_log(3_000, **TRUTH, **SPEND, T=(150.0, 250.0), seed=11)
    return found[["customer_id", "date", "amount"]]


@pytest.fixture(scope="module")
def cut(log: pd.DataFrame) -> pd.Timestamp:
    first, last = log["date"].min(), log["date"].max()
    return (first + 0.7 * (last - first)).normalize()


def run(log: pd.DataFrame, cut: pd.Timestamp) -> Backtest:
    return backtest(log, **COLUMNS, train_period_end=cut, bootstrap=100, draws=60)


def judged(found: Backtest) -> dict[str, str]:
    return {use.use: use.verdict for use in found.uses}


@pytest.fixture(scope="module")
def good(log: pd.DataFrame, cut: pd.Timestamp) -> Backtest:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "fit", lambda self, rfm, **changes: known())
        return run(log, cut)


@pytest.mark.slow
def test_a_base_that_does_what_the_model_says_is_supported(good: Backtest) -> None:
    assert judged(good) == dict.fromkeys(USES, "supported")
    assert all("In a test on the past, " in use.reason for use in good.uses)
    assert "the number of purchases came out " in good.uses[0].reason


@pytest.mark.slow
def test_customers_who_get_new_ids_fail_the_totals(log: pd.DataFrame, cut: pd.Timestamp) -> None:
    """A new card scheme: most of the known customers go on under ids that nobody knows."""
    later = log["date"] > cut + pd.Timedelta(days=1)
    moved = later & (log["customer_id"].astype(str).map(hash_of) < 0.65)
    renamed = log["customer_id"].astype(str).where(~moved, "new-" + log["customer_id"].astype(str))
    found = run(log.assign(customer_id=renamed), cut)
    total = found.totals[(found.totals["target"] == "purchases") & (found.totals["level"] == 0.9)]
    error = float(total["forecast"].iloc[0] / total["actual"].iloc[0] - 1)
    assert error > 1.3
    assert judged(found)["totals"] == "not supported"
    (check,) = [c for c in found.checks if c.name.startswith("error of total purchases")]
    assert (check.status, check.value) == ("fail", pytest.approx(error))
    assert check.bound == "within ±30 %"
    assert f"came out {percent(1 - 1 / (1 + error))} lower than forecast" in found.uses[0].reason
    assert "Do not use totals" in in_one_sentence(found.uses)
    assert "Totals: not supported" in str(found)
    assert "Do not use totals" in found._repr_html_()


def hash_of(text: str) -> float:
    """A share that is the same in every process."""
    return float(np.random.default_rng(list(text.encode())).uniform())


@pytest.mark.slow
def test_an_order_no_better_than_chance_fails_the_ranking(
    log: pd.DataFrame, cut: pd.Timestamp, good: Backtest
) -> None:
    """After the cut everybody's purchases are somebody else's."""
    later = log["date"] > cut + pd.Timedelta(days=1)
    names = good.customers["customer_id"].to_numpy()
    other = dict(zip(names, np.random.default_rng(4).permutation(names), strict=True))
    ids = log["customer_id"].where(~later, log["customer_id"].map(other).fillna(log["customer_id"]))
    found = run(log.assign(customer_id=ids), cut)
    model = found.table("purchases")["model"]
    assert abs(model["spearman"]) < 0.05
    assert model["top_found"] < 0.13
    assert judged(found)["ranking"] == "not supported"
    assert judged(found)["totals"] == judged(good)["totals"] == "supported"
    assert "no better than chance" in str(found)


@pytest.mark.slow
def test_a_spread_of_amounts_that_is_not_the_models_leaves_totals_and_order(
    log: pd.DataFrame, cut: pd.Timestamp, good: Backtest
) -> None:
    """Two prices, one for each kind of customer: the mean is right, the spread is not."""
    kinds = log["customer_id"].astype(str).map(hash_of) < 0.5
    priced = log.assign(amount=np.where(kinds, 12.0, 48.0))
    report = diagnose(known(), rfm_summary(priced, **COLUMNS), backtest=good)
    (spread,) = [check for check in report.checks if "a different mean amount" in check.name]
    assert spread.status == "fail"
    assert {use.use: use.verdict for use in report.verdict.uses} == {
        "totals": "supported",
        "ranking": "supported",
        "customers": "not supported",
    }
    assert "Do not use these numbers" not in report.verdict.headline


# --- checks of a backtest, by their tables ---


def lost_to(names: tuple[str, ...]) -> pd.DataFrame:
    rows = [
        (metric, forecast, value, model_is)
        for metric in ("mae", "rmse", "poisson_deviance", "crps")
        for forecast, value, model_is in (
            ("model", 0.8, ""),
            ("simple", 0.7, "worse" if metric in names else "better"),
            ("cohort", 0.9, "better"),
        )
    ]
    table = pd.DataFrame(rows, columns=["metric", "forecast", "value", "model_is"])
    return table.assign(target="value")


@pytest.mark.parametrize(
    ("names", "better", "status"),
    [
        ((), 0, "pass"),
        (("mae",), 0, "pass"),
        (("mae", "rmse"), 0, "pass"),
        (("mae", "rmse", "poisson_deviance"), 1, "warn"),
        (("mae", "rmse", "poisson_deviance", "crps"), 1, "fail"),
    ],
)
def test_a_model_that_the_simple_formula_beats_everywhere_fails(
    names: tuple[str, ...], better: int, status: str
) -> None:
    errors, _ = checks.baseline_checks(lost_to(names), "value")
    assert (errors.status, errors.value, errors.bears_on) == (status, better, ("customers",))
    assert ("The simple formula is better in every comparison" in errors.advice) == (
        status == "fail"
    )
    assert ("better in most comparisons" in errors.advice) == (status == "warn")
    assert all(METRIC_LABELS[name] in errors.advice for name in names)  # what is lost is named


@pytest.mark.parametrize(
    ("forecast", "lower", "upper", "status"),
    [
        (1010.0, 900.0, 1100.0, "pass"),
        (1299.0, 900.0, 1700.0, "pass"),
        (1310.0, 900.0, 1700.0, "warn"),  # so wide that it holds anything
        (1100.0, 1050.0, 1150.0, "warn"),
        (1290.0, 1250.0, 1350.0, "warn"),
        (1310.0, 1250.0, 1350.0, "fail"),
        (690.0, 650.0, 720.0, "fail"),
        (2500.0, 2400.0, 2600.0, "fail"),
    ],
)
def test_totals_by_their_error_and_their_interval(
    forecast: float, lower: float, upper: float, status: str
) -> None:
    row = {"target": "value", "level": 0.9, "forecast": forecast, "actual": 1000.0}
    check = checks.total_check(pd.DataFrame([row | {"lower": lower, "upper": upper}]), "value", 0.9)
    assert (check.status, check.bears_on) == (status, ("totals",))
    assert check.value == pytest.approx(forecast / 1000 - 1)
    assert check.figure[0] == ("+" if forecast > 1000 else "-")


@pytest.mark.parametrize(
    ("spearman", "top", "gini", "statuses"),
    [
        ((0.4, 0.35), (0.45, 0.4), 0.5, ("pass", "pass")),
        ((0.1, 0.05), (0.15, 0.12), 0.2, ("warn", "warn")),
        ((0.4, -0.1), (0.4, 0.05), 0.4, ("warn", "warn")),  # may be chance
        ((-0.03, -0.1), (0.081, 0.06), -0.04, ("fail", "fail")),
        ((0.02, 0.01), (0.11, 0.105), 0.02, ("fail", "fail")),  # beyond chance, and worth nothing
        ((0.03, 0.02), (0.11, 0.105), 0.4, ("warn", "warn")),  # hardly anybody came back
        ((np.nan, np.nan), (np.nan, np.nan), 0.1, ("fail", "fail")),
    ],
)
def test_ranking_against_chance(
    spearman: tuple[float, float], top: tuple[float, float], gini: float, statuses: tuple[str, str]
) -> None:
    rows = [("spearman", *spearman), ("top_found", *top), ("gini", gini, gini)]
    table = pd.DataFrame(rows, columns=["metric", "value", "lower"])
    table = table.assign(target="purchases", forecast="model")
    found = list(checks.ranking_checks(table, "purchases"))
    assert tuple(check.status for check in found) == statuses
    assert all(check.bears_on == ("ranking",) for check in found)
    assert [check.bound for check in found] == ["at least 0.15", "at least 20 %"]


def test_no_order_to_find_is_no_check() -> None:
    rows = [("spearman", np.nan), ("top_found", 0.1), ("gini", np.nan)]
    table = pd.DataFrame(rows, columns=["metric", "value"]).assign(lower=np.nan)
    table = table.assign(target="purchases", forecast="model")
    assert list(checks.ranking_checks(table, "purchases")) == []


def test_a_backtest_of_another_base_supports_nothing(good: Backtest) -> None:
    strangers = good.customers.assign(customer_id=[f"x{i}" for i in range(len(good))])
    other = simulate_log(300, **TRUTH, **SPEND, T=(150.0, 250.0), seed=5)
    rfm = rfm_summary(other[["customer_id", "date", "amount"]], **COLUMNS)
    report = diagnose(known(), rfm, backtest=replace(good, customers=strangers))
    assert {use.verdict for use in report.verdict.uses} == {"not supported"}
    assert all(
        "only 0 % of its customers are in this one" in use.reason for use in report.verdict.uses
    )


@pytest.mark.slow
def test_a_backtest_whose_own_fit_failed_supports_nothing(good: Backtest) -> None:
    failed = replace(good, fits={"bgnbd": laplace_verdict(1.3, 900.0)})
    assert judged(failed) == dict.fromkeys(USES, "not supported")
    assert (
        "In a test on the past, the fit of bgnbd did not converge: 1 of its checks failed"
        in failed.uses[0].reason
    )


# --- the first screen ---


@pytest.mark.slow
def test_beside_the_value_stand_the_backtests_error_and_the_calendars_doubt(
    log: pd.DataFrame, good: Backtest
) -> None:
    rfm = rfm_summary(log, **COLUMNS)
    report = diagnose(known(), rfm, backtest=good)
    facts = {fact.key: fact for fact in report.facts if fact.group == "worth"}
    value, doubt = facts["value_of_the_base"], facts["value_to_plan_with"]
    assert doubt.value == pytest.approx(value.value, rel=1e-9)
    assert doubt.lower < value.lower < value.upper < doubt.upper
    assert "An assumption" in doubt.note
    total = good.totals.set_index(["target", "level"]).loc[("value", 0.9)]
    error = facts["backtest_error_value"]
    assert error.value == pytest.approx(total["forecast"] / total["actual"] - 1)
    text = " ".join(render_text(report).split())
    assert write(error.value, "error") in text
    assert "An assumption, not a result" in text
    name = "error of total discounted value in the holdout"
    (plain,) = [check for check in good.checks if check.name == name]
    (euros,) = [
        c for c in diagnose(known(), rfm, backtest=good, currency="€").checks if c.name == name
    ]
    assert (
        f"A value of {total['forecast']:,.0f} was forecast, {total['actual']:,.0f}" in plain.advice
    )
    assert (
        f"A value of €{total['forecast']:,.0f} was forecast, €{total['actual']:,.0f}"
        in euros.advice
    )
    assert replace(euros, advice=plain.advice) == plain
    uses = diagnose(known(), rfm, backtest=good, currency="€").verdict.uses
    assert [use.reason for use in uses] == [use.reason for use in report.verdict.uses]
    assert "The least certain figure of all" in text
    without = diagnose(known(), rfm)
    (fact,) = [fact for fact in without.facts if fact.key.startswith("backtest")]
    assert fact.value is None
    assert "it is not known how far off such totals are" in fact.note


@pytest.mark.slow
def test_who_will_buy_comes_before_who_is_still_a_customer(log: pd.DataFrame) -> None:
    keys = [fact.key for fact in diagnose(known(), rfm_summary(log, **COLUMNS)).facts]
    assert keys.index("customers_again") < keys.index("active_repeat_customers")
    facts = {fact.key: fact for fact in diagnose(known(), rfm_summary(log, **COLUMNS)).facts}
    scores = known().predict(rfm_summary(log, **COLUMNS), horizon="365D")
    everybody = facts["customers_again"]
    assert everybody.value == pytest.approx(scores["p_purchase"].sum(), rel=1e-9)
    assert everybody.lower < everybody.value < everybody.upper
    assert everybody.value == pytest.approx(
        facts["repeat_customers_again"].value + facts["one_time_buyers_again"].value
    )
    assert "factor of two" in facts["active_repeat_customers"].note


@pytest.mark.parametrize(
    ("value", "text"), [(0.011, "+1.1 %"), (-0.282, "-28.2 %"), (0.0, "0 %"), (1.5, "+150 %")]
)
def test_an_error_is_written_alike_in_checks_and_figures(value: float, text: str) -> None:
    assert write(value, "error") == checks.signed(value) == text


@pytest.mark.parametrize(("table", "posterior"), [(0.3, None), (None, 0.3)])
def test_the_first_screen_says_which_margin_is_in_the_money(
    log: pd.DataFrame, table: float | None, posterior: float | None
) -> None:
    fitted = known()
    if posterior is not None:
        spend = replace(fitted.spend.metadata, margin=posterior)
        fitted = CLVPosterior(fitted.purchases, GammaGammaPosterior(fitted.spend.tree, spend))
    said = {} if table is None else {"margin": table}
    few = log[log["customer_id"].isin(log["customer_id"].unique()[:200])]
    facts = diagnose(fitted, rfm_summary(few, **COLUMNS, **said)).facts
    assert "profit, at a margin of 30 %" in facts[0].note
    bare = diagnose(known(), rfm_summary(few, **COLUMNS)).facts
    assert "revenue, no margin applied" in bare[0].note
    assert facts[0].value == pytest.approx(0.3 * bare[0].value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ({}, "These figures are revenue, no margin applied."),
        (
            {"margin": 0.3},
            "These figures are revenue, no margin applied, unlike the value of the base.",
        ),
    ],
)
def test_the_backtests_money_says_its_margin_beside_that_of_the_base(
    log: pd.DataFrame, good: Backtest, said: dict[str, float], ends: str
) -> None:
    report = diagnose(known(), rfm_summary(log, **COLUMNS, **said), backtest=good)
    facts = {fact.key: fact for fact in report.facts}
    assert facts["backtest_error_value"].note.endswith(ends)
    assert "revenue" not in facts["backtest_error_purchases"].note


def test_over_a_whole_life_the_first_screen_says_that_buying_is_being_alive(
    log: pd.DataFrame,
) -> None:
    few = log[log["customer_id"].isin(log["customer_id"].unique()[:200])]
    rfm = rfm_summary(few, **COLUMNS)
    whole, year = (
        {fact.key: fact for fact in diagnose(known(), rfm, horizon=horizon).facts}
        for horizon in (None, "365D")
    )
    once = whole["one_time_buyers_again"]
    assert once.value == whole["one_time_buyers"].value
    assert "P(alive) says nothing about them: it stays 1 forever" in once.note
    assert "choose a horizon" in whole["customers_again"].note
    assert "P(alive)" not in year["one_time_buyers_again"].note
    assert "the number who will really buy varies more" in year["customers_again"].note
