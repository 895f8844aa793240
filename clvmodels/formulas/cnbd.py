"""The beta-geometric family with regular timing: BG/CNBD-k and MBG/CNBD-k.

Reutterer, Platzer & Schroeder (2021), "Leveraging purchase regularity for predicting customer
behavior the easy way", International Journal of Research in Marketing 38(1), 194-215; Platzer &
Reutterer (2016), "Ticking away the moments", Marketing Science 35(5), 779-799. As in BG/NBD
and MBG/NBD, but times between purchases are Erlang-k: stages pass in a Poisson process of rate
lambda ~ Gamma(r, alpha), and every k-th one is a purchase. k = 1 is BG/NBD or MBG/NBD.

What is known of a living customer at T is how many stages may have passed since t_x: with
R = r + k x and A = alpha + T, the odds of ``j`` stages (phase j) are

    Gamma(R + j) / (Gamma(R) j!) ((T - t_x) / A)^j,   j < k,

against e^z of having dropped out right after the last purchase. In phase j lambda is
Gamma(R + j, A), and k - j more stages are to pass until the next purchase. So everything
expected is a sum over phases of a weight and a value: :meth:`RegularBetaGeometric.p_phases`
and the functions of ``erlang_counts``, ``erlang_means`` and ``erlang_values``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit, gammaln

from clvmodels.errors import DomainError
from clvmodels.formulas._domain import check_counts, check_histories, check_horizon
from clvmodels.formulas.beta_dropout import (
    BetaDropout,
    Numbers,
    Parameters,
    check_parameters,
)
from clvmodels.formulas.cnbd_fused import MOST_REGULAR, fused
from clvmodels.formulas.counts import at_least
from clvmodels.formulas.erlang_counts import count_pmf_if_alive
from clvmodels.formulas.erlang_means import purchases_if_alive
from clvmodels.formulas.erlang_values import discounted_if_alive
from clvmodels.formulas.fused import Fused
from clvmodels.schema import FloatArray

_Living = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, slots=True)
class RegularBetaGeometric(BetaDropout):
    """Formulas of the beta-geometric models with Erlang-k times between purchases.

    Parameters
    ----------
    extra_stays : {0, 1}
        As in :class:`~clvmodels.formulas.beta_geometric.BetaGeometric`: 0 for BG/CNBD-k,
        1 for MBG/CNBD-k.
    regularity : int
        k, stages a purchase: 1 to 4.

    Raises
    ------
    DomainError
        The regularity is not a whole number from 1 to 4.

    Notes
    -----
    All methods take scalars or arrays, broadcast them and return float64 arrays. Their
    arguments are

    x, t_x, T : array_like
        Repeat purchases, time of the last one, and age.
    horizon, t : array_like
        Length of time from T on, or from a new customer's first purchase; may be infinite.
    delta, month
        Discounting, as in :func:`~clvmodels.formulas.erlang_values.discounted_if_alive`.
    n : array_like
        Number of purchases asked for.
    phase : int
        Stages since the last purchase, 0 to k - 1.
    r, alpha, a, b : array_like
        Parameters, by keyword. alpha is a time of stages: the mean rate of purchases is
        r / (k alpha).

    They raise :class:`~clvmodels.errors.DomainError` where those of
    :class:`~clvmodels.formulas.beta_geometric.BetaGeometric` do.
    """

    regularity: int

    def __post_init__(self) -> None:
        if self.regularity not in range(1, MOST_REGULAR + 1):
            raise DomainError(
                f"regularity={self.regularity!r} must be a whole number from 1 to {MOST_REGULAR}."
            )

    @property
    def phases(self) -> int:
        """In how many states a living customer may be: k."""
        return self.regularity

    @property
    def gap_power(self) -> int:
        """Power of each time between purchases in the likelihood, k - 1."""
        return self.regularity - 1

    @property
    def _stages(self) -> int:
        return self.regularity

    def log_likelihood(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Log-likelihood of each history, without what depends on its gaps alone.

        To it belongs (k - 1) times the sum of the logarithms of the x times between
        purchases, which matters only where one k is compared with another:
        :attr:`gap_power`. With R = r + k x,

        ln G(R) - ln G(r) + r ln alpha - R ln(alpha+T) - x ln G(k) + ln B(a, B) - ln B(a, b)
        + ln(odds of all phases + e^z).
        """
        log_phases, log_dropped = self._log_odds(x, t_x, T, **parameters)
        x, _, T = check_histories(x, t_x, T)
        r, alpha, a, b = check_parameters(**parameters)
        stages = self.regularity * x
        rate = gammaln(r + stages) - gammaln(r) - r * np.log1p(T / alpha)
        rate = rate - stages * np.log(alpha + T) - x * gammaln(self.regularity)
        stays = betaln(a, self.stay_shape(x, b=b)) - betaln(a, b)
        return np.asarray(rate + stays + np.logaddexp(log_phases, log_dropped))

    def fused(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        count: FloatArray,
        *,
        stratum: npt.NDArray[np.integer] | None = None,
    ) -> Fused:
        """Prepare a base for the sum of :meth:`log_likelihood` and its gradient by r, alpha, a, b.

        Parameters
        ----------
        x, t_x, T, count : ndarray, shape (H,)
            Histories, and the customers who share each.
        stratum : ndarray of int, shape (H,), optional
            Which of the parameters' G values are the history's, 0 to G - 1; by default
            there is one for all.
        """
        stays, k = x + self.extra_stays, self.regularity
        return fused(x, t_x, T, count, regularity=k, stays=stays, stratum=stratum)

    def p_phases(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Probability of being alive at T and in each phase.

        Returns
        -------
        ndarray, shape (k, ...)
            Their sum is P(alive); ... is the inputs' common shape.
        """
        odds = self._phase_odds(x, t_x, T, **parameters)
        log_phases, log_dropped = self._log_odds(x, t_x, T, **parameters)
        alive = expit(log_phases - log_dropped)
        return np.asarray(odds / odds.sum(axis=0) * alive)

    def p_alive(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Probability of being alive at T."""
        log_phases, log_dropped = self._log_odds(x, t_x, T, **parameters)
        return np.asarray(expit(log_phases - log_dropped))

    def p_purchase(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Probability of at least one purchase in (T, T + horizon]."""
        length = check_horizon(horizon)

        def buys(phase: int, living: _Living) -> FloatArray:
            R, A, _, _ = living
            return at_least(self.regularity - phase, R, length / A)

        found = self._mixed(buys, x, t_x, T, **parameters)
        # a sum of phases may round to a digit more than the whole
        return np.asarray(np.minimum(found, self.p_alive(x, t_x, T, **parameters)))

    def expected_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Purchases expected in (T, T + horizon].

        Infinite at an infinite horizon where a <= 1.
        """

        def bought(phase: int, living: _Living) -> FloatArray:
            return purchases_if_alive(*living, horizon, regularity=self.regularity, phase=phase)

        return self._mixed(bought, x, t_x, T, **parameters)

    def discounted_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        delta: Numbers,
        *,
        month: float | None = None,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Discounted purchases expected in (T, T + horizon], of present value at T.

        delta and month are those of
        :func:`~clvmodels.formulas.erlang_values.discounted_if_alive`.
        """

        def worth(phase: int, living: _Living) -> FloatArray:
            return discounted_if_alive(
                *living, horizon, delta, regularity=self.regularity, phase=phase, month=month
            )

        return self._mixed(worth, x, t_x, T, **parameters)

    def expected_purchases_new(self, t: Numbers, **parameters: Unpack[Parameters]) -> FloatArray:
        """Repeat purchases expected of a new customer in (0, t]."""
        return self.expected_purchases(0, 0, 0, t, **parameters)

    def discounted_purchases_new(
        self,
        t: Numbers,
        delta: Numbers,
        *,
        month: float | None = None,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Discounted repeat purchases expected of a new customer in (0, t].

        The first purchase, at time 0, is not among them.
        """
        return self.discounted_purchases(0, 0, 0, t, delta, month=month, **parameters)

    def pmf(
        self,
        n: Numbers,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Probability of exactly n purchases in (T, T + horizon]."""

        def chance(phase: int, living: _Living) -> FloatArray:
            return count_pmf_if_alive(n, *living, horizon, regularity=self.regularity, phase=phase)

        log_phases, log_dropped = self._log_odds(x, t_x, T, **parameters)
        none = np.asarray(n, dtype=np.float64) == 0
        dropped = np.where(none, expit(log_dropped - log_phases), 0.0)
        return self._mixed(chance, x, t_x, T, **parameters) + dropped

    def pmf_new(self, n: Numbers, t: Numbers, **parameters: Unpack[Parameters]) -> FloatArray:
        """Probability that a new customer makes n repeat purchases in (0, t]."""
        return self.pmf(n, 0, 0, 0, t, **parameters)

    def if_alive(
        self, phase: int, x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """R, A, a and B of a customer alive at T in a phase, after x repeat purchases."""
        r, alpha, a, b = check_parameters(**parameters)
        x, T = check_counts("x", x), np.asarray(T, dtype=np.float64)
        return r + self.regularity * x + phase, alpha + T, a, self.stay_shape(x, b=b)

    def _phase_odds(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Odds of each phase against the first, shape (k, ...)."""
        x, t_x, T = check_histories(x, t_x, T)
        r, alpha, a, b = check_parameters(**parameters)
        R, since = r + self.regularity * x, (T - t_x) / (alpha + T)
        term = np.ones(np.broadcast_shapes(R.shape, since.shape, a.shape, b.shape))
        odds = [term]
        for j in range(1, self.regularity):
            term = term * since * (R + (j - 1)) / j
            odds.append(term)
        return np.array(odds)

    def _log_odds(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> tuple[FloatArray, FloatArray]:
        """Log odds of being alive, and of having dropped out, against phase 0."""
        odds = self._phase_odds(x, t_x, T, **parameters)
        x, t_x, T = check_histories(x, t_x, T)
        terms = self.log_odds_terms(x, **parameters)
        _, alpha, _, _ = check_parameters(**parameters)
        dropped = terms.offset + terms.power * np.log1p((T - t_x) / (alpha + t_x))
        return np.log(odds.sum(axis=0)), np.asarray(dropped)

    def _mixed(
        self,
        value: Callable[[int, _Living], FloatArray],
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Sum over phases of weight times value(phase, (R, A, a, B))."""
        weights = self.p_phases(x, t_x, T, **parameters)
        total: FloatArray = np.zeros(())
        for phase, weight in enumerate(weights):
            if phase > 0 and not weight.any():
                continue
            values = value(phase, self.if_alive(phase, x, T, **parameters))
            endless = np.isinf(values)  # a phase may be impossible, at t_x = T: 0 times infinity
            total = total + weight * np.where(endless, 0.0, values)
            total = np.where(endless & ((weight > 0.0) | (phase == 0)), np.inf, total)
        return np.asarray(total)
