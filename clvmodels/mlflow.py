"""Posteriors as MLflow models, with their verdict beside them and without pickle.

A model's folder holds the posterior's own NetCDF file, which nothing but data can come
out of. `load_model` gives the posterior back; ``mlflow.pyfunc.load_model`` gives a model
whose ``predict`` takes a frame of customers and returns that of
:meth:`clvmodels.CLVPosterior.predict`. Loading and predicting need no PyMC.

There is no Spark UDF here: ``clvmodels.spark.score`` scores a Spark DataFrame, with every
row that cannot be scored and its reason, where a UDF would fail or return nothing.

MLflow is an optional dependency: ``pip install 'clvmodels[mlflow]'``. Its reports of usage
to its makers are turned off while a function of this module runs, unless the variable
MLFLOW_DISABLE_TELEMETRY says otherwise.
"""

from __future__ import annotations

import inspect
import math
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clvmodels import __version__, frames
from clvmodels.errors import ConvergenceError, SchemaError
from clvmodels.posterior import CLVPosterior, load_posterior
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    Horizon,
    T,
    check_choice,
    check_flag,
    check_whole,
    shown,
)
from clvmodels.verdict import explain_failure

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.posterior.options import PredictOptions

__all__ = ["load_model", "log_model", "save_model"]

OnFailure = Literal["raise", "warn"]

_FLAVOR: Final = "python_function"
_FILE: Final = "posterior.nc"
_TELEMETRY: Final = "MLFLOW_DISABLE_TELEMETRY"
_EXAMPLE_ROWS: Final = 5
_FLOATS: Final = (RECENCY, T, MONETARY_VALUE, FIRST_VALUE)
_COLUMNS: Final = (CUSTOMER_ID, FREQUENCY, *_FLOATS)
# What MLflow says of itself on import, pandas 3 of MLflow, and MLflow of models without
# example and of whole numbers, which in tables of customers are never missing
_NOISE: Final = (
    "Any type hint is inferred as AnyType",
    "Operation with range is deprecated",
    "An input example was not provided",
    "Inferred schema contains integer column",
)
# Text, so that "365D", a number and nothing all fit
_TYPES: Final = {
    "horizon": "string",
    "discount_rate": "double",
    "discounting": "string",
    "interval": "double",
    "draws": "long",
    "predictive": "boolean",
}


