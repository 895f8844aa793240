"""The arguments that saving and logging a model share, checked before anything is written."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clvmodels import __version__, frames
from clvmodels.errors import ConvergenceError, SchemaError
from clvmodels.mlflow.logged import metadata_of
from clvmodels.mlflow.pyfunc import text_of
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.scorable import asked_for
from clvmodels.rfm import RfmTable
from clvmodels.rfm.customers import read_numbers
from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    T,
    TimeScale,
    check_choice,
    check_flag,
    check_whole,
)
from clvmodels.verdict import explain_failure

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.posterior.terms import PredictOptions

OnFailure = Literal["raise", "warn"]

LOADER: Final = "clvmodels.mlflow"
_FILE: Final = "posterior.nc"
_EXAMPLE_ROWS: Final = 5
_FLOATS: Final = (RECENCY, T, MONETARY_VALUE, FIRST_VALUE)
_COLUMNS: Final = (CUSTOMER_ID, FREQUENCY, *_FLOATS)
# Text, so that "365D", a number and nothing all fit
_TYPES: Final = {
    "horizon": "string",
    "discount_rate": "double",
    "discounting": "string",
    "interval": "double",
    "draws": "long",
    "predictive": "boolean",
}


def parts(
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
    if posterior.purchases.metadata.clock is not None:
        raise SchemaError(
            "MLflow's models predict plain frames, which know no dates, and this posterior has a "
            "clock: save it with posterior.save, and score tables with clvmodels.score."
        )
    _check_verdicts(posterior, on_failure)
    options = _checked(posterior, predict_options or {})
    example = None if input_example is None else _example(input_example, posterior.scale)
    return {
        "loader_module": LOADER,
        "data_path": str(posterior.save(aside / _FILE)),
        "signature": _signature(posterior, options, example),
        "input_example": example,
        "metadata": {"clvmodels": metadata_of(posterior)},
    }


def with_requirements(options: dict[str, Any]) -> dict[str, Any]:
    """Ask for this version, from wherever, unless the caller names the whole environment."""
    if {"conda_env", "pip_requirements"} & set(options):
        return options
    extra = options.pop("extra_pip_requirements", None) or []
    more = [f"-r {extra}"] if isinstance(extra, str) else extra
    return options | {"pip_requirements": [f"clvmodels=={__version__}", *more]}


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
        raise ConvergenceError(f"{failed} To log the model all the same, pass on_failure='warn'.")
    warnings.warn(failed, UserWarning, stacklevel=4)


def _checked(posterior: CLVPosterior, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of predict: those given, and its own defaults."""
    signature = inspect.signature(CLVPosterior.predict).parameters
    options = {name: signature[name].default for name in _TYPES}
    for name in given:
        check_choice("predict_options", name, tuple(options))
    options |= given
    terms = {name: value for name, value in options.items() if name != "predictive"}
    asked_for(posterior, **terms)
    return options | {
        "discount_rate": float(options["discount_rate"]),
        "interval": float(options["interval"]),
        "draws": check_whole("draws", options["draws"]),
        "predictive": check_flag("predictive", options["predictive"]),
    }


def _example(given: RfmTable | Frame, scale: TimeScale) -> Any:
    """Take a few customers as pandas: the columns that predict reads, in a table's types."""
    frame = given.table if isinstance(given, RfmTable) else frames.eager(given)
    columns = frames.to_arrow(frames.out_of_index(frame, CUSTOMER_ID), _COLUMNS)
    few = columns.slice(0, _EXAMPLE_ROWS)
    return frames.to_pandas(few).assign(
        **{
            name: read_numbers(name, few[name], scale, "The table")
            for name in _FLOATS
            if name in few.column_names
        }
    )


def _signature(posterior: CLVPosterior, options: dict[str, Any], example: Any) -> Any:
    """The params with their defaults and, of an example, the columns in and out."""
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ParamSchema, ParamSpec

    defaults = options | {"horizon": text_of(options["horizon"])}
    params = ParamSchema([ParamSpec(name, kind, defaults[name]) for name, kind in _TYPES.items()])
    if example is None:
        return ModelSignature(params=params)
    found = infer_signature(example, posterior.predict(example, **options))
    return ModelSignature(inputs=found.inputs, outputs=found.outputs, params=params)
