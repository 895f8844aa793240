"""What a purchase model can compute: a family, of which the loops know these methods.

In all functions x is the number of repeat purchases, t_x the time of the last one and T
the customer's age, both counted from the first purchase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

import numpy as np
import numpy.typing as npt

from clvmodels.purchases.alive_in_sql import AliveInSql, dropout_in_sql
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.formulas.discounting import Due
    from clvmodels.formulas.fused import Fused
    from clvmodels.formulas.in_time import InTime
    from clvmodels.formulas.story import Customers, Round
    from clvmodels.purchases.walks import Walks

Numbers = npt.ArrayLike
Draws = Mapping[str, FloatArray]
NO_ROWS: Final = np.zeros(0, dtype=np.int64)


class Family(Protocol):
    """What a purchase model can compute: all that the loops know of it.

    Whatever is forecast is a sum over phases j of w_j(x, t_x, T) m_j(x, T): the probability
    of being alive and in phase j, and what a living customer does who is. `weights` has the
    one, `living` the other; both are compiled code of the family, or plain NumPy, that fills
    arrays which the loops only read. A new customer is one with x = t_x = T = 0.

    Phases are for families in which a living customer's next purchase depends on more than
    x and T (Erlang-k timing); all others have one.
    """

    @property
    def phases(self) -> int:
        """How many phases there are, K."""

    @property
    def gap_power(self) -> int:
        """Power of each time between purchases in the likelihood, beside `log_likelihood`.

        What a history's likelihood owes to how its purchases lie between first and last is
        no function of (x, t_x, T): for Erlang-k timing it is the product of the gaps to the
        power k - 1. It does not depend on parameters, and only where models of different
        power are compared does it matter (`clvmodels.rfm.gaps`). 0 where time passes without
        memory.
        """

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> Weights:
        """P(alive) of histories, each of shape (H,), for draws of shape (S,) by name."""

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> Living:
        """What customers of distinct (x, T) do who are alive at T; both of shape (P,).

        Under a calendar (:class:`~clvmodels.formulas.discounting.Due`) the horizon differs by
        draw: `due.until`.
        """

    def strip(self, draws: Draws) -> tuple[float, float] | None:
        """Return c > 0 and w such that what the living buy is analytic in u = ln(c + T).

        Its singularities must lie at least w off the real axis, with any smaller c too: pi
        where T occurs as alpha + T alone, alpha >= c, and is singular only where that is
        negative. It is then interpolated in u where there are many T. None where it is not
        worth it: it is then asked for at every T.
        """

    def along(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers of one x within many lengths, shape (K, S, ages, lengths).

        Undiscounted, of ages T; the more there are, the cheaper each should be. Lengths are the
        same in all draws, or of shape (S, lengths).
        """

    def staying(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """P(alive after many lengths | alive at T), of the shape of `along`.

        Analytic in T where those are.
        """

    def in_sql(self) -> AliveInSql | None:
        """P(alive, in phase) as an expression in SQL; None where a warehouse cannot compute it.

        What the living buy goes there as polynomials, for which there must be a `strip`.
        """

    def endless(self, **parameters: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the undiscounted purchases of a lifetime are infinite in expectation."""

    # At points: arrays that are broadcast, parameters by name.

    def log_likelihood(
        self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Numbers
    ) -> FloatArray:
        """Log-likelihood of each history, up to its gaps to the power `gap_power`."""

    def fused(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        count: FloatArray,
        *,
        stratum: npt.NDArray[np.integer] | None = None,
    ) -> Fused:
        """Prepare a base for a compiled sum of the log-likelihood, and its gradient."""

    def in_time(
        self, x: FloatArray, count: FloatArray, *, stratum: npt.NDArray[np.integer] | None = None
    ) -> InTime | None:
        """Prepare a base for its log-likelihood with derivatives by t_x and T too.

        None where a common intensity of the day does not only change t_x and T, as where
        customers leave at any time, whatever they buy: such models learn no calendar.
        """

    def customers(
        self,
        size: int,
        rngs: tuple[np.random.Generator, np.random.Generator],
        **parameters: Numbers,
    ) -> Customers:
        """Draw new customers, with what is never observed of them."""

    def repeat_purchases(
        self, customers: Customers, observed: FloatArray, rng: np.random.Generator
    ) -> Iterator[Round]:
        """Yield, round by round, who of them buys once more within their time, and when."""

    def p_alive(self, x: Numbers, t_x: Numbers, T: Numbers, **parameters: Numbers) -> FloatArray:
        """Probability of being alive at T."""

    def p_purchase(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Probability of at least one purchase in (T, T + horizon]."""

    def expected_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Purchases expected in (T, T + horizon]."""

    def discounted_purchases(
        self,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        delta: Numbers,
        *,
        month: float | None = None,
        **parameters: Numbers,
    ) -> FloatArray:
        """Discounted purchases expected in (T, T + horizon]."""

    def pmf(
        self,
        n: Numbers,
        x: Numbers,
        t_x: Numbers,
        T: Numbers,
        horizon: Numbers,
        **parameters: Numbers,
    ) -> FloatArray:
        """Probability of exactly n purchases in (T, T + horizon]."""


class OnePhase:
    """What families have alike of whose living customers x and T say all there is to say."""

    __slots__ = ()
    phases: ClassVar[int] = 1
    gap_power: ClassVar[int] = 0

    def along(self: Any, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers of one x within many lengths, (1, S, ages, lengths)."""
        found: FloatArray = self.if_alive_along(x, T, lengths, **draws)[None]
        return found


class LeavesAtPurchases:
    """What families have alike whose customers leave at a purchase, with p ~ Beta(a, B)."""

    __slots__ = ()

    def staying(
        self: Any, x: float, T: FloatArray, lengths: FloatArray, draws: Draws
    ) -> FloatArray:
        """P(alive after many lengths | alive at T), (K, S, ages, lengths).

        Each purchase is the last with probability p, so who has left by then is E[p N], and p
        times the density of Beta(a, B) is a / (a + B) times that of Beta(a + 1, B).
        """
        a = np.asarray(draws["a"])
        leave = a / (a + self.stay_shape(x, b=draws["b"]))
        bought = self.along(x, T, lengths, {**draws, "a": a + 1.0})
        stay: FloatArray = 1.0 - leave[:, None, None] * bought
        return stay

    def in_sql(self: Any) -> AliveInSql:
        """P(alive, in phase) in SQL: the odds of having left at one of the purchases."""
        return dropout_in_sql(self, self.phases)


class NoCalendar:
    """What families have alike whose customers leave in the time of calendars, not of purchases."""

    __slots__ = ()

    def in_time(
        self, x: FloatArray, count: FloatArray, *, stratum: npt.NDArray[np.integer] | None = None
    ) -> None:
        """There is none: an intensity of the day would change more than t_x and T."""


class Weights(Protocol):
    """Histories and draws, ready for their weights."""

    def fill(self, begin: int, out: FloatArray) -> None:
        """Fill ``out``, shape (K, n, S), with P(alive, in phase) of n histories from begin on."""


class Living(Protocol):
    """Customers alive at T: P distinct (x, T), the keys, for S draws, and what is due."""

    def expect(self) -> tuple[FloatArray, FloatArray]:
        """Purchases expected, undiscounted and discounted, each of shape (P, K, S).

        Asked for without a calendar alone: under one `Family.along` answers
        (`clvmodels.forecast.curves`).
        """

    def buys(self, begin: int, out: FloatArray) -> None:
        """Fill ``out``, shape (n, K, S), with P(a purchase) of n keys from begin on."""

    def idle(self, begin: int, out: FloatArray) -> None:
        """Fill it with P(no purchase, and alive at the end of the horizon)."""

    def busiest(self, begin: int, end: int) -> FloatArray:
        """Purchases expected of somebody who never leaves, in the busiest draw, by key."""

    def survival(
        self,
        begin: int,
        least: float,
        most: int,
        fewest: npt.NDArray[np.int64] = NO_ROWS,
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """P(count >= n) of as many keys from begin on as is convenient, one at least.

        Parameters
        ----------
        begin : int
            First key.
        least : float
            Rows end with the first one whose mean over draws, of the greatest phase, is at
            most this; so is then any mixture of it with probabilities of being alive.
        most : int
            Rows of a key at most.
        fewest : ndarray of int
            Rows at least of some keys, from the first one on, each no more than ``most``.

        Returns
        -------
        table : ndarray, shape (rows, K, S)
            Of n = 1, 2, ... of one key after the other; the next call may overwrite it.
        start : ndarray of int, shape (keys + 1,)
            Where the rows of each begin; a key has none where ``most`` are too few.
        """

    def exceeds(self, key: int, n: float) -> FloatArray:
        """P(count > n) of one key, shape (K, S), for any whole n >= -1."""

    def walk(self, walks: Walks) -> None:
        """Simulate living customers exactly, purchase by purchase.

        For every path that `Walks` lists: find when the customer buys first, by the chance
        that is given; at each purchase take its amount (`clvmodels.purchases.walks.order`)
        and what that is worth (`present_value` of `clvmodels.formulas.discounting`); draw
        whether the customer stays and when the next purchase is; go on to the end of the
        horizon. Random numbers come from the path's own state alone, and so do not depend
        on what else is walked. Of paths that are recorded the times and amounts go where
        ``begin`` says; walking a path again gives the same purchases.
        """
