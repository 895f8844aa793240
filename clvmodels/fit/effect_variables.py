"""Effects of covariates in PyMC: as they are sampled, and as a posterior keeps them."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import special

from clvmodels.errors import OURS, SchemaError
from clvmodels.fit.covariates import SPREAD_SD
from clvmodels.fit.density import STANDARD, Density
from clvmodels.fit.marginal import Marginal
from clvmodels.fit.mode import MODE_TOLERANCE, climb, find_mode
from clvmodels.fit.ops import product
from clvmodels.fit.run import Result, Settings, infer
from clvmodels.purchases.design import (
    EFFECTS_PRIOR,
    GROUPS_DENSITY,
    SIDES,
    Design,
    Effect,
    Factor,
    Side,
)
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    import pymc as pm

_SPREAD: Final = f"{STANDARD}spread_"
_CENTRED: Final = "centred_"
# A level is known by its own customers where its standardised effect has at most this sd.
_KNOWN_SD: Final = 0.5
_STEP: Final = 1e-4
_FEW_LEVELS: Final = 100
# Of one column with more groups than these the spread is known well, and a second is refused.
_MANY_LEVELS: Final = 30
# Where a climb begins, in standard deviations of a spread's prior
_LEAST_SPREAD: Final = 0.1
_MOST_SPREAD: Final = 5.0
_TINY: Final = 1e-100
_DENSITIES: Final = f"{STANDARD}densities"  # of each effect: its prior's, and its groups'
KNOWN: Final = "known_effects"
"""Effects of the levels that the base has, as they are sampled."""
_OTHER_SEED: Final = 20071218
# Of the grid by which levels' spread is learnt, and of what the base must say of a contrast.
_GRID: Final = 600
_WIDEST_SPREAD: Final = 6.0
_LEAST_TOLD: Final = 0.02


def basis(effect: Effect, factor: Factor) -> FloatArray | None:
    """Levels' effects for a spread of 1, of standard normal numbers: shape (levels, numbers).

    Of levels it is an orthonormal contrast, times what makes every level's sd 1; of ordered
    ones sums of steps, less their mean. None where effects are what the numbers are: pooled.
    """
    count = len(factor.levels)
    if effect.kind == "number":
        return np.array(factor.numbers)[:, None]
    if effect.kind == "pooled":
        return None
    centred = np.eye(count) - 1.0 / count
    if effect.kind == "ordered":
        steps = np.tri(count, count - 1, k=-1)
        return np.asarray(centred @ steps)
    helmert = np.linalg.qr(centred[:, : count - 1])[0]
    return np.asarray(helmert * np.sqrt(count / (count - 1.0)))


def spread_at(place: Any, sd: float, of: Any = special) -> Any:
    """A half-normal spread by a coordinate of which the prior is standard normal.

    By its logarithm the posterior of a spread that may be nothing has a long tail, in which the
    likelihood is flat: of 12 groups of 500 customers in all k-hat was .8, and is .5 by this.
    """
    # Chains may go as far out as 9, where it would be rounded to nothing
    return sd * (np.sqrt(2.0) * of.erfcinv(0.5 * of.erfc(place / np.sqrt(2.0))) + _TINY)


def _place_of(spread: float, sd: float) -> float:
    beyond = special.erfc(min(spread / sd, _MOST_SPREAD) / np.sqrt(2.0))
    return float(np.sqrt(2.0) * special.erfcinv(2.0 * beyond))


def times_variables(
    design: Design, stratum: npt.NDArray[np.int64], nothing: Any
) -> dict[Side, Any]:
    """By how much each side of each stratum is moved, in the PyMC model that is open.

    Parameters
    ----------
    design : Design
    stratum : ndarray of int, shape (G,)
        Those of the base, in order.
    nothing : variable, shape (G,)
        Zeros, which are data: made in the graph they take seconds to compile.

    Returns
    -------
    dict of side to variable, shape (G,)
        A factor, 1 where there are no effects.
    """
    import pymc as pm
    import pytensor.tensor as pt

    factors, drawn, densities = {one.name: one for one in design.factors}, [], []
    levels = design.levels_of(stratum)
    rows = {
        name: pm.Data(f"level_{i}", levels[name].astype(np.int64))
        for i, name in enumerate(design.columns)
    }
    eta: dict[Side, Any] = dict.fromkeys(SIDES, nothing)
    for i, effect in enumerate(design.effects):
        matrix, size = basis(effect, factors[effect.factor]), len(effect.levels)
        spread: Any = effect.sd
        if effect.learnt:
            size = size - 1 if effect.kind == "ordered" else size
            place = pm.Normal(f"{_SPREAD}{i}", 0.0, 1.0)
            spread = spread_at(place, effect.sd, pt)
            known = pm.Data(f"{_CENTRED}{i}", np.zeros(size))
            numbers = pm.Normal(f"{STANDARD}{i}", 0.0, spread**known, shape=size)
            densities += [pm.logp(place, place), pm.logp(numbers, numbers).sum()]
            numbers = spread ** (1.0 - known) * numbers
            effects = numbers if matrix is None else product(matrix, numbers)
        else:
            assert matrix is not None
            numbers = pm.Normal(f"{STANDARD}{i}", 0.0, 1.0, shape=matrix.shape[1])
            effects = spread * product(matrix, numbers)
            densities += [pm.logp(numbers, numbers).sum(), pt.zeros(())]
        eta[effect.side] = eta[effect.side] + effects[rows[effect.factor]]
        drawn += [effects, *((pt.atleast_1d(spread),) if effect.learnt else ())]
    if drawn:
        pm.Deterministic(KNOWN, pt.concatenate(drawn))
        pm.Deterministic(_DENSITIES, pt.stack(densities))
    return {side: pt.exp(one) for side, one in eta.items()}


def with_others(posterior: xr.Dataset, design: Design) -> xr.Dataset:
    """Draws of all effects: of the base's levels, and of a level that it did not have.

    A group that nobody has seen is one of the population that the others come from: its effect
    has their spread, and, where they are ordered, it is one more step from the last. Of levels
    that are not pooled the spread is what these levels tell of it: by their prior alone a new
    one's customers would buy 1.6 times as often in the mean. A number that is missing is the
    average, and so is any new level of a single point, which has no doubt.
    """
    if not design.effects:
        shape = (posterior.sizes["chain"], posterior.sizes["draw"], 0)
        return posterior.assign(effects=(("chain", "draw", "effect"), np.zeros(shape)))
    known = posterior[KNOWN].to_numpy()
    # Of each side a stream of its own: a new level does not spend more because it buys more
    streams = {side: np.random.default_rng((_OTHER_SEED, i)) for i, side in enumerate(SIDES)}
    begin, found = 0, []
    for effect in design.effects:
        end = begin + len(effect.levels)
        mine = known[..., begin:end]
        spread = (known[..., end, None],) if effect.learnt else ()
        other = _of_new_level(effect, mine, spread, streams[effect.side])
        found += [mine, other[..., None], *spread]
        begin = end + int(effect.learnt)
    effects = np.concatenate(found, axis=-1)
    rest = posterior.drop_vars([KNOWN, _DENSITIES], errors="ignore")
    return rest.assign(effects=(("chain", "draw", "effect"), effects)).assign_coords(
        effect=np.array(design.drawn)
    )


def _of_new_level(
    effect: Effect, known: FloatArray, spread: Sequence[FloatArray], rng: np.random.Generator
) -> FloatArray:
    """Draws of the effect of a level that the base did not have, given those of its levels."""
    count, last = len(effect.levels), known[..., -1] if effect.kind == "ordered" else 0.0
    if effect.kind == "number" or known[..., 0].size == 1:
        return np.zeros(known.shape[:-1]) + last
    noise = rng.standard_normal(known.shape[:-1])
    if spread:
        return np.asarray(last + spread[0][..., 0] * noise)
    # Levels are told from their own mean, which differs from the population's
    return np.asarray(_spreads(effect, known, rng) * np.sqrt(1.0 + 1.0 / count) * noise)


def _spreads(effect: Effect, known: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws of the spread of the population of levels, as `Pooled` would have it.

    The levels' contrasts and their covariance, less what their prior has put in, are what the
    base says of them; it is as likely as a Gaussian of that and of the spread together.
    """
    count = len(effect.levels)
    contrasts = np.linalg.qr(np.eye(count)[:, : count - 1] - 1.0 / count)[0]
    prior = effect.sd * np.sqrt(count / (count - 1.0))
    numbers = known.reshape(-1, count) @ contrasts / prior
    shares, axes = np.linalg.eigh(np.atleast_2d(np.cov(numbers.T)))
    told = np.maximum(1.0 - shares, _LEAST_TOLD)
    means, doubts = numbers.mean(axis=0) @ axes / told, shares / told
    grid = (np.arange(_GRID) + 0.5) * (_WIDEST_SPREAD / _GRID)  # of the half-normal's sds
    widths = doubts + (grid[:, None] * SPREAD_SD * effect.sd / prior) ** 2
    logs = -0.5 * (grid**2 + (np.log(widths) + means**2 / widths).sum(axis=1))
    ends = np.cumsum(np.exp(logs - logs.max()))
    places = np.interp(rng.random(known.shape[:-1]), ends / ends[-1], grid)
    return np.asarray(places * SPREAD_SD * effect.sd)


