"""Forecasts that need no model, by hand on a log of five customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import simple_clv, simple_clv_per_customer
from clvmodels.evaluation.baselines import (
    COHORT,
    LAST_PERIOD,
    SIMPLE,
    SIMPLE_PER_CUSTOMER,
    baselines,
    cohort_average,
    last_period,
)
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.observed import Observed

RATE = 0.10
DELTA = np.log(1.1) / 365.25
LOG = pd.DataFrame(
    [
        ("a", "2020-01-01", 10.0),
        ("a", "2020-02-10", 20.0),
        ("a", "2020-02-10", 5.0),
        ("a", "2020-03-20", 40.0),
        ("a", "2020-04-10", 30.0),
        ("b", "2020-01-11", 50.0),
        ("b", "2020-04-30", 8.0),
        ("c", "2020-02-01", 7.0),
        ("c", "2020-03-02", 9.0),
        ("d", "2020-03-31", 6.0),
        ("e", "2020-04-05", 99.0),
    ],
    columns=["who", "when", "paid"],
)
OPTIONS: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
    "time_unit": "D",
    "time_scaler": 1.0,
    "refunds": "drop",
    "zero_amounts": "keep",
    "duplicates": "keep",
    "id_map": None,
    "margin": 0.5,
}


def observed(
    train_end: str = "2020-03-31", discounting: Any = "continuous", **changes: Any
) -> Observed:
    reading = Reading.of(LOG, OPTIONS | changes)
    return reading.cut(reading.calendar.span(train_end, None, None), RATE, discounting)


def test_what_happened_is_discounted_and_counted_once_a_day() -> None:
    base = observed()
    assert base.train.to_pandas()["customer_id"].tolist() == ["a", "b", "c", "d"]
    assert base.bought.tolist() == [1, 1, 0, 0]
    assert base.split.new_customers == 1
    expected = [15 * np.exp(-10 * DELTA), 4 * np.exp(-30 * DELTA), 0.0, 0.0]
    np.testing.assert_allclose(base.spent, expected, rtol=1e-12)


def test_monthly_discounting_counts_begun_months() -> None:
    later = observed("2020-02-29", "monthly")
    month = 30.4375 * DELTA
    # a on days 20 and 41, b on day 61, c on day 2
    expected = [
        20 * np.exp(-month) + 15 * np.exp(-2 * month),
        4 * np.exp(-3 * month),
        4.5 * np.exp(-month),
    ]
    np.testing.assert_allclose(later.spent, expected, rtol=1e-12)


def test_the_last_period_again() -> None:
    # the holdout has 30 days, so the last period begins after 2020-03-01
    found = last_period(observed())
    assert found.purchases.tolist() == [1.0, 0.0, 1.0, 1.0]
    expected = [
        20 * np.exp(-19 * DELTA),
        0.0,
        4.5 * np.exp(-1 * DELTA),
        3 * np.exp(-30 * DELTA),
    ]
    assert found.value is not None
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    assert found.note == ""


def test_the_last_period_says_where_the_log_is_too_short() -> None:
    assert "reaches back only 60 of 61" in last_period(observed("2020-02-29")).note


def test_the_average_of_the_months_cohort() -> None:
    found = cohort_average(observed())
    horizon = 30.0
    # January: a and b with 2 repeats in 90 + 80 days; February: c, 1 in 59; March: d, 0 days
    january, february, base = 2 / 170, 1 / 59, 3 / 229
    rates = np.array([january, january, february, base])
    np.testing.assert_allclose(found.purchases, rates * horizon, rtol=1e-12)
    flow = (1 - np.exp(-DELTA * horizon)) / DELTA
    amounts = np.array([65 / 2, 65 / 2, 9.0, 74 / 3])
    assert found.value is not None
    np.testing.assert_allclose(found.value, rates * flow * amounts * 0.5, rtol=1e-10)


def test_the_simple_formula_is_the_packages_own() -> None:
    base = observed()
    found = {
        one.name: one
        for one in baselines(
            base, log=LOG, id_map=None, discount_rate=RATE, discounting="continuous"
        )
    }
    assert list(found) == [SIMPLE, SIMPLE_PER_CUSTOMER, LAST_PERIOD, COHORT]
    terms: dict[str, Any] = {"log": LOG, "horizon": 30.0}
    whole = simple_clv(base.train, discount_rate=RATE, **terms)
    own = simple_clv_per_customer(base.train, discount_rate=RATE, **terms)
    years = simple_clv(base.train, discount_rate=0.0, **terms).retained_years
    simple, each = found[SIMPLE], found[SIMPLE_PER_CUSTOMER]
    assert simple.value is not None
    assert each.value is not None
    np.testing.assert_allclose(simple.value, whole.value)
    np.testing.assert_allclose(simple.purchases, whole.orders_per_year * years)
    np.testing.assert_allclose(each.value[:3], own["value"][:3])
    np.testing.assert_allclose(each.purchases[:3], own["orders_per_year"][:3] * years)
    # d first bought on the last day: no frequency
    assert each.value[3] == 0
    assert "1 customers" in each.note


def test_without_amounts_there_are_counts_alone() -> None:
    base, priced = observed(monetary_value_col=None), observed()
    assert base.spent is None
    for one, other in zip(
        baselines(base, log=LOG, id_map=None, discount_rate=RATE, discounting="continuous"),
        baselines(priced, log=LOG, id_map=None, discount_rate=RATE, discounting="continuous"),
        strict=True,
    ):
        assert one.value is None
        np.testing.assert_allclose(one.purchases, other.purchases)


@pytest.mark.parametrize("kind", ["csv", "parquet", "id_map"])
def test_purchases_find_their_customers(kind: str, tmp_path: Any) -> None:
    ids = LOG["who"].map({"a": 7, "b": 12, "c": 100, "d": 3, "e": 5})
    log, options = LOG.assign(who=ids), dict(OPTIONS)
    source: Any = log
    if kind == "csv":
        source = str(tmp_path / "log.csv")
        log.to_csv(source, index=False)
    elif kind == "parquet":
        source = str(tmp_path / "log.parquet")
        log.to_parquet(source, index=False)
    else:
        options["id_map"] = {12: 7}
    reading = Reading.of(source, options)
    base = reading.cut(reading.calendar.span("2020-03-31", None, None), RATE, "continuous")
    who = base.train.to_pandas()["customer_id"].tolist()
    bought = base.count(base.span.train_end)
    expected = {7: 1, 12: 1, 100: 0, 3: 0} if kind != "id_map" else {7: 2, 100: 0, 3: 0}
    assert dict(zip(who, bought.tolist(), strict=True)) == expected
    assert (bought == base.bought).all()
