"""Fit a specification to a calibration period, with what a backtest needs of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clvmodels.errors import SchemaError
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.rfm import RfmTable
from clvmodels.schema import check_choice
from clvmodels.verdict import Verdict

if TYPE_CHECKING:
    from clvmodels.models import CLVModel

ModelName = Literal["bgnbd", "mbgnbd"]


@dataclass(frozen=True, slots=True)
class Fitting:
    """How the model is fitted.

    Attributes
    ----------
    model : {"bgnbd", "mbgnbd"} or CLVModel
        The specification.
    options : mapping
        Keyword arguments of ``fit``.
    """

    model: ModelName | CLVModel
    options: Mapping[str, Any]

    def fit(self, rfm: RfmTable, **changes: Any) -> CLVPosterior | PurchasePosterior:
        """Fit purchases and, where the table has amounts, spend."""
        options = {**self.options, **changes}
        model = self.specification()
        fitted: Any = (model if rfm.has_money else model.purchases).fit(rfm, **options)
        if not isinstance(fitted, CLVPosterior | PurchasePosterior):
            raise SchemaError(f"A backtest cannot use a {type(fitted).__name__}.")
        return fitted

    def mode(self, rfm: RfmTable) -> CLVPosterior | PurchasePosterior:
        """Fit the most likely point alone."""
        return self.fit(rfm, method="map")

    def specification(self) -> CLVModel:
        """Return the specification, making one of a name."""
        # PyMC takes seconds to import, and reading a kept backtest does not need it
        from clvmodels.models import BetaGeoModel, CLVModel, ModifiedBetaGeoModel

        if isinstance(self.model, CLVModel):
            return self.model
        if not isinstance(self.model, str):
            raise SchemaError(
                f"model must be 'bgnbd', 'mbgnbd' or a CLVModel, found {type(self.model).__name__}."
            )
        check_choice("model", self.model, ("bgnbd", "mbgnbd"))
        purchases = {"bgnbd": BetaGeoModel, "mbgnbd": ModifiedBetaGeoModel}[self.model]
        return CLVModel(purchases=purchases())

    @property
    def name(self) -> str:
        """What the model of purchases is called."""
        return self.model if isinstance(self.model, str) else self.model.purchases.name


def verdicts(posterior: CLVPosterior | PurchasePosterior) -> dict[str, Verdict]:
    """Return the verdict of each fit."""
    if isinstance(posterior, CLVPosterior):
        return posterior.verdicts
    return {posterior.metadata.model: posterior.verdict}
