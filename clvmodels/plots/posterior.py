"""Pictures of a posterior's draws: chains, priors, and what covariates do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clvmodels.diagnostics import single
from clvmodels.diagnostics.effect_parts import effect_data
from clvmodels.plots.common import takes
from clvmodels.plots.convergence import as_high_as_rows
from clvmodels.plots.diagnostics import drawn, drawn_panels
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior, GammaGammaPosterior, PurchasePosterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Posterior = CLVPosterior | PurchasePosterior | GammaGammaPosterior


@picture
def plot_trace(posterior: Posterior, *, ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Values of each parameter along the chains.

    Parameters
    ----------
    posterior : posterior
        Of NUTS, or of given draws.
    ax : sequence of matplotlib Axes, optional
        One for each parameter; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    sequence of Axes
        One for each parameter.
    """
    return drawn_panels("trace", _of_draws("trace", posterior), ax)


@picture
def plot_ranks(posterior: Posterior, *, ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Histograms of each chain's ranks among all draws, as lines, by parameter.

    Parameters
    ----------
    posterior : posterior
        Of NUTS with several chains.
    ax : sequence of matplotlib Axes, optional
        One for each parameter; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    sequence of Axes
        One for each parameter; where chains agree, all lines are near the dashed one.
    """
    return drawn_panels("ranks", _of_draws("ranks", posterior), ax)


@picture
def plot_ridges(posterior: Posterior, *, ax: Sequence[Axes] | None = None) -> Sequence[Axes]:
    """Draws of two parameters against each other, on logarithmic axes.

    Parameters
    ----------
    posterior : posterior
        Of any method but the mode.
    ax : sequence of matplotlib Axes, optional
        One for each pair; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    sequence of Axes
        Two for each model; divergent draws are crosses.
    """
    return drawn_panels("ridges", _of_draws("ridges", posterior), ax)


@picture
def plot_energy(posterior: Posterior, *, ax: Axes | None = None) -> Axes:
    """Energies of all draws about their mean, and their change from draw to draw.

    Parameters
    ----------
    posterior : posterior
        Of one model (``posterior.purchases``, ``posterior.spend``), by NUTS.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The two are about as wide where the sampler moves freely.
    """
    return drawn("energy", _of_draws("energy", posterior), ax)


@picture
def plot_prior_posterior(
    posterior: Posterior, *, ax: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Prior and posterior of each parameter, each scaled to its own height.

    Parameters
    ----------
    posterior : posterior
        Fitted, so that its priors are known.
    ax : sequence of matplotlib Axes, optional
        One for each parameter; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    sequence of Axes
        One for each parameter that has a prior.
    """
    return drawn_panels("prior_posterior", _of_draws("prior_posterior", posterior), ax)


@picture
def plot_prior_sensitivity(posterior: Posterior, *, ax: Axes | None = None) -> Axes:
    """How far each posterior moves when prior or data count a little more.

    Parameters
    ----------
    posterior : posterior
        Fitted, so that its priors are known.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Above the dashed line a sensitivity is noticeable.
    """
    return drawn("prior_sensitivity", _of_draws("prior_sensitivity", posterior), ax)


def _of_draws(kind: str, posterior: Any) -> single.Data:
    if not isinstance(posterior, Posterior):
        raise takes(f"plot_{kind}", posterior)
    return single.of_draws(kind, posterior)


@picture
def plot_effects(
    posterior: CLVPosterior | PurchasePosterior | GammaGammaPosterior,
    *,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """What covariates do, level by level, as multiples of the average customer.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like, or GammaGammaPosterior
        Of a model that was fitted with covariates.
    interval : float
        Probability of the equal-tailed intervals.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        How often customers of each level buy, the odds or rate at which they leave, and what they
        spend an order; of a
        covariate with many levels those that differ most.

    Raises
    ------
    SchemaError
        The model has no covariates.
    """
    if not isinstance(posterior, CLVPosterior | PurchasePosterior | GammaGammaPosterior):
        raise takes("plot_effects", posterior)
    fits = posterior.fits if isinstance(posterior, CLVPosterior) else (posterior,)
    data = effect_data(fits, interval)
    found = drawn("effects", data, ax)
    if ax is None:
        as_high_as_rows(found, len(data["levels"]), len(data["series"]))
    return found