def fit_with(
    design: Design, model: pm.Model, settings: Settings, *, customers: int, of: str, key: Hashable
) -> Result:
    """Fit a model with covariates; draws of effects are then there under their names."""
    names = [one.name for one in model.free_RVs]
    _check_few_columns(design, settings.method)
    if settings.method == "map":
        learnt = {one.factor for one in design.effects if one.learnt}
        _warn_of_mode(sorted(learnt - {design.effects[i].factor for i in _most(design)}))
        settle = partial(_apart, names=names, design=design) if learnt else None
    else:
        settle = partial(settled, names=names, design=design)
    result = infer(model, settings, customers=customers, of=of, key=key, settle=settle)
    tree = result.tree.copy()
    posterior, statistics = (tree[one].to_dataset() for one in ("posterior", "sample_stats"))
    if design.effects:
        integrated = () if result.method == "nuts" else _most(design)
        kept = [i for i in range(len(design.effects)) if i not in integrated]
        parts = posterior[_DENSITIES].to_numpy()
        sums = {EFFECTS_PRIOR: parts[..., ::2], GROUPS_DENSITY: parts[..., 1::2][..., kept]}
        statistics = statistics.assign(
            {name: (("chain", "draw"), one.sum(axis=-1)) for name, one in sums.items()}
        )
    tree["posterior"] = xr.DataTree(with_others(posterior, design))
    tree["sample_stats"] = xr.DataTree(statistics)
    return replace(result, tree=tree)


