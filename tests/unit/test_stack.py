"""A stack is the mixture of its members, whatever is asked of it and wherever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.reports import show_posterior
from clvmodels.cli.terminal import Terminal
from clvmodels.errors import DomainError, PosteriorFileError, SchemaError, TimeUnitError
from clvmodels.forecast import Draws
from clvmodels.forecast.chunks import chunk_of
from clvmodels.forecast.counts import count_survival
from clvmodels.forecast.grouping import group_rows
from clvmodels.formulas.discounting import Due
from clvmodels.posterior import StackPosterior
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.posterior.scorable import purchases_of
from clvmodels.posterior.stacking import allotted, stacked
from clvmodels.purchases import MODELS
from clvmodels.purchases.cnbd import RegularFamily
from clvmodels.purchases.mixed_draws import MEMBER
from clvmodels.simulate import simulate_rfm
from clvmodels.verdict import laplace_verdict

S = 60
CENTRES = {
    "r": 0.6,
    "alpha": 30.0,
    "a": 0.8,
    "b": 2.5,
    "s": 0.6,
    "beta": 40.0,
    "p": 6.0,
    "q": 4.0,
    "v": 15.0,
}
# One of three phases, whether or not the catalogue has any
THREE = replace(
    MODELS["mbgnbd"],
    key="three",
    name="Three",
    family=RegularFamily(extra_stays=1, regularity=3),
)
OTHERS = [*(key for key in MODELS if key != "bgnbd"), "three"]
RFM = simulate_rfm(
    400, r=0.6, alpha=30.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0, T=(5.0, 300.0), seed=3
)
WEIGHTS = {"one": 0.7, "other": 0.3}
Array = np.ndarray


@pytest.fixture(autouse=True)
def _catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "three", THREE)


def posterior(key: str, seed: int = 1, count: int = S, **unit: Any) -> Any:
    kind, rng = purchase_posterior(key), np.random.default_rng(seed)
    draws = {
        name: CENTRES[name] * np.exp(0.15 * rng.standard_normal(count)) for name in kind.parameters
    }
    return kind.from_draws(**draws, **unit)


def spend() -> clv.GammaGammaPosterior:
    rng = np.random.default_rng(9)
    draws = {n: CENTRES[n] * np.exp(0.1 * rng.standard_normal(S)) for n in ("p", "q", "v")}
    return clv.GammaGammaPosterior.from_draws(**draws)


def both(other: str = "mbgnbd", **how: Any) -> Any:
    """Stack two posteriors with one spend."""
    given = {"one": posterior("bgnbd"), "other": posterior(other, 2)}
    members = {name: clv.CLVPosterior(one, spend()) for name, one in given.items()}
    return clv.stack(members, weights=WEIGHTS, **how)


def alone(stack: Any) -> list[Any]:
    """Members of a stack, with its spend, where the members' draws are all that they are."""
    return [clv.CLVPosterior(one, stack.spend) for one in stack.purchases.members.values()]


def customers() -> tuple[Array, Array, Array, Array]:
    table = RFM.table if isinstance(RFM, clv.RfmTable) else RFM
    names = ("frequency", "recency", "T", "monetary_value")
    x, t_x, T, m = (np.array(table[name], dtype=np.float64) for name in names)
    return x, t_x, T, np.where(x > 0, m, 0.0)


# --- draws ---


@pytest.mark.parametrize(
    ("weights", "size", "counts"),
    [
        ([0.7, 0.3], 60, [42, 18]),
        ([1 / 3, 1 / 3, 1 / 3], 10, [4, 3, 3]),
        ([0.5, 0.26, 0.24], 10, [5, 3, 2]),
        ([1.0], 7, [7]),
    ],
)
def test_draws_are_allotted_by_largest_remainders(
    weights: list[float], size: int, counts: list[int]
) -> None:
    assert allotted(np.array(weights), size).tolist() == counts


@pytest.mark.parametrize("other", OTHERS)
def test_members_keep_their_own_draws(other: str) -> None:
    stack = both(other).purchases
    assert stack.draws_total == S
    assert {n: one.draws_total for n, one in stack.members.items()} == {"one": 42, "other": 18}
    whole = posterior(other, 2).draws()
    for name, values in stack.members["other"].draws().items():
        assert np.isin(values, whole[name]).all()
    member = stack.draws()[MEMBER]
    assert np.isnan(stack.draws()["a"][member == 1]).all() == ("a" not in whole)


