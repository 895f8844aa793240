"""CSV files as people have them: encoding, delimiter and first line, found before reading.

The embedded engine reads UTF-8; anything else is written anew beside, by the block.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clvmodels.errors import SchemaError, one_line
from clvmodels.log.embedded import literal_files, quoted
from clvmodels.schema import shown

DELIMITERS: Final = (",", ";", "\t", "|")
_UTF8: Final = ("utf-8", "utf8", "utf-8-sig", "utf_8", "ascii")
# The longer ones first: one of UTF-32 begins as one of UTF-16 does
_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LOOK: Final = 1 << 16
_BLOCK: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class CsvHeader:
    """What is known of a CSV file before its rows are read.

    Attributes
    ----------
    path : str
        The file to read, in UTF-8.
    delimiter : str
    columns : tuple of str
    blank : int
        Blank lines before that of the columns.
    """

    path: str
    delimiter: str
    columns: tuple[str, ...]
    blank: int = 0


class Scratch:
    """A folder that is made when it is needed, and goes with this object."""

    def __init__(self) -> None:
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="clvmodels-"))
            weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        return self._path


def check_delimiter(value: object) -> str | None:
    """Return a delimiter if it is one character.

    Raises
    ------
    SchemaError
        It is not.
    """
    if value is None or (isinstance(value, str) and len(value) == 1 and value not in '"\r\n'):
        return value
    if value in ("\\t", "tab"):
        return "\t"
    raise SchemaError(f"delimiter={shown(value)} must be one character, such as ';', or 'tab'.")


def check_encoding(value: object) -> str | None:
    """Return an encoding if Python knows it.

    Raises
    ------
    SchemaError
        It does not.
    """
    if value is None:
        return None
    try:
        codecs.lookup(str(value))
        "".encode(str(value))
    except (LookupError, UnicodeError, ValueError) as error:
        raise SchemaError(
            f"encoding={shown(value)} is unknown: use one such as 'utf-8', 'latin-1', 'cp1252' or "
            "'utf-16'."
        ) from error
    return str(value)


def open_csv_file(
    path: str, wanted: Iterable[str], delimiter: str | None, encoding: str | None, scratch: Scratch
) -> CsvHeader:
    """Find out how a file is written, and its columns.

    Parameters
    ----------
    path : str
        A local file.
    wanted : iterable of str
        Columns that tell the right delimiter.
    delimiter, encoding : str or None
        As the caller says; None to look.
    scratch : Scratch
        Where the file is written again if it is not in UTF-8.

    Raises
    ------
    SchemaError
        It is empty, in an encoding that must be said, or not the gzip that its name says.
    """
    try:
        found = encoding or encoding_of(path)
        text = path if found.lower() in _UTF8 else _in_utf8(path, found, scratch)
        line, blank = first_line(text, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SchemaError(
            f"{path} cannot be unpacked ({one_line(error)}): copy it again, or name it without "
            ".gz if it is not compressed."
        ) from error
    if re.fullmatch(r"sep=.", line.strip(), re.IGNORECASE):
        raise SchemaError(
            f"{path} begins with {line.strip()!r}, which is for spreadsheets: remove this line."
        )
    sign = check_delimiter(delimiter) or delimiter_of(line, wanted)
    columns = tuple(_fields(line, sign))
    folded = [name.lower() for name in columns]  # as the engine reads them
    for name, key in zip(columns, folded, strict=True):
        if not name or folded.count(key) > 1:
            raise SchemaError(
                f"{path} has several columns named {name!r}, or one without a name: give each "
                "a name of its own in the first line."
            )
    return CsvHeader(text, sign, columns, blank)


# How files begin that are no text, whatever they are called
_NO_TEXT: Final = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    bytes.fromhex("d0cf11e0a1b11ae1"): "an old Excel workbook (.xls)",
    b"\x1f\x8b": "compressed by gzip (.gz)",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard (.zst)",
    b"BZh": "compressed by bzip2 (.bz2)",
    b"\xfd7zXZ\x00": "compressed by xz (.xz)",
    b"SQLite format 3\x00": "a SQLite database",
}


def encoding_of(path: str) -> str:
    """UTF-8, or UTF-16 and UTF-32 where a file begins with their mark.

    Raises
    ------
    SchemaError
        The file is in another encoding, which its bytes do not tell.
    """
    with _opened(path) as stream:
        look = stream.read(_LOOK)
    for magic, what in _NO_TEXT.items():
        if not look.startswith(magic):
            continue
        raise SchemaError(f"{path} is {what}, whatever its name says: name or write it as it is.")
    for mark, name in _MARKS.items():
        if look.startswith(mark):
            return name
    if b"\x00" in look:
        raise _with_zeros(path, look)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(look)
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    return "utf-8"


def _with_zeros(path: str, look: bytes) -> SchemaError:
    """Make the error for a file with zero bytes, which text has in UTF-16 only."""
    even, odd = look[::2].count(0), look[1::2].count(0)
    if max(even, odd) < len(look) // 8:  # of text mostly in Latin letters nearly all of one side
        return SchemaError(
            f"{path} has a zero byte and so is no text: write the file as CSV again, in UTF-8."
        )
    name = "utf-16-le" if odd > even else "utf-16-be"
    return SchemaError(f"{path} looks like UTF-16 without its mark: pass encoding={name!r}.")


def not_utf8(path: str) -> SchemaError:
    """Make the error for a file in an encoding that must be said."""
    return SchemaError(
        f"{path} is not in UTF-8: pass its encoding, such as encoding='latin-1', 'cp1252' "
        "(Western Windows) or 'utf-16'."
    )


def delimiter_of(line: str, wanted: Iterable[str]) -> str:
    """Delimiter that splits a first line into the columns wanted, else into the most."""
    names = set(wanted)

    def score(sign: str) -> tuple[int, int]:
        fields = _fields(line, sign)
        return len(names & set(fields)), len(fields)

    return max(DELIMITERS, key=score)


def _fields(line: str, sign: str) -> list[str]:
    """Names in a first line, which may end in a return alone."""
    first = line.splitlines()[:1]
    try:
        return [name.strip() for name in next(csv.reader(first, delimiter=sign), [])]
    except csv.Error as error:
        raise SchemaError(
            f"The first line of the file cannot be read as names of columns ({one_line(error)}): "
            "write the file as CSV again."
        ) from error


def first_line(path: str, name: str) -> tuple[str, int]:
    """First line of a file in UTF-8 that is not blank, and how many blank ones it follows.

    Raises
    ------
    SchemaError
        It is empty.
    """
    with _opened(path) as stream:
        pieces = iter(lambda: stream.readline(_BLOCK), b"")
        lines = (piece.decode("utf-8-sig", errors="replace").strip("\r\n") for piece in pieces)
        numbered = ((line, i) for i, line in enumerate(lines) if line.strip())
        found = next(numbered, None)
    if found is None:
        raise SchemaError(f"{name} is empty: it must have a first line with names of columns.")
    return found


def scan(headers: Sequence[CsvHeader]) -> str:
    """SQL of the rows of files, all of it text, columns matched by their names."""
    groups: dict[tuple[str, tuple[str, ...], int], list[str]] = {}
    for one in headers:
        groups.setdefault((one.delimiter, one.columns, one.blank), []).append(one.path)
    return " UNION ALL BY NAME ".join(
        f"SELECT * FROM read_csv({literal_files(paths)}, auto_detect = false, header = true, "
        f"hive_partitioning = false, skip = {blank}, delim = {quoted(sign)}, "
        "quote = '\"', escape = '\"', "
        f"columns = {{{', '.join(f'{quoted(name)}: {quoted("VARCHAR")}' for name in columns)}}})"
        for (sign, columns, blank), paths in groups.items()
    )


def said_of(error: Exception) -> str | None:
    """Say in our own words what the engine says of a CSV file; None of anything else."""
    text = str(error)
    if "CSV Error" not in text and "csv" not in text.lower():
        return None
    line = re.search(r"Line: (\d+)", text)
    found = re.search(r"^ *file = (.+)$", text, re.MULTILINE) or re.search(r"file \"(.+?)\"", text)
    where = "A line of the CSV file" if line is None else f"Line {line[1]}"
    of = "" if found is None else f" of {found[1]}"
    if counts := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        return (
            f"{where}{of} has {counts[2]} fields, but the first line has {counts[1]}: correct the "
            "line (text that contains the delimiter must be in quotation marks), or pass the "
            "delimiter, such as delimiter=';'."
        )
    if "unterminated quote" in text.lower():
        return f"{where}{of} has a quotation mark that is not closed: correct the line."
    if "unicode" in text.lower() or "utf" in text.lower():
        return f"{where}{of} is not in UTF-8: pass its encoding, such as encoding='latin-1'."
    if "invalid state" in text:
        return (
            f"{where}{of} cannot be read as CSV: its lines end in different ways, or a quotation "
            "mark is out of place. Write the file as CSV again."
        )
    # after that come settings of the engine's, which nobody can reach
    said = one_line(text.partition("Possible")[0].partition("\n\n")[0])
    return f"{where}{of} cannot be read as CSV ({said}): correct it."


def _in_utf8(path: str, encoding: str, scratch: Scratch) -> str:
    """Write a file anew, in UTF-8."""
    stem = Path(path).name.removesuffix(".gz")
    target = scratch.path / f"{sum(1 for _ in scratch.path.iterdir())}-{stem}"
    try:
        with (
            _opened(path) as raw,
            codecs.getreader(encoding)(raw) as source,
            target.open("w", encoding="utf-8", newline="") as out,
        ):
            while block := source.read(_BLOCK):
                out.write(block)
    except UnicodeError as error:
        raise SchemaError(
            f"{path} is not in the encoding {encoding!r} ({one_line(error)}): pass another with "
            "encoding=."
        ) from error
    return str(target)


def _opened(path: str) -> Any:
    return gzip.open(path, "rb") if path.lower().endswith(".gz") else Path(path).open("rb")
