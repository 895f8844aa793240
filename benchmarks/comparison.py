"""Leave-one-out of two models on a million simulated customers: seconds and memory.

python -m benchmarks.comparison [customers]
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

import clvmodels as clv


def main(customers: int = 1_000_000) -> None:
    """Compare BG/NBD and MBG/NBD posteriors of 1,000 draws each."""
    options = {"r": 0.5, "alpha": 60.0, "a": 0.8, "b": 2.5}
    rfm = clv.simulate.simulate_rfm(customers, **options, T=(30.0, 730.0), seed=1)
    rng = np.random.default_rng(2)
    draws = {name: value * rng.lognormal(0.0, 0.01, 1_000) for name, value in options.items()}
    posteriors = {
        "bgnbd": clv.BetaGeoPosterior.from_draws(**draws),
        "mbgnbd": clv.ModifiedBetaGeoPosterior.from_draws(**draws),
    }
    clv.compare(posteriors, rfm.head(1_000))  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    found = clv.compare(posteriors, rfm)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(found)
    print(f"{customers:,} customers, 2 models: {wall:.1f} s, {cpu:.1f} s CPU, {peak:.2f} GiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
