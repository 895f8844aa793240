"""The BG/NBD model of repeat purchases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clvmodels.keywords import named_fields
from clvmodels.models.purchases import PurchaseSpecification
from clvmodels.posterior import BetaGeoPosterior, PurchasePosterior


@named_fields
@dataclass(frozen=True)
class BetaGeoModel(PurchaseSpecification[BetaGeoPosterior]):
    """BG/NBD: purchases at a Gamma rate, dropout after a purchase with Beta probability.

    Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way", eq. 6.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: r, alpha and either phi_dropout = a / (a + b) with
        kappa_dropout = a + b, or a and b themselves. What is not named keeps its
        default; a prior of alpha is taken to be in the table's unit of time.
    alpha_scale : float, optional
        What alpha's default prior is multiplied by, in the table's unit of time;
        by default the mean of T over customers.

    Examples
    --------
    >>> from clvmodels import BetaGeoModel
    >>> BetaGeoModel().priors
    'default'
    """

    name: ClassVar[str] = "bgnbd"
    posterior_class: ClassVar[type[PurchasePosterior]] = BetaGeoPosterior
    extra: ClassVar[float] = 0.0
    zero_has_term: ClassVar[bool] = False
