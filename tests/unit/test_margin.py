"""The margin of the base that was fitted is in every value, unless somebody says another."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable, economics
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.errors import ClvError, DomainError
from clvmodels.evaluation.fitting import Fitting
from clvmodels.margin import Margin, margin_for
from clvmodels.posterior import total_value
from clvmodels.simulate import simulate_log

rng = np.random.default_rng(3)
PURCHASES = BetaGeoPosterior.from_draws(
    r=0.24 * rng.lognormal(0, 0.05, 60), alpha=31.0, a=0.8, b=2.4
)
SPEND = GammaGammaPosterior.from_draws(p=6.2, q=3.7 * rng.lognormal(0, 0.05, 60), v=15.4)
PLAIN = CLVPosterior(PURCHASES, SPEND)
THIRD = CLVPosterior(PURCHASES, SPEND, margin=0.3)
FRAME = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "frequency": [0, 2, 7, 1],
        "recency": [0.0, 213.0, 206.0, 12.0],
        "T": [272.0] * 4,
        "monetary_value": [0.0, 22.35, 73.74, 9.0],
        "first_value": [10.0, 20.0, 50.0, 8.0],
        "shop": ["x", "x", "y", "y"],
    }
)
TABLE = RfmTable.from_pandas(FRAME)
COLUMNS = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}


@pytest.fixture(scope="module")
def cdnow() -> tuple[RfmTable, CLVPosterior]:
    rfm = clv.rfm_summary(load_cdnow(sample=True), **COLUMNS, margin=0.3)
    return rfm, clv.CLVModel().fit(rfm, method="map", progressbar=False)


def test_the_ceiling_for_cac_is_of_profit(cdnow: tuple[RfmTable, CLVPosterior]) -> None:
    rfm, posterior = cdnow
    new = posterior.new_customer_value("12M")
    assert economics.highest_cac(new).mean == pytest.approx(26.30, abs=0.1)
    assert (new.margin, new.margin_from) == (0.3, "posterior")
    assert posterior.new_customer_value("12M", margin=1.0).mean == pytest.approx(new.mean / 0.3)
    # In the same money as the customers that are there
    assert posterior.predict(rfm)["clv"].sum() == pytest.approx(
        posterior.predict(rfm.to_pandas())["clv"].sum(), rel=1e-12
    )


def test_it_is_saved_with_the_posterior_and_missing_in_older_files(
    cdnow: tuple[RfmTable, CLVPosterior], tmp_path: Path
) -> None:
    _, posterior = cdnow
    path = posterior.save(tmp_path / "posterior.nc")
    back = clv.load_posterior(path)
    assert back.margin == back.purchases.metadata.margin == back.spend.metadata.margin == 0.3
    alone = clv.load_posterior(posterior.purchases.save(tmp_path / "purchases.nc"))
    assert alone.metadata.margin == 0.3
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        older = tree.load()
    record = json.loads(older.attrs["metadata"])
    for part in record.values():
        del part["margin"]
    older.attrs |= {"metadata": json.dumps(record), "format_version": 1}
    older.to_netcdf(tmp_path / "older.nc", engine="h5netcdf")
    old = clv.load_posterior(tmp_path / "older.nc")
    assert old.margin is None
    new = old.new_customer_value("12M")
    assert (new.margin, new.margin_from) == (1.0, "not said")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, Margin(1.0, "not said")),
        ({"posterior": 0.3}, Margin(0.3, "posterior")),
        ({"table": 1.0}, Margin(1.0, "table")),
        ({"table": 0.3, "posterior": 0.3}, Margin(0.3, "table")),
        ({"argument": 0.2, "table": 0.4, "posterior": 0.3}, Margin(0.2, "argument")),
    ],
)
def test_one_rule_decides(said: dict[str, float], found: Margin) -> None:
    argument = said.pop("argument", None)
    assert margin_for(argument, **said) == found


def test_table_and_posterior_that_differ_are_named() -> None:
    other = RfmTable.from_pandas(FRAME, margin=0.4)
    with pytest.warns(UserWarning, match=r"margin is 0\.4, but the base that was fitted had 0\.3"):
        scores = THIRD.predict(other)
    assert set(scores["margin"]) == {0.4}
    np.testing.assert_allclose(scores["clv"], 0.4 * PLAIN.predict(FRAME)["clv"], rtol=1e-12)
    with pytest.warns(UserWarning, match=r"margin is 1, but the base that was fitted had 0\.3"):
        THIRD.predict(RfmTable.from_pandas(FRAME, margin=1.0))
    assert set(THIRD.predict(other, margin=0.2)["margin"]) == {0.2}  # and no warning


def test_posteriors_of_different_margins_are_not_joined_in_silence() -> None:
    with pytest.raises(DomainError, match=r"different margins, 0\.3 and 0\.5"):
        CLVPosterior(THIRD.purchases, CLVPosterior(PURCHASES, SPEND, margin=0.5).spend)
    assert CLVPosterior(THIRD.purchases, SPEND).margin == 0.3
    assert replace(THIRD, margin=0.5).spend.metadata.margin == 0.5
    with pytest.raises(DomainError, match="share of revenue"):
        CLVPosterior(PURCHASES, SPEND, margin=30.0)


def money(
    posterior: CLVPosterior, table: RfmTable, name: str, margin: float | None = None
) -> tuple[float, Any]:
    """One amount of money of each verb, and the margin that it says."""
    if name == "new customer":
        new = posterior.new_customer_value(margin=margin)
        return new.mean, new.margin
    if name == "acquired":
        one = economics.acquired_customer_value(posterior, table, margin=margin)
        return one.mean, economics.ltv_to_cac(one, 10.0).margin
    if name == "budget":
        budget = economics.acquisition_budget(
            posterior.new_customer_value(margin=margin), customers=9
        )
        return budget.mean, budget.margin
    if name == "total":
        total = total_value(posterior, table, margin=margin)
        return total.mean, total.margin
    if name == "distribution":
        one = clv.value_distribution(posterior, table, margin=margin)
        assert f"margin {one.margin:g} (" in repr(one)
        return float(one.quantile(0.9)[2]), one.margin
    if name == "future":
        paths = clv.simulate_future(posterior, table, paths=20, margin=margin)
        assert set(paths.totals()["margin"]) == {paths.margin}
        assert f"margin {paths.margin:g} (" in repr(paths)
        return float(paths.values.sum()), paths.margin
    if name == "portfolio":
        base = clv.portfolio(posterior, table, paths=60, margin=margin)
        assert set(base.table["margin"]) == {base.margin}
        assert f"margin {base.margin:g} (" in repr(base)
        return float(base.table["value"].iloc[-1]), base.margin
    if name == "payback":  # at the cost times margin it takes the same time
        cost = 40.0 * (margin or posterior.margin or 1.0)
        back = economics.payback_period(posterior, cost, margin=margin)
        return back.days * back.margin, back.margin
    if name == "equity":
        equity = economics.customer_equity(posterior, table, margin=margin)
        return equity.mean, equity.margin
    said: dict[str, Any] = {"margin": margin}
    tables: dict[str, tuple[Any, str]] = {
        "segments": (lambda: economics.segment_report(posterior, table, by="shop", **said), "ltv"),
        "past": (
            lambda: economics.segment_report(posterior, table, by="shop", **said),
            "past_margin",
        ),
        "tiers": (lambda: economics.tier_report(posterior, table, quantiles=[0.5], **said), "clv"),
        "simple": (
            lambda: economics.compare_with_simple(posterior, table, silence=60, groups=2, **said),
            "simple",
        ),
        "model": (
            lambda: economics.compare_with_simple(posterior, table, silence=60, groups=2, **said),
            "model",
        ),
        "actions": (
            lambda: economics.action_lists(posterior, table, **said).customers,
            "clv_as_usual",
        ),
        "states": (lambda: economics.action_lists(posterior, table, **said).counts, "clv"),
    }
    make, column = tables[name]
    found = make()
    (stated,) = set(found["margin"])
    return float(found[column].iloc[-1]), stated


VERBS = (
    *("new customer", "acquired", "budget", "total", "distribution", "future", "portfolio"),
    *("payback", "segments", "past", "tiers", "simple", "model", "actions", "states", "equity"),
)


@pytest.mark.parametrize("name", VERBS)
def test_every_value_has_the_margin_of_the_base(name: str) -> None:
    value, said = money(THIRD, TABLE, name)
    plain, at_one = money(PLAIN, TABLE, name)
    assert plain > 0
    assert value == pytest.approx(0.3 * plain, rel=1e-9)
    assert (said, at_one) == (0.3, 1.0)
    # A table that says its own has it, whatever the posterior knows
    if name not in ("new customer", "budget", "payback"):
        own, _ = money(PLAIN, RfmTable.from_pandas(FRAME, margin=0.4), name)
        assert own == pytest.approx(0.4 * plain, rel=1e-9)


@pytest.mark.parametrize("name", VERBS)
def test_an_argument_is_above_table_and_base(name: str) -> None:
    """No warning that these two differ: somebody has said which counts."""
    plain, _ = money(PLAIN, TABLE, name)
    value, said = money(THIRD, RfmTable.from_pandas(FRAME, margin=0.4), name, margin=0.6)
    assert value == pytest.approx(0.6 * plain, rel=1e-9)
    assert said == 0.6
    with pytest.raises(DomainError, match="margin=30"):
        money(THIRD, TABLE, name, margin=30)


def test_frames_of_every_kind_have_it() -> None:
    import polars as pl
    import pyarrow as pa

    for kind in (FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME)):
        found = THIRD.predict(kind)
        assert set(np.asarray(found["margin"])) == {0.3}
        np.testing.assert_allclose(
            np.asarray(found["total_value"]), 0.3 * PLAIN.predict(FRAME)["total_value"], rtol=1e-12
        )


@pytest.mark.parametrize("kind", ["own", "said", "foreign", "csv", "log"])
def test_scores_from_files_have_it(kind: str, tmp_path: Path) -> None:
    source, options = tmp_path / "in.parquet", {}
    if kind in ("own", "said"):
        RfmTable.from_pandas(FRAME, margin=None if kind == "own" else 0.4).to_parquet(source)
    elif kind == "foreign":
        FRAME.to_parquet(source)
    elif kind == "csv":
        source = tmp_path / "in.csv"
        FRAME.to_csv(source, index=False)
    else:
        days = pd.to_datetime(["2020-01-01", "2020-03-01", "2020-05-01", "2020-02-01"])
        log = pd.DataFrame({"customer_id": list("aaab"), "date": days, "amount": [9.0, 8, 7, 6]})
        log.to_parquet(source)
        options = COLUMNS
    with warnings.catch_warnings():
        if kind == "said":
            warnings.filterwarnings("ignore", "The table's margin is 0.4, but")
        report = clv.score(source, THIRD, tmp_path / "out.parquet", **options)
        plain = clv.score(source, PLAIN, tmp_path / "plain.parquet", **options, margin=1.0)
    margin = 0.4 if kind == "said" else 0.3
    assert report.margin == margin
    assert report.margin_from == ("table" if kind == "said" else "posterior")
    assert (plain.margin, plain.margin_from) == (1.0, "argument")
    assert any("margin is 0.4" in text for text in report.warnings) == (kind == "said")
    scores = pd.read_parquet(tmp_path / "out.parquet")
    assert set(scores["margin"]) == {margin}
    there = pd.read_parquet(tmp_path / "plain.parquet")
    np.testing.assert_allclose(scores["clv"], margin * there["clv"], rtol=1e-12)


def test_the_simple_formula_takes_one_for_a_table() -> None:
    table = RfmTable.from_pandas(FRAME, margin=0.4)
    for by in (None, "shop"):
        one, half = (clv.simple_clv(table, by=by, silence=60, margin=m) for m in (None, 0.2))
        if by is None:
            assert (one.margin, half.margin) == (0.4, 0.2)
            assert half.value == pytest.approx(one.value / 2)
        else:
            assert set(half["margin"]) == {0.2}
            np.testing.assert_allclose(half["value"], one["value"] / 2)
    own = clv.simple_clv_per_customer(table, silence=60, margin=0.2)
    assert set(own["margin"]) == {0.2}
    whole = clv.simple_clv_per_customer(table, silence=60)
    np.testing.assert_allclose(own["value"], whole["value"] / 2)
    assert set(whole["margin"]) == {0.4}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet", "own"])
def test_a_file_of_others_is_fitted_at_a_margin(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which score and report then have, of the same file and of others."""
    rfm = clv.rfm_summary(load_cdnow(sample=True), **COLUMNS)
    base = tmp_path / f"base.{kind if kind == 'csv' else 'parquet'}"
    if kind == "own":
        rfm.to_parquet(base)
    elif kind == "csv":
        rfm.to_pandas().to_csv(base, index=False)
    else:
        rfm.to_pandas().to_parquet(base, index=False)
    posterior, scores, page = (str(tmp_path / n) for n in ("p.nc", "s.parquet", "r.html"))
    fit = ["fit", str(base), "-o", posterior, "--method", "laplace", "--seed", "1"]
    assert main([*fit, "--margin", "30"]) == 2
    assert "--margin 30.0 must be a share" in " ".join(capsys.readouterr().err.split())
    assert main([*fit, "--margin", "0.3"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert ("does not say its unit of time: taken as" in said) == (kind != "own")
    assert "and margin" not in said
    fitted = clv.load_posterior(posterior)
    assert isinstance(fitted, CLVPosterior)
    assert fitted.margin == 0.3
    assert main(["score", str(base), "--posterior", posterior, "-o", scores]) == 0
    found = pd.read_parquet(scores)
    assert set(found["margin"]) == {0.3}
    plain = CLVPosterior(
        replace(fitted.purchases, metadata=replace(fitted.purchases.metadata, margin=None)),
        replace(fitted.spend, metadata=replace(fitted.spend.metadata, margin=None)),
    )
    np.testing.assert_allclose(found["clv"].sum(), 0.3 * plain.predict(rfm)["clv"].sum())
    shown = "a margin of 30 % on revenue"
    assert shown in " ".join(capsys.readouterr().out.split())
    report = ["report", "--rfm", str(base), "--posterior", posterior, "-o", page]
    assert main([*report, "--json", str(tmp_path / "r.json"), "--draws", "50"]) in (0, 4)
    assert json.loads((tmp_path / "r.json").read_text())["provenance"]["settings"]["margin"] == 0.3


def test_a_report_says_that_its_backtest_has_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = simulate_log(60, r=0.5, alpha=20.0, a=0.8, b=2.5, p=6.2, q=3.7, v=15.4, T=300.0, seed=1)

    def fit(self: Fitting, rfm: RfmTable, **changes: Any) -> CLVPosterior:
        return PLAIN

    monkeypatch.setattr(Fitting, "fit", fit)
    end = log["date"].max() - pd.Timedelta("90D")
    options: dict[str, Any] = {"train_period_end": end, "bootstrap": 5, "draws": 20}
    for margin, source in ((None, "not said"), (0.3, "argument")):
        found = clv.backtest(log, **COLUMNS, **options, margin=margin, progressbar=False)
        assert (found.settings["margin"], found.settings["margin_from"]) == (margin or 1.0, source)
        report = clv.report(THIRD, TABLE, backtest=found, draws=20)
        assert ("Values of the backtest use margin 1," in report.json) == (margin is None)


def test_a_table_knows_whether_its_margin_was_said(tmp_path: Path) -> None:
    for given, said in ((None, False), (1.0, True), (0.3, True)):
        table = RfmTable.from_pandas(FRAME, margin=given)
        table.to_parquet(tmp_path / "t.parquet")
        back = RfmTable.from_parquet(tmp_path / "t.parquet")
        assert back == table
        assert (back.margin, back.margin_said) == (given or 1.0, said)


def test_the_report_says_it() -> None:
    texts = {}
    for name, posterior in (("third", THIRD), ("plain", PLAIN)):
        found = clv.report(posterior, TABLE)
        texts[name] = found.json
    assert "at a margin of 30 %" in texts["third"]
    assert "revenue, no margin applied" in texts["plain"]


def test_a_margin_in_percent_is_refused() -> None:
    for verb in (
        lambda: THIRD.predict(FRAME, margin=30),
        lambda: THIRD.new_customer_value(margin=30),
        lambda: economics.payback_period(THIRD, 9.0, margin=30),
    ):
        with pytest.raises(ClvError, match="share of revenue"):
            verb()
