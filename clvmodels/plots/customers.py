"""Pictures of customers: their purchases, what a model expects, and their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from clvmodels import frames
from clvmodels.diagnostics import single
from clvmodels.diagnostics.of_backtests import repeated, weeks
from clvmodels.economics import lorenz_curve
from clvmodels.evaluation import Backtest
from clvmodels.plots.common import numbers, shown_axes, table_with, takes, with_customers
from clvmodels.plots.diagnostics import drawn
from clvmodels.plots.economics import draw_lorenz
from clvmodels.plots.renamed import picture
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    REASON,
    FloatArray,
    Horizon,
    TimeScale,
    TimeUnit,
    check_choice,
    scale_said,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from clvmodels.frames import Frame

Buying = CLVPosterior | PurchasePosterior
Curve = tuple[FloatArray, FloatArray]

_MOST_POINTS: Final = 1_001
_REPEATS: Final = ("repeats", "actual", "expected", "lower", "upper")
_TRACKING: Final = ("date", "days", "part", "actual", "expected", "lower", "upper")


@picture
def plot_repeat_histogram(
    source: RfmTable | Frame | Buying | Backtest,
    rfm: RfmTable | Frame | None = None,
    *,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Customers by number of repeat purchases, and what a model expects.

    Parameters
    ----------
    source : RfmTable, frame, posterior or Backtest
        The customers; or a posterior, with its customers beside it; or a backtest, or its table
        `Backtest.repeats`, of its calibration.
    rfm : RfmTable or frame, optional
        The customers, with a posterior.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Bars are what there is; points, with predictive intervals, what is expected.
    """
    name, said = "plot_repeat_histogram", scale_said(time_unit, time_scaler)
    source = source.repeats if isinstance(source, Backtest) else source
    if _is_table(source, _REPEATS):
        data = repeated(table_with(name, source, _REPEATS))
    elif isinstance(source, Buying):
        data = single.repeats(with_customers(name, rfm), source, said=said)
    else:
        data = single.repeats(_customers(name, source), said=said)
    return drawn("repeat_histogram", data, ax)


