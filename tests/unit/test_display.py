"""Records show themselves in a few lines, as text and in notebooks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import RfmTable, SchemaError
from clvmodels.diagnostics import diagnose
from clvmodels.display import many, wrapped
from tests.unit.diagnostics_cases import base, given

LOG = pd.DataFrame(
    {
        "customer_id": ["a", "a", "b", "b", "c"],
        "date": pd.to_datetime(
            ["2024-01-01", "2024-02-01", "2024-01-05", "2024-04-01", "2024-03-01"]
        ),
        "amount": [10.0, 12.0, 9.0, 20.0, 5.0],
    }
)
COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}


@pytest.fixture(scope="module")
def rfm() -> RfmTable:
    return clv.rfm_summary(LOG, **COLUMNS)


def records() -> dict[str, Any]:
    posterior, table = given(50), RfmTable.from_pandas(base(60))
    return {
        "ActionLists": clv.action_lists(posterior, table),
        "SimpleClv": clv.simple_clv(table, silence=60),
        "SimpleInputs": clv.simple_clv(table, silence=60).inputs,
        "AcquisitionFunnel": clv.acquisition_funnel(
            impressions=1e6, clicks=2e4, conversions=400, spend=8_000
        ),
        "NewCustomerValue": posterior.new_customer_value("12M"),
        "Estimate": clv.highest_cac(posterior.new_customer_value("12M"), target_ratio=3.0),
        "RfmSplit": clv.rfm_train_test_split(LOG, **COLUMNS, train_period_end="2024-02-15"),
        "Report": diagnose(posterior, table),
    }


def test_records_are_a_few_lines_in_which_nothing_is_long() -> None:
    for name, record in records().items():
        text = repr(record)
        assert text.startswith(name), text
        lines = text.splitlines()
        assert 3 < len(lines) < 30, text
        assert max(map(len, lines)) < 400, text
        assert "array(" not in text
        assert "e+" not in text
        page = record._repr_html_()
        assert f"<b>{name}</b>" in page
        assert "<table" in page
        assert len(page) < 40_000


def test_numbers_of_a_record_can_be_read() -> None:
    simple = clv.simple_clv(RfmTable.from_pandas(base(60)), silence=60)
    assert f"customers            {simple.customers:,}" in repr(simple)
    assert f">value</th><td>{simple.value:,.6g}</td>" in simple._repr_html_()


def test_lists_show_their_heads() -> None:
    lists = records()["ActionLists"]
    assert f"customers  table of 60 x {lists.customers.shape[1]}" in repr(lists)
    assert "<td>slipping</td>" in lists._repr_html_()


def test_what_comes_from_a_log_is_escaped() -> None:
    rows = RfmTable.from_pandas(base(20).assign(customer_id=[f"<b>{i}" for i in range(20)]))
    lists = clv.action_lists(given(20), rows)
    for page in (rows._repr_html_(), lists._repr_html_()):
        assert "<b>0" not in page
        assert "&lt;b&gt;0" in page


# --- tables ---


def test_a_table_has_columns(rfm: RfmTable) -> None:
    pd.testing.assert_frame_equal(rfm.head(2), rfm.to_pandas().head(2))
    assert rfm["frequency"].tolist() == [1, 1, 0]
    assert list(rfm[["customer_id", "T"]].columns) == ["customer_id", "T"]
    with pytest.raises(SchemaError, match=r"no column 'recence': it has customer_id, frequency"):
        rfm["recence"]
    with pytest.raises(SchemaError, match="must be a list"):
        rfm[0]  # type: ignore[index]


def test_a_table_is_described(rfm: RfmTable) -> None:
    described = rfm.describe()
    assert list(described.columns) == [
        "frequency",
        "recency",
        "T",
        "monetary_value",
        "first_value",
    ]
    np.testing.assert_allclose(described.loc["mean", "T"], rfm.to_pandas()["T"].mean())


def test_audits_and_verdicts_are_text_in_notebooks(rfm: RfmTable) -> None:
    assert rfm.audit is not None
    assert str(rfm.audit).splitlines()[0] in rfm.audit._repr_html_()
    verdict = given(20).purchases.verdict
    assert verdict._repr_html_().startswith("<pre>")


def test_no_line_begins_with_a_percent_sign() -> None:
    assert wrapped("among the best 10 % forecast", 18) == ["among the best", "10 % forecast"]
    assert wrapped("100 % of long-haul", 12) == ["100 % of", "long-haul"]


def test_lengths_of_time_are_shown_with_their_unit() -> None:
    found = clv.payback_period(given(50), 20.0, margin=0.4)
    assert f"within  {found.within:,.6g} days".split() in [
        line.split() for line in repr(found).splitlines()
    ]
    assert f"<td>{found.within:,.6g} days</td>" in found._repr_html_()
    unpaid = clv.payback_period(given(50), None)
    assert ["lower", "nan"] in [line.split() for line in repr(unpaid).splitlines()]
    simple = clv.simple_clv(RfmTable.from_pandas(base(60)), silence=60)
    assert ["silence", "60", "days"] in [line.split() for line in repr(simple).splitlines()]


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 customers are"), (1, "1 customer is"), (2357, "2,357 customers are")]
)
def test_counts_have_their_nouns_and_verbs(count: int, said: str) -> None:
    assert many(count, "customer", "are") == said
    assert many(count, "customer") == said.rsplit(" ", 1)[0]
