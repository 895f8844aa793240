"""The story of customers who buy at rates of their own and leave at purchases, as it is told.

Customers are drawn with what is never observed of them, and buy one by one: what is known
of each is used for nothing but to go on. Forecasts integrate it out instead
(`Living.walk`), so that the two are a check of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clvmodels.schema import FloatArray

Round = tuple[npt.NDArray[np.int64], FloatArray]


class Customers(NamedTuple):
    """What is never observed: each customer's own parameters.

    Attributes
    ----------
    purchase_rate : ndarray of shape (n,)
        lambda, purchases, or stages between them, per unit of time.
    dropout : ndarray of shape (n,)
        What they leave by: p, the probability of leaving after a purchase; in Pareto/NBD mu,
        a rate per unit of time.
    """

    purchase_rate: FloatArray
    dropout: FloatArray


def rounds(
    customers: Customers,
    observed: FloatArray,
    rng: np.random.Generator,
    *,
    at_first: int,
    stages: int = 1,
) -> Iterator[Round]:
    """Yield, round by round, who buys once more within their time, and when.

    Parameters
    ----------
    customers : Customers
    observed : ndarray of shape (n,)
        Each customer's time under observation.
    rng : Generator
    at_first : int
        How often customers may leave at the first purchase of all.
    stages : int
        Of the Poisson process from one purchase to the next.

    Yields
    ------
    who : ndarray of int
        Positions, increasing.
    when : ndarray of float
        Time since the first purchase, no later than ``observed[who]``.
    """
    rate, dropout = customers
    who = np.arange(len(rate))
    for _ in range(at_first):
        who = who[rng.random(who.size) >= dropout[who]]
    when = np.zeros(who.size)
    while who.size:
        # A rate may underflow to 0: the wait is then infinite, as it should be.
        with np.errstate(divide="ignore", over="ignore"):
            when = when + rng.standard_gamma(stages, who.size) / rate[who]
        inside = when <= observed[who]
        who, when = who[inside], when[inside]
        if not who.size:
            return
        yield who, when
        stays = rng.random(who.size) >= dropout[who]
        who, when = who[stays], when[stays]
