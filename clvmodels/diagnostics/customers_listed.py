"""The manager's list of customers: whom it has, what is known of each, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels.diagnostics.fitted_weeks import why_not_tracked
from clvmodels.diagnostics.record_tables import Format, Table, table_of
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import horizon_of, unit_of
from clvmodels.economics import value_tiers
from clvmodels.economics.labels import segments_of
from clvmodels.errors import SchemaError
from clvmodels.posterior.predicting import columns_of, draws_of
from clvmodels.predictive.alive_history import Alive
from clvmodels.predictive.timelines import (
    Orders,
    orders_of,
    periods_ahead,
    reading,
    timelines,
)

FIRST_CUSTOMERS: Final = "first-customers"
"""Key of the table."""
TIER: Final = "tier"
STATE: Final = "state"
ALIVE: Final = "P(alive)"
_FIRST: Final = 200
_OF_GROUP: Final = 25  # of each tier and state
_OF_SEGMENTS: Final = 150  # of all segments of a column together
_LEVELS: Final = 20
_KEY: Final = "segment {}"
IntArray = npt.NDArray[np.int64]


def customers_listed(
    study: Study, customers: pd.DataFrame, worth: str, shown: tuple[str, Format]
) -> Table:
    """List the customers of whom most is expected, and the first of each tier, state and segment.

    Parameters
    ----------
    study : Study
    customers : DataFrame
        As `ActionLists` has them.
    worth : str
        The column by which they are ranked.
    shown : tuple of str and Format
        Its heading, and how it is written.
    """
    names = {_KEY.format(i): name for i, name in enumerate(study.rfm.segment_cols)}
    ranked = _known(study, customers, worth, names)
    order = np.argsort(-customers[worth].fillna(-np.inf).to_numpy(), kind="stable")
    ranked = ranked.iloc[order]
    rows = _chosen(ranked, [*names])
    first = ranked.iloc[rows]
    columns: dict[str, tuple[str, Format]] = {
        TIER: (TIER, "text"),
        STATE: (STATE, "text"),
        worth: shown,
        f"{worth}_lost": ("lost by silence", shown[1]),
        "orders": ("orders", "integer"),
        "silence": (f"silent for ({unit_of(study.scale)})", "number"),
        "p_alive": (ALIVE, "percent"),
        "p_purchase": ("chance to buy again", "percent"),
    }
    taken = {heading for heading, _ in columns.values()}
    own: dict[str, tuple[str, Format]] = {
        key: (heading_of(name, taken), "text") for key, name in names.items()
    }
    figures = [heading for name, (heading, _) in columns.items() if name not in (TIER, STATE)]
    return table_of(
        FIRST_CUSTOMERS,
        _title(len(first), len(customers)),
        "customer_id",
        first,
        {TIER: columns.pop(TIER), STATE: columns.pop(STATE), **own, **columns},
        f"In {horizon_of(study.question.horizon, study.scale)}. Choose a customer to see the "
        "orders, and a tier, state or segment of another table to see its customers here. "
        "clvmodels.explore makes such a page of thousands, clvmodels.customers a file of all.",
        lives=_lives(study, order[rows]),
        reading={**_read(study), "alive": ALIVE, "figures": figures},
    )


def heading_of(segment: str, taken: set[str] | None = None) -> str:
    """The heading of a segment column, which must not be that of another one."""
    known = {TIER, STATE, "value", "orders", ALIVE, "customer id"} if taken is None else taken
    return f"{segment} (segment)" if segment in known | {"customer id"} else segment


def _title(listed: int, everybody: int) -> str:
    if listed == everybody:
        return "All customers"
    if listed <= _FIRST:
        return f"The {listed:,} customers of whom most is expected"
    return (
        f"{listed:,} customers: the {_FIRST} of whom most is expected, and the first of each group"
    )


def _known(
    study: Study, customers: pd.DataFrame, worth: str, names: Mapping[str, str]
) -> pd.DataFrame:
    """What the list says of everybody, in the table's order."""
    once = customers["frequency"].to_numpy() == 0
    ids = customers["customer_id"]
    return customers.assign(
        customer_id=[str(one) for one in ids],
        # in value_tiers customers without a value have none
        tier=value_tiers(customers)[TIER].astype(object).where(customers[worth].notna(), ""),
        state=customers["state"].astype(str),
        orders=customers["frequency"] + 1,
        p_alive=customers["p_alive"].mask(once & study.purchases.facts.once_says_nothing),
        **{key: _texts(study, name) for key, name in names.items()},
    )


def _texts(study: Study, name: str) -> list[str]:
    found = segments_of(study.rfm, name)
    return [found.labels[place][0] for place in found.group.tolist()]


def _chosen(ranked: pd.DataFrame, segments: Sequence[str]) -> IntArray:
    """Rows of the first of all, and of the first of each group, which come in this order."""
    kept = np.arange(len(ranked)) < _FIRST
    for name in (TIER, STATE, *segments):
        each = _OF_GROUP
        large = ranked[name].value_counts().index[:_LEVELS]
        if name in segments:
            each = max(_OF_SEGMENTS // max(len(large) * len(segments), 1), 1)
        place = ranked.groupby(name, sort=False).cumcount().to_numpy()
        kept |= (place < each) & ranked[name].isin(large).to_numpy()
    return np.flatnonzero(kept)


def _lives(study: Study, rows: IntArray) -> tuple[str, ...]:
    some = replace(study.rfm, table=study.rfm.table.take(rows))
    spend = None if study.clv is None else study.clv.spend
    by = Alive(
        draws_of(study.purchases, spend, study.question.draws),
        study.purchases.metadata.clock,
        study.scale,
    )
    columns = columns_of(study.purchases, some, None)
    found = timelines(by, some, columns, _orders(study, rows), ahead=_ahead(study))
    return tuple(map(str, found))


def _orders(study: Study, rows: IntArray) -> list[Orders] | None:
    if why_not_tracked(study):
        return None
    try:
        return orders_of(study.rfm, rows, study.log, study.id_map)
    except SchemaError:  # another log than the table's, of which the section on the fit warns
        return None


def _ahead(study: Study) -> int:
    return periods_ahead(study.scale.horizon(study.question.horizon), study.scale)


def _read(study: Study) -> dict[str, Any]:
    return reading(study.rfm, _ahead(study), study.question.currency)
