"""What a purchase model is called stands in one place, and everything else asks there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import clvmodels
from clvmodels import CLVModel, GammaGammaModel
from clvmodels.errors import SchemaError
from clvmodels.evaluation.fitting import Fitting
from clvmodels.fit.purchases import purchase_specification
from clvmodels.posterior.purchases import purchase_posterior
from clvmodels.purchases import MODELS, ModelKey, PurchaseModel, purchase_model
from clvmodels.simulate import simulate_rfm

PACKAGE = Path(clvmodels.__file__).parent
# Where a name is a choice and no decision: the demo's model, and formulas to import by name.
CHOICES = {"cli/demo.py": 1, "formulas/__init__.py": 4}


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield strings that are the key or the name of a model, where code may decide by them."""
    known = {name for model in MODELS.values() for name in (model.key, model.name)}
    defaults = {
        id(default)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for default in (*node.args.defaults, *node.args.kw_defaults)
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
        assert purchase_posterior(key).facts is model
        assert CLVModel(key).purchases == purchase_specification(key)()
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
    with pytest.raises(SchemaError, match=r"or the name of one: bgnbd, mbgnbd"):
        CLVModel(GammaGammaModel())
    with pytest.raises(SchemaError, match=r"name of a model \(bgnbd, mbgnbd\)"):
        Fitting(GammaGammaModel(), {}).specification()


def test_what_parameters_mean_is_said_by_the_model() -> None:
    draws = {"r": np.array([0.5]), "alpha": np.array([10.0]), "a": np.array([1.0])}
    for model in MODELS.values():
        rate, leaves = model.describe({**draws, "b": np.array([3.0])})
        assert (rate.counts, float(rate.values[0])) == ("a year", 0.05)
        assert (leaves.counts, float(leaves.values[0])) == ("share", 0.25)
        assert leaves.words.format(leaves=model.leaves).startswith("leave for good after each ")
        ends = model.formulas.endless(r=0.5, alpha=10.0, a=[0.9, 1.0, 1.1], b=3.0)
        assert ends.tolist() == [True, True, False]
