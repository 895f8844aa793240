"""Margins of customers' own orders, shrunk; and what is left of values after all costs."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import total_value
from tests.readable import too_long
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR
from tests.unit.test_customer_valuation import POINT

NAMES: dict[str, Any] = {**COLUMNS, "margin_col": "left"}
TRUE = {one: 0.3 + 0.2 * math.sin(one) for one in LOG["customer_id"].unique()}
MARGIN = LOG["customer_id"].map(TRUE) + np.random.default_rng(1).normal(0.0, 0.1, len(LOG))
ORDERS = LOG.assign(left=MARGIN * LOG["amount"])
RFM = clv.rfm_summary(LOG, **COLUMNS)
FOUND = clv.customer_margins(ORDERS, **NAMES)


def test_margins_are_those_of_buehlmann_and_straub() -> None:
    """A simulated base with known variances: weights, and fewer errors than either extreme."""
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(3_000), rng.integers(1, 6, 3_000))
    amount = rng.gamma(4.0, 25.0, len(who))
    own = rng.normal(0.25, 0.1, 3_000)
    noise = rng.normal(0.0, 1.0, len(who)) * np.sqrt(4.0 / amount)
    log = pd.DataFrame({"customer_id": who, "amount": amount, "left": (own[who] + noise) * amount})
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(log.groupby("customer_id").cumcount(), "D")
    found = clv.customer_margins(log.assign(date=day), **NAMES)
    assert found.within == pytest.approx(4.0, rel=0.06)
    assert found.between == pytest.approx(0.01, rel=0.15)
    assert found.base == pytest.approx(0.25, abs=0.01)
    table = found.table
    weight = table["revenue"] / (table["revenue"] + found.within / found.between)
    assert np.allclose(table["weight"], weight)
    errors = [np.mean((table[name] - own) ** 2) for name in ("margin", "own_margin")]
    assert errors[0] < min(0.9 * errors[1], 0.9 * 0.01)


def test_units_order_of_rows_and_lines_of_an_order_make_no_difference() -> None:
    cents = ORDERS.assign(amount=100 * ORDERS["amount"], left=100 * ORDERS["left"])
    split = pd.concat([ORDERS.assign(amount=ORDERS["amount"] / 2, left=ORDERS["left"] / 2)] * 2)
    for other in (cents, ORDERS.sample(frac=1.0, random_state=3), split):
        found = clv.customer_margins(other, **NAMES)
        assert found.base == pytest.approx(FOUND.base, rel=1e-9)
        assert np.allclose(found.table["margin"], FOUND.table["margin"])


def test_without_differences_all_have_the_margin_of_the_base() -> None:
    same = clv.customer_margins(LOG.assign(left=0.2 * LOG["amount"]), **NAMES)
    assert same.between == pytest.approx(0.0, abs=1e-12)
    assert np.allclose(same.table["margin"], 0.2)
    back = pd.concat([ORDERS, ORDERS.iloc[:5].assign(amount=-5.0, left=-9.0)])
    assert clv.customer_margins(back, **NAMES).base == FOUND.base, "refunds are left out"


def test_shares_in_place_of_money_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="look like shares of the amounts but are read as money"):
        found = clv.customer_margins(LOG.assign(left=0.3), **NAMES)
    assert found.base < 0.05
    clv.customer_margins(LOG.assign(left=0.0), **NAMES)  # nothing is left of anything


def test_contributions_are_margin_times_revenue_less_costs() -> None:
    found = clv.contributions(
        POSTERIOR, RFM, margins=FOUND, cost_per_order=2.0, cost_per_year=1.5, draws=60
    )
    scores = POSTERIOR.predict(RFM, draws=60, margin=1.0)
    own = FOUND.table.set_index("customer_id")["margin"].reindex(scores["customer_id"]).to_numpy()
    years = (1 - 1.1 ** (-365 / 365.25)) / math.log(1.1)
    wanted = own * scores["clv"] - 2.0 * scores["discounted_purchases"] - 1.5 * years
    assert np.allclose(found.customers["contribution"], wanted)
    assert found.total.mean == pytest.approx(wanted.sum(), rel=1e-12)
    assert found.total.lower < found.total.mean < found.total.upper
    assert found.total.draws.mean() == pytest.approx(found.total.mean, rel=0.02)
    assert found.losing == (wanted < 0).sum() > 0


def test_one_margin_without_costs_is_the_value_that_there_was() -> None:
    found = clv.contributions(POSTERIOR, RFM, margins=0.4, draws=60)
    value = total_value(POSTERIOR, RFM, margin=0.4, draws=60)
    assert found.total.mean == pytest.approx(value.mean, rel=1e-9)
    assert (found.total.lower, found.total.upper) == pytest.approx((value.lower, value.upper))
    new = POSTERIOR.new_customer_value(margin=0.4, draws=60)
    assert found.new_customer.mean == pytest.approx(new.mean, rel=1e-12)
    assert found.new_customer.upper == pytest.approx(new.upper, rel=1e-12)


def test_costs_of_orders_are_known_draw_by_draw() -> None:
    """A basket of 10 at a cost of 10 an order is worth nothing in any draw, new or not."""
    posterior = clv.CLVPosterior(POSTERIOR.purchases, 10.0)
    found = clv.contributions(posterior, RFM, margins=1.0, cost_per_order=10.0, draws=60)
    assert np.abs(found.total.draws).max() < 1e-6
    assert np.abs(found.new_customer.draws).max() < 1e-6


def test_negative_margins_and_a_point_have_no_interval() -> None:
    found = clv.contributions(POINT, RFM, margins=-0.1)
    assert found.total.mean < 0
    assert math.isnan(found.total.lower)
    assert found.losing == len(RFM)


def test_the_margin_of_the_table_does_not_count_twice() -> None:
    table = clv.rfm_summary(LOG, margin=0.5, **COLUMNS)
    one, other = (clv.contributions(POINT, rfm, margins=0.4).total.mean for rfm in (RFM, table))
    assert one == other


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"margins": 1.5}, DomainError, "at most 1"),
        ({"margins": {1: 0.3}}, SchemaError, "customer_margins"),
        ({"margins": 0.3, "cost_per_order": -1.0}, DomainError, "cost_per_order=-1.0"),
        ({"margins": 0.3, "cost_per_year": 1.0, "horizon": None}, DomainError, "never end"),
    ],
)
def test_what_is_refused(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        clv.contributions(POSTERIOR, RFM, **options)
    with pytest.raises(SchemaError, match="no column 'left'"):
        clv.customer_margins(LOG, **NAMES)
    with pytest.raises(DomainError, match="missing in some rows"):
        clv.customer_margins(ORDERS.assign(left=np.nan), **NAMES)
    with pytest.raises(SchemaError, match="not numbers"):
        clv.customer_margins(ORDERS.assign(left="x"), **NAMES)


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ORDERS.to_csv("orders.csv", index=False)
    RFM.to_parquet("rfm.parquet")
    POSTERIOR.save("p.nc")
    asked = ["contributions", "--rfm", "rfm.parquet", "--posterior", "p.nc", "--draws", "60"]
    log = ["--log", "orders.csv", "--customer-id", "customer_id", "--timestamp", "date"]
    more = ["--amount", "amount", "--margin-col", "left", "--cost-per-order", "2"]
    files = ["-o", "found.csv", "--json", "found.json"]
    assert main([*asked, *log, *more, *files]) == 0
    assert too_long(capsys.readouterr().out, 100) == []
    wanted = clv.contributions(POSTERIOR, RFM, margins=FOUND, cost_per_order=2.0, draws=60)
    pd.testing.assert_frame_equal(pd.read_csv("found.csv"), wanted.customers, check_dtype=False)
    total = json.loads(Path("found.json").read_text())["rows"][0]
    assert total["mean"] == pytest.approx(wanted.total.mean)
    assert main([*asked, "--margin", "0.3"]) == 0
    assert main([*asked, "--log", "orders.csv"]) == 2
    assert "give --log with --customer-id" in capsys.readouterr().err
    assert main(asked) == 2
    assert "Neither the table nor the posterior says a margin" in capsys.readouterr().err


def test_the_table_knows_the_margins() -> None:
    """Its column, or else its own margin; so --margin need not be said again."""
    own = clv.contributions(POSTERIOR, FOUND.join(RFM), cost_per_order=2.0, draws=60)
    wanted = clv.contributions(POSTERIOR, RFM, margins=FOUND, cost_per_order=2.0, draws=60)
    pd.testing.assert_frame_equal(own.customers, wanted.customers)
    assert own.new_customer == wanted.new_customer
    said = dataclasses.replace(RFM, margin=0.3, margin_said=True)
    same = clv.contributions(POSTERIOR, said, draws=60)
    assert same.total == clv.contributions(POSTERIOR, RFM, margins=0.3, draws=60).total
    with pytest.raises(SchemaError, match="Neither the table nor the posterior says a margin"):
        clv.contributions(POSTERIOR, RFM, draws=60)
