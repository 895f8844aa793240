"""One NetCDF file for posteriors with all that predictions need; never pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import xarray as xr

from clvmodels.errors import PosteriorFileError, SchemaError
from clvmodels.outputs import POSTERIOR_SUFFIXES
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.metadata import Metadata
from clvmodels.posterior.purchases import PurchasePosterior, purchase_posterior
from clvmodels.posterior.spend import SPEND_POSTERIORS, GammaGammaPosterior, SpendPosterior
from clvmodels.schema import path_of

FORMAT: Final = "clvmodels posterior"
FORMAT_VERSION: Final = 1
_ENGINE: Final = "h5netcdf"

AnyPosterior = PurchasePosterior | GammaGammaPosterior | CLVPosterior


def save_groups(path: str | Path, posteriors: Mapping[str, Posterior]) -> Path:
    """Write posteriors as groups of one file, whole or not at all.

    Raises
    ------
    SchemaError
        The path is none of this machine, or its name is that of another kind of file.
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
    root = xr.Dataset(
        attrs={"format": FORMAT, "format_version": FORMAT_VERSION, "metadata": json.dumps(record)}
    )
    groups: dict[str, xr.Dataset] = {"/": root}
    for name, one in posteriors.items():
        for group, node in one.tree.children.items():
            groups[f"/{name}/{group}"] = _writable(node.to_dataset())
    target.parent.mkdir(parents=True, exist_ok=True)
    # A file in a directory of its own gets the user's usual permissions, and is moved
    # into place only once it is whole.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".clvmodels-") as aside:
        written = Path(aside) / target.name
        xr.DataTree.from_dict(groups).to_netcdf(written, engine=_ENGINE)
        os.replace(written, target)
    return target


def load_posterior(path: str | Path) -> CLVPosterior | PurchasePosterior | GammaGammaPosterior:
    """Read a posterior that ``save`` wrote.

    Parameters
    ----------
    path : str or Path
        The NetCDF file.

    Returns
    -------
    CLVPosterior, BetaGeoPosterior, ModifiedBetaGeoPosterior or GammaGammaPosterior
        What was saved.

    Raises
    ------
    SchemaError
        It is named by something else than a path.
    PosteriorFileError
        There is no such file, or it is truncated, foreign, or of a newer format.
    """
    path = path_of("The posterior", path)
    tree = _read(path)
    record = _metadata_of(tree, path)
    try:
        parts = {name: _rebuild(tree, name, entry) for name, entry in record.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PosteriorFileError(f"{path} is damaged ({error!r}): fit and save again.") from error
    spent = [parts.pop(name) for name in SPEND_POSTERIORS if name in parts]
    spend = spent[0] if spent else None
    purchases = next(iter(parts.values()), None)
    if isinstance(purchases, PurchasePosterior) and isinstance(spend, SpendPosterior):
        return CLVPosterior(purchases, spend)
    return cast("PurchasePosterior | GammaGammaPosterior", purchases or spend)


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
        # A newer format may keep its metadata elsewhere: say that first.
        record = json.loads(tree.attrs["metadata"]) if found <= FORMAT_VERSION else None
    except (KeyError, TypeError, ValueError) as error:
        raise PosteriorFileError(f"{path} has lost its metadata: fit and save again.") from error
    if record is None:
        raise PosteriorFileError(
            f"{path} has format {found}, this version of clvmodels reads up to {FORMAT_VERSION}: "
            "upgrade clvmodels."
        )
    if not (isinstance(record, dict) and record):
        raise PosteriorFileError(f"{path} holds no posterior: fit and save again.")
    return record


def _rebuild(tree: xr.DataTree, name: str, entry: Mapping[str, Any]) -> Posterior:
    metadata = Metadata.from_dict(entry)
    groups = {group: node.to_dataset() for group, node in tree[name].children.items()}
    kind = SPEND_POSTERIORS.get(metadata.model) or purchase_posterior(metadata.model)
    posterior: Posterior = kind(xr.DataTree.from_dict(groups), metadata)
    if posterior.fingerprint() != entry["draws_digest"]:
        raise ValueError(f"the draws of {name} are not those that were saved")
    return posterior


def _writable(dataset: xr.Dataset) -> xr.Dataset:
    """Keep of the attributes those that NetCDF can hold."""
    kept = {k: v for k, v in dataset.attrs.items() if isinstance(v, str | int | float)}
    return dataset.drop_attrs(deep=False).assign_attrs(kept)
