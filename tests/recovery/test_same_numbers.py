"""Numbers do not depend on whether loops were just compiled or come from the cache.

Nor on whether two processes compile them at once, into one cache.

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
def test_cold_processes_at_once_and_a_warm_one_agree_to_the_last_bit(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    found = []
    for names in (("cold", "cold too"), ("warm",)):
        files = [tmp_path / f"{name}.parquet" for name in names]
        jobs = [
            subprocess.Popen([sys.executable, "-c", _SCORE, str(file)], env=environment)
            for file in files
        ]
        assert [job.wait(timeout=300) for job in jobs] == [0] * len(jobs)
        found += [pd.read_parquet(file) for file in files]
    assert any((tmp_path / "cache").rglob("*.nbc"))
    for other in found[1:]:
        pd.testing.assert_frame_equal(found[0], other, check_exact=True)
