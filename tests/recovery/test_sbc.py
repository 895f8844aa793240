"""Simulation-based calibration: committed ranks are uniform, and some are made again."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.sbc import (
    DATA_SETS,
    DRAWS,
    JUDGED,
    RANKS,
    effects_of,
    methods_of,
    ranks_of,
)

BINS = 10

# simulated times are of no calendar
pytestmark = pytest.mark.filterwarnings("ignore:T has fractions:UserWarning")


def ranks(model: str, method: str) -> pd.DataFrame:
    frame = pd.read_csv(RANKS)
    return frame[(frame["model"] == model) & (frame["method"] == method)]


CASES = [
    (model, method, name)
    for model in JUDGED
    for method in methods_of(model)
    for name in JUDGED[model]
]
AGAIN = 20
AGAIN_BY_LEVEL = 3  # of models that make others with covariates
# Three looks at each: one false alarm in ten thousand runs.
LEAST_P = 1e-4 / (3 * len(CASES))


@pytest.mark.parametrize(("model", "method", "name"), CASES)
def test_ranks_are_uniform(model: str, method: str, name: str) -> None:
    found = ranks(model, method)[name].to_numpy()
    assert len(found) == methods_of(model)[method]
    counts = np.histogram(found, BINS, (0, DRAWS + 1))[0]
    assert stats.chisquare(counts).pvalue > LEAST_P
    # Means catch a bias, squared distances from the middle too narrow or wide a posterior.
    share = (found + 0.5) / (DRAWS + 1)
    assert 2 * stats.norm.sf(abs(share.mean() - 0.5) * np.sqrt(12 * len(share))) > LEAST_P
    spread = (share - 0.5) ** 2
    z = (spread.mean() - 1 / 12) / np.sqrt(1 / 180 / len(share))
    assert 2 * stats.norm.sf(abs(z)) > LEAST_P


def test_enough_data_sets() -> None:
    assert DATA_SETS >= 200


@pytest.mark.slow
@pytest.mark.parametrize("model", list(JUDGED))
def test_some_data_sets_come_out_again(model: str) -> None:
    committed = ranks(model, "laplace").set_index("number")
    for number in range(AGAIN_BY_LEVEL if effects_of(model) else AGAIN):
        again = ranks_of(model, "laplace", number)
        for name in JUDGED[model]:
            # Other processors round differently; a rank may cross a draw or two.
            assert abs(again[name] - committed.loc[number, name]) <= 2
