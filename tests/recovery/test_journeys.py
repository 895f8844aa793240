"""Five journeys, as a new user would write them: from a messy log to a decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.log.audit import Reason

pytestmark = pytest.mark.slow
FAST = {"method": "laplace", "random_seed": 1, "progressbar": False}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_invoice_lines_with_returns() -> None:
    """Online Retail as it comes: lines without customer, cancellations, times of day."""
    lines = load_online_retail()
    rfm = clv.rfm_summary(
        lines,
        customer_id_col="customer_id",
        datetime_col="timestamp",
        monetary_value_col="amount",
        refunds="net",
    )
    audit = rfm.audit
    assert audit is not None
    assert audit.rows_read == len(lines) == audit.rows_used + sum(o.rows for o in audit.left_out)
    assert audit.rows_left_out(Reason.NO_CUSTOMER) == 135_080
    posterior = clv.CLVModel().fit(rfm, **FAST)
    scores = posterior.predict(rfm, horizon="90D")
    assert len(scores) == len(rfm)
    assert np.isfinite(scores["clv"]).all()
    assert list(scores["customer_id"]) == list(rfm.to_pandas()["customer_id"])
    page = clv.report(posterior, rfm, horizon="90D", currency="£", output="report.html")
    assert "prediction was not checked" in page.full.lower() or "no backtest" in page.full.lower()
    assert Path("report.html").stat().st_size > 10_000


def test_ten_years_of_purchases(rng: np.random.Generator) -> None:
    """Customers of ten years, weekly; what is forecast at year eight is what then comes."""
    customers, days = 2000, 3652
    first = rng.integers(0, 2900, customers)
    rate = rng.gamma(0.8, 1 / 60, customers)
    stays = rng.geometric(rng.beta(1.0, 8.0, customers))  # purchases until the last one
    rows = []
    for who in range(customers):
        steps = rng.exponential(1 / rate[who], min(int(stays[who]), 400)).cumsum()
        when = np.concatenate([[0.0], steps[:-1]]) + first[who]
        rows.append(pd.DataFrame({"who": f"c{who:05d}", "day": when[when < days]}))
    log = pd.concat(rows, ignore_index=True)
    log["date"] = pd.Timestamp("2014-01-01") + pd.to_timedelta(log["day"].astype(int), unit="D")
    log["paid"] = rng.gamma(6, 5, len(log)).round(2)
    columns = {"customer_id_col": "who", "datetime_col": "date", "monetary_value_col": "paid"}
    split = clv.rfm_train_test_split(
        log,
        **columns,
        train_period_end="2021-12-31",
        test_period_end="2023-12-31",
        time_scaler=7,
    )
    posterior = clv.CLVModel(purchases=clv.ModifiedBetaGeoModel()).fit(split.train, **FAST)
    expected = posterior.predict(split.train, horizon="104W")["expected_purchases"].sum()
    really = split.test["test_frequency"].sum()
    assert abs(expected - really) < 5 * np.sqrt(really) + 0.1 * really
    posterior.save("ten.nc")
    again = clv.load_posterior("ten.nc")
    pd.testing.assert_frame_equal(
        again.predict(split.train, horizon="2Y"), posterior.predict(split.train, horizon="2Y")
    )


def test_no_amounts(capsys: pytest.CaptureFixture[str]) -> None:
    """Who will come back, where nobody wrote down what was paid."""
    log = load_cdnow(sample=True)[["customer_id", "date"]]
    log.to_csv("visits.csv", index=False)
    command = ["summarize", "visits.csv", "-o", "rfm.parquet", "--customer-id", "customer_id"]
    assert main([*command, "--timestamp", "date", "--observation-end", "1997-09-30"]) == 0
    fast = ["--method", "laplace", "--seed", "1"]
    assert main(["fit", "rfm.parquet", "-o", "posterior.nc", *fast]) == 0
    assert "no amounts" in capsys.readouterr().out
    rfm = clv.RfmTable.from_parquet("rfm.parquet")
    posterior = clv.load_posterior("posterior.nc")
    alive = posterior.expected_probability_alive(rfm).mean(("chain", "draw"))
    coming = posterior.expected_purchases(rfm, future_t=273).mean(("chain", "draw"))
    assert ((alive >= 0) & (alive <= 1)).all()
    assert abs(float(coming.sum()) - 1882) < 0.25 * 1882
    fitted = ["--rfm", "rfm.parquet", "--posterior", "posterior.nc"]
    assert main(["report", *fitted, "-o", "report.html", "--json", "report.json"]) == 0
    assert json.loads(Path("report.json").read_text())["title"]
    capsys.readouterr()
    score = ["score", "rfm.parquet", "--posterior", "posterior.nc", "--horizon", "273D"]
    assert main([*score, "-o", "scores.csv"]) == 0
    assert "expected purchases" in capsys.readouterr().out
    scores = pd.read_csv("scores.csv")
    assert "clv" not in scores
    assert abs(scores["expected_purchases"].sum() - float(coming.sum())) < 0.02 * 1882


def test_a_local_csv_through_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Semicolons, decimal commas, day first, Latin-1: as a German shop exports it."""
    log = load_cdnow(sample=True)
    german = pd.DataFrame(
        {
            "Kunde": "K" + log["customer_id"].astype(str).str.zfill(5),
            "Datum": pd.to_datetime(log["date"]).dt.strftime("%d.%m.%Y"),
            "Betrag": log["amount"].map(
                lambda paid: f"{paid:,.2f} €".translate(str.maketrans(",.", ".,"))
            ),
            "Ort": "Köln",
        }
    )
    german.to_csv("umsatz.csv", sep=";", index=False, encoding="cp1252")
    columns = ["--customer-id", "Kunde", "--timestamp", "Datum", "--amount", "Betrag"]
    said = ["--delimiter", ";", "--encoding", "cp1252", "--decimal", ","]
    assert main(["summarize", "umsatz.csv", "-o", "rfm.parquet", *columns, *said]) == 0
    shown = capsys.readouterr()
    assert "dates read as" in " ".join((shown.out + shown.err).split()).lower()
    clean = log.assign(customer_id="K" + log["customer_id"].astype(str).str.zfill(5))
    names = {"datetime_col": "date", "monetary_value_col": "amount"}
    expected = clv.rfm_summary(clean, customer_id_col="customer_id", **names)
    found = clv.RfmTable.from_parquet("rfm.parquet")
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas(), rtol=1e-12)
    fast = ["--method", "laplace", "--seed", "1"]
    assert main(["fit", "rfm.parquet", "-o", "posterior.nc", *fast]) == 0
    assert main(["score", "rfm.parquet", "--posterior", "posterior.nc", "-o", "scores.csv"]) == 0
    scores = pd.read_csv("scores.csv")
    assert len(scores) == 2357
    assert np.isfinite(scores["clv"]).all()


