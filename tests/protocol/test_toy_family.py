"""A model that is in the catalogue is fitted and simulated, without another line of code."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.evaluation.fitting import centre
from clvmodels.fit.density import compile_density
from clvmodels.fit.purchases import purchase_specification
from clvmodels.posterior.purchases import purchase_posterior
from clvmodels.rfm.histories import purchase_histories
from clvmodels.simulate import simulate_customers, simulate_log, simulate_rfm
from tests.toy_family import TOY, TRUTH, ToyFamily, add_to_catalogue

N = 4_000
QUIET = {"random_seed": 3, "progressbar": False, "time_unit": "D"}


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_catalogue(monkeypatch)


def base():
    """Continuous time, and so exactly the model's process."""
    return simulate_rfm(N, parameters=TRUTH, T=(10.0, 300.0), seed=5, period=None, model="toy")


# --- simulation ---


def test_customers_and_their_log_are_simulated() -> None:
    options = {"parameters": TRUTH, "seed": 5, "model": "toy"}
    rate, leaves = simulate_customers(7, **options)
    assert (set(rate), set(leaves)) == ({TRUTH["lam"]}, {TRUTH["p_leave"]})
    log = simulate_log(300, T=(20.0, 90.0), observation_end="2024-06-30", **options)
    rfm = simulate_rfm(300, T=(20.0, 90.0), **options)
    columns = {"customer_id_col": "customer_id", "datetime_col": "date"}
    found = clv.rfm_summary(log, **columns, observation_period_end="2024-06-30").to_pandas()
    assert (found["frequency"].to_numpy() == rfm["frequency"].to_numpy()).all()


def test_repeat_purchases_have_the_closed_form_mean() -> None:
    """Until they leave customers stay with e^(-lam p t) on average: (1 - e^(-lam p T)) / p."""
    lam, p = TRUTH.values()
    rfm = simulate_rfm(100_000, parameters=TRUTH, T=60.0, seed=6, period=None, model="toy")
    x = rfm["frequency"].to_numpy(float)
    expected = (1.0 - math.exp(-lam * p * 60.0)) / p
    assert abs(x.mean() - expected) < 4.5 * x.std() / math.sqrt(len(x))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"parameters": {"lam": 0.1}}, r"lam, p_leave; given are lam\."),
        ({"r": 0.5, "parameters": TRUTH}, r"given are r, lam, p_leave\."),
        ({}, r"given are none\."),
        ({"parameters": {**TRUTH, "lam": -1.0}}, r"lam=-1\.0"),
    ],
)
def test_parameters_are_those_of_the_model(given, says: str) -> None:
    with pytest.raises(clv.errors.ClvError, match=says):
        simulate_rfm(3, **given, T=9, seed=1, model="toy")


# --- likelihood ---


def test_the_fused_value_is_the_sum_of_rows_and_has_its_slopes() -> None:
    h, family = purchase_histories(base()), ToyFamily()
    fused = family.fused(h.x, h.t_x, h.T, h.count)
    rows = h.count * family.log_likelihood(h.x, h.t_x, h.T, **TRUTH)
    found = fused(*TRUTH.values())
    assert found[0] == pytest.approx(math.fsum(rows), rel=1e-12)
    for place, name in enumerate(TRUTH):
        up, down = (
            fused(*(TRUTH | {name: TRUTH[name] + side * 1e-6}).values())[0] for side in (1.0, -1.0)
        )
        assert found[1 + place] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=0.05)


def test_the_density_is_compiled_beside_that_of_other_models() -> None:
    """Two families in one process, and in PyTensor's folder, are not taken for each other."""
    toy = compile_density(purchase_specification("toy")().build(base(), time_unit="D"))
    other = compile_density(clv.BetaGeoModel().build(base(), time_unit="D"))
    assert (toy.dim, other.dim) == (2, 4)
    values = [one(one.start)[0] for one in (toy, other)]
    assert np.isfinite(values).all()
    assert values[0] == pytest.approx(toy.value_function()(toy.start), rel=1e-12)
    assert values[0] != pytest.approx(values[1], rel=1e-3)


# --- fits ---


@pytest.mark.parametrize("method", ["nuts", "laplace", "map"])
def test_a_fit_finds_the_truth(method: str) -> None:
    posterior = purchase_specification("toy")().fit(base(), method=method, **QUIET)
    assert posterior.facts is TOY
    assert (posterior.metadata.model, posterior.metadata.method) == ("toy", method)
    assert posterior.verdict.ok
    draws, sd = posterior.draws(), spread_of_estimates()
    for name, truth in TRUTH.items():
        assert abs(draws[name].mean() - truth) < 5.0 * sd[name]
        if method != "map":
            assert draws[name].std() == pytest.approx(sd[name], rel=0.15)


def spread_of_estimates() -> dict[str, float]:
    """Of each parameter, from the curvature at the truth: slopes of the gradient."""
    h = purchase_histories(base())
    fused, sd = ToyFamily().fused(h.x, h.t_x, h.T, h.count), {}
    for place, name in enumerate(TRUTH):
        step = 1e-4 * TRUTH[name]
        up, down = (
            fused(*(TRUTH | {name: TRUTH[name] + side * step}).values())[1 + place]
            for side in (1.0, -1.0)
        )
        sd[name] = math.sqrt(2.0 * step / (down - up))
    return sd


# --- backtest ---


def test_the_centre_of_a_share_is_within_zero_and_one() -> None:
    """On the log odds, so that it does not matter whether leaving or staying is counted."""
    share = np.array([0.02, 0.5, 0.98])
    kind = purchase_posterior("toy")
    found = centre(kind.from_draws(lam=[0.1, 0.2, 0.4], p_leave=share)).draws()
    assert found["lam"] == pytest.approx(0.2)
    assert found["p_leave"] == pytest.approx(0.5)


# --- the command line ---


def test_the_command_line_fits_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, file = tmp_path / "rfm.parquet", tmp_path / "fit.nc"
    days = simulate_rfm(2_000, parameters=TRUTH, T=(10.0, 300.0), seed=5, model="toy")
    days.to_parquet(table)
    options = ["--model", "toy", "--method", "laplace", "--seed", "3"]
    assert main(["fit", str(table), "-o", str(file), *options]) == 0
    assert "Toy/NBD" in capsys.readouterr().out
    posterior = clv.load_posterior(file)
    assert posterior.facts is TOY
    assert posterior.draws()["p_leave"].mean() == pytest.approx(TRUTH["p_leave"], rel=0.1)


def test_another_model_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "x.parquet", "-o", "y.nc", "--model", "pareto"]) == 2
    assert "use one of 'bgnbd', 'mbgnbd', 'toy'" in capsys.readouterr().err