def _check_few_columns(design: Design, method: str) -> None:
    """Refuse several columns of many pooled groups, of which one alone is integrated out.

    Of two of 40 groups each the Laplace approximation has no k-hat, and chains take hours.
    """
    pooled = {one.factor: len(one.levels) for one in design.effects if one.kind == "pooled"}
    many = [f"{name!r} ({n:,} groups)" for name, n in pooled.items() if n > _MANY_LEVELS]
    if len(many) < 2 or method == "map":
        return
    said = f"More than one column of over {_MANY_LEVELS} groups is pooled, {', '.join(many)}"
    cure = "Pool the one that tells more, and make fewer groups of the others"
    if method != "nuts":
        raise SchemaError(
            f"{said}: the effects of one such column can be integrated out, not those of several. "
            f"{cure}; method='nuts' samples all of them, which may take hours."
        )
    warnings.warn(
        f"{said}: Markov chains may take hours. {cure}.",
        UserWarning,
        stacklevel=2,
        skip_file_prefixes=OURS,
    )


def _warn_of_mode(columns: Sequence[str]) -> None:
    if columns:
        warnings.warn(
            f"At the mode the groups of {', '.join(columns)} are hardly drawn to their average, "
            "which method='map' does for one pooled column, that with the most groups: use "
            "method='nuts'.",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )


def _most(design: Design) -> tuple[int, ...]:
    """Effects of the column with the most groups that are pooled."""
    pooled = [one for one in design.effects if one.kind == "pooled"]
    most = max(pooled, key=lambda one: len(one.levels), default=None)
    return tuple(i for i, one in enumerate(design.effects) if most and one.factor == most.factor)


