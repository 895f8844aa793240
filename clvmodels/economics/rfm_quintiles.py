"""RFM scores: recency, frequency and money from 1 to 5, for those who use them."""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.economics.outlook import check_base, column, customer_ids, past_revenue
from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, RECENCY, FloatArray, T, check_choice

Money = Literal["total", "mean"]
_DIGITS: Final = 12


@named
def rfm_scores(rfm: RfmTable, *, money: Money = "total") -> pd.DataFrame:
    """Score every customer from 1 to 5 by recency, frequency and money.

    A score is 1 + floor(5 x share of customers who are strictly worse), so 5 says that
    at least 80 % are worse, and 1 that fewer than 20 % are. Customers who are equal have
    equal scores, whatever the order of rows; without ties and with a multiple of five
    customers the scores are the exact quintiles. With many ties high scores are rare:
    where 60 % of a base bought once, all of these have frequency score 1, and nobody 2
    or 3. (Quantile cuts would have to invent differences between them.)

    Scores rank customers within this base, and are neither probabilities nor money;
    they do not distinguish a slow customer from a lost one.

    Parameters
    ----------
    rfm : RfmTable
        The base, with amounts, first purchases' included.
    money : {"total", "mean"}
        Revenue so far, or per purchase; the first purchase included.

    Returns
    -------
    DataFrame
        In the table's order: customer_id; silence (time since the last purchase, in the
        table's unit), purchases (with the first) and money; their scores recency_score
        (5 = bought most recently), frequency_score and monetary_score; and rfm_score,
        the three as text, such as "543".

    Raises
    ------
    SchemaError
        The table has no amounts, or not those of first purchases.
    DomainError
        It has no customers.
    """
    check_choice("money", money, get_args(Money))
    revenue = past_revenue(check_base(rfm))
    if revenue is None:
        raise SchemaError(
            "RFM scores also need first_value, the revenue of first purchases: make the table "
            "with rfm_summary."
        )
    silence = column(rfm, T) - column(rfm, RECENCY)
    purchases = column(rfm, FREQUENCY) + 1.0
    amount = revenue if money == "total" else revenue / purchases
    scores = [_score(-silence), _score(purchases), _score(amount)]
    names = ("recency_score", "frequency_score", "monetary_score")
    frame = pd.DataFrame(
        {
            CUSTOMER_ID: customer_ids(rfm),
            "silence": silence,
            "purchases": purchases.astype(np.int64),
            "money": amount,
            **dict(zip(names, scores, strict=True)),
        }
    )
    frame["rfm_score"] = [f"{r}{f}{m}" for r, f, m in zip(*scores, strict=True)]
    return frame


def _score(values: FloatArray) -> npt.NDArray[np.int64]:
    """1 + floor(5 x share of strictly smaller values), in whole numbers."""
    largest = float(np.abs(values).max())
    # Equal sums and differences may differ in their last bits
    rounded = np.round(values / largest, _DIGITS) if largest else values
    worse = np.searchsorted(np.sort(rounded), rounded, side="left")
    return (1 + 5 * worse // len(values)).astype(np.int64)
