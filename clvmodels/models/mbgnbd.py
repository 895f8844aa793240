"""The MBG/NBD model of repeat purchases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clvmodels.keywords import named_fields
from clvmodels.models.purchases import PurchaseSpecification
from clvmodels.posterior import ModifiedBetaGeoPosterior, PurchasePosterior


@named_fields
@dataclass(frozen=True)
class ModifiedBetaGeoModel(PurchaseSpecification[ModifiedBetaGeoPosterior]):
    """MBG/NBD: as BG/NBD, but customers may drop out after the first purchase too.

    Batislam, Denizel & Filiztekin (2007), eq. 3; Wagner & Hoppe (2008).

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
    >>> from clvmodels import ModifiedBetaGeoModel
    >>> ModifiedBetaGeoModel(alpha_scale=30.0).alpha_scale
    30.0
    """

    name: ClassVar[str] = "mbgnbd"
    posterior_class: ClassVar[type[PurchasePosterior]] = ModifiedBetaGeoPosterior
    extra: ClassVar[float] = 1.0
    zero_has_term: ClassVar[bool] = True
