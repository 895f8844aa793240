"""Lists of customers as files: CSV that no spreadsheet takes for formulas, Parquet, and XLSX."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clvmodels.errors import MissingPackageError, SchemaError
from clvmodels.predictive.customer_list import KINDS
from clvmodels.schema import CUSTOMER_ID

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".pq", ".xlsx")
# What spreadsheets take for the beginning of a formula
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_MOST_ROWS: Final = 1_048_575  # of a sheet, below its header
_DIGITS: Final = 10**15  # of a number in a spreadsheet: longer ids are written as text
_FORMATS: Final = {
    "money": "#,##0.00",
    "decimal": "0.00",
    "whole": "0",
    "share": "0%",
    "date": "yyyy-mm-dd",
}
_WIDTHS: Final = {"money": 13, "decimal": 11, "whole": 11, "share": 10, "date": 12}
_TEXT_WIDTH: Final = 22


def write_list(parts: Iterable[pd.DataFrame], path: Path, meanings: dict[str, str]) -> int:
    """Write blocks of a list as the name of the file says, and return how many rows there are.

    Parameters
    ----------
    parts : iterable of DataFrame
        Blocks, all of the same columns; one at least.
    path : Path
        Ends in one of ``SUFFIXES``.
    meanings : dict
        What each column says, for the second sheet of XLSX.

    Raises
    ------
    SchemaError
        There are more rows than a sheet of XLSX holds.
    MissingPackageError
        XlsxWriter is not installed, and XLSX is wanted.
    """
    name = path.name.lower()
    if name.endswith(".xlsx"):
        return _write_xlsx(parts, path, meanings)
    return _write_csv(parts, path) if ".csv" in name else _write_parquet(parts, path)


def safe_text(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_csv(parts: Iterable[pd.DataFrame], path: Path) -> int:
    import pandas as pd

    rows = 0
    for part in parts:
        safe = part.copy(deep=False)
        for name in part:
            if not pd.api.types.is_numeric_dtype(part[name]) and part[name].dtype.kind != "M":
                safe[name] = part[name].map(
                    lambda one: safe_text(one) if isinstance(one, str) else one
                )
        safe.columns = [safe_text(str(name)) for name in part]
        how: dict[str, Any] = {"mode": "a", "header": False} if rows else {}
        safe.to_csv(path, index=False, date_format="%Y-%m-%d", lineterminator="\n", **how)
        rows += len(part)
    return rows


def _write_parquet(parts: Iterable[pd.DataFrame], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = iter(parts)
    first = pa.Table.from_pandas(next(blocks), preserve_index=False)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        rows = int(first.num_rows)
        for part in blocks:
            writer.write_table(
                pa.Table.from_pandas(part, schema=first.schema, preserve_index=False)
            )
            rows += len(part)
    return rows


def _write_xlsx(parts: Iterable[pd.DataFrame], path: Path, meanings: dict[str, str]) -> int:
    blocks = iter(parts)
    first = next(blocks)
    with _workbook(path) as book:
        heading = book.add_format({"bold": True, "text_wrap": True, "bottom": 1, "valign": "top"})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        formats = {kind: book.add_format({"num_format": f}) for kind, f in _FORMATS.items()}
        sheet, kinds = book.add_worksheet("Customers"), [KINDS.get(str(n), "text") for n in first]
        for at, (name, kind) in enumerate(zip(first, kinds, strict=True)):
            width = 18 if name == CUSTOMER_ID else _WIDTHS.get(kind, _TEXT_WIDTH)
            sheet.set_column(at, at, width, formats.get(kind))
            sheet.write_string(0, at, str(name).replace("_", " "), heading)
        sheet.freeze_panes(1, 1)
        rows = 0
        for part in chain([first], blocks):
            if rows + len(part) > _MOST_ROWS:
                raise SchemaError(
                    f"A sheet of XLSX holds {_MOST_ROWS:,} customers and there are more: write "
                    "CSV or Parquet."
                )
            for row in _rows(part):
                rows += 1
                for at, value in enumerate(row):
                    _write_cell(sheet, rows, at, value, formats.get(kinds[at]))
        sheet.autofilter(0, 0, max(rows, 1), len(kinds) - 1)
        about = book.add_worksheet("What the columns say")
        about.set_column(0, 0, 20)
        about.set_column(1, 1, 90)
        about.write_row(0, 0, ["column", "what it says"], heading)
        for at, (name, meaning) in enumerate(meanings.items(), 1):
            about.write_string(at, 0, str(name).replace("_", " "), wrapped)
            about.write_string(at, 1, meaning, wrapped)
        about.freeze_panes(1, 0)
    return rows


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    try:
        import xlsxwriter
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "XLSX needs XlsxWriter, which is not installed here: `pip install 'clvmodels[excel]'` "
            "brings it, or write CSV."
        ) from error
    # Row by row, so that memory does not grow with them; texts are never formulas or links
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    # Into memory: a half-made archive on a full disk would fail again as it is thrown away,
    # where nobody can catch it
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, options) as book:
        yield book
    path.write_bytes(made.getbuffer())


def _rows(part: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """Rows of plain values; what is missing is None."""
    columns = [part[name].astype(object).where(part[name].notna(), None) for name in part]
    return zip(*columns, strict=True)


def _write_cell(sheet: Any, row: int, at: int, value: Any, kind: Any) -> None:
    if value is None:
        return
    if hasattr(value, "to_pydatetime"):
        sheet.write_datetime(row, at, value.to_pydatetime(), kind)
    elif isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= _DIGITS:
        sheet.write_string(row, at, str(value))
    elif math.isfinite(value):
        sheet.write_number(row, at, value, kind)
