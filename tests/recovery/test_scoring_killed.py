"""Killed at any moment, a run leaves nothing half done to be read, and goes on where it was.

The process dies before each change that it makes, in the midst of writes, and at random
times. After every kill a reader looks; then the same call is made again, and must end as
an uninterrupted run does: same rows, same values, same rejects, same manifest.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from tests.recovery.scoring_cases import (
    NAMES,
    Bench,
    Case,
    Kind,
    Source,
    View,
    assert_done,
    assert_same_view,
    assert_whole,
    open_bench,
)
from tests.recovery.scoring_nursery import c_compiler

pytestmark = pytest.mark.slow

KINDS = tuple(NAMES)
# Changes from the last block on: all that is particular to a kind of output.
TAIL = 34


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    fallback = tmp_path_factory.mktemp("killed")
    with open_bench(fallback, preload=c_compiler() is not None) as found:
        yield found


def rng_of(*names: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def kill_and_resume(
    bench: Bench, known: tuple[Case, View, View], fault: str, points: Iterable[int]
) -> list[int]:
    """Kill a run at each point, look, resume it and look again.

    Returns
    -------
    list of int
        Changes of each resumed run.
    """
    case, before, after = known
    resumed = []
    for at in points:
        case.set_up()
        outcome = bench.nursery.run(case.call, fault, at)
        assert outcome.killed, f"{fault} at {at}: {outcome.trace or outcome.text}"
        assert_whole(case.view(), before, after, case.kind)
        outcome = bench.nursery.run(case.call, "count" if fault != "audit" else "audit")
        assert_done(outcome)
        assert_same_view(case.view(), after)
        resumed.append(outcome.changes)
    return resumed


def test_killed_before_each_change(bench: Bench) -> None:
    known = bench.case("folder")
    changes = bench.changes(known[0], "audit")
    assert changes > 60
    resumed = kill_and_resume(bench, known, "audit", range(1, changes + 1))
    assert max(resumed) <= changes + 2
    # What was done is not done again, until the last traces of the run are gone.
    assert max(resumed[changes // 2 : -6]) < changes
    assert max(resumed[-TAIL // 2 : -6]) < changes / 3


@pytest.mark.parametrize("kind", ["parquet", "csv", "duckdb"])
def test_killed_while_another_output_is_replaced(bench: Bench, kind: Kind) -> None:
    known = bench.case(kind)
    changes = bench.changes(known[0], "audit")
    first, step = changes - TAIL + (kind == "csv"), 2 if kind == "duckdb" else 3
    kill_and_resume(bench, known, "audit", range(first, changes + 1, step))


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_an_output_appears(bench: Bench, kind: Kind) -> None:
    known = bench.case(kind, replace=False)
    changes = bench.changes(known[0], "audit")
    first = changes - TAIL + KINDS.index(kind)
    kill_and_resume(bench, known, "audit", range(first, changes + 1, 5))


@pytest.mark.parametrize("kind", ["folder", "duckdb"])
def test_killed_while_a_log_is_scored(bench: Bench, kind: Kind) -> None:
    known = bench.case(kind, "log", replace=kind == "folder")
    changes = bench.changes(known[0], "audit")
    points = rng_of("log", kind).choice(np.arange(1, changes + 1), 6, replace=False)
    kill_and_resume(bench, known, "audit", map(int, np.sort(points)))


@pytest.mark.skipif(c_compiler() is None, reason="no C compiler, which makes the failing disk")
@pytest.mark.parametrize("fault", ["kill", "tear"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_below_python(bench: Bench, kind: Kind, fault: str) -> None:
    """Any write of a library counts here, and may be torn in half."""
    known = bench.case(kind)
    changes = bench.changes(known[0], "count")
    rng = rng_of("below", kind, fault)
    early = rng.choice(np.arange(1, changes // 2), 1, replace=False)
    late = rng.choice(np.arange(changes // 2, changes - 4), 3, replace=False)
    kill_and_resume(bench, known, fault, (int(at) for at in (*early, *late)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["rfm", "log"])
def test_killed_again_and_again_at_random_times(bench: Bench, kind: Kind, source: Source) -> None:
    case, before, after = bench.case(kind, source)
    rng, kills = rng_of("time", kind, source), 0
    case.set_up()
    longest = 0.1
    for _ in range(30):
        outcome = bench.nursery.run(case.call, "time", longest * rng.random())
        if outcome.killed:
            kills += 1
            assert_whole(case.view(), before, after, kind)
        else:  # it was quicker: begin anew
            assert_done(outcome)
            assert_same_view(case.view(), after)
            case.set_up()
        if kills == 4:
            break
    assert kills == 4
    assert_done(bench.nursery.run(case.call))
    assert_same_view(case.view(), after)
