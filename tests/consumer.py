"""What somebody writes who uses the package, checked by mypy --strict against the installed wheel.

It is never run: that these types are said, and said right, is all that it shows.
"""

from typing import assert_type

import pandas as pd

import clvmodels as clv
from clvmodels.scoring import ScoreReport

log = pd.DataFrame({"who": [1, 1, 2], "day": pd.to_datetime(["2024-01-01"] * 3)})
rfm = clv.rfm_summary(log, customer_id_col="who", datetime_col="day", time_unit="D")
assert_type(rfm, clv.RfmTable)
posterior = clv.BetaGeoModel(regularity=2).fit(rfm, method="laplace", random_seed=1)
both = clv.CLVModel("mbgnbd").fit(rfm)
assert_type(both, clv.CLVPosterior)
assert_type(both.predict(rfm, horizon="365D"), pd.DataFrame)
assert_type(clv.score("rfm.parquet", both, "scores.parquet"), ScoreReport)
clv.rfm_summary(log, customer_id_col="who", datetime_col="day", time_unit="days")  # type: ignore[arg-type]
clv.rfm_summary(log, customer_id_col="who")  # type: ignore[call-arg]
