"""Columns that covariates are made of: numbers in bins or as they are, from every source."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from clvmodels import (
    BetaGeoModel,
    Covariate,
    DomainError,
    Pooled,
    RfmTable,
    SchemaError,
    rfm_summary,
    rfm_summary_to_parquet,
)
from clvmodels.datasets import load_cdnow
from clvmodels.fit.specification import base_of
from clvmodels.rfm.attributes import codes_of
from tests.covariates import base_of as few_customers
from tests.covariates import table_of
from tests.unit.test_fit_covariates import FRAME
from tests.unit.test_transactions_sources import in_ibis

NAMES = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
HOW = {**NAMES, "segment_cols": ["shop", "age"]}
ASKED = ["shop", Covariate("age", bins=7), Pooled("cohort", ordered=True)]


def design(table, *asked):
    return BetaGeoModel(purchase_covariates=asked)._designed(base_of(table, None)[0])[1]


def test_numbers_are_cut_into_as_many_customers_or_kept() -> None:
    """Standardised, with the bins named by what they hold; few values are kept as they are."""
    table = table_of(FRAME)
    (twenty,) = design(table, "income").factors
    (four,) = design(table, Covariate("income", bins=4)).factors
    assert (len(twenty.levels), len(four.levels)) == (20, 4)
    assert np.ptp(four.customers) <= 1
    values = np.sort(FRAME["income"].to_numpy())
    ends = (f"{values[0]:.6g}", f"{values[1499]:.6g}")
    assert four.levels[0] == " to ".join(ends)
    z = (values - values.mean()) / values.std()
    np.testing.assert_allclose(four.numbers, z.reshape(4, -1).mean(axis=1), rtol=1e-9)
    few = FRAME.assign(size=np.arange(len(FRAME)) % 3 * 2)
    (kept,) = design(table_of(few), "size").factors
    assert kept.levels == ("0", "2", "4")
    np.testing.assert_allclose(kept.numbers, [-np.sqrt(1.5), 0.0, np.sqrt(1.5)], atol=1e-12)
    assert kept.codes(np.array([-1.0, 0.9, 1.1, 9.0, np.nan])).tolist() == [0, 0, 1, 2, 3]


def test_numbers_of_many_values_are_kept_if_that_is_asked() -> None:
    (kept,) = design(table_of(FRAME.head(500)), Covariate("income", bins=None)).factors
    values = np.sort(FRAME["income"].head(500).to_numpy())
    np.testing.assert_allclose(kept.numbers, (values - values.mean()) / values.std(), rtol=1e-9)
    with pytest.raises(DomainError, match=r"'income' has 6,00\d values, and bins=None keeps"):
        design(table_of(FRAME), Covariate("income", bins=None))


def log_of_shops():
    """CDNOW's, with a category, of which some have none, and a number of each customer."""
    log = load_cdnow(sample=True)
    shops = np.array(["web", "ads", None, "shop"], dtype=object)
    return log.assign(shop=shops[log["customer_id"] % 4], age=20.0 + log["customer_id"] % 61)


@pytest.fixture(scope="module")
def log():
    return log_of_shops()


@pytest.mark.parametrize("source", ["arrow", "dict", "ibis", "parquet", "on disk"])
def test_every_source_tells_customers_apart_alike(log, source, tmp_path) -> None:
    path = tmp_path / "log.parquet"
    log.to_parquet(path)
    if source == "on disk":
        rfm_summary_to_parquet(path, tmp_path / "rfm.parquet", **HOW)
        found = RfmTable.from_parquet(tmp_path / "rfm.parquet")
    else:
        arrow = pa.Table.from_pandas(log, preserve_index=False)
        made = {"arrow": lambda: arrow, "dict": arrow.to_pydict, "ibis": lambda: in_ibis(arrow)}
        found = rfm_summary(made.get(source, lambda: path)(), **HOW)
    wanted = design(rfm_summary(log, **HOW), *ASKED)
    assert design(found, *ASKED) == wanted
    assert [len(one.levels) for one in wanted.factors] == [4, 7, 3]


def test_few_numbers_as_text_are_said_too() -> None:
    """Codes of bands are categories where nothing is said, and may be numbers or in order."""
    frame = few_customers(60).assign(band=[str(1 + i % 5) for i in range(60)])
    with pytest.warns(UserWarning, match=r"'band' .* each of its 5 values.*numeric=True\)"):
        assert not design(table_of(frame), "band").factors[0].numeric
    (factor,) = design(table_of(frame), Covariate("band", numeric=True)).factors
    assert factor.levels == ("1", "2", "3", "4", "5")
    np.testing.assert_allclose(np.diff(factor.numbers), 1 / np.sqrt(2))
    values = pa.array(["2", " 5 ", "", None])
    assert codes_of(factor, values).tolist() == [1, 4, 5, 5]
    with pytest.raises(SchemaError, match="text that is not a number"):
        codes_of(factor, pa.array(["young"]))
    with pytest.raises(SchemaError, match="leave one of them out"):
        Covariate("band", numeric=True, categories=True)


def test_numbers_of_csv_files_are_text_which_is_said(log, tmp_path) -> None:
    log.to_csv(tmp_path / "log.csv", index=False)
    table = rfm_summary(tmp_path / "log.csv", **HOW)
    with pytest.warns(UserWarning, match="'age' holds numbers as text.* each of its 61 values"):
        read = design(table, "age")
    assert len(read.factors[0].levels) == 61
    design(table, Covariate("age", categories=True))  # warnings are errors here
    design(table, Pooled("age"))
    numbers = design(table, Covariate("age", numeric=True))
    assert numbers == design(rfm_summary(log, **HOW), "age")
    assert design(table, "shop") == design(rfm_summary(log, **HOW), "shop")
