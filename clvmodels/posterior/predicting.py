"""What a prediction of customers holds, whatever is known of their spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels import schema
from clvmodels.forecast import OUTCOMES, Draws, Future, OutcomePredictor, predict_rows
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import Discounting, FloatArray, Horizon, TimeScale

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.posterior.core import Posterior
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.histories import RfmColumns

POINTS: Final = ("p_alive", "p_purchase", "expected_purchases", "discounted_purchases")
MONEY_POINTS: Final = ("expected_spend", "clv")
CLV_INTERVAL: Final = ("clv_sd", "clv_lower", "clv_upper")
ALIVE_INTERVAL: Final = ("p_alive_lower", "p_alive_upper")
PURCHASES_INTERVAL: Final = ("expected_purchases_lower", "expected_purchases_upper")
SPEND_INTERVAL: Final = ("expected_spend_lower", "expected_spend_upper")


def points_of(*, money: bool) -> tuple[str, ...]:
    """Columns of expectations, in the order of the output."""
    return (*POINTS, *MONEY_POINTS) if money else POINTS


def intervals_of(*, money: bool, every: bool = True) -> tuple[str, ...]:
    """Columns that say how well the expectations are known, in the order of the output.

    Parameters
    ----------
    money : bool
        Whether there are values.
    every : bool
        All of them; else those of the one figure that matters most: of clv, or, where there
        are no values, of expected_purchases.
    """
    if not every:
        return CLV_INTERVAL if money else PURCHASES_INTERVAL
    bought = (*ALIVE_INTERVAL, *PURCHASES_INTERVAL)
    return (*CLV_INTERVAL, *bought, *SPEND_INTERVAL) if money else bought


def columns_of(
    purchases: Posterior, data: RfmTable | Frame, said: TimeScale | None, *, money: bool = False
) -> RfmColumns:
    """Check a table, and hold it against what is known of the base that was fitted.

    Parameters
    ----------
    purchases : Posterior
        Of a purchase model.
    data : RfmTable or frame
        Customers, in the posterior's unit of time.
    said : TimeScale or None
        The unit that the caller says a frame is in.
    money : bool
        Whether monetary_value must be there.

    Returns
    -------
    RfmColumns
        Its columns, each of shape (N,).
    """
    return rfm_columns(
        data,
        scale=purchases.scale,
        said=said,
        whole=purchases.metadata.whole,
        fitted=purchases.metadata.longest_T,
        money=money,
    )


def future_of(
    scale: TimeScale,
    horizon: Horizon,
    discount_rate: float,
    discounting: Discounting,
    interval: float,
    margin: float = 1.0,
) -> Future:
    """Check the options of a prediction, and count them in a unit of time.

    Raises
    ------
    SchemaError, DomainError
        An option is of the wrong kind, or out of range.
    """
    schema.check_choice("discounting", discounting, ("continuous", "monthly"))
    interval = schema.check_interval(interval)
    month = scale.month if discounting == "monthly" else None
    delta = scale.delta(discount_rate)
    return Future(scale.horizon(horizon), delta, month, interval, margin)


def predicted(
    draws: Draws,
    columns: RfmColumns,
    m_bar: FloatArray,
    future: Future,
    *,
    certain: bool,
    predictive: bool,
) -> dict[str, Any]:
    """Every column of a prediction by name, in the order of the output.

    Parameters
    ----------
    draws : Draws
        Of both models, or of purchases alone: there are then no columns of money.
    columns : RfmColumns
        Customers.
    m_bar : ndarray, shape (N,)
        Their mean spend; without effect where nothing is known of spend.
    future : Future
        What is asked.
    certain : bool
        Whether the draws are a single point, so that intervals are empty.
    predictive : bool
        Whether intervals of outcomes are wanted too.
    """
    who, money = (columns.x, columns.t_x, columns.T, m_bar), draws.spend is not None
    found: dict[str, Any] = dict(predict_rows(draws, *who, future))
    uncertain = intervals_of(money=money)
    if certain or draws.count == 1:
        found |= {name: np.full(len(columns), np.nan) for name in uncertain}
    if predictive:
        found |= OutcomePredictor(draws, future)(*who)
    names = (*points_of(money=money), *uncertain, *(n for n in OUTCOMES if n in found))
    return {name: found[name] for name in names}


def customers_frame(columns: RfmColumns, m_bar: FloatArray | None = None) -> pd.DataFrame:
    """The customers of a prediction, a row each."""
    import pandas as pd

    frame = {
        schema.CUSTOMER_ID: columns.customer_id,
        schema.FREQUENCY: columns.x.astype(np.int64),
        schema.RECENCY: columns.t_x,
        schema.T: columns.T,
    }
    return pd.DataFrame(frame if m_bar is None else frame | {schema.MONETARY_VALUE: m_bar})
