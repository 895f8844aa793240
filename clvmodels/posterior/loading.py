"""Files -> posteriors of the models that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import xarray as xr

from clvmodels.errors import PosteriorFileError
from clvmodels.path_checks import path_of
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.metadata import Metadata
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.spend import SPEND_POSTERIORS, GammaGammaPosterior, SpendPosterior
from clvmodels.posterior.stacking import StackPosterior
from clvmodels.posterior.storage import read_groups
from clvmodels.purchases import MODELS
from clvmodels.purchases.mixture import STACK
from clvmodels.schema import shown


def load_posterior(path: str | Path) -> CLVPosterior | PurchasePosterior | GammaGammaPosterior:
    """Read a posterior that ``save`` wrote.

    Parameters
    ----------
    path : str or Path
        The NetCDF file.

    Returns
    -------
    CLVPosterior, PurchasePosterior or GammaGammaPosterior
        What was saved.

    Raises
    ------
    SchemaError
        It is named by something else than a path.
    PosteriorFileError
        There is no such file, or it is truncated, not a posterior's, or of a newer format.
    """
    path = path_of("The posterior", path)
    tree, record = read_groups(path)
    _check_known(record, path)
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


def _check_known(record: Mapping[str, Any], path: Path) -> None:
    """Refuse models that this version can't compute."""
    for entry in _entries(record):
        key = entry.get("model") if isinstance(entry, Mapping) else None
        if isinstance(key, str) and key not in (*SPEND_POSTERIORS, *MODELS, STACK):
            raise PosteriorFileError(
                f"{path} is of the model {shown(key)}, which this version of clvmodels does not "
                f"know (models: {', '.join(MODELS)}): upgrade clvmodels, or fit again."
            )


def _entries(record: Mapping[str, Any]) -> Iterator[Any]:
    """Metadata of every part of a file, and of what a stack is made of."""
    for entry in record.values():
        yield entry
        members = entry.get("members") if isinstance(entry, Mapping) else None
        if isinstance(members, Mapping):
            yield from (one.get("metadata") for one in members.values())


def _rebuild(tree: xr.DataTree, name: str, entry: Mapping[str, Any]) -> Posterior:
    metadata = Metadata.from_dict(entry)
    groups = {group: node.to_dataset() for group, node in tree[name].children.items()}
    posterior: Posterior = _class_of(metadata.model)(xr.DataTree.from_dict(groups), metadata)
    if posterior.fingerprint() != entry["draws_digest"]:
        raise ValueError(f"the draws of {name} are not those that were saved")
    return posterior


def _class_of(model: str) -> type[Posterior]:
    if model == STACK:
        return StackPosterior
    return SPEND_POSTERIORS.get(model) or purchase_posterior(model)
