"""The manager's page: what a new customer may cost, in every case that a base can be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from clvmodels import RfmTable, acquisition_report, payback_period, plots, rfm_summary
from clvmodels.datasets import load_cdnow
from clvmodels.diagnostics import Brief, Report, diagnose
from clvmodels.diagnostics.customers_listed import FIRST_CUSTOMERS
from clvmodels.diagnostics.new_customers import after
from clvmodels.diagnostics.words import percent
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import CLVPosterior
from clvmodels.predictive.timelines import PAST
from clvmodels.reporting import from_json, render, render_page, to_json
from tests.protocol.report_samples import draw
from tests.unit.diagnostics_cases import base, given


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return base(150)


@pytest.fixture(scope="module")
def report(rows: pd.DataFrame) -> Report:
    return diagnose(given(), rows, currency="£", margin=0.3, cac=15.0, draws=20)


def page_of(report: Report) -> Brief:
    assert report.brief is not None
    return report.brief


def test_it_has_the_verbs_figures(report: Report) -> None:
    posterior = given()
    assert isinstance(posterior, CLVPosterior)
    value = posterior.new_customer_value(margin=0.3, draws=20)
    found = {fact.key: fact for fact in page_of(report).facts}
    assert found["brief_new_customer"].value == pytest.approx(value.mean)
    assert found["brief_new_customer"].lower == pytest.approx(value.lower)
    assert found["brief_target_cac"].value == pytest.approx(value.mean / 3)
    plan = next(fact for fact in report.facts if fact.key == "value_to_plan_with")
    assert (found["brief_base"].value, found["brief_base"].lower) == (plan.value, plan.lower)
    months = payback_period(posterior, 15.0, margin=0.3, draws=20).days / 30.4375
    assert found["brief_payback"].value == after(months) == f"{months:.1f} months"
    curve = page_of(report).curve
    assert 0.3 * curve["today"][12] == pytest.approx(value.mean, rel=1e-3)
    assert curve["revenue"] == sorted(curve["revenue"])
    assert curve["revenue"][0] == curve["today"][0]
    assert (np.array(curve["revenue"][1:]) > curve["today"][1:]).all()


def test_all_verbs_agree_on_the_payback(report: Report, rows: pd.DataFrame) -> None:
    """Page, table of costs, acquisition and plot: money as it comes, not discounted."""
    posterior = given()
    assert isinstance(posterior, CLVPosterior)
    table = RfmTable.from_pandas(rows)

    def acquired(**few: int) -> str:
        found = acquisition_report(posterior, table, cac=15.0, margin=0.3, **few)  # type: ignore[arg-type]
        return after(found["payback_months"].iloc[0])

    drawn = plots.plot_payback(posterior, 15.0, margin=0.3, ax=Figure().subplots())
    legend = drawn.get_legend()
    assert legend is not None
    assert f"paid back after {acquired()}" in [text.get_text() for text in legend.get_texts()]
    assert "not discounted" in drawn.get_ylabel()
    said = acquired(draws=20)
    page = page_of(report)
    assert {row[0]: row[1] for row in page.tables[0].rows}[15.0] == said
    assert f"paid back after {said}." in page.answer


@pytest.mark.parametrize(("cost", "said"), [(1.0, "Yes: one is worth"), (1e5, "No: one is")])
def test_it_says_whether_a_cost_pays(rows: pd.DataFrame, cost: float, said: str) -> None:
    brief = page_of(diagnose(given(), rows, margin=0.3, cac=cost, draws=20))
    assert said in brief.answer
    assert ("not paid back within 36 months" in brief.answer) == (cost > 1)
    assert cost in [row[0] for row in brief.tables[0].rows]


def test_of_revenue_the_margin_decides(rows: pd.DataFrame) -> None:
    """No yes to a cost that only revenue was held against."""
    brief = page_of(diagnose(given(), rows, cac=30.0, draws=20))
    worth = brief.facts[1].value
    assert "Yes" not in brief.answer
    assert "depends on your margin" in brief.answer
    assert f"from a margin of {percent(30.0 / worth)} on" in brief.answer
    dear = page_of(diagnose(given(), rows, cac=2.0 * worth, draws=20))
    assert "No: one is" in dear.answer


def test_where_totals_must_not_be_used_no_budget_is_set(rows: pd.DataFrame) -> None:
    """Rankings may do; what the base brings, or a new customer, is not known."""
    found = diagnose(given(alpha=300.0), rows, margin=0.3, cac=3.0, draws=20)
    verdicts = {one.use: one for one in found.verdict.uses}
    assert verdicts["totals"].verdict == "not supported" != verdicts["ranking"].verdict
    brief = page_of(found)
    assert brief.answer == "No budget can be set from these figures."
    assert brief.sentence.endswith(f"for these 150 customers. {verdicts['totals'].reason}")
    assert not brief.facts
    assert not brief.curve
    assert "brief-costs" not in {table.key for table in brief.tables}
    said = " ".join(brief.actions)
    assert "Win new customers" not in said
    assert "Plan with" not in said
    assert brief.answer in render_page(found)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"cac": float("nan")}, "cac=nan must be an amount of money"),
        ({"horizon": "0D"}, "horizon='0D' looks no time ahead"),
        ({"horizon": "200Y"}, "horizon='200Y' is longer than 50 years"),
    ],
)
def test_what_cannot_be_asked_is_said(rows: pd.DataFrame, question: Any, said: str) -> None:
    with pytest.raises(DomainError, match=said):
        diagnose(given(), rows, margin=0.3, **question)


def test_the_managers_page_says_what_the_data_lack() -> None:
    """Who sees no checks reads of them, and the page of a clean table has nothing to say."""
    log = load_cdnow(sample=True)
    log = log[log["customer_id"] % 5 == 1].astype({"customer_id": "Int64"})
    columns = {
        "customer_id_col": "customer_id",
        "datetime_col": "date",
        "monetary_value_col": "amount",
    }
    for lost, said in ((4, "25.0 % of the rows, and "), (10**6, "")):
        log["customer_id"] = log["customer_id"].mask(np.arange(len(log)) % lost == 0)
        log = log if said else log.dropna()
        found = diagnose(given(), rfm_summary(log, **columns), draws=20)
        limits = page_of(found).limits
        assert len(limits) == (1 if said else 0)
        assert said in " ".join(limits)
        page = render_page(found, reader="manager")
        assert ("What to keep in mind about the data" in page) == bool(said)
        assert all(one.partition(",")[0].replace(" %", "\u00a0%") in page for one in limits)
        assert page_of(from_json(to_json(found))).limits == limits


def test_a_log_of_other_customers_is_not_taken_for_the_tables() -> None:
    """None of them is refused; some are told of, on the manager's page too."""
    log = load_cdnow(sample=True)
    log = log[log["customer_id"] % 40 == 1]
    rfm = rfm_summary(log, customer_id_col="customer_id", datetime_col="date")
    purchases = given().purchases
    strangers = log.assign(customer_id=log["customer_id"] + 10**6)
    with pytest.raises(SchemaError, match=rf"none of the log's {len(rfm)} customers is in the"):
        diagnose(purchases, rfm, log=strangers, draws=20)
    some = pd.concat([log[log["date"] < "1997-06-01"], strangers])
    said = page_of(diagnose(purchases, rfm, log=some, draws=20)).limits[0]
    assert said.startswith(f"The log is not the one that the table was made of ({len(rfm)} of ")
    assert f"{2 * len(rfm)} customers are in the table, which has {len(rfm)})" in said


