"""What a purchase model is called stands in one place, and everything else asks there."""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

import clvmodels
from clvmodels import BetaGeoPosterior, CLVModel, GammaGammaModel, stack
from clvmodels.errors import SchemaError
from clvmodels.evaluation.fitting import Fitting
from clvmodels.fit.purchases import purchase_specification
from clvmodels.model_facts import LogNormalDefault
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import (
    MODELS,
    ModelKey,
    PurchaseModel,
    catalogue,
    purchase_model,
    regularities,
    with_regularity,
)
from clvmodels.purchases.aged import AgedFamily
from clvmodels.purchases.mixture import StackedFamily
from clvmodels.purchases.stratified import StratifiedFamily
from clvmodels.simulate import simulate_rfm
from tests.toy_family import TOY

PACKAGE = Path(clvmodels.__file__).parent
# Where a name is a choice and no decision: the demo's model, and formulas to import by name.
CHOICES = {"cli/demo.py": 1, "formulas/__init__.py": 6}


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield strings that are the key or the name of a model, where code may decide by them."""
    known = {name for model in MODELS.values() for name in (model.key, model.name)}
    defaults = {
        id(default)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for default in (*node.args.defaults, *node.args.kw_defaults)
    }
    defaults |= {  # of options that several functions have alike
        id(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "defaults"
        for keyword in node.keywords
    }
    fields = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.AnnAssign)}
    looked_up = {
        id(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "MODELS"
    }
    for node in ast.walk(tree):
        aside = id(node) in defaults | fields | looked_up
        if isinstance(node, ast.Constant) and node.value in known and not aside:
            yield node.lineno, str(node.value)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_nobody_else_decides_by_the_name_of_a_model(file: Path) -> None:
    where = file.relative_to(PACKAGE).as_posix()
    found = list(names_in(ast.parse(file.read_text(encoding="utf-8"))))
    if not where.startswith("purchases/"):
        assert len(found) <= CHOICES.get(where, 0), found


@pytest.mark.parametrize(
    "code", ['model == "bgnbd"', 'kinds = {"mbgnbd": 1}', 'x in ("bgnbd",)', 'f(name="BG/NBD")']
)
def test_a_decision_by_name_is_seen(code: str) -> None:
    assert list(names_in(ast.parse(code)))


FAMILIES = {
    one.__name__
    for kind in (*(type(model.formulas) for model in MODELS.values()), StackedFamily, AgedFamily)
    for one in (*kind.__mro__, StratifiedFamily)
} - {"object"}


def types_asked(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield classes of families by which code tells one from the other."""
    for node in ast.walk(tree):
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if named and node.func.id in ("isinstance", "issubclass"):
            inner = (one for given in node.args[1:] for one in ast.walk(given))
        elif isinstance(node, ast.MatchClass):
            inner = ast.walk(node.cls)
        else:
            continue
        for one in inner:
            name = getattr(one, "id", getattr(one, "attr", ""))
            if name in FAMILIES:
                yield one.lineno, name


def test_nobody_else_decides_by_the_type_of_a_family() -> None:
    found = {
        file.stem: asked
        for file in PACKAGE.rglob("*.py")
        if (asked := list(types_asked(ast.parse(file.read_text(encoding="utf-8")))))
        and file.parent.name != "purchases"
    }
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "isinstance(draws.formulas, BetaDropout | ParetoNBD)",
        "issubclass(type(x), formulas.BetaGeometric)",
        "match x:\n    case StackedFamily():\n        pass",
    ],
)
def test_a_decision_by_type_is_seen(code: str) -> None:
    assert list(types_asked(ast.parse(code)))


