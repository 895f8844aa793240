"""Purchase paths: what could happen to every customer, purchase by purchase."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels import frames
from clvmodels.errors import DomainError
from clvmodels.forecast import Predictor
from clvmodels.forecast.chunks import chunk_of, chunks
from clvmodels.forecast.futures import follow
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.forecast.outcomes import check_finite, outcomes_of
from clvmodels.forecast.paths import Outcomes
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import MarginSource
from clvmodels.posterior.finite import no_value, valued
from clvmodels.posterior.predicting import Prepared
from clvmodels.posterior.scorable import Scorable, prepared_for, scorable
from clvmodels.posterior.terms import PathTerms
from clvmodels.predictive.base import in_either_order, margin_said, row_keys
from clvmodels.predictive.calendars import CalendarChoice, Scenario, calendar_of, under
from clvmodels.schema import CUSTOMER_ID, FloatArray, Horizon, check_whole

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

_MOST_CELLS: Final = 5e7


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FuturePaths:
    """Simulated futures of all customers, who share the parameters of a path.

    Attributes
    ----------
    purchases : DataFrame or Table
        One row per simulated purchase: path, customer_id, time (since the end of
        observation, in the posterior's unit), amount (neither discounted nor times
        margin; there is none of a posterior of purchases alone); ordered by customer in the
        table's order, path and time. Of the kind of frame that was passed, pandas for an
        RfmTable.
    draw : ndarray of int, shape (paths,)
        Which posterior draw, of those used, each path has.
    customer_id : ndarray, shape (N,)
    counts : ndarray of int, shape (N, paths)
        Purchases within the horizon.
    values : ndarray, shape (N, paths), or None
        Discounted value x margin; NaN of customers whose expected spend is infinite in some
        draws, since means over paths would have no limit. None, as are the two below, of a
        posterior of purchases alone.
    margin : float or None
        Share of revenue that ``values`` are made of.
    margin_from : {"argument", "table", "posterior", "not said"} or None
        Who said it.
    reason : ndarray of str and None, shape (N,), or None
        Why a customer has no values; None where everybody has.
    """

    purchases: Any
    draw: npt.NDArray[np.int64]
    customer_id: npt.NDArray[np.generic]
    counts: npt.NDArray[np.int64] = field(repr=False)
    values: FloatArray | None = field(repr=False)
    margin: float | None
    margin_from: MarginSource | None
    reason: npt.NDArray[np.object_] | None = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"<FuturePaths: {len(self.draw):,} paths of {len(self.customer_id):,} customers, "
            f"{len(self.purchases):,} purchases{margin_said(self.margin, self.margin_from)}>"
        )

    def totals(self) -> Any:
        """Buyers, purchases and value of all customers together, one row per path.

        Returns
        -------
        DataFrame or Table
            Of the kind of ``purchases``: path, buyers, purchases, value, margin. Value is of
            those customers who have one; without_value is the number of the others, if there
            are any. A posterior of purchases alone has no value and no margin.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "path": np.arange(len(self.draw)),
                "buyers": (self.counts > 0).sum(axis=0),
                "purchases": self.counts.sum(axis=0),
                **self._value_of_all(),
            }
        )
        return frames.like(self.purchases, table)

    def _value_of_all(self) -> dict[str, Any]:
        if self.values is None:
            return {}
        if self.reason is None:
            return {"value": self.values.sum(axis=0), "margin": self.margin}
        has = np.array([why is None for why in self.reason])
        value = self.values[has].sum(axis=0) if has.any() else np.full(len(self.draw), np.nan)
        without = int(np.count_nonzero(~has))
        return {"value": value, "margin": self.margin, "without_value": without}


