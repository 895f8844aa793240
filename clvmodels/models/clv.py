"""Purchases and spend together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clvmodels.histories import rfm_columns
from clvmodels.inference import Settings
from clvmodels.models.base import look_for_other_ids, observation_end
from clvmodels.models.bgnbd import BetaGeoModel
from clvmodels.models.gamma_gamma import GammaGammaModel
from clvmodels.models.parameters import Parameters
from clvmodels.models.purchases import PurchaseSpecification
from clvmodels.posterior import CLVPosterior
from clvmodels.rfm import RfmTable
from clvmodels.schema import TimeUnit, scale_said

if TYPE_CHECKING:
    from clvmodels.frames import Frame


@dataclass(frozen=True)
class CLVModel(Parameters):
    """A purchase model and a spend model, fitted to the same base.

    Parameters
    ----------
    purchases : BetaGeoModel or ModifiedBetaGeoModel
        How often customers come back, and whether they still do.
    spend : GammaGammaModel
        What they spend when they do.

    Examples
    --------
    >>> from clvmodels import CLVModel, ModifiedBetaGeoModel
    >>> CLVModel(purchases=ModifiedBetaGeoModel()).purchases.name
    'mbgnbd'
    """

    purchases: PurchaseSpecification = field(default_factory=BetaGeoModel)
    spend: GammaGammaModel = field(default_factory=GammaGammaModel)

    def fit(
        self,
        rfm: RfmTable | Frame,
        *,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
        **options: Any,
    ) -> CLVPosterior:
        """Fit both models.

        Parameters
        ----------
        rfm : RfmTable or frame
            The base, with monetary_value; a plain frame counts as days unless the unit is
            said.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, as in :meth:`RfmTable.from_frame`; a table
            knows its own.
        **options
            As in :meth:`BetaGeoModel.fit`.

        Returns
        -------
        CLVPosterior
            Both posteriors.

        Raises
        ------
        ConvergenceError
            One of the fits did not converge.
        DomainError
            The base holds nothing that a model could learn from.
        """
        said = scale_said(time_unit, time_scaler)
        columns, settings = rfm_columns(rfm, said=said, whole=True), Settings(**options)
        end = observation_end(rfm)
        self.spend.described(columns)  # refuses now what would be refused after the first fit
        look_for_other_ids(columns, end, stacklevel=2)
        return CLVPosterior(
            self.purchases.fit_columns(columns, settings, observation_end=end),
            self.spend.fit_columns(columns, settings, observation_end=end),
        )
