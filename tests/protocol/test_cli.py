"""The command line: exit codes, one-line errors, whole files, output that can be read."""

from __future__ import annotations

import io
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyarrow.parquet import ParquetWriter
from rich.console import Console

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaPosterior,
    ModifiedBetaGeoPosterior,
    RfmTable,
    load_posterior,
    rfm_summary,
)
from clvmodels.cli import demo, main
from clvmodels.cli.entry import _spoken_warnings
from clvmodels.cli.terminal import Terminal
from clvmodels.cli.wording import in_options
from clvmodels.datasets import load_cdnow
from clvmodels.scoring import Scorer
from tests.readable import WIDTH, too_long

# Children find the package whatever their folder is.
ENVIRONMENT = {
    **os.environ,
    "COLUMNS": str(WIDTH),
    "PYTHONPATH": str(Path(clvmodels.__file__).parents[1]),
}
LOG_OPTIONS = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, its summary, and posteriors that need no fit."""
    folder = tmp_path_factory.mktemp("cli")
    log = load_cdnow(sample=True)
    log.to_parquet(folder / "log.parquet", index=False)
    log.head(600).to_csv(folder / "log.csv", index=False)
    rfm = rfm_summary(
        log,
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        observation_period_end="1997-09-30",
    )
    rfm.to_parquet(folder / "rfm.parquet")
    rfm.to_pandas().to_csv(folder / "rfm.csv", index=False)
    rng = np.random.default_rng(7)
    purchases = {
        name: value * rng.lognormal(0, 0.05, 200)
        for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.05, 200), v=15.4)
    CLVPosterior(BetaGeoPosterior.from_draws(**purchases), spend).save(folder / "posterior.nc")
    CLVPosterior(ModifiedBetaGeoPosterior.from_draws(**purchases), spend).save(folder / "m.nc")
    BetaGeoPosterior.from_draws(**purchases).save(folder / "purchases.nc")
    (folder / "broken.nc").write_bytes((folder / "posterior.nc").read_bytes()[:2000])
    (folder / "other.csv").write_text("a,b\n1,2\n")
    return folder


def score_arguments(files: Path, output: str, *more: str) -> list[str]:
    table, posterior = str(files / "rfm.parquet"), str(files / "posterior.nc")
    return ["score", table, "--posterior", posterior, "-o", output, *more]


def assert_readable(text: str) -> None:
    """Lines fit the terminal, and no fault shows."""
    assert too_long(text) == []
    assert "Traceback" not in text


def assert_same_table(path: Path | str, expected: RfmTable) -> None:
    """Compare but for the last bits of sums, whose order may differ."""
    found = RfmTable.from_parquet(path)
    pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas(), rtol=1e-13)
    for name in ("scale", "observation_end", "margin", "audit", "segment_cols", "options"):
        assert getattr(found, name) == getattr(expected, name), name


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- help ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["demo", "summarize", "fit", "score"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"clvmodels {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "said"), [("--margin", "such as 0.3."), ("--draws", "write a whole number.")]
)
def test_options_that_are_not_numbers_are_said_in_sentences(
    option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "rfm.parquet", "-o", "posterior.nc", option, "0,3"]) == 2
    assert f"'{option}': write a" in (err := capsys.readouterr().err)
    assert f"{said} See 'clvmodels fit --help'." in err


def test_no_command_lists_them_all_without_an_empty_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert "summarize" in out + err
    assert "Error" not in err


def test_a_typo_is_answered_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summarise"]) == 2
    said = "No such command 'summarise'. Did you mean 'summarize'? See 'clvmodels --help'."
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_place_that_cannot_be_written_to_is_said_with_what_to_do(
    tmp_path: Path, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    log = str(files / "log.csv")
    assert main(["summarize", log, "-o", "taken/rfm.parquet", *LOG_OPTIONS]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert err.endswith(".")
    assert "taken" in err
    assert main(["demo", "--out", "taken"]) == 2
    assert "is a file: name a folder." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("by='channel' is not a segment column.", "--by channel is not a segment column."),
        ("max_rejects='' must be a share.", "--max-rejects '' must be a share."),
        ("as by where='amount < 1e9'.", "as by --where 'amount < 1e9'."),
        ("quantiles=[2.0] must lie between 0 and 1.", "--quantile 2.0 must lie between 0 and 1."),
        (
            "summarise it first, rfm = rfm_summary(log, customer_id_col=..., datetime_col=...).",
            "summarise it first, 'clvmodels summarize LOG --customer-id ... --timestamp ...'.",
        ),
        (
            "A value needs spend, found ModifiedBetaGeoPosterior: fit amounts too.",
            "A value needs spend, and the posterior is of purchases alone: fit amounts too.",
        ),
    ],
)
def test_messages_are_in_options(said: str, shown: str) -> None:
    assert in_options(said) == shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"clvmodels \d+\.\d+\.\d+\n", capsys.readouterr().out)


# --- summarize ----------------------------------------------------------------------


def test_summarize_writes_the_librarys_table_and_its_audit(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["summarize", str(files / "log.parquet"), "-o", "new/rfm.parquet", *LOG_OPTIONS]
    assert main([*arguments, "--observation-end", "1997-09-30"]) == 0
    assert_same_table("new/rfm.parquet", RfmTable.from_parquet(files / "rfm.parquet"))
    out, err = capsys.readouterr()
    assert_readable(out)
    assert err == ""
    for figure in ("6,919", "-1,959", "4,960", "173,115.55", "2,357", "4,814", "1,411", "272 days"):
        assert figure in out, figure
    assert names_in(Path("new")) == ["rfm.parquet"]


def test_summarize_takes_every_option(files: Path) -> None:
    log = pd.read_csv(files / "log.csv")
    log.loc[:4, "amount"] = [-5.0, 0.0, 7.0, 7.0, 0.0]
    log["city"] = np.where(log["customer_id"] % 2 == 0, "Bonn", "Kiel")
    log = pd.concat([log, log.iloc[-1:]])
    log.to_csv("log.csv", index=False)
    options = ["--segment", "city", "--time-unit", "W", "--time-scaler", "2", "--refunds", "net"]
    options += ["--zero-amounts", "drop", "--duplicates", "drop", "--margin", "0.25", "-q"]
    assert main(["summarize", "log.csv", "-o", "rfm.parquet", *LOG_OPTIONS, *options]) == 0
    expected = rfm_summary(
        "log.csv",
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
        segment_cols=["city"],
        time_unit="W",
        time_scaler=2,
        refunds="net",
        zero_amounts="drop",
        duplicates="drop",
        margin=0.25,
    )
    expected.to_parquet("expected.parquet")
    assert_same_table("rfm.parquet", RfmTable.from_parquet("expected.parquet"))


# --- score --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_score_writes_what_predict_says(
    files: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--horizon", "52W", "--discount-rate", "0.2", "--discounting", "monthly"]
    options += ["--interval", "0.8", "--draws", "100", "--intervals", "all"]
    assert main(score_arguments(files, f"scores.{suffix}", *options)) == 0
    read = pd.read_parquet if suffix == "parquet" else pd.read_csv
    expected = load_posterior(files / "posterior.nc").predict(
        RfmTable.from_parquet(files / "rfm.parquet"),
        horizon="52W",
        discount_rate=0.2,
        discounting="monthly",
        interval=0.8,
        draws=100,
    )
    pd.testing.assert_frame_equal(read(f"scores.{suffix}"), expected, rtol=1e-13)
    out, err = capsys.readouterr()
    assert_readable(out)
    assert err == ""
    assert f"{expected['clv'].sum():,.0f}" in out
    assert f"{expected['expected_purchases'].sum():,.0f}" in out
    assert "80 % interval of the expected value" in out
    assert "the next 52 weeks" in out
    assert "1,411" in out
    best = expected.nlargest(1, "clv").iloc[0]
    assert re.search(rf"^{best['customer_id']:.0f} .* {best['clv']:,.0f} ", out, re.MULTILINE)


def test_a_whole_life_has_no_number_of_purchases_but_a_value(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(score_arguments(files, "scores.parquet", "--horizon", "none")) == 0
    out = capsys.readouterr().out
    assert "the remaining lifetime" in out
    assert re.search(r"expected purchases +-$", out, re.MULTILINE)
    assert np.isfinite(pd.read_parquet("scores.parquet")["clv"]).all()


def test_a_plain_csv_is_scored_alike_and_what_is_assumed_is_said(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(score_arguments(files, "own.parquet")) == 0
    arguments = ["score", str(files / "rfm.csv"), "--posterior", str(files / "posterior.nc")]
    assert "does not say" not in capsys.readouterr().out
    assert main([*arguments, "-o", "plain.parquet"]) == 0
    said = " ".join(capsys.readouterr().out.split())  # lines wrap where the path ends
    assert "does not say its unit of time" in said
    own, plain = pd.read_parquet("own.parquet"), pd.read_parquet("plain.parquet")
    pd.testing.assert_frame_equal(own, plain, rtol=1e-12)


def test_customers_are_shown_with_their_chance_to_buy_and_p_alive_with_a_warning(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = RfmTable.from_parquet(files / "rfm.parquet").to_pandas()
    frame.query("frequency == 0").head(20).to_csv("once.csv", index=False)
    for posterior, hidden in (("posterior.nc", True), ("m.nc", False)):
        arguments = ["score", "once.csv", "--posterior", str(files / posterior)]
        assert main([*arguments, "-o", "scores.csv"]) == 0
        out = capsys.readouterr().out
        said = " ".join(out.split())
        assert "least certain figure of all" in said
        assert ("It says nothing about customers who bought only once" in said) == hidden
        top = pd.read_csv("scores.csv").nlargest(10, "clv")
        shown = re.findall(r"^\d+ +0 +\d+ +([\d.]+) % ", out, re.MULTILINE)
        np.testing.assert_allclose(
            [float(text) for text in shown], 100 * top["p_purchase"], atol=0.5
        )


# --- what goes wrong ----------------------------------------------------------------

SUMMARIZE = ["summarize", "{}/log.parquet", "-o", "x.parquet", *LOG_OPTIONS]
SCORE = ["score", "{}/rfm.parquet", "--posterior", "{}/posterior.nc", "-o", "x.csv"]
PURCHASES = ["score", "{}/rfm.parquet", "--posterior", "{}/purchases.nc"]
WRONG = {
    "no such command": (["scroe"], "No such command"),
    "no such option": (["demo", "--fast"], "--fast"),
    "missing option": (["summarize", "{}/log.parquet", "-o", "x.parquet"], "--customer-id"),
    "no such choice": (["fit", "{}/rfm.parquet", "-o", "x.nc", "--method", "best"], "best"),
    "no such log": (["summarize", "no.parquet", "-o", "x.parquet", *LOG_OPTIONS], "no.parquet"),
    "no such column": (
        [*SUMMARIZE, "--amount", "amonut"],
        "--amount amonut",
    ),
    "no log": (["summarize", "{}/broken.nc", "-o", "x.parquet", *LOG_OPTIONS], "broken.nc"),
    "no date": (
        [*SUMMARIZE, "--observation-end", "soon"],
        "soon",
    ),
    "nothing left": (
        [*SUMMARIZE, "--observation-end", "1990-01-01"],
        "No purchase remains",
    ),
    "margin": (
        [*SUMMARIZE, "--margin", "2"],
        "--margin 2",
    ),
    "summary to csv": (["summarize", "{}/log.csv", "-o", "x.csv", *LOG_OPTIONS], "x.csv"),
    "folder": (["summarize", "{}/log.csv", "-o", "{}", *LOG_OPTIONS], "must end in"),
    "no such table": (["fit", "no.parquet", "-o", "x.nc"], "no.parquet"),
    "no table": (["fit", "{}/other.csv", "-o", "x.nc"], "looks like a log of transactions"),
    "no draws": (["fit", "{}/rfm.parquet", "-o", "x.nc", "--draws", "0"], "--draws 0"),
    "no tuning": (["fit", "{}/rfm.parquet", "-o", "x.nc", "--tune", "0"], "--tune 0"),
    "no such posterior": (
        ["score", "{}/rfm.parquet", "--posterior", "no.nc", "-o", "x.csv"],
        "no.nc",
    ),
    "broken posterior": (
        ["score", "{}/rfm.parquet", "--posterior", "{}/broken.nc", "-o", "x.csv"],
        "broken.nc",
    ),
    "margin of purchases alone": (
        [*PURCHASES, "-o", "x.csv", "--margin", "0.3"],
        "--margin 0.3 is a share of revenue",
    ),
    "scores to text": (
        ["score", "{}/rfm.parquet", "--posterior", "{}/posterior.nc", "-o", "x.txt"],
        "x.txt",
    ),
    **{
        f"{option} {value}": (
            [*SCORE, f"--{option}", value],
            f"--{option}",
        )
        for option, value in [
            ("horizon", "soon"),
            ("horizon", "-3"),
            ("horizon", "nan"),
            ("discount-rate", "-0.1"),
            ("interval", "90"),
            ("draws", "0"),
            ("draws", "many"),
        ]
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_is_one_clear_line(
    files: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, named = WRONG[case]
    before = names_in(files)
    assert main([part.format(files) for part in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert err.count("\n") == 1
    assert named in err
    assert names_in(Path()) == []
    assert names_in(files) == before


def test_an_unreadable_folder_is_one_line(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert main(score_arguments(files, "file/scores.parquet")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert main(score_arguments(files, "scores.parquet")) == 2
    assert "permission" in capsys.readouterr().err.lower()


def test_a_bug_keeps_its_traceback(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Scorer, "score", fail)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(score_arguments(files, "scores.parquet"))


def test_a_failed_write_leaves_the_old_file(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def half(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    Path("scores.parquet").write_bytes(b"old")
    monkeypatch.setattr(ParquetWriter, "write_table", half)
    assert main(score_arguments(files, "scores.parquet")) == 5
    assert "No space left" in capsys.readouterr().err
    assert Path("scores.parquet").read_bytes() == b"old"
    assert names_in(Path()) == ["scores.parquet"]


def full(*_: object, **__: object) -> None:
    """As HDF5 has it: an error of no number."""
    raise RuntimeError("file write failed: errno = 28, error message = 'No space left on device'")


@pytest.mark.parametrize("command", ["summarize", "report", "save"])
def test_a_full_disk_has_an_exit_code(
    files: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old.html").write_bytes(b"old")
    Path("old.parquet").write_bytes(b"old")
    if command == "summarize":
        monkeypatch.setattr("clvmodels.rfm.on_disk.summarize_to_parquet", full)
        arguments = ["summarize", str(files / "log.parquet"), "-o", "old.parquet", *LOG_OPTIONS]
    elif command == "report":
        monkeypatch.setattr("pathlib.Path.write_text", full)
        inputs = ["--posterior", str(files / "posterior.nc"), "--rfm", str(files / "rfm.parquet")]
        arguments = ["report", *inputs, "-o", "old.html"]
    else:
        monkeypatch.setattr("xarray.DataTree.to_netcdf", full)
        loaded = load_posterior(files / "posterior.nc")
        monkeypatch.setattr("clvmodels.cli.entry._run", lambda _: loaded.save("old.nc"))
        arguments = []
    assert main(arguments) == 5
    line = capsys.readouterr().err.splitlines()[-1]
    output = {"summarize": "old.parquet", "report": "old.html", "save": "old.nc"}[command]
    assert line.startswith(f"Error: No space left on device ({output}): free some"), line
    assert names_in(Path()) == ["old.html", "old.parquet"]
    assert Path("old.html").read_bytes() == Path("old.parquet").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        (
            "customer_id_col='id' is not a column of the log (columns: 'a').",
            "--customer-id id is not a column of the log (columns: 'a').",
        ),
        ('pass refunds="drop" to leave them out', "pass --refunds drop to leave them out"),
        ("segment_cols[1]='x' is no column", "--segment x is no column"),
        ("discount_rate=-0.1 must be", "--discount-rate -0.1 must be"),
        ("use method='nuts'.", "use --method nuts."),
        ("Give rfm_summary a monetary_value_col.", "Give 'clvmodels summarize' --amount."),
        ("time_unit='D', time_scaler=7.", "--time-unit D, --time-scaler 7."),
        ("with missing_ids=['nan'].", "with --missing-id nan."),
        ("missing_ids=[0, 'not known']", "--missing-id 0 --missing-id 'not known'"),
        ("say with observation_period_end when", "say with --observation-end when"),
        ("segment_cols=[...]", "--segment [...]"),
        ("Sample longer: raise tune and draws.", "Sample longer: raise --tune and --draws."),
        (
            "let spend go by frequency, covariates=[Pooled('frequency', ordered=True)].",
            "let spend go by frequency, --spend-covariate ordered:frequency.",
        ),
        (
            "use a longer log, or fit the purchase model alone.",
            "use a longer log, or pass --basket-value, such as 25, at which every purchase then "
            "counts.",
        ),
        ("Give q a prior with its mass above 1, or fit to a longer log.", "Fit to a longer log."),
    ],
)
def test_messages_name_options(message: str, spoken: str) -> None:
    assert in_options(message) == spoken


def test_a_warning_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    with _spoken_warnings():
        for text in ("ids changed", "ids changed", "much left out"):
            warnings.warn(text, UserWarning, stacklevel=1)
    said = capsys.readouterr().err.splitlines()
    assert said == ["Warning: ids changed", "Warning: much left out"]


def test_notes_of_summarize_speak_of_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = load_cdnow(sample=True).head(600).astype({"customer_id": str})
    log.loc[log.index[::10], "customer_id"] = "nan"
    log.to_csv(tmp_path / "log.csv", index=False)
    output = str(tmp_path / "rfm.parquet")
    assert main(["summarize", str(tmp_path / "log.csv"), "-o", output, *LOG_OPTIONS]) == 0
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "leave them out with --missing-id nan." in " ".join(text.split())
        assert "nan.." not in text


def test_over_a_whole_life_nobody_is_told_to_go_by_p_purchase(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "scores.parquet")
    assert main(score_arguments(files, output, "--horizon", "none")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Over a lifetime p_purchase, the chance to buy again, is p_alive" in said
    assert "Rank customers by p_purchase" not in said
    found = pd.read_parquet(output)
    assert (found["p_purchase"] == found["p_alive"]).all()


# --- progress, quiet, interrupts ------------------------------------------------------


def test_quiet_prints_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(score_arguments(files, "scores.parquet", "--quiet")) == 0
    assert capsys.readouterr() == ("", "")
    assert Path("scores.parquet").is_file()


def test_progress_is_for_terminals_that_want_it() -> None:
    def shown(*, terminal: bool, quiet: bool) -> str:
        shower = Terminal(quiet=quiet)
        file = io.StringIO()
        file.isatty = lambda: terminal  # type: ignore[method-assign]
        shower.err = Console(file=file, force_terminal=terminal, quiet=quiet, width=WIDTH)
        with shower.step("Counting sheep"):
            pass
        return file.getvalue()

    assert "Counting sheep" in shown(terminal=True, quiet=False)
    assert shown(terminal=False, quiet=False) == ""
    assert shown(terminal=True, quiet=True) == ""


def interrupted_by_a_library(number: int, frame: object) -> None:
    """As Spark's own handler, which stays once a session has started in the process."""
    raise KeyboardInterrupt


