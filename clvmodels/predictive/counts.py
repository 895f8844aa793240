"""How many purchases each customer will make: a distribution per customer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast.calendar import Calendar
from clvmodels.forecast.chunks import chunk_of, chunks
from clvmodels.forecast.counts import (
    count_survival,
    crps_of_counts,
    moments_of_counts,
    quantiles_of_counts,
)
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.forecast.outcomes import TOO_MANY
from clvmodels.formulas.discounting import Due
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable
from clvmodels.predictive.base import (
    IntArray,
    check_probabilities,
    finite_horizon,
    history_of_rows,
    purchase_draws,
)
from clvmodels.predictive.calendars import CalendarChoice, Scenario, calendar_of, enough
from clvmodels.purchases.family import Family
from clvmodels.schema import FloatArray, Horizon, TimeUnit, scale_said

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.histories import RfmColumns

TAIL: Final = 1e-12  # P(count >= n) below which a distribution is cut off
_MOST_CELLS: Final = 2e8
_CALENDARS: Final = 500  # that a customer's purchases are mixed over, where they are in doubt
_EVEN: Final = Calendar()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CountDistribution:
    """Distributions of the number of purchases within the horizon, one per customer.

    They are of the *outcome*, what a customer will actually do: the process's own
    randomness and the uncertainty of the parameters together. Customers are in the order
    of the table; those with the same history share one distribution, which is cut off
    where P(count >= n) falls below 1e-12 (``log_score`` is exact beyond, too).

    Attributes
    ----------
    customer_id : ndarray, shape (N,)
    horizon : float
        In the posterior's unit of time.
    survival : ndarray
        P(count >= n) for n = 1, 2, ..., of one history after the other.
    start : ndarray of int, shape (H + 1,)
        History h has survival[start[h] : start[h + 1]].
    history : ndarray of int, shape (N,)
        Each customer's history.
    """

    customer_id: npt.NDArray[np.generic]
    horizon: float
    survival: FloatArray
    start: IntArray
    history: IntArray
    _groups: Groups = field(repr=False)
    _draws: dict[str, FloatArray] = field(repr=False)
    _until: FloatArray = field(repr=False)
    _formulas: Family = field(repr=False)

    def __len__(self) -> int:
        return len(self.history)

    def __repr__(self) -> str:
        return (
            f"<CountDistribution of {len(self):,} customers with {len(self.start) - 1:,} "
            f"histories, horizon {self.horizon:g}>"
        )

    def sf(self, n: npt.ArrayLike) -> FloatArray:
        """P(count > n).

        Parameters
        ----------
        n : array_like
            Broadcast against the customers: a number for all, one per customer, or shape
            (k, 1) for a table of shape (k, N).
        """
        return self._at_least(np.floor(np.asarray(n, dtype=np.float64)) + 1.0)

    def cdf(self, n: npt.ArrayLike) -> FloatArray:
        """P(count <= n), n as in :meth:`sf`."""
        return 1.0 - self.sf(n)

    def pmf(self, n: npt.ArrayLike) -> FloatArray:
        """P(count = n), n as in :meth:`sf`: right to 1e-15, and 0 beyond the cut."""
        n = np.asarray(n, dtype=np.float64)
        whole = n == np.floor(n)
        return np.where(whole, self.sf(n - 1.0) - self.sf(n), 0.0)

    def pmf_of(self, row: int) -> FloatArray:
        """Probabilities of 0, 1, 2, ... purchases of one customer, up to the cut."""
        h = self.history[row]
        survival = self.survival[self.start[h] : self.start[h + 1]]
        return np.asarray(-np.diff(survival, prepend=1.0, append=0.0))

    def expected_customers(self, most: int) -> FloatArray:
        """Expected number of customers with 0, 1, ..., most purchases, shape (most + 1,)."""
        weight = np.bincount(self.history, minlength=len(self.start) - 1).astype(np.float64)
        length = np.diff(self.start)
        owner = np.repeat(np.arange(len(length)), length)
        place = np.arange(len(self.survival)) - np.repeat(self.start[:-1], length)
        at_least = np.bincount(place, weights=weight[owner] * self.survival, minlength=most + 1)
        return np.asarray(-np.diff(at_least[: most + 1], prepend=float(len(self))))

    def quantile(self, probability: npt.ArrayLike) -> FloatArray:
        """Least n with P(count <= n) >= probability.

        The equal-tailed interval of probability c runs from the quantile of (1 - c) / 2 to
        that of (1 + c) / 2, both ends included. Counts are discrete, so it holds *at
        least* c, often clearly more where few purchases are likely.

        Parameters
        ----------
        probability : float or array_like, shape (K,)
            Between 0 and 1, both excluded.

        Returns
        -------
        ndarray, shape (N,) or (K, N)
            Whole numbers.
        """
        wanted = check_probabilities(probability)
        found = quantiles_of_counts(self.survival, self.start, 1.0 - np.atleast_1d(wanted))
        rows = found[:, self.history]
        return rows[0] if wanted.ndim == 0 else rows

    def interval(self, probability: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Both ends of the equal-tailed interval; see :meth:`quantile`."""
        lower, upper = self.quantile([(1 - probability) / 2, (1 + probability) / 2])
        return lower, upper

    @property
    def mean(self) -> FloatArray:
        """Expected purchases, shape (N,)."""
        return moments_of_counts(self.survival, self.start)[0][self.history]

    @property
    def variance(self) -> FloatArray:
        """Variance of the number of purchases, shape (N,)."""
        return moments_of_counts(self.survival, self.start)[1][self.history]

    def log_score(self, y: npt.ArrayLike) -> FloatArray:
        """Log probability of what happened, shape (N,): greater is better.

        Parameters
        ----------
        y : array_like, shape (N,)
            Purchases within the horizon, whole numbers >= 0.
        """
        y = self._checked(y)
        probability = self.pmf(y)
        # A difference of two nearly equal numbers, or beyond the cut: by the formula.
        far = np.flatnonzero(probability < 1e4 * TAIL)
        if far.size:
            probability[far] = self._exactly(far, y[far])
        with np.errstate(divide="ignore"):
            return np.log(probability)

    def crps(self, y: npt.ArrayLike) -> FloatArray:
        """Continuous ranked probability score, shape (N,): smaller is better.

        Exact for the discrete distribution: the sum over n = 0, 1, ... of
        (P(count <= n) - [y <= n])^2, in purchases.

        Parameters
        ----------
        y : array_like, shape (N,)
            As in :meth:`log_score`.
        """
        return crps_of_counts(self.survival, self.start, self.history, self._checked(y))

    @named
    def pit(self, y: npt.ArrayLike, *, random_seed: int = 0) -> FloatArray:
        """Randomised probability integral transform, uniform where the model is right.

        P(count < y) + u P(count = y) with u uniform, shape (N,): Czado, Gneiting & Held
        (2009), "Predictive model assessment for count data".

        Parameters
        ----------
        y : array_like, shape (N,)
            What customers really bought.
        random_seed : int
            Of u.
        """
        y = self._checked(y)
        u = np.random.default_rng(random_seed).random(len(y))
        return np.clip(1.0 - self._at_least(y) + u * self.pmf(y), 0.0, 1.0)

    def _at_least(self, n: FloatArray) -> FloatArray:
        """P(count >= n) of whole numbers; 0 beyond the cut."""
        n, history = np.broadcast_arrays(n, self.history)
        length = np.diff(self.start)[history]
        place = self.start[:-1][history] + np.clip(n, 1, length).astype(np.int64) - 1
        return np.where(n <= 0, 1.0, np.where(n <= length, self.survival[place], 0.0))

    def _exactly(self, rows: IntArray, y: FloatArray) -> FloatArray:
        groups, h = self._groups, self.history[rows]
        draws = {name: values[:, None] for name, values in self._draws.items()}
        until = self._until[:, None]  # the horizon in customers' own time
        out = np.empty(len(rows))
        for begin in range(0, len(rows), 1000):
            part = slice(begin, begin + 1000)
            x, t_x, T = (column[h[part]] for column in (groups.x, groups.t_x, groups.T))
            by_draw = self._formulas.pmf(y[part], x, t_x, T, until, **draws)
            out[part] = by_draw.mean(axis=0)
        return out

    def _checked(self, y: npt.ArrayLike) -> FloatArray:
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (len(self),):
            raise SchemaError(
                f"Outcomes have shape {values.shape}: pass one count for each of the "
                f"{len(self):,} customers."
            )
        if not ((values >= 0) & (values == np.floor(values)) & np.isfinite(values)).all():
            raise DomainError("Outcomes must be whole numbers >= 0.")
        return values


