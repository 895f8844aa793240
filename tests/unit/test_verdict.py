"""Verdicts: what must fail fails, NaN included, and a failed fit is never silent."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from clvmodels.verdict import (
    MAX_DIVERGENT_SHARE,
    MAX_KHAT,
    USES,
    Verdict,
    at_least,
    at_most,
    explain_failure,
    given_verdict,
    laplace_verdict,
    map_verdict,
    nuts_verdict,
)

CHAINS, DRAWS = 4, 1000
CALM = np.zeros((CHAINS, DRAWS), dtype=bool)


def chains(rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"r": rng.normal(size=(CHAINS, DRAWS)), "a": rng.gamma(2.0, size=(CHAINS, DRAWS))}


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.failures}


def test_good_chains_pass(rng) -> None:
    verdict = nuts_verdict(chains(rng), CALM)
    assert verdict.status == "pass"
    assert verdict.ok
    rhat, bulk, tail, divergent = (check.value for check in verdict.checks)
    assert 0.99 < rhat < 1.01
    assert min(bulk, tail) > 1_000
    assert divergent == 0


@pytest.mark.parametrize("stuck", ["one chain", "all chains"])
def test_a_stuck_chain_fails(rng, stuck: str) -> None:
    """A constant gives R-hat NaN or huge, never a pass."""
    draws = chains(rng)
    draws["r"][(slice(None) if stuck == "all chains" else 0)] = 1.0
    verdict = nuts_verdict(draws, CALM)
    assert not verdict.ok
    assert "largest R-hat" in failed(verdict)


def test_a_missing_draw_fails(rng) -> None:
    draws = chains(rng)
    draws["a"][2, 7] = np.nan
    verdict = nuts_verdict(draws, CALM)
    assert {"largest R-hat", "smallest bulk ESS", "smallest tail ESS"} <= failed(verdict)
    assert math.isnan(verdict.checks[0].value)


def test_the_worst_parameter_counts(rng) -> None:
    """Chains that disagree in one parameter of several."""
    draws = chains(rng)
    draws["a"][3] += 5.0
    assert "largest R-hat" in failed(nuts_verdict(draws, CALM))


def test_slow_chains_fail_by_effective_size(rng) -> None:
    steps = rng.normal(size=(CHAINS, DRAWS))
    slow = np.empty_like(steps)
    slow[:, 0] = 20 * steps[:, 0]
    for i in range(1, DRAWS):
        slow[:, i] = 0.999 * slow[:, i - 1] + steps[:, i]
    assert "smallest bulk ESS" in failed(nuts_verdict({"r": slow}, CALM))


def test_one_chain_is_judged_by_its_halves(rng) -> None:
    good = {"r": rng.normal(size=(1, DRAWS))}
    assert nuts_verdict(good, CALM[:1]).ok
    drifting = {"r": good["r"] + np.linspace(0, 4, DRAWS)}
    assert "largest R-hat" in failed(nuts_verdict(drifting, CALM[:1]))
    constant = {"r": np.ones((1, DRAWS))}
    assert not nuts_verdict(constant, CALM[:1]).ok


@pytest.mark.parametrize(
    ("count", "status"),
    [(0, "pass"), (1, "warn"), (int(MAX_DIVERGENT_SHARE * 4000), "warn"), (21, "fail")],
)
def test_divergences(rng, count: int, status: str) -> None:
    diverging = CALM.copy()
    diverging.flat[:count] = True
    verdict = nuts_verdict(chains(rng), diverging)
    assert verdict.checks[-1].status == status
    assert verdict.status == status
    assert verdict.ok is (status != "fail")


def test_unreported_divergences_are_unavailable_not_passed(rng) -> None:
    check = nuts_verdict(chains(rng), None).checks[-1]
    assert (check.value, check.status) == (None, "unavailable")


@pytest.mark.parametrize(
    ("khat", "ess", "ok"),
    [
        (0.2, 900.0, True),
        (-math.inf, 1000.0, True),
        (MAX_KHAT, 900.0, True),
        (MAX_KHAT + 1e-9, 900.0, False),
        (math.nan, 900.0, False),
        (math.inf, 900.0, False),
        (0.2, 99.0, False),
        (0.2, math.nan, False),
    ],
)
def test_laplace_by_khat_and_effective_size(khat: float, ess: float, ok: bool) -> None:
    assert laplace_verdict(khat, ess).ok is ok


@pytest.mark.parametrize(("distance", "ok"), [(1e-6, True), (1.0, False), (math.nan, False)])
def test_map_by_the_optimiser(distance: float, ok: bool) -> None:
    verdict = map_verdict(distance, 1e-3)
    assert verdict.ok is ok
    assert [check.name for check in verdict.checks] == ["distance from the mode, in posterior sd"]


def test_given_draws_are_unavailable() -> None:
    assert given_verdict().status == "unavailable"
    assert given_verdict().ok


def test_nan_fails_both_ways_round() -> None:
    assert at_most("n", math.nan, 1.0, "").status == "fail"
    assert at_least("n", math.nan, 1.0, "").status == "fail"


@pytest.mark.parametrize(
    "verdict",
    [
        given_verdict(),
        laplace_verdict(0.4, 800.0),
        laplace_verdict(0.9, 8.0),
        map_verdict(1e-5, 1e-3),
    ],
)
def test_round_trip_through_strict_json(verdict: Verdict) -> None:
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    assert Verdict.from_dict(json.loads(text)) == verdict


@pytest.mark.parametrize("khat", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_survives_json_with_its_status(khat: float) -> None:
    verdict = laplace_verdict(khat, 1000.0)
    text = json.dumps(verdict.to_dict(), allow_nan=False)
    back = Verdict.from_dict(json.loads(text))
    assert back.status == verdict.status
    assert back.checks[0].status == verdict.checks[0].status


def test_words_name_figure_limit_and_way_out() -> None:
    verdict = laplace_verdict(0.93, 8.0)
    line = explain_failure(verdict)
    assert "\n" not in line
    for part in (
        "laplace",
        "Pareto k-hat 0.93",
        "at most 0.7",
        "importance ESS 8",
        "method='nuts'",
    ):
        assert part in line
    assert line.count("method='nuts'") == 1
    assert str(verdict).startswith("laplace: fail")


@pytest.mark.parametrize("draws", [1, 2, 3, 5])
def test_too_few_draws_fail(rng, draws: int) -> None:
    few = {"r": rng.normal(size=(CHAINS, draws))}
    assert not nuts_verdict(few, CALM[:, :draws]).ok
    assert not nuts_verdict({"r": few["r"][:1]}, CALM[:1, :draws]).ok


def test_checks_of_older_files_get_their_sides() -> None:
    """As posteriors were saved before checks knew theirs."""
    record = {
        "method": "map",
        "status": "pass",
        "checks": [
            old("smallest bulk ESS", 500.0, 400.0),
            old("share of divergent transitions", 0.002, 0.005),
            old("distance from the mode, in posterior sd", 1e-6, 1e-3),
            old("uncertainty", None, None) | {"status": "unavailable"},
        ],
    }
    checks = Verdict.from_dict(record).checks
    assert [check.bound for check in checks] == ["at least 400", "at most 0.5 %", "at most 0.001"]
    assert checks[1].figure == "0.2 %"
    assert all(check.bears_on == USES for check in checks)


def old(name: str, value: float | None, limit: float | None) -> dict[str, object]:
    return {"name": name, "value": value, "limit": limit, "status": "pass", "advice": "Do."}
