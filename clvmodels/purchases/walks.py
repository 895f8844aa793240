"""What living customers go on to buy, purchase by purchase: what families and loops share.

A family walks every path in a compiled loop of its own (:meth:`Living.walk`), since only it
knows when customers buy next and whether they stay. What an order is worth, and when it is
due, is the same for all families, and stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clvmodels.formulas._jit import compiled
from clvmodels.formulas.random import gamma
from clvmodels.schema import FloatArray

if TYPE_CHECKING:
    from clvmodels.purchases.family import Living

Int32Array = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Walks:
    """Paths to be walked, one after the other: what is known of them, and what comes out.

    Attributes
    ----------
    key, phase, draw : ndarray of int32, shape (n,)
        Which (x, T) of the `Living`, which phase, and which draw.
    chance : ndarray, shape (n,)
        P(next purchase <= t | alive) at the time t of the first purchase: more than 0 and at
        most P(a purchase within the horizon), so that every path has one.
    state : ndarray of uint64, shape (n,)
        Of each path's random numbers, `clvmodels.formulas.random`; is advanced.
    shape : ndarray, shape (S,)
        Of one order's amount, by draw; 0 where every order counts as 1.
    orders : ndarray, shape (n,)
        Is filled with the discounted sum of amounts.
    bought : ndarray of int64, shape (n,)
        Is filled with the number of purchases.
    stays : ndarray of bool, shape (n,)
        Is filled with whether the customer is alive at the end of the horizon.
    begin : ndarray of int64, shape (n,) or (0,)
        Where the purchases of a path are recorded: from times[begin] on. If it is empty,
        they are not.
    times, amounts : ndarray
        Since T, and not discounted.
    """

    key: Int32Array
    phase: Int32Array
    draw: Int32Array
    chance: FloatArray
    state: npt.NDArray[np.uint64]
    shape: FloatArray
    orders: FloatArray
    bought: npt.NDArray[np.int64]
    stays: npt.NDArray[np.bool_]
    begin: npt.NDArray[np.int64]
    times: FloatArray
    amounts: FloatArray

    @staticmethod
    def room(n: int, shape: FloatArray) -> Walks:
        """Make room for n paths that are not recorded."""
        return Walks(
            key=np.empty(n, dtype=np.int32),
            phase=np.empty(n, dtype=np.int32),
            draw=np.empty(n, dtype=np.int32),
            chance=np.empty(n),
            state=np.empty(n, dtype=np.uint64),
            shape=shape,
            orders=np.empty(n),
            bought=np.empty(n, dtype=np.int64),
            stays=np.empty(n, dtype=np.bool_),
            begin=np.empty(0, dtype=np.int64),
            times=np.empty(0),
            amounts=np.empty(0),
        )

    def some(self, which: slice | npt.NDArray[np.int64]) -> Walks:
        """Return some of the paths, not to be recorded."""
        return Walks(
            self.key[which],
            self.phase[which],
            self.draw[which],
            self.chance[which],
            self.state[which],
            self.shape,
            self.orders[which],
            self.bought[which],
            self.stays[which],
            self.begin,
            self.times,
            self.amounts,
        )

    def by(self, living: Living, rows: npt.NDArray[np.int64], **own: Any) -> None:
        """Let others walk some of the paths, which are ``own`` ones to them, and take them back."""
        begin = self.begin[rows] if len(self.begin) else self.begin
        some = replace(self.some(rows), begin=begin, **own)
        living.walk(some)
        for name in ("state", "orders", "bought", "stays"):
            getattr(self, name)[rows] = getattr(some, name)


@compiled
def order(shape: float, state: np.uint64) -> tuple[float, np.uint64]:
    """Amount of one order in units of 1 / nu, and the state of the random numbers after it."""
    if shape == 0.0:  # a basket of one fixed value
        return 1.0, state
    return gamma(shape, state)
