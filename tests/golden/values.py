"""Flat records of numbers and texts: made of any result, kept in Parquet, compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

VALUES: Final = Path(__file__).parent / "values"
TOLERANCE: Final = 1e-12  # relative
# Sentences, which may be written better: only whether there is one is kept
_WORDS: Final = ("note", "reason")

Flat = dict[str, np.ndarray]


def flat(**results: Any) -> Flat:
    """Arrays by dotted name of frames, records, mappings and numbers."""
    return dict(_leaves("", results))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, pa.Table):
        value = value.to_pandas()
    if isinstance(value, pd.DataFrame):
        value = {str(column): value[column].to_numpy() for column in value.columns}
    elif isinstance(value, pd.Series | xr.DataArray):
        value = value.to_numpy()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in dataclasses.fields(value) if one.repr or one.name == "draws"]
        value = {one: getattr(value, one) for one in names if not one.startswith("_")}
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), item)
    elif name.rpartition(".")[2] in _WORDS:
        yield name, np.array([isinstance(one, str) and one != "" for one in _row(value)], np.int64)
    else:
        yield name, _array(value)


def _row(value: Any) -> list[Any]:
    return list(np.atleast_1d(np.asarray(value, dtype=object)))


def _array(value: Any) -> np.ndarray:
    """One of int64, float64 and text, so that dtypes of frames are none of our business."""
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.astype(np.int64)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind == "O" and all(_is_number(one) for one in array.ravel()):
        return np.array([np.nan if one is None else one for one in array.ravel()], float).reshape(
            array.shape
        )
    return array.astype(str)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def path_of(name: str, values: Path = VALUES) -> Path:
    """The file of a case, "predict/bgnbd" or "spend"."""
    return values / f"{name.replace('/', '-')}.parquet"


def write(name: str, found: Flat, values: Path = VALUES) -> None:
    """Keep the record of a case. Numbers that occur again, as many do, are kept once."""
    rows = [
        {
            "name": key,
            "shape": list(array.shape),
            "integers": array.ravel().tolist() if array.dtype.kind == "i" else None,
            "floats": array.ravel().tolist() if array.dtype.kind == "f" else None,
            "texts": array.ravel().tolist() if array.dtype.kind == "U" else None,
        }
        for key, array in found.items()
    ]
    kinds = {
        "name": pa.string(),
        "shape": pa.list_(pa.int64()),
        "integers": pa.list_(pa.int64()),
        "floats": pa.list_(pa.float64()),
        "texts": pa.list_(pa.string()),
    }
    path = path_of(name, values)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, pa.schema(kinds))
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**24)


def read(name: str, values: Path = VALUES) -> Flat:
    """What `write` kept."""
    kept = {}
    for row in pq.read_table(path_of(name, values)).to_pylist():
        kind = next(kind for kind in ("integers", "floats", "texts") if row[kind] is not None)
        dtype = {"integers": np.int64, "floats": np.float64, "texts": str}[kind]
        kept[row["name"]] = np.array(row[kind], dtype).reshape(row["shape"])
    return kept


def deviation(found: Flat, kept: Flat) -> str:
    """Say where a record first deviates from what was kept; "" where it does nowhere.

    A column that is new has no number that could have moved; other tests know the columns.
    """
    for key in kept:
        if key not in found:
            return f"{key}: is kept, and is not found any more"
        if message := _deviation(found[key], kept[key]):
            return f"{key}{message}"
    return ""


def _deviation(found: np.ndarray, kept: np.ndarray) -> str:
    if found.shape != kept.shape or found.dtype.kind != kept.dtype.kind:
        was, now = (f"{one.dtype.name} of shape {one.shape}" for one in (kept, found))
        return f": was {was}, is {now}"
    if found.dtype.kind != "f":
        wrong = found != kept
        error = np.full(found.shape, np.nan)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(found - kept) / np.abs(kept)
        same = (found == kept) | (np.isnan(found) & np.isnan(kept))
        wrong = ~(same | (error <= TOLERANCE))
    if not wrong.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    place = f"[{', '.join(map(str, first))}]" if first else ""
    worst = f", at worst {np.nanmax(error):.1e}" if np.isfinite(error[wrong]).any() else ""
    return (
        f"{place}: was {kept[first]!r}, is {found[first]!r}, relative error {error[first]:.1e}; "
        f"{np.count_nonzero(wrong):,} of {wrong.size:,} deviate{worst}"
    )
