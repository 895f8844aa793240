"""Purchases and spend together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from clvmodels.errors import SchemaError
from clvmodels.fit.automatic import AutomaticModel
from clvmodels.fit.covariates import Covariate, Pooled, joint_design
from clvmodels.fit.gamma_gamma import GammaGammaModel
from clvmodels.fit.parameters import Parameters
from clvmodels.fit.purchases import (
    BetaGeoModel,
    PurchaseSpecification,
    purchase_specification,
)
from clvmodels.fit.run import FitTerms, settings_of
from clvmodels.fit.specification import (
    Specification,
    columns_of,
    look_for_other_ids,
    observation_end,
)
from clvmodels.keywords import named, named_fields
from clvmodels.posterior import BasketValue, CLVPosterior, PurchasePosterior
from clvmodels.posterior.effects import on_design
from clvmodels.posterior.spend import spend_from
from clvmodels.purchases import AUTO, MODELS, ModelChoice
from clvmodels.rfm import RfmTable
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import check_choice, scale_said, shown

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.purchases.design import Design
    from clvmodels.rfm.counted import CountedHistories


@named_fields
@dataclass(frozen=True)
class CLVModel(Parameters):
    """A purchase model and a spend model, fitted to the same base.

    Parameters
    ----------
    purchases : PurchaseSpecification or str
        How often customers come back, and whether they still do: ``BetaGeoModel()``,
        ``ModifiedBetaGeoModel(regularity=2)``, or a name of ``clvmodels.purchases.MODELS``, as the
        command line and `backtest` know it, which is that model with its defaults. "auto"
        fits them all, and keeps the one that describes the base best, or stacks several
        (:class:`clvmodels.fit.AutomaticModel`).
    spend : GammaGammaModel or float
        What they spend when they do. A number is the value of every purchase: spend is then
        not fitted, and tables need no amounts.

    Examples
    --------
    >>> from clvmodels import CLVModel, ModifiedBetaGeoModel
    >>> CLVModel(purchases=ModifiedBetaGeoModel()).purchases.name
    'mbgnbd'
    >>> CLVModel("mbgnbd") == CLVModel(purchases=ModifiedBetaGeoModel())
    True
    >>> CLVModel("mbgcnbd2").purchases.regularity
    2
    >>> CLVModel(spend=25.0).basket_value
    25.0
    """

    purchases: PurchaseSpecification[PurchasePosterior] | AutomaticModel = field(
        default_factory=BetaGeoModel
    )
    spend: GammaGammaModel | float = field(default_factory=GammaGammaModel)

    if TYPE_CHECKING:  # what is taken is more than what is kept

        def __init__(
            self,
            purchases: PurchaseSpecification[PurchasePosterior]
            | AutomaticModel
            | ModelChoice = ...,
            spend: GammaGammaModel | float = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        given: Any = self.purchases
        if isinstance(given, str) and given == AUTO:
            object.__setattr__(self, "purchases", AutomaticModel())
        elif isinstance(given, str):
            check_choice("purchases", given, (AUTO, *MODELS))
            object.__setattr__(self, "purchases", purchase_specification(given))
        elif not isinstance(given, PurchaseSpecification | AutomaticModel):
            raise SchemaError(
                f"purchases={shown(given)} must be a model of purchases, such as BetaGeoModel(), "
                f"or the name of one: {', '.join((AUTO, *MODELS))}."
            )
        if not isinstance(spend_from(self.spend), GammaGammaModel | BasketValue):
            raise SchemaError(
                f"spend={shown(self.spend)} must be a GammaGammaModel(), or the value of every "
                "purchase, such as 25.0."
            )

    @property
    def basket_value(self) -> float | None:
        """The value of every purchase; None where spend is fitted."""
        return None if isinstance(self.spend, GammaGammaModel) else float(self.spend)

    @named
    def fit(
        self,
        rfm: RfmTable | Frame | CountedHistories,
        **terms: Unpack[FitTerms],
    ) -> CLVPosterior:
        """Fit both models.

        Parameters
        ----------
        rfm : RfmTable, frame or CountedHistories
            The base, with monetary_value unless every purchase has one value; a plain frame
            counts as days unless the unit is said.
        method, draws, tune, chains, importance_draws, random_seed, progressbar, on_failure, start
            As in :meth:`BetaGeoModel.fit`.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, as in :meth:`RfmTable.from_frame`; a table
            knows its own.

        Returns
        -------
        CLVPosterior
            Both posteriors; or that of purchases, with the value of a purchase.

        Raises
        ------
        ConvergenceError
            One of the fits did not converge.
        DomainError
            The base holds nothing that a model could learn from.
        """
        said = scale_said(terms["time_unit"], terms["time_scaler"])
        settings = settings_of(terms)
        columns = columns_of(rfm, said)
        end = observation_end(rfm)
        joint = None
        if isinstance(self.spend, GammaGammaModel):
            self.spend._described(columns)  # refuses now what would be refused after the first fit
            joint = joint_of(self, columns)
        look_for_other_ids(columns, end)
        purchases = self.purchases._fit_columns(columns, settings, observation_end=end)
        if not isinstance(self.spend, GammaGammaModel):
            return CLVPosterior(purchases, self.spend)
        spend = self.spend._fit_columns(columns, settings, observation_end=end)
        return CLVPosterior(on_design(purchases, joint), on_design(spend, joint))


def asked_of(model: CLVModel) -> tuple[Covariate | Pooled, ...]:
    """Covariates of purchases, and then those of spend."""
    both = (one for one in (model.purchases, model.spend) if isinstance(one, Specification))
    return tuple(one for part in both for side in part._asked().values() for one in side)


def plain_of(model: CLVModel) -> CLVModel:
    """The same model without covariates."""
    parts = {"purchases": model.purchases, "spend": model.spend}
    known = {n: one._plain() for n, one in parts.items() if isinstance(one, Specification)}
    return model.replace(**known)


def joint_of(model: CLVModel, columns: RfmColumns) -> Design | None:
    """By what purchases and spend tell customers apart together, where spend does at all.

    Raises
    ------
    SchemaError, DomainError
        The columns are not there, cannot go together, or have too many levels.
    """
    if not isinstance(model.spend, GammaGammaModel):
        return None
    own = model.spend._designed(columns)[1]
    if own is None:
        return None
    if isinstance(model.purchases, AutomaticModel):
        raise SchemaError(
            "Covariates of spend go with one model of purchases, and 'auto' may stack several: "
            "name one, such as 'mbgnbd'."
        )
    return joint_design(columns, model.purchases._designed(columns)[1], own)
