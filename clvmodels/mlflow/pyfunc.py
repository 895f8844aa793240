"""What ``mlflow.pyfunc`` loads: a posterior behind MLflow's interface."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from clvmodels.posterior import CLVPosterior, load_posterior
from clvmodels.schema import Horizon, plain_horizon


def _load_pyfunc(path: str) -> _Pyfunc:
    """What mlflow.pyfunc.load_model calls, with the path of our file."""
    return _Pyfunc(cast("CLVPosterior", load_posterior(Path(path))))


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


def text_of(horizon: Horizon) -> str | None:
    """Write a horizon as text, numbers with all their digits."""
    plain = plain_horizon(horizon)
    return plain if plain is None or isinstance(plain, str) else repr(plain)


def _horizon_of(text: str | None) -> Horizon:
    """Read a horizon that was text, since a param has one type; a bare number is one."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
