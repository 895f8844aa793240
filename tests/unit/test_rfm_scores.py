"""RFM scores from 1 to 5: quintiles where there are no ties, and equals treated alike."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clvmodels import DomainError, RfmTable, SchemaError, rfm_summary
from clvmodels.datasets import load_cdnow
from clvmodels.economics.rfm_quintiles import rfm_scores

SCORES = ["recency_score", "frequency_score", "monetary_score"]


def table_of(purchases: list[int], silence: list[float], first: list[float]) -> RfmTable:
    x = np.array(purchases)
    t_x = np.where(x > 0, 60.0, 0.0)
    frame = {
        "customer_id": np.arange(len(x)),
        "frequency": x,
        "recency": t_x,
        "T": t_x + silence,
        "monetary_value": np.where(x > 0, 20.0, 0.0),
        "first_value": first,
    }
    return RfmTable.from_pandas(pd.DataFrame(frame))


@pytest.fixture(scope="module")
def cdnow() -> RfmTable:
    return rfm_summary(
        load_cdnow(sample=True),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
    )


def test_without_ties_scores_are_quintiles(rng: np.random.Generator) -> None:
    n = 50
    order = rng.permutation(n)
    rfm = table_of(list(order), list(rng.permutation(n) + 1.0), list(rng.lognormal(3, 1, n)))
    scores = rfm_scores(rfm)
    for name, score, up in (
        ("silence", "recency_score", False),
        ("purchases", "frequency_score", True),
        ("money", "monetary_score", True),
    ):
        rank = scores[name].rank(ascending=up)
        expected = np.ceil(5 * rank / n).astype(int)
        assert (scores[score] == expected).all(), name
        assert scores[score].value_counts().tolist() == [10] * 5


def test_by_hand() -> None:
    # Purchases 1 1 1 2 7, silence 9 1 5 5 2, revenue 10 40 40 30 140
    rfm = table_of([0, 0, 0, 1, 6], [9, 1, 5, 5, 2], [10, 40, 40, 10, 20])
    scores = rfm_scores(rfm)
    assert scores["purchases"].tolist() == [1, 1, 1, 2, 7]
    assert scores["money"].tolist() == [10, 40, 40, 30, 140]
    assert scores["frequency_score"].tolist() == [1, 1, 1, 4, 5]
    assert scores["recency_score"].tolist() == [1, 5, 2, 2, 4]
    assert scores["monetary_score"].tolist() == [1, 3, 3, 2, 5]
    assert scores["rfm_score"].tolist() == ["111", "513", "213", "242", "455"]
    mean = rfm_scores(rfm, money="mean")
    assert mean["money"].tolist() == [10, 40, 40, 15, 20]
    assert mean["monetary_score"].tolist() == [1, 4, 4, 2, 3]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(0, 99))
def test_a_score_says_how_many_are_worse(purchases: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(purchases)
    silence, first = rng.integers(0, 4, n).astype(float), rng.integers(0, 9, n).astype(float)
    rfm = table_of(purchases, list(silence), list(first))
    scores = rfm_scores(rfm)
    for name, score, sign in (
        ("silence", "recency_score", -1),
        ("purchases", "frequency_score", 1),
        ("money", "monetary_score", 1),
    ):
        value = sign * scores[name].to_numpy()
        worse = (value[None, :] < value[:, None]).sum(axis=1)
        found = scores[score].to_numpy()
        assert ((found - 1) * n <= 5 * worse).all()
        assert (5 * worse < found * n).all()
        assert set(found) <= {1, 2, 3, 4, 5}
        equal = scores.groupby(name)[score].nunique()
        assert (equal == 1).all()


def test_units_of_time_and_money_do_not_matter(cdnow: RfmTable) -> None:
    log = load_cdnow(sample=True)
    weeks = rfm_summary(
        log.assign(amount=100 * log["amount"]).sample(frac=1.0, random_state=1),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
        time_scaler=7,
    )
    for money in ("total", "mean"):
        one, other = rfm_scores(cdnow, money=money), rfm_scores(weeks, money=money)
        pd.testing.assert_frame_equal(one[SCORES], other[SCORES])


def test_cdnow_against_pandas(cdnow: RfmTable) -> None:
    log = load_cdnow(sample=True)
    log = log[log["date"] <= "1997-09-30"]
    by = log.groupby("customer_id")
    raw = pd.DataFrame(
        {
            "silence": (pd.Timestamp("1997-09-30") - by["date"].max()).dt.days,
            "purchases": by["date"].nunique(),
            "money": by["amount"].sum().round(2),
        }
    )
    scores = rfm_scores(cdnow).set_index("customer_id")
    pd.testing.assert_frame_equal(
        scores[list(raw)], raw.loc[scores.index], check_dtype=False, rtol=1e-12
    )
    raw["silence"] *= -1
    ranks = raw.rank(method="min") - 1
    expected = (1 + 5 * ranks // len(raw)).astype(int).loc[scores.index]
    np.testing.assert_array_equal(scores[SCORES], expected)
    assert (scores.loc[scores["purchases"] == 1, "frequency_score"] == 1).all()


def test_one_customer_has_the_lowest_score() -> None:
    assert rfm_scores(table_of([3], [0.0], [0.0]))["rfm_score"].tolist() == ["111"]


def test_unfit_tables_are_refused(cdnow: RfmTable) -> None:
    frame = cdnow.to_pandas()
    with pytest.raises(SchemaError, match="first_value"):
        rfm_scores(RfmTable.from_pandas(frame.drop(columns="first_value")))
    with pytest.raises(DomainError, match="no customers"):
        rfm_scores(RfmTable.from_pandas(frame.head(0)))
    with pytest.raises(SchemaError, match="money='median'"):
        rfm_scores(cdnow, money="median")