def test_points_are_repeated_by_weight_and_stay_points() -> None:
    one, other = (posterior(key, count=1) for key in ("bgnbd", "mbgnbd"))
    weights = {"one": 0.85, "other": 0.15}
    stack = clv.stack({"one": one, "other": other}, weights=weights)
    assert stack.draws_total == 20
    means = [each.predict(RFM, time_unit="D")["expected_purchases"] for each in (one, other, stack)]
    np.testing.assert_allclose(means[2], 0.85 * means[0] + 0.15 * means[1], rtol=1e-12)


# --- one member ---


def test_a_stack_of_one_is_its_member_to_the_last_bit() -> None:
    member = clv.CLVPosterior(posterior("bgnbd"), spend())
    stack = clv.stack({"one": member})
    how = {"time_unit": "D", "horizon": "90D"}
    pairs = [one.predict(RFM, predictive=True, **how) for one in (member, stack)]
    pd.testing.assert_frame_equal(*pairs, check_exact=True)
    found = [clv.count_distribution(one, RFM, **how).survival for one in (member, stack)]
    np.testing.assert_array_equal(*found)
    totals = [
        clv.portfolio(one, RFM, paths=50, random_seed=1, **how).draws("value")
        for one in (member, stack)
    ]
    np.testing.assert_array_equal(*totals)
    assert stack.new_customer_value("90D") == member.new_customer_value("90D")


# --- two members ---


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("horizon", ["90D", None])
def test_means_are_the_weighted_means_of_the_members(other: str, horizon: Any) -> None:
    stack = both(other)
    how: dict[str, Any] = {"time_unit": "D", "horizon": horizon}
    found = stack.purchases.predict(RFM, **how)
    parts = [one.predict(RFM, **how) for one in stack.purchases.members.values()]
    for name in ("p_alive", "p_purchase", "expected_purchases", "discounted_purchases"):
        mean = 0.7 * parts[0][name] + 0.3 * parts[1][name]
        np.testing.assert_allclose(found[name], mean, rtol=1e-11, err_msg=name)


@pytest.mark.parametrize("other", OTHERS)
def test_quantiles_are_those_of_all_draws_together(other: str) -> None:
    stack = both(other).purchases
    found = stack.predict(RFM, time_unit="D", horizon="90D", interval=0.8)
    members = stack.members.values()
    how: dict[str, Any] = {"time_unit": "D"}
    pooled = {
        "p_alive": [one.expected_probability_alive(RFM, **how) for one in members],
        "expected_purchases": [one.expected_purchases(RFM, future_t=90, **how) for one in members],
    }
    for name, parts in pooled.items():
        draws = np.concatenate([one.to_numpy()[0] for one in parts])
        ends = np.quantile(draws, [0.1, 0.9], axis=0)
        np.testing.assert_allclose(found[f"{name}_lower"], ends[0], rtol=1e-10)
        np.testing.assert_allclose(found[f"{name}_upper"], ends[1], rtol=1e-10)
    by_draw = stack.expected_purchases(RFM, future_t=90, time_unit="D").to_numpy()[0]
    draws = np.concatenate([one.to_numpy()[0] for one in pooled["expected_purchases"]])
    np.testing.assert_array_equal(by_draw, draws)


