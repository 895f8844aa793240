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
    "share": '[>=0.995]">99%";0%',  # nobody is certain to order
    "date": "yyyy-mm-dd",
}
_WIDTHS: Final = {"id": 18, "money": 13, "decimal": 11, "whole": 11, "share": 10, "date": 12}
_TEXT_WIDTHS: Final = (9, 40)
_MEANING: Final = 90  # characters in a line of what a column says
_LINE: Final = 15  # points


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
        bold = {"bold": True, "text_wrap": True, "bottom": 1, "valign": "top"}
        heading, numeric = book.add_format(bold), book.add_format({**bold, "align": "right"})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        formats = {kind: book.add_format({"num_format": f}) for kind, f in _FORMATS.items()}
        formats["id"] = book.add_format({"align": "left"})  # beside texts, which are
        kinds = ["id" if n == CUSTOMER_ID else KINDS.get(str(n), "text") for n in first]
        sheet = _sheet(book, "Customers", fixed=1)
        for at, (name, kind) in enumerate(zip(first, kinds, strict=True)):
            sheet.set_column(at, at, _WIDTHS.get(kind, _width(first[name])), formats.get(kind))
            over = heading if kind in ("id", "text") else numeric
            sheet.write_string(0, at, str(name).replace("_", " "), over)
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
        about = _sheet(book, "What the columns say")
        about.set_column(0, 0, 20)
        about.set_column(1, 1, _MEANING)
        about.write_row(0, 0, ["column", "what it says"], heading)
        for at, (name, meaning) in enumerate(meanings.items(), 1):
            # Not every spreadsheet makes rows as high as the texts that they hold
            about.set_row(at, _LINE * -(-len(meaning) // _MEANING))
            about.write_string(at, 0, str(name).replace("_", " "), wrapped)
            about.write_string(at, 1, meaning, wrapped)
    return rows


def _sheet(book: Any, name: str, *, fixed: int = 0) -> Any:
    """A sheet whose first row and columns stay, and which is as wide as a page when printed."""
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, fixed)
    sheet.set_row(0, 2 * _LINE if fixed else _LINE)
    sheet.set_landscape()
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_footer("&C&P / &N")
    return sheet


def _width(values: pd.Series[Any]) -> int:
    """Of a column of texts."""
    longest = max((len(str(one)) for one in values.dropna()), default=0)
    return min(max(longest + 2, _TEXT_WIDTHS[0]), _TEXT_WIDTHS[1])


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
