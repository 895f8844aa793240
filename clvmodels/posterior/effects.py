"""What covariates do, in plain units, and posteriors of one kind of customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.forecast import tail_probabilities
from clvmodels.posterior.core import Posterior
from clvmodels.purchases.design import OTHER, SIDES, Design, Effect
from clvmodels.purchases.model import Described, PurchaseModel
from clvmodels.schema import FloatArray, TimeScale, check_interval, shown

if TYPE_CHECKING:
    import pandas as pd

_YEAR: Final = 365.25


def design_known(posterior: Posterior) -> Design:
    """Return the design of a posterior with covariates.

    Raises
    ------
    SchemaError
        It has none.
    """
    design = posterior.metadata.design
    if design is None:
        raise SchemaError(
            "This posterior's model has no covariates: fit one with purchase_covariates or "
            "dropout_covariates."
        )
    return design


def of_kind[P: Posterior](posterior: P, levels: Mapping[str, Any]) -> P:
    """The same posterior, whose new customers are those of some levels.

    Raises
    ------
    SchemaError
        The model has no such covariate, or the covariate no such level.
    """
    design = design_known(posterior)
    places = {name: _place(design, name, level) for name, level in levels.items()}
    mix = [(g, n) for g, n in design.mix if _has(design, g, places)]
    if not mix:
        rest = [name for name in design.columns if name not in places]
        if rest:
            raise SchemaError(
                f"Nobody in the base that was fitted is of {_words(levels)}: say "
                f"{', '.join(rest)} too."
            )
        mix = [(int(design.strata({n: np.array([i]) for n, i in places.items()})[0]), 1)]
    changed = replace(design, mix=tuple(mix))
    return replace(posterior, metadata=replace(posterior.metadata, design=changed))


def _has(design: Design, stratum: int, places: Mapping[str, int]) -> bool:
    levels = design.levels_of(stratum)
    return all(int(levels[name]) == place for name, place in places.items())


def _place(design: Design, name: str, level: Any) -> int:
    factor = next((one for one in design.factors if one.name == name), None)
    if factor is None:
        raise SchemaError(
            f"{shown(name)} is not a covariate of this model (covariates: "
            f"{', '.join(design.columns)})."
        )
    if factor.numeric and isinstance(level, int | float) and not isinstance(level, bool):
        return int(factor.codes(np.array([float(level)]))[0])
    known = (*factor.levels, OTHER)
    text = f"{level:.15g}" if isinstance(level, float) else str(level)
    if text not in known:
        raise SchemaError(
            f"{shown(level)} is not a level of {name} in the base that was fitted (levels: "
            f"{', '.join(known)}): name one, or {OTHER!r} for one that it did not have."
        )
    return known.index(text)


def _words(levels: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} {level}" for name, level in levels.items())


def effects_table(posterior: Posterior, model: PurchaseModel, interval: float) -> pd.DataFrame:
    """A row for each level of each effect; see `PurchasePosterior.effects`."""
    import pandas as pd

    design, draws = design_known(posterior), posterior.draws()
    low, high = tail_probabilities(check_interval(interval))
    factors = {one.name: one for one in design.factors}
    rows = []
    for effect in design.effects:
        counts = (*factors[effect.factor].customers, 0)
        for level, name, count in zip((*effect.levels, OTHER), effect.names, counts, strict=True):
            if level == OTHER and effect.kind == "number":
                continue
            times = np.exp(draws[name])
            figure = _figure(posterior.scale, model, effect, draws, times)
            ends = (np.quantile(v, [low, high]) for v in (times, figure.values))
            times_ends, figure_ends = ends
            rows.append(
                {
                    "on": effect.side,
                    "covariate": effect.factor,
                    "level": level,
                    "customers": count,
                    "times": float(np.median(times)),
                    "times_lower": times_ends[0],
                    "times_upper": times_ends[1],
                    "what": figure.words.format(leaves=model.leaves),
                    "figure": float(np.median(figure.values)),
                    "figure_lower": figure_ends[0],
                    "figure_upper": figure_ends[1],
                }
            )
    names = ("on", "covariate", "level", "customers", "times", "times_lower", "times_upper")
    return pd.DataFrame(rows, columns=[*names, "what", "figure", "figure_lower", "figure_upper"])


def _figure(
    scale: TimeScale,
    model: PurchaseModel,
    effect: Effect,
    draws: Mapping[str, FloatArray],
    times: FloatArray,
) -> Described:
    """What the effect's side of the model means for customers of the level, in plain units."""
    assert model.moved is not None  # or there would be no effects
    both = (times, 1.0) if effect.side == "purchases" else (1.0, times)
    found = model.describe(model.moved(draws, *both))[SIDES.index(effect.side)]
    per_year = _YEAR / scale.days if found.counts == "a year" else 1.0
    return replace(found, values=found.values * per_year)
