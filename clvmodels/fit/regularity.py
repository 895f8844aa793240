"""How regularly customers buy, k, chosen by the evidence of Laplace fits.

Apart from the models, since it fits some of them: k from 1 on, as long as the evidence grows.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from clvmodels.errors import ConvergenceError
from clvmodels.fit.evidence import evidence_in, evidence_of
from clvmodels.fit.run import AUTO_CUSTOMERS, OnFailure, Settings
from clvmodels.purchases import regularities

if TYPE_CHECKING:
    from clvmodels.fit.purchases import RegularSpecification
    from clvmodels.posterior import PurchasePosterior
    from clvmodels.rfm.histories import RfmColumns

# Chosen by these: a comparison takes 500 draws
_DRAWS, _CHAINS, _IMPORTANCE_DRAWS = 1000, 4, 1000
NO_GAPS: Final = (
    "Regular timing (k > 1) was not tried, since the table does not have the gaps between "
    "purchases: make it with rfm_summary."
)


def final_method(settings: Settings, customers: int) -> str:
    """By what a fit ends that is asked for by these settings."""
    if settings.method != "auto":
        return settings.method
    return "nuts" if customers < AUTO_CUSTOMERS else "laplace"


def trial_of(settings: Settings, customers: int) -> Settings:
    """How models are fitted to be compared: by Laplace; by NUTS where that fails and is quick."""
    again: OnFailure = "nuts" if customers < AUTO_CUSTOMERS else "raise"
    if final_method(settings, customers) == "laplace":
        return replace(settings, method="laplace", on_failure=again)
    return replace(
        settings,
        method="laplace",
        on_failure=again,
        draws=_DRAWS,
        chains=_CHAINS,
        importance_draws=_IMPORTANCE_DRAWS,
    )


def fit_of_best_regularity(
    model: RegularSpecification[Any],
    columns: RfmColumns,
    settings: Settings,
    *,
    observation_end: str | None,
) -> PurchasePosterior:
    """Fit a model with the regularity that has the greatest evidence.

    Parameters
    ----------
    model : RegularSpecification
        With its priors.
    columns : RfmColumns
        The base.
    settings : Settings
        How the one that is kept is fitted.
    observation_end : str or None
        Of the base.
    """
    end: dict[str, Any] = {"observation_end": observation_end}
    found: PurchasePosterior
    if columns.log_gaps is None:
        found = model.replace(regularity=1)._fit_columns(columns, settings, **end)
        notes = (*found.metadata.notes, NO_GAPS)
        return replace(found, metadata=replace(found.metadata, notes=notes))
    trial = replace(trial_of(settings, len(columns)), progressbar=False)
    tried, notes = _tried(model, columns, trial, end)
    best = max(tried, key=lambda k: tried[k][0], default=1)
    if len(tried) and final_method(settings, len(columns)) == "laplace":
        found = tried[best][1]
    else:
        found = model.replace(regularity=best)._fit_columns(columns, settings, **end)
    metadata = found.metadata
    why = _why({k: evidence for k, (evidence, _) in tried.items()}, best)
    return replace(found, metadata=replace(metadata, why=why, notes=(*metadata.notes, *notes)))


def _tried(
    model: RegularSpecification[Any], columns: RfmColumns, trial: Settings, end: dict[str, Any]
) -> tuple[dict[int, tuple[float, PurchasePosterior]], tuple[str, ...]]:
    """Evidence and fit of every k, until it falls; and which had none."""
    found: dict[int, tuple[float, PurchasePosterior]] = {}
    failed: list[str] = []
    for k, facts in regularities(model.facts).items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # said in the notes
                fit = model.replace(regularity=k)._fit_columns(columns, trial, **end)
        except ConvergenceError:
            failed.append(f"{facts.name} was left out: its fit did not converge.")
            continue
        evidence = evidence_in(fit, columns)
        if evidence is None:  # by NUTS, whose draws do not tell it
            evidence = evidence_of(model.replace(regularity=k), columns).value
        found[k] = (evidence, fit)
        if k > 1 and evidence < max(known for known, _ in found.values()):
            break
    return found, tuple(failed)


def _why(evidence: dict[int, float], best: int) -> str:
    others = {k: value for k, value in evidence.items() if k != best}
    if not others:
        return ""
    near = max(others, key=lambda k: others[k])
    return (
        f"Regularity k = {best} was chosen of {', '.join(map(str, sorted(evidence)))}. Its log "
        f"evidence is {evidence[best] - others[near]:,.1f} above that of k = {near}."
    )
