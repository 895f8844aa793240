"""What can score a base: a posterior of purchases, alone or with spend."""

from __future__ import annotations

from pathlib import Path

from clvmodels.errors import SchemaError
from clvmodels.forecast import Draws, Future
from clvmodels.margin import Margin
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.storage import load_posterior
from clvmodels.schema import Discounting, Horizon, path_of, shown

Scorable = CLVPosterior | PurchasePosterior


def scorable(found: object) -> Scorable:
    """Return a posterior that knows purchases, or say what else was given.

    Raises
    ------
    SchemaError
        It is another thing, or knows spend alone.
    """
    if isinstance(found, CLVPosterior | PurchasePosterior):
        return found
    raise SchemaError(
        f"Scoring needs a posterior of purchases, alone or with spend, found "
        f"{type(found).__name__}: pass a CLVPosterior, or a BetaGeoPosterior for purchases alone."
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


def purchases_of(posterior: Scorable) -> PurchasePosterior:
    """Return the posterior of purchases."""
    return posterior.purchases if isinstance(posterior, CLVPosterior) else posterior


def fits_of(posterior: Scorable) -> tuple[Posterior, ...]:
    """Return the posterior of each fit."""
    return posterior.fits if isinstance(posterior, CLVPosterior) else (posterior,)


def margin_of(
    posterior: Scorable, argument: float | None, *, table: float | None = None
) -> Margin | None:
    """Decide which margin values have; None where there are no values.

    Parameters
    ----------
    posterior : CLVPosterior or PurchasePosterior
    argument, table : float or None
        What they say; None where it is nothing.

    Raises
    ------
    SchemaError
        A margin is asked for where no value is known.
    DomainError
        The argument is not a share of revenue.
    """
    if isinstance(posterior, CLVPosterior):
        return posterior.margin_for(argument, table=table)
    if argument is not None:
        raise SchemaError(
            f"margin={shown(argument)} is a share of revenue, and a posterior of purchases alone "
            "gives no values: leave margin out, or fit a table with amounts."
        )
    return None


def future_and_draws(
    posterior: Scorable,
    horizon: Horizon,
    discount_rate: float,
    discounting: Discounting,
    interval: float,
    draws: int,
    margin: float | None = None,
) -> tuple[Future, Draws]:
    """Check the options of a prediction; arguments are those of the posterior's ``predict``.

    Raises
    ------
    SchemaError, DomainError
        An option is of the wrong kind or out of range, or undiscounted whole-life purchases
        are infinite.
    """
    used = margin_of(posterior, margin)
    options = (horizon, discount_rate, discounting, interval, draws)
    if isinstance(posterior, CLVPosterior):
        return posterior.future_and_draws(*options, 1.0 if used is None else used.value)
    return posterior.future_and_draws(*options)
