"""Four models compared on a million simulated customers: seconds beyond the fits, and memory.

python -m benchmarks.comparison [customers] [origins]

Posteriors lie around what the log was simulated from, so that nothing is fitted, and what is
timed is the comparison: the log read, leave-one-out of all customers, and forecasts at each
date scored. A process of its own is best: memory is that of the whole process.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any, Final
from unittest.mock import patch

import numpy as np

import clvmodels as clv
from clvmodels.evaluation.fitting import Fitting
from clvmodels.posterior.by_model import purchase_posterior

MODELS: Final = ["bgnbd", "mbgnbd", "bgcnbd2", "mbgcnbd2"]
MOST_SECONDS: Final = 60.0
TRUTH: Final = {"r": 0.5, "alpha": 60.0, "a": 0.8, "b": 2.5}


def known(fitting: Fitting, _: Any) -> Any:
    """Draws of a model; regular ones have k stages a purchase."""
    rng = np.random.default_rng(2)
    stages = fitting.specification().purchases.facts.regularity
    draws = {name: value * rng.lognormal(0.0, 0.01, 1_000) for name, value in TRUTH.items()}
    draws["r"] = draws["r"] * stages
    return purchase_posterior(fitting.name).from_draws(**draws)


def main(customers: int = 1_000_000, origins: int = 1) -> None:
    """Compare, and say what it took."""
    log = clv.simulate.simulate_log(customers, **TRUTH, T=(30.0, 730.0), seed=1)
    columns: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
    options = {**columns, "origins": origins, "progressbar": False}
    with patch.object(Fitting, "purchases", known):
        clv.compare(MODELS, log[log["customer_id"] < 2_000], **options)  # compiles
        wall, cpu = time.perf_counter(), time.process_time()
        found = clv.compare(MODELS, log, **options)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(found)
    print(
        f"{customers:,} customers, {len(MODELS)} models, {origins} dates: {wall:.1f} s (at most "
        f"{MOST_SECONDS:.0f} on two idle cores), {cpu:.1f} s CPU, {peak:.2f} GiB"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
