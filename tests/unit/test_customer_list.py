"""The list that people work from: its figures, its states, and files that spreadsheets open."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.errors import DomainError, MissingPackageError, SchemaError
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.predictive import customer_list
from clvmodels.predictive.customer_files import safe_text, write_list
from clvmodels.predictive.customer_list import STATES

COLUMNS: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
END = "1997-09-30"
ABOUT = {"r": 0.243, "alpha": 4.41, "a": 0.793, "b": 2.43, "s": 0.6, "beta": 12.0}


def purchases(key: str = "bgnbd", *, days: float = 1.0, unit: str = "D") -> Any:
    kind, rng = purchase_posterior(key), np.random.default_rng(6)
    draws = {}
    for name in kind.facts.parameter_names:
        weeks = 7.0 / days if name in ("alpha", "beta") else 1.0
        draws[name] = ABOUT[name] * weeks * rng.lognormal(0.0, 0.05, 80)
    return kind.from_draws(**draws, time_unit=unit, time_scaler=days)


def valued(one: Any | None = None) -> clv.CLVPosterior:
    spend = clv.GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.4)
    return clv.CLVPosterior(one or purchases(), spend)


@pytest.fixture(scope="module")
def rfm() -> clv.RfmTable:
    log = load_cdnow(sample=True)
    channels = np.array(["shop", "=HYPERLINK(1)", "-web", None], dtype=object)
    channel = log["customer_id"].map(lambda one: channels[int(one) % 4])
    return clv.rfm_summary(
        log.assign(channel=channel), **COLUMNS, monetary_value_col="amount",
        observation_period_end=END, segment_cols=["channel"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def listed(rfm: clv.RfmTable) -> pd.DataFrame:
    table: pd.DataFrame = clv.customers(valued(), rfm).customers
    return table


@pytest.fixture(scope="module")
def found(listed: pd.DataFrame) -> pd.DataFrame:
    """The list in the table's order, which is that of ids."""
    return listed.sort_values("customer_id", ignore_index=True)


def test_the_most_valuable_come_first(rfm: clv.RfmTable, listed: pd.DataFrame) -> None:
    many = clv.customers(purchases(), rfm).customers
    for name, table in (("value", listed), ("purchases", many)):
        assert table[name].is_monotonic_decreasing
        assert table["tier"].is_monotonic_increasing


def test_figures_are_those_of_the_verbs(rfm: clv.RfmTable, found: pd.DataFrame) -> None:
    scores, coming = valued().predict(rfm), clv.next_purchase(valued(), rfm).customers
    for name in ("", "_lower", "_upper"):
        np.testing.assert_allclose(found[f"value{name}"], scores[f"clv{name}"], atol=0.00501)
    for days in (30, 90, 365):
        said = coming[f"p_within_{days}D"]
        np.testing.assert_allclose(found[f"chance_{days}_days"], said, atol=0.00501)
    lost = found["state"] == "probably lost"
    for mine, theirs in (("", "next"), ("_from", "next_lower"), ("_to", "next_upper")):
        soon = coming[theirs] <= pd.Timestamp(END) + pd.Timedelta(1826, "D")
        dates = coming[theirs].where(~lost & soon)
        assert 0.1 < dates.notna().mean() < 1.0
        pd.testing.assert_series_equal(found[f"next_order{mine}"], dates, check_names=False)
    since = coming["overdue_from"].where(coming["overdue"])
    pd.testing.assert_series_equal(found["overdue_since"], since, check_names=False)
    assert (found["orders"] == rfm.to_pandas()["frequency"] + 1).all()
    assert (found["days_silent"] == coming["silence"]).all()
    tiers = clv.economics.value_tiers(scores)["tier"].astype(str)
    assert found["tier"].tolist() == tiers.tolist()


