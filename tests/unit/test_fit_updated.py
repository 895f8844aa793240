"""A fit that begins at the posterior of an earlier base: the same answer, sooner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import SchemaError
from clvmodels.fit import mode
from clvmodels.fit.density import Density
from clvmodels.simulate import simulate_rfm

TRUTH = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 2.5, "p": 6.0, "q": 4.0, "v": 15.0}
HOW: dict[str, Any] = {"method": "laplace", "random_seed": 1, "progressbar": False}


def base(seed: int, customers: int = 3000) -> clv.RfmTable:
    frame: pd.DataFrame = simulate_rfm(customers, **TRUTH, T=(1, 730), seed=seed, cents=True)
    return clv.RfmTable.from_pandas(frame, time_unit="D", observation_end="2025-12-31")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, int]]:
    """Where each climb begins, and how often it asks for the density."""
    found: list[tuple[np.ndarray, int]] = []
    climb = mode.climb

    def noted(density: Density) -> np.ndarray:
        asked = 0
        ask = Density.__call__

        def counted(self: Density, theta: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal asked
            asked += 1
            return ask(self, theta)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Density, "__call__", counted)
            top: np.ndarray = climb(density)
        found.append((density.start, asked))
        return top

    monkeypatch.setattr(mode, "climb", noted)
    return found


@pytest.mark.parametrize("model", ["bgnbd", "mbgnbd", "paretonbd"])
def test_the_answer_is_the_same_and_the_climb_shorter(
    model: str, begun: list[tuple[np.ndarray, int]]
) -> None:
    specification = clv.CLVModel(model)  # type: ignore[arg-type]
    previous = specification.fit(base(1), **HOW)
    begun.clear()
    today = base(2)
    plain = specification.fit(today, **HOW)
    updated = specification.fit(today, **HOW, start=previous)
    (_, long), (_, long_of_spend), (_, short), (_, short_of_spend) = begun
    assert short <= 0.6 * long
    assert short_of_spend <= 0.6 * long_of_spend
    for one, other in (
        (plain.purchases, updated.purchases),
        (plain.gamma_gamma, updated.gamma_gamma),
    ):
        assert one is not None
        assert other is not None
        for name, values in one.draws().items():
            np.testing.assert_allclose(
                other.draws()[name], values, rtol=0, atol=1e-5 * values.std(), err_msg=name
            )


def test_another_model_or_worse_point_is_no_start(begun: list[tuple[np.ndarray, int]]) -> None:
    today = base(2, 500)
    clv.BetaGeoModel().fit(today, **HOW)
    far = clv.BetaGeoPosterior.from_draws(r=50.0, alpha=0.01, a=90.0, b=0.1)
    other = clv.ParetoNBDModel().fit(today, **HOW)
    begun[1:] = []
    for start in (far, other):
        clv.BetaGeoModel().fit(today, **HOW, start=start)
    for point, _ in begun[1:]:
        np.testing.assert_array_equal(point, begun[0][0])


def test_a_start_is_a_posterior() -> None:
    with pytest.raises(
        SchemaError, match=r"start='previous\.nc' must be a posterior of an earlier"
    ):
        clv.BetaGeoModel().fit(base(2, 50), **HOW, start="previous.nc")


def test_update_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: list[tuple[np.ndarray, int]]
) -> None:
    monkeypatch.chdir(tmp_path)
    base(1, 800).to_parquet("rfm.parquet")
    fit = ["fit", "rfm.parquet", "--method", "laplace", "--seed", "1", "--quiet"]
    assert main([*fit, "-o", "one.nc"]) == 0
    assert main([*fit, "-o", "two.nc", "--update", "one.nc"]) == 0
    assert begun[2][1] < begun[0][1]
    assert begun[3][1] < begun[1][1]
    assert main([*fit, "-o", "three.nc", "--update", "none.nc"]) == 2
