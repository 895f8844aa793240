"""A purchase model whose parameters differ by stratum, as a family like any other.

It takes x with the stratum in it (`clvmodels.formulas.strata`), and lets the model's own family
answer for the histories of each stratum, with the parameters that its effects make of the
draws. New customers, whose stratum is not known, are the mix of the base that was fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.formulas.discounting import Due
from clvmodels.formulas.strata import coded, plain, stratum_of
from clvmodels.purchases.age_curve import AgeCurve
from clvmodels.purchases.aged import AgedFamily
from clvmodels.purchases.catalogue import purchase_model
from clvmodels.purchases.design import Design
from clvmodels.purchases.family import NO_ROWS, Draws, Family, Living, Numbers, Weights
from clvmodels.purchases.model import PurchaseModel
from clvmodels.purchases.of_others import MadeOfOthers
from clvmodels.purchases.walks import Walks
from clvmodels.schema import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StratifiedFamily(MadeOfOthers):
    """What the loops read of a model with covariates; see `clvmodels.purchases.family.Family`.

    Attributes
    ----------
    key : str
        Of the model.
    design : Design
        Its factors and effects.
    curve : AgeCurve or None
        By which customers age; those of the log's first month, whose age is not known, do not.
    """

    key: str
    design: Design
    curve: AgeCurve | None = None

    @property
    def model(self) -> PurchaseModel:
        """What the model is without covariates."""
        return purchase_model(self.key)

    @property
    def base(self) -> Family:
        """What computes one stratum."""
        return self.model.formulas

    def of(self, stratum: int) -> Family:
        """What computes the customers of one."""
        if self.curve is None or self.design.is_older(stratum):
            return self.base
        return AgedFamily(self.base, self.curve)

    @property
    def phases(self) -> int:
        """As many as the model has."""
        return self.base.phases

    @property
    def gap_power(self) -> int:
        """That of the model: what is owed to the gaps has no parameters."""
        return self.base.gap_power

    def own(self, stratum: int, draws: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of one stratum's customers, of the shape of the draws."""
        both = (np.exp(self.design.eta(side, stratum, draws)) for side in ("purchases", "dropout"))
        return self._moved(draws, *both)

    def _moved(self, draws: Mapping[str, Any], faster: Any, leave: Any) -> dict[str, Any]:
        model = self.model
        found = {name: draws[name] for name in model.parameter_names}
        if self.design.effects:  # or the strata are those of spend
            assert model.moved is not None
            found = model.moved(found, faster, leave)
        shape = np.shape(draws[model.parameter_names[0]])
        return {name: np.broadcast_to(value, shape) + 0.0 for name, value in found.items()}

    def weights(self, x: FloatArray, t_x: FloatArray, T: FloatArray, draws: Draws) -> Weights:
        """P(alive, in phase) of histories, best ordered by stratum."""
        runs = [
            _Run(at.start, at.stop, family.weights(plain(x[at]), t_x[at], T[at], own))
            for at, family, own in self._runs(x, draws)
        ]
        return _Weights(runs)

    def living(self, x: FloatArray, T: FloatArray, draws: Draws, due: Due) -> Living:
        """What customers do who are alive, best ordered by stratum."""
        runs = [
            _Run(at.start, at.stop, family.living(plain(x[at]), T[at], own, due))
            for at, family, own in self._runs(x, draws)
        ]
        return _Living(runs)

    def _runs(
        self, x: FloatArray, draws: Draws
    ) -> Iterator[tuple[slice, Family, dict[str, FloatArray]]]:
        """Rows of one stratum that stand in a row, with what computes it and its parameters."""
        stratum = stratum_of(x)
        ends = np.flatnonzero(np.append(stratum[1:] != stratum[:-1], True)) + 1
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            if len(x):
                known = self._known(int(stratum[begin]))
                yield slice(begin, end), self.of(known), self.own(known, draws)

    def _known(self, stratum: int) -> int:
        """Refuse a history without a stratum: an entrance has forgotten to give it one."""
        if stratum < 1:
            raise AssertionError("A history has no stratum.")
        return stratum

    def strip(self, draws: Draws) -> tuple[float, float] | None:
        """Return that of a stratum whose parameters of time are less than those of any."""
        both = (np.exp(self.design.most(side, draws)) for side in ("purchases", "dropout"))
        least = self.base.strip(self._moved(draws, *both))
        return least if self.curve is None or least is None else self.curve.strip(*least)

    def along(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """Purchases of living customers within many lengths, (K, S, ages, lengths)."""
        stratum = self._known(int(stratum_of(x)))
        own = self.own(stratum, draws)
        return self.of(stratum).along(float(plain(x)), T, lengths, own)

    def staying(self, x: float, T: FloatArray, lengths: FloatArray, draws: Draws) -> FloatArray:
        """P(alive after many lengths | alive at T), (K, S, ages, lengths)."""
        stratum = self._known(int(stratum_of(x)))
        return self.of(stratum).staying(float(plain(x)), T, lengths, self.own(stratum, draws))

    def endless(self, **parameters: Numbers) -> npt.NDArray[np.bool_]:
        """Whether the lifetime of anybody in the base that was fitted is."""
        found = [self.base.endless(**self.own(g, parameters)) for g, _ in self.design.mix]
        return np.asarray(np.logical_or.reduce(found))

    def _at(
        self,
        verb: str,
        data: Mapping[str, Numbers],
        parameters: Mapping[str, Numbers],
        options: Mapping[str, Any],
    ) -> Any:
        """Answer stratum by stratum: x is a number, or its last axis holds customers."""
        x = np.asarray(data["x"], dtype=np.float64)
        plainly = {**data, "x": plain(x)}
        stratum = stratum_of(x)
        there = np.unique(stratum)
        if len(there) == 1 and there[0] == 0:
            self._only_new(x, data)
            return self._of_the_mix(verb, plainly, parameters, options)
        if len(there) == 1:
            formula = getattr(self.of(int(there[0])), verb)
            return formula(*plainly.values(), **self.own(int(there[0]), parameters), **options)
        size, found = x.shape[-1], None
        where = stratum.reshape(-1, size)
        assert (where == where[0]).all()  # rows differ in all but their customers
        for g in there:
            rows = np.flatnonzero(where[0] == g)
            some = [_some(one, rows, size) for one in plainly.values()]
            own = self.own(self._known(int(g)), parameters)
            formula = getattr(self.of(int(g)), verb)
            part = formula(*some, **{n: _some(v, rows, size) for n, v in own.items()}, **options)
            if found is None:
                found = np.empty((*part.shape[:-1], size), dtype=part.dtype)
            found[..., rows] = part
        return found

    def _only_new(self, x: FloatArray, data: Mapping[str, Numbers]) -> None:
        """Only of customers who have just come is the base's mix what they are."""
        if np.any(x) or np.any(data["t_x"]) or np.any(data["T"]):
            self._known(0)

    def _of_the_mix(
        self,
        verb: str,
        data: Mapping[str, Numbers],
        parameters: Mapping[str, Numbers],
        options: Mapping[str, Any],
    ) -> Any:
        total = sum(n for _, n in self.design.mix)
        return sum(
            (n / total)
            * getattr(self.of(g), verb)(*data.values(), **self.own(g, parameters), **options)
            for g, n in self.design.mix
        )


def births_of(family: Family) -> tuple[FloatArray, FloatArray]:
    """X of new customers as the loops take it, and the share of the base that has it."""
    if not isinstance(family, StratifiedFamily):
        return np.zeros(1), np.ones(1)
    strata, counts = (np.array(one) for one in zip(*family.design.mix, strict=True))
    return coded(np.zeros(len(strata)), strata), counts / counts.sum()


def strip_of(family: Family, stratum: int, draws: Draws) -> tuple[float, float] | None:
    """`Family.strip` for the customers of one stratum: of all strata it is the narrowest."""
    if not isinstance(family, StratifiedFamily):
        return family.strip(draws)
    return family.of(stratum).strip(family.own(stratum, draws))


def _some(values: Numbers, rows: IntArray, size: int) -> Any:
    """Those of some customers, where there is one for each."""
    found = np.asarray(values)
    return found[..., rows] if found.ndim and found.shape[-1] == size > 1 else values


@dataclass(frozen=True, slots=True)
class _Run[Of]:
    """Rows from begin to end, of one stratum."""

    begin: int
    end: int
    of: Of


def _within[Of](runs: list[_Run[Of]], begin: int, end: int) -> Iterator[tuple[Of, int, slice]]:
    """What has each part of some rows, where the part begins there, and where among the rows."""
    for one in runs:
        low, high = max(begin, one.begin), min(end, one.end)
        if low < high:
            yield one.of, low - one.begin, slice(low - begin, high - begin)


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights of each stratum's histories."""

    runs: list[_Run[Weights]]

    def fill(self, begin: int, out: FloatArray) -> None:
        for weights, first, where in _within(self.runs, begin, begin + out.shape[1]):
            if where.stop - where.start == out.shape[1]:
                weights.fill(first, out)
                return
            own = np.empty((len(out), where.stop - where.start, out.shape[2]))
            weights.fill(first, own)
            out[:, where] = own


@dataclass(frozen=True, slots=True)
class _Living:
    """The living of each stratum."""

    runs: list[_Run[Living]]

    def expect(self) -> tuple[FloatArray, FloatArray]:
        one, other = zip(*(run.of.expect() for run in self.runs), strict=True)
        return np.concatenate(one), np.concatenate(other)

    def buys(self, begin: int, out: FloatArray) -> None:
        for living, first, where in _within(self.runs, begin, begin + len(out)):
            living.buys(first, out[where])

    def idle(self, begin: int, out: FloatArray) -> None:
        for living, first, where in _within(self.runs, begin, begin + len(out)):
            living.idle(first, out[where])

    def busiest(self, begin: int, end: int) -> FloatArray:
        parts = _within(self.runs, begin, end)
        found = [
            living.busiest(first, first + where.stop - where.start)
            for living, first, where in parts
        ]
        return np.concatenate(found) if found else np.empty(0)

    def survival(
        self, begin: int, least: float, most: int, fewest: IntArray = NO_ROWS
    ) -> tuple[FloatArray, IntArray]:
        run = self._run(begin)
        return run.of.survival(begin - run.begin, least, most, fewest[: run.end - begin])

    def exceeds(self, key: int, n: float) -> FloatArray:
        run = self._run(key)
        return run.of.exceeds(key - run.begin, n)

    def walk(self, walks: Walks) -> None:
        for run in self.runs:
            rows = np.flatnonzero((walks.key >= run.begin) & (walks.key < run.end))
            if not len(rows):
                continue
            walks.by(run.of, rows, key=(walks.key[rows] - run.begin).astype(np.int32))

    def _run(self, key: int) -> _Run[Living]:
        return next(one for one in self.runs if one.begin <= key < one.end)
