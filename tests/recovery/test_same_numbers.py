"""Numbers do not depend on whether loops were just compiled or come from the cache.

A batch that was killed cold is finished by a process that finds everything compiled, and must
end as if nothing had happened, to the last bit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

_SCORE = """
import sys
import numpy as np
import clvmodels as clv

rng = np.random.default_rng(2)
about = {"r": 0.5, "alpha": 60.0, "a": 0.8, "b": 2.5}
spend = {"p": 6.0, "q": 4.0, "v": 15.0}
draws, amounts = (
    {name: value * rng.lognormal(0.0, 0.02, 300) for name, value in one.items()}
    for one in (about, spend)
)
rfm = clv.simulate.simulate_rfm(20_000, **about, **spend, T=(30.0, 730.0), seed=1, cents=True)
posterior = clv.CLVPosterior(
    clv.BetaGeoPosterior.from_draws(**draws), clv.GammaGammaPosterior.from_draws(**amounts)
)
posterior.predict(rfm, predictive=True, draws=300).to_parquet(sys.argv[1])
"""


@pytest.mark.slow
def test_a_cold_process_and_a_warm_one_agree_to_the_last_bit(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    found = []
    for name in ("cold", "warm"):
        file = tmp_path / f"{name}.parquet"
        command = [sys.executable, "-c", _SCORE, str(file)]
        subprocess.run(command, env=environment, check=True, timeout=300)
        found.append(pd.read_parquet(file))
    assert any((tmp_path / "cache").rglob("*.nbc"))
    pd.testing.assert_frame_equal(*found, check_exact=True)