@pytest.mark.parametrize("other", OTHERS)
def test_counts_are_distributed_as_all_draws_together(other: str) -> None:
    """Each P(count = n) is the mean over all draws of what its own model says."""
    stack = both(other)
    how: dict[str, Any] = {"time_unit": "D", "horizon": "90D"}
    distribution = clv.count_distribution(stack, RFM, **how)
    x, t_x, T, _ = customers()
    n = np.arange(4)[:, None]
    expected = np.concatenate(
        [
            one.formulas.pmf(
                n[:, None], x, t_x, T, 90.0, **{k: v[:, None] for k, v in one.draws().items()}
            )
            for one in stack.purchases.members.values()
        ],
        axis=1,
    ).mean(axis=1)
    np.testing.assert_allclose(distribution.pmf(n), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("other", OTHERS)
def test_tables_of_counts_are_long_enough_for_every_member(other: str) -> None:
    """P(count >= n), to where it is next to nothing, against formulas at points."""
    stack = both(other).purchases
    x, t_x, T, m_bar = (column[:40] for column in customers())
    draws = Draws(stack.draws(), None, stack.formulas)
    chunk = chunk_of(group_rows(x, t_x, T), 0, draws, Due(200.0), m_bar)
    values, length, complete = count_survival(chunk, 1e-6)
    assert complete
    h, columns = int(np.argmax(length)), {n: v[:, None] for n, v in stack.draws().items()}
    start, key = int(length[:h].sum()), chunk.customers.key_of[h]
    groups = group_rows(x, t_x, T)
    pmf = stack.formulas.pmf(
        np.arange(length[h]), chunk.x[key], groups.t_x[h], chunk.T[key], 200.0, **columns
    )
    above = 1.0 - np.cumsum(pmf.mean(axis=0))
    assert length[h] > 5
    np.testing.assert_allclose(values[start : start + length[h]], above, atol=2e-9)


@pytest.mark.parametrize("other", ["mbgnbd", "three"])
def test_simulated_totals_are_those_of_the_mixture(other: str) -> None:
    stack = both(other)
    how: dict[str, Any] = {"time_unit": "D", "horizon": "90D", "draws": S}
    found = clv.portfolio(stack, RFM, paths=3000, random_seed=4, **how)
    expected = stack.predict(RFM, **how)
    for name, column in (("purchases", "expected_purchases"), ("value", "clv")):
        totals = found.draws(name)
        error = 4.5 * totals.std() / np.sqrt(len(totals) / 6)  # draws are shared by 50 paths each
        assert abs(totals.mean() - expected[column].sum()) < error


def test_draws_are_cut_at_points_however_they_are_laid_out() -> None:
    """Chains beside draws, draws in columns, one draw: the same numbers."""
    stack = both("three").purchases
    family, draws = stack.formulas, stack.draws()
    column = {name: values[:, None] for name, values in draws.items()}
    grid = {name: values.reshape(2, 30) for name, values in draws.items()}
    x, T = np.array([0.0, 2.0, 5.0]), np.array([10.0, 60.0, 90.0])
    t_x = T / 2.0 * (x > 0)
    by_column = family.p_alive(x, t_x, T, **column)
    assert by_column.shape == (S, 3)
    for i in range(3):
        found = family.p_alive(x[i], t_x[i], T[i], **grid)
        np.testing.assert_array_equal(found.ravel(), by_column[:, i])
    one = {name: values[50] for name, values in draws.items()}
    np.testing.assert_array_equal(family.p_alive(x, t_x, T, **one), by_column[50])
    member = draws[MEMBER] == 1
    order = np.random.default_rng(0).permutation(S)
    mixed = {name: values[order, None] for name, values in draws.items()}
    np.testing.assert_array_equal(family.p_alive(x, t_x, T, **mixed), by_column[order])
    assert 0 < member.sum() < S


def test_permuted_draws_give_the_same_means() -> None:
    """Members need not stand in a row: draws travel with what they are of."""
    stack = both("three").purchases
    order = np.random.default_rng(0).permutation(S)
    x, t_x, T, m_bar = customers()
    groups, found = group_rows(x, t_x, T), []
    for rows in (np.arange(S), order):
        draws = {name: values[rows] for name, values in stack.draws().items()}
        chunk = chunk_of(groups, 0, Draws(draws, None, stack.formulas), Due(90.0, 3e-4), m_bar)
        room = np.empty((3, len(groups.x), S))
        chunk.weights.fill(0, room)
        found.append((room, *chunk.living.expect(), chunk.buys(slice(0, len(chunk.x)))))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one[..., order], other)


# --- everywhere ---


@pytest.mark.parametrize("other", ["mbgnbd", "three"])
def test_score_files_are_those_of_predict(other: str, tmp_path: Path) -> None:
    stack, table = both(other), tmp_path / "rfm.parquet"
    RFM.to_parquet(table)
    clv.score(table, stack, tmp_path / "scores.parquet", horizon="90D", time_unit="D")
    scored = pd.read_parquet(tmp_path / "scores.parquet").sort_values("customer_id")
    predicted = stack.predict(RFM, horizon="90D", time_unit="D").sort_values("customer_id")
    for name in ("p_alive", "expected_purchases", "clv", "clv_lower", "clv_upper"):
        np.testing.assert_allclose(scored[name], predicted[name], rtol=1e-9)


