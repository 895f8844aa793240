"""Comparisons of models that differ in regularity, and of stacks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp

import clvmodels as clv
from clvmodels.errors import SchemaError
from clvmodels.posterior.leave_one_out import timings_of
from clvmodels.rfm.histories import rfm_columns
from tests.unit.test_automatic import QUIET, regular_base

BASE = regular_base(3)
CENTRE = {"r": 2.0, "a": 0.6, "b": 3.5}


def draws(k: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(k)
    centre = CENTRE | {"alpha": 2.0 * 40.0 / k}
    return {n: v * np.exp(0.03 * rng.standard_normal(200)) for n, v in centre.items()}


def posteriors() -> dict[str, clv.BetaGeoPosterior]:
    made = clv.BetaGeoPosterior.from_draws
    return {f"k{k}": made(**draws(k), regularity=k) for k in (1, 3)}


def test_models_of_other_regularity_are_compared_with_the_gaps() -> None:
    """The density of a customer is that of the history times the gaps to the power k - 1."""
    models = posteriors()
    found = clv.compare(models, BASE, time_unit="D").table
    assert found.index[0] == "k3"
    for name, power in (("k1", 0), ("k3", 2)):
        twice = {"one": models[name], "same": models[name]}
        alone = clv.compare(twice, BASE, time_unit="D").table["elpd"]["one"]
        expected = alone + power * math.fsum(BASE["log_gaps"])
        assert found["elpd"][name] == pytest.approx(expected, rel=1e-12)
    terms = found["elpd_diff"]["k1"]
    assert 0 < found["dse"]["k1"] < terms


def test_without_gaps_they_are_refused() -> None:
    table = BASE.drop(columns="log_gaps")
    with pytest.raises(SchemaError, match="different regularity"):
        clv.compare(posteriors(), table, time_unit="D")


def test_arviz_gets_the_gaps_of_a_regular_model_too() -> None:
    """ArviZ compares by differences of these terms: those of all k must be of the same data."""
    models = posteriors()
    table = BASE.drop(columns="log_gaps")
    first = models["k1"].log_likelihood(BASE, time_unit="D")
    xr.testing.assert_equal(first, models["k1"].log_likelihood(table, time_unit="D"))
    found = models["k3"].log_likelihood(BASE, time_unit="D")
    with pytest.warns(UserWarning, match="lacks what it owes to the times between purchases"):
        lacking = models["k3"].log_likelihood(table, time_unit="D")
    owed = 2 * BASE["log_gaps"].to_numpy()[(BASE["T"] > 0).to_numpy()]
    np.testing.assert_allclose(found - lacking, np.broadcast_to(owed, found.shape), atol=1e-9)
    tree = models["k3"].to_datatree(BASE, time_unit="D")["log_likelihood"]
    xr.testing.assert_equal(tree["recency_frequency"].drop_attrs(), found.drop_attrs())


def test_a_stack_is_compared_by_the_mixture_of_its_members() -> None:
    """log(sum of weight times density) of every history, each left out by its member."""
    one = clv.BetaGeoPosterior.from_draws(**draws(1))
    other = clv.ModifiedBetaGeoPosterior.from_draws(**draws(1))
    stack = clv.stack({"one": one, "other": other}, weights={"one": 0.6, "other": 0.4}, draws=400)
    members, columns = stack.members, rfm_columns(BASE, said=stack.scale)
    for i in range(0, len(BASE), 70):
        few = rfm_columns(BASE.iloc[i : i + 1], said=stack.scale)
        table = timings_of({**members, "stack": stack}, few, 500).table["elpd"]
        mixed = logsumexp([table["one"], table["other"]], b=[0.6, 0.4])
        assert table["stack"] == pytest.approx(mixed, rel=1e-12)
    whole = timings_of({**members, "stack": stack}, columns, 500).table
    assert whole["elpd"]["stack"] > min(whole["elpd"]["one"], whole["elpd"]["other"])


def test_the_automatic_model_finds_regular_customers() -> None:
    found = clv.CLVModel("auto").purchases.fit(BASE, method="laplace", **QUIET)
    models = [one.metadata.model for one in found.metadata.members.values()]
    assert {"bgcnbd3", "mbgcnbd3"} & {found.metadata.model, *models}
    assert "paretonbd" not in models
