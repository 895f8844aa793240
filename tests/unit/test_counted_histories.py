"""A fit to counted histories is the fit to their customers, wherever they were counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.errors import SchemaError, TimeUnitError

NAMES = {"customer_id_col": "customer_id", "datetime_col": "date"}
MONEY = {**NAMES, "monetary_value_col": "amount"}
LAPLACE: Any = {"method": "laplace", "random_seed": 1, "progressbar": False}


def rfm_of(**options: Any) -> clv.RfmTable:
    return clv.rfm_summary(load_cdnow(sample=True), **{**MONEY, **options})


@pytest.fixture(scope="module")
def rfm() -> clv.RfmTable:
    return rfm_of(margin=0.3)


def facts(posterior: Any) -> list[Any]:
    """Everything that a fit says of its base."""
    sides = [getattr(posterior, side, None) for side in ("purchases", "spend")]
    found = []
    for one in [side for side in sides if hasattr(side, "metadata")] or [posterior]:
        told = one.metadata
        found += [told.base, told.fingerprint, told.margin, told.scale, told.observation_end]
        found += [told.notes, told.prior_scales, told.seed]
    return found


@pytest.mark.parametrize(
    ("options", "model"),
    [
        ({"margin": 0.3}, clv.CLVModel()),
        ({"time_scaler": 7}, clv.CLVModel("mbgnbd")),
        ({"time_unit": "W"}, clv.CLVModel("paretonbd", 25.0)),
        ({"monetary_value_col": None}, clv.BetaGeoModel(regularity=2)),
        ({}, clv.GammaGammaModel(first_order="include")),
    ],
    ids=["margin", "weeks", "whole weeks, one value", "no amounts", "first orders"],
)
def test_the_fit_is_that_of_the_customers(
    options: dict[str, Any], model: Any, tmp_path: Path
) -> None:
    rfm = rfm_of(**options)
    rfm.to_parquet(tmp_path / "rfm.parquet")
    first = getattr(model, "first_order", "exclude") == "include"
    histories = clv.count_histories(tmp_path / "rfm.parquet", first_order=first)
    assert histories.customers == len(rfm)
    assert len(histories.purchases) < len(rfm)
    expected, found = model.fit(rfm, **LAPLACE), model.fit(histories, **LAPLACE)
    pd.testing.assert_frame_equal(found.summary(), expected.summary(), check_exact=True)
    assert facts(found) == facts(expected)
    if hasattr(found, "predict"):
        pd.testing.assert_frame_equal(found.predict(rfm), expected.predict(rfm))


def test_a_table_counts_as_its_file_does(rfm: clv.RfmTable, tmp_path: Path) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    kept = [clv.count_histories(one).purchases for one in (rfm, tmp_path / "rfm.parquet")]
    names = [name for name in kept[0].column_names if name != "customers"]
    one, other = (table.to_pandas().sort_values(names) for table in kept)
    assert one.to_numpy().tolist() == other.to_numpy().tolist()


def test_new_ids_are_noticed_by_customers_not_histories(rfm: clv.RfmTable) -> None:
    """Few histories that many share weigh as many customers."""
    frame = pd.DataFrame({"frequency": 1, "recency": [3.0, 2.0], "T": [200.0, 90.0]})
    many = pd.concat([frame] * 400, ignore_index=True)
    many.insert(0, "customer_id", range(len(many)))
    from clvmodels.rfm.continuity import continuity_of
    from clvmodels.schema import TimeScale

    columns = clv.count_histories(clv.RfmTable.from_frame(many)).columns()
    assert len(columns) == 2
    found = continuity_of(columns.x, columns.t_x, columns.T, TimeScale(), columns.customers)
    assert found == continuity_of(many["frequency"], many["recency"], many["T"], TimeScale())


def test_what_histories_cannot_give_is_refused(rfm: clv.RfmTable, tmp_path: Path) -> None:
    histories = clv.count_histories(rfm)
    with pytest.raises(SchemaError, match=r"count_histories\(\.\.\., first_order=True\)"):
        clv.GammaGammaModel(first_order="include").fit(histories, **LAPLACE)
    with pytest.raises(SchemaError, match="no column 'channel', a covariate of the model"):
        clv.BetaGeoModel(purchase_covariates=["channel"]).fit(histories, **LAPLACE)
    with pytest.raises(SchemaError, match="A clock is learnt from the days of purchases"):
        clv.BetaGeoModel(clock=True).fit(histories, **LAPLACE)
    with pytest.raises(TimeUnitError):
        clv.BetaGeoModel().fit(histories, time_scaler=7.0, **LAPLACE)
    without = clv.count_histories(rfm_of(monetary_value_col=None))
    assert without.amounts is None
    with pytest.raises(SchemaError, match="lacks monetary_value"):
        clv.CLVModel().fit(without, **LAPLACE)
    rfm.to_pandas().to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(SchemaError, match="does not say its time unit"):
        clv.count_histories(tmp_path / "plain.parquet")
    with pytest.raises(SchemaError, match="found CountedHistories"):
        clv.BetaGeoModel().fit(rfm, **LAPLACE).predict(histories)


def test_bad_amounts_are_counted_in_customers(rfm: clv.RfmTable) -> None:
    histories = clv.count_histories(rfm)
    assert histories.amounts is not None
    amounts = histories.amounts.to_pandas()
    often = amounts["frequency"] > 1
    amounts.loc[often, "monetary_value"] = -5.0
    histories = replace(histories, amounts=pa.Table.from_pandas(amounts, preserve_index=False))
    wrong = int(amounts.loc[often, "customers"].sum())
    assert wrong > often.sum()
    with pytest.raises(clv.DomainError, match=f"^{wrong:,} repeat customers"):
        clv.CLVModel().fit(histories, **LAPLACE)


@pytest.mark.parametrize(
    "options", [[], ["--margin=0.2"], ["--first-order=include"], ["--basket-value=20"]]
)
def test_the_command_fits_a_file_as_its_table(
    options: list[str], rfm: clv.RfmTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which it does not read: a table would be asked for all its columns."""
    rfm.to_parquet(tmp_path / "rfm.parquet")
    monkeypatch.setattr(clv.RfmTable, "from_parquet", lambda path: pytest.fail("it was read"))
    command = ["fit", str(tmp_path / "rfm.parquet"), "-o", str(tmp_path / "p.nc"), "--quiet"]
    assert main([*command, "--method", "laplace", "--seed", "1", *options]) == 0
    found = clv.load_posterior(tmp_path / "p.nc")
    first = "include" if "--first-order=include" in options else "exclude"
    value: Any = 20.0 if "--basket-value=20" in options else clv.GammaGammaModel(first_order=first)
    expected = clv.CLVModel(spend=value).fit(rfm, **LAPLACE)
    pd.testing.assert_frame_equal(found.summary(), expected.summary(), check_exact=True)
    assert found.margin == (0.2 if "--margin=0.2" in options else 0.3)
    assert found.purchases.metadata.fingerprint == expected.purchases.metadata.fingerprint


def test_the_command_names_the_row_that_contradicts_itself(
    rfm: clv.RfmTable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = rfm.table.to_pandas()
    columns.loc[7, "recency"] = columns.loc[7, "T"] + 1.0
    wrong = replace(rfm, table=pa.Table.from_pandas(columns, preserve_index=False))
    wrong.to_parquet(tmp_path / "rfm.parquet")
    command = ["fit", str(tmp_path / "rfm.parquet"), "-o", str(tmp_path / "p.nc")]
    assert main(command) != 0
    assert "the first is row 7" in " ".join(capsys.readouterr().err.split())
