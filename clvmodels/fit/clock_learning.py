"""A clock learnt from a log: the penalised mode of it and a model's parameters together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.errors import ConvergenceError, DomainError
from clvmodels.fit.age_density import slopes_of
from clvmodels.fit.clock_density import AGE, WIDTHS, Block, ClockDensity, DailyLog
from clvmodels.fit.mode import (
    MODE_TOLERANCE,
    Mode,
    climb,
    find_mode,
    hessian,
    line_search,
    whiten,
)
from clvmodels.purchases.clock import LEAST_YEARS, Clock, LearntClock, width_of_shocks
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import DAYS_PER_YEAR, FloatArray

if TYPE_CHECKING:
    from clvmodels.fit.purchases import PurchaseSpecification

_SWEEPS: Final = 30
_STEPS: Final = 30
_DECREMENT: Final = 1e-6  # of posterior standard deviations
_SAME_WIDTH: Final = 1e-3  # of its logarithm, from sweep to sweep
_EDGE: Final = 3.0  # of a standard normal: beyond it the prior holds


def learn_clock(
    model: PurchaseSpecification[Any],
    columns: RfmColumns,
    clock: Clock,
    seed: int,
    *,
    older: bool = False,
) -> LearntClock:
    """Learn a clock from a base, together with the parameters of a model.

    Of more than 100,000 customers a simple random sample is taken.

    Parameters
    ----------
    model : PurchaseSpecification
        With its priors.
    columns : RfmColumns
        The base, with its pairs of days.
    clock : Clock
        What to learn.
    seed : int
        Of the sample.
    older : bool
        Whether customers of the log's first month have a rate of their own.

    Raises
    ------
    SchemaError
        The model learns no clock, or the base has no pairs of days.
    DomainError
        The base has too few repeat purchases, or too short a log for a season.
    ConvergenceError
        There is no mode near where the search ends.
    """
    log = DailyLog.of(columns, seed)
    long_enough = log.days >= LEAST_YEARS * DAYS_PER_YEAR
    if clock.season is True and not long_enough:
        raise DomainError(
            f"The log has {log.days:,} days, and a season takes {LEAST_YEARS * DAYS_PER_YEAR:.0f}: "
            'leave season at "auto", or use a longer log.'
        )
    joint = ClockDensity.of(
        model, log, clock, season=bool(clock.season) and long_enough, older=older
    )
    found = _learnt(joint)
    if clock.season == "auto" and long_enough:
        other = _learnt(ClockDensity.of(model, log, clock, season=False, older=older))
        if other.evidence >= found.evidence:
            found = other
    if not found.mode.decrement <= MODE_TOLERANCE:
        raise ConvergenceError(
            f"The clock did not converge: its mode is {found.mode.decrement:.2g} posterior "
            f"standard deviations away (at most {MODE_TOLERANCE:g}). Leave the clock out, or its "
            "season or shocks, as in Clock(shocks=False)."
        )
    return found.clock()


@dataclass(frozen=True, slots=True, eq=False)
class _Learnt:
    """A density with its mode."""

    joint: ClockDensity
    mode: Mode

    @property
    def evidence(self) -> float:
        """Log evidence by the Gaussian at the mode; 2 pi of the clock's priors cancels in it."""
        free = self.joint.priors.dim / 2.0 * math.log(2.0 * math.pi)
        return self.mode.value + float(np.linalg.slogdet(self.mode.scale)[1]) + free

    def clock(self) -> LearntClock:
        joint, theta = self.joint, self.mode.location
        log, blocks = joint.log, joint.blocks
        part = {n: b.width * theta[b.place] for n, b in blocks.items()}
        width = width_of_shocks(log.days)
        shocks = np.zeros(0)
        if "shocks" in blocks:
            shocks = (blocks["shocks"].columns @ part["shocks"])[
                np.arange(max(log.days // width, 1)) * width
            ]
        repeating = [n for n in ("week", "season") if n in blocks]
        rows = [np.arange(b.place.start, b.place.stop) for b in (blocks[n] for n in repeating)]
        widths = [np.full(blocks[n].columns.shape[1], blocks[n].width) for n in repeating]
        at = np.concatenate(rows).astype(np.int64) if rows else np.zeros(0, dtype=np.int64)
        scale = np.concatenate(widths)[:, None] * self.mode.scale[at] if rows else np.zeros((0, 0))
        return LearntClock(
            first_day=log.begin,
            last_day=log.begin + log.days,
            week=part.get("week", np.zeros(0)),
            season=part.get("season", np.zeros(0)),
            shocks=shocks,
            width=width,
            sd_of_shocks=blocks["shocks"].width if "shocks" in blocks else 0.0,
            level=float(np.log(np.exp(joint.log_intensity(theta))[1:].mean())),
            doubt=_square_root(scale @ scale.T),
            log_evidence=self.evidence,
            notes=self._notes(),
            slopes=slopes_of(theta[blocks[AGE].place]) if AGE in blocks else np.zeros(0),
        )

    def _notes(self) -> tuple[str, ...]:
        """Warn of coefficients that their prior holds."""
        theta, found = self.mode.location, []
        for name, words in (("week", "A day of the week"), ("season", "A harmonic of the year")):
            block = self.joint.blocks.get(name)
            if block is not None and np.abs(theta[block.place]).max() > _EDGE:
                found.append(
                    f"{words} differs by more than the clock's prior expects, which holds it back: "
                    "look whether the shop was closed then, or whether the log is whole."
                )
        return tuple(found)


def _learnt(joint: ClockDensity) -> _Learnt:
    """The mode, with the width of shocks that it implies, by expectation and maximisation.

    A Hessian takes two evaluations for each coefficient: between widths it is rescaled.
    """
    theta = climb(joint)  # type: ignore[arg-type]
    matrix = hessian(joint, theta)  # type: ignore[arg-type]
    mode = _polished(joint, theta, matrix)
    for _ in range(_SWEEPS if "shocks" in joint.blocks else 0):
        block = joint.blocks["shocks"]
        width = _width(block, mode)
        ratio = np.ones(joint.dim)
        ratio[block.place] = width / block.width
        prior = np.zeros(joint.dim)
        prior[block.place] = 1.0
        matrix = ratio[:, None] * (matrix + np.diag(prior)) * ratio - np.diag(prior)
        joint = replace(joint, blocks={**joint.blocks, "shocks": replace(block, width=width)})
        mode = _polished(joint, mode.location / ratio, matrix)
        if abs(math.log(width / block.width)) < _SAME_WIDTH:
            break
    matrix = hessian(joint, mode.location)  # type: ignore[arg-type]
    mode = _polished(joint, mode.location, matrix)
    if mode.decrement > MODE_TOLERANCE:  # a hard base: with a Hessian at every step
        mode = find_mode(replace(joint, start=mode.location))  # type: ignore[arg-type]
    return _Learnt(joint, mode)


def _polished(joint: ClockDensity, theta: FloatArray, matrix: FloatArray) -> Mode:
    """Newton's steps by a Hessian of nearby."""
    scale, curved = whiten(matrix)
    value, gradient = joint(theta)
    for _ in range(_STEPS):
        step = scale @ (scale.T @ gradient)
        decrement = math.sqrt(max(float(gradient @ step), 0.0))
        if decrement < _DECREMENT:
            break
        moved, improved = line_search(joint, theta, value, step)  # type: ignore[arg-type]
        if improved <= value:
            break
        theta, (value, gradient) = moved, joint(moved)
    return Mode(theta, value, scale, decrement, curved)


def _width(block: Block, mode: Mode) -> float:
    """Sd of the shocks that are told apart from their prior, with one more of .05 for a prior."""
    z, scale = mode.location[block.place], mode.scale[block.place]
    told = block.columns.shape[1] - float((scale * scale).sum())
    known = WIDTHS["shocks"] ** 2 + block.width**2 * float(z @ z)
    return math.sqrt(known / (1.0 + max(told, 1e-6)))


def _square_root(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance) if covariance.size else (np.zeros(0), covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
