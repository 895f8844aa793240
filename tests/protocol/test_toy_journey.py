"""From the log to the report with a model that is in the catalogue, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.evaluation.backtesting import backtest
from clvmodels.fit.purchases import purchase_specification
from clvmodels.simulate import simulate_log
from tests.toy_family import TOY, TRUTH, add_to_catalogue

pytestmark = pytest.mark.slow

END, CUT = "2024-12-31", "2024-08-31"
COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
QUIET = {"random_seed": 3, "progressbar": False}
WEEKS = 17  # of the holdout, the last of which is short


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_catalogue(monkeypatch)


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        add_to_catalogue(patch)
        return simulate_log(
            600,
            parameters=TRUTH,
            p=6.0,
            q=4.0,
            v=15.0,
            T=(20.0, 400.0),
            seed=5,
            model="toy",
            observation_end=END,
        )


@pytest.fixture(scope="module")
def tested(log: pd.DataFrame) -> clv.Backtest:
    with pytest.MonkeyPatch.context() as patch:
        add_to_catalogue(patch)
        return backtest(log, **COLUMNS, train_period_end=CUT, model="toy", method="map", **QUIET)


def test_a_backtest_expects_by_week_what_the_equations_do(
    log: pd.DataFrame, tested: clv.Backtest
) -> None:
    """Of new customers (1 - e^(-lam p s)) / p, of others that times P(alive)."""
    split = clv.rfm_train_test_split(log, **COLUMNS, train_period_end=CUT)
    fit = purchase_specification("toy").fit(split.train, method="map", **QUIET)
    lam, p = (float(fit.draws()[name][0]) for name in TRUTH)
    table = split.train.to_pandas()
    x, t_x, T = (table[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    alive = np.where(x > 0, (1 - p) / (1 - p + p * np.exp(lam * (T - t_x))), 1.0)

    def bought(length: object) -> object:
        return -np.expm1(-lam * p * np.asarray(length)) / p

    found = dict(iter(tested.tracking.groupby("part")))
    ends = np.append(0.0, found["holdout"]["days"].cumsum())
    after = np.diff([(alive * bought(end)).sum() for end in ends])
    assert len(after) >= WEEKS
    np.testing.assert_allclose(found["holdout"]["expected"], after, rtol=1e-5)
    ago = np.append(found["train"]["days"][::-1].cumsum()[::-1], 0.0)
    before = np.diff([bought(np.maximum(T - one, 0.0)).sum() for one in ago])
    np.testing.assert_allclose(found["train"]["expected"], before, rtol=1e-5)
    inside = tested.tracking["actual"].between(tested.tracking["lower"], tested.tracking["upper"])
    assert inside.mean() > 0.75


def test_a_backtest_simulates_its_bands_by_the_walk_of_the_family(tested: clv.Backtest) -> None:
    """The middle of the band is about what is expected, and it is not empty."""
    middle = (tested.tracking["lower"] + tested.tracking["upper"]) / 2.0
    assert (tested.tracking["upper"] > tested.tracking["lower"]).all()
    assert middle.sum() == pytest.approx(tested.tracking["expected"].sum(), rel=0.05)
    assert set(tested.fits) == {"toy", "gamma_gamma"}
    assert tested.settings["model"] == "toy"


def test_the_report_has_all_its_sections(
    log: pd.DataFrame, tested: clv.Backtest, tmp_path: Path
) -> None:
    rfm = clv.rfm_summary(log, **COLUMNS, observation_period_end=END)
    posterior = clv.CLVModel("toy").fit(rfm, method="laplace", **QUIET)
    page = tmp_path / "page.html"
    clv.report(posterior, rfm, log=log, backtest=tested, output=page)
    text = page.read_text(encoding="utf-8")
    assert "Toy/NBD" in text
    assert TOY.papers in text
    found = clv.diagnostics.diagnose(posterior, rfm, log=log, backtest=tested)
    figures = {figure.key for section in found.sections for figure in section.figures}
    assert {"tracking", "repeats", "prior-predictive", "alive", "backtest-tracking"} <= figures
    assert "ridges-purchases" not in figures  # the model names none
    tracking = next(
        figure for section in found.sections for figure in section.figures
        if figure.key == "tracking"
    )  # fmt: skip
    assert len(tracking.data["lower"]) == len(tracking.data["dates"])


def test_the_command_line_goes_all_the_way(
    log: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders, table, file = (tmp_path / name for name in ("log.parquet", "rfm.parquet", "fit.nc"))
    log.to_parquet(orders)
    named = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
    assert main(["summarize", str(orders), "-o", str(table), *named]) == 0
    how = ["--model", "toy", "--method", "laplace", "--seed", "3"]
    assert main(["fit", str(table), "-o", str(file), *how]) == 0
    assert "Toy/NBD" in capsys.readouterr().out
    posterior = clv.load_posterior(file)
    assert posterior.purchases.facts is TOY
    leaves = posterior.purchases.draws()["p_leave"]
    assert abs(leaves.mean() - TRUTH["p_leave"]) < 5.0 * leaves.std()
    scores = tmp_path / "scores.parquet"
    assert main(["score", str(table), "-o", str(scores), "--posterior", str(file)]) == 0
    predicted = posterior.predict(clv.RfmTable.from_parquet(table))
    scored = pd.read_parquet(scores).sort_values("customer_id", ignore_index=True)
    np.testing.assert_allclose(scored["p_alive"], predicted["p_alive"], rtol=1e-9)
    folder = tmp_path / "tested"
    assert main(["backtest", str(orders), "-o", str(folder), *named, *how, "--train-end", CUT]) == 0
    page = tmp_path / "page.html"
    given = ["--rfm", str(table), "--posterior", str(file), "--backtest", str(folder)]
    assert main(["report", *given, "--log", str(orders), "-o", str(page)]) == 0
    assert "Toy/NBD" in page.read_text(encoding="utf-8")


def test_another_model_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "x.parquet", "-o", "y.nc", "--model", "pareto"]) == 2
    assert re.search(r"'bgnbd', 'mbgnbd', .*'toy'", capsys.readouterr().err)
