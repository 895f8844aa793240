"""The beta-geometric family: BG/NBD, MBG/NBD.

A customer buys at rate lambda ~ Gamma(r, alpha) while alive, and drops out with
probability p ~ Beta(a, b) whenever the question is put. BG/NBD puts it after every
repeat purchase; MBG/NBD after the first purchase of all too. That is one more question
survived by everybody who is alive: ``extra_stays``, the only difference between them.

In all functions x is the number of repeat purchases, t_x the time of the last one and T
the customer's age, both counted from the first purchase, in the unit of alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Unpack

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, expit, gammaln

from clvmodels.formulas._domain import (
    check_amounts,
    check_counts,
    check_histories,
    check_horizon,
)
from clvmodels.formulas.along import by_age, purchases_along
from clvmodels.formulas.beta_dropout import (
    BetaDropout,
    Numbers,
    Parameters,
    check_parameters,
)
from clvmodels.formulas.beta_geometric_fused import fused
from clvmodels.formulas.counts import count_pmf_if_alive
from clvmodels.formulas.fused import Fused
from clvmodels.formulas.residual import (
    ResidualPurchases,
    discounted_if_alive,
    purchases_if_alive,
    residual_block,
)
from clvmodels.schema import FloatArray


def _times(probability: FloatArray, value: FloatArray) -> FloatArray:
    """Product in which infinity wins: a probability is never exactly 0 here."""
    endless = np.isinf(value)
    return np.where(endless, np.inf, probability * np.where(endless, 0.0, value))


@dataclass(frozen=True, slots=True)
class BetaGeometric(BetaDropout):
    """Formulas of the beta-geometric / negative binomial models.

    Parameters
    ----------
    extra_stays : {0, 1}
        Questions survived by a living customer beyond one per repeat purchase.

    Notes
    -----
    All methods take scalars or arrays, broadcast them and return float64 arrays. Their
    arguments are

    x, t_x, T : array_like
        Repeat purchases, time of the last one, and age.
    horizon, t : array_like
        Length of time from T on, or from a new customer's first purchase; may be infinite.
    delta, month
        Discounting, as in :func:`~clvmodels.formulas.residual.discounted_if_alive`.
    n : array_like
        Number of purchases asked for.
    r, alpha, a, b : array_like
        Parameters, by keyword.

    They raise
    :class:`~clvmodels.errors.DomainError` where x is not a whole number >= 0, not
    0 <= t_x <= T, t_x > 0 at x = 0, a horizon is negative, or a parameter is not finite
    and > 0.

    Equation numbers are those of Fader, Hardie & Lee (2005), "Counting your customers"
    the easy way, Marketing Science 24(2), for BG/NBD. The same derivations with one more
    stay give MBG/NBD (Batislam, Denizel & Filiztekin 2007; Wagner & Hoppe 2008).
    """

    def log_odds_dropped(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Log odds z of having dropped out by T, right after the last purchase.

        z = ln a - ln(B - 1) + (r + x) ln((alpha + T) / (alpha + t_x)), from eq. 6; -inf
        for customers to whom the question was never put (x = 0 in BG/NBD).
        """
        x, t_x, T = check_histories(x, t_x, T)
        terms = self.log_odds_terms(x, **parameters)
        _, alpha, _, _ = check_parameters(**parameters)
        return np.asarray(terms.offset + terms.power * np.log1p((T - t_x) / (alpha + t_x)))

    def log_likelihood(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Log-likelihood of each history, eq. 6.

        ln G(r+x) - ln G(r) + r ln alpha - (r+x) ln(alpha+T) + ln B(a, B) - ln B(a, b)
        + softplus(z), z being :meth:`log_odds_dropped`.
        """
        z = self.log_odds_dropped(x, t_x, T, **parameters)
        x, _, T = check_histories(x, t_x, T)
        r, alpha, a, b = check_parameters(**parameters)
        rate = gammaln(r + x) - gammaln(r) - r * np.log1p(T / alpha) - x * np.log(alpha + T)
        stays = betaln(a, self.stay_shape(x, b=b)) - betaln(a, b)
        return np.asarray(rate + stays + np.logaddexp(0.0, z))

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
        return fused(x, t_x, T, count, stays=x + self.extra_stays, stratum=stratum)

    def p_alive(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Probability of being alive at T, 1 / (1 + e^z)."""
        return np.asarray(expit(-self.log_odds_dropped(x, t_x, T, **parameters)))

    def p_purchase(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Probability of at least one purchase in (T, T + horizon].

        P(alive) (1 - (A / (A + horizon))^R) with R = r + x, A = alpha + T: the question
        is put only after a purchase, so the next one of a living customer comes first.
        """
        alive = self.p_alive(x, t_x, T, **parameters)
        R, A, _, _ = self._if_alive(x, T, **parameters)
        return np.asarray(alive * -np.expm1(-R * np.log1p(check_horizon(horizon) / A)))

    def expected_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Purchases expected in (T, T + horizon], eq. 10.

        P(alive) times :func:`~clvmodels.formulas.residual.purchases_if_alive`; infinite
        at an infinite horizon where a <= 1.
        """
        alive = self.p_alive(x, t_x, T, **parameters)
        return _times(alive, purchases_if_alive(*self._if_alive(x, T, **parameters), horizon))

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

        P(alive) times :func:`~clvmodels.formulas.residual.discounted_if_alive`, which
        documents delta and month.
        """
        alive = self.p_alive(x, t_x, T, **parameters)
        living = self._if_alive(x, T, **parameters)
        return _times(alive, discounted_if_alive(*living, horizon, delta, month=month))

    def if_alive_block(
        self,
        x: Numbers,
        T: Numbers,
        horizon: float,
        delta: float,
        *,
        month: float | None = None,
        **parameters: Unpack[Parameters],
    ) -> ResidualPurchases:
        """Purchases of living customers for draws (rows) by histories (columns).

        See :func:`~clvmodels.formulas.residual.residual_block`; multiply by
        :meth:`p_alive` of each t_x.
        """
        return residual_block(
            x, T, horizon, delta, extra_stays=self.extra_stays, month=month, **parameters
        )

    def if_alive_along(
        self, x: float, T: Numbers, lengths: Numbers, **parameters: Unpack[Parameters]
    ) -> FloatArray:
        """Purchases of living customers of one x for draws by ages by many lengths of time.

        Undiscounted, by ``clvmodels.formulas.along``: the more ages
        and lengths there are, the cheaper is each. Multiply by :meth:`p_alive`.

        Parameters
        ----------
        x : float
            Repeat purchases.
        T : array_like, shape (J,)
            Ages.
        lengths : array_like, shape (K,) or (S, K)
            Lengths of time from T on, finite; the same in all draws, or of each.
        r, alpha, a, b : ndarray, shape (S,)
            Draws of the parameters.

        Returns
        -------
        ndarray, shape (S, J, K)
            Purchases expected if alive.
        """
        count, ages, length = check_counts("x", x), check_amounts("T", T), check_horizon(lengths)
        r, alpha, a, b = check_parameters(**parameters)
        w = by_age(length) / (alpha[:, None, None] + ages[:, None])
        each = np.broadcast_to(self.stay_shape(count, b=b), r.shape)
        return purchases_along(r + count, a, each, w.reshape(len(r), -1)).reshape(w.shape)

    def expected_purchases_new(self, t: Numbers, **parameters: Unpack[Parameters]) -> FloatArray:
        """Repeat purchases expected of a new customer in (0, t], eq. 9."""
        alive = self.p_alive(0, 0, 0, **parameters)
        return _times(alive, purchases_if_alive(*self._if_alive(0, 0, **parameters), t))

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
        alive = self.p_alive(0, 0, 0, **parameters)
        living = self._if_alive(0, 0, **parameters)
        return _times(alive, discounted_if_alive(*living, t, delta, month=month))

    def pmf(
        self,
        n: Numbers,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Unpack[Parameters],
    ) -> FloatArray:
        """Probability of exactly n purchases in (T, T + horizon].

        P(alive) times :func:`~clvmodels.formulas.counts.count_pmf_if_alive`, and at n = 0
        the probability of having dropped out besides.
        """
        z = self.log_odds_dropped(x, t_x, T, **parameters)
        living = count_pmf_if_alive(n, *self._if_alive(x, T, **parameters), horizon)
        none = np.asarray(n, dtype=np.float64) == 0
        return np.asarray(expit(-z) * living + np.where(none, expit(z), 0.0))

    def pmf_new(self, n: Numbers, t: Numbers, **parameters: Unpack[Parameters]) -> FloatArray:
        """Probability that a new customer makes n repeat purchases in (0, t], eq. 8.

        Either n purchases fell in (0, t] and all questions were survived, or the
        customer dropped out at the last of the n, and n or more would have fallen in.
        """
        return self.pmf(n, 0, 0, 0, t, **parameters)

    def _if_alive(
        self, x: Numbers, T: Numbers, **parameters: Unpack[Parameters]
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """R, A, a and B of a customer alive at T after x repeat purchases."""
        r, alpha, a, b = check_parameters(**parameters)
        x, T = np.asarray(x, dtype=np.float64), np.asarray(T, dtype=np.float64)
        return r + x, alpha + T, a, self.stay_shape(x, b=b)


bgnbd: Final = BetaGeometric(extra_stays=0)
mbgnbd: Final = BetaGeometric(extra_stays=1)