@pytest.fixture(params=[signal.default_int_handler, interrupted_by_a_library])
def sigint(request: pytest.FixtureRequest) -> Iterator[None]:
    """SIGINT as in a terminal, whatever this process was started from or has imported."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint")
def test_an_interrupt_is_130_and_leaves_no_file(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Scorer, "score", interrupted)
    assert main(score_arguments(files, "scores.parquet")) == 130
    assert capsys.readouterr().err.startswith("Interrupted")
    assert names_in(Path()) == []
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.usefixtures("sigint")
def test_an_interrupt_that_a_library_turns_into_its_own_error_is_130(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise RuntimeError("query was interrupted") from None

    monkeypatch.setattr(Scorer, "score", broken)
    assert main(score_arguments(files, "scores.parquet")) == 130


def test_a_silenced_interrupt_stays_silent(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a command that a shell has put into the background, or runs under nohup."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    scored = Scorer.score

    def interrupted(*args: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return scored(*args, **options)

    monkeypatch.setattr(Scorer, "score", interrupted)
    try:
        assert main(score_arguments(files, "scores.parquet")) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# A signal at the first import of the command line, and one while the process ends
EARLY = """
import os, signal, sys
from clvmodels.cli import command
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == "clvmodels.cli.entry":
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Stop())
sys.argv = ["clvmodels", "--version"]
command()
"""
LATE = """
import atexit, os, signal, sys
from clvmodels.cli import command
atexit.register(lambda: os.kill(os.getpid(), signal.{name}))
sys.argv = ["clvmodels", "--version"]
command()
"""


@pytest.mark.parametrize(
    ("name", "code", "said"), [("SIGINT", 130, "Interrupted."), ("SIGTERM", 143, "Terminated.")]
)
def test_a_signal_before_anything_runs_ends_in_one_line(name: str, code: int, said: str) -> None:
    run = [sys.executable, "-c", EARLY.format(name=name)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_once_all_is_done_changes_nothing(name: str) -> None:
    run = [sys.executable, "-c", LATE.format(name=name)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- fits ---------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_writes_a_posterior_and_says_what_it_found(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(files / "rfm.parquet"), "-o", "posterior.nc", "--seed", "1"]
    assert main([*arguments, "--method", "laplace", "--on-failure", "raise"]) == 0
    posterior = load_posterior("posterior.nc")
    out, err = capsys.readouterr()
    assert_readable(out)
    assert err == ""
    # The maximum of the likelihood, and half a standard error of it
    draws = {**posterior.purchases.draws(), **posterior.spend.draws()}
    assert abs(np.median(draws["r"]) - 0.2426) < 0.5 * 0.0126
    assert abs(np.median(draws["alpha"]) - 4.4136 * 7) < 0.5 * 0.378 * 7
    for name, values in draws.items():
        assert re.search(rf"^ +{name} +{values.mean():#.4g} ", out, re.MULTILINE), name
    assert out.count("Verdict: pass") == 2
    assert posterior.purchases.metadata.method == "laplace"
    assert names_in(Path()) == ["posterior.nc"]


@pytest.mark.slow
def test_fit_takes_model_and_priors_and_a_mode_has_no_interval(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--method", "map", "--model", "mbgnbd", "--priors", "pymc-marketing"]
    assert main(["fit", str(files / "rfm.csv"), "-o", "p.nc", *options, "--time-scaler", "7"]) == 0
    posterior = load_posterior("p.nc")
    metadata = posterior.purchases.metadata
    assert (metadata.model, metadata.method) == ("mbgnbd", "map")
    assert metadata.priors["r"]["dist"] == "Weibull"
    assert metadata.scale.days == 7
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert "without uncertainty. The optimiser reached the mode (distance from the mode" in words
    assert re.search(r"^ +r +\S+ +- +-$", out, re.MULTILINE)
    arguments = ["score", str(files / "rfm.csv"), "--posterior", "p.nc", "-o", "scores.csv"]
    assert main(arguments) == 0
    assert re.search(r"interval of the expected value +-$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.slow
def test_a_table_without_amounts_is_fitted_for_purchases(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.read_csv(files / "rfm.csv").drop(columns=["monetary_value", "first_value"]).to_csv(
        "rfm.csv", index=False
    )
    assert main(["fit", "rfm.csv", "-o", "p.nc", "--method", "map"]) == 0
    assert isinstance(load_posterior("p.nc"), BetaGeoPosterior)
    assert "no amounts" in capsys.readouterr().out


@pytest.mark.slow
def test_one_value_of_every_purchase_stands_in_place_of_spend(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(files / "rfm.csv"), "-o", "p.nc", "--method", "map"]
    assert main([*arguments, "--basket-value", "25", "--margin", "0.3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Every purchase counts as 25: spend was not fitted, and the table's amounts" in out
    assert "spend per purchase, as given 25" in out
    posterior = load_posterior("p.nc")
    assert isinstance(posterior, CLVPosterior)
    assert (posterior.basket_value, posterior.margin) == (25.0, 0.3)
    assert set(posterior.verdicts) == {"bgnbd"}


def test_purchases_alone_are_scored_at_a_value_that_is_given(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["score", str(files / "rfm.parquet"), "--posterior", str(files / "purchases.nc")]
    assert main([*arguments, "-o", "scores.csv", "--basket-value", "25", "--margin", "0.3"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "a margin of 30 % on revenue" in out
    found = pd.read_csv("scores.csv").set_index("customer_id")
    posterior = CLVPosterior(load_posterior(files / "purchases.nc"), 25.0, margin=0.3)
    wanted = posterior.predict(RfmTable.from_parquet(files / "rfm.parquet"), margin=0.3)
    wanted = wanted.set_index("customer_id")["clv"]
    np.testing.assert_allclose(found["clv"], wanted.loc[found.index], rtol=1e-12)
    assert set(found["expected_spend"]) == {25.0}


def test_a_value_for_a_posterior_that_has_one_is_refused(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--posterior", str(files / "posterior.nc"), "--basket-value", "25"]
    for command, more in {"score": [], "report": ["--rfm"], "compare": ["--rfm"]}.items():
        arguments = [command, *more, str(files / "rfm.parquet"), *given]
        assert main([*arguments, "-o", "out.html" if command == "report" else "out"]) == 2
        err = capsys.readouterr().err
        assert "already has a model of spend or a basket value: leave --basket-value out" in err
        assert not Path("out").exists() or not any(Path("out").iterdir())


def test_values_that_are_not_known_name_the_option(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--rfm", str(files / "rfm.parquet"), "--posterior", str(files / "purchases.nc")]
    assert main(["compare", *given, "-o", "out"]) == 2
    assert "give every purchase a value, as in --basket-value 25" in capsys.readouterr().err
    assert main(["compare", *given, "-o", "out", "--basket-value", "25"]) == 0
    compared = pd.read_csv("out/comparison.csv")
    posterior = CLVPosterior(load_posterior(files / "purchases.nc"), 25.0)
    table = RfmTable.from_parquet(files / "rfm.parquet")
    assert compared["model"].iloc[-1] == pytest.approx(posterior.predict(table)["clv"].sum())


@pytest.mark.parametrize("value", ["0", "-3", "nan"])
def test_the_value_of_a_basket_is_checked_before_the_fit(
    files: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    arguments = ["fit", str(files / "rfm.csv"), "-o", "p.nc", f"--basket-value={value}"]
    assert main(arguments) == 2
    assert "positive and finite" in capsys.readouterr().err
    assert not Path("p.nc").exists()


@pytest.mark.slow
def test_a_fit_that_does_not_converge_is_4_unless_a_warning_is_enough(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(files / "rfm.parquet"), "-o", "posterior.nc", "--seed", "1"]
    arguments += ["--method", "nuts", "--tune", "1", "--draws", "5", "--on-failure"]
    assert main([*arguments, "raise"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: The nuts fit of BG/NBD did not converge")
    assert err.count("\n") == 1
    assert "--on-failure warn" in err
    assert names_in(Path()) == []
    assert main([*arguments, "warn"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("Warning: The nuts fit of BG/NBD did not converge")
    assert "Verdict: fail" in out
    assert names_in(Path()) == ["posterior.nc"]


STOPS = {signal.SIGINT: (130, "Interrupted"), signal.SIGTERM: (143, "Terminated")}


@pytest.mark.slow
@pytest.mark.parametrize("number", STOPS)
def test_a_fit_that_is_stopped_says_so_and_leaves_no_file(
    files: Path, number: signal.Signals
) -> None:
    code = textwrap.dedent("""
        import sys
        import clvmodels.fit.run as run
        from clvmodels.cli import main
        sample = run.sample_nuts
        def announced(*arguments, **options):
            print("sampling", flush=True)
            return sample(*arguments, **options)
        run.sample_nuts = announced
        sys.exit(main(sys.argv[1:]))
    """)
    arguments = ["fit", str(files / "rfm.parquet"), "-o", "posterior.nc", "--method", "nuts"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--draws", "10000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "sampling\n"
        time.sleep(1)
        assert child.poll() is None
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    code, word = STOPS[number]
    assert child.returncode == code
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(word)
    assert names_in(Path()) == []


# --- demo ---------------------------------------------------------------------------


def simple_formula(log: pd.DataFrame, end: pd.Timestamp, years: float) -> tuple[float, float]:
    """Value of all customers and annual churn by direct arithmetic on the log."""
    days = log[log["date"] <= end].groupby(["customer_id", "date"])["amount"].sum().reset_index()
    gaps = days.groupby("customer_id")["date"].diff().dropna().dt.days
    first = days.groupby("customer_id")["date"].min()
    silent = (end - days.groupby("customer_id")["date"].max()).dt.days
    watched = (end - first).dt.days.sum() / 365.25
    lost = (silent > gaps.quantile(0.95)).mean()
    churn = 1 - (1 - lost) ** (len(first) / watched)
    rate = np.log(1.1) - np.log(1 - churn)
    retained = (1 - np.exp(-rate * years)) / rate
    return float(days["amount"].sum() / watched * retained * len(first)), float(churn)


@pytest.mark.slow
def test_demo_goes_the_whole_way() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "clvmodels.cli", "demo", "--out", "out"],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert_readable(done.stdout)
    # CPU time: what it takes on a machine that has nothing else to do
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60

    out = Path("out")
    assert names_in(out) == sorted(demo.FILES)
    assert "Customer lifetime value" in (out / "report.html").read_text()
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")
    rfm, scores = (
        RfmTable.from_parquet(out / "rfm.parquet"),
        pd.read_parquet(out / "scores.parquet"),
    )
    posterior = load_posterior(out / "posterior.nc")
    assert all(verdict.status == "pass" for verdict in posterior.verdicts.values())
    pd.testing.assert_frame_equal(
        scores, posterior.predict(rfm, horizon="39W", discount_rate=0.1), rtol=1e-12
    )
    pd.testing.assert_frame_equal(pd.read_csv(out / "scores.csv"), scores, rtol=1e-12)

    log, end = load_cdnow(), pd.Timestamp("1997-09-30")
    later = log[log["date"] > end]
    spent = (later["amount"] * 1.1 ** (-(later["date"] - end).dt.days / 365.25)).sum()
    simple, churn = simple_formula(log, end, 273 / 365.25)
    text = " ".join(done.stdout.split())
    assert "69,659" in text
    assert "49,086" in text
    assert text.count("Verdict: pass") == 2
    assert f"model {scores['clv'].sum():,.0f} " in text
    assert f"what they really spent {spent:,.0f} " in text
    assert f"simple formula {simple:,.0f} " in text
    assert f"churn of {100 * churn:.3g} % a year" in text
    once = int((rfm.to_pandas()["frequency"] == 0).sum())
    assert f"{once:,} of 23,570 customers" in text
    for customer in scores.nlargest(10, "clv")["customer_id"]:
        assert re.search(rf"^{customer} ", done.stdout, re.MULTILINE), customer


@pytest.mark.slow
def test_the_demos_interval_is_that_of_the_sum(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(score_arguments(files, "scores.parquet")) == 0
    scores = pd.read_parquet("scores.parquet")
    found = re.search(
        r"90 % interval of the expected value +([\d,]+) to ([\d,]+)", capsys.readouterr().out
    )
    assert found is not None
    lower, upper = (float(end.replace(",", "")) for end in found.groups())
    rfm = RfmTable.from_parquet(files / "rfm.parquet")
    posterior = load_posterior(files / "posterior.nc")
    bought, spent = posterior.purchases.draws(), posterior.spend.draws()
    totals = [
        CLVPosterior(
            BetaGeoPosterior.from_draws(**{n: v[i] for n, v in bought.items()}),
            GammaGammaPosterior.from_draws(**{n: v[j] for n, v in spent.items()}),
        )
        .predict(rfm)["clv"]
        .sum()
        for i, j in np.random.default_rng(3).integers(0, 200, (60, 2))
    ]
    # Pairs of draws one by one: nine in ten of them inside
    inside = np.mean([(lower <= total <= upper) for total in totals])
    assert abs(inside - 0.9) < 4 * np.sqrt(0.09 / 60)
    assert lower < scores["clv"].sum() < upper
    assert upper - lower < (scores["clv_upper"] - scores["clv_lower"]).sum()
