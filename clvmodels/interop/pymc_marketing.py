"""Fitted models of pymc-marketing, from there and to there.

Both packages write their models in the same parameters, so draws are
handed over as they are. What has to be carried along is what they mean: the unit of
time, the priors, how the draws were made, and whether they may be used.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels import __version__
from clvmodels.dates import moment_of
from clvmodels.errors import (
    ClvError,
    ConvergenceError,
    DomainError,
    SchemaError,
    TimeUnitError,
    one_line,
)
from clvmodels.fit.nuts import STATISTICS
from clvmodels.fit.priors import as_dict
from clvmodels.fit.specification import Specification, iso_date
from clvmodels.interop.foreign_verdicts import judge
from clvmodels.interop.peer import Counterpart, OnePosterior, counterparts, pymc_marketing_clv
from clvmodels.interop.to_pymc_marketing import PymcMarketingModels, to_pymc_marketing
from clvmodels.keywords import named
from clvmodels.model_facts import ModelFacts
from clvmodels.posterior import CLVPosterior, Metadata, PurchasePosterior
from clvmodels.posterior.core import SAMPLE_DIMS
from clvmodels.rfm.histories import rfm_columns
from clvmodels.schema import (
    FREQUENCY,
    RECENCY,
    FloatArray,
    T,
    TimeScale,
    TimeUnit,
    check_choice,
)
from clvmodels.verdict import Verdict, explain_failure

__all__ = ["PymcMarketingModels", "from_pymc_marketing", "to_pymc_marketing"]

_OF_LAPLACE: Final = ("khat", "importance_ess", "importance_draws", "log_evidence")
_OF_METROPOLIS: Final = ("accept", "accepted")
_KEPT: Final = (
    "sampling_time",
    "seed",
    "created_at",
    "inference_library",
    "inference_library_version",
)


@named
def from_pymc_marketing(
    model: Any,
    spend: Any = None,
    *,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    observation_end: str | date | None = None,
    on_failure: Literal["raise", "warn"] = "raise",
) -> Any:
    """Convert fitted models of pymc-marketing.

    Draws, priors and sampler statistics are kept, and the fit is checked again: Markov
    chains by R-hat, effective sample sizes and divergences; a mode by how far it is from
    the mode of the model; draws of a variational fit by weighing them against the model,
    since such a fit has no check of its own.

    Parameters
    ----------
    model : pymc_marketing.clv.BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel
        Fitted by any method, without covariates.
    spend : pymc_marketing.clv.GammaGammaModel, optional
        With a purchase model first: both together.
    time_unit, time_scaler
        The unit of recency and T in its data, as in :func:`clvmodels.rfm_summary`, which
        pymc-marketing does not know; by default "D" and 1, or what ``to_pymc_marketing``
        wrote down.
    observation_end : str or date, optional
        When the base was looked at.
    on_failure : {"raise", "warn"}
        What a fit that did not converge does.

    Returns
    -------
    CLVPosterior, GammaGammaPosterior, BetaGeoPosterior or the like
        With its verdict, priors, versions and a fingerprint of its data, to save, predict,
        score and report like any other. The method is "nuts", "map", "laplace" for what
        came from here, or "given" for other samplers and variational fits.

    Raises
    ------
    SchemaError
        It is not such a model, or has not been fitted.
    DomainError
        It has covariates, or draws that are not positive and finite.
    TimeUnitError
        The unit is unknown, or is not the one that ``to_pymc_marketing`` wrote down.
    ConvergenceError
        The fit did not converge.
    """
    check_choice("on_failure", on_failure, ("raise", "warn"))
    unit = (time_unit, time_scaler)
    posteriors = [
        _taken_over(one, unit, observation_end) for one in (model, spend) if one is not None
    ]
    for posterior in posteriors:
        if not posterior.verdict.ok:
            _fail(posterior.verdict, on_failure)
    if spend is None:
        return posteriors[0]
    purchases, spent = posteriors
    return CLVPosterior(purchases, spent)  # type: ignore[arg-type]  # it checks


def _fail(verdict: Verdict, on_failure: str) -> None:
    message = explain_failure(verdict)
    if on_failure == "warn":
        warnings.warn(message, UserWarning, stacklevel=3)
        return
    raise ConvergenceError(f"{message} To take the draws all the same, pass on_failure='warn'.")


def _taken_over(
    model: Any, unit: tuple[TimeUnit | None, float | None], observation_end: str | date | None
) -> OnePosterior:
    facts, specification, kind = _counterpart(model)
    _refuse_covariates(model)
    draws, attrs = _draws(model, kind)
    stats = _statistics(model, draws)
    verdict = judge(draws, stats, getattr(model, "model", None), attrs.get("method"))
    scale = _scale(attrs, *unit, strict=issubclass(kind, PurchasePosterior))
    base, fingerprint, notes = _base(model, specification, scale)
    metadata = Metadata(
        model=specification.name,
        method=verdict.method,
        scale=scale,
        observation_end=_iso(observation_end) or attrs.get("observation_end"),
        verdict=verdict,
        priors=_priors(model, facts),
        seed=attrs.get("seed"),
        notes=(_origin(model, attrs), *notes),
        base=base,
        fingerprint=fingerprint,
        versions=_versions(attrs),
    )
    return kind(_tree(draws, stats, verdict.method, attrs), metadata)


def _counterpart(model: Any) -> Counterpart:
    clv, ours = pymc_marketing_clv(), counterparts()
    for kind in type(model).__mro__:  # the most special class comes first
        if kind.__name__ in ours and kind is getattr(clv, kind.__name__):
            return ours[kind.__name__]
    raise SchemaError(
        f"A {type(model).__name__} cannot be converted: pass a fitted {' or '.join(ours)} of "
        "pymc-marketing. For another model with the same parameters, such as "
        "GammaGammaModelIndividual, pass the draws to from_draws."
    )


def _refuse_covariates(model: Any) -> None:
    names = list(getattr(model, "covariate_cols", []))
    if names:
        raise DomainError(
            f"The model has covariates ({', '.join(map(str, names))}), so that every customer has "
            "parameters of their own, which clvmodels does not know: fit without them, or predict "
            "with pymc-marketing."
        )


def _draws(model: Any, kind: type[OnePosterior]) -> tuple[dict[str, FloatArray], Mapping[str, Any]]:
    """Draws by parameter, each shape (chains, draws), and what is written beside them."""
    tree = model.idata
    if tree is None or "posterior" not in tree.children:
        raise SchemaError(
            f"This {type(model).__name__} has not been fitted: call model.fit(data) first."
        )
    group = tree["posterior"].to_dataset()
    draws = {
        str(name): np.asarray(one.transpose(*SAMPLE_DIMS).to_numpy(), dtype=np.float64)
        for name, one in group.data_vars.items()
        if set(one.dims) == set(SAMPLE_DIMS)
    }
    for name in kind.parameters:
        if name not in draws:
            raise SchemaError(
                f"The posterior of this {type(model).__name__} has no draws of {name}: fit the "
                "model with pymc-marketing's own parameters."
            )
        if not (np.isfinite(draws[name]) & (draws[name] > 0)).all():
            raise DomainError(f"Draws of {name} must be positive and finite.")
    return draws, group.attrs


def _statistics(model: Any, draws: Mapping[str, FloatArray]) -> dict[str, npt.NDArray[Any]]:
    """What the sampler reported of each draw, by ArviZ's names."""
    if "sample_stats" not in model.idata.children:
        return {}
    shape = next(iter(draws.values())).shape
    found = {}
    for name, one in model.idata["sample_stats"].to_dataset().data_vars.items():
        values, known = one.to_numpy(), STATISTICS.get(str(name), str(name))
        per_draw = values.shape == shape and known in {*STATISTICS.values(), *_OF_METROPOLIS}
        if per_draw or (name in _OF_LAPLACE and values.shape == ()):
            found[known] = values
    return found


