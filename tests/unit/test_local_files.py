"""Which files a log is made of: those that a name stands for, each once, and no others."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import RfmTable, rfm_summary, rfm_summary_to_parquet
from clvmodels.errors import SchemaError

LOG: Any = {"customer_id_col": "id", "datetime_col": "date", "monetary_value_col": "amount"}


def orders(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    frame = pd.DataFrame({"id": rng.integers(0, 60, rows), "date": days.astype("datetime64[us]")})
    return frame.assign(amount=rng.integers(100, 9000, rows) / 100, region=rng.choice(["a", "b"]))


def write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)


def same_both_ways(source: Any, folder: Path, want: pd.DataFrame, **more: Any) -> RfmTable:
    """In memory and on disk the table is that of the frame."""
    expected = rfm_summary(want, **LOG, **more).to_pandas()
    found = rfm_summary(source, **LOG, **more)
    pd.testing.assert_frame_equal(found.to_pandas(), expected, rtol=1e-12)
    target = folder / "out.summary"
    rfm_summary_to_parquet(source, target, **LOG, **more)
    on_disk = RfmTable.from_parquet(target).to_pandas()
    pd.testing.assert_frame_equal(on_disk, expected, rtol=1e-12)
    return found


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("key", ["date=2024-12-31", "amount=7", "region=eu", "id=1"])
def test_a_folders_name_does_not_overwrite_a_column(tmp_path: Path, key: str, suffix: str) -> None:
    log = orders()
    file = tmp_path / "snap" / key / f"orders{suffix}"
    write(log, file)
    for source in (file, str(tmp_path / "snap" / "*" / f"*{suffix}")):
        found = same_both_ways(source, tmp_path, log, segment_cols=["region"])
    if suffix == ".parquet":
        found = same_both_ways(tmp_path / "snap", tmp_path, log, segment_cols=["region"])
        said = f"{key.split('=')[0]!r} is a column of the files"
        assert found.audit is not None
        assert any(said in note for note in found.audit.notes)


def test_folders_add_the_columns_that_files_lack(tmp_path: Path) -> None:
    log = orders().assign(region=np.where(np.arange(300) % 3, "eu", "us"))
    for region, part in log.groupby("region"):
        write(part.drop(columns="region"), tmp_path / "log" / f"region={region}" / "part.parquet")
    options = {"segment_cols": ["region"], "varying_segments": "first"}
    found = rfm_summary(tmp_path / "log", **LOG, **options)
    assert set(found.to_pandas()["region"]) == {"eu", "us"}
    write(log[:5].drop(columns="region"), tmp_path / "log" / "more.parquet")
    with pytest.raises(SchemaError, match=r"more\.parquet lacks 'region', which other files"):
        rfm_summary(tmp_path / "log", **LOG, **options)


def test_hidden_files_are_no_part_of_a_log(tmp_path: Path) -> None:
    log, folder = orders(), tmp_path / "log"
    write(log, folder / "a.parquet")
    write(log[:100], folder / ".a.parquet")
    write(log[:100], folder / ".ipynb_checkpoints" / "a-checkpoint.parquet")
    write(log[:100], folder / "_temporary" / "0" / "x.parquet")
    (folder / "._a.parquet").write_bytes(b"\0\5\26\7 of a Mac")
    same_both_ways(folder, tmp_path, log)
    same_both_ways(str(folder / "*.parquet"), tmp_path, log)


def test_links_are_followed_and_not_in_circles(tmp_path: Path) -> None:
    log = orders()
    write(log[:200], tmp_path / "log" / "a.parquet")
    write(log[200:], tmp_path / "elsewhere" / "b.parquet")
    (tmp_path / "log" / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "log")
    same_both_ways(tmp_path / "log", tmp_path, log)


@pytest.mark.parametrize("way", ["itself", "folder", "pattern"])
@pytest.mark.parametrize("what", ["a pipe", "a link to nothing", "a socket"])
def test_what_is_no_file_is_refused(tmp_path: Path, what: str, way: str) -> None:
    folder = tmp_path / "log"
    write(orders(), folder / "a.parquet")
    odd = folder / "b.parquet"
    if what == "a pipe":
        os.mkfifo(odd)
    elif what == "a socket":
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(folder):
            server.bind(odd.name)  # a longer name is not allowed
    else:
        odd.symlink_to("c.parquet")
    named = {"itself": odd, "folder": folder, "pattern": str(folder / "*.parquet")}[way]
    with pytest.raises(SchemaError, match=f"b.parquet is {what}"):
        rfm_summary(named, **LOG)


def test_folders_that_a_pattern_finds_are_no_files(tmp_path: Path) -> None:
    log = orders()
    write(log, tmp_path / "log" / "a.parquet")
    (tmp_path / "log" / "b.parquet").mkdir()
    same_both_ways(str(tmp_path / "log" / "*"), tmp_path, log)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("name", ["o[1]", "x?", "o*"])
def test_a_name_that_exists_is_no_pattern(tmp_path: Path, name: str, suffix: str) -> None:
    log = orders()
    write(log, tmp_path / f"{name}{suffix}")
    write(log[:20], tmp_path / f"o1{suffix}")
    write(log[:20], tmp_path / f"x1{suffix}")
    same_both_ways(tmp_path / f"{name}{suffix}", tmp_path, log)


def test_a_folder_with_brackets_is_read(tmp_path: Path) -> None:
    log = orders()
    write(log, tmp_path / "of [2024]" / "a.parquet")
    write(log[:20], tmp_path / "of 2" / "a.parquet")
    same_both_ways(tmp_path / "of [2024]", tmp_path, log)


def test_a_delta_table_is_refused(tmp_path: Path) -> None:
    write(orders(), tmp_path / "log" / "a.parquet")
    (tmp_path / "log" / "_delta_log").mkdir()
    with pytest.raises(SchemaError, match="is a Delta table"):
        rfm_summary(tmp_path / "log", **LOG)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_no_file_counts_twice(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a{suffix}"
    write(orders(), file)
    link = tmp_path / f"b{suffix}"
    os.link(file, tmp_path / f"c{suffix}")  # a copy of another name is a file of its own
    link.symlink_to(file)
    with pytest.raises(SchemaError, match="is named twice, and its rows would count twice"):
        rfm_summary([file, file], **LOG)
    with pytest.raises(SchemaError, match=r"is named as '.*' too"):
        rfm_summary([file, link], **LOG)
    with pytest.raises(SchemaError, match="would count twice"):
        rfm_summary(str(tmp_path / f"[ab]{suffix}"), **LOG)


def test_columns_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    log = orders()
    write(log[:150], tmp_path / "log" / "a.parquet")
    write(log[150:].assign(Amount=1000.0), tmp_path / "log" / "b.parquet")
    with pytest.raises(SchemaError, match="Columns differ only in capital letters"):
        rfm_summary(tmp_path / "log", **LOG)
    write(log.assign(Region="x"), tmp_path / "one" / "a.parquet")
    with pytest.raises(SchemaError, match=r"'Region' in .*, 'region' in"):
        rfm_summary(tmp_path / "one", **LOG, segment_cols=["region"])
    same_both_ways(tmp_path / "one", tmp_path, log)  # nobody asked for it
