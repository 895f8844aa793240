"""Posteriors as MLflow models: the same numbers, no pickle, no network, no PyMC."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import clvmodels as clv
from clvmodels.errors import (
    ClvError,
    ConvergenceError,
    DomainError,
    PosteriorFileError,
    SchemaError,
    TimeUnitError,
)
from clvmodels.verdict import Check, Verdict, laplace_verdict

# MLflow compares columns with a range, which pandas 3 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

rng = np.random.default_rng(4)
RFM = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d", "e", "f"],
        "frequency": [2, 0, 5, 0, 9, 1],
        "recency": [213.0, 0.0, 120.0, 0.0, 240.0, 3.0],
        "T": [272.0, 90.0, 300.0, 14.0, 250.0, 199.0],
        "monetary_value": [22.35, np.nan, 11.0, np.nan, 70.1, 8.0],
    }
)


def with_verdict(posterior: Any, verdict: Verdict) -> Any:
    metadata = replace(posterior.metadata, method=verdict.method, verdict=verdict)
    return replace(posterior, metadata=metadata)


def posterior_of(khat: float) -> clv.CLVPosterior:
    """Return weekly draws, with the verdict of a Laplace fit."""
    purchases = clv.BetaGeoPosterior.from_draws(
        r=0.243 * rng.lognormal(0, 0.05, 30),
        alpha=30.9 * rng.lognormal(0, 0.05, 30),
        a=0.793,
        b=2.426,
        time_unit="D",
        time_scaler=7,
    )
    spend = clv.GammaGammaPosterior.from_draws(p=6.25, q=3.74 * rng.lognormal(0, 0.01, 30), v=15.44)
    verdict = laplace_verdict(khat, 312.5)
    return clv.CLVPosterior(with_verdict(purchases, verdict), with_verdict(spend, verdict))


POSTERIOR = posterior_of(0.31)
FAILED = posterior_of(0.99)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield MLflow with a store in a folder of its own, and no way into the network."""
    asked = []

    def refuse(*address: Any, **_: Any) -> Any:
        asked.append(address)
        raise OSError("no network in tests")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of itself when it is imported
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "MLFLOW_ALLOW_FILE_STORE"):
            patch.setenv(name, "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.setattr(socket, "create_connection", refuse)
        library = importlib.import_module("mlflow.pyfunc") and importlib.import_module("mlflow")
        library.set_tracking_uri(tmp_path_factory.mktemp("store") / "runs")
        yield library
        library.set_tracking_uri(None)
    assert asked == []


@pytest.fixture(scope="module")
def logged(mlflow: Any) -> tuple[str, Any]:
    """Return the run and the model of one log_model with everything."""
    with mlflow.start_run() as run:
        info = clv.mlflow.log_model(
            POSTERIOR,
            name="value",
            predict_options={"horizon": "52W", "draws": 20, "discount_rate": 0.25},
            input_example=clv.RfmTable.from_frame(
                RFM.assign(channel="web", T=RFM["T"].astype(int)), time_scaler=7
            ),
            registered_model_name="customers",
            tags={"team": "crm"},
            metadata={"note": "of March"},
        )
    return run.info.run_id, info


@pytest.fixture(scope="module")
def saved(mlflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of save_model with nothing but the posterior."""
    path = tmp_path_factory.mktemp("saved") / "model"
    assert clv.mlflow.save_model(POSTERIOR, path) == path
    return path


# --- the same numbers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "options"),
    [
        (None, {}),
        ({"horizon": "90D"}, {"horizon": "90D"}),
        ({"horizon": "30.5"}, {"horizon": 30.5}),
        ({"horizon": None}, {"horizon": None}),
        ({"draws": 7, "interval": 0.5, "discount_rate": 0}, None),
        ({"discounting": "monthly", "predictive": True}, None),
    ],
)
def test_pyfunc_predicts_what_the_posterior_does(
    mlflow: Any, logged: Any, saved: Path, params: Any, options: Any
) -> None:
    options = params if options is None else options
    model = mlflow.pyfunc.load_model(str(saved))
    expected = POSTERIOR.predict(RFM, **options)
    pd.testing.assert_frame_equal(model.predict(RFM, params=params), expected, check_exact=True)
    model = mlflow.pyfunc.load_model(logged[1].model_uri)
    expected = POSTERIOR.predict(
        RFM, **{"horizon": "52W", "draws": 20, "discount_rate": 0.25, **options}
    )
    pd.testing.assert_frame_equal(model.predict(RFM, params=params), expected, check_exact=True)


def test_the_model_keeps_what_predict_would_do_later(mlflow: Any, saved: Path) -> None:
    """All options are written down, so that another default does not change a model."""
    (params,) = [mlflow.models.get_model_info(str(saved)).signature.params]
    found = {spec.name: spec.default for spec in params}
    assert found == {
        "horizon": "365D",
        "discount_rate": 0.1,
        "discounting": "continuous",
        "interval": 0.9,
        "draws": 500,
        "predictive": False,
    }


def test_other_frames_without_an_example(mlflow: Any, saved: Path) -> None:
    found = mlflow.pyfunc.load_model(str(saved)).predict(pl.from_pandas(RFM))
    assert isinstance(found, pl.DataFrame)
    assert found.equals(POSTERIOR.predict(pl.from_pandas(RFM)))


def test_numbers_as_horizons_come_back_whole(mlflow: Any, tmp_path: Path) -> None:
    for name, horizon in (("third", 100 / 3), ("life", None), ("none", 0)):
        clv.mlflow.save_model(POSTERIOR, tmp_path / name, predict_options={"horizon": horizon})
        found = mlflow.pyfunc.load_model(str(tmp_path / name)).predict(RFM)
        pd.testing.assert_frame_equal(
            found, POSTERIOR.predict(RFM, horizon=horizon), check_exact=True
        )


# --- the posterior ---------------------------------------------------------------------


def test_the_posterior_comes_back(mlflow: Any, logged: Any, saved: Path) -> None:
    run_id, info = logged
    uris = (info.model_uri, f"runs:/{run_id}/value", "models:/customers/1", saved, str(saved))
    for uri in uris:
        found = clv.mlflow.load_model(uri)
        assert isinstance(found, clv.CLVPosterior)
        assert found.fingerprint() == POSTERIOR.fingerprint()
        assert found.verdicts == POSTERIOR.verdicts
        assert found.scale == POSTERIOR.scale
    raw = mlflow.pyfunc.load_model(str(saved)).get_raw_model()
    assert raw.fingerprint() == POSTERIOR.fingerprint()


def test_metadata_tags_and_figures(mlflow: Any, logged: Any) -> None:
    run_id, info = logged
    about = mlflow.models.get_model_info(info.model_uri).metadata
    assert about["note"] == "of March"
    known = about["clvmodels"]
    assert known["version"] == clv.__version__
    assert (known["time_unit"], known["time_scaler"]) == ("D", 7.0)
    assert known["fingerprint"] == POSTERIOR.fingerprint()
    for name, verdict in POSTERIOR.verdicts.items():
        assert Verdict.from_dict(known["models"][name]["verdict"]) == verdict
        assert known["models"][name]["draws"] == 30
    assert json.loads(json.dumps(known)) == known
    expected = {
        "team": "crm",
        "clvmodels.fingerprint": POSTERIOR.fingerprint(),
        "clvmodels.time_unit": "7 x D",
        "clvmodels.bgnbd.method": "laplace",
        "clvmodels.gamma_gamma.verdict": "pass",
    }
    tags = mlflow.get_logged_model(info.model_id).tags
    registered = mlflow.MlflowClient().get_model_version("customers", "1").tags
    assert expected.items() <= tags.items()
    assert expected.items() <= registered.items()
    figures = {
        "clvmodels.bgnbd.pareto_k_hat": 0.31,
        "clvmodels.bgnbd.importance_ess": 312.5,
        "clvmodels.gamma_gamma.pareto_k_hat": 0.31,
        "clvmodels.gamma_gamma.importance_ess": 312.5,
    }
    assert mlflow.get_run(run_id).data.metrics == figures
    metrics = mlflow.get_logged_model(info.model_id).metrics
    assert {metric.key: metric.value for metric in metrics} == figures


def test_without_a_run_none_is_started(mlflow: Any) -> None:
    before = len(mlflow.search_runs())
    info = clv.mlflow.log_model(POSTERIOR)
    assert mlflow.active_run() is None
    assert len(mlflow.search_runs()) == before
    assert clv.mlflow.load_model(info.model_uri).fingerprint() == POSTERIOR.fingerprint()


def test_checks_of_any_name_are_metrics(mlflow: Any) -> None:
    checks = (
        Check("distance from the mode, in posterior sd", 0.001, 0.01, "pass", ""),
        Check("smallest bulk ESS", float("nan"), 400.0, "warn", ""),
        Check("uncertainty", None, None, "unavailable", ""),
    )
    odd = clv.CLVPosterior(
        with_verdict(POSTERIOR.purchases, Verdict("map", checks)), POSTERIOR.spend
    )
    with mlflow.start_run() as run:
        clv.mlflow.log_model(odd)
    found = mlflow.get_run(run.info.run_id).data.metrics
    assert found["clvmodels.bgnbd.distance_from_the_mode_in_posterior_sd"] == 0.001
    assert not any("bulk" in name or "uncertainty" in name for name in found)


# --- what is written -------------------------------------------------------------------


def test_the_folder_holds_data_and_no_pickle(saved: Path) -> None:
    files = {str(file.relative_to(saved)) for file in saved.rglob("*") if file.is_file()}
    assert files == {
        *("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"),
        "data/posterior.nc",
    }
    needed = (saved / "requirements.txt").read_text().split()
    assert [line for line in needed if not line.startswith("mlflow==")] == [
        f"clvmodels=={clv.__version__}"
    ]
    for name in files - {"data/posterior.nc"}:
        text = (saved / name).read_text()
        assert "pickle" not in text
        assert not any(path in text for path in (str(Path.home()), str(saved.parent), os.getcwd()))
    loaded = clv.load_posterior(saved / "data" / "posterior.nc")
    assert loaded.fingerprint() == POSTERIOR.fingerprint()


def test_requirements_of_the_callers(mlflow: Any, tmp_path: Path) -> None:
    """They are added to this version, or stand for everything."""
    this = f"clvmodels=={clv.__version__}"
    (tmp_path / "more.txt").write_text("pandas\n")
    cases: dict[str, tuple[dict[str, Any], set[str]]] = {
        "whole": ({"pip_requirements": ["clvmodels", "pandas"]}, {"clvmodels", "pandas"}),
        "more": ({"extra_pip_requirements": ["pandas"]}, {this, "pandas"}),
        "file": ({"extra_pip_requirements": str(tmp_path / "more.txt")}, {this, "pandas"}),
    }
    for name, (options, expected) in cases.items():
        clv.mlflow.save_model(POSTERIOR, tmp_path / name, **options)
        found = (tmp_path / name / "requirements.txt").read_text().split()
        assert {line for line in found if not line.startswith("mlflow")} == expected


def test_an_example_makes_the_signature(mlflow: Any, logged: Any) -> None:
    info = logged[1]
    inputs = {spec.name: spec.type.name for spec in info.signature.inputs}
    assert inputs == {
        "customer_id": "string",
        "frequency": "long",
        **dict.fromkeys(("recency", "T", "monetary_value"), "double"),
    }
    assert info.signature.outputs.input_names() == list(POSTERIOR.predict(RFM))
    model = mlflow.pyfunc.load_model(info.model_uri)
    assert len(model.input_example) == 5
    assert len(model.predict(RFM.assign(channel="web"))) == 6
    with pytest.raises(mlflow.exceptions.MlflowException, match=r"missing inputs \['T'\]"):
        model.predict(RFM.drop(columns="T"))


# --- refusals --------------------------------------------------------------------------


def test_failed_fits_are_refused(mlflow: Any, tmp_path: Path) -> None:
    before = len(mlflow.search_logged_models())
    with mlflow.start_run() as run:
        with pytest.raises(ConvergenceError, match=r"bgnbd: .*k-hat 0.99.*on_failure='warn'"):
            clv.mlflow.log_model(FAILED)
        assert mlflow.get_run(run.info.run_id).data.metrics == {}
    with pytest.raises(ConvergenceError, match="k-hat"):
        clv.mlflow.save_model(FAILED, tmp_path / "failed")
    assert len(mlflow.search_logged_models()) == before
    assert list(tmp_path.iterdir()) == []
    with pytest.warns(UserWarning, match="gamma_gamma: The laplace fit did not converge"):
        clv.mlflow.save_model(FAILED, tmp_path / "failed", on_failure="warn")
    found = mlflow.models.get_model_info(str(tmp_path / "failed")).metadata["clvmodels"]
    assert found["models"]["bgnbd"]["verdict"]["status"] == "fail"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"predict_options": {"horizn": 3}}, SchemaError, "'horizn' is unknown.*'horizon'"),
        ({"predict_options": {"horizon": "soon"}}, TimeUnitError, "not one length of time"),
        ({"predict_options": {"interval": 90}}, DomainError, "interval=90"),
        ({"predict_options": {"draws": 1.5}}, DomainError, "draws=1.5"),
        ({"predict_options": {"predictive": "no"}}, SchemaError, "predictive='no'"),
        ({"predict_options": {"discounting": "daily"}}, SchemaError, "discounting='daily'"),
        ({"on_failure": "nuts"}, SchemaError, "on_failure='nuts' is unknown"),
        ({"input_example": {"T": [1]}}, SchemaError, "pyarrow Table, found dict"),
        ({"input_example": RFM.drop(columns="T")}, SchemaError, "lacks T"),
    ],
)
def test_bad_arguments_leave_nothing(
    mlflow: Any, tmp_path: Path, options: Any, error: type[ClvError], match: str
) -> None:
    with pytest.raises(error, match=match):
        clv.mlflow.save_model(POSTERIOR, tmp_path / "model", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_posterior_of_purchases_alone_is_refused(mlflow: Any, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="purchases and spend, found BetaGeoPosterior"):
        clv.mlflow.log_model(POSTERIOR.purchases)  # type: ignore[arg-type]


def test_other_models_are_not_opened(mlflow: Any, saved: Path, tmp_path: Path) -> None:
    text = (saved / "MLmodel").read_text()
    (tmp_path / "MLmodel").write_text(text.replace("clvmodels.mlflow", "mlflow.sklearn"))
    with pytest.raises(SchemaError, match="not a model of clvmodels"):
        clv.mlflow.load_model(tmp_path)


def test_a_damaged_file_is_named(mlflow: Any, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_bytes((saved / "MLmodel").read_bytes())
    whole = (saved / "data" / "posterior.nc").read_bytes()
    (tmp_path / "data" / "posterior.nc").write_bytes(whole[:5000])
    with pytest.raises(PosteriorFileError, match=r"posterior\.nc cannot be read"):
        clv.mlflow.load_model(tmp_path)
    with pytest.raises(PosteriorFileError, match=r"posterior\.nc cannot be read"):
        mlflow.pyfunc.load_model(str(tmp_path))


def test_without_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    for call in (
        lambda: clv.mlflow.save_model(POSTERIOR, tmp_path / "model"),
        lambda: clv.mlflow.log_model(POSTERIOR),
        lambda: clv.mlflow.load_model(tmp_path),
    ):
        with pytest.raises(SchemaError, match=r"pip install 'clvmodels\[mlflow\]'"):
            call()
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


# --- another process -------------------------------------------------------------------

LOADED = """
import socket, sys, threading
asked = []
def refuse(*address, **_):
    asked.append(address)
    raise OSError("no network in tests")
socket.getaddrinfo = socket.create_connection = refuse
import os
import clvmodels
import pandas as pd
posterior = clvmodels.mlflow.load_model(sys.argv[1])
info = clvmodels.mlflow.log_model(posterior)
import mlflow
frame = pd.read_json(sys.argv[2], orient="split")
scores = mlflow.pyfunc.load_model(info.model_uri).predict(frame, params={"draws": 5})
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join(2)
print(sorted({"pymc", "pytensor", "pymc_extras", "nutpie"} & set(sys.modules)))
print(posterior.fingerprint(), scores["clv"].sum().hex())
print(asked, "MLFLOW_DISABLE_TELEMETRY" in os.environ)
"""


@pytest.mark.slow
def test_a_process_that_only_scores(saved: Path, tmp_path: Path) -> None:
    """No PyMC; and MLflow, which reports its usage by default, reports nothing."""
    RFM.to_json(tmp_path / "rfm.json", orient="split")
    # MLflow is silent of its own accord under these names, so they must not be there
    hidden = ("CI", "GITHUB", "PYTEST", "MLFLOW", "DO_NOT_TRACK", "JENKINS", "TRAVIS", "BUILD")
    env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    env |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_TRACKING_URI": (tmp_path / "runs").as_uri()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED, str(saved), str(tmp_path / "rfm.json")],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        cwd=Path(clv.__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    total = POSTERIOR.predict(RFM, draws=5)["clv"].sum()
    assert done.stdout.splitlines() == [
        "[]",
        f"{POSTERIOR.fingerprint()} {float(total).hex()}",
        "[] False",
    ]
