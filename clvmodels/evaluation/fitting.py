"""Fit a specification to a calibration period, with what a backtest needs of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from scipy.special import expit, logit

from clvmodels.errors import SchemaError
from clvmodels.evaluation.over_dates import NO_SEASON, WITHOUT
from clvmodels.posterior import CLVPosterior, GammaGammaPosterior, PurchasePosterior
from clvmodels.posterior.core import EFFECTS, Posterior
from clvmodels.posterior.scorable import fits_of, purchases_of
from clvmodels.posterior.stacking import StackPosterior, stacked
from clvmodels.purchases import AUTO, MODELS, ModelChoice
from clvmodels.purchases.clock import clock_of
from clvmodels.rfm import RfmTable
from clvmodels.rfm.attributes import segments_for
from clvmodels.verdict import Verdict

if TYPE_CHECKING:
    from clvmodels.fit import CLVModel
    from clvmodels.fit.covariates import Covariate, Pooled

FittedModel = CLVPosterior | PurchasePosterior


@dataclass(frozen=True, slots=True)
class Fitting:
    """How the model is fitted.

    Attributes
    ----------
    model : str or CLVModel
        A name of a purchase model, or the specification.
    options : mapping
        Keyword arguments of ``fit``.
    """

    model: ModelChoice | CLVModel
    options: Mapping[str, Any]

    def fit(self, rfm: RfmTable, **changes: Any) -> FittedModel:
        """Fit purchases and, where the table has amounts, spend, unless it has one value."""
        options = {**self.options, **changes}
        model = self.specification()
        both = rfm.has_money or model.basket_value is not None
        fitted: Any = (model if both else model.purchases).fit(rfm, **options)
        if not isinstance(fitted, CLVPosterior | PurchasePosterior):
            raise SchemaError(
                f"A backtest needs draws of purchases, found a {type(fitted).__name__}: pass "
                f"a CLVModel, or the name of a model ({', '.join((AUTO, *MODELS))})."
            )
        return fitted

    def purchases(self, rfm: RfmTable) -> PurchasePosterior:
        """Fit purchases alone, whatever else the table has."""
        fitted: PurchasePosterior = self.specification().purchases.fit(rfm, **self.options)
        return fitted

    def mode(self, rfm: RfmTable) -> tuple[FittedModel, str]:
        """Fit the most likely point alone; say what is wrong with it, if anything is."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # said in the note
            fitted = self.fit(rfm, method="map", on_failure="warn")
        failed = [c for verdict in verdicts(fitted).values() for c in verdict.failures]
        return fitted, "; ".join(check.finding for check in failed)

    def specification(self) -> CLVModel:
        """Return the specification, making one of a name."""
        # PyMC takes seconds to import, and reading a kept backtest does not need it
        from clvmodels.fit import CLVModel

        if isinstance(self.model, CLVModel):
            return self.model
        if not isinstance(self.model, str):
            raise SchemaError(
                f"model must be a CLVModel or the name of a model ({', '.join((AUTO, *MODELS))}), "
                f"found {type(self.model).__name__}."
            )
        return CLVModel(purchases=self.model)

    @property
    def has_clock(self) -> bool:
        """Whether a clock is learnt, which takes the days of purchases."""
        if isinstance(self.model, str):
            return False  # a name stands for a model without one, and PyMC need not load for it
        return bool(getattr(self.specification().purchases, "clock", None))

    @property
    def columns(self) -> list[str]:
        """Columns of the log that covariates are made of, which a summary must keep."""
        return list(segments_for(dict.fromkeys(one.column for one in self.asked)))

    @property
    def asked(self) -> tuple[Covariate | Pooled, ...]:
        """Covariates of purchases, and those of spend."""
        if isinstance(self.model, str):
            return ()  # a name stands for a model without any
        from clvmodels.fit.clv import asked_of

        return asked_of(self.specification())

    def beside(self, posterior: FittedModel, rfm: RfmTable) -> FittedModel:
        """Fit purchases, and take spend from a posterior of the same customers."""
        bought = self.purchases(rfm)
        if not isinstance(posterior, CLVPosterior):
            return bought
        return CLVPosterior(bought, posterior.spend, margin=posterior.margin)

    def without(self, posterior: FittedModel, rfm: RfmTable) -> FittedModel:
        """Fit the same without covariates, with the spend of a posterior where that has none."""
        from clvmodels.fit.clv import plain_of

        model = self.specification()
        plain = plain_of(model)
        fitting, same = replace(self, model=plain), plain.spend == model.spend
        return fitting.beside(posterior, rfm) if same else fitting.fit(rfm)

    def otherwise(self, posterior: FittedModel) -> dict[str, Fitting]:
        """What to hold a clock against: the same without its season, if it has one, and without.

        Parameters
        ----------
        posterior : FittedModel
            What this fitted.
        """
        learnt = purchases_of(posterior).metadata.clock
        if learnt is None:
            return {}
        model = self.specification()
        clock = clock_of(getattr(model.purchases, "clock", None))
        assert clock is not None  # or there would be none that was learnt
        found = {WITHOUT: model.replace(purchases__clock=None)}
        if len(learnt.season) and (clock.day_of_week or clock.shocks):
            unseasonal = replace(clock, season=False)
            found = {NO_SEASON: model.replace(purchases__clock=unseasonal), **found}
        return {name: replace(self, model=one) for name, one in found.items()}

    @property
    def first_order(self) -> str | None:
        """Whether first orders count in spend; None where spend is not fitted."""
        return getattr(self.specification().spend, "first_order", None)

    @property
    def name(self) -> str:
        """What the model of purchases is called."""
        return self.model if isinstance(self.model, str) else self.model.purchases.name

    @property
    def basket(self) -> dict[str, float]:
        """The value that every purchase counts at, by its name; nothing where spend is fitted."""
        value = self.specification().basket_value
        return {} if value is None else {"basket_value": value}