def settled(density: Density, names: Sequence[str], design: Design) -> Density:
    """The same density in coordinates in which pooled effects are nearly Gaussian.

    An effect is its spread times a standard number. Where a level's own customers say what its
    effect is, that number moves as the spread does, along a curve, and neither weights nor
    chains like that; the effect itself then is the better coordinate ("centred"). Which levels
    these are shows at the mode: Papaspiliopoulos, Roberts & Skoeld (2007), "A general
    framework for the parametrization of hierarchical models". Of few groups the spread may be
    nothing whatever a level's customers say, and none is centred: of 12 groups of 500 customers,
    one or two of them centred, .6 % of steps diverged, and none does so.

    Parameters
    ----------
    density : Density
        With no level centred.
    names : sequence of str
        Of the free variables, in their order.
    design : Design
        Of its effects those of the pooled column with the most groups are integrated out, which
        the density is told: draws of all effects and their spread at once have weights that are
        too uneven (k-hat was 2 of 12 groups, and 6.2 of 200).

    Returns
    -------
    Density
        With other data, and started at its mode; or as it was, where none is better centred.
    """
    places = dict(zip(names, density.compiled.places, strict=True))
    learnt = [i for i, one in enumerate(design.effects) if one.learnt]
    if not learnt:
        return density
    found = _apart(density, names, design)
    theta = found.start if found.groups else climb(density)
    data, moved = dict(density.data), theta.copy()
    for i in learnt:
        place = places[f"{STANDARD}{i}"]
        effect = design.effects[i]
        spread = spread_at(theta[places[f"{_SPREAD}{i}"]], effect.sd)
        known = (_sds(density, theta, place) < _KNOWN_SD).astype(np.float64)
        if effect.kind == "pooled" and len(effect.levels) <= _MANY_LEVELS:
            known *= 0.0
        data[f"{_CENTRED}{i}"] = known
        moved[place] *= spread**known
    density = replace(density, pooled=True)
    found = replace(found, data=data, start=moved, pooled=True)
    if found.groups:
        return found
    # Where levels may not differ at all, their spread may be 0, and this density has no mode
    mode = find_mode(found)
    there = mode.curved and mode.decrement < MODE_TOLERANCE
    return replace(found, start=mode.location) if there else density


def _apart(density: Density, names: Sequence[str], design: Design) -> Density:
    """The same density, told of the effects that are integrated out, and begun at its mode."""
    many = _most(design)
    if not many:
        return density
    places = dict(zip(names, density.compiled.places, strict=True))
    density = replace(density, groups=tuple(_slice(places[f"{STANDARD}{i}"]) for i in many))
    spreads = {places[f"{_SPREAD}{i}"]: design.effects[i].sd for i in many}
    return replace(density, start=_with_groups(density, climb(density), spreads))


def _with_groups(
    density: Density, theta: FloatArray, spreads: Mapping[int | slice, float]
) -> FloatArray:
    """The mode of what is left when many groups' effects are integrated out, with these.

    Where a density of all is highest spreads are much too great, so that none is begun with.
    """
    start = theta.copy()
    for place, (spread, prior) in zip(density.groups, spreads.items(), strict=True):
        wide = spread_at(theta[spread], prior) * theta[place]
        sd = max(float(wide.std()), _LEAST_SPREAD * prior)
        start[spread] = _place_of(sd, prior)
        start[place] = wide / spread_at(start[spread], prior)
    marginal = Marginal(replace(density, start=start))
    return marginal.with_groups(find_mode(marginal).location)


def _slice(place: int | slice) -> slice:
    assert isinstance(place, slice)  # it is a vector's
    return place


def _sds(density: Density, theta: FloatArray, place: int | slice) -> FloatArray:
    """Standard deviations of some coordinates, all others being known, of a Gaussian there.

    Of many, as if they did not depend on each other, as groups that no other effect divides do
    not: one pair of gradients then tells them all.
    """
    place = _slice(place)
    size = place.stop - place.start
    directions = np.eye(size) if size <= _FEW_LEVELS else np.ones((1, size))
    bends = []
    for one in directions:
        step = np.zeros_like(theta)
        step[place] = _STEP * one
        bends.append((density(theta - step)[1] - density(theta + step)[1])[place] / (2.0 * _STEP))
    if size > _FEW_LEVELS:
        return np.asarray(1.0 / np.sqrt(np.maximum(bends[0], 1e-12)))
    matrix = (np.array(bends) + np.array(bends).T) / 2.0
    return np.asarray(np.sqrt(np.abs(np.diag(np.linalg.pinv(matrix)))))