def test_states_are_as_they_are_defined(rfm: clv.RfmTable, found: pd.DataFrame) -> None:
    late = clv.next_purchase(valued(), rfm, late=0.9).customers
    slow = clv.next_purchase(valued(), rfm, late=0.75).customers["overdue"]
    overdue, rare = late["overdue"], late["p_within_365D"] < 0.1
    table = rfm.to_pandas()
    fresh = (table["frequency"] == 0) & (table["T"] <= 90)
    expected = np.select(
        [overdue & rare, overdue, fresh, slow | (table["frequency"] == 0)],
        [STATES[4], STATES[3], STATES[0], STATES[2]],
        STATES[1],
    )  # fmt: skip
    assert found["state"].tolist() == expected.tolist()
    assert found["state"].nunique() >= 4
    actions = found.groupby("state")["action"].nunique()
    assert (actions <= 2).all()
    top = found[found["tier"] == "tier 1"]
    rest = found[found["tier"] != "tier 1"]
    assert not set(top["action"]) & set(rest["action"])


def test_blocks_are_the_whole(
    rfm: clv.RfmTable, listed: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customer_list, "_BLOCK", 500)
    pd.testing.assert_frame_equal(clv.customers(valued(), rfm).customers, listed)


@pytest.mark.parametrize("key", ["bgnbd", "paretonbd"])
def test_without_amounts_there_are_purchases(key: str) -> None:
    log = load_cdnow(sample=True)
    rfm = clv.rfm_summary(log, **COLUMNS, observation_period_end=END)
    table = clv.customers(purchases(key), rfm).customers
    assert {"purchases", "purchases_lower", "purchases_upper"} <= set(table)
    assert not [name for name in table if "value" in name]


def test_weeks_are_told_in_days_and_dates() -> None:
    log = load_cdnow(sample=True)
    rfm = clv.rfm_summary(log, **COLUMNS, observation_period_end=END, time_scaler=7.0)
    table = clv.customers(purchases(days=7.0), rfm).customers
    silent = (pd.Timestamp(END) - table["last_order"]).dt.days
    np.testing.assert_allclose(table["days_silent"], silent, atol=0.051)


def test_a_stack_has_a_list(rfm: clv.RfmTable) -> None:
    members = {"one": purchases(), "other": purchases("paretonbd")}
    stack = clv.stack(members, weights={"one": 0.5, "other": 0.5})
    table = clv.customers(stack, rfm).customers
    assert len(table) == len(rfm)
    assert table["chance_365_days"].between(0.0, 1.0).all()


def test_one_customer_whose_end_is_not_known() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["=1+1"], "frequency": [3], "recency": [30.0], "T": [40.0]}
    )
    rfm = clv.RfmTable.from_frame(frame, time_unit="D")
    found = clv.customers(purchases(), rfm)
    row = found.customers.iloc[0]
    assert row["tier"] == "tier 3"  # as value_tiers puts a single customer
    assert row["next_order_in_from"] <= row["next_order_in"] <= row["next_order_in_to"]
    assert np.isnan(row["overdue_for"])
    assert list(found.meanings) == list(found.customers)
    assert all(found.meanings.values())


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"slow": 0.95}, DomainError, "slow=0.95"),
        ({"late": 1.0}, DomainError, "late=1"),
        ({"lost_below": 2.0}, DomainError, "lost_below=2"),
        ({"attributes": ["colour"]}, SchemaError, "attributes='colour' is not a segment column"),
    ],
)
def test_what_cannot_be_listed_is_refused(
    rfm: clv.RfmTable, options: dict[str, Any], kind: Any, words: str
) -> None:
    with pytest.raises(kind, match=words):
        clv.customers(valued(), rfm, **options)


# --- files ---


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_texts_that_spreadsheets_compute_are_guarded(text: str) -> None:
    assert safe_text(text) == f"'{text}"
    assert safe_text(f"a{text}") == f"a{text}"