@named
def count_distribution(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    horizon: Horizon = "365D",
    draws: int = 500,
    calendar: CalendarChoice = "none",
    scenario: Scenario | None = None,
    threads: int | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> CountDistribution:
    """Distribution of the number of purchases that each customer will actually make.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases; spend is not needed.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time.
    horizon : str or float
        "365D", "52W", "12M" or a number in the table's unit; finite.
    draws : int
        Posterior draws to use, evenly spaced over all.
    calendar : {"none", "auto", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`. By default there is none: one
        customer's chance is far larger. What customers buy together is not the sum of
        such distributions, since they share the calendar: see ``simulate_future``.
    scenario : mapping or Series, optional
        Factors of the intensity by period, as there.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    CountDistribution
        In the order of the table.

    Raises
    ------
    SchemaError, TimeUnitError
        The table is not of the right form or unit.
    DomainError
        The horizon is endless, or the distributions together are longer than 2e8 cells:
        ``predict(..., predictive=True)`` and ``score`` give intervals of any base.
    """
    whose = purchases_of(scorable(posterior, "Counts need"))
    columns = columns_of(whose, rfm, scale_said(time_unit, time_scaler))
    learnt = Calendar.by(whose.metadata.clock, columns.last_day)
    length = finite_horizon(posterior, horizon)
    days = length * posterior.scale.days
    under = calendar_of(calendar, scenario, rfm, days=days, learnt=learnt)[0]
    return distribution_of(posterior, columns, length, draws, cores_for(threads), calendar=under)


def distribution_of(
    posterior: Scorable,
    columns: RfmColumns,
    horizon: float,
    draws: int,
    threads: int,
    totals: FloatArray | None = None,
    calendar: Calendar = _EVEN,
) -> CountDistribution:
    """Distribution of the counts of customers whose columns are checked.

    Parameters
    ----------
    posterior, draws, threads
        As in `count_distribution`.
    columns : RfmColumns
        The customers.
    horizon : float
        In the posterior's unit of time.
    totals : ndarray, shape (2, S), optional
        Mean and variance, given each draw, of the purchases of all customers together are
        added.
    calendar : Calendar
        By default time passes evenly.

    Raises
    ------
    DomainError
        The distributions together are too long.
    """
    drawn, whose = purchase_draws(posterior, draws)
    drawn = enough(drawn, calendar, _CALENDARS)
    due = calendar.over(Due(horizon), posterior.scale.days, drawn.count)
    groups = group_rows(columns.kind, columns.t_x, columns.T)
    cells = 0

    def work(begin: int) -> tuple[FloatArray, IntArray, FloatArray | None]:
        nonlocal cells
        chunk = chunk_of(groups, begin, drawn, due)
        own = None if totals is None else np.zeros_like(totals)
        values, lengths, complete = count_survival(chunk, TAIL, own)
        if not complete:
            raise DomainError(TOO_MANY)
        cells += len(values)
        if cells > _MOST_CELLS:
            raise DomainError(
                f"The distributions of these {len(columns):,} customers have more than "
                f"{_MOST_CELLS:.0e} cells: predict(..., predictive=True) and score give the "
                "intervals of any base."
            )
        return values, lengths, own

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(work, chunks(groups)))
    if totals is not None:
        for *_, own in parts:  # in order, so that sums repeat exactly
            totals += 0.0 if own is None else own
    survival = np.concatenate([np.empty(0), *(part[0] for part in parts)])
    lengths = np.concatenate([np.empty(0, dtype=np.int64), *(part[1] for part in parts)])
    return CountDistribution(
        customer_id=columns.customer_id,
        horizon=horizon,
        survival=survival,
        start=np.append(0, np.cumsum(lengths)),
        history=history_of_rows(groups),
        _groups=groups,
        _draws=dict(drawn.purchases),
        _until=due.until(drawn.count),
        _formulas=whose.formulas,
    )
