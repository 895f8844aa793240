"""BG/NBD and its relatives: one way of building them in PyMC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from clvmodels.customers import assumed_text, has_fractions
from clvmodels.errors import SchemaError
from clvmodels.histories import PurchaseHistories, RfmColumns, base_description, purchase_histories
from clvmodels.inference import Result
from clvmodels.models.base import Specification
from clvmodels.models.priors import (
    PURCHASE_DEFAULTS,
    Default,
    pymc_marketing_purchase_priors,
)
from clvmodels.posterior import Metadata, PurchasePosterior
from clvmodels.schema import TimeScale

if TYPE_CHECKING:
    import pymc as pm
    from pymc_extras.prior import Prior


@dataclass(frozen=True)
class PurchaseSpecification[Bought: PurchasePosterior](Specification[Bought]):
    """A purchase model over r, alpha, a, b.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: r, alpha and either phi_dropout = a / (a + b) with
        kappa_dropout = a + b, or a and b themselves. What is not named keeps its
        default; a prior of alpha is taken to be in the table's unit of time.
    alpha_scale : float, optional
        What alpha's default prior is multiplied by, in the table's unit of time;
        by default the mean of T over customers.
    """

    alpha_scale: float | None = None

    defaults: ClassVar[Mapping[str, Default]] = PURCHASE_DEFAULTS
    alternatives: ClassVar[tuple[str, ...]] = ("a", "b")
    posterior_class: ClassVar[type[PurchasePosterior]]
    # How the likelihood differs from BG/NBD's: see PurchaseLogLikelihood.
    extra: ClassVar[float]
    zero_has_term: ClassVar[bool]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.priors, str):
            direct = {"a", "b"} & set(self.priors)
            through = {"phi_dropout", "kappa_dropout"} & set(self.priors)
            if len(direct) == 1 or (direct and through):
                raise SchemaError(
                    "Give priors of a and b, or of phi_dropout and kappa_dropout: not of a or b "
                    "alone, and not of both pairs."
                )

    def _peer_priors(self) -> dict[str, Prior]:
        return pymc_marketing_purchase_priors()

    def _merge(self, base: dict[str, Prior], own: dict[str, Prior]) -> dict[str, Prior]:
        if "a" in own:
            base = {name: base[name] for name in ("r", "alpha")}
        return {**base, **own}

    def _scale_name(self) -> str:
        return "alpha_scale"

    def _prepare(self, columns: RfmColumns) -> tuple[PurchaseHistories, float]:
        histories = purchase_histories(columns)
        # Nobody was watched for any time: one day stands in for the missing scale.
        one_day = 1.0 / columns.scale.days if columns.scale else 1.0
        return histories, self._given_scale(self.alpha_scale, histories.mean_T or one_day)

    def _assumed(self, columns: RfmColumns) -> tuple[str, ...]:
        return () if columns.scale else (assumed_text(TimeScale()),)

    def _facts(self, columns: RfmColumns, statistics: PurchaseHistories) -> Mapping[str, float]:
        whole = not has_fractions(columns.T, columns.scale or TimeScale())
        return {**self._base(statistics), "whole_periods": int(whole)}

    def _base(self, statistics: PurchaseHistories) -> Mapping[str, float]:
        return base_description(statistics)

    def _build(self, statistics: PurchaseHistories, scale: float) -> pm.Model:
        import pymc as pm

        from clvmodels.models.loglikelihood import PurchaseLogLikelihood, PurchaseStatistics

        priors = self.resolved_priors(scale)
        tables = PurchaseStatistics.of(statistics, zero_has_term=self.zero_has_term)
        with pm.Model() as model:
            r, alpha = priors["r"].create_variable("r"), priors["alpha"].create_variable("alpha")
            if "a" in priors:
                a, b = priors["a"].create_variable("a"), priors["b"].create_variable("b")
            else:
                phi = priors["phi_dropout"].create_variable("phi_dropout")
                kappa = priors["kappa_dropout"].create_variable("kappa_dropout")
                a = pm.Deterministic("a", phi * kappa)
                b = pm.Deterministic("b", (1.0 - phi) * kappa)
            data = [pm.Data(f"data_{name}", array) for name, array in tables.arrays().items()]
            value_and_gradient = PurchaseLogLikelihood(self.extra)(r, alpha, a, b, *data)
            pm.Potential("log_likelihood", value_and_gradient[0])
        return model

    def _posterior(self, result: Result, metadata: Metadata) -> Bought:
        # a class variable cannot be of a type that subclasses choose
        return cast("Bought", self.posterior_class(result.tree, metadata))
