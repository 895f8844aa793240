"""Several horizons are scored in one pass: the numbers of predict, in every engine and form."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import clvmodels as clv
from clvmodels import spark as on_spark
from clvmodels.cli import main
from clvmodels.errors import ResumeError, SchemaError
from clvmodels.scoring import Scorer
from tests.unit.diagnostics_cases import base, given

HORIZONS: list[Any] = ["90D", "365D"]
BOTH = given(40)
TABLE = clv.RfmTable.from_frame(base(500), margin=0.5)
POSTERIORS = {
    "spend": BOTH,
    "basket": clv.CLVPosterior(BOTH.purchases, 25.0),
    "purchases": BOTH.purchases,
    "point": clv.BetaGeoPosterior.from_draws(r=0.3, alpha=30.0, a=0.8, b=2.4),
}


@pytest.fixture
def rfm(tmp_path: Path) -> Path:
    TABLE.to_parquet(tmp_path / "rfm.parquet")
    return tmp_path / "rfm.parquet"


def predicted(posterior: Any, columns: Any, **options: Any) -> pd.DataFrame:
    frame = posterior.predict(TABLE, horizon=HORIZONS, **options)
    return pd.DataFrame(frame)[list(columns)].sort_values("customer_id", ignore_index=True)


@pytest.mark.parametrize("name", POSTERIORS)
@pytest.mark.parametrize("more", [False, True])
def test_scores_of_several_horizons_are_those_of_predict(
    rfm: Path, tmp_path: Path, name: str, more: bool
) -> None:
    posterior, options = POSTERIORS[name], {"intervals": "all", "predictive": True} if more else {}
    clv.score(rfm, posterior, tmp_path / "s.parquet", horizon=HORIZONS, block_rows=128, **options)
    found = pd.read_parquet(tmp_path / "s.parquet")
    every = posterior.predict(TABLE, horizon=HORIZONS, predictive=more).columns
    assert not more or list(found) == list(every)
    assert {"expected_purchases_90D", "expected_purchases_365D"} <= {*found}
    wanted = predicted(posterior, found.columns, predictive=more)
    pd.testing.assert_frame_equal(
        found.sort_values("customer_id", ignore_index=True), wanted, rtol=1e-12, check_dtype=False
    )


@pytest.mark.parametrize("name", ["spend", "purchases"])
def test_the_manifest_has_the_totals_of_each_horizon(rfm: Path, tmp_path: Path, name: str) -> None:
    """Those of as many runs with one each; the first is that of the whole report."""
    posterior = POSTERIORS[name]
    several = clv.score(
        rfm, posterior, tmp_path / "s.parquet", horizon=[*HORIZONS, None], block_rows=128
    )
    assert list(several.by_horizon) == ["90D", "365D", "lifetime"]
    for length, one in zip([*HORIZONS, None], several.by_horizon.values(), strict=True):
        alone = clv.score(rfm, posterior, tmp_path / "one.parquet", horizon=length, block_rows=128)
        assert alone.by_horizon == {}
        for part in ("clv", "expected_purchases", "purchases"):
            # NaN where a lifetime has no finite number
            assert repr(getattr(one, part)) == repr(getattr(alone, part))
    assert several.clv == several.by_horizon["90D"].clv
    manifest = json.loads((tmp_path / "s.manifest.json").read_text())
    assert manifest["options"]["horizon"] == ["90D", "365D", None]
    assert "by_horizon" not in json.loads((tmp_path / "one.manifest.json").read_text())["totals"]


def test_a_run_that_stopped_goes_on_with_the_same_horizons(rfm: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(event: str, fields: Any) -> None:
        if event == "block" and fields["done"] >= 256:
            raise StopError

    asked: dict[str, Any] = {"horizon": HORIZONS, "block_rows": 128}
    whole = clv.score(rfm, BOTH, tmp_path / "whole.parquet", **asked)
    with pytest.raises(StopError):
        clv.score(rfm, BOTH, tmp_path / "s.parquet", progress=stop, **asked)
    with pytest.raises(ResumeError):
        clv.score(rfm, BOTH, tmp_path / "s.parquet", **{**asked, "horizon": HORIZONS[::-1]})
    again = clv.score(rfm, BOTH, tmp_path / "s.parquet", **asked)
    assert again.by_horizon == whole.by_horizon
    assert pq.read_table(tmp_path / "s.parquet") == pq.read_table(tmp_path / "whole.parquet")


def test_wrong_lists_of_horizons_are_refused(rfm: Path, tmp_path: Path) -> None:
    for horizon, said in (([], "The list of horizons is empty"), (["90D", "90d"], "there twice")):
        with pytest.raises(SchemaError, match=said):
            clv.score(rfm, BOTH, tmp_path / "s.parquet", horizon=horizon)
    assert [path.name for path in tmp_path.iterdir()] == ["rfm.parquet"]


def test_one_horizon_in_a_list_has_its_length_in_the_names() -> None:
    assert Scorer(BOTH, horizon=["90D"]).columns == tuple(
        name if name in ("p_alive", "expected_spend") else f"{name}_90D"
        for name in Scorer(BOTH, horizon="90D").columns
    )


@pytest.mark.parametrize("name", ["spend", "purchases"])
def test_the_command_takes_the_option_again_and_again(
    rfm: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    POSTERIORS[name].save(tmp_path / "p.nc")
    said = ["score", str(rfm), "--posterior", str(tmp_path / "p.nc"), "-o", str(tmp_path / "s.csv")]
    assert main([*said, "--horizon", "90D", "--horizon", "365D"]) == 0
    out = capsys.readouterr().out
    found = pd.read_csv(tmp_path / "s.csv").sort_values("customer_id", ignore_index=True)
    wanted = predicted(POSTERIORS[name], found.columns)
    np.testing.assert_allclose(
        found["expected_purchases_365D"], wanted["expected_purchases_365D"], rtol=1e-12
    )
    table = out[out.index("By horizon") :]
    for days in (90, 365):
        total = wanted[f"expected_purchases_{days}D"].sum()
        (line,) = [one for one in table.splitlines() if f"the next {days} days" in one]
        assert line.split()[4] == f"{total:,.0f}"


def test_footers_of_the_input_are_not_read_again(
    rfm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for what the file says of itself, once for its rows and columns."""
    seen = {"read_schema": 0, "read_metadata": 0}

    def noting(name: str, reads: Any, path: Any) -> Any:
        seen[name] += Path(path) == rfm
        return reads(path)

    for name in seen:
        monkeypatch.setattr(pq, name, partial(noting, name, getattr(pq, name)))
    clv.score(rfm, BOTH, tmp_path / "s.parquet")
    assert seen == {"read_schema": 1, "read_metadata": 1}


@pytest.fixture(scope="module")
def customers(spark: Any) -> Any:
    return spark.createDataFrame(TABLE.to_pandas().drop(columns="margin", errors="ignore"))


@pytest.mark.parametrize("name", ["spend", "purchases"])
def test_spark_scores_several_horizons(customers: Any, name: str) -> None:
    posterior = POSTERIORS[name]
    margin = {"margin": 0.5} if name == "spend" else {}
    df = on_spark.score(
        customers, posterior, horizon=HORIZONS, intervals="all", predictive=True, **margin
    )
    found = (
        df.toArrow()
        .to_pandas()
        .drop(columns="reason")
        .sort_values("customer_id", ignore_index=True)
    )
    wanted = predicted(posterior, found.columns, predictive=True)
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-12, check_dtype=False)