def centre(posterior: FittedModel) -> FittedModel:
    """Take one point for the whole posterior: the mean of every parameter where it is unbounded.

    That is on the log scale of those that are positive, whose posteriors are long in the
    upper tail, and on the log odds' of probabilities.
    """
    if isinstance(posterior, CLVPosterior):
        fitted = posterior.gamma_gamma
        spend = posterior.spend if fitted is None else _spend(fitted)
        return CLVPosterior(_purchases(posterior.purchases), spend, margin=posterior.margin)
    return _purchases(posterior)


def _spend(posterior: GammaGammaPosterior) -> GammaGammaPosterior:
    metadata = posterior.metadata
    p, q, v = (_point(posterior)[name] for name in posterior.parameters)
    point = GammaGammaPosterior.from_draws(p=p, q=q, v=v)
    known = replace(point.metadata, first_order=metadata.first_order, design=metadata.design)
    return replace(point, tree=_with_mean_effects(point, posterior), metadata=known)


def _purchases(posterior: PurchasePosterior) -> PurchasePosterior:
    if isinstance(posterior, StackPosterior):
        points = {name: _purchases(one) for name, one in posterior.members.items()}
        return stacked(points, posterior.weights, why=posterior.metadata.why)
    scale = posterior.scale
    point = type(posterior).from_draws(
        **_point(posterior), time_unit=scale.time_unit, time_scaler=scale.time_scaler
    )
    metadata = posterior.metadata
    known = replace(point.metadata, clock=metadata.clock, design=metadata.design)
    return replace(point, tree=_with_mean_effects(point, posterior), metadata=known)


def _with_mean_effects(point: Posterior, posterior: Posterior) -> xr.DataTree:
    """Draws of a point, with effects beside them: these are logarithms already."""
    if not posterior.metadata.drawn:
        return point.tree
    means = posterior.tree["posterior"][EFFECTS].mean(("chain", "draw"))
    data = point.tree["posterior"].to_dataset()
    return xr.DataTree.from_dict(
        {"posterior": data.assign({EFFECTS: means.expand_dims(chain=[0], draw=[0])})}
    )


def _point(posterior: PurchasePosterior | GammaGammaPosterior) -> dict[str, float]:
    facts = posterior.facts
    return {
        name: float(expit(logit(values).mean()))
        if facts.is_share(name)
        else float(np.exp(np.log(values).mean()))
        for name, values in posterior.draws().items()
        if name in facts.parameter_names
    }


def verdicts(posterior: FittedModel) -> dict[str, Verdict]:
    """Return the verdict of each fit."""
    return {one.metadata.model: one.verdict for one in fits_of(posterior)}
