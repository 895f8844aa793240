"""What is told of a posterior beside its file: metadata, tags and metrics."""

from __future__ import annotations

import math
import re
from typing import Any

from clvmodels import __version__
from clvmodels.posterior import CLVPosterior


def metadata_of(posterior: CLVPosterior) -> dict[str, Any]:
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
            for one in posterior.fits
        },
    }


def tags_of(posterior: CLVPosterior) -> dict[str, str]:
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


def figures_of(posterior: CLVPosterior) -> dict[str, float]:
    """The checks of both fits that have a figure, by names that MLflow takes."""
    return {
        f"clvmodels.{model}.{re.sub('[^a-z0-9]+', '_', check.name.lower())}": float(check.value)
        for model, verdict in posterior.verdicts.items()
        for check in verdict.checks
        if check.value is not None and math.isfinite(check.value)
    }
