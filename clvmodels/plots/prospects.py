"""Pictures of what is ahead of one customer, and of a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clvmodels.diagnostics import prospects
from clvmodels.plots.common import takes, with_customers
from clvmodels.plots.diagnostics import drawn
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.rfm import RfmTable
from clvmodels.schema import Horizon, TimeUnit, scale_said

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clvmodels.frames import Frame


@picture
def plot_customer_value(
    posterior: CLVPosterior,
    rfm: RfmTable | Frame | None = None,
    *,
    customer_id: Any = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.1,
    margin: float | None = None,
    interval: float = 0.9,
    unit: str = "",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """What one customer may bring within a horizon: not the expectation, but the outcome.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable or frame
        The customers.
    customer_id : object
        Which customer; may be left out of a table of one.
    horizon : str or float
        As in :meth:`CLVPosterior.predict`, finite.
    discount_rate, margin : float, optional
        As there.
    interval : float
        Probability of the interval of the outcome.
    unit : str
        Of money, such as "$".
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The bar to the left is the chance of nothing at all. Chances are those of
        :func:`~clvmodels.value_distribution`.

    Raises
    ------
    SchemaError
        There is no such customer.
    DomainError
        The horizon has no end, or too little is to come to be drawn.
    """
    if not isinstance(posterior, CLVPosterior):
        raise takes("plot_customer_value", posterior)
    table = _table("plot_customer_value", posterior, rfm, time_unit, time_scaler)
    terms = {
        "horizon": horizon,
        "discount_rate": discount_rate,
        "margin": margin,
        "interval": interval,
    }
    data = prospects.customer_value(posterior, table, customer_id, terms)
    return drawn("customer_value", data | {"unit": unit}, ax)


@picture
def plot_next_purchase(
    posterior: CLVPosterior | PurchasePosterior,
    rfm: RfmTable | Frame | None = None,
    *,
    customer_id: Any = None,
    horizon: Horizon = "365D",
    interval: float = 0.8,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """When one customer buys next: the chance of a purchase by each date.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases; spend is not needed.
    rfm : RfmTable or frame
        The customers.
    customer_id : object
        Which customer; may be left out of a table of one.
    horizon : str or float
        How far the axis goes, such as "365D".
    interval : float
        Probability of the interval of the time of the next purchase, if one comes.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The line approaches the dashed one, the chance that any purchase comes; both are those
        of :func:`~clvmodels.next_purchase`.

    Raises
    ------
    SchemaError
        There is no such customer.
    DomainError
        The horizon has no end.
    """
    if not isinstance(posterior, CLVPosterior | PurchasePosterior):
        raise takes("plot_next_purchase", posterior)
    table = _table("plot_next_purchase", posterior, rfm, time_unit, time_scaler)
    data = prospects.time_to_next(posterior, table, customer_id, horizon, interval)
    return drawn("next_purchase", data, ax)


@picture
def plot_payback(
    posterior: CLVPosterior,
    cac: float | None = None,
    *,
    months: int = 24,
    discount_rate: float = 0.0,
    margin: float | None = None,
    interval: float = 0.9,
    unit: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What a new customer brings by months since the first order, against what one costs.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    cac : float, optional
        Cost of acquiring a customer; without it there is the curve alone.
    months : int
        How far the curve goes.
    discount_rate : float
        Effective annual rate at which value is discounted; by default it is not, as in
        :func:`~clvmodels.payback_period`, :func:`~clvmodels.acquisition_report` and the report.
    margin : float, optional
        As in :meth:`CLVPosterior.predict`.
    interval : float
        Probability of the interval of the expected value.
    unit : str
        Of money, such as "$".
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The line is :meth:`CLVPosterior.new_customer_value` by month, the first order included,
        and the point where :func:`~clvmodels.payback_period` says that the cost is made up for.

    Raises
    ------
    DomainError
        The cost is negative, or draws have an infinite mean spend.
    """
    if not isinstance(posterior, CLVPosterior):
        raise takes("plot_payback", posterior)
    terms = {"discount_rate": discount_rate, "margin": margin, "interval": interval}
    data = prospects.payback(posterior, cac, months, terms)
    return drawn("payback", data | {"unit": unit}, ax)


def _table(
    plot: str,
    posterior: CLVPosterior | PurchasePosterior,
    rfm: Any,
    time_unit: TimeUnit | None,
    time_scaler: float | None,
) -> RfmTable:
    """The customers as a table, of which a frame is in the posterior's unit unless said."""
    given = with_customers(plot, rfm)
    if isinstance(given, RfmTable):
        return given
    scale = scale_said(time_unit, time_scaler) or posterior.scale
    return RfmTable.from_frame(given, time_unit=scale.time_unit, time_scaler=scale.time_scaler)
