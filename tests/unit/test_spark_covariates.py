"""Spark takes strata from its columns as one machine does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clvmodels import CLVPosterior, RfmTable, SchemaError, rfm_summary
from tests.unit.test_covariate_columns import ASKED, HOW, design, log_of_shops
from tests.unit.test_covariates import FRAME, both, something
from tests.unit.test_spend_covariates import moved

pytest.importorskip("pyspark")
pytestmark = pytest.mark.slow


def test_scores_are_those_of_one_machine(spark) -> None:
    from clvmodels.spark import score

    _, posterior = both("bgnbd", something)
    posterior = CLVPosterior(posterior.purchases, moved(something))  # spend goes by them too
    df = spark.createDataFrame(FRAME)
    found = score(df, posterior, horizon="90D", time_unit="D").toArrow().to_pandas()
    found = found.sort_values("customer_id").reset_index(drop=True)
    wanted = posterior.predict(FRAME, horizon="90D", time_unit="D")
    for name in ("p_alive", "expected_purchases", "clv", "clv_lower"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9)
    assert pd.isna(found["reason"]).all()


def test_the_column_must_be_there(spark) -> None:
    from clvmodels.spark import score

    _, posterior = both("bgnbd", something)
    df = spark.createDataFrame(FRAME.drop(columns="channel"))
    with pytest.raises(SchemaError, match="lacks channel, of which the model's covariates"):
        score(df, posterior, horizon="90D", time_unit="D")


def test_customers_are_told_apart_as_on_one_machine(spark) -> None:
    from clvmodels.spark import rfm_summary as on_spark

    log = log_of_shops()
    found = on_spark(spark.createDataFrame(log), **HOW)
    end = found.observation_end
    table = RfmTable.from_pandas(found.table.toArrow().to_pandas(), observation_end=end)
    assert design(table, *ASKED) == design(rfm_summary(log, **HOW), *ASKED)
    found.unpersist()
