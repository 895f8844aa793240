"""What families share that let others answer: the members of a stack, or a model by strata."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.formulas.fused import Fused
from clvmodels.formulas.story import Customers, Round
from clvmodels.purchases.family import Family, Numbers
from clvmodels.schema import FloatArray


def at_points(verb: Callable[..., Any]) -> Any:
    """Let a verb of `Family` be answered by ``_at``, with its data and its options by name."""
    known = list(inspect.signature(verb).parameters.values())[1:]
    places = [one.name for one in known if one.kind is one.POSITIONAL_OR_KEYWORD]
    choices = [one.name for one in known if one.kind is one.KEYWORD_ONLY]

    @wraps(verb)
    def call(self: Any, *data: Numbers, **parameters: Any) -> Any:
        named = dict(zip(places, data, strict=False))
        named |= {name: parameters.pop(name) for name in places[len(data) :]}
        further = {name: parameters.pop(name) for name in choices if name in parameters}
        return self._at(verb.__name__, named, parameters, further)

    return call


class MadeOfOthers:
    """What families have alike that let others answer, by ``_at``, and what they lack.

    The others are fitted and simulated themselves.
    """

    __slots__ = ()

    # At points: as `Family` has them.

    log_likelihood = at_points(Family.log_likelihood)
    p_alive = at_points(Family.p_alive)
    p_purchase = at_points(Family.p_purchase)
    expected_purchases = at_points(Family.expected_purchases)
    discounted_purchases = at_points(Family.discounted_purchases)
    pmf = at_points(Family.pmf)

    def fused(
        self,
        x: FloatArray,
        t_x: FloatArray,
        T: FloatArray,
        count: FloatArray,
        *,
        stratum: npt.NDArray[np.integer] | None = None,
    ) -> Fused:
        """There is none."""
        raise NotImplementedError

    def in_time(
        self, x: FloatArray, count: FloatArray, *, stratum: npt.NDArray[np.integer] | None = None
    ) -> None:
        """There is none."""

    def in_sql(self) -> None:
        """There is none."""

    def customers(
        self,
        size: int,
        rngs: tuple[np.random.Generator, np.random.Generator],
        **parameters: Numbers,
    ) -> Customers:
        """There are none."""
        raise NotImplementedError

    def repeat_purchases(
        self, customers: Customers, observed: FloatArray, rng: np.random.Generator
    ) -> Iterator[Round]:
        """There are none."""
        raise NotImplementedError
