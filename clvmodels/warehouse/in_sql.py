"""A posterior as SQL: what a warehouse needs to score its customers itself."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Unpack

import numpy as np

from clvmodels import schema
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Draws, Future, Predictor
from clvmodels.keywords import defaults, named, named_fields
from clvmodels.posterior.scorable import (
    Scorable,
    asked_for,
    open_scorable,
    purchases_of,
    reads_amounts,
)
from clvmodels.posterior.shares import refuse_own
from clvmodels.posterior.terms import ListTerms
from clvmodels.progress import part
from clvmodels.schema import shown
from clvmodels.warehouse.coefficient_table import table_of
from clvmodels.warehouse.few_draws import Span
from clvmodels.warehouse.statement import DIALECTS, Dialect, Money, Writer

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.posterior.purchases import PurchasePosterior

_OLDER: Final = 1.5  # T of customers to come, as a multiple of the longest that was fitted
_USUAL: Final = 100
_MOST: Final = 1000
_TRIED: Final = 40  # histories of each x that are compared
_SHARE: Final = 0.8  # of the time, for the table; the rest compares
_CLOSE: Final = 1e-6
_TABLE: Final = re.compile(r'[A-Za-z_"`][\w$"`.\- ]*')


@defaults(most_purchases=None, longest=None)
class SqlTerms(ListTerms, total=False):
    """Of a posterior as SQL."""

    most_purchases: int | None
    longest: float | None


@named_fields
@dataclass(frozen=True, eq=False, repr=False)
class ScoreSQL:
    """What a warehouse scores its customers with.

    Attributes
    ----------
    coefficients : pandas.DataFrame
        Numbers only: a row for each number of repeat purchases and each of the draws that
        stand for the others there. Any loader of Parquet or CSV brings it into a warehouse.
    most_purchases : int
        Repeat purchases up to which customers are scored.
    longest : float
        T up to which they are, in the posterior's unit of time.
    error : float
        Largest difference from ``predict`` that was found, of 40 histories at each number of
        purchases: as a share, of what is above a millionth of a customer or a purchase.
    """

    coefficients: pd.DataFrame
    most_purchases: int
    longest: float
    error: float
    _writer: Writer

    @named
    def statement(
        self,
        dialect: Dialect = "duckdb",
        *,
        rfm: str = "rfm",
        coefficients: str = "clv_coefficients",
    ) -> str:
        """SQL that gives one row of means for every customer.

        Parameters
        ----------
        dialect : {"duckdb", "bigquery", "snowflake", "postgres"}
            Whose SQL.
        rfm : str
            The table of customers, with the columns that ``summarize`` writes: customer_id,
            frequency, recency, T and, where there is a model of spend, monetary_value.
        coefficients : str
            The table that holds the coefficients.

        Returns
        -------
        str
            One SELECT, with a row for every row of the table.

        Raises
        ------
        SchemaError
            There is no such dialect, or a name is not a table's.
        """
        names = (_table("rfm", rfm), _table("coefficients", coefficients))
        return self._for(dialect).statement(*names)

    @named
    def creation(
        self, dialect: Dialect = "duckdb", *, coefficients: str = "clv_coefficients"
    ) -> str:
        """SQL that makes the table of coefficients, and fills it.

        Parameters
        ----------
        dialect, coefficients
            As in :meth:`statement`.

        Returns
        -------
        str
            CREATE TABLE, and an INSERT for every 50 rows. BigQuery and Snowflake take at most
            1 MB of text a statement, which these keep to one by one.

        Raises
        ------
        SchemaError
            There is no such dialect, or the name is not a table's.
        """
        return self._for(dialect).creation(_table("coefficients", coefficients))

    def _for(self, dialect: Dialect) -> Writer:
        schema.check_choice("dialect", dialect, DIALECTS)
        return replace(self._writer, dialect=dialect)

    def __repr__(self) -> str:
        return (
            f"<ScoreSQL: {len(self.coefficients):,} rows of coefficients, up to "
            f"{self.most_purchases:,} repeat purchases and T {self.longest:g}; within "
            f"{self.error:.0e} of predict>"
        )


@named
def score_sql(posterior: Scorable | str | Path, **terms: Unpack[SqlTerms]) -> ScoreSQL:
    """Turn a posterior into SQL that scores customers where their table lies.

    Parameters
    ----------
    posterior : CLVPosterior, posterior of purchases, str or Path
        What :meth:`CLVModel.fit` returned, or its file.
    horizon, discount_rate, discounting, draws, margin
        As in :meth:`CLVPosterior.predict`; a table's own margin is not known here.
    most_purchases : int, optional
        Repeat purchases up to which customers are scored, at most 1,000; by default 100, or as
        many as the longest T has room for.
    longest : float, optional
        T up to which they are, in the posterior's unit of time; by default one and a half
        times the longest of the base that was fitted.

    Returns
    -------
    ScoreSQL
        A statement and a small table of coefficients. Together they give the means of
        ``predict``, p_alive, p_purchase, expected_purchases, discounted_purchases,
        expected_spend and clv, to 1e-6; for who is beyond the table they give NULL, and
        ``reason`` says why. Intervals they cannot give.

    Raises
    ------
    SchemaError
        The posterior has a clock or covariates, or is a stack: a statement does not know
        them. Or an option is of the wrong kind.
    DomainError
        An option is out of range, or the longest T is not known and not given, or numbers
        that close cannot be reached.

    Examples
    --------
    >>> from clvmodels import CLVPosterior, BetaGeoPosterior, score_sql
    >>> bought = BetaGeoPosterior.from_draws(r=0.24, alpha=4.4, a=0.8, b=2.4, time_scaler=7)
    >>> found = score_sql(CLVPosterior(bought, 25.0), most_purchases=20, longest=100)
    >>> len(found.coefficients)
    21
    >>> print(found.statement("postgres")[:19])
    WITH customers AS (
    """
    fitted = open_scorable(posterior)[0]
    purchases = purchases_of(fitted)
    _refuse(purchases)
    future, draws, used = asked_for(
        fitted,
        horizon=terms["horizon"],
        discount_rate=terms["discount_rate"],
        discounting=terms["discounting"],
        interval=0.9,  # of which there is none
        draws=terms["draws"],
        margin=terms["margin"],
    )
    refuse_own(None if used is None else used.of)
    alive = draws.formulas.in_sql()
    if alive is None or draws.formulas.strip(draws.purchases) is None:
        raise SchemaError(
            f"A statement does not know how {purchases.facts.name} tells who is alive: score with "
            "'score'."
        )
    span = _span(purchases, terms["most_purchases"], terms["longest"])
    amounts = reads_amounts(fitted)
    money = None if used is None else Money(used.value, amounts, draws.counted > 0)
    with part(0.0, _SHARE):
        table = table_of(draws, future, span, alive)
    endless = math.isinf(future.due.horizon) and bool(draws.endless.any())
    writer = Writer("duckdb", table, span, money, endless)
    with part(_SHARE, 1.0):
        error = _difference(writer, draws, future)
    if not error <= _CLOSE:
        raise DomainError(
            f"The statement would differ by {error:.1e} from predict: give a smaller longest= or "
            "most_purchases=, or score with 'score'."
        )
    return ScoreSQL(table.rows, span.most_purchases, span.longest, error, writer)


def _refuse(purchases: PurchasePosterior) -> None:
    metadata = purchases.metadata
    if metadata.clock is not None:
        raise SchemaError(
            "The posterior has a clock, which counts every customer's own time, and a statement "
            "does not know it: score with 'score', or fit without a clock."
        )
    if metadata.design is not None:
        raise SchemaError(
            "The posterior has covariates, which a statement does not know: score with 'score', "
            "or fit without covariates."
        )
    if metadata.model == "stack":
        raise SchemaError(
            "The posterior is a stack, which a statement does not know: score with 'score', or "
            "turn one of its members into a statement."
        )


def _span(purchases: PurchasePosterior, said: int | None, longest: float | None) -> Span:
    """Check which histories the table is for."""
    most = _USUAL if said is None else schema.check_whole("most_purchases", said, least=0)
    if most > _MOST:
        raise DomainError(f"most_purchases={most} must be at most {_MOST:,}: rows grow with it.")
    metadata = purchases.metadata
    if longest is None:
        if metadata.longest_T is None:
            raise DomainError(
                "longest= is not given, and the posterior does not know the longest T of its base: "
                "give the longest T that will be scored."
            )
        longest = _OLDER * metadata.longest_T
    longest = schema.check_number("longest", longest)
    step = 1.0 / metadata.scale.time_scaler if metadata.whole else 0.0
    if said is None and step and 0 < longest <= most * step:
        most = max(math.ceil(longest / step) - 1, 0)  # each purchase takes a period
    if not most * step < longest < math.inf:
        raise DomainError(
            f"longest={longest:g} must be finite and above {most * step:g}, the least T of a "
            f"customer of {most} repeat purchases."
        )
    return Span(most, longest, step)


def _table(name: str, text: str) -> str:
    if not isinstance(text, str) or not _TABLE.fullmatch(text):
        raise SchemaError(
            f"{name}={shown(text)} must be the name of a table, such as 'rfm' or 'crm.rfm'."
        )
    return text


def _difference(writer: Writer, draws: Draws, future: Future) -> float:
    """Largest difference between the statement, run in DuckDB, and the loops that score."""
    import duckdb

    rfm = _tried(writer.span)
    columns = ("frequency", "recency", "T", "monetary_value")
    wanted = Predictor(draws, future, wanted="none")(*(rfm[name].to_numpy() for name in columns))
    with duckdb.connect() as connection:
        connection.register("rfm", rfm)
        connection.register("clv_coefficients", writer.table.rows)
        found = connection.execute(writer.statement("rfm", "clv_coefficients")).df()
    found = found.set_index(schema.CUSTOMER_ID).loc[rfm[schema.CUSTOMER_ID]]
    worst = 0.0
    for name, values in wanted.columns.items():
        if name in found and np.isfinite(values).any():
            there = found[name].to_numpy(dtype=np.float64)
            gap = np.abs(there - values) / np.maximum(np.abs(values), _CLOSE)
            worst = max(worst, float(np.where(np.isfinite(values), gap, 0.0).max()))
    return worst


def _tried(span: Span) -> pd.DataFrame:
    """Histories of every x, evenly over ages and over recencies, their ends among them."""
    import pandas as pd

    rng = np.random.default_rng(20050510)
    x = np.repeat(np.arange(span.most_purchases + 1.0), _TRIED)
    share = rng.random((2, len(x)))
    share[:, ::_TRIED] = 1.0
    least = np.maximum(x * span.step, np.where(x > 0, span.longest * 1e-9, 0.0))
    T = least + (span.longest - least) * share[0]
    t_x = np.where(x > 0, least + (T - least) * share[1], 0.0)
    table = {"frequency": x, "recency": np.minimum(t_x, T), "T": T}
    ids = {schema.CUSTOMER_ID: np.arange(len(x))}
    return pd.DataFrame({**ids, **table, "monetary_value": 30.0, "first_value": 30.0})
