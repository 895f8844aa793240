"""Save, log and load a posterior as an MLflow model."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from clvmodels.errors import SchemaError
from clvmodels.mlflow.logged import figures_of, tags_of
from clvmodels.mlflow.saved_parts import LOADER, OnFailure, parts, with_requirements
from clvmodels.posterior import CLVPosterior, load_posterior
from clvmodels.schema import shown

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.posterior.terms import PredictOptions
    from clvmodels.rfm import RfmTable

_FLAVOR: Final = "python_function"
_TELEMETRY: Final = "MLFLOW_DISABLE_TELEMETRY"
# What MLflow says of itself on import, pandas 3 of MLflow, and MLflow of models without
# example and of whole numbers, which in tables of customers are never missing
_NOISE: Final = (
    "Any type hint is inferred as AnyType",
    "Operation with range is deprecated",
    "An input example was not provided",
    "Inferred schema contains integer column",
)


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
        shared = parts(posterior, Path(aside), predict_options, input_example, on_failure)
        shared["metadata"] = {**(metadata or {}), **shared["metadata"]}
        mlflow.pyfunc.save_model(path=str(path), **shared, **with_requirements(options))
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
    MLflow is taken to be in the posterior's unit, and its values are at the margin of the base
    that was fitted; each row says it in its column ``margin``.

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
        predict does not take an option in predict_options, or not with this value.

    Examples
    --------
    >>> import mlflow                                                       # doctest: +SKIP
    >>> info = clvmodels.mlflow.log_model(posterior, input_example=rfm)     # doctest: +SKIP
    >>> model = mlflow.pyfunc.load_model(info.model_uri)                    # doctest: +SKIP
    >>> scores = model.predict(frame, params={"horizon": "52W"})            # doctest: +SKIP
    """
    with _mlflow() as mlflow, tempfile.TemporaryDirectory() as aside:
        shared = parts(posterior, Path(aside), predict_options, input_example, on_failure)
        shared["metadata"] = {**(metadata or {}), **shared["metadata"]}
        if mlflow.active_run() is not None:
            mlflow.log_metrics(figures_of(posterior))
        return mlflow.pyfunc.log_model(
            name=name,
            registered_model_name=registered_model_name,
            tags={**(tags or {}), **tags_of(posterior)},
            **shared,
            **with_requirements(options),
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
    if flavor.get("loader_module") != LOADER:
        raise SchemaError(
            f"{shown(str(model_uri))} is not a model of clvmodels: load it with mlflow.pyfunc."
        )
    return cast("CLVPosterior", load_posterior(folder / flavor["data"]))


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