@picture
def plot_spend_by_frequency(
    rfm: RfmTable | Frame,
    *,
    currency: str = "",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Boxes of mean spend by number of repeats.

    Parameters
    ----------
    rfm : RfmTable or frame
        Customers, with monetary_value.
    currency : str
        For the eye, such as "$".
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        The spend model assumes that the boxes are level.
    """
    table = _customers("plot_spend_by_frequency", rfm)
    said = scale_said(time_unit, time_scaler)
    data = single.spend("spend_by_frequency", table, currency=currency, said=said)
    return drawn("spend_by_frequency", data, ax)


@picture
def plot_spend_density(
    posterior: CLVPosterior,
    rfm: RfmTable | Frame | None = None,
    *,
    currency: str = "",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Density of the mean spend of repeat customers, over its logarithm.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable or frame
        Its customers, with monetary_value.
    currency : str
        For the eye, such as "$".
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Bars are what there is, the line what the model expects.
    """
    if not isinstance(posterior, CLVPosterior):
        raise takes("plot_spend_density", posterior)
    rfm = with_customers("plot_spend_density", rfm)
    said = scale_said(time_unit, time_scaler)
    data = single.spend("spend_density", rfm, posterior, currency, said=said)
    return drawn("spend_density", data, ax)


@picture
def plot_purchases_over_time(
    source: Buying | Backtest | pd.DataFrame,
    rfm: RfmTable | None = None,
    *,
    log: Any = None,
    id_map: Any = None,
    horizon: Horizon = None,
    calendar: CalendarChoice = "auto",
    cumulative: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Repeat purchases of the whole base by week: actual, and expected with its band.

    With a horizon it goes on into the future, by calendar month.

    Parameters
    ----------
    source : posterior, Backtest or DataFrame
        A posterior, with its customers and their log; or a backtest, or its table
        `Backtest.tracking`, with a dotted line where the calibration ends.
    rfm : RfmTable, optional
        The customers, with a posterior.
    log, id_map : object, optional
        What ``rfm`` was made of, in any of the forms of `rfm_summary`.
    horizon : str or float, optional
        How far to go on, such as "365D", with a posterior: what
        :func:`~clvmodels.forecast_total` expects of the same customers, with its interval of
        the outcome.
    calendar : {"auto", "none", "learnt"} or float
        As there.
    cumulative : bool
        Draw the sums so far.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    name = "plot_purchases_over_time"
    source = source.tracking if isinstance(source, Backtest) else source
    if not isinstance(source, Buying):
        table = table_with(name, source, _TRACKING)
        return drawn("purchases_over_time", weeks(table, cumulative=cumulative), ax)
    rfm = with_customers(name, rfm)
    how: Any = {"horizon": horizon, "calendar": calendar, "cumulative": cumulative}
    data = single.over_time(source, rfm, log, id_map, **how)
    return drawn("purchases_over_time", data, ax)


@picture
def plot_history_matrix(
    posterior: Buying,
    rfm: RfmTable | Frame | None = None,
    *,
    quantity: Literal["p_alive", "expected_purchases"] = "p_alive",
    horizon: Horizon = "365D",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A quantity over number of repeats and time of the last one, as a map of colours.

    Parameters
    ----------
    posterior : posterior
        Of purchases, or of purchases and spend.
    rfm : RfmTable or frame, optional
        Customers who say how far the axes go; by default as far as the base that was
        fitted.
    quantity : {"p_alive", "expected_purchases"}
        The chance that a customer of such a history is still one, or purchases to come.
    horizon : str or float
        For purchases to come: "365D", "52W", "12M" or a number in the posterior's unit.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Of the map; its colour bar stands beside it. Impossible histories are empty.
    """
    if not isinstance(posterior, Buying):
        raise takes("plot_history_matrix", posterior)
    check_choice("quantity", quantity, ("p_alive", "expected_purchases"))
    bought = quantity == "expected_purchases"
    said = scale_said(time_unit, time_scaler)
    data = single.matrix(posterior, rfm, purchases=bought, horizon=horizon, said=said)
    return drawn("history_matrix", data, ax)


@picture
def plot_alive_histogram(
    values: Any,
    rfm: RfmTable | Frame | None = None,
    *,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Repeat customers by P(alive).

    Parameters
    ----------
    values : frame, array_like or posterior
        A table of `predict` or `score`, of which repeat customers are drawn; P(alive)
        alone; or a posterior, with its customers.
    rfm : RfmTable or frame, optional
        The customers, with a posterior.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.
    """
    name = "plot_alive_histogram"
    if not isinstance(values, Buying) and frames.kind_of(values) is None:
        import pandas as pd

        values = pd.DataFrame({"p_alive": numbers(name, values)})
    table = _values(name, values, rfm, ("p_alive",), scale_said(time_unit, time_scaler))
    return drawn("alive_histogram", single.alive(table), ax)


@picture
def plot_value_distribution(
    values: Any,
    rfm: RfmTable | Frame | None = None,
    *,
    currency: str = "",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Customers by expected value, on a logarithmic axis.

    Parameters
    ----------
    values : frame or CLVPosterior
        A table of `predict` or `score`; or a posterior, with its customers, for the
        default terms of `predict`.
    rfm : RfmTable or frame, optional
        The customers, with a posterior.
    currency : str
        For the eye, such as "$".
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        Customers who bought once, and upon them those who came back.
    """
    said = scale_said(time_unit, time_scaler)
    table = _values("plot_value_distribution", values, rfm, (FREQUENCY, "clv"), said)
    data = single.value_distribution(table, currency)
    return drawn("value_distribution", data, ax)


@picture
def plot_lorenz(
    values: Any,
    rfm: RfmTable | Frame | None = None,
    *,
    first: Literal["least valuable", "most valuable"] = "least valuable",
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Lorenz curves: how value is concentrated, as cumulative shares of customers and value.

    Parameters
    ----------
    values : frame, array_like, mapping or CLVPosterior
        Every customer's value: a table of `predict` or `score`, its column clv, or a
        posterior with its customers. Several by label, at most three, each of these or a
        curve of `clvmodels.lorenz_curve`.
    rfm : RfmTable or frame, optional
        The customers, with a posterior.
    first : {"least valuable", "most valuable"}
        Which customers come first: as Lorenz drew it, or to read what share of the value the best
        tenth has.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure of pyplot, which notebooks show.

    Returns
    -------
    Axes
        On the diagonal all customers would be equal.
    """
    labelled = values if isinstance(values, Mapping) else {"expected value": values}
    said = scale_said(time_unit, time_scaler)
    curves = {
        str(name): _value_curve("plot_lorenz", one, rfm, said) for name, one in labelled.items()
    }
    best = check_choice("first", first, ("least valuable", "most valuable")) == "most valuable"
    if best:
        curves = {name: (1.0 - at[::-1], 1.0 - y[::-1]) for name, (at, y) in curves.items()}
    return draw_lorenz(curves, best_first=best, axes=shown_axes(ax))


def _value_curve(plot: str, values: Any, rfm: Any, said: TimeScale | None) -> Curve:
    """The Lorenz curve of customers' values, or one that was worked out before."""
    if isinstance(values, tuple) and len(values) == 2:
        curve = tuple(numbers(plot, one) for one in values)
        return curve[0], curve[1]
    if isinstance(values, CLVPosterior) or frames.kind_of(values) is not None:
        values = _values(plot, values, rfm, ("clv",), said)["clv"]
    customers, value = lorenz_curve(numbers(plot, values))
    at = np.unique(np.linspace(0, len(value) - 1, _MOST_POINTS).astype(int))
    return customers[at], value[at]


def _values(
    plot: str, values: Any, rfm: Any, columns: tuple[str, ...], said: TimeScale | None
) -> pd.DataFrame:
    """Customers' values as a table with certain columns; of a posterior they are predicted."""
    if isinstance(values, CLVPosterior if "clv" in columns else Buying):
        values = single.scores(values, with_customers(plot, rfm), said)
    table = table_with(plot, values, columns)
    if "clv" not in columns or REASON not in table:
        return table
    return table[table["clv"].notna() | table[REASON].isna()]  # who has none is not drawn


def _is_table(found: object, columns: Sequence[str]) -> bool:
    return frames.kind_of(found) is not None and set(columns) <= set(frames.column_names(found))


def _customers(plot: str, found: Any) -> Any:
    if isinstance(found, RfmTable):
        return found
    return table_with(plot, found, (CUSTOMER_ID, FREQUENCY))
