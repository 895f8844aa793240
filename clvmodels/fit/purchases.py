"""BG/NBD and its relatives: one way of building them in PyMC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, cast

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.fit.clock_learning import learn_clock
from clvmodels.fit.covariates import (
    Asked,
    Covariate,
    Pooled,
    check_moved,
    covariates_of,
    design_of,
    older_customers,
)
from clvmodels.fit.regularity import fit_of_best_regularity
from clvmodels.fit.run import Result, Settings
from clvmodels.fit.specification import Specification
from clvmodels.keywords import named, named_fields
from clvmodels.posterior import (
    BetaGeoPosterior,
    Metadata,
    ModifiedBetaGeoPosterior,
    ParetoNBDPosterior,
    PurchasePosterior,
)
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import AUTO, MODELS, PurchaseModel, purchase_model, with_regularity
from clvmodels.purchases.clock import Clock, LearntClock, clock_of
from clvmodels.purchases.design import Design, Factor, Side
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.customers import assumed_text, has_fractions
from clvmodels.rfm.day_pairs import by_clock, days_of
from clvmodels.rfm.histories import (
    PurchaseHistories,
    RfmColumns,
    purchase_histories,
)
from clvmodels.schema import TimeScale

if TYPE_CHECKING:
    from clvmodels.fit.priors import AnyPrior
    from clvmodels.formulas.fused import Fused


@dataclass(frozen=True)
class PurchaseSpecification[Bought: PurchasePosterior](Specification[Bought]):
    """A purchase model with its priors.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter. What is not named keeps its default; priors of times are taken to be
        in the table's unit.
    T_scale : float, optional
        What default priors of times are multiplied by, in the table's unit; by default
        the mean of T over customers.
    clock : Clock or bool, optional
        A clock to be learnt with the parameters: :class:`clvmodels.Clock`; True is one with
        its defaults.
    purchase_covariates, dropout_covariates : sequence of str, Covariate or Pooled
        Columns of the table that move how often customers buy, and when they leave: channels,
        countries, first amounts (:class:`clvmodels.Covariate`, :class:`clvmodels.Pooled`).
    """

    T_scale: float | None = None
    clock: Clock | bool | None = field(default=None, kw_only=True)
    purchase_covariates: Sequence[Asked] = field(default=(), kw_only=True)
    dropout_covariates: Sequence[Asked] = field(default=(), kw_only=True)

    facts: ClassVar[PurchaseModel]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "facts" in vars(cls) and cls.facts.joint is not None:
            cls._alternatives = cls.facts.joint.made

    def __post_init__(self) -> None:
        super().__post_init__()
        clock_of(self.clock)  # which stays as it was passed
        check_moved(self.facts, any(self._asked().values()))
        joint = self.facts.joint
        if joint is None or isinstance(self.priors, str):
            return
        direct, through = set(joint.made) & set(self.priors), set(joint.sampled) & set(self.priors)
        if len(direct) == 1 or (direct and through):
            made, sampled = " and ".join(joint.made), " and ".join(joint.sampled)
            raise SchemaError(
                f"Give priors of {made}, or of {sampled}: a whole pair, and only one."
            )

    def _merge(self, base: dict[str, AnyPrior], own: dict[str, AnyPrior]) -> dict[str, AnyPrior]:
        joint = self.facts.joint
        if joint is not None and joint.made[0] in own:
            base = {name: one for name, one in base.items() if name not in joint.sampled}
        return {**base, **own}

    def _asked(self) -> dict[Side, tuple[Covariate | Pooled, ...]]:
        return {
            "purchases": covariates_of("purchase_covariates", self.purchase_covariates),
            "dropout": covariates_of("dropout_covariates", self.dropout_covariates),
        }

    def _plain(self) -> Self:
        return self.replace(purchase_covariates=(), dropout_covariates=())

    def _designed(self, columns: RfmColumns) -> tuple[RfmColumns, Design | None]:
        design = design_of(columns, self._asked(), self._older(columns))
        return with_strata(columns, design), design

    def _older(self, columns: RfmColumns) -> Factor | None:
        """Customers who came before the log began, where a clock tells them from others."""
        clock = clock_of(self.clock)
        if clock is None or columns.last_day is None:
            return None
        return older_customers(columns, clock.left_truncated, aged=clock.age)

    def _scale_name(self) -> str:
        return "T_scale"

    def _prepare(self, columns: RfmColumns) -> tuple[PurchaseHistories, float]:
        histories = purchase_histories(columns)
        # Nobody was watched for any time: one day stands in for the missing scale.
        one_day = 1.0 / columns.scale.days if columns.scale else 1.0
        return histories, self._given_scale(self.T_scale, histories.mean_T or one_day)

    def _timed(
        self, columns: RfmColumns, settings: Settings
    ) -> tuple[RfmColumns, LearntClock | None]:
        clock = clock_of(self.clock)
        if clock is None:
            return columns, None
        older = self._older(columns)
        seed = settings.random_seed or 0
        learnt = learn_clock(self, columns, clock, seed, older=older is not None)
        timed = by_clock(columns, learnt)
        curve = learnt.curve(columns.scale.days if columns.scale else 1.0)
        if curve is None:
            return timed, learnt
        # the fit is of the times of the model, which the posterior's family counts by itself
        aged = days_of(columns)[0] >= (older.edges[0] if older else -np.inf)
        t_x, T = (np.where(aged, curve.passed(t), t) for t in (timed.t_x, timed.T))
        return replace(timed, t_x=t_x, T=T), learnt

    def _assumed(self, columns: RfmColumns) -> tuple[str, ...]:
        return () if columns.scale else (assumed_text(TimeScale()),)

    def _facts(self, columns: RfmColumns, statistics: PurchaseHistories) -> Mapping[str, float]:
        whole = not has_fractions(columns.T, columns.scale or TimeScale())
        return {**self._base(statistics), "whole_periods": int(whole)}

    def _base(self, statistics: PurchaseHistories) -> Mapping[str, float]:
        repeat = statistics.x > 0
        return {
            "customers": statistics.customers,
            "histories": len(statistics.x),
            "repeat_customers": int(statistics.count[repeat].sum()),
            "max_T": float(statistics.T.max()),
        }

    def _fused(self, statistics: PurchaseHistories) -> Fused:
        h = statistics
        if h.stratum is None:
            return self.facts.formulas.fused(h.x, h.t_x, h.T, h.count)
        # Strata by their order: those that the base has are numbered from 0 on.
        stratum = np.searchsorted(h.strata, h.stratum)
        return self.facts.formulas.fused(h.x, h.t_x, h.T, h.count, stratum=stratum)

    def _moved(self, found: Mapping[str, Any], times: Mapping[Side, Any]) -> Mapping[str, Any]:
        assert self.facts.moved is not None  # `check_moved` has seen to it
        return self.facts.moved(found, times["purchases"], times["dropout"])

    def _made_of(self, sampled: Mapping[str, Any]) -> Mapping[str, Any]:
        import pymc as pm

        joint = self.facts.joint
        if joint is None or joint.sampled[0] not in sampled:
            return {}
        both = joint.make(*(sampled[name] for name in joint.sampled))
        return {
            name: pm.Deterministic(name, one) for name, one in zip(joint.made, both, strict=True)
        }

    def _posterior(self, result: Result, metadata: Metadata) -> Bought:
        # the catalogue cannot know which class a subclass of this one was declared with
        return cast("Bought", purchase_posterior(self.name)(result.tree, metadata))


@dataclass(frozen=True)
class RegularSpecification[Bought: PurchasePosterior](PurchaseSpecification[Bought]):
    """A purchase model with its priors, of which there is one for every regularity k.

    Its facts are those of k = 1 in the class, and of its own k in an object.

    Parameters
    ----------
    priors, T_scale
        As in :class:`PurchaseSpecification`.
    regularity : int or "auto"
        k: times between purchases are Erlang-k. "auto" chooses it, and has the facts of k = 1.
    """

    regularity: int | Literal["auto"] = 1

    def __post_init__(self) -> None:
        k: Any = self.regularity  # whatever it is that was given
        model = with_regularity(self.facts, 1 if isinstance(k, str) and k == AUTO else k)
        object.__setattr__(self, "facts", model)
        object.__setattr__(self, "name", model.key)
        super().__post_init__()

    @named
    def _fit_columns(
        self, columns: RfmColumns, settings: Settings, *, observation_end: str | None
    ) -> Bought:
        how: dict[str, Any] = {"observation_end": observation_end}
        if self.regularity != AUTO:
            return super()._fit_columns(columns, settings, **how)
        return cast("Bought", fit_of_best_regularity(self, columns, settings, **how))


@named_fields
@dataclass(frozen=True)
class BetaGeoModel(RegularSpecification[BetaGeoPosterior]):
    """BG/NBD: purchases at a Gamma rate, dropout after a purchase with Beta probability.

    Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way", eq. 6; BG/CNBD-k where
    customers buy regularly.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: r, alpha and either phi_dropout = a / (a + b) with
        kappa_dropout = a + b, or a and b themselves. What is not named keeps its
        default; a prior of alpha is taken to be in the table's unit of time.
    T_scale : float, optional
        What default priors of times are multiplied by (alpha's), in the table's unit;
        by default the mean of T over customers.
    regularity : {1, 2, 3, 4} or "auto"
        How regularly customers buy: times between purchases are Erlang-k, sums of k
        exponential stages. 1 is BG/NBD, whose purchases come at random; more is
        BG/CNBD-k (Reutterer et al. 2021), in which alpha is a time of stages:
        customers make r / (k alpha) purchases a unit of time. "auto" chooses what has the
        greatest evidence, in tables that have the gaps between purchases; in others it is 1.
    clock : Clock or bool, optional
        What moves all customers at once, day of the week, season and shocks, to be learnt with
        the parameters: :class:`clvmodels.Clock`; True is one with its defaults. It takes a
        table with the days of purchases, ``rfm_summary(..., day_pairs=True)``.
    purchase_covariates, dropout_covariates : sequence of str, Covariate or Pooled
        Columns of the table that move how often customers buy, and when they leave: channels,
        countries, first amounts (:class:`clvmodels.Covariate`, :class:`clvmodels.Pooled`).

    Examples
    --------
    >>> from clvmodels import BetaGeoModel
    >>> BetaGeoModel().priors
    'default'
    >>> BetaGeoModel(regularity=2).name
    'bgcnbd2'
    """

    facts: ClassVar[PurchaseModel] = MODELS["bgnbd"]


@named_fields
@dataclass(frozen=True)
class ModifiedBetaGeoModel(RegularSpecification[ModifiedBetaGeoPosterior]):
    """MBG/NBD: as BG/NBD, but customers may drop out after the first purchase too.

    Batislam, Denizel & Filiztekin (2007), eq. 3; Wagner & Hoppe (2008); MBG/CNBD-k where
    customers buy regularly.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: r, alpha and either phi_dropout = a / (a + b) with
        kappa_dropout = a + b, or a and b themselves. What is not named keeps its
        default; a prior of alpha is taken to be in the table's unit of time.
    T_scale : float, optional
        What default priors of times are multiplied by (alpha's), in the table's unit;
        by default the mean of T over customers.
    regularity : {1, 2, 3, 4} or "auto"
        How regularly customers buy: times between purchases are Erlang-k, sums of k
        exponential stages. 1 is MBG/NBD, whose purchases come at random; more is
        MBG/CNBD-k (Reutterer et al. 2021), in which alpha is a time of stages:
        customers make r / (k alpha) purchases a unit of time. "auto" chooses what has the
        greatest evidence, in tables that have the gaps between purchases; in others it is 1.
    clock : Clock or bool, optional
        What moves all customers at once, day of the week, season and shocks, to be learnt with
        the parameters: :class:`clvmodels.Clock`; True is one with its defaults. It takes a
        table with the days of purchases, ``rfm_summary(..., day_pairs=True)``.
    purchase_covariates, dropout_covariates : sequence of str, Covariate or Pooled
        Columns of the table that move how often customers buy, and when they leave: channels,
        countries, first amounts (:class:`clvmodels.Covariate`, :class:`clvmodels.Pooled`).

    Examples
    --------
    >>> from clvmodels import ModifiedBetaGeoModel
    >>> ModifiedBetaGeoModel(T_scale=30.0).T_scale
    30.0
    """

    facts: ClassVar[PurchaseModel] = MODELS["mbgnbd"]


@named_fields
@dataclass(frozen=True)
class ParetoNBDModel(PurchaseSpecification[ParetoNBDPosterior]):
    """Pareto/NBD: purchases at a Gamma rate, until the customer leaves, at a Gamma rate too.

    Schmittlein, Morrison & Colombo (1987); Fader & Hardie (2005), "A Note on Deriving the
    Pareto/NBD Model".

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: r, alpha, s and beta. What is not named keeps its default; priors of
        alpha and beta are taken to be in the table's unit of time.
    T_scale : float, optional
        What default priors of times are multiplied by (alpha's and beta's), in the table's
        unit; by default the mean of T over customers.
    purchase_covariates, dropout_covariates : sequence of str, Covariate or Pooled
        Columns of the table that move how often customers buy, and when they leave: channels,
        countries, first amounts (:class:`clvmodels.Covariate`, :class:`clvmodels.Pooled`).

    Examples
    --------
    >>> from clvmodels import CLVModel, ParetoNBDModel
    >>> CLVModel("paretonbd") == CLVModel(purchases=ParetoNBDModel())
    True
    """

    facts: ClassVar[PurchaseModel] = MODELS["paretonbd"]


# Those that have a class of their own; of any other model one is made when it is asked for.
_REGULAR: Final[Mapping[str, type[RegularSpecification[Any]]]] = {
    one.name: one for one in (BetaGeoModel, ModifiedBetaGeoModel)
}
_NAMED: Final = {one.name: one for one in (ParetoNBDModel,)}


@cache
def _made(model: PurchaseModel) -> type[PurchaseSpecification[PurchasePosterior]]:
    body = {"facts": model, "__doc__": f"{model.name}. {model.papers}"}
    made = type("PurchaseSpecification", (PurchaseSpecification,), body)
    return named_fields(dataclass(frozen=True)(made))


def purchase_specification(key: str) -> PurchaseSpecification[PurchasePosterior]:
    """Return a purchase model with its default priors.

    Parameters
    ----------
    key : str
        As in ``clvmodels.purchases.MODELS``.

    Raises
    ------
    SchemaError
        There is no such model.
    """
    model = purchase_model(key)
    if model.irregular in _REGULAR:
        return _REGULAR[model.irregular](regularity=model.regularity)
    return (_NAMED[key] if key in _NAMED else _made(model))()
