"""What covariates do, in plain units, and posteriors of one kind of customer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from clvmodels.errors import OURS, SchemaError
from clvmodels.forecast import tail_probabilities
from clvmodels.keywords import named
from clvmodels.posterior.core import Posterior
from clvmodels.purchases.design import OTHER, Design, Side
from clvmodels.purchases.model import Described
from clvmodels.schema import FloatArray, check_interval, shown

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.rfm.histories import RfmColumns


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
            "This posterior's model has no covariates: fit one with purchase_covariates, "
            "dropout_covariates, or covariates of spend."
        )
    return design


def effects_of(fits: Sequence[Any], interval: float) -> pd.DataFrame:
    """The effects of several posteriors, one below the other.

    Raises
    ------
    SchemaError
        None of them has covariates.
    """
    import pandas as pd

    parts = [one for one in fits if one.metadata.drawn]
    if not parts:
        design_known(fits[0])
        parts = list(fits[:1])  # of columns that have one level there is nothing to tell
    tables: list[pd.DataFrame] = [one.effects(interval=interval) for one in parts]
    return pd.concat(tables, ignore_index=True)


class KindsOfBoth:
    """What posteriors of purchases and of spend together say of kinds of customers."""

    if TYPE_CHECKING:
        purchases: Any
        fits: Any

    def of(self, levels: Mapping[str, Any]) -> Self:
        """Return the same posteriors, whose new customers are those of some levels.

        Parameters
        ----------
        levels : mapping
            As in :meth:`BetaGeoPosterior.of`, which says what is refused.
        """
        changed: Any = replace(self, purchases=self.purchases.of(levels))  # type: ignore[type-var]
        return cast("Self", changed)

    @named
    def effects(self, *, interval: float = 0.9) -> pd.DataFrame:
        """What the covariates do, to purchases and to spend, in plain units.

        Parameters
        ----------
        interval : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            Rows as :meth:`BetaGeoPosterior.effects` and :meth:`GammaGammaPosterior.effects` have
            them.

        Raises
        ------
        SchemaError
            Neither model has covariates.
        """
        return effects_of(self.fits, interval)


def by_one_design[P: Posterior, S: Posterior](purchases: P, spend: S) -> tuple[P, S]:
    """Both posteriors by the strata of one design, where spend has covariates.

    Raises
    ------
    SchemaError
        They tell customers apart by columns, or bins, that do not go together.
    """
    one, other = purchases.metadata.design, spend.metadata.design
    if other is None:
        return purchases, spend
    if purchases.metadata.members:
        raise SchemaError(
            "A stack of purchases does not take covariates of spend: fit spend without, or use "
            "one of the members."
        )
    joint = other if one is None else _wider(one, other)
    return on_design(purchases, joint), on_design(spend, joint)


def _wider(one: Design, other: Design) -> Design:
    """The design that has all factors of both."""
    cuts = [{factor.name: factor.cut for factor in design.factors} for design in (one, other)]
    for name in cuts[0].keys() & cuts[1].keys():
        if cuts[0][name] != cuts[1][name]:
            raise SchemaError(
                f"Purchases and spend cut the column {shown(name)} in different ways: give both "
                "the same bins, and fit both to the same table."
            )
    if cuts[1].keys() <= cuts[0].keys():
        return one
    if cuts[0].keys() <= cuts[1].keys():
        return other
    raise SchemaError(
        f"Purchases go by {', '.join(cuts[0])} and spend by {', '.join(cuts[1])}, and which "
        "customers have both is not known: fit both at once, with CLVModel(purchases, spend)."
    )


def on_design[P: Posterior](posterior: P, joint: Design | None) -> P:
    """The same posterior, by the strata of a design that has all its factors; or as it is."""
    if joint is None:
        return posterior
    known = posterior.metadata.design or Design((), ())
    return replace(posterior, metadata=replace(posterior.metadata, design=known.on(joint)))


def narrowed[P: Posterior](posterior: P) -> P:
    """The same posterior, by its own covariates alone, without those of another's."""
    design = posterior.metadata.design
    if design is None or design.moving == design.columns:
        return posterior
    return replace(posterior, metadata=replace(posterior.metadata, design=design.narrowed()))


def warn_of_unknown(design: Design | None, columns: RfmColumns) -> None:
    """Warn of customers with levels that the base did not have: how many, of which columns."""
    if design is None or columns.stratum is None:
        return
    numbers = {one.name for one in design.factors if one.numeric}
    plain = {one.factor for one in design.effects if one.kind == "level"}
    for name, count in design.unknown_by(columns.stratum).items():
        who = f"{count:,} of {len(columns):,} customers"
        cure = f", by Pooled({name!r}) if new ones keep coming" if name in plain else ""
        if name in numbers:
            warnings.warn(
                f"{who} have no number in {shown(name)}: they are predicted as average in it.",
                UserWarning,
                stacklevel=2,
                skip_file_prefixes=OURS,
            )
            continue
        warnings.warn(
            f"{who} have values of {shown(name)} that the base which was fitted did not have: they "
            "are predicted as customers of the population that its levels come from, with its "
            f"doubt. Fit again to learn of them{cure}.",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )


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


def effects_table(
    posterior: Posterior,
    describe: Callable[[Side, Mapping[str, FloatArray], FloatArray], Described],
    interval: float,
) -> pd.DataFrame:
    """A row for each level of each effect; see `PurchasePosterior.effects`.

    Parameters
    ----------
    posterior : Posterior
        With covariates.
    describe : callable
        Of a side of the model, draws, and by how much the side is moved in each: what that means
        in plain units.
    interval : float
        Probability of the equal-tailed intervals.
    """
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
            figure = describe(effect.side, draws, times)
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
                    "what": figure.words,
                    "figure": float(np.median(figure.values)),
                    "figure_lower": figure_ends[0],
                    "figure_upper": figure_ends[1],
                }
            )
    names = ("on", "covariate", "level", "customers", "times", "times_lower", "times_upper")
    return pd.DataFrame(rows, columns=[*names, "what", "figure", "figure_lower", "figure_upper"])
