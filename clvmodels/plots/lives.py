"""Pictures of customers over the time of the log: purchases, P(alive), times between purchases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clvmodels.diagnostics import lives, prospects
from clvmodels.plots.common import takes, with_customers
from clvmodels.plots.diagnostics import drawn, drawn_panels
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.rfm import RfmTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Buying = CLVPosterior | PurchasePosterior


@picture
def plot_alive_history(
    posterior: Buying,
    rfm: RfmTable | None = None,
    *,
    log: Any = None,
    id_map: Any = None,
    customer_id: Any = None,
    interval: float = 0.9,
    ax: Axes | None = None,
) -> Axes:
    """P(alive) of one customer over the time of the log, with the purchases.

    Each point is what the posterior says of the customer as they were on that day: what was known
    of the customer then, by the parameters that are known today.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases; spend is not needed.
    rfm : RfmTable
        The customers, made by rfm_summary.
    log, id_map : object
        What ``rfm`` was made of, in any of the forms of `rfm_summary`.
    customer_id : object
        Which customer; may be left out of a table of one.
    interval : float
        Probability of the interval of P(alive), in which only the parameters are in doubt.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Triangles are purchases. BG/NBD says 100 % until the second one.

    Raises
    ------
    SchemaError
        There is no such customer, or the log is not that of the table.
    DomainError
        The customer came in the last period.
    """
    name = "plot_alive_history"
    rfm = _made_of_log(name, _buying(name, posterior), rfm)
    data = lives.alive_history(posterior, rfm, customer_id, log, id_map, interval)
    return drawn("alive_history", data, ax)


@picture
def plot_timelines(
    source: Buying | RfmTable,
    rfm: RfmTable | None = None,
    *,
    log: Any = None,
    id_map: Any = None,
    customers: Sequence[Any] | int = 8,
    ax: Axes | None = None,
) -> Axes:
    """When some customers bought, a line for each, and what came after the table's end.

    Parameters
    ----------
    source : RfmTable or posterior
        The customers, made by rfm_summary; or a posterior, whose P(alive) stands beside each
        line, with its customers.
    rfm : RfmTable, optional
        The customers, with a posterior.
    log, id_map : object
        What the table was made of, in any of the forms of `rfm_summary`; it may go on after the
        table's end of observation.
    customers : int or sequence
        Ids, from the bottom; or how many, which are then evenly spread over those who came back,
        from whom least is expected to whom most is.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Points are purchases that the table knows, crosses those after its end, which is the
        dotted line.

    Raises
    ------
    SchemaError
        There is no such customer, or the log is not that of the table.
    """
    name = "plot_timelines"
    posterior, table = _either(name, source, rfm)
    data = lives.timelines(table, customers, log, id_map, posterior)
    return drawn("timelines", data, ax)


@picture
def plot_times_between(
    source: Buying | RfmTable,
    rfm: RfmTable | None = None,
    *,
    log: Any = None,
    id_map: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """How long customers let pass from one purchase to the next.

    Parameters
    ----------
    source : RfmTable or posterior
        The customers, made by rfm_summary; or a posterior of one model without clock or
        covariates, with its customers.
    rfm : RfmTable, optional
        The customers, with a posterior.
    log, id_map : object
        What the table was made of, in any of the forms of `rfm_summary`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Bars are what there is, the line what the model expects of customers observed for as
        long, and the dotted line the median. Times that the log cuts off are in neither.

    Raises
    ------
    DomainError
        Nobody has bought twice, or the model has a clock or covariates.
    SchemaError
        The log is not that of the table.
    """
    posterior, table = _either("plot_times_between", source, rfm)
    return drawn("times_between", lives.times_between(table, log, id_map, posterior), ax)


@picture
def plot_heterogeneity(
    posterior: Buying, *, interval: float = 0.9, ax: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """How customers differ in how often they buy, and in how easily they leave.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of one purchase model; with covariates, those at their average.
    interval : float
        Probability of the intervals of the shares.
    ax : sequence of matplotlib Axes, optional
        Two; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    sequence of Axes
        Shares of new customers by repeat purchases a year while they are active, and by their
        chance of leaving: after a purchase, or in Pareto/NBD within a year.

    Raises
    ------
    SchemaError
        The posterior is of several models.
    """
    data = prospects.heterogeneity(_buying("plot_heterogeneity", posterior), interval)
    return drawn_panels("heterogeneity", data, ax)


def _buying(plot: str, posterior: Any) -> Buying:
    if not isinstance(posterior, Buying):
        raise takes(plot, posterior)
    return posterior


def _made_of_log(plot: str, posterior: Buying, rfm: Any) -> RfmTable:
    if not isinstance(with_customers(plot, rfm), RfmTable):
        raise takes(plot, rfm)
    table: RfmTable = rfm
    return table


def _either(plot: str, source: Any, rfm: Any) -> tuple[Buying | None, RfmTable]:
    """A posterior with its customers, or these alone."""
    if isinstance(source, Buying):
        return source, _made_of_log(plot, source, rfm)
    if not isinstance(source, RfmTable):
        raise takes(plot, source)
    return None, source
