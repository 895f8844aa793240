"""Who is shown: one pass over everybody, sums of all, and the customers that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.economics.labels import NO_VALUE, OVERDUE, SLOWING, WHOLE, segments_of
from clvmodels.economics.outlook import (
    GroupValues,
    customer_ids,
    grouped_values,
    measure_of,
    ranking,
)
from clvmodels.errors import SchemaError
from clvmodels.keywords import named
from clvmodels.posterior.finite import valued
from clvmodels.posterior.scorable import Scorable, has_money, prepared_for
from clvmodels.posterior.terms import ValueTerms
from clvmodels.predictive.base import row_keys
from clvmodels.predictive.customer_list import (
    STATES,
    Limits,
    customer_parts,
)
from clvmodels.rfm import RfmTable
from clvmodels.schema import FloatArray, shown

IntArray = npt.NDArray[np.int64]
ALL: Final = "all"
VALUABLE: Final = "most valuable"
AT_RISK: Final = "at risk"
SAMPLE: Final = "sample"
ASKED: Final = "asked for"
TIERS: Final = ("tier 1", "tier 2", "tier 3", "tier 4", NO_VALUE)
OTHERS: Final = "(all others)"
_RISKY: Final = tuple(STATES.index(state) for state in (SLOWING, OVERDUE))
_MOST_LEVELS: Final = 12
_BLOCK: Final = 200_000


class Wanted(NamedTuple):
    """Whom to show: some ids, or so many of each kind; as in `explore`."""

    ids: Sequence[Any] | None
    most_valuable: int
    at_risk: int
    sample: int


class Grouping(NamedTuple):
    """One way of dividing everybody: what it is by, names, and everybody's place among them."""

    by: str
    labels: tuple[str, ...]
    group: IntArray

    def of(self, rows: IntArray) -> list[str]:
        """Names of some customers' groups."""
        return [self.labels[one] for one in self.group[rows]]


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """Everybody in short.

    Attributes
    ----------
    tier, state : ndarray of int, shape (N,)
        Places in ``TIERS`` and ``STATES``.
    worth : ndarray, shape (N,)
        Value, or purchases; NaN of those who have none.
    segments : tuple of Grouping
        One for each attribute.
    totals : DataFrame
        As `Explorer` has it.
    """

    tier: npt.NDArray[np.int8]
    state: npt.NDArray[np.int8]
    worth: FloatArray
    segments: tuple[Grouping, ...]
    totals: pd.DataFrame


@named
def overview(
    posterior: Scorable,
    rfm: RfmTable,
    attributes: Sequence[str],
    limits: Limits,
    **terms: Unpack[ValueTerms],
) -> Overview:
    """List everybody, block by block, keep what choices need, and add up values by group."""
    tier, state = (np.empty(len(rfm), dtype=np.int8) for _ in range(2))
    worth, at = np.empty(len(rfm)), 0
    name = "value" if has_money(posterior) else "purchases"
    for part in customer_parts(posterior, rfm, [], limits, best_first=False, **terms):
        rows = slice(at, at + len(part))
        tier[rows] = pd.Categorical(part["tier"], categories=TIERS).codes
        state[rows] = pd.Categorical(part["state"], categories=STATES).codes
        worth[rows] = part[name].to_numpy()
        at = rows.stop
    tier[tier < 0] = TIERS.index(NO_VALUE)
    found = (segments_of(rfm, one) for one in attributes)
    segments = tuple(
        Grouping(one.by[0], tuple(text for (text,) in one.labels), one.group) for one in found
    )
    groups = [_occurring("tier", TIERS, tier), _occurring("state", STATES, state)]
    groups += map(_largest, segments)
    sums = _sums_of(posterior, rfm, groups, **terms)
    return Overview(tier, state, worth, segments, _totals(groups, sums, name))


def _occurring(by: str, labels: Sequence[str], group: npt.NDArray[np.int8]) -> Grouping:
    there, code = np.unique(group, return_inverse=True)
    return Grouping(by, tuple(labels[one] for one in there), code.astype(np.int64))


def _largest(given: Grouping) -> Grouping:
    """The same, with all but the largest groups in one."""
    count = len(given.labels)
    if count <= _MOST_LEVELS + 1:
        return given
    size = np.bincount(given.group, minlength=count)
    kept = np.sort(np.argsort(-size, kind="stable")[:_MOST_LEVELS])
    place = np.full(count, _MOST_LEVELS)
    place[kept] = np.arange(_MOST_LEVELS)
    labels = (*(given.labels[one] for one in kept), OTHERS)
    return Grouping(given.by, labels, place[given.group])


@named
def _sums_of(
    posterior: Scorable,
    rfm: RfmTable,
    groups: Sequence[Grouping],
    **terms: Unpack[ValueTerms],
) -> list[GroupValues]:
    """Value, or purchases, of the groups of each grouping, added up draw by draw over blocks."""
    found: list[GroupValues] = []
    for at in range(0, len(rfm), _BLOCK):
        rows = slice(at, at + _BLOCK)
        given = prepared_for(posterior, replace(rfm, table=rfm.table.slice(at, _BLOCK)), **terms)
        known, by = valued(given.draws, given.columns.x), measure_of(posterior)
        parts = [grouped_values(given, known, g.group[rows], len(g.labels), by) for g in groups]
        found = [_added(*both) for both in zip(found, parts, strict=True)] if found else parts
    return found


