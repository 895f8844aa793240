"""Ibis on a Spark session, leaving the session as it was found."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ibis
    from pyspark.sql import DataFrame, SparkSession

# What Ibis changes on connecting.
_SETTINGS: Final = ("spark.sql.session.timeZone", "spark.sql.mapKeyDedupPolicy")


@dataclass(frozen=True, slots=True)
class SparkTables:
    """DataFrames as Ibis tables and back.

    Attributes
    ----------
    backend : ibis backend
        Bound to the session, whose time zone is UTC meanwhile.
    session : pyspark.sql.SparkSession
    views : list of str
        Temporary views made so far.
    """

    backend: Any
    session: SparkSession
    views: list[str] = field(default_factory=list)

    def table(self, df: DataFrame) -> ibis.Table:
        """Show a DataFrame to Ibis."""
        name = f"clvmodels_{uuid.uuid4().hex}"
        df.createOrReplaceTempView(name)
        self.views.append(name)
        return self.backend.table(name)

    def frame(self, expr: ibis.Table) -> DataFrame:
        """Turn an expression into a DataFrame; nothing is computed."""
        return self.session.sql(str(self.backend.compile(expr)))


@contextmanager
def tables_of(session: SparkSession) -> Iterator[SparkTables]:
    """Yield Ibis on a session; afterwards settings are restored and views are gone."""
    import ibis

    saved = {name: session.conf.get(name) for name in _SETTINGS}
    tables = SparkTables(ibis.pyspark.connect(session), session)
    try:
        yield tables
    finally:
        for name, value in saved.items():
            session.conf.set(name, str(value))
        if _resolves_at_once(session):
            for name in tables.views:
                with suppress(Exception):
                    session.catalog.dropTempView(name)


def _resolves_at_once(session: SparkSession) -> bool:
    """Whether DataFrames outlive the views they were made of (not in Spark Connect)."""
    return not type(session).__module__.startswith("pyspark.sql.connect")
