"""Covariates on the command line: from a log to scores, and what is refused in options' names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.cli.fit import columns_of, with_covariates
from clvmodels.cli.wording import in_options
from tests.readable import too_long

START = pd.Timestamp("2023-01-01")
LOG = ["--customer-id", "customer_id", "--timestamp", "date"]
AMOUNT = ["--amount", "amount"]


def a_log(customers: int = 400, seed: int = 4) -> pd.DataFrame:
    """Purchases of two channels, of which one comes back twice as often."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(customers):
        channel = ("ads", "shop")[i % 2]
        day, rate = rng.integers(0, 120), rng.gamma(1.0, (0.01, 0.03)[i % 2])
        while day <= 365:
            rows.append(
                (f"c{i:04d}", pd.Timestamp("2023-01-01") + pd.Timedelta(days=int(day)), channel)
            )
            day += max(rng.exponential(1.0 / rate), 1.0)
            if rng.random() < 0.2:
                break
    return pd.DataFrame(rows, columns=["customer_id", "date", "channel"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("covariates")
    a_log().to_parquet(folder / "log.parquet", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert (
            main(["summarize", "log.parquet", "-o", "rfm.parquet", *LOG, "--segment", "channel"])
            == 0
        )
    return folder


FIT = ["fit", "rfm.parquet", "-o", "p.nc", "--method", "laplace", "--seed", "1"]
CHANNEL = ["--purchase-covariate", "channel", "--dropout-covariate", "channel"]


@pytest.mark.slow
def test_fit_shows_effects_and_scores_by_them(folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    assert main([*FIT, *CHANNEL]) == 0
    out = capsys.readouterr().out
    assert "channel shop   purchases" in out
    assert too_long(out, 100) == []
    posterior = clv.load_posterior("p.nc")
    assert posterior.metadata.design.columns == ("channel",)
    assert main(["score", "rfm.parquet", "--posterior", "p.nc", "-o", "s.parquet"]) == 0
    wanted = posterior.predict(clv.RfmTable.from_parquet("rfm.parquet"), horizon="365D")
    found = pd.read_parquet("s.parquet")
    np.testing.assert_allclose(
        found["expected_purchases"], wanted["expected_purchases"], rtol=1e-12
    )
    # straight from the log, of which the model says what columns it needs
    assert main(["score", "log.parquet", "--posterior", "p.nc", "-o", "l.parquet", *LOG]) == 0
    pd.testing.assert_frame_equal(pd.read_parquet("l.parquet"), found)


def test_kinds_are_the_same_words_as_in_python() -> None:
    said = ["a", "pooled:b", "ordered:c", "numeric:d", "log:e", "categories:f", "g:h"]
    model = with_covariates(clv.CLVModel(), said, [], [])
    assert list(model.purchases.purchase_covariates) == [
        "a",
        clv.Pooled("b"),
        clv.Pooled("c", ordered=True),
        clv.Covariate("d", numeric=True),
        clv.Covariate("e", numeric=True, log=True),
        clv.Covariate("f", categories=True),
        "g:h",
    ]
    assert columns_of(said) == ["a", "b", "c", "d", "e", "f", "g:h"]
    advice = "Covariate('age', numeric=True), Pooled('age', ordered=True) or Pooled('age')"
    assert in_options(advice) == "numeric:age, ordered:age or pooled:age"


@pytest.mark.slow
def test_run_keeps_the_columns(folder, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    how = ["--method", "laplace", "--seed", "1"]
    assert (
        main(
            [
                "run",
                "log.parquet",
                "-o",
                "all",
                *LOG,
                *how,
                "--purchase-covariate",
                "pooled:channel",
            ]
        )
        == 0
    )
    assert "channel" in clv.RfmTable.from_parquet("all/rfm.parquet").segment_cols
    (effect,) = clv.load_posterior("all/posterior.nc").metadata.design.effects
    assert effect.kind == "pooled"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--purchase-covariate", "colour"], "The table has no column 'colour'"),
        (["--purchase-covariate", "frequency"], "frequency cannot be a covariate"),
        (["--spend-covariate", "channel"], "leave --spend-covariate out"),
        (["--spend-covariate", "channel", "--basket-value", "9"], "or --basket-value out"),
        (["--model", "auto", "--purchase-covariate", "channel"], "leave the covariates out"),
        (
            ["--dropout-covariate", "channel", "--dropout-covariate", "channel"],
            "names 'channel' twice",
        ),
    ],
)
def test_what_is_refused(folder, monkeypatch, capsys, more, said) -> None:
    monkeypatch.chdir(folder)
    assert main([*FIT, *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_column_that_varies(folder, monkeypatch, capsys) -> None:
    """The first value in time, the last, or a word of what to do."""
    monkeypatch.chdir(folder)
    log = a_log(40).assign(
        channel=lambda log: log["channel"] + log.groupby("customer_id").cumcount().astype(str)
    )
    log.to_parquet("varying.parquet", index=False)
    command = ["summarize", "varying.parquet", "-o", "v.parquet", *LOG, "--segment", "channel"]
    groups = log.groupby("customer_id")["channel"]
    for kept, wanted in (("first", groups.first()), ("last", groups.last())):
        assert main([*command, "--varying-segments", kept]) == 0
        found = pd.read_parquet("v.parquet").set_index("customer_id")["channel"]
        assert found.to_dict() == wanted.to_dict()
        said = " ".join(capsys.readouterr().out.split())
        many = int((groups.size() > 1).sum())
        assert f"'channel' varies within {many} customers: the {kept} value in time is" in said
    assert main([*command, "--varying-segments", "error"]) == 2
    assert "pass --varying-segments first" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_backtest_says_whether_covariates_help(folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    how = ["--train-end", "2023-08-31", "--method", "map", "--bootstrap", "50", "--draws", "50"]
    command = ["backtest", "log.parquet", "-o", "tested", *LOG, *how, *CHANNEL]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "without" in out
    assert "comparisons" in out
    metrics = pd.read_parquet("tested/metrics.parquet")
    assert "without_covariates" in set(metrics["forecast"])


@pytest.mark.slow
def test_spend_goes_by_columns_of_its_own(folder, monkeypatch, capsys) -> None:
    """From a log with amounts to effects and scores; purchases go by another column."""
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(3)
    log = a_log()
    log = log.assign(
        country=np.where(log["customer_id"].str[-2:].astype(int) < 40, "far", "near"),
        amount=np.round(
            rng.gamma(5.0, 4.0, len(log)) * np.where(log["channel"] == "shop", 2, 1), 2
        ),
    )
    log.to_parquet("paid.parquet", index=False)
    how = ["--method", "map", "--seed", "1", "--first-order", "covariate"]
    asked = ["--purchase-covariate", "country", "--spend-covariate", "channel"]
    assert main(["run", "paid.parquet", "-o", "paid", *LOG, *AMOUNT, *how, *asked]) == 0
    assert "channel shop" in capsys.readouterr().out
    posterior = clv.load_posterior("paid/posterior.nc")
    design = posterior.purchases.metadata.design
    assert design.columns == ("country", "channel", "first_value")
    effects = posterior.spend.effects().set_index("level")["times"]
    assert effects["shop"] / effects["ads"] == pytest.approx(2.0, rel=0.15)
    found = pd.read_parquet("paid/scores.parquet")
    wanted = posterior.predict(clv.RfmTable.from_parquet("paid/rfm.parquet"), horizon="365D")
    np.testing.assert_allclose(found["clv"], wanted["clv"], rtol=1e-12)
