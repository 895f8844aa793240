"""A base as its distinct histories with counts: all that a fit needs of it, and no customer.

Ten million customers have a million histories or two, a hundred million not many more: they are
counted where the customers lie, in a file or on a cluster, and only they come here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.log.embedded import attach, engine, engine_errors, fetch, parquet_scan
from clvmodels.path_checks import path_of
from clvmodels.rfm.customers import check_periods
from clvmodels.rfm.histories import RfmColumns, check_rows, lacks
from clvmodels.rfm.periods import check_said
from clvmodels.rfm.table import RfmTable
from clvmodels.schema import (
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    FloatArray,
    T,
    TimeScale,
    shown,
)

if TYPE_CHECKING:
    import ibis

CUSTOMERS: Final = "customers"


@dataclass(frozen=True, eq=False)
class CountedHistories:
    """The distinct histories of a base, each with the number of customers who share it.

    Models are fitted to it as to a table: ``CLVModel().fit(histories)``. Predictions are of
    customers, and take their table.

    Attributes
    ----------
    purchases : pyarrow.Table
        Distinct frequency, recency and T, and ``customers``, how many share them.
    amounts : pyarrow.Table or None
        Distinct frequency and monetary_value, with first_value where first orders count, and
        ``customers``; None of a base without amounts.
    scale : TimeScale
        The unit of recency and T.
    observation_end : pandas.Timestamp or None
        Start of the last period observed, where it is known.
    margin : float or None
        Share of revenue that is profit, where it was given.
    """

    purchases: pa.Table = field(repr=False)
    amounts: pa.Table | None = field(repr=False)
    scale: TimeScale
    observation_end: pd.Timestamp | None = None
    margin: float | None = None

    @property
    def customers(self) -> int:
        """Number of customers in the base."""
        return int(self.purchases[CUSTOMERS].to_numpy().sum())

    @property
    def has_money(self) -> bool:
        """Whether amounts were counted."""
        return self.amounts is not None

    def columns(self, said: TimeScale | None = None) -> RfmColumns:
        """Return what a fit takes of it, checked; a row stands for some customers.

        Parameters
        ----------
        said : TimeScale, optional
            The unit that the caller says it is in.

        Raises
        ------
        SchemaError
            Rows contradict themselves or the unit.
        TimeUnitError
            The unit is another one.
        """
        if said is not None:
            check_said(self.scale, said)
        return self._columns

    @cached_property
    def _columns(self) -> RfmColumns:
        """The same, checked once for all fits."""
        x, t_x, age, shared = _numbers(self.purchases, (FREQUENCY, RECENCY, T, CUSTOMERS))
        check_rows(x, t_x, age)
        check_periods(x, t_x, self.scale)
        nobody, of = np.arange(len(x)), (self.margin, self.scale)
        purchases = RfmColumns(
            nobody, x, t_x, age, None, None, *of, frame=self.purchases, customers=shared
        )
        if self.amounts is None:
            return purchases
        names = (FREQUENCY, MONETARY_VALUE, CUSTOMERS)
        bought, m_bar, who = _numbers(self.amounts, names)
        known = FIRST_VALUE in self.amounts.column_names
        first = _numbers(self.amounts, (FIRST_VALUE,))[0] if known else None
        m_bar, none = np.where(bought == 0, 0.0, m_bar), np.zeros(len(bought))
        amounts = RfmColumns(
            np.arange(len(bought)), bought, none, none, m_bar, first, *of, customers=who
        )
        return replace(purchases, amounts=amounts)


@named
def count_histories(rfm: RfmTable | str | Path, *, first_order: bool = False) -> CountedHistories:
    """Count the distinct histories of a base, in memory that they alone take.

    Parameters
    ----------
    rfm : RfmTable or path
        The base, or the Parquet file that `RfmTable.to_parquet` or `rfm_summary_to_parquet`
        wrote of it, which is not read into memory.
    first_order : bool
        Whether amounts of first orders are counted too, for
        ``GammaGammaModel(first_order="include")``: that makes more of them.

    Returns
    -------
    CountedHistories
        What a fit takes in place of the base; with the same answer.

    Raises
    ------
    SchemaError
        It is not a table of customers, or has no amounts of first orders where they are to count.

    Examples
    --------
    >>> import clvmodels as clv
    >>> log = clv.datasets.load_cdnow(sample=True)
    >>> names = {"customer_id_col": "customer_id", "datetime_col": "date"}
    >>> rfm = clv.rfm_summary(log, **names, monetary_value_col="amount")
    >>> histories = clv.count_histories(rfm)
    >>> histories.customers, len(histories.purchases)
    (2357, 1218)
    """
    with engine_errors(), engine() as backend:
        if isinstance(rfm, RfmTable):
            return counted(attach(backend, rfm.table, "rfm"), backend, first_order, **facts_of(rfm))
        path = path_of("The table", rfm)
        header = RfmTable.outline(path)
        if header is None:
            raise SchemaError(
                f"{shown(str(path))} was not written by RfmTable.to_parquet, so it does not say "
                "its time unit: read it, and make it a table with RfmTable.from_frame."
            )
        backend.con.execute(f"CREATE VIEW rfm AS SELECT * FROM {parquet_scan([path])}")
        return counted(backend.table("rfm"), backend, first_order, **facts_of(header))


def facts_of(known: Any) -> dict[str, Any]:
    """What counted histories keep of an RfmTable or a SparkRfm, besides its rows."""
    margin = known.margin if known.margin_said else None
    return {"scale": known.scale, "observation_end": known.observation_end, "margin": margin}


def counted(table: ibis.Table, backend: Any, first_order: bool, **facts: Any) -> CountedHistories:
    """Count the histories of customers where they lie.

    Parameters
    ----------
    table : ibis.Table
        The customers.
    backend : ibis backend
        That of the customers.
    first_order : bool
        Whether amounts of first orders are counted too.
    **facts
        As of `facts_of`.
    """
    money = [FREQUENCY, MONETARY_VALUE, *([FIRST_VALUE] if first_order else [])]
    has_money = MONETARY_VALUE in table.columns
    needed = [FREQUENCY, RECENCY, T, *(money if first_order else [])]
    if missing := [name for name in needed if name not in table.columns]:
        raise lacks(missing, tuple(table.columns))
    return CountedHistories(
        fetch(backend, _shared(table, [FREQUENCY, RECENCY, T])),
        fetch(backend, _shared(table, money)) if has_money else None,
        **facts,
    )


def _shared(table: ibis.Table, names: list[str]) -> ibis.Table:
    """Distinct rows of some columns, and how many customers have each."""
    return table.group_by(names).aggregate(**{CUSTOMERS: table.count()})


def _numbers(table: pa.Table, names: tuple[str, ...]) -> list[FloatArray]:
    return [table[name].to_numpy().astype(np.float64) for name in names]
