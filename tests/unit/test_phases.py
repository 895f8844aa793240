"""Loops over phases: a family of two phases that together are one of one phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from clvmodels.forecast import Draws, Future, OutcomePredictor, Predictor, chunks, pair
from clvmodels.forecast.chunks import chunk_of
from clvmodels.forecast.counts import count_survival
from clvmodels.forecast.futures import ALIVE, BUYERS, PURCHASES, VALUE, add_totals
from clvmodels.forecast.grouping import group_rows
from clvmodels.forecast.outcomes import outcomes_of
from clvmodels.forecast.values import value_quantiles
from clvmodels.formulas.discounting import Due
from clvmodels.purchases.beta_geometric import BetaGeometricFamily, bgnbd
from clvmodels.purchases.walks import Walks

S, SHARE = 30, 0.3
DUE = Due(200.0, 3e-4)
Array = np.ndarray


@dataclass(frozen=True)
class _Split:
    """Weights or living customers of one phase, told as those of two."""

    one: Any

    def fill(self, begin: int, out: Array) -> None:
        self.one.fill(begin, out[:1])
        out[1] = (1.0 - SHARE) * out[0]
        out[0] *= SHARE

    def expect(self) -> tuple[Array, Array]:
        purchases, discounted = (np.repeat(part, 2, axis=1) for part in self.one.expect())
        return purchases, discounted

    def buys(self, begin: int, out: Array) -> None:
        self._both(self.one.buys, begin, out)

    def idle(self, begin: int, out: Array) -> None:
        self._both(self.one.idle, begin, out)

    def busiest(self, begin: int, end: int) -> Array:
        return self.one.busiest(begin, end)

    def exceeds(self, key: int, n: float) -> Array:
        return np.repeat(self.one.exceeds(key, n), 2, axis=0)

    def survival(self, begin: int, *how: Any) -> tuple[Array, Array]:
        table, start = self.one.survival(begin, *how)
        return np.repeat(table, 2, axis=1), start

    def walk(self, walks: Walks) -> None:
        assert set(walks.phase) <= {0, 1}
        self.one.walk(walks)

    def _both(self, fill: Any, begin: int, out: Array) -> None:
        part = np.empty((len(out), 1, S))
        fill(begin, part)
        out[:] = part


@dataclass(frozen=True)
class TwoPhases(BetaGeometricFamily):
    phases: Any = 2

    def weights(self, x: Array, t_x: Array, T: Array, draws: Mapping[str, Array]) -> Any:
        return _Split(super().weights(x, t_x, T, draws))

    def living(self, x: Array, T: Array, draws: Mapping[str, Array], due: Due) -> Any:
        return _Split(super().living(x, T, draws, due))


def both() -> tuple[Draws, Draws]:
    rng = np.random.default_rng(7)

    def around(value: float) -> Array:
        return value * np.exp(0.2 * rng.standard_normal(S))

    purchases = {"r": around(0.5), "alpha": around(12.0), "a": around(0.9), "b": around(2.5)}
    one = pair(purchases, {"p": around(6.0), "q": around(8.0), "v": around(15.0)}, bgnbd)
    return one, replace(one, formulas=TwoPhases(extra_stays=0))


def customers(size: int = 600) -> tuple[Array, ...]:
    """Enough different T for x = 0 and 1 to be interpolated."""
    rng = np.random.default_rng(1)
    x = rng.choice([0.0, 1.0, 2.0, 9.0], size=size, p=[0.4, 0.4, 0.15, 0.05])
    T = rng.integers(1, 400, size=size).astype(float)
    t_x = np.where(x > 0, np.ceil(T * rng.uniform(0.1, 1.0, size=size)), 0.0)
    return x, t_x, T, np.where(x > 0, rng.gamma(6.0, 5.0, size=size), 0.0)


def test_rows_and_counts_are_those_of_one_phase() -> None:
    future = Future(DUE, interval=0.8, margin=0.5)
    one, two = (Predictor(draws, future)(*customers()) for draws in both())
    for name, values in one.columns.items():
        np.testing.assert_allclose(two.columns[name], values, rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(two.by_draw, one.by_draw, rtol=1e-12)
    x, t_x, T, m_bar = customers()
    groups = group_rows(x, t_x, T)
    pairs = [count_survival(chunk_of(groups, 0, draws, DUE, m_bar), 1e-9) for draws in both()]
    np.testing.assert_array_equal(pairs[0][1], pairs[1][1])
    np.testing.assert_allclose(pairs[0][0], pairs[1][0], rtol=1e-11)


def test_outcomes_of_great_counts_are_those_of_one_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    from clvmodels.forecast import outcomes

    future = Future(DUE, interval=0.8, margin=0.5)
    one = OutcomePredictor(both()[0], future)(*customers(80))
    monkeypatch.setattr(outcomes, "_MOST_STEPS", 2)  # so that the rest is bisected
    two = OutcomePredictor(both()[1], future)(*customers(80))
    for name in ("purchases_lower", "purchases_upper"):
        np.testing.assert_array_equal(one[name], two[name])


def test_paths_start_in_phases_by_their_weights() -> None:
    x, t_x, T, m_bar = customers()
    groups, tails = group_rows(x, t_x, T), np.array([0.5, 0.1])
    keys, nobody = np.arange(len(x), dtype=np.uint64), np.zeros(len(x), dtype=np.int64)
    totals, ends = [], []
    for draws in both():
        outcomes, chunk = outcomes_of(draws, paths=60 * S), chunk_of(groups, 0, draws, DUE, m_bar)
        total, out = np.zeros((1, 60, S, 4)), np.empty((2, len(x)))
        add_totals(chunk, outcomes, keys, nobody, total)
        value_quantiles(chunk, outcomes, tails, out)
        totals.append(total[0].reshape(-1, 4))
        ends.append(out)
    # The same uniform number is stretched in another way, so that paths are others
    assert not np.array_equal(*totals)
    found = Predictor(both()[0], Future(DUE, 0.9, 1.0), wanted="none")(*customers()).columns
    for total in totals:
        error = 4.5 * total.std(axis=0) / np.sqrt(60)
        assert abs(total[:, BUYERS].mean() - found["p_purchase"].sum()) < error[BUYERS]
        assert (
            abs(total[:, PURCHASES].mean() - found["expected_purchases"].sum()) < error[PURCHASES]
        )
        assert abs(total[:, VALUE].mean() - found["clv"].sum()) < error[VALUE]
    gap = totals[0][:, ALIVE].mean() - totals[1][:, ALIVE].mean()
    assert abs(gap) < 4.5 * np.hypot(*(t[:, ALIVE].std() for t in totals)) / np.sqrt(60)
    np.testing.assert_allclose(ends[1].mean(axis=1), ends[0].mean(axis=1), rtol=0.02)


@pytest.mark.parametrize("tile", [1, 7])
def test_tiles_change_no_number(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    future = Future(DUE, interval=0.8, margin=0.5)
    whole = Predictor(both()[0], future)(*customers(200)).columns
    more = OutcomePredictor(both()[0], future)(*customers(200))
    monkeypatch.setattr(chunks, "TILE", tile)
    parts = Predictor(both()[0], future)(*customers(200)).columns
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)
    for name, values in OutcomePredictor(both()[0], future)(*customers(200)).items():
        np.testing.assert_array_equal(values, more[name], err_msg=name)
