"""Amounts in several currencies: refused, or converted by the rates given, in every engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import SchemaError
from clvmodels.simulate import simulate_log

COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
PLAIN = simulate_log(
    120, r=0.6, alpha=30.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0, T=(20.0, 300.0), seed=5
)
RATES = {"EUR": 1.0, "USD": 0.8, "JPY": 0.005}
NAMES = np.array([*RATES])[np.arange(len(PLAIN)) % 3]
LOG = PLAIN.assign(amount=PLAIN["amount"] / pd.Series(NAMES).map(RATES).to_numpy(), currency=NAMES)
ASKED: dict[str, Any] = {**COLUMNS, "currency_col": "currency", "rates": RATES}


def same(found: clv.RfmTable, wanted: clv.RfmTable) -> None:
    pd.testing.assert_frame_equal(found.to_pandas(), wanted.to_pandas(), rtol=1e-12)


def test_sums_over_currencies_are_refused() -> None:
    with pytest.raises(SchemaError, match="'EUR', 'JPY', 'USD', of which no rate is given"):
        clv.rfm_summary(LOG, **COLUMNS, currency_col="currency")
    with pytest.raises(SchemaError, match="amounts in 'JPY', of which no rate"):
        clv.rfm_summary(LOG, **{**ASKED, "rates": {"EUR": 1.0, "USD": 0.8}})
    missing = LOG.assign(currency=LOG["currency"].where(LOG.index > 3))
    with pytest.raises(SchemaError, match="amounts in '', of which"):
        clv.rfm_summary(missing, **ASKED)


def test_one_currency_needs_no_rate_and_nothing_is_converted() -> None:
    own = clv.rfm_summary(PLAIN.assign(currency="EUR"), **COLUMNS, currency_col="currency")
    same(own, clv.rfm_summary(PLAIN, **COLUMNS))
    euros = {"where": "currency = 'EUR'", "currency_col": "currency"}
    same(
        clv.rfm_summary(LOG, **COLUMNS, **euros),
        clv.rfm_summary(LOG, **COLUMNS, where="currency = 'EUR'"),
    )


@pytest.mark.parametrize("rates", [RATES, ["EUR=1", "USD=0.8", "JPY=0.005"]])
def test_amounts_are_converted_and_the_audit_says_so(rates: Any) -> None:
    found = clv.rfm_summary(LOG, **{**ASKED, "rates": rates})
    same(found, clv.rfm_summary(PLAIN, **COLUMNS))
    assert found.audit is not None
    assert "EUR 1, JPY 0.005, USD 0.8" in str(found.audit)


def test_files_of_text_and_tables_on_disk(tmp_path: Path) -> None:
    LOG.to_csv(tmp_path / "log.csv", index=False)
    wanted = clv.rfm_summary(PLAIN, **COLUMNS)
    same(clv.rfm_summary(tmp_path / "log.csv", **ASKED), wanted)
    clv.rfm_summary_to_parquet(tmp_path / "log.csv", tmp_path / "rfm.parquet", **ASKED)
    same(clv.RfmTable.from_parquet(tmp_path / "rfm.parquet"), wanted)


def test_refunds_are_netted_in_one_currency() -> None:
    back = LOG.iloc[:20].assign(amount=-0.5 * LOG["amount"].iloc[:20])
    plain = PLAIN.iloc[:20].assign(amount=-0.5 * PLAIN["amount"].iloc[:20])
    same(
        clv.rfm_summary(pd.concat([LOG, back]), **ASKED, refunds="net"),
        clv.rfm_summary(pd.concat([PLAIN, plain]), **COLUMNS, refunds="net"),
    )


def test_what_comes_later_is_converted_by_the_same_rates(tmp_path: Path) -> None:
    early = LOG["date"] <= LOG["date"].quantile(0.6)
    clv.rfm_summary(LOG[early], **ASKED).to_parquet(tmp_path / "rfm.parquet")
    table = clv.RfmTable.from_parquet(tmp_path / "rfm.parquet").update(LOG[~early])
    wanted = clv.rfm_summary(PLAIN[early], **COLUMNS).update(PLAIN[~early])
    same(table, wanted)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rates": {"EUR": 1.0}}, "The rates need currency_col"),
        ({"currency_col": "money"}, "currency_col='money' is not a column"),
        ({"currency_col": "currency", "rates": {"EUR": 0.0}}, "what one unit"),
        ({"currency_col": "currency", "rates": ["EUR"]}, "what one unit"),
        ({"currency_col": "currency", "monetary_value_col": None}, "name their column too"),
    ],
)
def test_what_is_refused(options: Any, said: str) -> None:
    with pytest.raises(SchemaError, match=said):
        clv.rfm_summary(LOG, **{**COLUMNS, **options})


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    LOG.to_parquet("log.parquet", index=False)
    names = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
    asked = ["summarize", "log.parquet", "-o", "rfm.parquet", *names, "--currency-col", "currency"]
    assert main(asked) == 2
    assert "--rate EUR=1 --rate USD=0.92" in " ".join(capsys.readouterr().err.split())
    assert main([*asked, *(f"--rate={name}={rate}" for name, rate in RATES.items())]) == 0
    same(clv.RfmTable.from_parquet("rfm.parquet"), clv.rfm_summary(PLAIN, **COLUMNS))
