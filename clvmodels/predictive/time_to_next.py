"""When each customer buys next: the time to the next purchase, which may never come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels import frames
from clvmodels.display import Readable
from clvmodels.errors import DomainError
from clvmodels.forecast import Draws, tail_probabilities
from clvmodels.forecast.chunks import Chunk, chunk_of
from clvmodels.forecast.grouping import Groups, group_rows, new_pairs
from clvmodels.formulas._jit import compiled
from clvmodels.formulas.discounting import Due
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable
from clvmodels.predictive.base import (
    history_of_rows,
    purchase_draws,
)
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    CUSTOMER_ID,
    FloatArray,
    Horizon,
    TimeScale,
    TimeUnit,
    check_interval,
    check_number,
    scale_said,
    shown,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame

WITHIN: Final = ("30D", "90D", "365D")
_FAR: Final = 100 * 365.25  # days beyond which no time is told
_NEAR: Final = 2.0**-10  # days below which times are told no finer
# Chances are known at times whose logarithms lie so far apart, and by polynomials of degree 9
# between them: they are analytic in ln t, and right to 1e-6 even where timing is regular
_STEP: Final = math.log(2.0) / 4.0
_ASIDE: Final = 5  # times that a polynomial takes on either side
_COARSE: Final = 6  # of so many times one is looked at first
_KEYS: Final = 64  # (x, T) whose chances are there at once: 20 MB at 500 draws
# Periods in NumPy's units
_STEPS: Final = {"h": ("h", 1), "D": ("D", 1), "W": ("D", 7), "M": ("M", 1)}
_MOST_HISTORIES: Final = 8_192


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NextPurchase(Readable):
    """When customers buy next, customer by customer.

    Attributes
    ----------
    customers : DataFrame or Table
        One row per customer, in the table's order, of the kind of frame that was passed
        (pandas for an RfmTable):

        - customer_id;
        - p_within_30D and so on: the chance of a purchase within each length of ``within``;
        - p_never: the chance that no purchase will ever come;
        - next, next_lower, next_upper: median and ends of the interval of the time of the next
          purchase from the end of observation, *if one comes*;
        - silence: time since the last purchase;
        - usual_silence: what it is seldom longer than: at their last purchase, a share ``late``
          of the times to a next one, if one came, was expected to be shorter;
        - overdue: whether silence is longer.

        Times are in the table's unit. Of an RfmTable that knows its end of observation, next,
        next_lower and next_upper are dates, and there are last_purchase and overdue_from, the
        date on which the customer became overdue, or will: each the first day of its period.
        A time beyond 100 years is infinite, and such a date missing.
    scale : TimeScale
        The unit of times.
    interval, late : float
        As they were asked for.
    """

    customers: Any
    scale: TimeScale
    interval: float
    late: float


@named
def next_purchase(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    within: Sequence[Horizon] = WITHIN,
    interval: float = 0.8,
    late: float = 0.9,
    draws: int = 500,
    threads: int | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> NextPurchase:
    """Predict when each customer will buy next, and who is overdue.

    The time to the next purchase is a distribution of the outcome: the process's own
    randomness and the doubt about parameters are both in it. With P(alive) less than 1
    a part of it lies at "never", and medians of those who are probably gone would be
    infinite; so the chance of no further purchase is told apart, and times are those of
    customers who do buy again.

    Parameters
    ----------
    posterior : CLVPosterior, or BetaGeoPosterior and its like
        Of purchases; spend is not needed.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time.
    within : sequence of str or float
        Lengths of time for which the chance of a purchase is told, "30D" or numbers in the
        table's unit; finite.
    interval : float
        Probability of the equal-tailed interval of the time.
    late : float
        Share of times to a next purchase after which a customer is overdue, in (0, 1).
    draws : int
        Posterior draws to use, evenly spaced over all.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    NextPurchase
        A row for each customer, in the order of the table.

    Raises
    ------
    SchemaError, TimeUnitError
        The table is not of the right form or unit, or a length is none.
    DomainError
        A length is endless, or a share lies outside (0, 1).

    Notes
    -----
    P(next purchase within s) is the sum over phases j of w_j times the chance that a living
    customer in phase j buys within s, averaged over draws: for BG/NBD P(alive)
    (1 - ((alpha + T) / (alpha + T + s))^(r + x)), from eq. (7) of Fader, Hardie & Lee (2005).
    """
    rfm = frames.eager(rfm)
    whose = purchases_of(scorable(posterior, "The next purchase needs"))
    columns = columns_of(whose, rfm, scale_said(time_unit, time_scaler))
    lengths = _lengths(whose.scale, within)
    low, high = tail_probabilities(check_interval(interval))
    late = _share_of_times(late)
    drawn, cores = purchase_draws(posterior, draws)[0], cores_for(threads)
    grid = _grid(whose.scale)

    now = group_rows(columns.x, columns.t_x, columns.T)
    tails = np.array([low, 0.5, high])
    found = _solved(now, drawn, _Asked(grid, np.array([*lengths.values()]), tails), cores)
    # What was to be expected right after the last purchase, when nobody had been silent yet
    then = group_rows(columns.x, columns.t_x, columns.t_x)
    usual = _solved(then, drawn, _Asked(grid, np.zeros(0), np.array([late])), cores)
    return NextPurchase(
        frames.like(rfm, _frame(rfm, columns, whose.scale, lengths, found, usual.times[0])),
        whose.scale,
        interval,
        late,
    )


def _lengths(scale: TimeScale, within: Sequence[Horizon]) -> dict[str, float]:
    """Lengths by the name of their column."""
    given = [within] if isinstance(within, str | int | float) or within is None else list(within)
    found = {}
    for one in given:
        length = scale.horizon(one)
        if math.isinf(length):
            raise DomainError(
                f"within={shown(within)} must hold finite lengths such as '90D': that no purchase "
                "ever comes is p_never."
            )
        name = one if isinstance(one, str) else f"{length:g}"
        found[f"p_within_{name}"] = length
    return found


def _share_of_times(late: object) -> float:
    share = check_number("late", late, DomainError)
    if not 0.0 < share < 1.0:
        raise DomainError(f"late={shown(late)} must lie between 0 and 1, such as 0.9.")
    return share


class _Asked(NamedTuple):
    """Times at which chances are known, and what is asked of them.

    Attributes
    ----------
    grid : ndarray, shape (E,)
        Of which the last one is infinite.
    lengths : ndarray, shape (L,)
        Whose chances are told.
    tails : ndarray, shape (Q,)
        Probabilities of the quantiles of the time, if a purchase comes.
    """

    grid: FloatArray
    lengths: FloatArray
    tails: FloatArray


class _Solved(NamedTuple):
    """By row: chances (L, N), that of no purchase ever (N,), and times (Q, N)."""

    chances: FloatArray
    never: FloatArray
    times: FloatArray


def _grid(scale: TimeScale) -> FloatArray:
    near, far = (math.log(days / scale.days) for days in (_NEAR, _FAR))
    times = np.exp(np.arange(near, far + (_ASIDE + _COARSE) * _STEP, _STEP))
    return np.append(times, np.inf)


def _solved(groups: Groups, draws: Draws, asked: _Asked, cores: int) -> _Solved:
    """Chances and times of all rows; histories that share (x, T) share what the living do."""

    def work(part: tuple[int, int]) -> _Solved:
        begin, end = part
        return _of_chunk(chunk_of(groups, begin, draws, Due(0.0), size=end - begin), draws, asked)

    with ThreadPoolExecutor(cores) as pool:
        parts = list(pool.map(work, _parts(groups)))
    where = history_of_rows(groups)
    none = _Solved(np.empty((len(asked.lengths), 0)), np.empty(0), np.empty((len(asked.tails), 0)))
    joined = (np.concatenate(column, axis=-1) for column in zip(none, *parts, strict=True))
    return _Solved(*(column[..., where] for column in joined))


def _parts(groups: Groups) -> Iterator[tuple[int, int]]:
    """Histories by so many (x, T) at a time."""
    firsts = np.flatnonzero(new_pairs(groups.x, groups.T)) if len(groups.x) else np.zeros(0, int)
    ends = [*firsts[_KEYS::_KEYS].tolist(), len(groups.x)]
    begin = 0
    for end in ends:
        for first in range(begin, end, _MOST_HISTORIES):
            yield first, min(first + _MOST_HISTORIES, end)
        begin = end


def _of_chunk(chunk: Chunk, draws: Draws, asked: _Asked) -> _Solved:
    """Solve for some histories: first where their quantiles lie, and there in detail.

    A chance costs an exponential for each (x, T) and draw, so that times at which nobody's
    quantile lies are not looked at.
    """
    E = len(asked.grid) - 1
    coarse = np.unique([*range(0, E, _COARSE), E - 1])
    times = [asked.grid[coarse], asked.grid[E:], asked.lengths]
    at_coarse, (ever, *told) = np.split(
        _chances(chunk, draws, np.concatenate(times)), [len(coarse)]
    )
    first, last = _where(at_coarse, ever, asked.tails)
    begin = max(int(coarse[max(first - 1, 0)]) - _ASIDE, 0)
    end = min(int(coarse[min(last, len(coarse) - 1)]) + _ASIDE, E - 1) + 1
    at_times = np.minimum(_chances(chunk, draws, asked.grid[begin:end]), ever)
    found = np.empty((len(asked.tails), len(ever)))
    log_times = np.log(asked.grid[begin:end])
    _quantiles(log_times, np.ascontiguousarray(at_times.T), ever, asked.tails, found)
    return _Solved(np.reshape(told, (-1, len(ever))), 1.0 - ever, found)


def _chances(chunk: Chunk, draws: Draws, times: FloatArray) -> FloatArray:
    """P(a purchase within each time) of all histories, shape (times, H)."""
    keys, width = len(chunk.x), chunk.phases * chunk.draws
    buys = np.empty((keys, len(times), width))
    room = np.empty((keys, chunk.phases, chunk.draws))
    for e, time in enumerate(times):
        chunk.until(Due(float(time)), draws).living.buys(0, room)
        buys[:, e] = room.reshape(keys, width)
    found = np.empty((len(times), len(chunk.customers.x)))
    for tile in chunk.tiles():
        weights = tile.weights.transpose(1, 0, 2).reshape(tile.end - tile.begin, width)
        key_of = chunk.customers.key_of[tile.begin : tile.end]
        for key in range(tile.keys.start, tile.keys.stop):
            low, high = np.searchsorted(key_of, (key, key + 1))
            mixed = buys[key] @ weights[low:high].T / chunk.draws
            found[:, tile.begin + low : tile.begin + high] = mixed
    return found


def _where(chances: FloatArray, ever: FloatArray, tails: FloatArray) -> tuple[int, int]:
    """First and last of the places, among some times, before which a quantile lies."""
    wanted = tails[:, None] * ever
    places = (chances[:, None] < wanted).sum(axis=0)
    places = places[(places < len(chances)) & (ever > 0.0)]
    return (int(places.min()), int(places.max())) if places.size else (0, 0)


@compiled
def _between(chances: FloatArray, begin: int, at: float) -> float:
    """Value of the polynomial through ten neighbours, ``at`` steps after the first."""
    total = 0.0
    for i in range(2 * _ASIDE):
        term = chances[begin + i]
        for j in range(2 * _ASIDE):
            if j != i:
                term *= (at - j) / (i - j)
        total += term
    return total


@compiled
def _quantiles(
    log_times: FloatArray, chances: FloatArray, ever: FloatArray, tails: FloatArray, out: FloatArray
) -> None:
    """Fill the times, shape (Q, H), by which a share of those who buy again has bought."""
    step = log_times[1] - log_times[0]
    last = log_times.size - 1
    for h in range(chances.shape[0]):
        mine = chances[h]
        for q in range(tails.size):
            wanted = tails[q] * ever[h]
            if not ever[h] > 0.0 or mine[last] < wanted:
                out[q, h] = np.inf
                continue
            place = np.searchsorted(mine, wanted)
            if place == 0:  # before the first time a chance grows in proportion, or faster
                out[q, h] = math.exp(log_times[0]) * wanted / mine[0]
                continue
            begin = min(max(place - _ASIDE, 0), last + 1 - 2 * _ASIDE)
            low, high = float(place - 1 - begin), float(place - begin)
            for _ in range(40):
                middle = 0.5 * (low + high)
                if _between(mine, begin, middle) < wanted:
                    low = middle
                else:
                    high = middle
            out[q, h] = math.exp(log_times[begin] + 0.5 * (low + high) * step)


def _frame(
    rfm: RfmTable | Frame,
    columns: Any,
    scale: TimeScale,
    lengths: dict[str, float],
    found: _Solved,
    late: FloatArray,
) -> pd.DataFrame:
    import pandas as pd

    far = _FAR / scale.days
    lower, median, upper, late = (
        np.where(times > far, np.inf, times) for times in (*found.times, late)
    )
    silence = columns.T - columns.t_x
    ahead = {"next": median, "next_lower": lower, "next_upper": upper}
    table: dict[str, Any] = {CUSTOMER_ID: columns.customer_id}
    table |= dict(zip(lengths, found.chances, strict=True))
    table["p_never"] = np.clip(found.never, 0.0, 1.0)
    end = rfm.observation_end if isinstance(rfm, RfmTable) else None
    if end is None:
        table |= ahead
    else:
        times = {**ahead, "last_purchase": -silence, "overdue_from": late - silence}
        table |= {name: _dates(end, scale, one) for name, one in times.items()}
    table |= {"silence": silence, "usual_silence": late}
    table["overdue"] = silence > late
    return pd.DataFrame(table)


def _dates(end: pd.Timestamp, scale: TimeScale, ahead: FloatArray) -> npt.NDArray[np.datetime64]:
    """First days of the periods that lie so many units after the last one observed."""
    unit, step = _STEPS[scale.time_unit]
    known = np.isfinite(ahead)
    # Times of tables are whole periods up to rounding; a purchase in between is in the next one
    periods = np.ceil(np.where(known, ahead, 0.0) * scale.time_scaler - 1e-6).astype(np.int64)
    last = end.to_numpy().astype(f"datetime64[{unit}]")
    found = (last + step * periods.astype(f"timedelta64[{unit}]")).astype("datetime64[s]")
    return np.where(known, found, np.datetime64("NaT", "s"))
