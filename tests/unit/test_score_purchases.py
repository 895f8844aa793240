"""A posterior of purchases alone scores whole bases: the numbers of predict, and no money."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    ResumeError,
    SchemaError,
    score,
)
from clvmodels.cli import main
from clvmodels.scoring import Scorer, disk

RNG = np.random.default_rng(21)
DRAWS = {
    name: value * RNG.lognormal(0, 0.05, 80)
    for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
}
POSTERIOR = BetaGeoPosterior.from_draws(**DRAWS)
SPENT = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * RNG.lognormal(0, 0.05, 80), v=15.4)
BOTH = CLVPosterior(POSTERIOR, SPENT)
ROWS = 400
ONE = ["expected_purchases_lower", "expected_purchases_upper"]
EVERY = ["p_alive_lower", "p_alive_upper", *ONE]
POINTS = [
    *("customer_id", "frequency", "recency", "T"),
    *("p_alive", "p_purchase", "expected_purchases", "discounted_purchases"),
]
OUTPUTS = ("s.parquet", "s.csv", "s.csv.gz", "s.duckdb", "s")


def make_frame() -> pd.DataFrame:
    rng = np.random.default_rng(12)
    x = rng.negative_binomial(0.5, 0.15, ROWS)
    total = rng.integers(40, 700, ROWS).astype(float)
    t_x = np.where(x > 0, np.maximum(np.floor(total * rng.beta(2, 1, ROWS)), x), 0.0)
    frame = {"customer_id": rng.permutation(ROWS) * 7, "frequency": x, "recency": t_x}
    return pd.DataFrame(frame | {"T": np.maximum(total, t_x)})


FRAME = make_frame()
# Amounts that no posterior of spend would take: nobody may look at them.
ODD = FRAME.assign(monetary_value=np.nan, first_value=-1.0)


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as connection:
            return connection.execute("FROM scores").df()
    return pd.read_csv(path) if ".csv" in path.name else pd.read_parquet(path)


def assert_predicted(
    path: Path,
    more: list[str],
    frame: pd.DataFrame = FRAME,
    posterior: Any = POSTERIOR,
    **given: Any,
) -> None:
    """These columns and no others, every row where it was, every number to 1e-12."""
    found = read(path)
    assert list(found) == POINTS + more
    wanted = posterior.predict(frame.reset_index(drop=True), **given)[POINTS + more]
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-12, atol=0, check_dtype=False)


def save(posterior: Any, folder: Path) -> Path:
    posterior.save(folder / "p.nc")
    return folder / "p.nc"


# --- the numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_has_the_numbers_of_predict(tmp_path: Path, output: str) -> None:
    FRAME.to_parquet(tmp_path / "base.parquet", index=False)
    out = tmp_path / "out" / output
    report = score(tmp_path / "base.parquet", POSTERIOR, out, block_rows=150)
    assert_predicted(out, ONE)
    assert (report.rows, report.scored, report.rejected, report.rejects) == (ROWS, ROWS, 0, None)
    assert sorted(p.name for p in out.parent.iterdir()) == sorted([output, "s.manifest.json"])


@pytest.mark.parametrize("kind", [BetaGeoPosterior, ModifiedBetaGeoPosterior])
@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"intervals": "all"}, EVERY),
        ({"intervals": "all", "predictive": True}, [*EVERY, "purchases_lower", "purchases_upper"]),
        ({"predictive": True, "draws": 7}, [*ONE, "purchases_lower", "purchases_upper"]),
        ({"horizon": "12M", "discounting": "monthly", "discount_rate": 0.2, "interval": 0.5}, ONE),
    ],
)
def test_options_are_those_of_predict(
    tmp_path: Path, kind: Any, options: dict[str, Any], more: list[str]
) -> None:
    posterior = kind.from_draws(**DRAWS)
    FRAME.to_csv(tmp_path / "base.csv", index=False)
    score(tmp_path / "base.csv", save(posterior, tmp_path), tmp_path / "s.parquet", **options)
    given = {name: value for name, value in options.items() if name != "intervals"}
    assert_predicted(tmp_path / "s.parquet", more, posterior=posterior, **given)
    kinds = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "s.parquet")}
    assert {kinds.get(name, "int64") for name in ("purchases_lower", "frequency")} == {"int64"}


def test_purchases_are_those_beside_values(tmp_path: Path) -> None:
    frame = FRAME.assign(monetary_value=20.0)
    frame.to_parquet(tmp_path / "base.parquet", index=False)
    for name, posterior in (("alone", POSTERIOR), ("both", BOTH)):
        score(tmp_path / "base.parquet", posterior, tmp_path / f"{name}.csv", intervals="all")
    alone, both = (read(tmp_path / f"{name}.csv") for name in ("alone", "both"))
    pd.testing.assert_frame_equal(alone, both[list(alone)], rtol=1e-12, atol=0)


def test_the_total_has_the_interval_of_the_sum(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "base.parquet", index=False)
    report = score(
        tmp_path / "base.parquet", POSTERIOR, tmp_path / "s.csv", block_rows=90, draws=80
    )
    by_draw = POSTERIOR.expected_purchases(FRAME, future_t="365D").sum("customer_id").to_numpy()
    total = report.purchases
    assert total is not None
    assert total.mean == report.expected_purchases == pytest.approx(by_draw.mean(), rel=1e-9)
    assert total.sd == pytest.approx(by_draw.std(), rel=1e-9)
    ends = np.quantile(by_draw, [0.05, 0.95])
    np.testing.assert_allclose([total.lower, total.upper], ends, rtol=1e-9)


def test_a_mode_and_an_endless_life_have_no_interval(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "base.parquet", index=False)
    mode = BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.43)
    report = score(tmp_path / "base.parquet", mode, tmp_path / "s.csv")
    assert_predicted(tmp_path / "s.csv", ONE, posterior=mode)
    assert read(tmp_path / "s.csv")[ONE].isna().all(axis=None)
    assert report.purchases is not None
    assert report.purchases.mean == report.expected_purchases > 0
    assert np.isnan([report.purchases.lower, report.purchases.upper]).all()
    endless = score(tmp_path / "base.parquet", POSTERIOR, tmp_path / "e.csv", horizon=None)
    assert_predicted(tmp_path / "e.csv", ONE, horizon=None)
    assert np.isnan(endless.expected_purchases)
    assert endless.purchases is not None
    assert np.isnan([endless.purchases.mean, endless.purchases.lower]).all()


# --- inputs ------------------------------------------------------------------------------


def test_amounts_of_a_table_are_not_read(tmp_path: Path) -> None:
    ODD.to_parquet(tmp_path / "odd.parquet", index=False)
    ODD.astype({"monetary_value": object}).fillna({"monetary_value": "what?"}).to_csv(
        tmp_path / "odd.csv", index=False
    )
    for source in ("odd.parquet", "odd.csv"):
        report = score(tmp_path / source, POSTERIOR, tmp_path / "s.parquet")
        assert report.rejected == report.zero_spend == report.without_value == 0
        assert_predicted(tmp_path / "s.parquet", ONE)


def test_a_table_of_ours_keeps_its_unit_and_needs_no_margin(tmp_path: Path) -> None:
    rfm = clv.RfmTable.from_frame(FRAME.assign(monetary_value=20.0), margin=0.3)
    rfm.to_parquet(tmp_path / "rfm.parquet")
    report = score(tmp_path / "rfm.parquet", POSTERIOR, tmp_path / "s.parquet")
    assert_predicted(tmp_path / "s.parquet", ONE, FRAME.sort_values("customer_id"))
    assert (report.margin, report.margin_from, report.assumed) == (None, "not said", None)


def make_log() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    days = pd.to_timedelta(rng.integers(0, 400, 900), unit="D")
    log = pd.DataFrame({"who": rng.integers(0, 200, 900), "day": pd.Timestamp("2023-01-01") + days})
    return log.assign(paid=np.round(rng.gamma(3, 9, 900), 2))


LOG_COLUMNS = {"customer_id_col": "who", "datetime_col": "day"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_log_needs_customers_and_dates(tmp_path: Path, suffix: str) -> None:
    log = make_log()
    write = log.to_csv if suffix == "csv" else log.to_parquet
    write(tmp_path / f"log.{suffix}", index=False)
    report = score(tmp_path / f"log.{suffix}", POSTERIOR, tmp_path / "s.parquet", **LOG_COLUMNS)
    rfm = clv.rfm_summary(log, **LOG_COLUMNS)
    assert_predicted(tmp_path / "s.parquet", ONE, rfm.to_pandas())
    assert report.record["audit"]["amount_read"] is None


def test_amounts_of_a_log_tell_refunds_from_purchases(tmp_path: Path) -> None:
    log = make_log()
    log.loc[::5, "paid"] *= -1
    log.to_parquet(tmp_path / "log.parquet", index=False)
    columns = LOG_COLUMNS | {"monetary_value_col": "paid"}
    score(tmp_path / "log.parquet", POSTERIOR, tmp_path / "s.parquet", **columns)
    assert_predicted(tmp_path / "s.parquet", ONE, clv.rfm_summary(log, **columns).to_pandas())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    FRAME.drop(columns="T").to_parquet(tmp_path / "b.parquet", index=False)
    FRAME.drop(columns="T").to_csv(tmp_path / "b.csv", index=False)
    make_log().to_parquet(tmp_path / "log.parquet", index=False)
    for source in ("b.parquet", "b.csv"):
        with pytest.raises(SchemaError, match="lacks T; found customer_id, frequency, recency"):
            score(tmp_path / source, POSTERIOR, tmp_path / "s.parquet")
    with pytest.raises(SchemaError, match="none of the columns frequency, recency, T; found who"):
        score(tmp_path / "log.parquet", POSTERIOR, tmp_path / "s.parquet")
    with pytest.raises(SchemaError, match="A log needs customer_id_col and datetime_col"):
        score(tmp_path / "log.parquet", POSTERIOR, tmp_path / "s.csv", customer_id_col="who")
    with pytest.raises(SchemaError, match="needs all three"):
        score(tmp_path / "log.parquet", BOTH, tmp_path / "s.csv", **LOG_COLUMNS)
    FRAME.to_csv(tmp_path / "bare.csv", index=False)
    with pytest.raises(SchemaError, match="lacks monetary_value"):
        score(tmp_path / "bare.csv", BOTH, tmp_path / "s.csv")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_are_rejected_for_what_is_wrong_with_purchases(tmp_path: Path, suffix: str) -> None:
    bad = FRAME.assign(customer_id=FRAME["customer_id"].astype(object), monetary_value=-1.0)
    bad = bad.astype({"frequency": float})
    bad.loc[3, "recency"] = -1.0
    bad.loc[5, "T"] = np.nan
    bad.loc[7, "frequency"] = 1.5
    bad.loc[11, "customer_id"] = bad.loc[12, "customer_id"]
    bad = bad.astype({"customer_id": "int64"})
    write = bad.to_csv if suffix == "csv" else bad.to_parquet
    write(tmp_path / f"bad.{suffix}", index=False)
    with pytest.warns(UserWarning, match="could not be scored"):
        report = score(tmp_path / f"bad.{suffix}", POSTERIOR, tmp_path / "s.parquet")
    rejects = pd.read_parquet(tmp_path / "s.rejects.parquet")
    assert dict(zip(rejects["source_row"], rejects["reason"], strict=True)) == {
        3: "recency is negative",
        5: "T is missing or not finite",
        7: "frequency is not a whole number",
        11: "customer has more than one row",
        12: "customer has more than one row",
    }
    assert list(rejects["monetary_value"].astype(float)) == [-1.0] * 5
    assert (report.scored, report.rejected) == (ROWS - 5, 5)
    assert_predicted(tmp_path / "s.parquet", ONE, FRAME.drop(index=[3, 5, 7, 11, 12]))


# --- one value of every purchase: values, and no amounts ---------------------------------

BASKET = CLVPosterior(POSTERIOR, 25.0)


@pytest.mark.parametrize("name", ["bare.csv", "bare.parquet", "odd.csv", "odd.parquet"])
def test_a_basket_value_needs_no_amounts(tmp_path: Path, name: str) -> None:
    frame = FRAME if name.startswith("bare") else ODD.assign(monetary_value=-1.0)
    write = frame.to_csv if name.endswith("csv") else frame.to_parquet
    write(tmp_path / name, index=False)
    options: dict[str, Any] = {"margin": 0.3, "predictive": True}
    posterior = save(BASKET, tmp_path)
    report = score(tmp_path / name, posterior, tmp_path / "s.parquet", intervals="all", **options)
    found, wanted = read(tmp_path / "s.parquet"), BASKET.predict(frame, **options)
    assert sorted(found) == sorted(wanted)
    assert not {"monetary_value", "historical_value"} & set(found)
    pd.testing.assert_frame_equal(found, wanted[list(found)], rtol=1e-12, atol=0, check_dtype=False)
    assert (report.rejected, report.zero_spend, report.without_value) == (0, 0, 0)
    assert (report.purchases, report.margin) == (None, 0.3)
    assert report.clv is not None
    assert report.clv.mean == pytest.approx(wanted["clv"].sum(), rel=1e-12)


def test_a_log_needs_no_amounts_for_a_basket_value(tmp_path: Path) -> None:
    log = make_log()
    log.to_parquet(tmp_path / "log.parquet", index=False)
    score(tmp_path / "log.parquet", BASKET, tmp_path / "s.parquet", **LOG_COLUMNS)
    wanted = BASKET.predict(clv.rfm_summary(log, **LOG_COLUMNS))
    found = read(tmp_path / "s.parquet")
    pd.testing.assert_frame_equal(found, wanted[list(found)], rtol=1e-12, atol=0)


# --- what is refused, and what is said ---------------------------------------------------


def test_a_margin_is_of_values_only(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    make_log().to_csv(tmp_path / "log.csv", index=False)
    for source, more in (("b.csv", {}), ("log.csv", LOG_COLUMNS)):
        with pytest.raises(SchemaError, match=r"margin=0\.3 is a share of revenue"):
            score(tmp_path / source, POSTERIOR, tmp_path / "s.csv", margin=0.3, **more)
    with pytest.raises(SchemaError, match=r"margin=0\.3 is a share of revenue"):
        Scorer(POSTERIOR, margin=0.3)


def test_spend_alone_scores_nobody(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    for posterior in (SPENT, save(SPENT, tmp_path)):
        with pytest.raises(SchemaError, match="purchases, alone or with spend, found GammaGamma"):
            score(tmp_path / "b.csv", posterior, tmp_path / "s.csv")
    with pytest.raises(SchemaError, match="found GammaGammaPosterior"):
        Scorer(SPENT)  # type: ignore[arg-type]


def test_the_manifest_knows_no_money(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    report = score(tmp_path / "b.csv", save(POSTERIOR, tmp_path), tmp_path / "s.parquet")
    record = json.loads(report.manifest.read_text())
    assert report.clv is None
    assert record["totals"]["clv"] is None
    assert record["totals"]["purchases"]["mean"] == record["totals"]["expected_purchases"]
    assert (record["input"]["margin"], record["input"]["margin_from"]) == (None, "not said")
    assert record["rows"]["one_time"] == (FRAME["frequency"] == 0).sum()
    assert record["rows"]["zero_spend"] == record["rows"]["without_value"] == 0
    assert [fit["model"] for fit in record["posterior"]["fits"]] == ["bgnbd"]
    assert "margin" not in str(report.assumed)
    assert "does not say its unit of time: taken as " in str(report.assumed)


def test_a_batch_is_scored_alone() -> None:
    batch = pa.RecordBatch.from_pandas(ODD, preserve_index=False)
    scorer = Scorer(POSTERIOR, intervals="all")
    found = scorer.score(batch)
    assert found.scores.schema == scorer.schema(batch.schema)
    assert found.scores.column_names == POINTS + EVERY
    assert np.isnan(found.totals.clv)
    assert (found.totals.zero_spend, found.totals.without_value) == (0, 0)


# --- resumed -----------------------------------------------------------------------------


def test_a_stopped_run_goes_on_and_other_posteriors_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = FRAME.assign(monetary_value=20.0)
    frame.to_csv(tmp_path / "b.csv", index=False)
    call = (tmp_path / "b.csv", POSTERIOR, tmp_path / "s.parquet")
    write, records = disk.write_json, []

    def stop(path: Path, record: Any) -> None:
        write(path, record)
        records.extend([path.name] if path.name.startswith("block-") else [])
        if len(records) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            score(*call, block_rows=90)
    assert not (tmp_path / "s.parquet").exists()
    with pytest.raises(ResumeError, match="posterior was"):
        score(tmp_path / "b.csv", BOTH, tmp_path / "s.parquet", block_rows=90)
    done: list[int] = []
    report = score(
        *call,
        block_rows=90,
        progress=lambda event, fields: done.extend([fields["done"]] if event == "scoring" else []),
    )
    assert done[0] >= 90
    assert_predicted(tmp_path / "s.parquet", ONE)
    again = score(tmp_path / "b.csv", POSTERIOR, tmp_path / "again.parquet", block_rows=90)
    assert (report.expected_purchases, report.purchases) == (
        again.expected_purchases,
        again.purchases,
    )


# --- the command line --------------------------------------------------------------------


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_command_speaks_of_purchases(
    tmp_path: Path,
    output: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    posterior = str(save(POSTERIOR, tmp_path))
    out = tmp_path / output
    arguments = ["score", str(tmp_path / "b.csv"), "--posterior", posterior, "-o", str(out)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    found = POSTERIOR.predict(FRAME)
    assert f"What {ROWS} customers are expected to buy" in said
    assert f"{found['expected_purchases'].sum():,.0f}" in said
    assert "The ten who are expected to buy most" in said
    top = found.nlargest(10, "expected_purchases")["customer_id"]
    rows = said[said.index("The ten who") :].splitlines()
    shown = [line.split()[0] for line in rows if line.strip()[:1].isdigit()]
    assert shown[:10] == [str(one) for one in top]
    once = found.loc[found["frequency"] == 0, "expected_purchases"].sum()
    assert f"{once:,.0f}" in said
    for word in ("value of", "their expected value", "worth", "revenue", "margin", "valuable"):
        assert word not in said
    assert_predicted(out, ONE)


def test_the_command_refuses_a_margin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FRAME.to_csv(tmp_path / "b.csv", index=False)
    posterior = str(save(POSTERIOR, tmp_path))
    arguments = ["score", str(tmp_path / "b.csv"), "--posterior", posterior, "--margin", "0.3"]
    assert main([*arguments, "-o", str(tmp_path / "s.csv")]) == 2
    assert "leave margin out" in " ".join(capsys.readouterr().err.split())


def test_the_command_needs_no_amounts_of_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_log().to_csv(tmp_path / "log.csv", index=False)
    posterior, out = str(save(POSTERIOR, tmp_path)), str(tmp_path / "s.csv")
    names = ["--customer-id", "who", "--timestamp", "day", "--horizon", "none"]
    arguments = ["score", str(tmp_path / "log.csv"), "--posterior", posterior, "-o", out, *names]
    assert main(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the remaining lifetime" in said
    assert "customers are ordered by discounted_purchases" in said
    first = read(tmp_path / "s.csv").nlargest(1, "discounted_purchases")["customer_id"].item()
    assert f"interval {first} " in said.replace("─", "").replace("  ", " ")
