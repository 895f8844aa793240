"""The disk is full at any write: a clear error, nothing half done to be read, and a way on.

It is full for Python at each of its calls, and below Python, where a preloaded library
takes half of a write and refuses the rest, for every library that writes. Once there is
room again, the same call ends as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
from tests.recovery.scoring_nursery import Outcome, c_compiler

pytestmark = pytest.mark.slow

KINDS = tuple(NAMES)
needs_compiler = pytest.mark.skipif(
    c_compiler() is None, reason="no C compiler, which makes the failing disk"
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    fallback = tmp_path_factory.mktemp("full")
    with open_bench(fallback, preload=c_compiler() is not None) as found:
        yield found


def assert_says_full(outcome: Outcome) -> None:
    """An OSError of one line that says what is wrong."""
    assert "OSError" in outcome.bases, outcome.trace
    assert "No space left on device" in outcome.text, outcome.trace
    assert "\n" not in outcome.text


def fill_and_resume(
    bench: Bench, known: tuple[Case, View, View], fault: str, points: Iterable[int]
) -> int:
    """Let the disk be full at each point, look, make room, and look again.

    Returns
    -------
    int
        How many runs failed; those that did not must have done all.
    """
    case, before, after = known
    failed = 0
    for at in points:
        case.set_up()
        outcome = bench.nursery.run(case.call, fault, at)
        if outcome.error:
            failed += 1
            assert_says_full(outcome)
            assert_whole(case.view(), before, after, case.kind)
            if fault == "names" and before.manifest is not None:
                assert case.view().manifest is not None, "scores are left without a manifest"
            outcome = bench.nursery.run(case.call)
        assert_done(outcome)
        assert_same_view(case.view(), after)
    return failed


def test_full_at_each_call_of_python(bench: Bench) -> None:
    known = bench.case("folder")
    changes = bench.changes(known[0], "audit-full")
    assert changes > 50
    assert fill_and_resume(bench, known, "audit-full", range(1, changes + 1)) == changes


@needs_compiler
@pytest.mark.parametrize(
    ("kind", "source", "replace", "first", "step"),
    [
        ("folder", "rfm", True, 0.0, 5),
        ("parquet", "rfm", True, 0.6, 7),
        ("csv", "rfm", True, 0.6, 6),
        ("duckdb", "rfm", True, 0.6, 4),
        ("duckdb", "rfm", False, 0.6, 6),
        ("folder", "log", True, 0.0, 12),
    ],
)
def test_full_below_python(
    bench: Bench, kind: Kind, source: Source, replace: bool, first: float, step: int
) -> None:
    """From some write on there is no room; only what frees some can still be done."""
    known = bench.case(kind, source, replace=replace)
    changes = bench.changes(known[0], "count")
    points = range(1 + round(first * changes), changes + 1, step)
    # Of the last changes all but a few are removals.
    assert fill_and_resume(bench, known, "full", points) > len(points) / 2


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_full_for_all_but_new_names(bench: Bench, kind: Kind) -> None:
    """What is there can still be renamed, as on most disks: scores keep a manifest of theirs."""
    known = bench.case(kind)
    changes = bench.changes(known[0], "count")
    assert fill_and_resume(bench, known, "names", range(changes - 45, changes + 1, 2)) > 3


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_full_for_a_moment(bench: Bench, kind: Kind) -> None:
    """One write fails and the next would not: nobody goes on as if it had been written."""
    known = bench.case(kind)
    changes = bench.changes(known[0], "count")
    points = range(2 + KINDS.index(kind) + changes // 2, changes + 1, 7)
    assert fill_and_resume(bench, known, "once", points) > len(points) / 4


@needs_compiler
def test_the_command_says_so_in_one_line(bench: Bench) -> None:
    case, before, after = bench.case("csv")
    changes = bench.changes(case, "count")
    for at in range(5, round(0.8 * changes), changes // 5):
        case.set_up()
        outcome = bench.nursery.run({"cli": arguments(case)}, "full", at)
        assert (outcome.code, outcome.error) == (5, ""), outcome.text
        assert outcome.text.startswith("Error: No space left on device"), outcome.text
        assert outcome.text.count("\n") == 1, outcome.text
        assert_whole(case.view(), before, after, case.kind)
        assert bench.nursery.run({"cli": arguments(case)}).code == 0
        assert _scores_of(case.view()) == _scores_of(after)


def arguments(case: Case) -> list[str]:
    """The case's call as a command."""
    names = ("horizon", "draws", "block_rows", "threads", "memory_limit")
    options = [f"--{name.replace('_', '-')}={case.call[name]}" for name in names]
    where = ["-o", case.call["output"], "--posterior", case.call["posterior"]]
    return ["score", case.call["source"], *where, *options, "--allow-rejects", "--quiet"]


def _scores_of(view: View) -> tuple[object, ...]:
    """All but the manifest, which also says where the posterior lies."""
    return view.scores, view.rejects, view.names