@pytest.mark.parametrize(("horizon", "said"), [("20Y", "beyond 10 years"), (None, "lifetime")])
def test_horizons_without_a_total_say_why_at_once(
    rows: pd.DataFrame, horizon: str | None, said: str
) -> None:
    """Purchases are followed one by one for a total: those of decades took minutes."""
    brief = page_of(diagnose(given(), rows, horizon=horizon, margin=0.3, draws=20))
    assert brief.sentence.startswith("There are no totals to plan with")
    assert said in brief.sentence
    assert "brief_base" not in {fact.key for fact in brief.facts}


def test_revenue_is_no_budget(rows: pd.DataFrame) -> None:
    brief = page_of(diagnose(given(), rows, draws=20))
    assert "This is revenue" in brief.answer
    assert brief.actions[0].startswith("Give the report your margin")
    assert "may cost" not in brief.facts[1].label
    assert len(brief.actions) <= 3


def test_purchases_alone_set_no_budget(rows: pd.DataFrame) -> None:
    posterior = given()
    assert isinstance(posterior, CLVPosterior)
    brief = page_of(diagnose(posterior.purchases, rows, cac=30.0, draws=20))
    assert "not known" in brief.answer
    assert " purchases in the next 365 days" in brief.sentence
    assert [fact.key for fact in brief.facts] == ["brief_base"]
    assert not brief.curve


@pytest.mark.parametrize(("text", "months"), [("the first order", 0), ("0.1 months", 1e-3),
                                            ("2.0 months", 2)])  # fmt: skip
def test_times_are_said_in_months(text: str, months: float) -> None:
    assert after(months) == text


def test_a_cost_below_zero_and_a_wrong_margin_are_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(DomainError, match="cac"):
        diagnose(given(), rows, cac=-1.0)
    with pytest.raises(DomainError, match="margin"):
        diagnose(given(), rows, margin=30.0)


