"""The table from ids in a log to customers, in Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clvmodels.errors import SchemaError
from clvmodels.log import read_id_map

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def spark_id_map(id_map: Any, session: SparkSession) -> DataFrame | None:
    """Check a table from ids to customers and take it to Spark; None where it says nothing.

    Parameters
    ----------
    id_map : mapping, frame or pyspark.sql.DataFrame
        As in `clvmodels.log.read_id_map`; a Spark DataFrame stays in Spark.
    session : SparkSession

    Raises
    ------
    SchemaError
        There are not two columns, something is missing, or an id has two customers.
    """
    if _is_spark(id_map):
        return _checked(id_map)
    table = read_id_map(id_map)
    if table is None or not table.num_rows:
        return None
    return session.createDataFrame(table)


def _is_spark(data: Any) -> bool:
    return type(data).__module__.startswith("pyspark.sql")


def _checked(df: DataFrame) -> DataFrame:
    from pyspark.sql import functions

    if len(df.columns) != 2:
        raise SchemaError(
            f"id_map has {len(df.columns)} columns: it must have two, the id in the log "
            "and the customer that it belongs to."
        )
    pairs = df.toDF("id", "customer").distinct()
    if pairs.filter(functions.col("id").isNull() | functions.col("customer").isNull()).take(1):
        raise SchemaError("id_map has missing values: drop those rows.")
    twice = pairs.groupBy("id").count().filter("count > 1")
    for row in twice.take(1):
        raise SchemaError(
            f"id_map gives {twice.count():,} ids several customers, first {row['id']!r}: "
            "keep one customer per id."
        )
    onward = pairs.alias("a").join(pairs.alias("b"), functions.expr("a.customer = b.id"))
    chained = onward.filter("b.id <> b.customer").select("b.id", "b.customer")
    for row in chained.take(1):
        raise SchemaError(
            f"id_map sends ids to {row['id']!r}, which is itself sent to {row['customer']!r}: "
            "give the last customer of each chain."
        )
    return pairs