def test_the_typed_keys_are_those_of_the_catalogue() -> None:
    assert get_args(ModelKey) == tuple(MODELS)
    assert all(key == model.key for key, model in MODELS.items())
    assert len({model.name for model in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_facts_are_whole(model: PurchaseModel) -> None:
    made = set() if model.joint is None else set(model.joint.made)
    sampled = set() if model.joint is None else set(model.joint.sampled)
    assert set(model.parameter_names) - made | sampled == set(model.defaults)
    assert model.papers.endswith(".")
    assert any(one.carries == "time" for one in model.parameters)
    if model.peer is not None:
        assert set(model.peer.priors) == set(model.defaults)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_is_made_of_others_comes_back(model: PurchaseModel) -> None:
    if model.joint is not None:
        assert model.joint.unmake(*model.joint.make(0.25, 3.2)) == pytest.approx((0.25, 3.2))


def test_every_model_has_its_classes() -> None:
    for key, model in MODELS.items():
        assert purchase_specification(key).facts is model
        assert purchase_specification(key).name == key
        assert purchase_posterior(key).facts is model
        assert CLVModel(key).purchases == purchase_specification(key)
        assert Fitting(key, {}).specification().purchases.name == key


@pytest.mark.parametrize(
    "ask",
    [
        lambda: purchase_model("pareto"),
        lambda: CLVModel("pareto"),
        lambda: purchase_specification("pareto"),
        lambda: purchase_posterior("pareto"),
        lambda: Fitting("pareto", {}).specification(),
        lambda: simulate_rfm(3, r=1, alpha=1, a=1, b=1, T=9, seed=1, model="pareto"),
    ],
)
def test_another_name_is_told_which_there_are(ask) -> None:
    with pytest.raises(SchemaError, match=r"'pareto'.*bgnbd.*mbgnbd"):
        ask()


def test_a_model_of_spend_is_no_model_of_purchases() -> None:
    keys = ", ".join(MODELS)
    with pytest.raises(SchemaError, match=f"or the name of one: auto, {keys}"):
        CLVModel(GammaGammaModel())
    with pytest.raises(SchemaError, match=rf"name of a model \(auto, {keys}\)"):
        Fitting(GammaGammaModel(), {}).specification()


def test_what_parameters_mean_is_said_by_the_model() -> None:
    # In all of them a quarter leaves before the next purchase.
    for model in (one for one in MODELS.values() if {"r", "alpha"} < set(one.parameter_names)):
        draws = {"r": 0.5, "alpha": 10.0 / model.regularity}  # of stages
        shape, others = "a", {"a": 1.0, "b": 3.0}
        if "s" in model.parameter_names:
            shape, others = "s", {"s": 0.5 / 3.0, "beta": 10.0}
        draws |= others
        rate, leaves = model.describe({name: np.array([one]) for name, one in draws.items()})
        assert (rate.counts, float(rate.values[0])) == ("a year", 0.05)
        assert leaves.counts == "share"
        assert float(leaves.values[0]) == pytest.approx(0.25, rel=1e-10)
        assert leaves.words.format(leaves=model.leaves).startswith("leave for good ")
        ends = model.formulas.endless(**draws | {shape: [0.9, 1.0, 1.1]})
        assert ends.tolist() == [True, True, False]


@pytest.mark.parametrize("model", [*MODELS.values(), TOY], ids=[*MODELS, TOY.key])
def test_a_posterior_keeps_its_model_where_the_catalogue_does_not_know_it(
    model: PurchaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a worker of Spark, which imports the catalogue anew."""
    with monkeypatch.context() as here:
        here.setitem(MODELS, model.key, model)
        one = purchase_posterior(model.key).from_draws(
            **dict.fromkeys(model.parameter_names, 0.5)  # type: ignore[call-arg]
        )
        stacked = stack({"a": one, "b": BetaGeoPosterior.from_draws(r=1, alpha=1, a=1, b=1)})
        sent = pickle.dumps((one, stacked))
    known = dict(MODELS)
    again, mixed = pickle.loads(sent)
    for key in MODELS.keys() - known:  # learnt just now: taken away after the test
        monkeypatch.setitem(MODELS, key, MODELS.pop(key))
    rfm = pd.DataFrame({"customer_id": [1], "frequency": [1.0], "recency": [2.0], "T": [9.0]})
    for found, wanted in ((again, one), (mixed.members["a"], stacked.members["a"])):
        assert found.facts.key == model.key
        assert found.fingerprint() == wanted.fingerprint()
        pd.testing.assert_frame_equal(found.predict(rfm), wanted.predict(rfm))
    pd.testing.assert_frame_equal(mixed.predict(rfm), stacked.predict(rfm))


def test_a_model_of_the_package_is_sent_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its entry is made of: another process has the entry too."""
    own = replace(TOY, describe=lambda draws: ())
    monkeypatch.setitem(MODELS, TOY.key, own)
    monkeypatch.setitem(catalogue._OWN, TOY.key, own)
    one = purchase_posterior(TOY.key).from_draws(lam=0.1, p_leave=0.2)
    for posterior in (one, stack({"a": one, "b": one})):
        again = pickle.loads(pickle.dumps(posterior))
        assert again.facts.name == posterior.facts.name
    assert pickle.loads(pickle.dumps(one)).facts is own


@pytest.mark.parametrize(
    ("part", "made"),
    [("describe", lambda draws: ()), ("moved", lambda *parts: {}), ("family", type("X", (), {})())],
)
def test_what_has_no_name_elsewhere_is_refused(
    part: str, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark pickles, and would say "attribute lookup <lambda> failed"."""
    monkeypatch.setitem(MODELS, TOY.key, replace(TOY, **{part: made}))
    one = purchase_posterior(TOY.key).from_draws(lam=0.1, p_leave=0.2)
    for posterior in (one, stack({"a": one, "b": one})):
        with pytest.raises(SchemaError, match=rf"Toy/NBD cannot be sent .* since {part}= has no"):
            pickle.dumps(posterior)


REGULAR = {key: one for key, one in MODELS.items() if one.regularity > 1}


@pytest.mark.parametrize("model", REGULAR.values(), ids=REGULAR)
def test_regularity_is_told_by_key_or_by_number(model: PurchaseModel) -> None:
    plain, k = MODELS[model.irregular], model.regularity
    assert with_regularity(plain, k) is with_regularity(model, k) is model
    assert with_regularity(model, 1) is plain
    assert regularities(model) == regularities(plain)
    assert list(regularities(plain)) == [1, 2, 3, 4]
    named = type(purchase_specification(plain.key))
    assert named(regularity=k) == purchase_specification(model.key) == CLVModel(model.key).purchases
    assert named(regularity=k).replace(regularity=1) == purchase_specification(plain.key)
    kind = purchase_posterior(plain.key)
    drawn = kind.from_draws(r=1, alpha=1, a=1, b=1, regularity=k)  # type: ignore[call-arg]
    assert type(drawn) is purchase_posterior(model.key)
    assert isinstance(drawn, kind)
    assert (drawn.facts, drawn.metadata.model) == (model, model.key)
    assert model.name in repr(drawn)
    for again in (copy.deepcopy(drawn), pickle.loads(pickle.dumps(drawn))):
        assert type(again) is type(drawn)
        assert again.fingerprint() == drawn.fingerprint()
    assert type(drawn).from_draws(r=1, alpha=1, a=1, b=1).facts is model
    assert model.formulas.phases == k
    alive = model.formulas.p_alive(0, 0, 5, r=1, alpha=1, a=1, b=1)
    assert bool(alive == 1.0) is model.once_says_nothing


@pytest.mark.parametrize("model", REGULAR.values(), ids=REGULAR)
def test_the_prior_of_purchases_a_unit_of_time_is_the_same_for_every_k(
    model: PurchaseModel,
) -> None:
    plain = MODELS[model.irregular]
    for name, default in plain.defaults.items():
        own = model.defaults[name]
        if name == "alpha":
            assert isinstance(own, LogNormalDefault)
            assert isinstance(default, LogNormalDefault)
            assert f"r / ({model.regularity} alpha)" in own.reason
            own = replace(own, median=model.regularity * own.median, reason=default.reason)
            assert own.median == pytest.approx(default.median)
            own = replace(own, median=default.median)
        assert own == default


@pytest.mark.parametrize("wrong", [0, 5, -1, 2.0, True, "2", None])
def test_another_regularity_is_refused(wrong: Any) -> None:
    with pytest.raises(
        SchemaError, match=r"regularity=.* must be 1, 2, 3 or 4, or 'auto': how many stages"
    ):
        clvmodels.BetaGeoModel(regularity=wrong)
    with pytest.raises(SchemaError, match=r"regularity="):
        CLVModel().replace(purchases__regularity=wrong)


def test_a_model_without_regularity_says_which_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(MODELS["bgnbd"], key="other", name="Other", irregular="")
    monkeypatch.setitem(MODELS, "other", other)
    assert regularities(other) == {1: other}
    assert with_regularity(other, 1) is other
    with pytest.raises(SchemaError, match=r"is not for Other: .* one of BG/NBD, MBG/NBD\."):
        with_regularity(other, 2)