@pytest.mark.slow
def test_each_reader_has_a_page(report: Report) -> None:
    both, manager, analyst = (
        render_page(report, draw_nothing, reader=reader)  # type: ignore[arg-type]
        for reader in ("both", "manager", "analyst")
    )
    assert 'id="brief"' in both
    assert both.count('<details class="part">') == 1 + len(report.sections)
    assert 'id="brief"' in manager
    assert 'id="section-' not in manager
    assert 'id="verdict"' not in manager
    assert len(manager) < 200_000
    assert 'id="brief"' not in analyst
    assert '<details class="part">' not in analyst
    with pytest.raises(SchemaError, match="reader"):
        render(report, reader="boss")  # type: ignore[arg-type]


def draw_nothing(figure: object) -> object:
    """Draw a small figure, whatever is asked for: the pictures are not looked at."""
    from tests.protocol.report_samples import waves

    return draw(waves("x", points=3))


def test_a_fit_that_failed_sets_no_budget(report: Report) -> None:
    brief = replace(page_of(report), reliable=False)
    page = render_page(replace(report, brief=brief), draw_nothing, reader="manager")
    assert 'class="brief-facts unreliable"' in page
    assert 'id="payback"' not in page
    assert "table-brief-costs" not in page
    assert "table-brief-tiers" not in page
    assert 'class="interval"' not in page


def test_nothing_is_advised_where_nothing_can_be_used(rows: pd.DataFrame) -> None:
    once = rows.head(60).assign(frequency=0.0, recency=0.0, monetary_value=0.0)
    found = page_of(diagnose(given(), once, draws=20))
    assert found.sentence == (
        "Nothing can be said about these 60 customers yet. None of the customers came back (there "
        "should be at least 100)."
    )
    assert found.answer == "No budget can be set from these figures."
    assert found.actions == ()
    assert not found.reliable


def test_records_come_back_and_older_ones_too(report: Report) -> None:
    text = to_json(report)
    assert to_json(from_json(text)) == text
    older = {name: value for name, value in json.loads(text).items() if name != "brief"}
    found = from_json(json.dumps(older))
    assert found.brief is None
    assert found.facts == from_json(text).facts


# --- the list of customers --------------------------------------------------------------


def listed(report: Report) -> pd.DataFrame:
    """The list of customers, under its headings."""
    tables = [table for section in report.sections for table in section.tables]
    (found,) = (table for table in tables if table.key == FIRST_CUSTOMERS)
    assert len(found.lives) == len(found.rows)
    return pd.DataFrame(found.rows, columns=list(found.columns)).assign(life=found.lives)


def test_every_group_of_the_tables_leads_to_customers() -> None:
    many = base(900)
    kinds = np.where(np.arange(len(many)) % 450 == 7, "rare", "usual")
    table = RfmTable.from_frame(many.assign(value=kinds), observation_end="2011-12-09")
    report = diagnose(given(), table, draws=20)
    found = listed(report)
    assert 200 < len(found) < 500
    assert (found["value"].diff().dropna() <= 0).all()
    scores = given().predict(table, draws=20)
    first = scores.sort_values("clv", ascending=False)["customer_id"].head(200)
    assert set(map(str, first)) <= set(found["customer id"])
    tables = [one for section in report.sections for one in section.tables]
    leads = [one.leads for one in (*tables, *page_of(report).tables) if one.leads]
    assert {name for one in leads for name in one} == {"tier", "state", "value (segment)"}
    named = {(name, group) for one in leads for name, groups in one.items() for group in groups}
    there = {(name, group) for name, _ in named for group in found[name]}
    counts = next(one for one in tables if one.key == "states")
    empty = {("state", row[0]) for row in counts.rows if row[1] == 0}
    assert named - empty == there


def test_the_list_says_what_predict_says(rows: pd.DataFrame, report: Report) -> None:
    found = listed(report).set_index("customer id")
    said = given().predict(rows, draws=20).assign(customer_id=lambda t: t["customer_id"].map(str))
    said = said.set_index("customer_id").loc[found.index]
    once = said["frequency"] == 0
    assert found.loc[once, "P(alive)"].isna().all()
    assert found.loc[~once, "P(alive)"].to_numpy() == pytest.approx(said["p_alive"][~once])
    assert found["chance to buy again"].to_numpy() == pytest.approx(said["p_purchase"])
    assert (found["orders"] - 1).tolist() == said["frequency"].tolist()
    assert set(found["tier"]) == {f"tier {place}" for place in range(1, 5)}
    # the curve ends with today's P(alive), in thousandths to the base of 36
    for life, row in zip(found["life"], said.to_dict("records"), strict=True):
        curve = life.split("|")[2]
        today = curve[2 * PAST - 2 : 2 * PAST] if len(curve) > 2 else curve
        assert int(today, 36) == round(1000 * row["p_alive"])
        assert life.endswith("||")  # no log, no orders


def test_a_list_of_purchases_alone_has_lives_too(rows: pd.DataFrame) -> None:
    posterior = given()
    assert isinstance(posterior, CLVPosterior)
    found = listed(diagnose(posterior.purchases, rows, draws=20))
    assert "value" not in found
    assert found["purchases ahead"].is_monotonic_decreasing
