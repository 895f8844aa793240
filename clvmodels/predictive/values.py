"""What each customer will be worth in fact: a distribution per customer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Draws, Future, Predictor
from clvmodels.forecast.chunks import chunk_of, chunks
from clvmodels.forecast.grouping import Groups, group_rows
from clvmodels.forecast.outcomes import PATHS, check_finite, outcomes_of
from clvmodels.forecast.paths import Outcomes
from clvmodels.forecast.values import value_quantiles, value_scores
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import Margin, MarginSource
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.finite import no_value, valued
from clvmodels.posterior.scorable import prepared_for, value_posterior
from clvmodels.posterior.terms import OutcomeTerms
from clvmodels.predictive.base import check_probabilities
from clvmodels.predictive.calendars import CalendarChoice, Scenario, calendar_of, under
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

_NO_TAILS: Final = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ValueDistribution:
    """Distributions of the realised discounted value within the horizon, one per customer.

    They are of the *outcome*: the purchases that happen, each with the amount that it
    happens to have, discounted, times margin. The probability of no purchase, and so of
    no value, is exact; the rest is simulated, with seeds that belong to a history, so
    that a customer's answers depend on no other row, nor on threads. Paths are made
    again whenever they are needed and never kept for the whole base.

    Where expected spend is infinite in some draws, as it may be after a tiny base, the
    distribution is there, with its quantiles and probabilities, but it has no finite mean:
    mean and crps are NaN, and ``reason`` says so.

    Attributes
    ----------
    customer_id : ndarray, shape (N,)
    paths : int
        Simulated paths per customer, all with a purchase.
    margin : float
        Share of revenue that values are made of.
    margin_from : {"argument", "table", "posterior", "not said"}
        Who said it.
    reason : ndarray of str and None, shape (N,), or None
        Why a customer has no mean; None where everybody has one.
    """

    customer_id: npt.NDArray[np.generic]
    paths: int
    margin: float
    margin_from: MarginSource
    reason: npt.NDArray[np.object_] | None
    _x: FloatArray = field(repr=False)
    _t_x: FloatArray = field(repr=False)
    _T: FloatArray = field(repr=False)
    _m_bar: FloatArray = field(repr=False)
    _groups: Groups = field(repr=False)
    _draws: Draws = field(repr=False)
    _future: Future = field(repr=False)
    _outcomes: Outcomes = field(repr=False)
    _threads: int = field(repr=False)

    def __len__(self) -> int:
        return len(self._x)

    def __repr__(self) -> str:
        return (
            f"<ValueDistribution of {len(self):,} customers, {self.paths:,} paths each, "
            f"{Margin(self.margin, self.margin_from)}>"
        )

    @property
    def mean(self) -> FloatArray:
        """Expected value, shape (N,): ``predict``'s clv, by formula and not by simulation.

        Under a calendar it is the mean over the calendars of the draws.
        """
        found = Predictor(self._draws, self._future, wanted="none", threads=self._threads)
        return found(self._x, self._t_x, self._T, self._m_bar).columns["clv"]

    def quantile(self, probability: npt.ArrayLike) -> FloatArray:
        """Least value v with P(value <= v) >= probability.

        Parameters
        ----------
        probability : float or array_like, shape (K,)
            Between 0 and 1, both excluded.

        Returns
        -------
        ndarray, shape (N,) or (K, N)
            Of every customer, by probability where there are several.
        """
        wanted = check_probabilities(probability)
        out = np.empty((wanted.size, len(self)))
        tails = 1.0 - np.atleast_1d(wanted)
        self._run(value_quantiles, tails, out)
        out *= self._future.margin
        return out[0] if wanted.ndim == 0 else out

    def interval(self, probability: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Both ends of the equal-tailed interval."""
        lower, upper = self.quantile([(1 - probability) / 2, (1 + probability) / 2])
        return lower, upper

    def crps(self, y: npt.ArrayLike) -> FloatArray:
        """Continuous ranked probability score, shape (N,): smaller is better.

        The integral of (P(value <= z) - [y <= z])^2 over z >= 0, exact for the simulated
        distribution, in units of value; NaN where there is no finite mean, since it would
        rest on the few largest of the paths.

        Parameters
        ----------
        y : array_like, shape (N,)
            Realised discounted value x margin, >= 0.
        """
        return self._where_finite(self._scores(y)[0])

    def quantile_and_crps(
        self, probability: npt.ArrayLike, y: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Both at once: the paths are made, and put in order, once instead of twice.

        Parameters
        ----------
        probability : float or array_like, shape (K,)
            As in `quantile`.
        y : array_like, shape (N,)
            As in `crps`.

        Returns
        -------
        quantiles : ndarray, shape (N,) or (K, N)
            Those of `quantile`.
        crps : ndarray, shape (N,)
            Those of `crps`.
        """
        wanted = check_probabilities(probability)
        scores, _, _, *quantiles = self._scores(y, 1.0 - np.atleast_1d(wanted))
        found = self._future.margin * np.asarray(quantiles)
        return found[0] if wanted.ndim == 0 else found, self._where_finite(scores)

    def _where_finite(self, scores: FloatArray) -> FloatArray:
        """Scores in units of value, of those who have a mean."""
        scores = self._future.margin * scores
        if self.reason is None:
            return scores
        return np.where([why is None for why in self.reason], scores, np.nan)

    def cdf(self, y: npt.ArrayLike) -> FloatArray:
        """P(value <= y), shape (N,)."""
        _, below, equal = self._scores(y)
        return np.asarray(below + equal)

    @named
    def pit(self, y: npt.ArrayLike, *, random_seed: int = 0) -> FloatArray:
        """Probability integral transform, uniform where the model is right.

        Randomised where y is 0: P(value < y) + u P(value = y) with u uniform.

        Parameters
        ----------
        y : array_like, shape (N,)
            What customers really brought.
        random_seed : int
            Of u.
        """
        _, below, equal = self._scores(y)
        u = np.random.default_rng(random_seed).random(len(self))
        # sums of the paths' weights may exceed 1 in the last digit
        return np.asarray(np.minimum(below + u * equal, 1.0))

    def _scores(self, y: npt.ArrayLike, tails: FloatArray = _NO_TAILS) -> FloatArray:
        values = np.asarray(y, dtype=np.float64)
        if values.shape != (len(self),):
            raise SchemaError(
                f"Outcomes have shape {values.shape}: pass one value for each of the "
                f"{len(self):,} customers."
            )
        if not (np.isfinite(values) & (values >= 0)).all():
            raise DomainError("Realised values must be finite and >= 0.")
        out = np.empty((3 + len(tails), len(self)))
        plain = values / self._future.margin
        self._run(value_scores, plain, tails, out)
        return out

    def _run(self, loop: Callable[..., None], *arrays: FloatArray) -> None:
        """Fill the last of the arrays, which the loop takes after chunk and outcomes."""

        def one(begin: int) -> None:
            chunk = chunk_of(self._groups, begin, self._draws, self._future.due, self._m_bar)
            loop(chunk, self._outcomes, *arrays)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(one, chunks(self._groups)):
                pass


@named
def value_distribution(
    posterior: CLVPosterior,
    rfm: RfmTable | Frame,
    *,
    paths: int = PATHS,
    calendar: CalendarChoice = "none",
    scenario: Scenario | None = None,
    random_seed: int = 0,
    threads: int | None = None,
    **terms: Unpack[OutcomeTerms],
) -> ValueDistribution:
    """Distribution of the discounted value that each customer will actually bring.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time, with monetary_value.
    paths : int
        Simulated paths per customer, rounded up to as many of every draw.
    calendar : {"none", "auto", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`. By default there is none: one
        customer's chance is far larger. What customers bring together is not the sum of
        such distributions, since they share the calendar: see ``simulate_future``.
    scenario : mapping or Series, optional
        Factors of the intensity by period, as there.
    random_seed : int
        Of the simulation.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    horizon, discount_rate, discounting, draws
        As in :meth:`CLVPosterior.predict`; the horizon is finite.
    margin : float, optional
        As in :meth:`CLVPosterior.predict`.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    ValueDistribution
        In the order of the table.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`, or the horizon is endless.
    """
    given = prepared_for(value_posterior(posterior), rfm, **terms)
    check_finite(given.future.due.horizon)
    unit = posterior.scale.days
    days = given.future.due.horizon * unit
    doubt, _ = calendar_of(calendar, scenario, rfm, days=days, learnt=given.calendar)
    given = under(given, doubt, paths, unit)
    assert given.margin is not None
    known = valued(given.draws, given.columns.x).warned()
    outcomes = outcomes_of(given.draws, paths=paths, seed=random_seed)
    x, t_x, T, m_bar = given.who
    return ValueDistribution(
        customer_id=given.columns.customer_id,
        paths=outcomes.per_draw * given.draws.count,
        margin=given.margin.value,
        margin_from=given.margin.source,
        reason=no_value(given.draws, x) if known.without else None,
        _x=x,
        _t_x=t_x,
        _T=T,
        _m_bar=m_bar,
        _groups=group_rows(x, t_x, T),
        _draws=given.draws,
        _future=given.future,
        _outcomes=outcomes,
        _threads=cores_for(threads),
    )
