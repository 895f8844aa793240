"""What to say of a posterior before a base is scored with it."""

from __future__ import annotations

from typing import Final

import pandas as pd

from clvmodels.posterior import CLVPosterior
from clvmodels.verdict import explain_failure

MAX_AGE_DAYS: Final = 90.0
MAX_AGE_SHARE: Final = 0.1


def concerns(posterior: CLVPosterior, observation_end: pd.Timestamp | None) -> list[str]:
    """Say what speaks against scoring with a posterior: failed fits, and its age.

    A posterior is too old when the base was observed for longer after it than a tenth of
    its training window (the longest T), or than 90 days.
    """
    failed = [
        f"{model}: {explain_failure(verdict)}"
        for model, verdict in posterior.verdicts.items()
        if not verdict.ok
    ]
    return failed + _age(posterior, observation_end)


def _age(posterior: CLVPosterior, observation_end: pd.Timestamp | None) -> list[str]:
    metadata = posterior.purchases.metadata
    if observation_end is None or metadata.observation_end is None:
        return []
    fitted = pd.Timestamp(metadata.observation_end)
    days = (observation_end - fitted).days
    dates = f"{observation_end:%Y-%m-%d}, the posterior's base to {fitted:%Y-%m-%d}"
    if days < 0:
        return [f"The base was observed to {dates}: an older base than the one that was fitted."]
    limit = MAX_AGE_DAYS
    if "max_T" in metadata.base:
        limit = min(limit, MAX_AGE_SHARE * metadata.base["max_T"] * metadata.scale.days)
    if days <= limit:
        return []
    return [
        f"The base was observed to {dates}: the posterior is {days:,} days older, more than "
        f"{limit:.0f}. Fit again."
    ]
