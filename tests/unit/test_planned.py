"""Totals to plan with in the report: those of forecast_total, in words, a table and a fan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clvmodels as clv
from clvmodels import RfmTable
from clvmodels.diagnostics import Report, diagnose, planned
from clvmodels.errors import DomainError, SchemaError
from clvmodels.reporting import render_text
from tests.unit.diagnostics_cases import base, given

POSTERIOR = given()
RFM = RfmTable.from_pandas(base(), observation_end="2020-01-16", margin=0.4)
TERMS: dict[str, Any] = {"horizon": "90D"}


def report_of(posterior: Any = POSTERIOR, rfm: RfmTable = RFM, **more: Any) -> Report:
    return diagnose(posterior, rfm, **{**TERMS, **more})


def fact(report: Report, key: str) -> Any:
    (found,) = [one for one in report.facts if one.key == key]
    return found


@pytest.mark.parametrize("calendar", ["auto", "none", 0.3])
def test_the_report_plans_with_what_forecast_total_says(calendar: Any) -> None:
    report = report_of(calendar=calendar)
    rows = clv.forecast_total(POSTERIOR, RFM, calendar=calendar, **TERMS).table
    value = rows.set_index("total").loc["value"]
    told = fact(report, "value_to_plan_with")
    np.testing.assert_allclose(
        [told.value, told.lower, told.upper],
        value[["mean", "lower", "upper"]].astype(float),
        rtol=1e-9,
    )
    assert told.value == pytest.approx(fact(report, "value_of_the_base").value, rel=1e-9)
    (table,) = [one for one in report.section("says").tables if one.key == "plan"]
    assert [row[0] for row in table.rows] == ["purchases", "value"]
    of_value = dict(zip(table.columns, table.rows[1], strict=True))
    assert of_value["calendar"] == pytest.approx(value["share_calendar"], rel=1e-9)
    said = {
        "auto": "An assumption, not a result of this fit",
        "none": "The calendar is left out, as asked",
        0.3: "the standard deviation of 30 % that was asked for",
    }[calendar]
    assert said in told.note
    assert said in table.caption


def test_doubt_is_told_in_words_the_most_of_it_first() -> None:
    row = {"share_parameters": 0.13, "share_chance": 0.121, "share_calendar": 0.749}
    assert planned.in_words(row) == (
        "The calendar makes 75 % of the doubt, the parameters 13 % and chance 12 %. More data of "
        "the same kind would narrow the parameters' part alone."
    )
    row = {"share_parameters": 0.0, "share_chance": 1.0, "share_calendar": 0.0}
    assert planned.in_words(row) == (
        "Chance makes 100 % of the doubt. A larger base would have less of it."
    )
    row = dict.fromkeys(row, float("nan"))
    assert planned.in_words(row) == "Nothing of it is in doubt."


def test_purchases_alone_have_totals_to_plan_with() -> None:
    report = report_of(POSTERIOR.purchases)
    rows = clv.forecast_total(POSTERIOR.purchases, RFM, **TERMS).table
    told = fact(report, "purchases_to_plan_with")
    assert [told.lower, told.upper] == pytest.approx(rows.loc[0, ["lower", "upper"]].tolist())
    keys = [one.key for one in report.facts]
    assert keys.index("purchases_to_plan_with") == keys.index("purchases_of_the_base") + 1
    assert "value_to_plan_with" not in keys
    assert [f.key for f in report.section("says").figures if f.kind == "forecast"] == [
        "plan-purchases"
    ]


def test_a_whole_life_has_none_and_the_report_says_so() -> None:
    report = report_of(horizon=None)
    assert not [one for one in report.facts if one.key.endswith("to_plan_with")]
    assert any("of a whole lifetime" in note for note in report.section("says").notes)
    assert not [one for one in report.figures if one.kind == "forecast"]


@pytest.mark.parametrize(
    ("rfm", "horizon", "why"),
    [
        (RfmTable.from_pandas(base()), "90D", "does not know when its observation ended"),
        (RFM, "5Y", "longer than 36 of them"),
    ],
)
def test_months_need_dates_and_an_end_in_sight(rfm: RfmTable, horizon: str, why: str) -> None:
    report = report_of(rfm=rfm, horizon=horizon)
    assert fact(report, "value_to_plan_with").upper > 0
    assert any(why in note for note in report.section("says").notes)
    assert not [one for one in report.figures if one.kind == "forecast"]


def test_the_fan_has_the_months_at_the_rate_of_whole_ones() -> None:
    (figure,) = [one for one in report_of().figures if one.key == "plan-purchases"]
    months = clv.forecast_total(POSTERIOR, RFM, path="M", **TERMS)
    assert figure.data["edges"] == list(months.edges)
    assert months.edges == (
        "2020-01-17",
        "2020-02-01",
        "2020-03-01",
        "2020-04-01",
        "2020-04-16",
    )
    days = np.diff(np.array(months.edges, dtype="datetime64[D]")).astype(int)
    rows = months.table[months.table["total"] == "purchases"]
    for name, column in (("expected", "mean"), ("lower", "lower"), ("upper", "upper")):
        wanted = rows[column].to_numpy() / days * 30.4375
        np.testing.assert_allclose(figure.data[name], wanted, rtol=1e-5)


def test_of_a_large_base_some_are_followed_and_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rfm = RfmTable.from_pandas(base(3_000), observation_end="2020-01-16")
    whole = fact(report_of(rfm=rfm), "value_to_plan_with")
    monkeypatch.setattr(planned, "_MOST_CUSTOMERS", 1_000)
    report = report_of(rfm=rfm)
    some = fact(report, "value_to_plan_with")
    assert some.value == pytest.approx(whole.value, rel=1e-9)
    assert some.upper - some.lower == pytest.approx(whole.upper - whole.lower, rel=0.25)
    assert "1,000 customers, drawn at random, were followed" in some.note
    assert "drawn at random" not in whole.note
    (figure,) = [one for one in report.figures if one.key == "plan-value"]
    assert sum(figure.data["expected"]) > 0.5 * whole.value


def test_one_customer_and_a_point_are_planned_for() -> None:
    alone = RfmTable.from_pandas(base(1), observation_end="2020-01-16")
    assert fact(report_of(rfm=alone), "value_to_plan_with").lower >= 0
    point = given(1, spread=0.0)
    told = fact(report_of(point), "value_to_plan_with")
    assert "is the parameters'" not in told.note
    assert told.lower < told.value < told.upper


@pytest.mark.parametrize(
    ("calendar", "error"),
    [("learnt", SchemaError), ("some", SchemaError), (2.0, DomainError)],
)
def test_a_calendar_that_is_none_is_refused(calendar: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="calendar="):
        report_of(calendar=calendar)


def test_what_a_forecast_refuses_the_report_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DomainError("A customer buys for ever.")

    monkeypatch.setattr(planned, "forecast_total", refuse)
    notes = report_of().section("says").notes
    assert "There are no totals to plan with: A customer buys for ever." in notes


def test_the_text_has_it_below_the_value() -> None:
    text = " ".join(render_text(report_of(), whole=False).split())
    assert text.index("What the base is worth") < text.index("The same, to plan with")
