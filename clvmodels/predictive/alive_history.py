"""P(alive) of customers at any time since their first purchase, also after the table's end."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.forecast import Draws
from clvmodels.forecast.chunks import CHUNK, TILE
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.formulas.strata import coded
from clvmodels.machine import cores_for
from clvmodels.posterior.scorable import Scorable
from clvmodels.predictive.base import history_of_rows, purchase_draws
from clvmodels.purchases.clock import LearntClock
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import FloatArray, TimeScale

IntArray = npt.NDArray[np.int64]


class Looked(NamedTuple):
    """Times at which customers are looked at, as if nothing later were known of them.

    Attributes
    ----------
    who : ndarray of int, shape (M,)
        Position of the customer.
    x : ndarray, shape (M,)
        Repeat purchases until then.
    last, now : ndarray, shape (M,)
        Of the last of them, and of the look: since the customer's first purchase, in the
        table's unit. ``now`` may lie after the end of observation, for whoever stays silent.
    """

    who: IntArray
    x: FloatArray
    last: FloatArray
    now: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Alive:
    """What P(alive) is reckoned by.

    Attributes
    ----------
    draws : Draws
        Of purchases.
    clock : LearntClock or None
        By which customers' own time runs.
    scale : TimeScale
        The table's unit.
    """

    draws: Draws
    clock: LearntClock | None
    scale: TimeScale

    def at(
        self,
        columns: RfmColumns,
        looked: Looked,
        *,
        probability: Sequence[float] = (),
        threads: int | None = None,
    ) -> FloatArray:
        """P(alive) of customers at some times.

        At a customer's last purchase and the table's end it is predict's p_alive.

        Parameters
        ----------
        columns : RfmColumns
            The customers, with the strata and by the clock of the posterior, if it has them.
        looked : Looked
            Whom to look at, and when.
        probability : sequence of float
            Quantiles over the draws that are wanted besides, Q of them.
        threads : int, optional
            By default all cores; the answer does not depend on it.

        Returns
        -------
        ndarray, shape (1 + Q, M)
            The mean over draws, and the quantiles.
        """
        groups = group_rows(*self._histories(columns, looked))
        starts = range(0, len(groups.x), CHUNK)
        with ThreadPoolExecutor(cores_for(threads)) as pool:
            parts = list(
                pool.map(lambda begin: _said(self.draws, groups, begin, probability), starts)
            )
        empty = np.empty((1 + len(probability), 0))
        found: FloatArray = np.concatenate([empty, *parts], axis=1)[:, history_of_rows(groups)]
        return found

    def _histories(
        self, columns: RfmColumns, looked: Looked
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What the loops take of each look: purchases with their stratum, and own times."""
        who, x, t_x, T = looked
        kind = x if columns.stratum is None else coded(x, columns.stratum[who])
        clock, days = self.clock, self.scale.days
        if clock is None:
            return kind, t_x, T
        first = known_day(columns.last_day) - np.rint(columns.age[who] * days).astype(np.int64)
        begin = clock.own_days(first)
        own = [
            (clock.own_days(first + np.rint(time * days).astype(np.int64)) - begin) / days
            for time in (t_x, T)
        ]
        return kind, own[0], own[1]


def alive_by(posterior: Scorable, draws: int = 500) -> Alive:
    """P(alive) by a posterior, from so many draws at most, evenly spaced over all."""
    drawn, purchases = purchase_draws(posterior, draws)
    return Alive(drawn, purchases.metadata.clock, purchases.scale)


def _said(drawn: Draws, groups: Groups, begin: int, probability: Sequence[float]) -> FloatArray:
    """Of the histories of a chunk, a tile at a time: draws x histories are never held."""
    rows = slice(begin, begin + CHUNK)
    x, t_x, T = groups.x[rows], groups.t_x[rows], groups.T[rows]
    weights = drawn.formulas.weights(x, t_x, T, drawn.purchases)
    found = np.empty((1 + len(probability), len(x)))
    for first in range(0, len(x), TILE):
        tile = found[:, first : first + TILE]
        room = np.empty((drawn.formulas.phases, tile.shape[1], drawn.count))
        weights.fill(first, room)
        alive = room.sum(axis=0)
        tile[0] = alive.mean(axis=1)
        if probability:
            tile[1:] = np.quantile(alive, probability, axis=1)
    return np.clip(found, 0.0, 1.0)
