"""Customers in Spark -> scores in Spark: the scorer of one machine in every partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa

from clvmodels import schema
from clvmodels.keywords import named
from clvmodels.margin import ContributionMargin, MarginLike
from clvmodels.posterior import CLVPosterior, PurchasePosterior
from clvmodels.posterior.scorable import (
    Scorable,
    attributes_of,
    margin_of,
    purchases_of,
    reads_amounts,
    scorable,
    spend_of,
)
from clvmodels.posterior.spend import counted_of
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.periods import check_scale, day_of
from clvmodels.schema import TimeUnit, scale_said
from clvmodels.scoring import Scorer
from clvmodels.scoring.job import ScoreTerms
from clvmodels.scoring.row_checks import check_schema, columns_of
from clvmodels.scoring.scorer import REASON
from clvmodels.spark.blocks import COPIES, RejectBlocks, ScoreBlocks
from clvmodels.spark.summary import SparkRfm

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


@named
def score(
    data: DataFrame | SparkRfm,
    posterior: CLVPosterior | PurchasePosterior,
    *,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    margin: MarginLike = None,
    **terms: Unpack[ScoreTerms],
) -> DataFrame:
    """Score customers where they lie.

    Nothing is computed until the result is used. The workers get the draws by broadcast
    (pickled, as Spark does with whatever it ships) and gather Spark's small Arrow batches
    into blocks of up to 1,000,000 rows of their partition.

    Parameters
    ----------
    data : SparkRfm or pyspark.sql.DataFrame
        Customers: customer_id, frequency, recency, T, monetary_value and, where it is
        known, first_value.
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Draws of both models, or of purchases alone: there are then no columns of money.
        Amounts are read where there is a model of spend.
    time_unit, time_scaler : str, float, optional
        The unit of a plain DataFrame; without them it is taken to be the posterior's.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`clvmodels.CLVPosterior.predict`; several horizons have columns each.
    intervals : {"clv", "all"}
        Which intervals are in the output.
    predictive : bool
        Whether intervals of the outcome are in it too, as in `clvmodels.score`.
    margin : float or ContributionMargin, optional
        Share of revenue that values are made of; by default the SparkRfm's,
        where it says one, else that of the base that was fitted. Or customers' own margins, a
        column, and costs.

    Returns
    -------
    pyspark.sql.DataFrame
        One row per input row, in no order: customer_id, frequency, recency, T,
        monetary_value, then the predictions, then ``reason``: null where the row was
        scored, else why it could not be, and then the predictions are null. What cannot
        be scored is as in `clvmodels.score`; every row of a customer with several rows is
        refused (Spark counts them; a SparkRfm has none).

    Raises
    ------
    SchemaError
        A column is missing or holds no numbers, or the posterior knows spend alone.
    TimeUnitError
        The data are in another unit than the posterior.
    DomainError
        An option is out of range, or the options make values infinite.
    """
    df, margin = _frame_and_margin(data, posterior, time_unit, time_scaler, margin)
    schema.check_flag("predictive", terms["predictive"])
    # Spark runs a task per core
    last_day = day_of(data.observation_end) if isinstance(data, SparkRfm) else None
    if purchases_of(posterior).metadata.clock is not None:
        known_day(last_day)
    scorer = Scorer(posterior, **terms, margin=margin, threads=1, last_day=last_day)
    wanted = dict.fromkeys((*columns_of(amounts=scorer.amounts), *scorer.attributes))
    columns = [name for name in wanted if name in df.columns]
    found = _arrow_schema(df.select(*columns))
    rows = counted(df.select(*columns), unique=isinstance(data, SparkRfm))
    output = _output_type(df, scorer.schema(found))
    return rows.mapInArrow(ScoreBlocks(shipped(scorer, df)), output)


@named
def rejects(
    data: DataFrame | SparkRfm,
    posterior: CLVPosterior | PurchasePosterior,
    *,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    margin: MarginLike = None,
) -> DataFrame:
    """Select the rows that `score` refuses, with all their columns and the reason.

    Parameters
    ----------
    data, posterior, time_unit, time_scaler, margin
        As in `score`: where customers have margins of their own, a row without one is refused.

    Raises
    ------
    SchemaError
        A column is missing or holds no numbers.
    TimeUnitError
        The data are in another unit than the posterior.
    """
    from pyspark.sql.types import StringType, StructField, StructType

    df, used = _frame_and_margin(data, posterior, time_unit, time_scaler, margin)
    rows = counted(df, unique=isinstance(data, SparkRfm))
    output = StructType([*df.schema.fields, StructField(REASON, StringType())])
    spend = spend_of(posterior)
    checks = RejectBlocks(
        posterior.scale,
        reads_amounts(posterior),
        first_counts=spend is not None and counted_of(spend) > 0,
        margins=used.column if isinstance(used, ContributionMargin) else None,
    )
    return rows.mapInArrow(checks, output)


def _frame_and_margin(
    data: DataFrame | SparkRfm,
    posterior: Scorable,
    time_unit: TimeUnit | None,
    time_scaler: float | None,
    margin: MarginLike,
) -> tuple[DataFrame, MarginLike]:
    """Check posterior, unit and columns."""
    posterior = scorable(posterior)
    scale = scale_said(time_unit, time_scaler)
    df, known = data, None
    if isinstance(data, SparkRfm):
        df, known = data.table, data.margin if data.margin_said else None
        check_scale(data.scale, posterior.scale)
    if scale is not None:
        check_scale(scale, posterior.scale)
    amounts = reads_amounts(posterior)
    found, attributes = _arrow_schema(df), attributes_of(posterior)
    check_schema(found, "The DataFrame", posterior.scale, amounts=amounts, attributes=attributes)
    used = margin_of(posterior, margin, table=known)
    if used is None:
        return df, None
    return df, used.warned().value if used.of is None else used.known()


def _arrow_schema(df: DataFrame) -> pa.Schema:
    """Schema of the batches that the workers see; the data are left alone."""
    return df.sparkSession.createDataFrame([], df.schema).toArrow().schema


def counted(df: DataFrame, *, unique: bool) -> DataFrame:
    """Add how many rows each customer has, unless it is known to be one.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        With customer_id.
    unique : bool
        Nobody has more than one row.
    """
    from pyspark.sql import Window, functions

    if unique:
        return df
    copies = functions.count(functions.lit(1)).over(Window.partitionBy(schema.CUSTOMER_ID))
    return df.withColumn(COPIES, copies)


def _output_type(df: DataFrame, scores: pa.Schema) -> StructType:
    from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

    fields = [
        StructField(one.name, LongType() if pa.types.is_integer(one.type) else DoubleType())
        for one in scores
        if one.name != REASON
    ]
    fields[0] = StructField(schema.CUSTOMER_ID, df.schema[schema.CUSTOMER_ID].dataType)
    return StructType([*fields, StructField(REASON, StringType())])


def shipped(scorer: Scorer, df: DataFrame) -> Any:
    """Broadcast the scorer once per worker; Spark Connect ships it with each task."""
    context = getattr(df.sparkSession, "_sc", None)
    return scorer if context is None else context.broadcast(scorer)