@pytest.mark.slow
def test_spark_scores_as_one_machine_does(spark: Any) -> None:
    stack = both("mbgnbd")
    frame = RFM.astype({"customer_id": "int64"})
    scored = clv.spark.score(spark.createDataFrame(frame), stack, horizon="90D", time_unit="D")
    found = scored.toArrow().to_pandas().sort_values("customer_id")
    predicted = stack.predict(frame, horizon="90D", time_unit="D").sort_values("customer_id")
    for name in ("p_alive", "expected_purchases", "clv"):
        np.testing.assert_allclose(found[name], predicted[name], rtol=1e-9)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    stack = both("mbgnbd")
    loaded = clv.load_posterior(stack.save(tmp_path / "stack.nc"))
    assert isinstance(loaded.purchases, StackPosterior)
    assert loaded.purchases.weights == WEIGHTS
    assert loaded.purchases.metadata == stack.purchases.metadata
    assert loaded.fingerprint() == stack.fingerprint()
    frames = [one.predict(RFM, time_unit="D") for one in (stack, loaded)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert repr(loaded) == repr(stack)


def test_a_file_of_unknown_members_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    path = both("three").save(tmp_path / "stack.nc")
    monkeypatch.delitem(MODELS, "three")
    with pytest.raises(PosteriorFileError, match="of the model 'three'"):
        clv.load_posterior(path)


def test_the_same_draws_of_other_models_are_another_stack() -> None:
    one = posterior("bgnbd")
    twin = purchase_posterior("mbgnbd").from_draws(**one.draws())
    prints = {clv.stack({"one": one, "other": each}).fingerprint() for each in (one, twin)}
    assert len(prints) == 2


# --- what it says of itself ---


def failed(one: Any, khat: float) -> Any:
    verdict = laplace_verdict(khat, 500.0)
    return replace(one, metadata=replace(one.metadata, method="laplace", verdict=verdict))


def test_the_verdict_is_the_worst_of_the_members() -> None:
    fine, bad = failed(posterior("bgnbd"), 0.1), failed(posterior("mbgnbd"), 0.9)
    assert clv.stack({"one": fine, "other": fine}).verdict.status == "pass"
    stack = clv.stack({"one": fine, "other": bad})
    assert stack.verdict.status == "fail"
    assert [check.name for check in stack.verdict.failures] == ["other: Pareto k-hat"]


def test_members_of_no_weight_are_left_out_and_said() -> None:
    given = {"one": posterior("bgnbd"), "other": posterior("mbgnbd")}
    stack = clv.stack(given, weights={"one": 0.999, "other": 0.001})
    assert stack.weights == {"one": 1.0}
    assert stack.metadata.notes[0] == "other has a weight of 0.1 % and is left out."
    assert "All the weight is on one." in repr(stack)


def test_a_comparison_has_weights() -> None:
    given = {key: posterior(key, count=200) for key in ("bgnbd", "mbgnbd")}
    compared = clv.compare(given, RFM, time_unit="D")
    stack = clv.stack(given, weights=compared)
    kept = {name: weight for name, weight in compared.weights.items() if weight >= 0.005}
    assert stack.weights == pytest.approx({n: w / sum(kept.values()) for n, w in kept.items()})
    assert "leave-one-out" in stack.metadata.why


def test_parameters_are_shown_by_member(capsys: pytest.CaptureFixture[str]) -> None:
    stack = both("mbgnbd")
    labels = {f"{name}: {one}" for name in WEIGHTS for one in ("r", "alpha", "a", "b")}
    assert labels <= set(stack.summary().index)
    show_posterior(Terminal(quiet=False), stack)
    said = capsys.readouterr().out
    assert "Stack of BG/NBD and MBG/NBD" in said
    assert "other: alpha" in said
    assert "The weights are one 0.70 and other 0.30. They were given." in said


@pytest.mark.slow
def test_the_report_is_of_the_mixture(tmp_path: Path) -> None:
    stack = both("three")
    found = clv.diagnostics.diagnose(stack, RFM, time_unit="D")
    sections = {section.key: section for section in found.sections}
    assert any("one 0.70 and other 0.30" in note for note in sections["convergence"].notes)
    table = sections["convergence"].tables[0]
    assert "other: alpha" in {row[0] for row in table.rows}
    assert np.isfinite([row[1] for row in table.rows]).all()
    clv.report(stack, RFM, time_unit="D", output=tmp_path / "report.html")
    assert "Stack of BG/NBD and Three" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_mlflow_and_manifests_know_it_by_its_name() -> None:
    from clvmodels.mlflow.logged import metadata_of, tags_of

    stack = both("mbgnbd")
    assert tags_of(stack)["clvmodels.stack.method"] == "stack"
    assert metadata_of(stack)["models"]["stack"]["draws"] == S


def test_margin_and_units_are_kept() -> None:
    members = {
        name: clv.CLVPosterior(posterior(key, time_unit="D", time_scaler=7), spend(), margin=0.3)
        for name, key in (("one", "bgnbd"), ("other", "mbgnbd"))
    }
    stack = clv.stack(members)
    assert (stack.margin, str(stack.scale)) == (0.3, str(members["one"].scale))
    assert stack.new_customer_value().margin == 0.3


def test_the_average_customer_is_described_by_model_where_words_differ() -> None:
    stack = both("mbgnbd").purchases
    found = {one.words: one.values for one in stack.facts.describe(stack.draws())}
    assert len(found["repeat purchases a year while active"]) == S
    assert len(found["leave for good after each repeat purchase"]) == 42
    assert len(found["leave for good after each purchase"]) == 18
    assert not stack.facts.once_says_nothing


# --- refusals ---


def test_what_cannot_be_stacked_is_refused() -> None:
    one, other = posterior("bgnbd"), posterior("mbgnbd")
    with pytest.raises(SchemaError, match="by name"):
        clv.stack([one, other])  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="'b' is a GammaGammaPosterior"):
        clv.stack({"a": one, "b": spend()})  # type: ignore[dict-item]
    with pytest.raises(SchemaError, match="'b' is a stack itself"):
        clv.stack({"a": one, "b": clv.stack({"c": one, "d": other})})
    with pytest.raises(TimeUnitError, match="'a' counts time in"):
        clv.stack({"a": one, "b": posterior("mbgnbd", time_unit="W")})
    with pytest.raises(SchemaError, match="'a' knows spend and 'b' does not"):
        clv.stack({"a": clv.CLVPosterior(one, 25.0), "b": other})
    with pytest.raises(SchemaError, match="spend of 'a' and 'b' differs"):
        clv.stack({"a": clv.CLVPosterior(one, 25.0), "b": clv.CLVPosterior(other, 26.0)})


