"""A calendar of the future: customers' own time, in every draw, for every model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from clvmodels.forecast.calendar import (
    MOST_SD,
    Calendar,
    by_parts,
    sd_of_level,
)
from clvmodels.forecast.draws import Draws
from clvmodels.formulas.discounting import Due, calendar_time
from clvmodels.limits import CALENDAR_SD
from clvmodels.purchases import MODELS
from clvmodels.purchases.family import LeavesAtPurchases
from clvmodels.purchases.mixed_draws import MEMBER
from clvmodels.purchases.mixture import StackedFamily
from clvmodels.purchases.walks import Walks

S = 6
CENTRES = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 2.5, "s": 0.6, "beta": 40.0}
X, T = np.array([0.0, 1.0, 1.0, 8.0]), np.array([20.0, 90.0, 300.0, 400.0])
DELTA = math.log(1.1) / 365.25
MONTH = 30.4375
MODELS_AND_STACK = [*MODELS, "stack"]
# A season, closed Sundays, and a closed month; more in some draws than in others
DAYS = 400
FACTORS = np.exp(0.4 * np.sin(2 * np.pi * np.arange(DAYS) / 365.25))
FACTORS[6::7] = 0.0
FACTORS[200:230] = 0.0
CALENDAR = Calendar(0.4, "given", FACTORS)


def draws_of(key: str) -> Draws:
    rng = np.random.default_rng(7)
    values = {name: at * np.exp(0.2 * rng.standard_normal(S)) for name, at in CENTRES.items()}
    if key == "stack":
        family = StackedFamily(members=("bgnbd", "mbgcnbd2", "paretonbd"))
        return Draws({**values, MEMBER: np.array([0.0, 1, 2, 0, 1, 2])}, None, family)
    own = {name: values[name] for name in MODELS[key].parameter_names}
    return Draws(own, None, MODELS[key].formulas)


def own_draw(draws: Draws, d: int) -> Draws:
    return replace(draws, purchases={n: v[d : d + 1].copy() for n, v in draws.purchases.items()})


def under(due: Due, calendar: Calendar = CALENDAR) -> Due:
    return calendar.over(due, 1.0, S)


# --- what the loops make of it ---


@pytest.mark.parametrize("key", MODELS_AND_STACK)
def test_each_draw_has_the_horizon_of_its_own_time(key: str) -> None:
    draws, due = draws_of(key), under(Due(330.5))
    family = draws.formulas
    living, until = family.living(X, T, draws.purchases, due), due.until(S)
    assert len(set(until.round(6))) == S
    shape = (len(X), family.phases, S)
    buys, idle = np.empty(shape), np.empty(shape)
    living.buys(0, buys)
    living.idle(0, idle)
    assert min(buys.min(), idle.min()) >= 0.0
    np.testing.assert_array_less(buys + idle, 1.0 + 1e-12)
    if isinstance(family, LeavesAtPurchases):  # whoever does not buy stays
        np.testing.assert_allclose(buys + idle, 1.0, rtol=1e-12)
    table, start = living.survival(0, 1e-9, 50_000)
    bought, worth = by_parts(draws, X, T, due)
    np.testing.assert_array_equal(bought, worth)
    busiest = []
    for d in range(S):
        alone = own_draw(draws, d)
        one = family.living(X, T, alone.purchases, Due(float(until[d])))
        some = np.empty((len(X), family.phases, 1))
        for fill, found in ((one.buys, buys), (one.idle, idle)):
            fill(0, some)
            np.testing.assert_allclose(found[..., d], some[..., 0], rtol=1e-13)
        rows, begin = one.survival(0, 1e-9, 50_000)
        for i in range(min(len(begin), len(start)) - 1):
            n = min(np.diff(begin)[i], np.diff(start)[i])
            some = slice(start[i], start[i] + n)
            alone_too = rows[begin[i] : begin[i] + n, :, 0]
            np.testing.assert_allclose(table[some, :, d], alone_too, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(
            living.exceeds(3, 2.0)[:, d], one.exceeds(3, 2.0)[:, 0], rtol=1e-13
        )
        np.testing.assert_allclose(bought[..., d], one.expect()[0][..., 0], rtol=1e-9)
        busiest.append(one.busiest(0, len(X)))
    np.testing.assert_allclose(living.busiest(0, len(X)), np.max(busiest, axis=0), rtol=1e-13)


@pytest.mark.parametrize("key", MODELS_AND_STACK)
def test_values_are_sums_over_days_of_the_calendar(key: str) -> None:
    """Day by day, a season and closed days and all; by the month the sum is exact."""
    draws, H = draws_of(key), 365
    family, due = draws.formulas, under(Due(float(H), DELTA))
    days = np.arange(H + 1.0)
    lengths = due.own_time(days)
    for month in (0.0, MONTH):
        _, worth = by_parts(draws, X, T, due._replace(month=month))
        for i, (x, age) in enumerate(zip(X, T, strict=True)):
            bought = family.along(float(x), np.array([age]), lengths, draws.purchases)[:, :, 0]
            if month:
                ends = np.minimum(month * np.arange(13), H)
                by_month = family.along(
                    float(x), np.array([age]), due.own_time(ends), draws.purchases
                )[:, :, 0]
                sums = np.diff(by_month) @ np.exp(-DELTA * month * np.arange(1, 13))
                tolerance = 1e-9
            else:
                sums = np.diff(bought) @ np.exp(-DELTA * (days[1:] - 0.5))
                tolerance = 1e-6
            np.testing.assert_allclose(worth[i], sums, rtol=tolerance)


@pytest.mark.parametrize("key", MODELS_AND_STACK)
def test_an_even_calendar_changes_nothing(key: str) -> None:
    draws, even = draws_of(key), Calendar(factors=np.ones(365))
    for due in (Due(365.0), Due(200.25, DELTA), Due(365.0, DELTA, MONTH)):
        living = draws.formulas.living(X, T, draws.purchases, due)
        for found, wanted in zip(
            by_parts(draws, X, T, under(due, even)), living.expect(), strict=True
        ):
            np.testing.assert_allclose(
                found, wanted, rtol=1e-9 if due.month or not due.delta else 1e-6
            )


@pytest.mark.parametrize("month", [0.0, MONTH])
@pytest.mark.parametrize("key", MODELS_AND_STACK)
def test_walks_bring_what_is_expected_and_when_it_is_open(key: str, month: float) -> None:
    """Of each (x, T), phase and draw: purchases, their value and their days."""
    draws, n = draws_of(key), 3_000
    family, due = draws.formulas, under(Due(330.5, 20 * DELTA, month))
    living = family.living(X, T, draws.purchases, due)
    shape = (len(X), family.phases, S)
    buys = np.empty(shape)
    living.buys(0, buys)
    cells = np.array([cell for cell in np.ndindex(shape) if buys[cell] > 0.0])
    walks = Walks.room(n * len(cells), np.zeros(S))
    walks.key[:], walks.phase[:], walks.draw[:] = np.repeat(cells, n, axis=0).T
    rng = np.random.default_rng(11)
    of_each = buys[walks.key, walks.phase, walks.draw]
    walks.chance[:] = of_each * (1.0 - rng.random(len(of_each)))
    walks.state[:] = rng.integers(0, 2**63, len(of_each)).astype(np.uint64)
    state = walks.state.copy()
    living.walk(walks)
    wanted = by_parts(draws, X, T, due)
    for found, expected in zip((walks.bought, walks.orders), wanted, strict=True):
        each = found.reshape(len(cells), n) * of_each.reshape(len(cells), n)
        error = each.std(axis=1) / math.sqrt(n)
        gap = each.mean(axis=1) - expected[tuple(cells.T)]
        assert (abs(gap) < 5.5 * error + 1e-4 * expected[tuple(cells.T)]).all()
    ends = np.cumsum(walks.bought)
    times = np.full(ends[-1], np.nan)
    again = replace(
        walks, state=state, begin=ends - walks.bought, times=times, amounts=np.empty_like(times)
    )
    living.walk(again)
    assert (times >= 0.0).all()
    assert (times <= 330.5).all()
    day = np.ceil(times).astype(int) - 1
    assert (FACTORS[day] > 0.0).all()


def test_times_are_turned_back() -> None:
    due = under(Due(100.0))
    t = np.linspace(0.5, 99.5, 40)
    own = due.own_time(t)
    for d in range(S):
        back = [calendar_time(w, d, due.edges, due.warped) for w in own[d]]
        shut = FACTORS[np.ceil(t).astype(int) - 1] == 0.0
        np.testing.assert_allclose(np.array(back)[~shut], t[~shut], rtol=1e-12)
    assert calendar_time(7.25, 0, np.zeros(0), np.zeros((0, 0))) == 7.25


# --- the record ---


def test_intensity_is_one_in_expectation_on_every_day_whatever_its_doubt() -> None:
    for sd in (0.15, 0.3):
        paths = Calendar(sd, "given").intensity(8_000, 730)
        error = paths.std(axis=0) / math.sqrt(8_000)
        assert (abs(paths.mean(axis=0) - 1.0) < 4.5 * error).all()
        spread = np.log(paths).std(axis=0)
        # .49 + .49 + .25 of w^2 after a year
        day = np.array([1, 365, 730])
        variance = 0.49 + 0.49 * (1 - 0.25 ** (day / 120.0)) + 0.25 * day / 365.25
        np.testing.assert_allclose(spread[day - 1], sd * np.sqrt(variance), rtol=0.03)


def test_paths_depend_on_their_number_and_day_alone() -> None:
    calendar = Calendar(0.2, "given", np.array([2.0, 0.5]))
    paths = calendar.intensity(41, 100)
    np.testing.assert_array_equal(calendar.intensity(7, 30), paths[:7, :30])
    assert not np.allclose(replace(calendar, seed=1).intensity(7, 30), paths[:7, :30])
    plain = replace(calendar, factors=np.zeros(0)).intensity(41, 100)
    np.testing.assert_allclose(paths[:, :2], plain[:, :2] * [2.0, 0.5])
    np.testing.assert_array_equal(paths[:, 2:], plain[:, 2:])


def test_units_of_time_do_not_matter() -> None:
    days, weeks = (CALENDAR.over(Due(H), unit, S) for H, unit in ((210.0, 1.0), (30.0, 7.0)))
    np.testing.assert_allclose(days.until(S), 7.0 * weeks.until(S), rtol=1e-12)
    np.testing.assert_allclose(days.edges, 7.0 * weeks.edges, rtol=1e-12)


def test_without_doubt_and_scenario_time_is_left_alone() -> None:
    due = Due(300.0, DELTA)
    assert Calendar().over(due, 1.0, S) is due
    assert not Calendar().matters
    assert CALENDAR.average == replace(CALENDAR, sd=0.0)
    np.testing.assert_array_equal(CALENDAR.average.intensity(2, DAYS), [FACTORS, FACTORS])


def test_what_a_log_teaches_of_the_level() -> None:
    assert sd_of_level(0.25) == pytest.approx(CALENDAR_SD)
    assert sd_of_level(5.0) == MOST_SD
