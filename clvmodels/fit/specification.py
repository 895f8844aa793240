"""What every model specification shares: priors, build, fit."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, Unpack

import numpy as np

from clvmodels import __version__
from clvmodels.fit.effect_variables import fit_with, times_variables
from clvmodels.fit.parameters import Parameters
from clvmodels.fit.priors import (
    PYMC_MARKETING,
    AnyPrior,
    as_dict,
    check_names,
    check_scale,
    in_pymc_extras,
    pymc_marketing_priors,
    resolve,
)
from clvmodels.fit.run import FitTerms, Result, Settings, infer, settings_of
from clvmodels.keywords import named
from clvmodels.model_facts import ModelFacts
from clvmodels.posterior import CLVPosterior, Metadata
from clvmodels.posterior.core import Posterior
from clvmodels.rfm import RfmTable
from clvmodels.rfm.continuity import continuity_of, warn_of_other_ids
from clvmodels.rfm.counted import CountedHistories
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import FloatArray, TimeScale, TimeUnit, check_choice, scale_said
from clvmodels.threads import one_at_a_time

if TYPE_CHECKING:
    import pymc as pm
    from pymc_extras.prior import Prior
    from pytensor.tensor import TensorVariable

    from clvmodels.fit.covariates import Covariate, Pooled
    from clvmodels.formulas.fused import Fused
    from clvmodels.frames import Frame
    from clvmodels.purchases.clock import LearntClock
    from clvmodels.purchases.design import Design, Side

Priors = Literal["default", "pymc-marketing"] | Mapping[str, Any]

_VERSIONED: Final = ("pymc", "pytensor", "nutpie", "numba", "numpy")


@dataclass(frozen=True)
class Specification[Fitted: Posterior](Parameters, ABC):
    """A frozen model specification; fitting it returns a posterior.

    Subclasses say which parameters there are, what their defaults are, and how the
    likelihood of a base is written down in PyMC.

    Attributes
    ----------
    facts : ModelFacts
        What the model is.
    name : str
        Its key, as files and the command line have it.
    """

    priors: Priors = "default"

    facts: ClassVar[ModelFacts]
    name: ClassVar[str]  # the key of the facts
    # Parameters that may be given a prior in place of some of the defaults.
    _alternatives: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "facts" in vars(cls):
            cls.name = cls.facts.key

    def __post_init__(self) -> None:
        if isinstance(self.priors, str):
            check_choice("priors", self.priors, ("default", PYMC_MARKETING))
        else:
            check_names(self.priors, (*self.facts.defaults, *self._alternatives))

    @named
    def build(
        self,
        rfm: RfmTable | Frame | CountedHistories,
        *,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
    ) -> pm.Model:
        """Write the model down in PyMC, for this base.

        Parameters
        ----------
        rfm : RfmTable, frame or CountedHistories
            The base; a plain frame counts as days unless the unit is said.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, as in :meth:`RfmTable.from_frame`; a table
            knows its own.

        Returns
        -------
        pm.Model
            An ordinary model: open it, draw it, sample it.
        """
        said = scale_said(time_unit, time_scaler)
        columns, design = self._designed(columns_of(rfm, said))
        return self._build(*self._prepare(columns), design)

    @named
    def fit(
        self,
        rfm: RfmTable | Frame | CountedHistories,
        **terms: Unpack[FitTerms],
    ) -> Fitted:
        """Fit the model to a base.

        Parameters
        ----------
        rfm : RfmTable, frame or CountedHistories
            The base; a plain frame counts as days unless the unit is said.
        method : {"auto", "nuts", "laplace", "map"}
            "laplace" is the importance-weighted approximation at the mode, "nuts" Markov
            chains from there, "map" the mode alone, without uncertainty. "auto" is NUTS
            below 10,000 customers; above, Laplace, and NUTS where that fails.
        draws, tune, chains : int
            Kept and warm-up draws a chain, and chains.
        importance_draws : int
            Points at which the Laplace route evaluates the density.
        random_seed : int, optional
            The same seed gives the same draws on the same machine.
        progressbar : bool
            Show the sampler's progress.
        on_failure : {"nuts", "raise", "warn"}
            What a failed verdict does. "nuts" goes on from a failed Laplace fit to
            NUTS and says so; a NUTS fit that fails raises unless "warn".
        start : posterior, optional
            Of an earlier base. Where it is of the same model, without covariates, the climb to
            the mode begins at its mean: the answer is the same, and there sooner.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, as in :meth:`RfmTable.from_frame`; a table
            knows its own.

        Returns
        -------
        posterior
            Draws, sample statistics, verdict and metadata.

        Raises
        ------
        ConvergenceError
            The fit did not converge.
        DomainError
            The base holds nothing that the model could learn from.
        """
        settings = settings_of(terms)
        columns, end = base_of(rfm, scale_said(terms["time_unit"], terms["time_scaler"]))
        return self._fit_columns(columns, settings, observation_end=end)

    @named
    @one_at_a_time("pytensor")
    def _fit_columns(
        self, columns: RfmColumns, settings: Settings, *, observation_end: str | None
    ) -> Fitted:
        """Fit to columns that were checked already; see :meth:`fit`."""
        columns, design = self._designed(columns)
        timed, clock = self._timed(columns, settings)
        statistics, scale = self._prepare(timed)
        plain = clock is None and design is None
        observed = statistics if plain else self._prepare(replace(columns, stratum=None))[0]
        base, priors = self._facts(columns, observed), as_dict(self._priors(scale))
        model, key = self._build(statistics, scale, design), self._key(design)
        customers = int(base["customers"])
        how: Any = {"customers": customers, "of": self.facts.name, "key": key}
        if design is None:
            result = infer(model, settings, **how, start=self._begin(settings.start))
        else:
            result = fit_with(design, model, settings, **how)
        metadata = Metadata(
            model=self.name,
            method=result.method,
            scale=columns.scale or TimeScale(),
            observation_end=observation_end,
            verdict=result.verdict,
            priors=priors,
            prior_scales={self._scale_name(): scale},
            seed=result.seed,
            notes=(
                *result.notes,
                *self._assumed(columns),
                *(clock.notes if clock else ()),
                *(design.notes if design else ()),
            ),
            margin=columns.margin,
            base=base,
            fingerprint=observed.fingerprint(),
            versions=_versions(),
            clock=clock,
            design=design,
        )
        return self._posterior(result, metadata)

    def _begin(self, start: Any) -> dict[str, FloatArray] | None:
        """Draws of an earlier posterior of this model; None where there is none."""
        both = (start.purchases, start.spend) if isinstance(start, CLVPosterior) else (start,)
        for one in both:
            if isinstance(one, Posterior) and one.metadata.model == self.name:
                group = one.tree["posterior"].to_dataset().stack(sample=("chain", "draw"))
                return {str(name): values.to_numpy() for name, values in group.items()}
        return None

    def _timed(
        self, columns: RfmColumns, settings: Settings
    ) -> tuple[RfmColumns, LearntClock | None]:
        """The columns in the time that the model is fitted to, and the clock that it is by."""
        return columns, None

    def _asked(self) -> Mapping[Side, tuple[Covariate | Pooled, ...]]:
        """Covariates by what they move."""
        return {}

    def _plain(self) -> Self:
        """The same model without covariates."""
        return self

    def _designed(self, columns: RfmColumns) -> tuple[RfmColumns, Design | None]:
        """The columns with customers' strata, and what these are made of; none by default."""
        return columns, None

    def _key(self, design: Design | None = None) -> Hashable:
        """What is equal for models that differ in their data only, and in the scale."""
        priors = json.dumps(as_dict(self._priors(1.0)), sort_keys=True)
        return self.name, priors, design and design.graph

    def _described(self, columns: RfmColumns) -> tuple[Mapping[str, float], str]:
        """Counts and fingerprint of a base, as a posterior keeps them."""
        statistics, _ = self._prepare(columns)
        return self._facts(columns, statistics), str(statistics.fingerprint())

    def resolved_priors(self, scale: float) -> dict[str, Prior]:
        """The priors in the units of the data, the way that they enter the model."""
        return {name: in_pymc_extras(one) for name, one in self._priors(scale).items()}

    def _priors(self, scale: float | TensorVariable) -> dict[str, AnyPrior]:
        if self.priors == PYMC_MARKETING:
            return pymc_marketing_priors(self.facts)
        own = {} if isinstance(self.priors, str) else dict(self.priors)
        return self._merge(resolve(self.facts.defaults, scale), own)

    def _merge(self, base: dict[str, AnyPrior], own: dict[str, AnyPrior]) -> dict[str, AnyPrior]:
        return {**base, **own}

    def _assumed(self, columns: RfmColumns) -> tuple[str, ...]:
        """What was taken for granted of a frame, in words."""
        return ()

    @abstractmethod
    def _prepare(self, columns: RfmColumns) -> tuple[Any, float]:
        """The sufficient statistics of a base, and the scale of its unit-bearing prior."""

    def _build(self, statistics: Any, scale: float, design: Design | None = None) -> pm.Model:
        import pymc as pm

        from clvmodels.fit.ops import log_likelihood

        fused = self._fused(statistics)
        with pm.Model() as model:
            found = self._variables(scale)
            if design is not None:
                nothing = pm.Data("nothing", np.zeros(len(statistics.strata)))
                found = self._moved(found, times_variables(design, statistics.strata, nothing))
            parameters = [found[name] for name in self.facts.parameter_names]
            if design is not None:  # each of as many numbers as there are strata
                parameters = [one + nothing for one in parameters]
            data = [pm.Data(f"data_{name}", table) for name, table in fused.tables.items()]
            pm.Potential("log_likelihood", log_likelihood(fused, parameters, data))
        return model

    def _variables(self, scale: float) -> Mapping[str, Any]:
        """The likelihood's parameters, and others, in the model that is open.

        A scale of the priors is data of the model: bases of any scale share one compilation.
        """
        import pymc as pm

        priors = self._priors(scale)
        if any(getattr(one, "scaled", False) for one in priors.values()):
            priors = self._priors(pm.Data(self._scale_name(), np.float64(scale)))
        sampled = {name: prior.create_variable(name) for name, prior in priors.items()}
        return {**sampled, **self._made_of(sampled)}

    @abstractmethod
    def _moved(self, found: Mapping[str, Any], times: Mapping[Side, Any]) -> Mapping[str, Any]:
        """The same of each stratum, by what covariates multiply each side with."""

    def _made_of(self, sampled: Mapping[str, Any]) -> Mapping[str, Any]:
        """Parameters of the likelihood that are made of those that are sampled."""
        return {}

    @abstractmethod
    def _fused(self, statistics: Any) -> Fused:
        """What the compiled likelihood takes of a base."""

    @abstractmethod
    def _posterior(self, result: Result, metadata: Metadata) -> Fitted: ...

    @abstractmethod
    def _base(self, statistics: Any) -> Mapping[str, float]: ...

    def _facts(self, columns: RfmColumns, statistics: Any) -> Mapping[str, float]:
        """Counts of a base, and what its columns tell besides."""
        return self._base(statistics)

    @abstractmethod
    def _scale_name(self) -> str: ...

    def _given_scale(self, given: float | None, from_data: float) -> float:
        return from_data if given is None else check_scale(self._scale_name(), given)


