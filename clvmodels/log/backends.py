"""Run expressions where a log lies."""

from __future__ import annotations

import uuid
from typing import Any

import pyarrow as pa


def fetch(backend: Any, expr: Any) -> pa.Table:
    """Run an expression where it lies and bring the rows here."""
    if backend.name != "pyspark":
        return backend.to_pyarrow(expr)
    # Ibis 12 goes through pandas there, which makes floats of integers beside missing values.
    view = f"clvmodels_{uuid.uuid4().hex}"
    backend.create_view(view, expr)
    try:
        return backend.raw_sql(f"SELECT * FROM {view}").toArrow()
    finally:
        backend.drop_view(view)