def _added(one: GroupValues, other: GroupValues) -> GroupValues:
    """The same groups, with more customers; NaN only where nobody has a value."""
    customers, without = one.customers + other.customers, one.without + other.without
    nobody = (without > 0) & (without == customers)
    mean = np.where(nobody, np.nan, np.nan_to_num(one.mean) + np.nan_to_num(other.mean))
    by_draw = np.nan_to_num(one.by_draw) + np.nan_to_num(other.by_draw)
    by_draw[nobody] = np.nan
    unknown = one.unknown + other.unknown
    return GroupValues(customers, without, mean, by_draw, one.certain, one.interval, unknown)


def _totals(groups: Sequence[Grouping], sums: Sequence[GroupValues], name: str) -> pd.DataFrame:
    """A row for each group, and the whole in the last."""
    parts = [_rows_of(*both, name) for both in zip(groups, sums, strict=True)]
    whole = Grouping(WHOLE, (WHOLE,), np.zeros(0, dtype=np.int64))
    return pd.concat([*parts, _rows_of(whole, sums[0].whole(), name)], ignore_index=True)


def _rows_of(grouping: Grouping, values: GroupValues, name: str) -> pd.DataFrame:
    lower, upper = values.bounds()
    return pd.DataFrame(
        {
            "by": grouping.by,
            "group": list(grouping.labels),
            "customers": values.customers,
            "without_value": values.without,
            name: values.mean,
            f"{name}_lower": lower,
            f"{name}_upper": upper,
            "share": values.shares()[0],
        }
    )


def choose(
    rfm: RfmTable, seen: Overview, wanted: Wanted
) -> tuple[IntArray, npt.NDArray[np.object_]]:
    """Return places of the customers to show, and why each is shown.

    Raises
    ------
    SchemaError
        An id is none of the table's.
    """
    ids = customer_ids(rfm)
    if wanted.ids is not None:
        rows = _places(ids, wanted.ids)
        why = np.full(len(rows), ASKED, dtype=object)
    elif len(rfm) <= wanted.most_valuable + wanted.at_risk + wanted.sample:
        rows, why = np.arange(len(rfm)), np.full(len(rfm), ALL, dtype=object)
    else:
        rows, why = _kinds(ids, seen, wanted)
    return rows, why


def _kinds(
    ids: pd.Series[Any], seen: Overview, wanted: Wanted
) -> tuple[IntArray, npt.NDArray[np.object_]]:
    free = np.ones(len(ids), dtype=np.bool_)
    risky = np.isin(seen.state, _RISKY)
    found: list[IntArray] = []
    worth = np.nan_to_num(seen.worth, nan=-np.inf)
    for count, among in ((wanted.most_valuable, None), (wanted.at_risk, risky)):
        there = np.flatnonzero(free if among is None else free & among)
        found.append(_first(there, worth, ids, count))
        free[found[-1]] = False
    there = np.flatnonzero(free)
    # by their ids alone, so that the order of rows does not matter
    keys = row_keys(ids.iloc[there].to_numpy())
    found.append(there[np.argsort(keys, kind="stable")[: wanted.sample]])
    kinds = zip((VALUABLE, AT_RISK, SAMPLE), found, strict=True)
    why = [np.full(len(rows), kind, dtype=object) for kind, rows in kinds]
    return np.concatenate(found), np.concatenate(why)


def _first(there: IntArray, worth: FloatArray, ids: pd.Series[Any], count: int) -> IntArray:
    """The most valuable of some customers; ties by id."""
    if count < len(there):
        values = worth[there]
        least = np.partition(values, len(values) - max(count, 1))[len(values) - max(count, 1)]
        there = there[values >= least]
    return there[ranking(worth[there], ids.iloc[there])[:count]]


def _places(ids: pd.Series[Any], asked: Sequence[Any]) -> IntArray:
    texts = not pd.api.types.is_integer_dtype(ids)
    index = pd.Index(ids.map(str) if texts else ids)
    keys = list(dict.fromkeys(str(one) if texts else _number(one) for one in asked))
    place = index.get_indexer(pd.Index(keys, dtype=index.dtype if not texts else object))
    if (place < 0).any():
        strangers = [key for key, one in zip(keys, place, strict=True) if one < 0]
        more = f", and {len(strangers) - 1:,} others are not either" * (len(strangers) > 1)
        raise SchemaError(
            f"ids={shown(strangers[0])} is not a customer of the table{more}: give ids as they "
            "stand in its customer_id."
        )
    return np.asarray(place, dtype=np.int64)


def _number(one: Any) -> Any:
    """An id of a table whose ids are whole numbers; what is none is not found there."""
    try:
        return int(one)
    except (TypeError, ValueError):
        return -1 if one is None else one
