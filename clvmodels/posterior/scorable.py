"""What a verb can be asked of: a posterior of purchases, alone or with spend."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from clvmodels.errors import SchemaError
from clvmodels.forecast import Draws, Future
from clvmodels.keywords import named
from clvmodels.margin import Margin, MarginLike, margin_for
from clvmodels.path_checks import path_of
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.effects import narrowed
from clvmodels.posterior.loading import load_posterior
from clvmodels.posterior.predicting import Prepared, asked_of, margin_known, prepared
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.spend import GammaGammaPosterior, SpendPosterior
from clvmodels.posterior.terms import FrameTerms, ValueTerms
from clvmodels.purchases.design import FIRST_PURCHASE
from clvmodels.schema import FREQUENCY

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

Scorable = CLVPosterior | PurchasePosterior


def scorable(found: object, what: str = "Scoring needs") -> Scorable:
    """Return a posterior that knows purchases, or say what else was given.

    Raises
    ------
    SchemaError
        It is another thing, or knows spend alone.
    """
    if isinstance(found, PurchasePosterior):
        return narrowed(found)
    if isinstance(found, CLVPosterior):
        return found
    raise SchemaError(
        f"{what} a posterior of purchases, alone or with spend, found {type(found).__name__}: pass "
        "a CLVPosterior, or a BetaGeoPosterior for purchases alone, before the customers."
    )


def open_scorable(posterior: object) -> tuple[Scorable, Path | None]:
    """Return a posterior, and the file where it lies if a path was given.

    Raises
    ------
    SchemaError
        It is not a posterior of purchases.
    PosteriorFileError
        There is no such file, or it holds no posterior.
    """
    if isinstance(posterior, CLVPosterior | Posterior):
        return scorable(posterior), None
    path = path_of("The posterior", posterior)
    return scorable(load_posterior(path)), path


def has_money(posterior: Scorable) -> bool:
    """Whether spend is known, and so values are."""
    return isinstance(posterior, CLVPosterior)


def reads_amounts(posterior: Scorable) -> bool:
    """Whether tables must have amounts: not where every purchase has one value, or none."""
    return isinstance(posterior, CLVPosterior) and posterior.reads_amounts


def attributes_of(posterior: Scorable) -> tuple[str, ...]:
    """Columns that tables must have besides: the covariates of purchases and of spend."""
    design = purchases_of(posterior).metadata.design
    known = (FIRST_PURCHASE, FREQUENCY)
    return () if design is None else tuple(n for n in design.columns if n not in known)


def purchases_of(posterior: Scorable) -> PurchasePosterior:
    """Return the posterior of purchases."""
    return posterior.purchases if isinstance(posterior, CLVPosterior) else posterior


def fits_of(posterior: Scorable) -> tuple[Posterior, ...]:
    """Return the posterior of each fit."""
    return posterior.fits if isinstance(posterior, CLVPosterior) else (posterior,)


def spend_of(posterior: Scorable) -> SpendPosterior | None:
    """Return what is known of spend; None where nothing is."""
    return posterior.spend if isinstance(posterior, CLVPosterior) else None


def margin_of(
    posterior: Scorable, argument: MarginLike, *, table: float | None = None
) -> Margin | None:
    """Decide which margin values have; None where there are no values."""
    parts = purchases_of(posterior), spend_of(posterior)
    return margin_known(*parts, argument, table=table)


@named
def asked_for(
    posterior: Scorable, **terms: Unpack[ValueTerms]
) -> tuple[Future, Draws, Margin | None]:
    """Check the options of a prediction."""
    return asked_of(purchases_of(posterior), spend_of(posterior), **terms)


@named
def prepared_for(
    posterior: Scorable, rfm: RfmTable | Frame, *, own: bool = False, **terms: Unpack[FrameTerms]
) -> Prepared:
    """Check all that a prediction of customers needs; ``own`` as in `prepared`."""
    return prepared(purchases_of(posterior), spend_of(posterior), rfm, own=own, **terms)


def value_posterior(found: object) -> CLVPosterior:
    """Return a posterior of purchases and spend, or say what else was given.

    Raises
    ------
    SchemaError
        It is another thing, or knows purchases or spend alone.
    """
    if isinstance(found, CLVPosterior):
        return found
    if isinstance(found, PurchasePosterior):
        how = "fit amounts too, or give every purchase a value, as in CLVPosterior(purchases, 25.0)"
    elif isinstance(found, GammaGammaPosterior):
        how = "pass CLVPosterior(purchases, spend)"
    else:
        how = "pass the CLVPosterior first and the table after it"
    raise SchemaError(
        f"A value needs a posterior of purchases and of spend, found {type(found).__name__}: {how}."
    )


def at_margin(posterior: CLVPosterior, rfm: RfmTable, margin: MarginLike = None) -> RfmTable:
    """Return the table with the margin that its values have, said as its own.

    So a table without one takes that of the base which the posterior was fitted to, and an
    argument overrides both.
    """
    own = rfm.margin if rfm.margin_said else None
    known = value_posterior(posterior).margin
    used = margin_for(margin, table=own, posterior=known)
    return replace(rfm, margin=used.value, margin_said=used.source != "not said")
