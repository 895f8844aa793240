"""The density of a clock and a model's parameters together, given a log.

All is by days: a log is its distinct (x, first day, last day) with counts, and its counts of
(day, next day). Coefficients of the clock are standard normal times a width: .5 for a day of the
week, .15 for harmonics of the year, and for shocks one that is learnt. Those of slow parts are
not: on logs of less than a year free ones ran off. The parameters keep the model's priors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from clvmodels.errors import DomainError, SchemaError
from clvmodels.fit.age_density import Ageing, slopes_of
from clvmodels.fit.covariates import OLDER_SD
from clvmodels.fit.density import Density, compile_density
from clvmodels.formulas.in_time import InTime
from clvmodels.purchases.age_curve import SLOPES, prior_scale
from clvmodels.purchases.clock import Clock, harmonics, weekdays, width_of_shocks
from clvmodels.rfm.day_pairs import DayPairs, day_pairs_of
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import DAYS_PER_MONTH, FloatArray

if TYPE_CHECKING:
    from clvmodels.fit.purchases import PurchaseSpecification

IntArray = npt.NDArray[np.int64]

OLDER: Final = "older"
AGE: Final = "age"
WIDTHS: Final = {"week": 0.5, "season": 0.15, "shocks": 0.05, OLDER: OLDER_SD, AGE: 1.0}
_MOST_CUSTOMERS: Final = 100_000  # that a clock is learnt from
_FEWEST: Final = 30  # repeat purchases


@dataclass(frozen=True, slots=True, eq=False)
class DailyLog:
    """What a clock is learnt from.

    Attributes
    ----------
    x : ndarray, shape (H,)
        Of distinct histories.
    first, last : ndarray of int, shape (H,)
        Their days, from the log's first one on.
    count : ndarray, shape (H,)
        Customers who share one.
    pairs : DayPairs
        By the same days, of all customers.
    share : float
        Customers that are here, of those that the pairs are of.
    bought : ndarray, shape (days + 1,)
        Repeat purchases of every day, of as many customers as there are here.
    begin, days : int
        The log's first day since 1970-01-01, and how many follow it.
    unit : float
        Days of the unit that parameters are in.
    """

    x: FloatArray
    first: IntArray
    last: IntArray
    count: FloatArray
    pairs: DayPairs
    share: float
    bought: FloatArray
    begin: int
    days: int
    unit: float

    @classmethod
    def of(cls, columns: RfmColumns, seed: int) -> DailyLog:
        """Take it of a base; of more than 100,000 customers by a random sample.

        Raises
        ------
        SchemaError
            The base has no pairs of days.
        DomainError
            It has too few repeat purchases.
        """
        pairs, first, last = day_pairs_of(columns)
        repeats = int(columns.x.sum())
        if repeats < _FEWEST:
            raise DomainError(
                f"A clock takes {_FEWEST} repeat purchases at least, and this base has "
                f"{repeats:,}: leave the clock out."
            )
        end, begin = int(columns.last_day or 0), int(first.min())
        one, of = distinct_rows(
            columns.x, *(np.asarray(day - begin, float) for day in (first, last))
        )
        count = np.bincount(of, minlength=len(one))
        share = min(_MOST_CUSTOMERS / len(columns), 1.0)
        if share < 1.0:
            rng = np.random.default_rng(seed)
            count = rng.multivariate_hypergeometric(count, _MOST_CUSTOMERS, method="marginals")
            one, count = one[count > 0], count[count > 0]
        pairs = replace(pairs, day=pairs.day - begin, next_day=pairs.next_day - begin)
        times = columns.x[one], first[one] - begin, last[one] - begin
        unit = columns.scale.days if columns.scale else 1.0
        bought = np.asarray(share * np.bincount(pairs.next_day, pairs.count, end - begin + 1))
        each = count.astype(np.float64)
        return cls(*times, each, pairs, share, bought, begin, end - begin, unit)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A part of the clock: log g = columns @ (width z), z standard normal; begin is z's place."""

    columns: FloatArray
    width: float
    begin: int

    @property
    def place(self) -> slice:
        """Where its coefficients are."""
        return slice(self.begin, self.begin + self.columns.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class ClockDensity:
    """Log density of parameters and clock together, as `clvmodels.fit.mode` climbs it.

    Attributes
    ----------
    start : ndarray, shape (dim,)
        Unconstrained parameters, then the clock's coefficients, standard normal.
    log : DailyLog
    base : InTime
        Its histories.
    regularity : int
        k of the model.
    names : tuple of str
        Parameters of the likelihood.
    priors : Density
        Of those that are sampled; see `_priors`.
    blocks : mapping of str to Block
        Parts of the clock: week, season, shocks.
    ageing : Ageing or None
        The histories that an age curve changes, where there is one.
    """

    start: FloatArray
    log: DailyLog
    base: InTime
    regularity: int
    names: tuple[str, ...]
    priors: Density
    blocks: Mapping[str, Block]
    ageing: Ageing | None = None
    metric: ClassVar[None] = None  # it begins at no earlier posterior

    @classmethod
    def of(
        cls,
        model: PurchaseSpecification[Any],
        log: DailyLog,
        clock: Clock,
        *,
        season: bool,
        older: bool = False,
    ) -> ClockDensity:
        """Put it together, with the parts that a clock has, and a rate of older customers.

        Raises
        ------
        SchemaError
            The model learns no clock.
        """
        facts = model.facts
        base = facts.formulas.in_time(log.x, log.count)
        if base is None:
            raise SchemaError(
                f"{facts.name} learns no clock: its customers may leave on any day, whether or "
                "not they buy. Leave clock out, or take a model whose customers leave at "
                "purchases, such as BetaGeoModel or ModifiedBetaGeoModel."
            )
        mean_T = float(log.count @ (log.days - log.first) / log.count.sum()) / log.unit
        priors = _priors(model, mean_T or 1.0 / log.unit)
        blocks, begin = {}, priors.dim
        parts = _parts(log, clock, season=season)
        if older:  # it moves their time, and that of no day
            parts.append((OLDER, np.zeros((log.days + 1, 1))))
        ageing = None
        if clock.age:
            ageing = Ageing.of(log, DAYS_PER_MONTH if older else 0.0, facts.regularity)
            parts.append((AGE, np.zeros((log.days + 1, SLOPES))))
        for name, part in parts:
            blocks[name] = Block(part, WIDTHS[name], begin)
            begin += part.shape[1]
        start = np.concatenate([priors.start, np.zeros(begin - priors.dim)])
        names = facts.parameter_names
        return cls(start, log, base, facts.regularity, names, priors, blocks, ageing)

    @property
    def dim(self) -> int:
        """How many parameters and coefficients there are."""
        return len(self.start)

    def log_intensity(self, theta: FloatArray) -> FloatArray:
        """Of every day of the log from the first one on, before its mean is taken off."""
        out = np.zeros(self.log.days + 1)
        for block in self.blocks.values():
            out += block.columns @ (block.width * theta[block.place])
        return out

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at one point; -inf and zeros where it is not finite."""
        log, free = self.log, theta[self.priors.dim :]
        g = np.exp(self.log_intensity(theta))
        g /= g[1:].mean()
        passed = np.concatenate([[0.0], np.cumsum(g[1:])]) / log.unit
        parameters = self.priors.constrain(theta[None, : self.priors.dim])
        speed, older = self._speed(theta)
        recency = speed * (passed[log.last] - passed[log.first])
        age = speed * (passed[-1] - passed[log.first])
        ageing, own = self.ageing, None
        if ageing is not None:
            slopes = slopes_of(theta[self.blocks[AGE].place])
            own, table = ageing.times(passed, slopes)
            recency[ageing.rows], age[ageing.rows] = own.recency, own.age
        theirs = {name: parameters[name][0] for name in self.names}
        found = self.base(recency, age, **theirs)
        bought = log.bought
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps, by_passed = self._of_gaps(passed)
            value = found.value + gaps + float(bought @ np.log(g))
        by_recency, by_age = speed * found.by_recency, speed * found.by_age
        by_slopes = np.zeros(0)
        if ageing is not None and own is not None:
            more, by_slopes = ageing.of_purchases(slopes, table)
            value += more
            theirs_by = found.by_recency[ageing.rows], found.by_age[ageing.rows]
            by_slopes += ageing.by_slopes(own, *theirs_by)
            by_recency[ageing.rows] *= own.recency_pace
            by_age[ageing.rows] *= own.age_pace
        by_passed += np.bincount(log.last, by_recency, len(g))
        by_passed -= np.bincount(log.first, by_recency + by_age, len(g))
        by_passed[-1] += by_age.sum()
        # a day's g moves all that has passed by its end; and its mean stays 1
        by_log = g / log.unit * np.cumsum(by_passed[::-1])[::-1] + bought
        by_log[0] = bought[0]
        by_log[1:] -= g[1:] / log.days * by_log.sum()
        by_parameters, prior = self._by_parameters(theta, parameters, found.by_parameter[:, 0])
        value += prior - 0.5 * float(free @ free)
        gradient = np.concatenate([by_parameters, -free])
        for block in self.blocks.values():
            gradient[block.place] += block.width * (block.columns.T @ by_log)
        if older is not None:
            # to buy e^u times as fast is to have e^u times as much time, in every stage
            block, stages = self.blocks[OLDER], self.regularity * log.count * log.x
            value += block.width * float(theta[block.begin]) * float(stages[older].sum())
            moved = found.by_recency * recency + found.by_age * age + stages
            gradient[block.place] += block.width * moved[older].sum()
        if ageing is not None:
            gradient[self.blocks[AGE].place] += prior_scale().T @ by_slopes
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, np.zeros(self.dim)
        return value, gradient

    def _speed(self, theta: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_] | None]:
        """How fast each history's time passes beside others', and which are older customers'."""
        speed, block = np.ones(len(self.log.x)), self.blocks.get(OLDER)
        if block is None:
            return speed, None
        older = self.log.first < DAYS_PER_MONTH
        speed[older] = np.exp(block.width * theta[block.begin])
        return speed, older

    def _of_gaps(self, passed: FloatArray) -> tuple[float, FloatArray]:
        """What the likelihood owes to the gaps between purchases, and its slopes by ``passed``."""
        pairs, slopes = self.log.pairs, np.zeros(len(passed))
        if self.regularity == 1:
            return 0.0, slopes
        power = (self.regularity - 1) * self.log.share * pairs.count
        gap = passed[pairs.next_day] - passed[pairs.day]
        slopes += np.bincount(pairs.next_day, power / gap, len(passed))
        slopes -= np.bincount(pairs.day, power / gap, len(passed))
        return float(power @ np.log(gap)), slopes

    def _by_parameters(
        self, theta: FloatArray, parameters: Mapping[str, FloatArray], slopes: FloatArray
    ) -> tuple[FloatArray, float]:
        """Gradient by the unconstrained parameters, and the log of their prior."""
        given = replace(self.priors, data={**self.priors.data, "slopes": slopes})
        value, gradient = given(theta[: self.priors.dim])
        pulled = sum(
            slope * float(parameters[name][0])
            for name, slope in zip(self.names, slopes, strict=True)
        )
        return gradient, value - pulled


def _priors(model: PurchaseSpecification[Any], scale: float) -> Density:
    """Priors of the parameters plus slopes times parameters.

    Its gradient is that of the priors and, by the chain rule, of anything whose derivatives by
    the parameters are the slopes, whatever the priors and however they are sampled.
    """
    import pymc as pm

    with pm.Model() as built:
        found = model._variables(scale)
        parameters = [found[name] for name in model.facts.parameter_names]
        slopes = pm.Data("slopes", np.zeros(len(parameters)))
        pm.Potential("pull", sum(slopes[i] * one for i, one in enumerate(parameters)))
    return compile_density(built, key=("clock", model._key()))


def _parts(log: DailyLog, clock: Clock, *, season: bool) -> list[tuple[str, FloatArray]]:
    days = log.begin + np.arange(log.days + 1)
    found = [("week", weekdays(days))] if clock.day_of_week else []
    if season:
        found.append(("season", harmonics(days)))
    if clock.shocks and (part := _shocks(log.days)).shape[1]:
        found.append(("shocks", part))
    return found


def _shocks(days: int) -> FloatArray:
    """A column for each period, without what is constant, linear or quadratic in time."""
    width = width_of_shocks(days)
    count = max(days // width, 1)
    place = np.minimum(np.arange(days + 1) // width, count - 1)
    time = np.linspace(-1.0, 1.0, count)
    trends = np.stack([np.ones(count), time, time**2][: max(count - 1, 1)], axis=1)
    return np.asarray((np.eye(count) - trends @ np.linalg.pinv(trends))[place])
