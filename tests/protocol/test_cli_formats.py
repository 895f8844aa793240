"""The command line reads logs and tables of customers as people write them."""

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
    load_posterior,
    score,
)
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.errors import SchemaError

LOG_OPTIONS = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]


def _german(value: float) -> str:
    return f"{value:,.2f}".replace(",", "T").replace(".", ",").replace("T", ".")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one log and one table, each written in several ways."""
    folder = tmp_path_factory.mktemp("formats")
    log = load_cdnow(sample=True)[["customer_id", "date", "amount"]].head(1_500)
    log = log.assign(status="bezahlt", town="Köln")
    date = pd.to_datetime(log["date"])
    log.assign(date=date.dt.strftime("%Y-%m-%d")).to_csv(folder / "iso.csv", index=False)
    german = log.assign(date=date.dt.strftime("%d.%m.%Y"), amount=log["amount"].map(_german) + " €")
    german.to_csv(folder / "german.csv", index=False, sep=";", encoding="cp1252")
    # neither day nor sign shows itself: the options alone say what they are
    early = german[date.dt.day <= 12].assign(amount="1.234", date=date.dt.strftime("%d/%m/%Y"))
    early.to_csv(folder / "open.csv", index=False, sep="~", encoding="utf-16")
    seconds = date.astype("datetime64[s]").astype("int64") + 3_600
    log.assign(date=seconds).to_csv(folder / "seconds.csv", index=False)
    log.assign(date=seconds * 1000).to_csv(folder / "millis.csv", index=False)
    unpaid = log.head(200).assign(status="offen", amount=999.0)
    pd.concat([log, unpaid]).to_csv(folder / "status.csv", index=False)
    assert (
        main(
            [
                "summarize",
                str(folder / "iso.csv"),
                "-o",
                str(folder / "rfm.parquet"),
                *LOG_OPTIONS,
                "-q",
            ]
        )
        == 0
    )
    frame = RfmTable.from_parquet(folder / "rfm.parquet").to_pandas()
    frame["town"] = "Köln"
    frame["monetary_value"] = frame["monetary_value"].round(2)
    frame.to_csv(folder / "rfm.csv", index=False)
    frame.to_csv(folder / "german_rfm.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    # a monetary_value of 12.345 is twelve, or twelve thousand
    whole = frame.assign(monetary_value="12.345", recency=1, T=2, frequency=1, first_value=1)
    whole.to_csv(folder / "open_rfm.csv", index=False, sep=";")
    rng = np.random.default_rng(7)
    purchases = {
        name: value * rng.lognormal(0, 0.05, 200)
        for name, value in {"r": 0.243, "alpha": 30.9, "a": 0.793, "b": 2.43}.items()
    }
    spend = GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.05, 200), v=15.4)
    CLVPosterior(BetaGeoPosterior.from_draws(**purchases), spend).save(folder / "posterior.nc")
    return folder


@pytest.fixture(autouse=True)
def _there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    return " ".join((found.out + found.err).split())


# --- logs ---


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("german", ["--encoding", "cp1252"]),
        ("german", ["--encoding", "cp1252", "--delimiter", ";", "--decimal", ","]),
        ("german", ["--encoding", "latin-1", "--date-format", "%d.%m.%Y"]),
        ("seconds", []),
        ("seconds", ["--date-format", "s"]),
        ("millis", ["--date-format", "ms"]),
        ("status", ["--where", "status = 'bezahlt'"]),
    ],
)
def test_a_log_is_summarised_alike_however_it_is_written(
    files: Path, name: str, options: list[str]
) -> None:
    if name == "german" and "latin-1" in options:  # which has no sign of the euro
        text = (files / "german.csv").read_text("cp1252").replace(" €", "")
        Path("german.csv").write_text(text, "latin-1")
    path = "german.csv" if "latin-1" in options else str(files / f"{name}.csv")
    assert main(["summarize", path, "-o", "rfm.parquet", *LOG_OPTIONS, *options]) == 0
    found = RfmTable.from_parquet("rfm.parquet")
    want = RfmTable.from_parquet(files / "rfm.parquet")
    pd.testing.assert_frame_equal(found.to_pandas(), want.to_pandas(), rtol=1e-12)
    assert found.observation_end == want.observation_end


def test_what_is_guessed_is_said_and_what_is_open_is_asked(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = ["summarize", str(files / "german.csv"), "-o", "x.parquet", *LOG_OPTIONS]
    assert main(read) == 2
    assert "is not in UTF-8: pass its encoding, such as --encoding" in _said(capsys)
    assert main([*read, "--encoding", "cp1252"]) == 0
    said = _said(capsys)
    assert "dates read as day/month/year, the only reading that fits" in said
    assert "amounts read with a decimal comma, the only reading that fits" in said
    read[1] = str(files / "open.csv")
    written = ["--encoding", "utf-16", "--delimiter", "~"]
    assert main([*read, *written]) == 2
    assert "--date-format" in capsys.readouterr().err
    assert main([*read, *written, "--date-format", "dmy"]) == 2
    assert "--decimal" in capsys.readouterr().err
    for sign, value in ((".", 1.234), (",", 1234.0)):
        assert main([*read, *written, "--date-format", "dmy", "--decimal", sign]) == 0
        assert set(RfmTable.from_parquet("x.parquet").to_pandas()["first_value"]) >= {value}


def test_a_log_is_scored_alike_however_it_is_written(files: Path) -> None:
    rest = ["--posterior", str(files / "posterior.nc"), *LOG_OPTIONS]
    assert main(["score", str(files / "iso.csv"), *rest, "-o", "want.parquet"]) == 0
    german = ["--encoding", "cp1252", "--date-format", "dmy", "--decimal", ","]
    for name, options in (("german", german), ("status", ["--where", "status = 'bezahlt'"])):
        arguments = ["score", str(files / f"{name}.csv"), *rest, *options]
        assert main([*arguments, "-o", f"{name}.parquet"]) == 0
        found, want = (pd.read_parquet(f"{one}.parquet") for one in (name, "want"))
        pd.testing.assert_frame_equal(found, want, rtol=1e-12)


# --- tables of customers ---


@pytest.mark.parametrize(
    "options", [[], ["--delimiter", ";"], ["--decimal", ",", "--delimiter", ";"]]
)
def test_a_table_with_decimal_commas_is_scored_as_the_plain_one(
    files: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rest = ["--posterior", str(files / "posterior.nc"), "--time-unit", "D"]
    assert main(["score", str(files / "rfm.csv"), *rest, "-o", "want.parquet"]) == 0
    capsys.readouterr()
    german = [str(files / "german_rfm.csv"), "--encoding", "cp1252", *options]
    assert main(["score", *german, *rest, "-o", "found.parquet"]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("found.parquet"), pd.read_parquet("want.parquet"))
    said = _said(capsys)
    assert ("read with a decimal comma" in said) == ("--decimal" not in options)


def test_a_table_with_decimal_commas_is_fitted_reported_and_compared_as_the_plain_one(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posterior = ["--posterior", str(files / "posterior.nc")]
    german = [str(files / "german_rfm.csv"), "--encoding", "cp1252", "--delimiter", ";"]
    for name, table in (("want", [str(files / "rfm.csv")]), ("found", [*german, "--decimal", ","])):
        fit = ["fit", *table, "-o", f"{name}.nc", "--method", "map", "--time-unit", "D"]
        assert main(fit) == 0
        rest = ["--rfm", *table, *posterior, "-o"]
        assert main(["compare", *rest, name]) == 0
        assert main(["report", *rest, f"{name}.html", "--json", f"{name}.json", "-q"]) == 0
    capsys.readouterr()
    parameters = [load_posterior(f"{name}.nc").summary() for name in ("want", "found")]
    pd.testing.assert_frame_equal(*parameters)
    compared = [pd.read_parquet(Path(name) / "comparison.parquet") for name in ("want", "found")]
    pd.testing.assert_frame_equal(*compared)
    values = [_value_of(Path(f"{name}.json").read_text()) for name in ("want", "found")]
    assert values[0] == values[1]


def _value_of(text: str) -> str:
    """Return the report but for the names of files."""
    return text.replace("german_rfm.csv", "rfm.csv")


def test_a_table_that_can_be_read_in_two_ways_is_asked_about(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(files / "open_rfm.csv"), "--time-unit", "D"]
    scoring = ["score", *arguments, "--posterior", str(files / "posterior.nc"), "-o"]
    for command in ([*scoring, "x.parquet"], ["fit", *arguments, "-o", "x.nc", "--method", "map"]):
        assert main(command) == 2
        assert "--decimal" in capsys.readouterr().err
    for sign, value in ((".", 12.345), (",", 12_345.0)):
        name = f"{value:g}.parquet"
        assert main([*scoring, name, "--decimal", sign]) == 0
        spent = pd.read_parquet(name).eval("historical_value")
        assert spent.to_numpy() == pytest.approx(1 + value)


def test_text_among_the_numbers_of_a_table_is_shown(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (files / "rfm.csv").read_text()
    first = text.splitlines()[1]
    Path("rfm.csv").write_text(text.replace(first, first.replace(first.split(",")[3], "many"), 1))
    assert main(["fit", "rfm.csv", "-o", "x.nc", "--method", "map", "--time-unit", "D"]) == 2
    assert "1 rows of rfm.csv have text in 'T' that cannot be read" in capsys.readouterr().err


def test_what_another_run_was_told_of_a_table_is_not_taken_over(files: Path) -> None:
    """A run that resumes has the options of the one that was stopped."""
    source, posterior = files / "open_rfm.csv", files / "posterior.nc"

    def stop(event: str, _: object) -> None:
        if event == "staged":
            raise KeyboardInterrupt

    options = {"time_unit": "D", "progress": stop}
    with pytest.raises(KeyboardInterrupt):
        score(source, posterior, "scores.parquet", decimal=".", **options)  # type: ignore[arg-type]
    assert main(
        [
            "score",
            str(source),
            "--posterior",
            str(posterior),
            "-o",
            "scores.parquet",
            "--time-unit",
            "D",
            "--decimal",
            ",",
        ]
    ) in (0, 2)
    if Path("scores.parquet").exists():
        assert pd.read_parquet("scores.parquet")["historical_value"].max() == 12_346.0


@pytest.mark.parametrize("name", ["rfm.csv", "rfm.parquet"])
@pytest.mark.parametrize(
    "options",
    [
        {"where": "status = 'bezahlt'"},
        {"date_format": "dmy"},
        {"refunds": "net"},
        {"missing_ids": [7]},
        {"observation_period_end": "1998-01-01"},
    ],
)
def test_options_of_logs_are_refused_for_a_table(
    files: Path, name: str, options: dict[str, object]
) -> None:
    with pytest.raises(SchemaError, match=f"{next(iter(options))}=.* is for logs"):
        score(files / name, files / "posterior.nc", "x.parquet", **options)  # type: ignore[arg-type]