@in_either_order
@named
def simulate_future(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    horizon: Horizon = "365D",
    *,
    paths: int = 100,
    random_seed: int = 0,
    draws: int = 500,
    calendar: CalendarChoice = "none",
    scenario: Scenario | None = None,
    threads: int | None = None,
    **terms: Unpack[PathTerms],
) -> FuturePaths:
    """Simulate what the customers of a base will do: every purchase, on some paths.

    Exact simulation of the purchase model's process given the data: a customer is alive or
    not; if alive, buys until the horizon or until leaving (BG/NBD: at a purchase, with
    lambda ~ Gamma(r + x, alpha + T) and p ~ Beta(a, b + x)); orders are Gamma(p, nu),
    nu ~ Gamma(q + p x, v + x m_bar).

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone there are no amounts and no values.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time, with monetary_value where the posterior
        reads it.
    horizon : str or float
        "365D", "52W", "12M" or a number in the table's unit; finite.
    paths : int
        Simulated futures. Path k takes draw k modulo the number of draws used, so that
        all customers share its parameters.
    random_seed : int
        Of the simulation. A customer's futures depend on it, the customer's id and row,
        and the draws, not on other rows.
    draws : int
        At most so many posterior draws, and no more than paths, evenly spaced over all.
    calendar : {"none", "auto", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`. By default there is none. With it all
        customers share the calendar of a path, so that their sums have the interval of
        :func:`~clvmodels.forecast_total`; a purchase's time is when it is made by that
        calendar.
    scenario : mapping or Series, optional
        Factors of the intensity by period, as there.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    discount_rate, discounting
        As in :meth:`CLVPosterior.predict`; of ``values``.
    margin : float, optional
        As in :meth:`CLVPosterior.predict`.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    FuturePaths
        Every purchase of every path.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; the horizon is endless; or there would be more
        than 5e7 purchases or cells: ``count_distribution``, ``value_distribution`` and
        ``portfolio`` know the distributions of larger bases.
    """
    paths, draws = check_whole("paths", paths), check_whole("draws", draws)
    rfm = frames.eager(rfm)
    whose = scorable(posterior, "Simulated futures need")
    given = prepared_for(whose, rfm, horizon=horizon, draws=min(draws, paths), **terms)
    check_finite(given.future.due.horizon)
    used, unit = given.draws.count, whose.scale.days
    days = given.future.due.horizon * unit
    doubt, _ = calendar_of(calendar, scenario, rfm, days=days, learnt=given.calendar)
    given = under(given, doubt, paths, unit)
    valued(given.draws, given.columns.x).warned()
    bought = Predictor(given.draws, given.future, wanted="none")(*given.who)
    most = max(float(len(given.columns)), float(bought.columns["expected_purchases"].sum()))
    _check_size(paths * most, paths)
    outcomes = outcomes_of(given.draws, paths=paths, seed=random_seed)
    return _Run(rfm, given, outcomes, used, cores_for(threads)).paths(paths)


def _check_size(cells: float, paths: int) -> None:
    if cells > _MOST_CELLS:
        raise DomainError(
            f"{paths:,} paths would make about {cells:.1e} purchases or cells, more than "
            f"{_MOST_CELLS:.0e}: take fewer paths or customers, or use count_distribution, "
            "value_distribution or portfolio."
        )


@dataclass(frozen=True, slots=True)
class _Run:
    """Customers, draws and options of one simulation."""

    rfm: Any
    given: Prepared
    outcomes: Outcomes
    used: int
    threads: int

    def paths(self, count: int) -> FuturePaths:
        """Simulate twice, the same: to know how many purchases there are, and to keep them."""
        columns, draws, margin = self.given.columns, self.given.draws, self.given.margin
        groups = group_rows(columns.kind, columns.t_x, columns.T)
        none, nothing = np.empty(0), np.empty(0, dtype=np.int64)
        out = self._follow(groups, nothing, none, none)
        bought = out[0].astype(np.int64)
        bought[:, count:] = 0  # whole rounds of draws are simulated, the last one cut short
        begin = np.append(0, np.cumsum(bought))
        times, amounts = np.empty(begin[-1]), np.empty(begin[-1])
        self._follow(groups, begin, times, amounts)
        bought = bought[:, :count]
        known, values = valued(draws, columns.x), None
        if margin is not None:
            values = np.where(known.has[:, None], margin.value * out[1, :, :count], np.nan)
        return FuturePaths(
            purchases=self._table(bought, times, None if margin is None else amounts),
            draw=np.arange(count) % draws.count % self.used,  # repeated for their calendars
            customer_id=columns.customer_id,
            counts=bought,
            values=values,
            margin=None if margin is None else margin.value,
            margin_from=None if margin is None else margin.source,
            reason=no_value(draws, columns.x) if known.without else None,
        )

    def _follow(
        self,
        groups: Groups,
        begin: npt.NDArray[np.int64],
        times: FloatArray,
        amounts: FloatArray,
    ) -> FloatArray:
        columns, draws = self.given.columns, self.given.draws
        keys, (*_, m_bar) = row_keys(columns.customer_id), self.given.who
        out = np.empty((2, len(columns), self.outcomes.per_draw * draws.count))

        def work(first: int) -> None:
            chunk = chunk_of(groups, first, draws, self.given.future.due, m_bar)
            follow(chunk, self.outcomes, keys, begin, times, amounts, out)

        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(work, chunks(groups)):
                pass
        return out

    def _table(
        self, bought: npt.NDArray[np.int64], times: FloatArray, amounts: FloatArray | None
    ) -> Any:
        import pandas as pd

        customers, paths = bought.shape
        each = bought.ravel()
        whose = np.repeat(np.arange(customers), bought.sum(axis=1))
        table = pd.DataFrame(
            {
                "path": np.repeat(np.tile(np.arange(paths), customers), each),
                CUSTOMER_ID: self.given.columns.customer_id[whose],
                "time": times,
                **({} if amounts is None else {"amount": amounts}),
            }
        )
        return frames.like(self.rfm, table, own={CUSTOMER_ID: whose})