def look_for_other_ids(columns: RfmColumns, end: str | None) -> None:
    """Warn where the customers of a base seem to have become others at some date."""
    scale = columns.scale or TimeScale()
    found = continuity_of(columns.x, columns.t_x, columns.T, scale, columns.customers)
    warn_of_other_ids(found, end, scale)


def base_of(
    rfm: RfmTable | Frame | CountedHistories, said: TimeScale | None
) -> tuple[RfmColumns, str | None]:
    """Columns of a base that is to be fitted, looked through, and the end of its observation."""
    columns, end = columns_of(rfm, said), observation_end(rfm)
    look_for_other_ids(columns, end)
    return columns, end


def columns_of(rfm: RfmTable | Frame | CountedHistories, said: TimeScale | None) -> RfmColumns:
    """Columns of a base that is to be fitted."""
    if isinstance(rfm, CountedHistories):
        return rfm.columns(said)
    return rfm_columns(rfm, said=said, whole=True)


def observation_end(rfm: RfmTable | Frame | CountedHistories) -> str | None:
    """ISO date at which a table was looked at; None of a plain frame."""
    if not isinstance(rfm, RfmTable | CountedHistories) or rfm.observation_end is None:
        return None
    return iso_date(rfm.observation_end)


def iso_date(end: datetime) -> str:
    """ISO date of a midnight, with the time of any other moment."""
    return str(end.date()) if end.time() == time() else end.isoformat()


def _versions() -> dict[str, str]:
    found = {"clvmodels": __version__}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
