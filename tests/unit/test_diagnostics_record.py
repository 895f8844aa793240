"""The record is plain, bounded and complete, whatever posterior and base are like."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from clvmodels import CLVPosterior, GammaGammaPosterior, ModifiedBetaGeoPosterior, RfmTable
from clvmodels.diagnostics import Figure, Report, Table, diagnose
from clvmodels.diagnostics.record import plain
from clvmodels.diagnostics.study import Question, prepare
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.evaluation.repeats import repeats_by_draw
from clvmodels.verdict import laplace_verdict
from tests.unit.diagnostics_cases import (
    PURCHASES,
    SPEND,
    base,
    chains,
    fitted,
    fitted_pair,
    given,
    good_statistics,
    mode,
)

SECTIONS = ("data", "convergence", "priors", "fit", "prediction", "says", "provenance")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return base()


@pytest.fixture(scope="module")
def report(rows: pd.DataFrame) -> Report:
    return diagnose(given(), rows, currency="$", date="2020-02-01")


def strict(report: Report) -> dict:
    return json.loads(json.dumps(report.to_dict(), allow_nan=False))


def status(report: Report, part: str) -> str:
    (found,) = [check.status for check in report.checks if part in check.name]
    return found


# --- the record itself ---


def test_plain_values() -> None:
    found = plain(
        {1: np.float64("nan"), "x": (np.int64(3), math.inf), "y": np.array([[1.5, -0.0]])}
    )
    assert found == {"1": None, "x": [3, None], "y": [[1.5, 0.0]]}
    assert type(found["x"][0]) is int
    with pytest.raises(TypeError, match="no place"):
        plain(object())


def test_a_table_has_as_many_cells_as_columns() -> None:
    with pytest.raises(ValueError, match="do not match"):
        Table("key", "title", ("one", "two"), ((1,),))


def test_a_figure_holds_plain_values() -> None:
    figure = Figure("key", "kind", "title", "caption", "alt", {"x": np.array([1.0, np.nan])})
    assert figure.data == {"x": [1.0, None]}


def test_the_report_is_strict_json_and_in_order(report: Report) -> None:
    record = strict(report)
    assert tuple(section["key"] for section in record["sections"]) == SECTIONS
    assert record["currency"] == "$"
    assert record["time_unit"] == "days"
    assert record["provenance"]["date"] == "2020-02-01"
    assert [c for s in record["sections"] for c in s["checks"]] == record["checks"]


def test_every_figure_and_check_speaks(report: Report) -> None:
    assert len(report.figures) >= 12
    for figure in report.figures:
        assert figure.title
        assert figure.caption.endswith(".")
        assert len(figure.alt) > 20
    assert len({figure.key for figure in report.figures}) == len(report.figures)
    for check in report.checks:
        assert check.advice.endswith(".") or (not check.advice and check.status == "pass")
        assert check.finding != f"{check.name[:1].upper()}{check.name[1:]}: {check.figure}"
        assert check.value is None or math.isfinite(check.value)
        assert (check.value is None) == (check.status == "unavailable")
    assert len({check.name for check in report.checks}) == len(report.checks)


def test_formats_are_of_columns_that_exist(report: Report) -> None:
    for section in report.sections:
        for table in section.tables:
            assert set(table.formats) <= set(table.columns)
            assert len(set(table.columns)) == len(table.columns)


def test_the_same_input_gives_the_same_record(rows: pd.DataFrame) -> None:
    one, two = (strict(diagnose(given(), rows, random_seed=3)) for _ in range(2))
    assert one == two


def test_the_record_does_not_grow_with_the_base(rows: pd.DataFrame, report: Report) -> None:
    small = len(json.dumps(report.to_dict()))
    large = len(json.dumps(diagnose(given(), base(20_000), currency="$").to_dict()))
    assert large < 1.3 * small


def test_sections_are_found_by_key(report: Report) -> None:
    assert report.section("fit").title == "Does the model fit?"
    with pytest.raises(SchemaError, match="section='nothing' is unknown: use one of"):
        report.section("nothing")


# --- facts ---


def test_facts_are_those_of_the_predictions(rows: pd.DataFrame, report: Report) -> None:
    scores = given().predict(rows)
    facts = {fact.key: fact for fact in report.facts}
    repeat = (scores["frequency"] > 0).to_numpy()
    assert facts["value_of_the_base"].value == pytest.approx(scores["clv"].sum(), rel=1e-9)
    assert facts["active_repeat_customers"].value == pytest.approx(
        scores["p_alive"][repeat].sum(), rel=1e-12
    )
    assert facts["one_time_buyers"].value == int((~repeat).sum())
    assert facts["one_time_buyers_again"].value == pytest.approx(
        scores["p_purchase"][~repeat].sum(), rel=1e-12
    )
    for key in ("value_of_the_base", "active_repeat_customers", "one_time_buyers_again"):
        fact = facts[key]
        assert fact.lower < fact.value < fact.upper


def test_one_time_buyers_are_apart(report: Report) -> None:
    groups = {fact.key: fact.group for fact in report.facts}
    assert groups["one_time_buyers_again"] == "buy"
    assert groups["one_time_buyers"] == groups["active_repeat_customers"] == "active"
    (table,) = [t for t in report.section("says").tables if t.key == "activity"]
    once = dict(zip(table.columns, table.rows[1], strict=True))
    assert once["customers who ..."] == "bought once"
    assert once["still active"] is None
    assert any("stays 1 forever" in note for note in report.section("says").notes)


# --- whatever comes ---


def no_repeat(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(frequency=0, recency=0.0, monetary_value=0.0)


def test_a_base_without_repeat_customers(rows: pd.DataFrame) -> None:
    report = diagnose(given(), no_repeat(rows))
    assert report.verdict.status == "fail"
    assert {check.name: check.status for check in report.checks}["repeat customers"] == "fail"
    facts = {fact.key: fact for fact in report.facts}
    assert facts["active_repeat_customers"].value == 0
    assert facts["one_time_buyers"].value == len(rows)
    strict(report)


def test_a_mode_has_no_intervals_and_no_traces(rows: pd.DataFrame) -> None:
    report = diagnose(mode(), rows)
    facts = {fact.key: fact for fact in report.facts}
    assert facts["value_of_the_base"].value > 0
    assert facts["value_of_the_base"].lower is None
    assert not report.section("convergence").figures
    assert not [check for check in report.checks if check.name.endswith("uncertainty")]
    assert status(report, "BG/NBD: distance from the mode") == "pass"


def test_purchases_alone(rows: pd.DataFrame) -> None:
    report = diagnose(given().purchases, rows)
    facts = {fact.key: fact for fact in report.facts}
    assert facts["value_of_the_base"].value is None
    assert "purchases alone" in facts["value_of_the_base"].note
    assert "CLVPosterior(purchases, 25.0)" in facts["value_of_the_base"].note
    bought, ahead = facts["purchases_of_the_base"], given().purchases.predict(base())
    assert bought.value == pytest.approx(ahead["expected_purchases"].sum(), rel=1e-9)
    assert bought.lower < bought.value < bought.upper
    tables = {one.key: one for section in report.sections for one in section.tables}
    assert {"purchase-tiers", "purchase-states"} <= set(tables)
    assert not {"tiers", "states"} & set(tables)
    text = str(report)
    assert "margin" not in {one.lower() for one in text.split()}
    assert facts["active_repeat_customers"].value > 0
    same = diagnose(given(), rows)
    assert facts["active_repeat_customers"].value == pytest.approx(
        {fact.key: fact for fact in same.facts}["active_repeat_customers"].value, rel=1e-12
    )
    assert not [check for check in report.checks if "Gamma" in check.name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"q": 1.0}, "p x + q <= 1"), ({"horizon": None, "discount_rate": 0.0}, "a <= 1")],
)
def test_values_that_are_infinite_are_not_given(
    rows: pd.DataFrame, changes: dict, words: str
) -> None:
    options = {n: changes[n] for n in ("horizon", "discount_rate") if n in changes}
    report = diagnose(given(**{n: v for n, v in changes.items() if n == "q"}), rows, **options)
    assert report.verdict.status == "fail"
    (said,) = [s for s in report.verdict.sentences if s.startswith("There are no values")]
    assert words in said


def test_a_table_without_money(rows: pd.DataFrame) -> None:
    bare = rows.drop(columns=["monetary_value", "first_value"], errors="ignore")
    report = diagnose(given(), bare)
    assert any("monetary_value" in note for note in report.section("says").notes)
    assert status(report, "a different mean amount") == "unavailable"


def test_first_purchases_unknown(rows: pd.DataFrame) -> None:
    report = diagnose(given(), rows.drop(columns=["first_value"], errors="ignore"))
    keys = [table.key for table in report.section("says").tables]
    assert "tiers" in keys
    assert "simple" not in keys
    assert any("every order" in note for note in report.section("says").notes)


def test_a_diverging_fit_and_a_failed_k_hat_are_reported(rows: pd.DataFrame) -> None:
    diverging = good_statistics()
    diverging["diverging"][:, :50] = True
    report = diagnose(fitted_pair(statistics=diverging), rows)
    assert report.verdict.status == "fail"
    assert {use.verdict for use in report.verdict.uses} == {"not supported"}
    assert all("divergent" in use.reason for use in report.verdict.uses)
    assert report.verdict.headline.startswith("Do not use these numbers")
    assert report.verdict.sentences[0].startswith("The fit did not converge")
    bad = {"khat": 1.2, "importance_ess": 900.0}
    report = diagnose(
        fitted_pair(method="laplace", statistics=bad, verdict=laplace_verdict(1.2, 900.0)), rows
    )
    assert status(report, "BG/NBD: Pareto k-hat") == "fail"
    assert report.verdict.status == "fail"


@pytest.mark.parametrize("draws", [1, 2, 3, 4])
def test_chains_of_a_few_draws_fail_and_are_reported(rows: pd.DataFrame, draws: int) -> None:
    shape = (4, draws)
    pair = CLVPosterior(
        fitted(draws=chains(PURCHASES, draws=draws), statistics=good_statistics(shape)),
        fitted(GammaGammaPosterior, chains(SPEND, draws=draws), statistics=good_statistics(shape)),
    )
    report = diagnose(pair, rows)
    assert status(report, "BG/NBD: largest R-hat") == "fail"
    strict(report)


def test_what_users_call_things_stays_as_it_is(rows: pd.DataFrame) -> None:
    named = rows.assign(
        customer_id=[f"<script>{i}</script>" for i in range(len(rows))],
        **{"<b>": np.where(np.arange(len(rows)) % 2, "<i>odd", "even & co")},
    )
    report = diagnose(given(), named)
    (segments,) = [t for t in report.section("says").tables if t.key == "segment-0"]
    assert segments.columns[0] == "<b>"
    assert {row[0] for row in segments.rows} == {"<i>odd", "even & co", "(whole)"}


def test_many_segments_are_gathered(rows: pd.DataFrame) -> None:
    report = diagnose(given(), rows.assign(shop=[f"s{i % 70}" for i in range(len(rows))]))
    (segments,) = [t for t in report.section("says").tables if t.key == "segment-0"]
    assert len(segments.rows) == 22
    customers = {row[0]: row[1] for row in segments.rows}
    assert customers["(whole)"] == len(rows)
    assert sum(n for name, n in customers.items() if name != "(whole)") == len(rows)


def test_another_model(rows: pd.DataFrame) -> None:
    both = given()
    draws = both.purchases.draws()
    report = diagnose(ModifiedBetaGeoPosterior.from_draws(**draws), rows)
    assert "MBG/NBD" in report.title
    (fact,) = [fact for fact in report.facts if fact.key == "one_time_buyers"]
    assert "forever" not in fact.note


def test_continuous_times_are_gathered() -> None:
    """Thousands of different T are summed in groups, without a noticeable change."""
    study = prepare(given(), base(3_000, period=None), Question())
    draws, formulas = study.few_draws(20), study.purchases.formulas
    assert len(study.ages()[0]) == 512
    few, all_ = (repeats_by_draw(formulas, draws, *study.ages(n))[0] for n in (512, 10_000))
    np.testing.assert_allclose(few, all_, rtol=1e-5)
    assert study.ages()[1].sum() == 3_000


# --- bad input ---


def test_bad_input_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="posterior of purchases"):
        diagnose(GammaGammaPosterior.from_draws(p=1, q=2, v=3), rows)
    with pytest.raises(SchemaError, match="RfmTable"):
        diagnose(given(), [1, 2])
    with pytest.raises(SchemaError, match="no rows"):
        diagnose(given(), rows.head(0))
    with pytest.raises(TimeUnitError):
        diagnose(given(), RfmTable.from_pandas(rows, time_unit="D", time_scaler=7))
    with pytest.raises(DomainError, match="interval"):
        diagnose(given(), rows, interval=1.0)
    with pytest.raises(TimeUnitError, match="horizon"):
        diagnose(given(), rows, horizon="soon")
    with pytest.raises(DomainError, match="discount_rate"):
        diagnose(given(), rows, discount_rate=-0.1)
    with pytest.raises(DomainError, match="draws"):
        diagnose(given(), rows, draws=0)
