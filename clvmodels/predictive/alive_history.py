"""P(alive) of customers at any time since their first purchase, also after the table's end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.forecast import Draws
from clvmodels.forecast.chunks import CHUNK, TILE
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.formulas.strata import coded
from clvmodels.machine import cores_for
from clvmodels.posterior.scorable import Scorable, purchases_of
from clvmodels.predictive.base import history_of_rows, purchase_draws
from clvmodels.rfm.day_pairs import known_day
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import FloatArray

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


def alive_at(
    posterior: Scorable,
    columns: RfmColumns,
    looked: Looked,
    *,
    draws: int = 500,
    threads: int | None = None,
) -> FloatArray:
    """Mean P(alive) of customers at some times.

    At a customer's last purchase and the table's end it is predict's p_alive.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases.
    columns : RfmColumns
        The customers, with the strata and by the clock of the posterior, if it has them.
    looked : Looked
        Whom to look at, and when.
    draws : int
        Posterior draws to use, evenly spaced over all.
    threads : int, optional
        By default all cores; the answer does not depend on it.

    Returns
    -------
    ndarray, shape (M,)
    """
    drawn = purchase_draws(posterior, draws)[0]
    groups = group_rows(*_histories(posterior, columns, looked))
    starts = range(0, len(groups.x), CHUNK)
    with ThreadPoolExecutor(cores_for(threads)) as pool:
        parts = list(pool.map(lambda begin: _means(drawn, groups, begin), starts))
    found: FloatArray = np.concatenate([np.empty(0), *parts])[history_of_rows(groups)]
    return found


def _histories(
    posterior: Scorable, columns: RfmColumns, looked: Looked
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What the loops take of each look: purchases with their stratum, and own times."""
    who, x, t_x, T = looked
    kind = x if columns.stratum is None else coded(x, columns.stratum[who])
    clock = purchases_of(posterior).metadata.clock
    if clock is None:
        return kind, t_x, T
    days = posterior.scale.days
    first = known_day(columns.last_day) - np.rint(columns.age[who] * days).astype(np.int64)
    begin = clock.own_days(first)
    own = [
        (clock.own_days(first + np.rint(time * days).astype(np.int64)) - begin) / days
        for time in (t_x, T)
    ]
    return kind, own[0], own[1]


def _means(drawn: Draws, groups: Groups, begin: int) -> FloatArray:
    """Of the histories of a chunk, a tile at a time: draws x histories are never held."""
    rows = slice(begin, begin + CHUNK)
    x, t_x, T = groups.x[rows], groups.t_x[rows], groups.T[rows]
    weights = drawn.formulas.weights(x, t_x, T, drawn.purchases)
    means = np.empty(len(x))
    for first in range(0, len(x), TILE):
        tile = means[first : first + TILE]
        room = np.empty((drawn.formulas.phases, len(tile), drawn.count))
        weights.fill(first, room)
        tile[:] = room.sum(axis=0).mean(axis=1)
    return np.clip(means, 0.0, 1.0)
