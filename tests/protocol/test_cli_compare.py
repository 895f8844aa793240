"""``clvmodels compare``: tables and a picture, said in lines that fit, or one clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    compare_with_simple,
    load_posterior,
    rfm_summary,
)
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from tests.readable import WIDTH, too_long

FILES = ["comparison.csv", "comparison.parquet", "comparison.png", "simple_formula.csv"]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    log = load_cdnow(sample=True)
    log.to_parquet(folder / "log.parquet", index=False)
    log.iloc[:3000].to_parquet(folder / "log1.parquet", index=False)
    log.iloc[3000:].to_parquet(folder / "log2.parquet", index=False)
    rfm = rfm_summary(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
        margin=0.4,
    )
    rfm.to_parquet(folder / "rfm.parquet")
    rfm.to_pandas().to_csv(folder / "rfm.csv", index=False)
    rfm.to_pandas().drop(columns="first_value").to_csv(folder / "poor.csv", index=False)
    rng = np.random.default_rng(7)
    purchases = {
        name: value * rng.lognormal(0, 0.05, 100)
        for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.05, 100), v=15.4)
    CLVPosterior(BetaGeoPosterior.from_draws(**purchases), spend).save(folder / "posterior.nc")
    point = {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}
    CLVPosterior(BetaGeoPosterior.from_draws(**point), spend).save(folder / "point.nc")
    BetaGeoPosterior.from_draws(**purchases).save(folder / "purchases.nc")
    later = log[log["date"] > "1997-09-30"].groupby("customer_id", as_index=False)
    later["amount"].sum().to_csv(folder / "actual.csv", index=False)
    later[["amount", "quantity"]].sum().to_csv(folder / "wide.csv", index=False)
    return folder


def arguments(files: Path, *more: str, rfm: str = "rfm.parquet") -> list[str]:
    start = ["compare", "--rfm", str(files / rfm), "--posterior", str(files / "posterior.nc")]
    return [*start, "-o", "out", *more]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    assert "clvmodels compare" in capsys.readouterr().out


def test_it_writes_the_librarys_table_and_prints_it(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, truth = str(files / "log.parquet"), str(files / "actual.csv")
    more = ("--log", log, "--actual", truth, "--horizon", "39W", "--draws", "60")
    assert main(arguments(files, *more)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert too_long(out) == []
    expected = compare_with_simple(
        load_posterior(files / "posterior.nc"),
        RfmTable.from_parquet(files / "rfm.parquet"),
        log=log,
        actual=pd.read_csv(truth).set_index("customer_id")["amount"],
        horizon="39W",
        draws=60,
    )
    text = pd.read_csv("out/comparison.csv", keep_default_na=False)
    for found in (pd.read_parquet("out/comparison.parquet"), text):
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)
    rows = [" ".join(line.split()) for line in out.splitlines()]
    for row in expected.to_dict("records"):
        figures = " ".join(
            f"{row[name]:,.0f}" for name in ("simple", "simple_per_customer", "model")
        )
        assert any(
            line.startswith(f"{row['decile'].strip('()')} {figures}")
            and line.endswith(f"{row['actual']:,.0f}")
            for line in rows
        ), row
    assert "95 % of the gaps" in " ".join(rows)
    assert "Compared with what really came" in out
    assert sorted(path.name for path in Path("out").iterdir()) == FILES
    assert Path("out/comparison.png").read_bytes()[:4] == b"\x89PNG"
    simple = pd.read_csv("out/simple_formula.csv").set_index("name")["value"]
    assert float(simple["total"]) == pytest.approx(expected["simple"].iloc[-1])


def test_without_a_log_it_says_what_the_limit_is(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(files)) == 0
    assert "mean gaps" in " ".join(capsys.readouterr().out.split())
    assert main(arguments(files, "--silence", "100")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "more than 100 days, the limit that was given" in said
    assert "really" not in said.replace("really be spent", "")


def test_logs_in_parts_are_one(files: Path) -> None:
    whole = ["--log", str(files / "log.parquet")]
    parts = ["--log", str(files / "log1.parquet"), "--log", str(files / "log2.parquet")]
    tables = []
    for logs in (whole, parts):
        assert main(arguments(files, "--quiet", *logs)) == 0
        tables.append(pd.read_parquet("out/comparison.parquet"))
    pd.testing.assert_frame_equal(*tables)


def test_a_plain_csv_says_what_is_assumed(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(files, rfm="rfm.csv")) == 0
    assert "does not say its unit of time" in " ".join(capsys.readouterr().out.split())


def test_a_single_point_has_dashes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = [a.replace("posterior.nc", "point.nc") for a in arguments(files)]
    assert main(changed) == 0
    assert pd.read_parquet("out/comparison.parquet")["model_lower"].isna().all()
    assert " - " in capsys.readouterr().out.replace("-\n", "- \n")


def test_quiet_prints_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(files, "--quiet", "--horizon", "none")) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in Path("out").iterdir()) == FILES


WRONG = {
    "no such table": (["--rfm", "no.parquet"], "no.parquet"),
    "no such posterior": (["--posterior", "no.nc"], "no.nc"),
    "no such log": (["--log", "no.parquet"], "no.parquet"),
    "no such truth": (["--actual", "no.csv"], "no.csv"),
    "wide truth": (["--actual", "{}/wide.csv"], "amount, quantity"),
    "purchases alone": (["--posterior", "{}/purchases.nc"], "--basket-value 25"),
    "no first purchases": (["--rfm", "{}/poor.csv"], "first ones"),
    "silence": (["--silence", "-3"], "--silence -3"),
    "horizon": (["--horizon", "soon"], "--horizon"),
    "interval": (["--interval", "90"], "--interval"),
    "rate": (["--discount-rate", "-1"], "--discount-rate"),
    "a file": (["-o", "{}/rfm.csv"], "is a file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line(
    files: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, named = WRONG[case]
    before = sorted(path.name for path in files.iterdir())
    assert main(arguments(files, *(part.format(files) for part in changes))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert list(Path().iterdir()) == []
    assert sorted(path.name for path in files.iterdir()) == before
