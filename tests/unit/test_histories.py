"""Distinct histories: nothing of a base is lost, and bad rows are named."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvmodels import RfmTable
from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.rfm.distinct import distinct_rows, significant
from clvmodels.rfm.histories import (
    purchase_histories,
    rfm_columns,
)
from clvmodels.rfm.spent import spend_histories
from clvmodels.schema import TimeScale

BASE = pd.DataFrame(
    {
        "customer_id": ["e", "a", "c", "b", "d", "f"],
        "frequency": [2, 0, 2, 0, 1, 3],
        "recency": [5.0, 0.0, 5.0, 0.0, 3.0, 9.0],
        "T": [10.0, 7.0, 10.0, 7.0, 3.0, 9.0],
        "monetary_value": [12.5, 0.0, 12.5, np.nan, 40.0, 0.0],
    }
)

rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=40
)


@given(rows)
def test_distinct_rows_are_a_counter(cells: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, dtype=float) for column in zip(*cells, strict=True)]
    first, inverse = distinct_rows(*columns)
    kinds = [tuple(column[i] for column in columns) for i in first]
    assert kinds == sorted(set(cells))
    assert [kinds[i] for i in inverse] == cells
    assert Counter(inverse.tolist()) == Counter(kinds.index(cell) for cell in cells)


def test_distinct_rows_know_one_zero_and_no_rows() -> None:
    first, inverse = distinct_rows(np.array([0.0, -0.0, 1.0]))
    assert len(first) == 2
    assert inverse.tolist() == [0, 0, 1]
    first, inverse = distinct_rows(np.array([]), np.array([]))
    assert len(first) == len(inverse) == 0


def test_purchase_histories_count_customers() -> None:
    histories = purchase_histories(BASE)
    found = list(zip(histories.x, histories.t_x, histories.T, histories.count, strict=True))
    assert found == [(0, 0, 7, 2), (1, 3, 3, 1), (2, 5, 10, 2), (3, 9, 9, 1)]
    assert histories.customers == 6
    assert histories.mean_T == pytest.approx(BASE["T"].mean(), rel=1e-15)


def test_spend_histories_count_repeat_customers_with_spend() -> None:
    histories = spend_histories(BASE)
    found = list(zip(histories.x, histories.total, histories.count, strict=True))
    assert found == [(1, 40, 1), (2, 25, 2)]
    assert (histories.customers, histories.without_repeat, histories.zero_spend) == (3, 2, 1)
    assert histories.typical_amount == pytest.approx((12.5 * 12.5 * 40) ** (1 / 3), rel=1e-14)


@pytest.mark.parametrize("histories", [purchase_histories, spend_histories])
def test_fingerprint_knows_the_base_but_not_the_order(histories, rng) -> None:
    shuffled = BASE.iloc[rng.permutation(len(BASE))]
    assert histories(BASE).fingerprint() == histories(shuffled).fingerprint()
    assert histories(BASE).fingerprint() != histories(BASE.iloc[1:5]).fingerprint()
    more = pd.concat([BASE, BASE.iloc[[2]]])
    assert histories(BASE).fingerprint() != histories(more).fingerprint()


def test_totals_of_the_same_cents_are_one_history(rng) -> None:
    """A mean loses the last bits of its total; equal cents must still be one history."""
    cents = rng.integers(1, 10**7, size=2_000)
    x = rng.integers(1, 50, size=2_000)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(4_000),
            "frequency": np.tile(x, 2),
            "recency": 50.0,
            "T": 50.0,
            "monetary_value": np.concatenate([cents / 100 / x, (cents / x) / 100]),
        }
    )
    histories = spend_histories(frame)
    distinct = {(int(n), int(c)) for n, c in zip(x, cents, strict=True)}
    assert {
        (int(n), round(total * 100)) for n, total in zip(histories.x, histories.total, strict=True)
    } == distinct
    assert len(histories.x) == len(distinct)
    in_cents = spend_histories(frame.assign(monetary_value=frame["monetary_value"] * 100))
    assert (in_cents.x == histories.x).all()
    assert (in_cents.count == histories.count).all()


@given(st.floats(1e-200, 1e200))
def test_significant_keeps_twelve_digits(value: float) -> None:
    rounded = significant(np.array([value]), 12)[0]
    assert rounded == pytest.approx(float(f"{value:.11e}"), rel=1e-15)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frequency": [2, 0, 2, 0, 1.5, 3]}, "1 rows have a frequency.*row 4"),
        ({"frequency": [2, 0, -2, 0, 1, 3]}, "frequency"),
        ({"recency": [5.0, 0.0, 11.0, 0.0, 3.0, 9.0]}, "recency outside.*row 2"),
        ({"recency": [-5.0, 0.0, 5.0, 0.0, 3.0, 9.0]}, "recency outside.*row 0"),
        ({"recency": [5.0, 2.0, 5.0, 2.0, 3.0, 9.0]}, "2 rows.*recency > 0 at frequency 0"),
        ({"T": [10.0, 7.0, np.nan, 7.0, 3.0, 9.0]}, "missing or non-finite"),
        ({"T": [10.0, 7.0, np.inf, 7.0, 3.0, 9.0]}, "missing or non-finite"),
        ({"T": ["x"] * 6}, "column 'T' that holds text, not numbers"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(change, says: str) -> None:
    with pytest.raises(SchemaError, match=says):
        purchase_histories(BASE.assign(**change))


def test_missing_columns_are_named_with_those_found() -> None:
    with pytest.raises(SchemaError, match=r"lacks recency, T; found customer_id, frequency"):
        purchase_histories(BASE[["customer_id", "frequency"]])
    with pytest.raises(SchemaError, match=r"lacks monetary_value.*monetary_value_col"):
        spend_histories(BASE.drop(columns="monetary_value"))
    with pytest.raises(SchemaError, match="found list"):
        purchase_histories([1, 2])
    with pytest.raises(SchemaError, match="no rows"):
        purchase_histories(BASE.head(0))


def test_spend_that_the_model_cannot_have_is_refused() -> None:
    with pytest.raises(DomainError, match="1 repeat customers have a negative"):
        spend_histories(BASE.assign(monetary_value=[-1.0, 0, 1, 0, 1, 1]))
    with pytest.raises(DomainError, match="1 repeat customers have a negative or missing"):
        spend_histories(BASE.assign(monetary_value=[np.nan, 0, 1, 0, 1, 1]))
    with pytest.raises(DomainError, match="the spend model has nothing to learn from"):
        spend_histories(BASE[BASE["frequency"] == 0])
    with pytest.raises(DomainError, match="the spend model has nothing to learn from"):
        spend_histories(BASE.assign(monetary_value=0.0))


def test_a_table_brings_its_unit_and_margin() -> None:
    table = RfmTable.from_pandas(BASE, time_scaler=7, margin=0.3)
    columns = rfm_columns(table, scale=TimeScale("D", 7))
    assert columns.margin == 0.3
    assert columns.scale == TimeScale("D", 7)
    assert columns.m_bar is not None
    assert not np.isnan(columns.m_bar).any()
    assert rfm_columns(BASE, scale=TimeScale("D", 7)).scale is None


@pytest.mark.parametrize("own", [TimeScale("D"), TimeScale("W"), TimeScale("h", 24 * 7)])
def test_another_unit_is_refused_even_if_as_long(own: TimeScale) -> None:
    """Seven days and a calendar week are equally long, but purchases merge differently."""
    table = RfmTable.from_pandas(BASE, time_unit=own.time_unit, time_scaler=own.time_scaler)
    with pytest.raises(TimeUnitError, match="time_unit='D', time_scaler=7"):
        rfm_columns(table, scale=TimeScale("D", 7))


def test_nullable_columns_are_read() -> None:
    columns = rfm_columns(BASE.convert_dtypes())
    assert columns.x.tolist() == BASE["frequency"].tolist()
    assert columns.m_bar is not None
    assert columns.m_bar.tolist() == [12.5, 0.0, 12.5, 0.0, 40.0, 0.0]
