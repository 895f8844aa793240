"""Calibration and holdout of one log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Unpack

import pandas as pd

from clvmodels.display import Readable
from clvmodels.errors import SchemaError
from clvmodels.frames import like, to_pandas
from clvmodels.keywords import named
from clvmodels.log import Ledger, collect, replayable
from clvmodels.log.audit import Audit
from clvmodels.log.options import SplitTerms
from clvmodels.rfm.periods import end_options, ordinal_of
from clvmodels.rfm.summary import rfm_summary
from clvmodels.rfm.table import RfmTable
from clvmodels.schema import CUSTOMER_ID, FREQUENCY, MONETARY_VALUE, RECENCY, T, TimeScale

_TEST_COLUMNS = ("test_frequency", "test_monetary_value", "test_T")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RfmSplit(Readable):
    """A calibration table and what its customers did afterwards.

    Parameters
    ----------
    train : RfmTable
        Customers seen in the calibration period, to fit.
    test : DataFrame or Table
        Of the kind of the log (of pandas for files and streams). For the same customers in
        the same order: customer_id, test_frequency (periods with a purchase), with amounts
        test_monetary_value (mean total of those periods, 0 where there is none), and
        test_T (length of the holdout in the table's unit).
    new_customers : int
        Customers first seen in the holdout, who are left out of both.
    test_audit : Audit
        What became of the rows; those of the calibration period are "already observed".
    """

    train: RfmTable
    test: Any
    new_customers: int
    test_audit: Audit

    def to_pandas(self) -> pd.DataFrame:
        """Both parts in one pandas frame, as pymc-marketing's rfm_train_test_split has them.

        first_value and segment columns stay in ``train``.
        """
        names = [CUSTOMER_ID, FREQUENCY, RECENCY, T]
        names += [MONETARY_VALUE] if self.train.has_money else []
        left = self.train.to_pandas()[names]
        return left.merge(to_pandas(self.test), on=CUSTOMER_ID, how="left", validate="one_to_one")


@named
def rfm_train_test_split(
    source: Any,
    *,
    train_period_end: Any,
    test_period_end: Any = None,
    id_map: Any = None,
    **terms: Unpack[SplitTerms],
) -> RfmSplit:
    """Summarise a log up to one period, and count what the same customers did after it.

    Parameters
    ----------
    source, customer_id_col, datetime_col, monetary_value_col
        As in `rfm_summary`.
    train_period_end : str, date or Period
        Last calibration period, as a whole: with days, a purchase in the evening of that
        day belongs to the calibration. pymc-marketing cuts at the moment given, midnight
        for a date, and so counts that day's purchases in the holdout.
    test_period_end : str, date or Period, optional
        Last holdout period, or "last whole period" as in `rfm_summary`; by default that of
        the last readable date in the log.
    time_unit, time_scaler, refunds, order_id_col, zero_amounts, duplicates
        As in `rfm_summary`. A refund in the holdout is taken off purchases in the holdout;
        one of a purchase in the calibration changes neither part.
    segment_cols, id_map, margin, day_pairs
        As in `rfm_summary`.
    implausible_dates, missing_ids, varying_segments
        As in `rfm_summary`.
    date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in :func:`clvmodels.rfm_summary`.

    Returns
    -------
    RfmSplit
        ``.train`` to fit, ``.test`` to compare with, ``.to_pandas()`` both.

    Raises
    ------
    SchemaError
        As `rfm_summary`, or the holdout is empty.
    """
    scale = TimeScale(terms["time_unit"], terms["time_scaler"])
    start = ordinal_of(train_period_end, scale, "train_period_end")
    asked = end_options(test_period_end, scale, "test_period_end")
    end = asked["end"]
    if end is not None and end <= start:
        raise SchemaError(
            f"test_period_end={test_period_end!r} is not after "
            f"train_period_end={train_period_end!r}: pass a later one."
        )
    log = replayable(source)
    train = rfm_summary(log, observation_period_end=train_period_end, id_map=id_map, **terms)
    assert train.options is not None
    options = replace(train.options, **asked, after=start, segment_cols=(), day_pairs=False)
    ledger = collect(log, options, id_map)
    if not ledger.audit.periods or ledger.last is None:
        raise SchemaError(
            f"No purchase lies after train_period_end={train_period_end!r}"
            + ("" if test_period_end is None else f" and up to {test_period_end!r}")
            + ": move the end of the calibration back."
        )
    length = ((ledger.last if end is None else end) - start) / train.time_scaler
    test, known = _holdout(train, ledger, length)
    return RfmSplit(train, like(source, test), ledger.audit.customers - known, ledger.audit)


def _holdout(train: RfmTable, ledger: Ledger, length: float) -> tuple[pd.DataFrame, int]:
    """Purchases of the calibration's customers in the holdout; how many have any."""
    later = ledger.customers.to_pandas().set_index(CUSTOMER_ID)
    ids = train.table[CUSTOMER_ID].to_pandas()
    later = later.reindex(ids)
    bought = later["purchases"].notna()
    columns: dict[str, Any] = {CUSTOMER_ID: ids}
    frequency, money, duration = _TEST_COLUMNS
    columns[frequency] = later["purchases"].fillna(0).astype("int64").to_numpy()
    if train.has_money:
        columns[money] = (later["total"] / later["purchases"]).fillna(0.0).to_numpy()
    columns[duration] = length
    return pd.DataFrame(columns), int(bought.sum())
