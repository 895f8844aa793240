"""What a new customer may cost: by the model's own verbs, and by what the log counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.errors import DomainError, SchemaError
from tests.covariates import (
    base_of,
    design_of_channels,
    plain_posterior,
    table_of,
    with_effects,
)
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR

CHANNEL = LOG["customer_id"].map(lambda one: ("web", "shop")[one % 2])
RFM = clv.rfm_summary(LOG.assign(channel=CHANNEL), segment_cols=["channel"], margin=0.4, **COLUMNS)
QUICK: dict[str, Any] = {"draws": 60, "paths": 60, "calendar": "none"}


def report(**options: Any) -> pd.DataFrame:
    return clv.acquisition_report(POSTERIOR, RFM, **{**QUICK, **options})


def test_the_models_answer_is_that_of_its_verbs() -> None:
    row = report(target_ratio=3.0, payback="6M", cac=5.0, customers=200.0).iloc[-1]
    how: dict[str, Any] = {"draws": 60, "margin": 0.4}
    value = POSTERIOR.new_customer_value(**how)
    early = POSTERIOR.new_customer_value("6M", 0.0, **how)
    assert (row["value"], row["value_lower"]) == (value.mean, value.lower)
    assert row["highest_cac"] == pytest.approx(value.mean / 3, rel=1e-12)
    assert row["payback_cac"] == early.mean
    assert row["ltv_to_cac_upper"] == pytest.approx(value.upper / 5, rel=1e-12)
    days = clv.payback_period(POSTERIOR, 5.0, **how).days
    assert row["payback_months"] == pytest.approx(days / 30.4375)
    assert row["budget"] == pytest.approx(200 * min(value.mean / 3, early.mean), rel=1e-12)


def test_a_model_with_covariates_knows_its_new_customers() -> None:
    frame = base_of()
    purchases = with_effects(
        plain_posterior(),
        design_of_channels(frame),
        lambda rng, shape: 0.3 * rng.normal(size=shape),
    )
    posterior = clv.CLVPosterior(purchases, 20.0)
    found = clv.acquisition_report(posterior, table_of(frame), by="channel")
    assert found["channel"].tolist() == ["ads", "shop", "web", "(whole)"]
    for row in found.to_dict("records")[:-1]:
        own = posterior.of({"channel": row["channel"]}).new_customer_value()
        assert row["value"] == pytest.approx(own.mean, rel=1e-12)
    assert found["value"].iloc[-1] == pytest.approx(posterior.new_customer_value().mean)
    assert found["value"].nunique() == 4


def test_what_is_long_ago_is_counted_and_discounted() -> None:
    """Customers older than the horizon: sums of the log, month by month, nothing else."""
    old = RFM.to_pandas().query("T > 130")["customer_id"]
    log = LOG[LOG["customer_id"].isin(old)].assign(channel=CHANNEL)
    base = clv.rfm_summary(
        log, segment_cols=["channel"], margin=0.4, observation_period_end=RFM.observation_end,
        **COLUMNS,
    )  # fmt: skip
    found = clv.acquisition_report(
        POSTERIOR, base, log=log, by="channel", horizon="4M", payback="2M", **QUICK
    )
    day = pd.to_datetime(log["date"]).dt.floor("D")
    age = (day - day.groupby(log["customer_id"]).transform("min")).dt.days
    month = np.ceil(age / 30.4375 - 1e-9)
    assert (found["known"] == 1.0).all()
    worth = 0.4 * log["amount"] * 1.1 ** (-month * 30.4375 / 365.25)
    for name, late, early in (("channel", 4, 2),):
        for row in found.to_dict("records")[:-1]:
            own = log["channel"] == row[name]
            people = log.loc[own, "customer_id"].nunique()
            value = worth[own & (month <= late)].sum() / people
            plain = 0.4 * log.loc[own & (month <= early), "amount"].sum() / people
            assert row["value"] == pytest.approx(value, rel=1e-9)
            assert row["value_lower"] == pytest.approx(value, rel=1e-9)
            assert row["payback_cac"] == pytest.approx(plain, rel=1e-9)


def test_budgets_of_segments_add_up() -> None:
    found = report(log=LOG, by="channel", customers={"web": 10, "shop": 30}, horizon="3M")
    assert found["acquired"].tolist() == [30.0, 10.0, 40.0]
    assert found["budget"].iloc[-1] == pytest.approx(found["budget"].iloc[:2].sum())
    assert "cac" not in found, "what is not known has no column"
    assert "payback_cac" not in found


def test_costs_by_segment() -> None:
    costs = pd.Series({"web": 2.0, "shop": 4.0})
    found = report(log=LOG, by=RFM.to_pandas().set_index("customer_id")["channel"], cac=costs)
    assert found["cac"].iloc[:2].tolist() == [4.0, 2.0]
    assert (found["ltv_to_cac"] > 1).all()
    assert found["payback_months"].map(math.isfinite).all()


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"by": "channel"}, SchemaError, "does not know its new customers by channel"),
        ({"log": LOG, "horizon": "50D"}, DomainError, "must be whole months"),
        ({"log": LOG, "by": "channel", "customers": 9}, SchemaError, "how many of each"),
        ({"cac": {"web": 1.0}}, SchemaError, "pass by="),
        ({"target_ratio": 0.0}, DomainError, "target_ratio"),
    ],
)
def test_what_is_refused(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        report(**options)
