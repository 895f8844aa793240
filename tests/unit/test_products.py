"""The product by which levels' effects are made of what is sampled: right, and quick to compile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Constant
from pytensor.tensor.basic import Alloc
from pytensor.tensor.math import Dot

from clvmodels import (
    BetaGeoModel,
    Covariate,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    Pooled,
)
from clvmodels.fit.density import _unlocked, compile_density
from clvmodels.fit.ops import product
from tests.covariates import base_of, table_of


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "NUMBA"])
@pytest.mark.parametrize("shape", [(3, 2), (1, 1), (2, 5)])
def test_product_and_its_gradient(mode: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    matrix, numbers, weight = rng.normal(size=shape), rng.normal(size=shape[1]), np.arange(shape[0])
    vector = pt.vector("numbers", shape=(shape[1],))
    found = product(matrix, vector)
    gradient = pytensor.grad((found * weight).sum(), vector)
    value, slope = pytensor.function([vector], [found, gradient], mode=mode)(numbers)
    np.testing.assert_allclose(value, matrix @ numbers, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slope, matrix.T @ weight, rtol=1e-14, atol=1e-15)


MIXED = ["channel", Covariate("first_value", numeric=True), Pooled("country", ordered=True)]


@pytest.mark.parametrize(
    "model",
    [
        BetaGeoModel(purchase_covariates=MIXED, dropout_covariates=["channel"]),
        ModifiedBetaGeoModel(dropout_covariates=MIXED),
        ParetoNBDModel(purchase_covariates=[Pooled("country")], dropout_covariates=["channel"]),
        GammaGammaModel(covariates=MIXED),
    ],
    ids=["both sides", "one side", "pooled", "spend"],
)
def test_nothing_of_it_takes_long_to_compile(model: Any) -> None:
    """A call of BLAS, or a vector that is made of a number, took seconds each."""
    frame = base_of()
    frame["country"] = [f"{i % 7}" for i in range(len(frame))]
    built = model.build(table_of(frame))
    compiled = compile_density(built).compiled
    graph = pytensor.function(
        [compiled.joined],
        [compiled.logp, pytensor.grad(compiled.logp, compiled.joined)],
        mode=pytensor.compile.mode.Mode(None, _unlocked().provided_optimizer),
    ).maker.fgraph
    slow = [
        node
        for node in graph.apply_nodes
        if isinstance(node.op, Dot)
        or "blas" in type(node.op).__module__
        or (isinstance(node.op, Alloc) and not isinstance(node.inputs[0], Constant))
    ]
    assert graph.apply_nodes
    assert not slow