def _base(
    model: Any, specification: Specification[Any], scale: TimeScale
) -> tuple[Mapping[str, float], str | None, tuple[str, ...]]:
    """Counts and fingerprint of the data that were fitted, or a note why there are none."""
    frame = getattr(model, "data", None)
    if frame is None:
        return {}, None, ("The model had lost its data.",)
    # The spend model goes without times: any that are possible will do.
    times = {name: frame[FREQUENCY] for name in (RECENCY, T) if name not in frame}
    try:
        columns = rfm_columns(frame.assign(**times), said=scale)
        base, fingerprint = specification._described(columns)
    except ClvError as error:
        return {}, None, (f"The model's data are not an RFM table: {one_line(error)}",)
    return base, fingerprint, ()


def _origin(model: Any, attrs: Mapping[str, Any]) -> str:
    """What a reader should know of where the draws come from."""
    name = type(model).__name__
    if attrs.get("inference_library") == "clvmodels":
        return f"Fitted by clvmodels, and converted back from a {name} of pymc-marketing."
    return f"Fitted by pymc-marketing as a {name}, and converted."


def _priors(model: Any, facts: ModelFacts) -> dict[str, Any]:
    config = model.model_config
    direct = all(name in config for name in facts.parameter_names)
    names = facts.parameter_names if direct else tuple(facts.defaults)
    return as_dict({name: config[name] for name in names})


def _scale(
    attrs: Mapping[str, Any],
    time_unit: TimeUnit | None,
    time_scaler: float | None,
    *,
    strict: bool,
) -> TimeScale:
    """The unit that is asked for; ``strict`` holds it against the one written down."""
    written = TimeScale(attrs.get("time_unit", "D"), attrs.get("time_scaler", 1.0))
    if time_unit is None and time_scaler is None:
        return written
    asked = TimeScale(time_unit or "D", 1.0 if time_scaler is None else time_scaler)
    if strict and "time_unit" in attrs and asked != written:
        raise TimeUnitError(
            f"The model was made by to_pymc_marketing from a posterior in {written}, not in "
            f"{asked}: leave time_unit and time_scaler out."
        )
    return asked


def _iso(end: str | date | None) -> str | None:
    return None if end is None else iso_date(moment_of(end, "observation_end"))


def _versions(attrs: Mapping[str, Any]) -> dict[str, str]:
    """Versions that the fit wrote down, and ours."""
    found = {"clvmodels": __version__}
    if "pymc_marketing_version" in attrs:
        found["pymc-marketing"] = str(attrs["pymc_marketing_version"])
    if {"inference_library", "inference_library_version"} <= set(attrs):
        found[str(attrs["inference_library"])] = str(attrs["inference_library_version"])
    return found


def _tree(
    draws: Mapping[str, FloatArray],
    stats: Mapping[str, npt.NDArray[Any]],
    method: str,
    attrs: Mapping[str, Any],
) -> xr.DataTree:
    chains, count = next(iter(draws.values())).shape
    coords = {"chain": np.arange(chains), "draw": np.arange(count)}
    groups = {
        group: xr.Dataset(
            {name: (SAMPLE_DIMS[: one.ndim], one) for name, one in values.items()}, coords=coords
        )
        for group, values in (("posterior", draws), ("sample_stats", stats))
        if values
    }
    kept = {name: attrs[name] for name in _KEPT if name in attrs}
    groups["posterior"].attrs.update(method=method, **kept)
    return xr.DataTree.from_dict(groups)
