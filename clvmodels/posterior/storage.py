"""One NetCDF file for posteriors with all that predictions need; never pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels.errors import PosteriorFileError, SchemaError
from clvmodels.outputs import POSTERIOR_SUFFIXES, aside
from clvmodels.path_checks import path_of

if TYPE_CHECKING:
    from clvmodels.posterior.core import Posterior

FORMAT: Final = "clvmodels posterior"
# 1 had no digest but of the draws
FORMAT_VERSION: Final = 2
_ENGINE: Final = "h5netcdf"


def save_groups(path: str | Path, posteriors: Mapping[str, Posterior]) -> Path:
    """Write posteriors as groups of one file, whole or not at all.

    Raises
    ------
    SchemaError
        The path is not on this machine, or its name is that of another kind of file.
    """
    target = path_of("The posterior", path)
    if not target.name.lower().endswith(POSTERIOR_SUFFIXES):
        raise SchemaError(
            f"The posterior {target} must end in {' or '.join(POSTERIOR_SUFFIXES)}: it is a "
            "NetCDF file."
        )
    record = {
        name: one.metadata.to_dict() | {"draws_digest": one.fingerprint()}
        for name, one in posteriors.items()
    }
    groups = {
        f"/{name}/{group}": _writable(node.to_dataset())
        for name, one in posteriors.items()
        for group, node in one.tree.children.items()
    }
    metadata = json.dumps(record)
    attrs = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "metadata": metadata,
        "digest": _digest(metadata, groups),
    }
    groups["/"] = xr.Dataset(attrs=attrs)
    with aside(target) as written:
        xr.DataTree.from_dict(groups).to_netcdf(written, engine=_ENGINE)
    return target


def read_groups(path: Path) -> tuple[xr.DataTree, dict[str, Any]]:
    """Read what `save_groups` wrote: groups, and the metadata of each part.

    Raises
    ------
    PosteriorFileError
        There is no such file, or it is truncated, not a posterior's, or of a newer format.
    """
    tree = _read(path)
    return tree, _metadata_of(tree, path)


def _read(path: Path) -> xr.DataTree:
    if not path.is_file():
        raise PosteriorFileError(f"{path} does not exist: save a posterior there, or name another.")
    try:
        with xr.open_datatree(path, engine=_ENGINE) as tree:
            return tree.load()
    except Exception as error:
        raise PosteriorFileError(
            f"{path} cannot be read as a posterior: it is truncated, or not a NetCDF file "
            f"({type(error).__name__}). Fit and save again."
        ) from error


def _metadata_of(tree: xr.DataTree, path: Path) -> dict[str, Any]:
    if tree.attrs.get("format") != FORMAT:
        raise PosteriorFileError(
            f"{path} is a NetCDF file, but none that clvmodels saved: load it with ArviZ and use "
            "from_draws."
        )
    try:
        found = int(tree.attrs["format_version"])
        if found > FORMAT_VERSION:  # its metadata may be elsewhere: say that first
            raise PosteriorFileError(
                f"{path} has format {found}, this version of clvmodels reads up to "
                f"{FORMAT_VERSION}: upgrade clvmodels."
            )
        text = tree.attrs["metadata"]
        record = json.loads(text)
        digest = tree.attrs["digest"] if found > 1 else None
    except (KeyError, TypeError, ValueError) as error:
        raise PosteriorFileError(f"{path} has lost its metadata: fit and save again.") from error
    if not (isinstance(record, dict) and record):
        raise PosteriorFileError(f"{path} holds no posterior: fit and save again.")
    if digest is not None and digest != _digest(text, _groups_of(tree)):
        raise PosteriorFileError(
            f"{path} is damaged (it is not what was saved): fit and save again."
        )
    return record


def _groups_of(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Every group that holds something, by its path."""
    return {
        node.path: node.to_dataset(inherit=False)
        for node in tree.subtree
        if node.path != "/" and (node.variables or node.attrs)
    }


def _digest(metadata: str, groups: Mapping[str, xr.Dataset]) -> str:
    """SHA-256 of all that a file holds, whatever types NetCDF made of it."""
    digest = hashlib.sha256(metadata.encode())
    for path in sorted(groups):
        group = groups[path]
        _add(digest, path, _attributes(group.attrs))
        for name in sorted(map(str, group.variables)):
            variable = group.variables[name]
            _add(digest, name, repr((variable.dims, variable.shape)))
            _add(digest, _attributes(variable.attrs))
            digest.update(_bytes(variable.values))
    return digest.hexdigest()


def _add(digest: Any, *texts: str) -> None:
    for text in texts:
        digest.update(text.encode() + b"\0")


def _attributes(attrs: Mapping[Any, Any]) -> str:
    """Attributes as NetCDF gives them back: numbers become NumPy's."""
    plain = {str(k): v if isinstance(v, str) else float(v) for k, v in attrs.items()}
    return json.dumps(plain, sort_keys=True)


def _bytes(values: npt.NDArray[Any]) -> bytes:
    if values.dtype.kind in "biuf":
        return np.ascontiguousarray(values, dtype=np.float64).tobytes()
    return json.dumps([str(value) for value in values.ravel()]).encode()


def _writable(dataset: xr.Dataset) -> xr.Dataset:
    """Keep of the attributes those that NetCDF can hold."""
    kept = {k: v for k, v in dataset.attrs.items() if isinstance(v, str | int | float)}
    return dataset.drop_attrs(deep=False).assign_attrs(kept)
