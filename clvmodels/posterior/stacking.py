"""Posteriors of several models as one: a mixture whose draws are taken from all by weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import xarray as xr

from clvmodels.display import listed
from clvmodels.errors import DomainError
from clvmodels.keywords import named
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.core import SAMPLE_DIMS, common_margin
from clvmodels.posterior.metadata import Member, Metadata
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.stackable import (
    ROUNDING,
    Stackable,
    checked_members,
    checked_weights,
)
from clvmodels.purchases import PurchaseModel, learn, sent
from clvmodels.purchases.mixed_draws import MEMBER
from clvmodels.purchases.mixture import STACK, stacked_model
from clvmodels.schema import FloatArray, check_whole
from clvmodels.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

# Of a smaller weight 500 draws would hold two at most
LEAST_WEIGHT: Final = 0.005


@dataclass(frozen=True, repr=False, eq=False)
class StackPosterior(PurchasePosterior):
    """Draws of several purchase models, as many of each as its weight says.

    Whatever it forecasts is the mixture of what the members forecast. Made by
    :func:`clvmodels.stack`; ``metadata.members`` has the weights and where each member comes
    from, ``metadata.why`` why they were chosen.

    Examples
    --------
    >>> import clvmodels as clv
    >>> one = clv.BetaGeoPosterior.from_draws(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> other = clv.ModifiedBetaGeoPosterior.from_draws(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> both = clv.stack({"bgnbd": one, "mbgnbd": other}, weights={"bgnbd": 0.75, "mbgnbd": 0.25})
    >>> both.weights
    {'bgnbd': 0.75, 'mbgnbd': 0.25}
    >>> both.draws_total
    4
    """

    model: ClassVar[str] = STACK

    def __post_init__(self) -> None:
        models = tuple(one.metadata.model for one in self.metadata.members.values())
        facts = stacked_model(models)
        object.__setattr__(self, "facts", facts)
        object.__setattr__(self, "parameters", facts.parameter_names)

    def __reduce__(self) -> Any:
        models = tuple(sent(one.facts) for one in self.members.values())
        return _remade, (models, self.tree, self.metadata)

    @property
    def weights(self) -> dict[str, float]:
        """Weights by member; they sum to 1."""
        return {name: one.weight for name, one in self.metadata.members.items()}

    @property
    def members(self) -> dict[str, PurchasePosterior]:
        """What it is a mixture of: those draws of each member that are in it."""
        group = self.tree["posterior"].to_dataset()
        whose = group[MEMBER].to_numpy()[0]
        found = {}
        for place, (name, one) in enumerate(self.metadata.members.items()):
            kind = purchase_posterior(one.metadata.model)
            own = group[list(kind.parameters)].isel(draw=np.flatnonzero(whose == place))
            tree = xr.DataTree.from_dict({"posterior": own})
            found[name] = kind(tree, one.metadata)
        return found

    @property
    def certain(self) -> bool:
        """Whether every member is a single point."""
        return all(one.metadata.method == "map" for one in self.metadata.members.values())

    def summary(self) -> pd.DataFrame:
        """ArviZ's table of means, sds and intervals, by member and parameter."""
        import pandas as pd
        from arviz_stats import summary

        if self.certain:
            draws = self._draws_by_label()
            return pd.DataFrame({"mode": {label: v[0] for label, v in draws.items()}})
        frame: pd.DataFrame = pd.concat(
            summary(one.tree, kind="stats", round_to="none", ci_kind="eti").rename(
                index=_label_of(name)
            )
            for name, one in self.members.items()
        )
        return frame

    def _draws_by_label(self) -> dict[str, FloatArray]:
        return {
            _label_of(name)(parameter): values
            for name, one in self.members.items()
            for parameter, values in one.draws().items()
        }

    def _computed_by(self) -> str:
        keys = (one.metadata.model for one in self.metadata.members.values())
        return f"{STACK} of {','.join(keys)}"

    def _outline(self) -> str:
        members = ", ".join(f"{name} {weight:.2f}" for name, weight in self.weights.items())
        return (
            f"{type(self).__name__} of {members}: {self.draws_total:,} draws, "
            f"time in {self.scale}, verdict {self.verdict.status}"
        )


def _remade(models: tuple[PurchaseModel | str, ...], *parts: Any) -> StackPosterior:
    for model in models:
        learn(model)
    return StackPosterior(*parts)


def _label_of(member: str) -> Any:
    return f"{member}: {{}}".format


@named
def stack(
    posteriors: Mapping[str, Stackable],
    *,
    weights: Any = None,
    draws: int | None = None,
) -> Stackable:
    """Make one posterior of several: the mixture of what they forecast.

    Where a base does not tell models apart, or each describes some customers better, their
    mixture forecasts better than any of them (Yao et al. 2018), and its intervals hold the
    doubt about the model too. It predicts, scores, reports, is saved and loaded as any other.

    Parameters
    ----------
    posteriors : mapping of str to CLVPosterior or BetaGeoPosterior
        Of purchases alone, or all of purchases and the same spend, in one unit of time, by the
        names that they are to have.
    weights : mapping of str to float, or Comparison, optional
        Of every posterior, of sum 1. A comparison (:func:`clvmodels.compare`) has those of
        the mixture that describes its base best. By default all weigh the same. A posterior
        of a weight below 0.005 is left out, and a note says so.
    draws : int, optional
        How many draws the stack has, by default as many as the posterior with the most. They
        are allotted by weight, those of each evenly spaced over all that it has; where it has
        too few they are repeated.

    Returns
    -------
    CLVPosterior or StackPosterior
        With the spend of the members, where they have it; else of purchases alone. Its
        verdict has the checks of all members, so that it is the worst of theirs.

    Raises
    ------
    SchemaError
        There is no posterior, one is not of purchases, one is a single point and another is
        not, spend differs, or weights are not of these posteriors.
    DomainError
        Weights are negative or do not sum to 1, or margins differ.
    TimeUnitError
        Units of time differ.

    Notes
    -----
    Means are the weighted means of the members' means; quantiles and distributions are those of
    the draws of all members together, which are as many of each as its weight says (to the
    nearest draw, the largest remainders first).

    Yao, Y., Vehtari, A., Simpson, D. & Gelman, A. (2018). Using stacking to average Bayesian
    predictive distributions. Bayesian Analysis 13(3), 917-1003.

    Examples
    --------
    >>> import clvmodels as clv
    >>> one = clv.BetaGeoPosterior.from_draws(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> other = clv.ModifiedBetaGeoPosterior.from_draws(r=0.525, alpha=6.183, a=0.891, b=1.614)
    >>> both = clv.stack({"bgnbd": one, "mbgnbd": other})
    >>> means = [
    ...     float(each.expected_purchases_new_customer(t=52).mean()) for each in (one, other, both)
    ... ]
    >>> abs(means[2] - (means[0] + means[1]) / 2) < 1e-12
    True
    """
    given, spend = checked_members(posteriors)
    share = checked_weights(weights, tuple(given))
    reason = _REASONS[_kind_of(weights)]
    made = stacked(given, share, why=f"{in_words(share)} {reason}", draws=draws)
    return made if spend is None else CLVPosterior(made, spend)


def stacked(
    given: Mapping[str, PurchasePosterior],
    weights: Mapping[str, float],
    *,
    why: str,
    draws: int | None = None,
) -> StackPosterior:
    """Stack posteriors of purchases that were checked already.

    Parameters
    ----------
    given : mapping of str to PurchasePosterior
        In one unit of time.
    weights : mapping of str to float
        Of each, at least 0, of sum 1.
    why : str
        Why these are the weights.
    draws : int, optional
        As in :func:`stack`.
    """
    kept = {name: one for name, one in given.items() if weights[name] >= LEAST_WEIGHT}
    total = sum(weights[name] for name in kept)
    share = {name: weights[name] / total for name in kept}
    size = max(one.draws_total for one in kept.values())
    size = _enough(size if draws is None else check_whole("draws", draws), share, kept)
    counts = allotted(np.array(list(share.values())), size)
    if not counts.all():
        raise DomainError(
            f"draws={size:,} are too few for these weights, since some posteriors would have none: "
            f"take {_holds_all(share, size):,} or more."
        )
    members = {
        name: Member(share[name], replace(one.metadata, why="")) for name, one in kept.items()
    }
    metadata = _metadata_of(kept, members, why, _left_out(weights))
    data = _dataset(list(kept.values()), counts)
    return StackPosterior(xr.DataTree.from_dict({"posterior": data}), metadata)


def in_words(weights: Mapping[str, float]) -> str:
    """Say the weights of those that are kept, in one sentence."""
    kept = {name: weight for name, weight in weights.items() if weight >= LEAST_WEIGHT}
    if len(kept) == 1:
        return f"All the weight is on {next(iter(kept))}."
    return f"The weights are {listed(f'{name} {weight:.2f}' for name, weight in kept.items())}."


def allotted(share: FloatArray, size: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How many of so many draws each has, by largest remainders; of equal ones the first."""
    exact = share * size
    counts = np.floor(exact + ROUNDING).astype(np.int64)
    remainder = exact - counts
    for place in np.argsort(-remainder, kind="stable")[: size - counts.sum()]:
        counts[place] += 1
    return counts


def _enough(size: int, share: Mapping[str, float], kept: Mapping[str, PurchasePosterior]) -> int:
    """As many draws as the weights can be told by, where members are points."""
    if all(one.draws_total > 1 for one in kept.values()) or len(kept) == 1:
        return size
    return max(size, next((n for n in range(1, 200) if _tells(share, n)), 200))


def _holds_all(share: Mapping[str, float], size: int) -> int:
    """Least number of draws of which each has some; weights are not below the least one."""
    while not allotted(np.array(list(share.values())), size).all():
        size += 1
    return size


def _tells(share: Mapping[str, float], size: int) -> bool:
    return all(abs(weight * size - round(weight * size)) < ROUNDING for weight in share.values())


_REASONS: Final = {
    "given": "They were given.",
    "equal": "No others were given.",
    "compared": (
        "With these the mixture describes the purchases of the compared base best (stacking of "
        "leave-one-out densities)."
    ),
}


def _kind_of(weights: Any) -> str:
    if weights is None:
        return "equal"
    return "given" if isinstance(weights, Mapping) else "compared"


def _left_out(weights: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(
        f"{name} has a weight of {100 * weight:.1f} % and is left out."
        for name, weight in weights.items()
        if weight < LEAST_WEIGHT
    )


def _metadata_of(
    kept: Mapping[str, PurchasePosterior],
    members: Mapping[str, Member],
    why: str,
    notes: tuple[str, ...],
) -> Metadata:
    """What the members have in common, and each of them."""
    known = [one.metadata for one in kept.values()]
    bases = {one.fingerprint for one in known} - {None}
    if len(bases) > 1:
        notes = (*notes, "The members were fitted to different bases.")
    checks = tuple(
        replace(check, name=f"{name}: {check.name}")
        for name, one in kept.items()
        for check in one.verdict.checks
    )
    ends = [one.observation_end for one in known if one.observation_end is not None]
    base = {
        name: value
        for name, value in known[0].base.items()
        if all(one.base.get(name) == value for one in known)
    }
    return Metadata(
        model=STACK,
        method=STACK,
        scale=known[0].scale,
        observation_end=min(ends, default=None),
        verdict=Verdict("stack", checks),
        notes=(*notes, *dict.fromkeys(note for one in known for note in one.notes)),
        margin=common_margin(None, *kept.values()),
        base=base,
        fingerprint=bases.pop() if len(bases) == 1 else None,
        versions=known[0].versions,
        members=members,
        why=why,
    )


def _dataset(kept: list[PurchasePosterior], counts: Any) -> xr.Dataset:
    """Draws of all members one after the other, NaN where a model has no such parameter."""
    model = stacked_model(tuple(one.metadata.model for one in kept))
    columns: dict[str, list[FloatArray]] = {name: [] for name in model.parameter_names}
    for place, (one, count) in enumerate(zip(kept, counts, strict=True)):
        total = one.draws_total
        chosen = ((np.arange(count) + 0.5) * total / count).astype(np.int64)
        own = one.draws() | {MEMBER: np.full(total, float(place))}
        for name, parts in columns.items():
            values = own.get(name)
            parts.append(np.full(count, np.nan) if values is None else values[chosen])
    size = int(np.sum(counts))
    return xr.Dataset(
        {name: (SAMPLE_DIMS, np.concatenate(parts)[None]) for name, parts in columns.items()},
        coords={"chain": np.arange(1), "draw": np.arange(size)},
    )