@pytest.mark.parametrize(
    ("weights", "error", "says"),
    [
        ({"a": 1.0}, SchemaError, "Weights are of a, and the posteriors are a, b"),
        ({"a": 0.7, "b": 0.7}, DomainError, "they sum to 1.4"),
        ({"a": 1.2, "b": -0.2}, DomainError, "must be numbers from 0 to 1"),
        ({"a": np.nan, "b": 1.0}, DomainError, "must be numbers from 0 to 1"),
        ({"a": np.inf, "b": 0.0}, DomainError, "must be numbers from 0 to 1"),
        ({"a": 0.0, "b": 0.0}, DomainError, "leave them out for equal ones"),
        (0.5, SchemaError, "weights=0.5 must be a number for every posterior"),
    ],
)
def test_weights_are_checked(weights: Any, error: type[Exception], says: str) -> None:
    given = {"a": posterior("bgnbd"), "b": posterior("mbgnbd")}
    with pytest.raises(error, match=says):
        clv.stack(given, weights=weights)


@pytest.mark.parametrize(
    ("weights", "draws", "least"),
    [({"a": 0.5, "b": 0.5}, 1, 2), ({"a": 0.99, "b": 0.01}, 2, 51), ({"a": 0.9, "b": 0.1}, 4, 6)],
)
def test_draws_too_few_for_every_member_are_refused(
    weights: dict[str, float], draws: int, least: int
) -> None:
    """Else a member would be left out in silence, and the means be others."""
    parts = {"a": posterior("bgnbd"), "b": posterior("mbgnbd")}
    with pytest.raises(DomainError, match=f"draws={draws} are too few .* take {least} or more"):
        clv.stack(parts, weights=weights, draws=draws)
    made = clv.stack(parts, weights=weights, draws=least)
    assert len(np.unique(made.draws()["member"])) == 2


def test_a_point_is_not_stacked_with_draws() -> None:
    """Its draws would all be the same, and intervals of the stack too narrow."""
    one, point = posterior("bgnbd"), posterior("mbgnbd", count=1)
    mode = replace(posterior("mbgnbd"), metadata=replace(point.metadata, method="map"))
    for other in (point, mode):
        with pytest.raises(SchemaError, match="'b' is a single point and 'a' has draws"):
            clv.stack({"a": one, "b": other})
        assert clv.stack({"a": other, "b": other}).weights == {"a": 0.5, "b": 0.5}


def test_other_bases_are_noted() -> None:
    one, other = posterior("bgnbd"), posterior("mbgnbd")
    known = [
        replace(each, metadata=replace(each.metadata, fingerprint=name, base={"max_T": 9.0}))
        for each, name in ((one, "x"), (other, "y"))
    ]
    stack = stacked(dict(zip("ab", known, strict=True)), {"a": 0.5, "b": 0.5}, why="")
    assert "The members were fitted to different bases." in stack.metadata.notes
    assert purchases_of(stack).metadata.base == {"max_T": 9.0}
