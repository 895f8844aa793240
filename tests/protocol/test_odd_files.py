"""Names, folders, ids and pipes that nobody plans for: a result, or one line of advice."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    SchemaError,
    rfm_summary,
    score,
)
from clvmodels.cli import main
from clvmodels.cli.speech import harmless
from clvmodels.cli.terminal import Terminal, table
from clvmodels.datasets import load_cdnow

COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
NAMED = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.parquet")


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return load_cdnow(sample=True)[["customer_id", "date", "amount"]]


@pytest.fixture(scope="module")
def made(log: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    log.to_parquet(folder / "log.parquet", index=False)
    rfm_summary(log, **COLUMNS).to_parquet(folder / "rfm.parquet")
    purchases = BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.43)
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.4)
    CLVPosterior(purchases, spend).save(folder / "p.nc")
    return folder


@pytest.fixture
def files(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["summarize", NOT_UTF8, *NAMED, "-o", "out.parquet"],
        ["summarize", "log.parquet", *NAMED, "-o", NOT_UTF8],
        ["summarize", "odd", *NAMED, "-o", "out.parquet"],
        ["score", NOT_UTF8, "--posterior", "p.nc", "-o", "out.parquet"],
        ["score", "odd", "--posterior", "p.nc", "-o", "out.parquet"],
        ["score", "rfm.parquet", "--posterior", NOT_UTF8, "-o", "out.parquet"],
        ["score", "rfm.parquet", "--posterior", "p.nc", "-o", NOT_UTF8],
        ["fit", NOT_UTF8, "-o", "q.nc"],
        ["fit", "rfm.parquet", "-o", NOT_UTF8.replace("parquet", "nc")],
        ["backtest", NOT_UTF8, *NAMED, "-o", "b.json"],
        ["report", "--rfm", NOT_UTF8, "--posterior", "p.nc", "-o", "r.html"],
        ["report", "--rfm", "rfm.parquet", "--posterior", "p.nc", "-o", NOT_UTF8],
    ],
    ids=lambda said: " ".join(said[:2]).encode(errors="replace").decode(),
)
def test_a_name_that_is_not_utf8_is_refused_in_one_line(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (files / "odd").mkdir()
    for name in (NOT_UTF8, f"odd/{NOT_UTF8}", "odd/a.parquet"):
        kind = "log" if arguments[0] in ("summarize", "backtest") else "rfm"
        shutil.copy(f"{kind}.parquet", name)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "not UTF-8" in err
    assert "rename it" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["summarize", "-", *NAMED, "-o", "out.parquet"],
        ["summarize", "log.parquet", *NAMED, "-o", "-"],
        ["score", "-", "--posterior", "p.nc", "-o", "out.parquet"],
        ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "-"],
        ["score", "rfm.parquet", "--posterior", "-", "-o", "out.parquet"],
        ["fit", "rfm.parquet", "-o", "-"],
        ["report", "--rfm", "rfm.parquet", "--posterior", "p.nc", "-o", "-"],
        ["demo", "--out", "-"],
    ],
    ids=lambda said: " ".join(said),
)
def test_a_dash_is_not_a_file(
    files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    before = sorted(files.iterdir())
    assert main(arguments) == 2
    assert "standard output" in capsys.readouterr().err
    assert sorted(files.iterdir()) == before


# --- folders -------------------------------------------------------------------------


def test_the_file_of_a_log_that_lacks_a_column_is_named(files: Path, log: pd.DataFrame) -> None:
    (files / "months").mkdir()
    log[:3000].to_parquet("months/1.parquet", index=False)
    log[3000:].drop(columns="amount").to_parquet("months/2.parquet", index=False)
    with pytest.raises(SchemaError, match=r"months/2\.parquet lacks 'amount', which other files"):
        rfm_summary("months", **COLUMNS)
    without = rfm_summary("months", customer_id_col="customer_id", datetime_col="date")
    assert len(without.to_pandas()) == 2357


def test_a_column_that_folders_are_named_after_is_not_lacking(
    files: Path, log: pd.DataFrame
) -> None:
    for shop, rows in log.groupby(log["customer_id"] % 2):
        (files / f"log/shop={shop}").mkdir(parents=True)
        rows.to_parquet(f"log/shop={shop}/a.parquet", index=False)
    found = rfm_summary("log", **COLUMNS, segment_cols=["shop"]).to_pandas()
    assert (found["shop"].astype(int) == found["customer_id"] % 2).all()


DAY = dt.datetime(2014, 1, 3, 5)


@pytest.mark.parametrize(
    ("column", "first", "second", "kept"),
    [
        ("amount", pa.array([1]), pa.array([0.75]), [1.0, 0.75]),
        ("amount", pa.array([1.5], pa.float32()), pa.array([0.1]), [1.5, 0.1]),
        ("amount", pa.array([Decimal("0.1")]), pa.array([Decimal("8.1234")]), [0.1, 8.1234]),
        ("amount", pa.array([2]), pa.array([2**63], pa.uint64()), [2.0, 2.0**63]),
        ("customer_id", pa.array([1]), pa.array(["01"]), ["1", "01"]),
        ("customer_id", pa.array([1], pa.int8()), pa.array([2**40]), [1, 2**40]),
        ("customer_id", pa.array(["a"]).dictionary_encode(), pa.array(["b"]), ["a", "b"]),
        ("date", pa.array([DAY.date()]), pa.array([DAY]), [0.0, 5.0]),
        ("date", pa.array([DAY], pa.timestamp("us", "UTC")), pa.array([DAY]), "the time zone of"),
        ("date", pa.array(["2014-01-03"]), pa.array([DAY], pa.timestamp("s", "UTC")), "zone of"),
    ],
)
def test_files_of_other_types_are_read_without_loss_or_refused(
    tmp_path: Path, column: str, first: pa.Array, second: pa.Array, kept: list[object] | str
) -> None:
    for name, values in (("a", first), ("b", second)):
        row = {"customer_id": [name], "date": [DAY], "amount": [5.0]} | {column: values}
        pq.write_table(pa.table(row), tmp_path / f"{name}.parquet")
    if isinstance(kept, str):
        with pytest.raises(SchemaError, match=kept):
            rfm_summary(tmp_path, **COLUMNS)
        return
    found = rfm_summary(tmp_path, **COLUMNS, time_unit="h").to_pandas()
    if column == "date":
        assert (5 - found["T"]).tolist() == kept
    else:
        asked = "first_value" if column == "amount" else column
        assert sorted(found[asked], key=kept.index) == kept


def test_a_damaged_file_of_a_folder_is_named(files: Path) -> None:
    (files / "months").mkdir()
    os.link("log.parquet", "months/1.parquet")
    Path("months/2.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SchemaError, match=r"months/2\.parquet cannot be read as Parquet"):
        rfm_summary("months", **COLUMNS)


def test_columns_that_one_file_keeps_from_all_are_said(files: Path) -> None:
    (files / "base").mkdir()
    rfm = pd.read_parquet("rfm.parquet")
    rfm[:1000].to_parquet("base/1.parquet", index=False)
    rfm[1000:].drop(columns="first_value").to_parquet("base/2.parquet", index=False)
    with pytest.warns(UserWarning, match=r"base/2\.parquet lacks first_value.*historical_value"):
        score("base", "p.nc", "scores.parquet", time_unit="D", margin=1)
    names = pq.read_schema("scores.parquet").names
    assert "clv" in names
    assert "historical_value" not in names


# --- numbers, ids, pipes -------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [["--draws", "1_0"], ["--draws=1_0"], ["--horizon", "3_65"], ["--max-rejects", "1_0"]],
    ids=" ".join,
)
def test_a_number_with_an_underscore_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], said: list[str]
) -> None:
    assert main(["score", "rfm.parquet", "--posterior", "p.nc", "-o", "s.parquet", *said]) == 2
    assert "underscore" in capsys.readouterr().err
    assert not Path("s.parquet").exists()


def test_names_may_have_underscores_between_digits(files: Path, log: pd.DataFrame) -> None:
    log.rename(columns={"customer_id": "20_20"}).to_parquet("7_7.parquet", index=False)
    named = ["--customer-id", "20_20", *NAMED[2:]]
    assert main(["summarize", "7_7.parquet", *named, "-o", "1_0.parquet", "--quiet"]) == 0


def test_ids_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2Jgone\x07\r\u202e"
    terminal = Terminal()
    terminal.show(table(["customer", "value"], [[evil, "1"]]))
    terminal.say(f"The best is {evil}.")
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\r", "\u202e"} & set(out)
    assert out.count(r"\x1b[2Jgone\x07\r\u202e") == 2
    assert harmless("Zoë \u00a0 日本 \U0001f600\n") == "Zoë \u00a0 日本 \U0001f600\n"


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_fail_the_job(files: Path) -> None:
    command = [sys.executable, "-m", "clvmodels.cli", "score", "rfm.parquet", "--posterior", "p.nc"]
    with subprocess.Popen(
        [*command, "-o", "s.parquet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        job.stdout.close()  # as `| head` once it has its lines
        err = job.stderr.read().decode()
    assert (job.returncode, err) == (0, "")
    assert len(pd.read_parquet("s.parquet")) == 2357


# --- links ---------------------------------------------------------------------------

OUTPUTS = {
    "summarize": ["summarize", "log.parquet", *NAMED, "-o", "latest.parquet"],
    "fit": ["fit", "rfm.parquet", "--method", "laplace", "-o", "latest.nc"],
    "score": ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "latest.parquet"],
    "score, csv": ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "latest.csv"],
    "score, folder": ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "latest"],
    "score, table": ["score", "rfm.parquet", "--posterior", "p.nc", "-o", "latest.duckdb"],
    "report": ["report", "--rfm", "rfm.parquet", "--posterior", "p.nc", "-o", "latest.html"],
    "compare": ["compare", "--rfm", "rfm.parquet", "--posterior", "p.nc", "-o", "latest"],
}


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True], ids=["dangling", "twice"])
@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_is_a_link_is_written_where_it_leads(
    files: Path, command: str, there: bool
) -> None:
    *_, name = said = OUTPUTS[command]
    link, place = Path(name), Path("elsewhere", Path(name).with_stem("tonight"))
    link.symlink_to(place)
    for _ in range(1 + there):
        assert main([*said, "--quiet"]) == 0
    assert link.is_symlink()
    assert place.exists()
    assert not place.is_symlink()
    beside = {path.name for path in files.iterdir()}
    assert beside == {"log.parquet", "rfm.parquet", "p.nc", "elsewhere", name}
    assert not [path for path in place.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_link_that_leads_back_to_itself_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    *_, name = said = OUTPUTS[command]
    Path(name).symlink_to(name)
    assert main(said) == 2
    error = capsys.readouterr().err.strip()
    assert error == (
        f"Error: The output {name} is a link that leads back to itself: remove it, or name "
        "another file."
    )


@pytest.mark.slow
def test_without_docstrings_a_command_works_or_says_so(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under -OO ArviZ cannot be imported, which scoring does without."""
    said = [["score", "rfm.parquet", "--posterior", "p.nc", "-o", "scores.parquet"]]
    said += [["fit", "rfm.parquet", "--method", "laplace", "-o", "q.nc"]]
    python = [sys.executable, "-OO", "-m", "clvmodels.cli"]
    # No library is there compiled so: the second command takes what the first has compiled.
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(files / "compiled"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    scored, fitted = (
        subprocess.run([*python, *one, "-q"], capture_output=True, text=True, check=False)
        for one in said
    )
    assert (scored.returncode, scored.stderr) == (0, "")
    assert fitted.returncode in (0, 2)
    assert fitted.returncode == 0 or fitted.stderr.startswith("Error: Python runs with -OO")
    assert len(fitted.stderr.splitlines()) <= 1


def test_ids_that_look_like_formulas_are_scored_and_read_back_the_same(tmp_path: Path) -> None:
    ids = ["=cmd()", "+1", "-1", "@A1", "'quoted", 'a "b", c']
    frame = pd.DataFrame({"customer_id": ids, "frequency": 1, "recency": 5.0, "T": 9.0})
    for name in ("ids.csv", "ids.parquet"):
        path = tmp_path / name
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
        for output in (tmp_path / "text.csv", tmp_path / "typed.parquet"):
            posterior = BetaGeoPosterior.from_draws(r=0.24, alpha=4.4, a=0.79, b=2.43)
            score(path, posterior, output)
            read = pd.read_csv if output.suffix == ".csv" else pd.read_parquet
            assert read(output)["customer_id"].tolist() == ids
