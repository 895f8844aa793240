"""How likely a base is under a model whatever its parameters: the evidence, by Laplace.

The density of a base and of parameters, integrated over parameters: exactly the constant by
which the posterior is normalised. Apart, since no fit needs it: what chooses among models
does (`model="auto"`, `regularity="auto"`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clvmodels.fit.clock_learning import learn_clock
from clvmodels.fit.density import compile_density
from clvmodels.fit.laplace import gaussian_evidence, sample_laplace
from clvmodels.fit.mode import find_mode
from clvmodels.purchases.clock import clock_of
from clvmodels.rfm.gaps import gaps_of, total
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import TimeUnit, scale_said
from clvmodels.threads import one_at_a_time

if TYPE_CHECKING:
    import pymc as pm

    from clvmodels.fit.purchases import PurchaseSpecification
    from clvmodels.frames import Frame
    from clvmodels.posterior import PurchasePosterior
    from clvmodels.purchases.family import Family
    from clvmodels.rfm import RfmTable

DRAWS: Final = 1000


@dataclass(frozen=True, slots=True)
class Evidence:
    """Log marginal likelihood of a base under a model with its priors.

    Attributes
    ----------
    value : float
        By importance sampling from the Laplace approximation; with the gaps between
        purchases, so that models of any regularity can be compared.
    laplace : float
        By the Gaussian at the mode alone.
    error : float
        Monte Carlo standard error of ``value``; less in truth, as the points are spread
        evenly.
    khat : float
        Pareto shape of the weights: above 0.7 ``value`` is not to be relied upon.
    """

    value: float
    laplace: float
    error: float
    khat: float


def log_evidence(
    specification: PurchaseSpecification[Any],
    rfm: RfmTable | Frame,
    *,
    draws: int = DRAWS,
    random_seed: int = 0,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> Evidence:
    """Log evidence of a purchase model for a base.

    Differences between models are log Bayes factors, whatever the base's unit of time is, as
    long as their priors are the default ones, which have no unit.

    Parameters
    ----------
    specification : PurchaseSpecification
        A model with its priors, such as ``BetaGeoModel()``.
    rfm : RfmTable or frame
        The base.
    draws : int
        Points at which the density is evaluated, at least 100.
    random_seed : int
        Of the points.
    time_unit, time_scaler : optional
        The unit that a frame's recency and T are in.

    Returns
    -------
    Evidence

    Raises
    ------
    SchemaError
        The model is of regular timing, and the table does not have the gaps between
        purchases.

    See Also
    --------
    evidence_of_fit : Of a posterior that was fitted by Laplace, at no cost.
    """
    said = scale_said(time_unit, time_scaler)
    columns = rfm_columns(rfm, said=said, whole=True)
    return evidence_of(specification, columns, draws, random_seed)


@one_at_a_time("pytensor")
def evidence_of(
    specification: PurchaseSpecification[Any],
    columns: RfmColumns,
    draws: int = DRAWS,
    random_seed: int = 0,
) -> Evidence:
    """The same of a table that was checked already."""
    if (clock := clock_of(specification.clock)) is not None:
        value = learn_clock(specification, columns, clock, random_seed).log_evidence
        return Evidence(value, value, math.nan, math.nan)
    beside = _beside(specification.facts.formulas, columns)
    columns, design = specification._designed(columns)
    statistics, scale = specification._prepare(columns)
    model = specification._build(statistics, scale, design)
    key = specification._key(design)
    found = model_evidence(model, draws, random_seed, key=key)
    return Evidence(found.value + beside, found.laplace + beside, found.error, found.khat)


def evidence_of_fit(posterior: PurchasePosterior, rfm: RfmTable | Frame) -> float | None:
    """Log evidence of a model for the base that it was fitted to, by the fit's own weights.

    Parameters
    ----------
    posterior : PurchasePosterior
        Fitted by Laplace.
    rfm : RfmTable or frame
        The same base.

    Returns
    -------
    float or None
        As ``Evidence.value``; None where the fit was by another method, whose draws do not
        tell it, or of a version that did not keep it.

    Raises
    ------
    SchemaError
        The model is of regular timing, and the table does not have the gaps between
        purchases.
    """
    return evidence_in(posterior, rfm_columns(rfm, scale=posterior.scale))


def evidence_in(posterior: PurchasePosterior, columns: RfmColumns) -> float | None:
    """The same of a table that was checked already."""
    if posterior.metadata.clock is not None:  # of both together, gaps included
        return posterior.metadata.clock.log_evidence
    stats = posterior.tree.children.get("sample_stats")
    if stats is None or "log_evidence" not in stats:
        return None
    return float(stats["log_evidence"]) + _beside(posterior.formulas, columns)


def model_evidence(
    model: pm.Model, draws: int = DRAWS, random_seed: int = 0, *, key: Hashable | None = None
) -> Evidence:
    """Log integral of a PyMC model's density over its parameters.

    Parameters
    ----------
    model : pm.Model
        With scalar, continuous free variables.
    draws, random_seed : int
        As in `log_evidence`.
    key : hashable, optional
        As in `clvmodels.fit.run.infer`.
    """
    density = compile_density(model, key=key)
    mode = find_mode(density)
    found = sample_laplace(
        density, mode, draws=1, chains=1, importance_draws=draws, seed=random_seed
    )
    error = math.sqrt(max(1.0 / found.importance_ess - 1.0 / draws, 0.0))
    return Evidence(found.log_evidence, gaussian_evidence(mode), error, found.khat)


def _beside(family: Family, columns: RfmColumns) -> float:
    """What the likelihood of a base owes to the gaps alone."""
    return family.gap_power * total(gaps_of(columns)) if family.gap_power else 0.0
