"""Covariates of a purchase model: what is asked for, what a base makes of it, and in PyMC.

Effects are on the logarithm of the purchase rate, and on the log odds of leaving (Pareto/NBD:
the logarithm of the rate of leaving), as in Fader & Hardie (2007), "Incorporating
Time-Invariant Covariates into the Pareto/NBD and BG/NBD Models". Levels of a category sum to
zero, so that no level is special and a column of one value changes nothing; numbers are
standardised, so that units make no difference.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from clvmodels import schema
from clvmodels.errors import OURS, DomainError, SchemaError
from clvmodels.purchases.design import (
    FIRST_PURCHASE,
    MISSING,
    SIDES,
    Design,
    Effect,
    Factor,
    Kind,
    Side,
    mix_of,
)
from clvmodels.purchases.model import PurchaseModel
from clvmodels.rfm.attributes import (
    attribute,
    first_days,
    is_number,
    level_counts,
    number_or_text,
    numbers_in,
    strata_of,
    texts_of,
)
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.first_month import LABELS as FIRST_MONTH
from clvmodels.rfm.first_month import first_month_of
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import DAYS_PER_MONTH, FloatArray, TimeScale, check_whole, shown

EFFECT_SD: Final = 1.0
SPREAD_SD: Final = 0.5
OLDER_SD: Final = 0.5
"""Of the rate of customers who came before the log began, in logarithms."""
_BINS: Final = 20
_MOST_VALUES: Final = 2000  # each has draws of its own
_TAKEN: Final = (
    *(schema.CUSTOMER_ID, schema.RECENCY, schema.T, schema.MONETARY_VALUE),
    schema.LOG_GAPS,
)
SPEND: Final = "covariates"
"""The argument of the spend model, which takes frequency too: it does not explain that."""


@dataclass(frozen=True)
class Covariate:
    """A column whose levels, or whose number, move a model: each with a prior of its own.

    Parameters
    ----------
    column : str
        Of the table: categories, or numbers, whose logarithmic effect is a straight line.
    bins : int or None
        Into how many bins of as many customers a number is cut that has more values, so that
        customers share histories; its effect is that of the bin's mean. None keeps up to 2,000
        values, each with parameters of its own in every draw; others count as the nearest.
    log : bool
        Whether the logarithm of a number counts, as is usual for amounts; it must be positive.
    categories : bool
        Whether numbers are names, such as those of shops.
    numeric : bool
        Whether texts are numbers, as those of a CSV file may be.
    sd : float
        Prior standard deviation of an effect, in logarithms; for a number, of that of one
        standard deviation. 1 says: most likely between a seventh and seven times.

    Examples
    --------
    >>> from clvmodels import BetaGeoModel, Covariate
    >>> model = BetaGeoModel(purchase_covariates=["channel", Covariate("first_value", log=True)])
    >>> model.purchase_covariates[1].bins
    20
    """

    column: str
    bins: int | None = _BINS
    log: bool = False
    categories: bool = False
    numeric: bool = False
    sd: float = EFFECT_SD

    def __post_init__(self) -> None:
        _check_column(self.column)
        if self.bins is not None:
            check_whole("bins", self.bins, least=2)
        if self.categories and self.numeric:
            raise SchemaError("categories=True and numeric=True: leave one of them out.")
        _check_sd("sd", self.sd)


@dataclass(frozen=True)
class Pooled:
    """A column of groups whose spread is learnt: small groups are drawn to the average.

    Parameters
    ----------
    column : str
        Of the table: "country", "campaign", or "cohort", the month of the first purchase.
    ordered : bool
        Whether each group is near the one before it, as months are: a random walk over the
        groups in their order.
    sd : float
        Of the half-normal prior of the groups' standard deviation, in logarithms. .5 says:
        typical groups differ from the average by less than a factor of two.

    Examples
    --------
    >>> from clvmodels import Pooled
    >>> Pooled("country").ordered
    False
    """

    column: str
    ordered: bool = False
    sd: float = SPREAD_SD

    def __post_init__(self) -> None:
        _check_column(self.column)
        _check_sd("sd", self.sd)


Asked = str | Covariate | Pooled


def _check_column(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise SchemaError(f"column={shown(name)} must be the name of a column: give it as text.")
    if name in _TAKEN:
        raise _explained(name)


def _explained(name: str) -> SchemaError:
    return SchemaError(
        f"{name} cannot be a covariate, since it is what the model explains: name a column "
        "of what is known of customers when they come."
    )


def _check_sd(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < np.inf:
        raise DomainError(
            f"{name}={shown(value)} must be a positive number: the standard deviation of effects."
        )


def covariates_of(name: str, given: Sequence[Asked]) -> tuple[Covariate | Pooled, ...]:
    """Check a list of covariates; of purchases frequency is none, of spend it may be one.

    Raises
    ------
    SchemaError
        It is no list, holds something else, or names a column twice.
    """
    if isinstance(given, str | Covariate | Pooled):
        raise SchemaError(f"{name}={shown(given)} must be a list: put it in brackets.")
    found: list[Covariate | Pooled] = []
    for one in given:
        if not isinstance(one, str | Covariate | Pooled):
            raise SchemaError(
                f"{name} holds {shown(one)}: give names of columns, Covariate(...) or Pooled(...)."
            )
        made = Covariate(one) if isinstance(one, str) else one
        if made.column == schema.FREQUENCY and name != SPEND:
            raise _explained(made.column)
        if made.column in [other.column for other in found]:
            raise SchemaError(f"{name} names {shown(made.column)} twice: leave one out.")
        found.append(made)
    return tuple(found)


def older_customers(
    columns: RfmColumns, choice: bool | Literal["auto"], *, aged: bool = False
) -> Factor | None:
    """Tell customers of the log's first month from later ones; None where all are of one kind.

    Parameters
    ----------
    columns : RfmColumns
        A base that knows days.
    choice : bool or "auto"
        Whether the first month's are to be of a kind of their own; see `Clock`.
    aged : bool
        Whether there is an age curve: they then are, if anybody came later.

    Raises
    ------
    DomainError
        They are to be, and there is nobody else.
    """
    scale = columns.scale or TimeScale()
    if choice == "auto" and not aged:
        judged = first_month_of(columns.x, columns.age, scale)
        choice = judged is not None and judged.differs
    if not choice:
        return None
    first = first_days(columns.age, known_day(columns.last_day), scale).to_numpy()
    edge = float(first.min()) + DAYS_PER_MONTH
    older = int((first < edge).sum())
    if older == len(first) and aged:
        return None
    if older == len(first):
        raise DomainError(
            "All customers came within the log's first month, so there are no later ones to tell "
            "them from: leave left_truncated out."
        )
    counts = (older, len(first) - older)
    return Factor(FIRST_PURCHASE, FIRST_MONTH, counts, (edge,), (1.0, 0.0), numeric=True)


def design_of(
    columns: RfmColumns,
    asked: Mapping[Side, Sequence[Covariate | Pooled]],
    older: Factor | None = None,
) -> Design | None:
    """What a base makes of the covariates that are asked for; None where there are none.

    With ``older`` customers these have a purchase rate of their own, and the mix, as which
    new customers come, is that of the others.

    Raises
    ------
    SchemaError
        A column is not there, or is asked for in two ways.
    DomainError
        Combinations of levels are too many, or a number has no logarithm.
    """
    factors: dict[str, tuple[Any, Factor]] = {}
    effects = []
    for side in SIDES:
        for one in asked.get(side, ()):
            cut = replace(one, sd=EFFECT_SD) if isinstance(one, Covariate) else "names"
            known = factors.get(one.column)
            if known is None:
                factors[one.column] = known = cut, _factor(columns, one)
            factor = known[1]
            if cut != known[0] and (factor.numeric or cut == "names"):
                raise SchemaError(
                    f"The column {shown(one.column)} is asked for in two ways: let both lists "
                    "have the same."
                )
            kind = _kind(one, factor)
            if kind == "number" or len(factor.levels) > 1:
                effects.append(Effect(side, factor.name, kind, float(one.sd), factor.levels))
    if older is not None:
        factors[older.name] = None, older
        effects.append(Effect("purchases", older.name, "number", OLDER_SD, older.levels))
    if not factors:
        return None
    design = _checked(Design(tuple(one for _, one in factors.values()), tuple(effects)))
    return replace(design, mix=_mix_of_new(design, columns))


def _mix_of_new(design: Design, columns: RfmColumns) -> tuple[tuple[int, int], ...]:
    """As what new customers come: as those of the base did, but for older ones."""
    strata = strata_of(design, lambda name: attribute(columns, name))
    came = design.levels_of(strata).get(FIRST_PURCHASE)
    return mix_of(strata if came is None else strata[came > 0])


def joint_design(columns: RfmColumns, *designs: Design | None) -> Design | None:
    """All factors of several designs of one base, with its mix, and no effects.

    Raises
    ------
    SchemaError
        Two of them cut a column in different ways.
    DomainError
        Combinations of levels are too many.
    """
    factors: dict[str, Factor] = {}
    for one in (factor for design in designs if design for factor in design.factors):
        if factors.setdefault(one.name, one).cut != one.cut:
            raise SchemaError(
                f"Purchases and spend cut the column {shown(one.name)} in different ways: give "
                "both the same bins."
            )
    if not factors:
        return None
    design = _checked(Design(tuple(factors.values()), ()))
    return replace(design, mix=_mix_of_new(design, columns))


def _checked(design: Design) -> Design:
    if not design.fits:
        raise DomainError(
            f"The covariates have {design.possible:,} combinations of levels, too many: use fewer "
            "columns, or fewer bins."
        )
    return design


def _kind(one: Covariate | Pooled, factor: Factor) -> Kind:
    if isinstance(one, Pooled):
        return "ordered" if one.ordered else "pooled"
    return "number" if factor.numeric else "level"


def _factor(columns: RfmColumns, one: Covariate | Pooled) -> Factor:
    column = attribute(columns, one.column)
    if isinstance(one, Covariate) and (one.numeric or (is_number(column) and not one.categories)):
        return _bins(one, numbers_in(column, one.column))
    counts = level_counts(texts_of(column))
    if isinstance(one, Covariate) and not one.categories:
        _warn_of_numbers(one.column, [level for level in counts if level != MISSING])
    return Factor(one.column, tuple(counts), tuple(counts.values()))


def _warn_of_numbers(name: str, levels: Sequence[str]) -> None:
    """Warn of numbers that are written as text, as all of a CSV file is; of two it is the same."""
    if len(levels) <= 2 or any(number_or_text(one)[0] for one in levels):
        return
    warnings.warn(
        f"The column {shown(name)} holds numbers as text, as CSV files do, and each of its "
        f"{len(levels):,} values is a level of its own: Covariate({name!r}, numeric=True) takes "
        f"them as numbers, Pooled({name!r}, ordered=True) draws each to its neighbours, and "
        f"Covariate({name!r}, categories=True) says that they are names.",
        UserWarning,
        stacklevel=2,
        skip_file_prefixes=OURS,
    )


def _bins(one: Covariate, values: FloatArray) -> Factor:
    """Cut a number into bins of as many customers, or one for each value if they are few."""
    known = np.sort(values[~np.isnan(values)])
    if one.log and len(known) and known[0] <= 0.0:
        if one.column != schema.FIRST_VALUE:
            raise DomainError(
                f"The column {shown(one.column)} has values that are not positive, and so no "
                "logarithm: leave log=True out."
            )
        # Orders that were free, or came back, stand with the least that was paid
        known = np.maximum(known, known[known > 0.0].min(initial=np.inf))
    distinct = np.unique(known)
    if one.bins is None and len(distinct) > _MOST_VALUES:
        raise DomainError(
            f"{shown(one.column)} has {len(distinct):,} values, and bins=None keeps at most "
            f"{_MOST_VALUES:,}, since each has parameters of its own in every draw: give bins, "
            f"such as {_BINS * 10}, or round the values."
        )
    if one.bins is not None and len(distinct) > one.bins:
        edges = np.unique(np.quantile(known, np.arange(1, one.bins) / one.bins))
    else:
        edges = (distinct[1:] + distinct[:-1]) / 2.0
    bins = np.searchsorted(edges, known, side="right")
    used = np.unique(bins)
    edges = edges[used[1:] - 1] if len(used) else edges
    bins = np.searchsorted(edges, known, side="right")
    count = np.bincount(bins) if len(known) else np.zeros(1, dtype=np.int64)
    scaled = np.log(known) if one.log else known
    mean = np.bincount(bins, scaled) / count if len(known) else np.zeros(1)
    center, spread = (scaled.mean(), scaled.std()) if len(known) else (0.0, 0.0)
    numbers = (mean - center) / spread if spread > 1e-12 * max(abs(center), 1.0) else mean * 0.0
    begin = np.searchsorted(bins, np.arange(len(count)))
    low, high = known[begin], known[np.append(begin[1:], len(known)) - 1]
    levels = (_range(a, b) for a, b in zip(low, high, strict=True)) if len(known) else ("none",)
    return Factor(
        one.column,
        tuple(levels),
        tuple(count.tolist()),
        tuple(edges.tolist()),
        tuple(numbers.tolist()),
        numeric=True,
    )


def _range(low: float, high: float) -> str:
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def check_moved(model: PurchaseModel, asked: bool) -> None:
    """Refuse covariates of a model in which they have no meaning.

    Raises
    ------
    SchemaError
        There are some.
    """
    if asked and model.moved is None:
        raise SchemaError(
            f"{model.name} takes no covariates: leave them out, or choose another model."
        )
