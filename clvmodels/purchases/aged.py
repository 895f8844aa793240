"""A purchase model whose customers' pace changes with their age, as a family like any other.

Customers who leave at purchases are, t after their first one, where those of the model without
an age curve are after A(t) (`clvmodels.purchases.age_curve`): whatever is asked of t_x, T and a
horizon is answered by the model's own family at A(t_x), A(T) and A(T + horizon) - A(T), and
dates are found by the way back. Horizons so differ by age, which loops need not know of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.formulas.discounting import Due
from clvmodels.purchases.age_curve import AgeCurve
from clvmodels.purchases.family import NO_ROWS, Draws, Family, Living, Numbers, Weights
from clvmodels.purchases.of_others import MadeOfOthers
from clvmodels.purchases.walks import Walks
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]

_MOST_LENGTHS: Final = 2_000_000  # at a time
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_SHORT: Final = 0.1  # of 14 days: the scale from which on nodes spread by their logarithm
_GONE: Final = 45.0  # discount rates times time, of which nothing is left
_MONTHS: Final = 120  # of a lifetime, of which each counts by itself
_EDGES: Final = 256
_LIFE: Final = 36_525.0  # days, up to which purchases are dated


@dataclass(frozen=True, slots=True)
class AgedFamily(MadeOfOthers):
    """What the loops read; see `clvmodels.purchases.family.Family`.

    Attributes
    ----------
    base : Family
        Of a model whose customers leave at purchases, with alpha for the unit of its times.
    curve : AgeCurve
    """

    base: Family
    curve: AgeCurve

    @property
    def phases(self) -> int:
        """As many as the model has."""
        return self.base.phases

    @property
    def gap_power(self) -> int:
        """That of the model."""
        return self.base.gap_power

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> Weights:
        """P(alive, in phase) of histories."""
        return self.base.weights(x, self.curve.passed(t_x), self.curve.passed(T), draws)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> Living:
        """What customers do who are alive."""
        until, passed = due.until(len(draws["alpha"])), self.curve.passed(T)
        alike = bool((until == until[0]).all())
        ahead = self.curve.passed(T + until[0]) - passed if alike else None
        return _Living(self, x, T, draws, due, until, passed, ahead)

    def strip(self, draws: Draws) -> tuple[float, float] | None:
        """Return that of the family, as far as the curve is analytic."""
        found = self.base.strip(draws)
        return None if found is None else self.curve.strip(*found)

    def along(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers within many lengths, (K, S, ages, lengths).

        They depend on the length over alpha + T alone: all of them are lengths of one age.
        """
        return self._at_one_age("along", x, T, lengths, draws)

    def staying(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """P(alive after many lengths | alive at T), (K, S, ages, lengths), in the same way."""
        return self._at_one_age("staying", x, T, lengths, draws)

    def _at_one_age(
        self, verb: str, x: float, T: FloatArray, lengths: FloatArray, draws: Draws
    ) -> FloatArray:
        alpha, passed = draws["alpha"][:, None], self.curve.passed(T)
        size = lengths.shape[-1]
        out = np.empty((self.phases, len(alpha), len(T), size))
        some = max(_MOST_LENGTHS // (len(alpha) * size), 1)
        for begin in range(0, len(T), some):
            rows = slice(begin, begin + some)
            ages, each = T[rows, None], lengths if lengths.ndim == 1 else lengths[:, None]
            ahead = self.curve.passed(ages + each) - passed[rows, None]
            scaled = ahead * (alpha / (alpha + passed[rows]))[..., None]
            found = getattr(self.base, verb)(x, np.zeros(1), scaled.reshape(len(alpha), -1), draws)
            out[:, :, rows] = found.reshape(out[:, :, rows].shape)
        return out

    def endless(self, **parameters: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the undiscounted purchases of a lifetime are infinite: all time passes."""
        return self.base.endless(**parameters)

    def _at(
        self,
        verb: str,
        data: Mapping[str, Numbers],
        parameters: Mapping[str, Numbers],
        options: Mapping[str, Any],
    ) -> Any:
        """Answer in the family's time."""
        own = {name: np.asarray(one, dtype=np.float64) for name, one in data.items()}
        if verb == "discounted_purchases":
            delta, month = float(own.pop("delta")), options.get("month") or 0.0
            lengths, weights = self.worth(own["horizon"], delta, month)
            own |= {"horizon": lengths, **{n: own[n][None] for n in ("x", "t_x", "T")}}
            return self._summed(own, weights, parameters)
        if "horizon" in own:
            own["horizon"] = self.curve.ahead(own["T"], own["horizon"])
        own |= {name: self.curve.passed(own[name]) for name in ("t_x", "T")}
        return getattr(self.base, verb)(*own.values(), **parameters, **options)

    def _summed(
        self, data: Mapping[str, FloatArray], weights: FloatArray, parameters: Mapping[str, Numbers]
    ) -> Any:
        """Sum of expected purchases within lengths, the first axis of horizons, times weights."""
        found: Any = 0.0
        for length, weight in zip(data["horizon"], weights, strict=True):
            one = [data[name][0] for name in ("x", "t_x", "T")]
            found = found + weight * self._at(
                "expected_purchases",
                dict(zip(("x", "t_x", "T", "horizon"), [*one, length], strict=True)),
                parameters,
                {},
            )
        return found

    def worth(
        self, horizon: FloatArray, delta: float, month: float
    ) -> tuple[FloatArray, FloatArray]:
        """Discounted purchases as a sum over lengths, of purchases within each times a weight.

        By parts, as under a calendar: e^(-delta H) M(H) + delta int_0^H e^(-delta t) M(t) dt,
        on Gauss's nodes in the logarithm of time, or a sum over the ends of months. Of a
        lifetime by the month the first ten years are exact, and what comes later flows evenly
        within each month.

        Returns
        -------
        tuple of ndarray, shape (n, ...)
            Of each horizon.
        """
        H = np.asarray(horizon, dtype=np.float64)
        if delta == 0.0:
            return H[None], np.ones((1, *H.shape))
        if month == 0.0:
            return self._flowing(np.zeros_like(H), H, delta)
        whole = np.isinf(H)
        last = _MONTHS if whole.all() else math.ceil(float(H[~whole].max()) / month)
        last = max(last, _MONTHS if whole.any() else 1)
        ends = (month * np.arange(1, last + 1)).reshape(-1, *(1,) * H.ndim)
        lost = np.exp(-delta * ends)
        weights = np.append(lost[:-1] - lost[1:], lost[-1:], axis=0) * np.ones_like(H)
        lengths = np.minimum(ends, H)
        if whole.any():
            begin = np.where(whole, month * last, 0.0)
            nodes, later = self._flowing(begin, np.where(whole, H, 0.0), delta)
            even = delta * month / math.expm1(delta * month)
            lengths = np.concatenate([lengths, nodes, begin[None]])
            off = np.exp(-delta * begin) * whole
            weights = np.concatenate([weights, even * later * whole, -even * off[None]])
        return lengths, weights

    def _flowing(
        self, begin: FloatArray, end: FloatArray, delta: float
    ) -> tuple[FloatArray, FloatArray]:
        """Weights of delta int e^(-delta t) M(t) dt from begin to end, and of M at the end."""
        short = _SHORT * 14.0 / self.curve.days
        until = np.minimum(end, begin + _GONE / delta)
        low, high = np.log1p(begin / short), np.log1p(until / short)
        shape = (-1, *(1,) * np.ndim(end))
        half = (high - low) / 2.0
        u = low + half * (1.0 + _NODES.reshape(shape))
        t = short * np.expm1(u)
        inner = _WEIGHTS.reshape(shape) * half * delta * np.exp(-delta * t) * (t + short)
        at_end = np.where(np.isinf(end), 0.0, np.exp(-delta * until))
        return np.concatenate([t, until[None]]), np.concatenate([inner, at_end[None]])


@dataclass(frozen=True, slots=True)
class _Living:
    """Customers alive at T, each asked for by itself: own horizons differ by age.

    Beside what was asked: the horizon of each draw without the curve; T by the curve; and the
    horizon of each key by it, where it is the same in all draws.
    """

    family: AgedFamily
    x: FloatArray
    T: FloatArray
    draws: Draws
    due: Due
    until: FloatArray
    passed: FloatArray
    ahead: FloatArray | None

    @property
    def size(self) -> int:
        """How many draws there are."""
        return len(self.draws["alpha"])

    def expect(self) -> tuple[FloatArray, FloatArray]:
        family, due = self.family, self.due
        H = np.array([due.horizon])
        if math.isinf(due.horizon):
            whole = family.base.living(self.x, self.passed, self.draws, Due(math.inf))
            purchases = whole.expect()[0]
        else:
            purchases = self._along(H, np.ones(1))
        if due.delta == 0.0:
            return purchases, purchases
        lengths, weights = family.worth(H, due.delta, due.month)
        return purchases, self._along(lengths[:, 0], weights[:, 0])

    def _along(self, lengths: FloatArray, weights: FloatArray) -> FloatArray:
        """Sums over lengths, shape (P, K, S)."""
        out = np.empty((len(self.x), self.family.phases, self.size))
        for one in np.unique(self.x):
            rows = np.flatnonzero(self.x == one)
            found = self.family.along(float(one), self.T[rows], lengths, self.draws)
            out[rows] = (found @ weights).transpose(2, 0, 1)
        return out

    def _one(self, key: int) -> Living:
        """The family's own living of one key, until its own horizon."""
        due, one = self.due, slice(key, key + 1)
        if self.ahead is not None:
            own = Due(float(self.ahead[key]), due.delta, due.month)
        else:
            ahead = self.family.curve.ahead(float(self.T[key]), self.until)
            warped = np.stack([np.zeros(self.size), ahead], axis=1)
            own = due._replace(edges=np.array([0.0, due.horizon]), warped=warped)
        return self.family.base.living(self.x[one], self.passed[one], self.draws, own)

    def buys(self, begin: int, out: FloatArray) -> None:
        for i in range(len(out)):
            self._one(begin + i).buys(0, out[i : i + 1])

    def idle(self, begin: int, out: FloatArray) -> None:
        for i in range(len(out)):
            self._one(begin + i).idle(0, out[i : i + 1])

    def busiest(self, begin: int, end: int) -> FloatArray:
        found = [self._one(key).busiest(0, 1) for key in range(begin, end)]
        return np.concatenate(found) if found else np.empty(0)

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        return self._one(begin).survival(0, least, most, fewest[:1])

    def exceeds(self, key: int, n: float) -> FloatArray:
        return self._one(key).exceeds(0, n)

    def walk(self, walks: Walks) -> None:
        ages, age_of = np.unique(self.T[walks.key], return_inverse=True)
        for place, T in enumerate(ages.tolist()):
            rows = np.flatnonzero(age_of == place)
            keys, key = np.unique(walks.key[rows], return_inverse=True)
            own = walks.some(rows)
            begin = walks.begin[rows] if len(walks.begin) else walks.begin
            own = replace(own, key=key.astype(np.int32), begin=begin)
            passed = np.full(len(keys), float(self.family.curve.passed(T)))
            due = self._dated(T)
            self.family.base.living(self.x[keys], passed, self.draws, due).walk(own)
            for name in ("state", "orders", "bought", "stays"):
                getattr(walks, name)[rows] = getattr(own, name)

    def _dated(self, T: float) -> Due:
        """What is due of customers of one age, with the way from their time back to dates."""
        due, curve = self.due, self.family.curve
        if due.calendar:
            alike = bool((due.warped == due.warped[0]).all())
            passed = curve.ahead(T, due.warped[:1] if alike else due.warped)
            edges = due.edges
        else:
            until = min(due.horizon, _LIFE / curve.days)
            share = np.expm1(np.linspace(0.0, 1.0, _EDGES) * math.log1p(until))
            edges = until * share / share[-1] if until else share
            passed = curve.ahead(T, edges)[None]
        shape = (self.size, len(edges))
        return due._replace(
            edges=edges, warped=np.ascontiguousarray(np.broadcast_to(passed, shape))
        )