def test_a_base_with_a_margin(capsys: pytest.CaptureFixture[str]) -> None:
    """Profit everywhere, from the base to the ceiling of what a new customer may cost."""
    log = load_cdnow(sample=True)
    columns: dict[str, Any] = {
        "customer_id_col": "customer_id",
        "datetime_col": "date",
        "monetary_value_col": "amount",
    }
    profit = clv.rfm_summary(log, **columns, margin=0.3)
    revenue = clv.rfm_summary(log, **columns)
    posterior = clv.CLVModel().fit(profit, **FAST)
    plain = clv.CLVModel().fit(revenue, **FAST)
    new, gross = posterior.new_customer_value("12M"), plain.new_customer_value("12M")
    assert new.mean == pytest.approx(0.3 * gross.mean, rel=1e-9)
    assert clv.highest_cac(new).mean == pytest.approx(26.30, abs=0.15)
    assert "30 %" in str(new) or "0.3" in repr(new)
    base = posterior.predict(profit)["clv"].sum()
    assert base == pytest.approx(0.3 * plain.predict(revenue)["clv"].sum(), rel=1e-9)
    posterior.save("posterior.nc")
    profit.to_parquet("rfm.parquet")
    again = clv.load_posterior("posterior.nc")
    assert again.new_customer_value("12M").mean == pytest.approx(new.mean, rel=1e-12)
    # a frame of the same customers says nothing of a margin: that of the base is in its values
    assert again.predict(profit.to_pandas())["clv"].sum() == pytest.approx(base, rel=1e-9)
    assert main(["score", "rfm.parquet", "--posterior", "posterior.nc", "-o", "scores.csv"]) == 0
    assert "margin of 30 %" in " ".join(capsys.readouterr().out.split())
    assert pd.read_csv("scores.csv")["clv"].sum() == pytest.approx(base, rel=1e-6)
