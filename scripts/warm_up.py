"""Score a few customers in the ways that jobs do, so that what they need is compiled.

Run while an image is built, with NUMBA_CACHE_DIR set to a folder of the image. PyMC is not
needed: the posteriors have given parameters.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, score

COLUMNS = {"customer_id": [1, 2, 3], "frequency": [0, 2, 9], "recency": [0.0, 40.0, 300.0]}


def main() -> None:
    """Score with and without intervals of outcomes, over a year and a lifetime."""
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(r=[0.24, 0.25], alpha=[30.9, 31.0], a=[0.8, 0.9], b=[2.4, 2.5]),
        GammaGammaPosterior.from_draws(p=[6.2, 6.3], q=[3.7, 3.8], v=[15.4, 15.5]),
    )
    frame = pd.DataFrame(COLUMNS).assign(T=365.0, monetary_value=[0.0, 20.0, 35.0])
    with tempfile.TemporaryDirectory() as folder:
        rfm = Path(folder) / "rfm.parquet"
        frame.to_parquet(rfm)
        for horizon in ("365D", None):
            for predictive in (False, True):
                given = {"predictive": predictive} if horizon else {}
                score(rfm, posterior, Path(folder) / "scores.parquet", horizon=horizon, **given)


if __name__ == "__main__":
    main()