def save_model(
    posterior: CLVPosterior,
    path: str | Path,
    *,
    predict_options: PredictOptions | None = None,
    input_example: RfmTable | Frame | None = None,
    on_failure: OnFailure = "raise",
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Save a posterior as an MLflow model in a folder of this machine.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    path : str or Path
        A folder that does not exist yet, or is empty.
    predict_options, input_example, on_failure, metadata
        As in `log_model`.
    **options
        Further arguments of ``mlflow.pyfunc.save_model``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError, ConvergenceError
        As `log_model`.
    """
    with _mlflow() as mlflow, tempfile.TemporaryDirectory() as aside:
        parts = _parts(mlflow, posterior, Path(aside), predict_options, input_example, on_failure)
        parts["metadata"] = {**(metadata or {}), **parts["metadata"]}
        mlflow.pyfunc.save_model(path=str(path), **parts, **_own_requirements(options))
    return Path(path)


def log_model(
    posterior: CLVPosterior,
    *,
    name: str = "clvmodels",
    predict_options: PredictOptions | None = None,
    input_example: RfmTable | Frame | None = None,
    registered_model_name: str | None = None,
    on_failure: OnFailure = "raise",
    tags: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Log a posterior as an MLflow model, to the active run if there is one.

    The model's metadata say which unit of time it expects, how it was fitted and how that
    went: under the key "clvmodels" its version, time_unit and time_scaler, observation_end,
    the posterior's fingerprint, and for each of the two models method, draws, verdict with
    every check, seed, notes and versions. Verdict, fingerprint and unit are tags of the
    model as well, and the figures of the checks metrics of the active run.

    **A frame says nothing of its unit of time or its margin.** What the model gets through
    MLflow is taken to be in the posterior's unit, and its values are of revenue: margin 1.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    name : str
        Of the logged model.
    predict_options : mapping, optional
        Keyword arguments of :meth:`CLVPosterior.predict` that the model predicts with
        unless its ``params`` say otherwise: horizon, discount_rate, discounting, interval,
        draws, predictive. What is not named has predict's own default.
    input_example : RfmTable or frame, optional
        Customers, whose first five rows, ids too, are stored with the model. Their columns
        and types (recency, T and amounts as double) become its signature, which MLflow then
        demands of every input, so that whole numbers will not do for T. Without example any
        frame that predict takes will do.
    registered_model_name : str, optional
        Register the model under this name.
    on_failure : {"raise", "warn"}
        What a posterior whose fit failed does: it is refused, or logged with a warning.
    tags, metadata : mapping, optional
        More of them.
    **options
        Further arguments of ``mlflow.pyfunc.log_model``.

    Returns
    -------
    mlflow.models.model.ModelInfo
        Whose ``model_uri`` is for `load_model` and ``mlflow.pyfunc.load_model``.

    Raises
    ------
    ConvergenceError
        A fit failed, and ``on_failure`` is "raise".
    SchemaError
        It is no CLVPosterior, predict_options has a name that predict does not know, or
        MLflow is not installed.
    TimeUnitError, DomainError
        A value in predict_options is none that predict takes.

    Examples
    --------
    >>> import mlflow                                                       # doctest: +SKIP
    >>> info = clvmodels.mlflow.log_model(posterior, input_example=rfm)     # doctest: +SKIP
    >>> model = mlflow.pyfunc.load_model(info.model_uri)                    # doctest: +SKIP
    >>> scores = model.predict(frame, params={"horizon": "52W"})            # doctest: +SKIP
    """
    with _mlflow() as mlflow, tempfile.TemporaryDirectory() as aside:
        parts = _parts(mlflow, posterior, Path(aside), predict_options, input_example, on_failure)
        parts["metadata"] = {**(metadata or {}), **parts["metadata"]}
        if mlflow.active_run() is not None:
            mlflow.log_metrics(_figures(posterior))
        return mlflow.pyfunc.log_model(
            name=name,
            registered_model_name=registered_model_name,
            tags={**(tags or {}), **_tags(posterior)},
            **parts,
            **_own_requirements(options),
        )


def load_model(model_uri: str | Path) -> CLVPosterior:
    """Load the posterior of a model that `log_model` or `save_model` wrote.

    Parameters
    ----------
    model_uri : str or Path
        Of any form that MLflow reads: "models:/name/1", "runs:/<id>/clvmodels", a folder.

    Returns
    -------
    CLVPosterior
        Both posteriors, with the metadata that they had.

    Raises
    ------
    SchemaError
        It is another kind of model, or MLflow is not installed.
    PosteriorFileError
        The model's file is damaged, or of a newer version of clvmodels.
    """
    with _mlflow() as mlflow:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=str(model_uri)))
        flavor = mlflow.models.Model.load(str(folder)).flavors.get(_FLAVOR, {})
    if flavor.get("loader_module") != __name__:
        raise SchemaError(
            f"{shown(str(model_uri))} is no model of clvmodels: load it with mlflow.pyfunc."
        )
    return _posterior(folder / flavor["data"])


def _load_pyfunc(path: str) -> _Pyfunc:
    """What mlflow.pyfunc.load_model calls, with the path of our file."""
    return _Pyfunc(_posterior(Path(path)))


class _Pyfunc:
    """A posterior behind MLflow's interface."""

    def __init__(self, posterior: CLVPosterior) -> None:
        self.posterior = posterior

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict a frame of customers; MLflow fills in the params that were logged."""
        options: dict[str, Any] = dict(params or {})
        if "horizon" in options:
            options["horizon"] = _horizon_of(options["horizon"])
        return self.posterior.predict(model_input, **options)

    def get_raw_model(self) -> CLVPosterior:
        """Return the posterior, as ``PyFuncModel.get_raw_model`` has it."""
        return self.posterior


@contextmanager
def _mlflow() -> Iterator[Any]:
    """Yield MLflow, which tells nobody of what is done with it here."""
    chosen = _TELEMETRY in os.environ
    os.environ.setdefault(_TELEMETRY, "true")
    try:
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", f"(?s).*{message}")
            yield _imported()
    finally:
        if not chosen:
            os.environ.pop(_TELEMETRY, None)


def _imported() -> Any:
    try:
        import mlflow
        import mlflow.artifacts
        import mlflow.models
        import mlflow.pyfunc
    except ImportError as error:
        raise SchemaError(
            f"MLflow is not installed ({error}): pip install 'clvmodels[mlflow]'."
        ) from error
    return mlflow


def _parts(
    mlflow: Any,
    posterior: CLVPosterior,
    aside: Path,
    predict_options: PredictOptions | None,
    input_example: RfmTable | Frame | None,
    on_failure: OnFailure,
) -> dict[str, Any]:
    """Check everything, and make the arguments that saving and logging share."""
    if not isinstance(posterior, CLVPosterior):
        raise SchemaError(
            f"A model needs a posterior of purchases and spend, found {type(posterior).__name__}: "
            "fit a table with amounts."
        )
    _check_verdicts(posterior, on_failure)
    options = _checked(posterior, predict_options or {})
    example = None if input_example is None else _example(input_example)
    return {
        "loader_module": __name__,
        "data_path": str(posterior.save(aside / _FILE)),
        "signature": _signature(mlflow, posterior, options, example),
        "input_example": example,
        "metadata": {"clvmodels": _metadata(posterior)},
    }


def _own_requirements(options: dict[str, Any]) -> dict[str, Any]:
    """Ask for this version, whatever the machine has it from, unless the caller asks for more."""
    given = {"conda_env", "pip_requirements"} & set(options)
    return options if given else {"pip_requirements": [f"clvmodels=={__version__}"], **options}


def _check_verdicts(posterior: CLVPosterior, on_failure: OnFailure) -> None:
    check_choice("on_failure", on_failure, ("raise", "warn"))
    failed = " ".join(
        f"{model}: {explain_failure(verdict)}"
        for model, verdict in posterior.verdicts.items()
        if not verdict.ok
    )
    if not failed:
        return
    if on_failure == "raise":
        raise ConvergenceError(f"{failed} on_failure='warn' logs the model all the same.")
    warnings.warn(failed, UserWarning, stacklevel=4)


def _checked(posterior: CLVPosterior, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of predict: those given, and its own defaults."""
    signature = inspect.signature(CLVPosterior.predict).parameters
    options = {name: signature[name].default for name in _TYPES}
    for name in given:
        check_choice("predict_options", name, tuple(options))
    options |= given
    terms = {name: value for name, value in options.items() if name != "predictive"}
    posterior.future_and_draws(**terms, margin=1.0)
    return options | {
        "discount_rate": float(options["discount_rate"]),
        "interval": float(options["interval"]),
        "draws": check_whole("draws", options["draws"]),
        "predictive": check_flag("predictive", options["predictive"]),
    }