def files(folder: Path, rfm: clv.RfmTable) -> list[str]:
    rfm.to_parquet(folder / "rfm.parquet")
    valued().save(folder / "posterior.nc")
    return ["customers", "--rfm", str(folder / "rfm.parquet"),
            "--posterior", str(folder / "posterior.nc")]  # fmt: skip


def test_the_command_writes_what_python_lists(
    rfm: clv.RfmTable, listed: pd.DataFrame, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(customer_list, "_BLOCK", 1_000)
    arguments = files(tmp_path, rfm)
    assert main([*arguments, "-o", str(tmp_path / "list.parquet")]) == 0
    assert "Customers by state" in capsys.readouterr().out
    kept = pd.read_parquet(tmp_path / "list.parquet").astype(listed.dtypes.to_dict())
    pd.testing.assert_frame_equal(kept, listed)
    assert main([*arguments, "-o", str(tmp_path / "list.csv"), "--quiet"]) == 0
    assert not capsys.readouterr().out
    again = pd.read_csv(tmp_path / "list.csv", parse_dates=["next_order"])
    assert len(again) == len(listed)
    np.testing.assert_array_equal(again["value"], listed["value"])
    assert set(again["channel"].dropna()) == {"shop", "'=HYPERLINK(1)", "'-web"}
    assert main([*arguments, "-o", str(tmp_path / "list.ods")]) == 2


def test_a_workbook_has_formats_and_explains_itself(
    rfm: clv.RfmTable, listed: pd.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("xlsxwriter")
    openpyxl = pytest.importorskip("openpyxl")
    path = tmp_path / "list.xlsx"
    assert main([*files(tmp_path, rfm), "-o", str(path), "--quiet"]) == 0
    book = openpyxl.load_workbook(path)
    sheet, about = book["Customers"], book["What the columns say"]
    assert sheet.freeze_panes == "B2"
    for one in (sheet, about):  # printed as wide as a page, with its heading on each
        assert (one.page_setup.orientation, one.print_title_rows) == ("landscape", "$1:$1")
        assert (one.page_setup.fitToWidth, one.page_setup.fitToHeight) == (None, 0)
    long = max(about.iter_rows(min_row=2), key=lambda row: len(row[1].value))
    assert about.row_dimensions[long[0].row].height >= 15 * len(long[1].value) / 90
    header = [cell.value for cell in sheet[1]]
    assert header == [name.replace("_", " ") for name in listed]
    assert [row[0].value for row in about.iter_rows(min_row=2)] == header
    assert sheet.max_row == len(listed) + 1
    at = {name: i for i, name in enumerate(listed)}
    first = sheet[2]
    assert first[at["value"]].value == listed["value"].iloc[0]
    assert first[at["value"]].number_format == "#,##0.00"
    assert first[at["chance_90_days"]].number_format == '[>=0.995]">99%";0%'
    assert first[at["last_order"]].number_format == "yyyy-mm-dd"
    assert first[at["last_order"]].value == listed["last_order"].iloc[0].to_pydatetime()
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    assert "=HYPERLINK(1)" in {row[at["channel"]].value for row in sheet.iter_rows(min_row=2)}


def test_a_full_disk_fails_once(found: pd.DataFrame, tmp_path: Path) -> None:
    """And not again where nobody can catch it: pytest would fail for that."""
    pytest.importorskip("xlsxwriter")
    for name in ("list.xlsx", "list.csv", "list.parquet"):
        (tmp_path / name).symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            write_list([found], tmp_path / name, {})
        gc.collect()


def test_a_sheet_is_not_overfilled(
    found: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xlsxwriter")
    monkeypatch.setattr("clvmodels.predictive.customer_files._MOST_ROWS", 100)
    with pytest.raises(SchemaError, match="holds 100 customers"):
        write_list([found], tmp_path / "list.xlsx", {})


def test_what_xlsx_lacks_is_said(
    found: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(MissingPackageError, match=r"clvmodels\[excel\]"):
        write_list([found], tmp_path / "list.xlsx", {})