def _example(given: RfmTable | Frame) -> Any:
    """Take a few customers as pandas: the columns that predict reads, in a table's types."""
    columns = frames.to_pandas(given.table if isinstance(given, RfmTable) else given, _COLUMNS)
    there = [name for name in _COLUMNS if name in columns]
    few = columns[there].head(_EXAMPLE_ROWS).reset_index(drop=True)
    return few.astype({name: "float64" for name in there if name in _FLOATS})


def _signature(mlflow: Any, posterior: CLVPosterior, options: dict[str, Any], example: Any) -> Any:
    """The params with their defaults and, of an example, the columns in and out."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ParamSchema, ParamSpec

    defaults = options | {"horizon": _text_of(options["horizon"])}
    params = ParamSchema([ParamSpec(name, kind, defaults[name]) for name, kind in _TYPES.items()])
    if example is None:
        return ModelSignature(params=params)
    found = infer_signature(example, posterior.predict(example, **options))
    return ModelSignature(inputs=found.inputs, outputs=found.outputs, params=params)


def _text_of(horizon: Horizon) -> str | None:
    return horizon if horizon is None or isinstance(horizon, str) else repr(float(horizon))


def _horizon_of(text: str | None) -> Horizon:
    """Read a horizon that was text, since a param has one type; a bare number is one."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _metadata(posterior: CLVPosterior) -> dict[str, Any]:
    """Where the model comes from and what its numbers mean, as plain values."""
    return {
        "version": __version__,
        "time_unit": posterior.scale.time_unit,
        "time_scaler": posterior.scale.time_scaler,
        "observation_end": posterior.purchases.metadata.observation_end,
        "fingerprint": posterior.fingerprint(),
        "models": {
            one.metadata.model: {
                "method": one.metadata.method,
                "draws": one.draws_total,
                "verdict": one.verdict.to_dict(),
                "seed": one.metadata.seed,
                "notes": list(one.metadata.notes),
                "versions": dict(one.metadata.versions),
            }
            for one in (posterior.purchases, posterior.spend)
        },
    }


def _tags(posterior: CLVPosterior) -> dict[str, str]:
    """What to search models by."""
    return {
        "clvmodels.version": __version__,
        "clvmodels.time_unit": str(posterior.scale),
        "clvmodels.fingerprint": posterior.fingerprint(),
        **{
            f"clvmodels.{model}.{name}": value
            for model, verdict in posterior.verdicts.items()
            for name, value in (("method", verdict.method), ("verdict", verdict.status))
        },
    }


def _figures(posterior: CLVPosterior) -> dict[str, float]:
    """The checks of both fits that have a figure, by names that MLflow takes."""
    return {
        f"clvmodels.{model}.{re.sub('[^a-z0-9]+', '_', check.name.lower())}": float(check.value)
        for model, verdict in posterior.verdicts.items()
        for check in verdict.checks
        if check.value is not None and math.isfinite(check.value)
    }


def _posterior(path: Path) -> CLVPosterior:
    posterior: CLVPosterior = load_posterior(path)
    return posterior
