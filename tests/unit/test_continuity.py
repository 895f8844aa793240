"""Customers who become others at a date: found, dated, and not seen where there are none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow, load_online_retail
from clvmodels.evaluation.checks import continuity_check
from clvmodels.rfm.continuity import Continuity, continuity_of
from clvmodels.schema import TimeScale
from clvmodels.simulate import simulate_log

COLUMNS: dict[str, Any] = {"customer_id_col": "customer_id", "datetime_col": "date"}
KINDS = {
    "usual": {"r": 0.55, "alpha": 30.0, "a": 0.8, "b": 2.5},
    "slow": {"r": 0.8, "alpha": 200.0, "a": 0.3, "b": 3.0},
    "quick": {"r": 1.0, "alpha": 5.0, "a": 0.5, "b": 5.0},
}
CHANGE = pd.Timestamp("2024-11-01")


def log_of(kind: str, n: int = 2000, seed: int = 1) -> pd.DataFrame:
    """Three years to the end of 2025."""
    found = simulate_log(n, **KINDS[kind], T=(1.0, 1000.0), seed=seed)
    return found[["customer_id", "date"]]


def with_new_ids(log: pd.DataFrame, share: float, when: pd.Timestamp = CHANGE) -> pd.DataFrame:
    """Give a share of the customers another id from a date on."""
    names = log["customer_id"].astype(str)
    draw = pd.util.hash_array(names.to_numpy()) / 2.0**64
    return log.assign(
        customer_id=np.where((log["date"] >= when) & (draw < share), names + "-new", names)
    )


def found_in(rfm: clv.RfmTable) -> Continuity | None:
    table = rfm.to_pandas()
    return continuity_of(table["frequency"], table["recency"], table["T"], rfm.scale)


def days_off(rfm: clv.RfmTable, when: pd.Timestamp = CHANGE) -> int:
    found = found_in(rfm)
    assert found is not None
    assert found.broken
    end = pd.Period(rfm.observation_end, "D").ordinal
    return abs((pd.Timestamp(found.when(end, rfm.scale)) - when).days)


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_scheme_of_ids_is_dated(kind: str, share: float) -> None:
    rfm = clv.rfm_summary(with_new_ids(log_of(kind), share), **COLUMNS)
    assert days_off(rfm) <= 2
    found = found_in(rfm)
    assert found is not None
    # the others' ids stay, and slow customers take longer than the window to come back
    assert found.returning == 0 if share == 1.0 else 0.2 < found.share < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_new_ids_for_half_of_the_customers_are_dated(kind: str) -> None:
    log = with_new_ids(log_of(kind, 4000), 0.5)
    rfm = clv.rfm_summary(log, **COLUMNS)
    assert days_off(rfm) <= 2
    assert rfm.audit is not None
    assert any(note.startswith(SAID) for note in rfm.audit.notes)


def test_who_goes_and_who_comes_is_counted() -> None:
    """By hand: repeat customers' last days in the weeks before, first days in those after."""
    log = with_new_ids(log_of("slow", 4000), 0.5)
    rfm = clv.rfm_summary(log, **COLUMNS)
    found = found_in(rfm)
    assert found is not None
    assert found.swap is not None
    days = log.assign(day=log["date"].dt.floor("D")).groupby("customer_id")["day"]
    first, last = days.min(), days.max()
    first, last = first[first < last], last[first < last]
    when = rfm.observation_end - pd.Timedelta(days=found.age - 1)
    window = pd.Timedelta(days=round(0.05 * (rfm.observation_end - first.min()).days))

    def within(dates: pd.Series, start: int) -> int:
        begin = when + start * window
        return int(((dates >= begin) & (dates < begin + window)).sum())

    assert found.swap.firsts == within(first, 0)
    assert found.swap.usual_firsts == max(within(first, -1), within(first, 2))
    assert found.swap.lasts == within(last, -1)
    assert found.swap.usual_lasts == max(within(last, 0), within(last, -3))
    check = continuity_check(found, None, rfm.scale)
    assert check.status == "warn"
    assert f"{found.swap.firsts:,} others their first" in check.advice


@pytest.mark.parametrize("unit", ["D", "W", "M", "h"])
def test_in_every_unit_of_time(unit: Any) -> None:
    rfm = clv.rfm_summary(with_new_ids(log_of("usual"), 1.0), time_unit=unit, **COLUMNS)
    found = found_in(rfm)
    assert found is not None
    assert found.broken
    days = (found.age - 1) * rfm.scale.days / rfm.time_scaler
    assert abs(days - (rfm.observation_end - CHANGE).days) <= {"M": 31, "W": 7}.get(unit, 1)


def test_the_statistic_is_what_it_says() -> None:
    """Counted by hand: known on a date, and back after it."""
    log = with_new_ids(log_of("usual"), 0.8)
    rfm = clv.rfm_summary(log, **COLUMNS)
    found = found_in(rfm)
    assert found is not None
    days = log.assign(day=log["date"].dt.floor("D")).groupby("customer_id")["day"]
    first, last = days.min(), days.max()
    before = rfm.observation_end - pd.Timedelta(days=found.age)

    def back(day: pd.Timestamp) -> int:
        return int(((first <= day) & (last > day)).sum())

    window = pd.Timedelta(days=round(0.05 * (rfm.observation_end - first[first < last].min()).days))
    assert found.returning == back(before)
    assert found.usual == min(back(before - window), back(before + window))


def test_purchases_of_known_customers_say_the_same_where_the_log_is_at_hand() -> None:
    """Share of purchases by customers known 30 days ago, in weeks about the date and others."""
    log = with_new_ids(log_of("quick"), 0.8)
    rfm = clv.rfm_summary(log, **COLUMNS)
    first = log.groupby("customer_id")["date"].transform("min")
    known = (log["date"] - first).dt.days > 30
    weeks = (log["date"] - CHANGE).dt.days // 7
    by_week = known.groupby(weeks).mean()
    assert by_week.loc[0:2].max() < 0.5 * by_week.loc[-12:-1].min()
    assert days_off(rfm) <= 2


def seasonal(log: pd.DataFrame, depth: float) -> pd.DataFrame:
    day = log["date"].dt.day_of_year
    chance = (1.0 + depth * np.cos(2.0 * np.pi * (day - 350) / 365.25)) / (1.0 + depth)
    return log[np.random.default_rng(3).random(len(log)) < chance]


def christmas(log: pd.DataFrame) -> pd.DataFrame:
    quiet = log["date"].dt.day_of_year < 320
    return log[~quiet | (np.random.default_rng(3).random(len(log)) < 0.1)]


def campaigns(log: pd.DataFrame) -> pd.DataFrame:
    month = log.groupby("customer_id")["date"].transform("min").dt.month
    return log[month.isin([2, 8])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        lambda log: log,
        lambda log: seasonal(log, 0.5),
        lambda log: seasonal(log, 0.9),
        christmas,
        campaigns,
        lambda log: with_new_ids(log, 0.1),
    ],
    ids=["plain", "season", "deep season", "christmas", "campaigns", "a tenth of ids"],
)
@pytest.mark.parametrize("n", [60, 400, 2000])
def test_nothing_is_seen_where_nothing_is(kind: str, change: Any, n: int) -> None:
    found = found_in(clv.rfm_summary(change(log_of(kind, n, seed=n)), **COLUMNS))
    assert found is None or not found.broken


def test_nothing_is_seen_in_real_logs_but_a_change_of_ids_is() -> None:
    cdnow = load_cdnow()
    for unit in ("D", "W", "M"):
        found = found_in(clv.rfm_summary(cdnow, time_unit=unit, **COLUMNS))
        assert found is not None
        assert not found.broken
    retail = load_online_retail().dropna(subset=["customer_id"])
    retail = retail.rename(columns={"timestamp": "date"})[["customer_id", "date"]]
    found = found_in(clv.rfm_summary(retail, **COLUMNS))
    assert found is not None
    assert not found.broken
    for log, when in ((cdnow, "1997-10-01"), (retail, "2011-06-06")):
        broken = with_new_ids(log, 0.8, pd.Timestamp(when))
        assert days_off(clv.rfm_summary(broken, **COLUMNS), pd.Timestamp(when)) <= 2


def test_too_few_customers_say_nothing() -> None:
    assert found_in(clv.rfm_summary(log_of("usual", 20), **COLUMNS)) is None
    nobody = np.zeros(3)
    assert continuity_of(nobody, nobody, np.array([1.0, 2.0, 3.0]), TimeScale()) is None
    assert continuity_of(np.empty(0), np.empty(0), np.empty(0), TimeScale()) is None


# --- where it is said ------------------------------------------------------------------


@pytest.fixture(scope="module")
def broken() -> pd.DataFrame:
    return with_new_ids(log_of("usual"), 1.0)


SAID = "Known customers stop coming back on 2024-11-01"


def test_the_audit_says_so_and_forgets_it_where_it_is_not_so(broken: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(broken, **COLUMNS)
    assert rfm.audit is not None
    assert [note for note in rfm.audit.notes if note.startswith(SAID)]
    assert SAID in rfm._repr_html_()
    names = broken["customer_id"].drop_duplicates()
    same = {name: name.removesuffix("-new") for name in names}
    joined = clv.rfm_summary(broken, id_map=same, **COLUMNS)
    assert joined.audit is not None
    assert not joined.audit.notes


def test_an_update_says_what_is_so_then(broken: pd.DataFrame) -> None:
    early = broken[broken["date"] < "2025-06-01"]
    rfm = clv.rfm_summary(early, observation_period_end="2025-05-31", **COLUMNS)
    later = rfm.update(broken, observation_period_end="2025-12-30")
    whole = clv.rfm_summary(broken, observation_period_end="2025-12-30", **COLUMNS)
    assert later.audit is not None
    assert whole.audit is not None
    assert later.audit.notes == whole.audit.notes
    assert len(later.audit.notes) == 1


@pytest.mark.parametrize("source", ["table", "frame"])
def test_a_fit_warns_whatever_the_table_came_from(broken: pd.DataFrame, source: str) -> None:
    rfm = clv.rfm_summary(broken, **COLUMNS)
    data = rfm if source == "table" else rfm.to_pandas()
    said = SAID if source == "table" else "Known customers stop coming back .* periods before"
    with pytest.warns(UserWarning, match=said) as caught:
        clv.BetaGeoModel().fit(data, method="map", on_failure="warn", random_seed=1)
    assert caught[0].filename == __file__
    assert "id_map" in str(caught[0].message)


def test_a_whole_table_is_fitted_without_a_word() -> None:
    rfm = clv.rfm_summary(log_of("usual"), **COLUMNS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clv.BetaGeoModel().fit(rfm, method="map", random_seed=1)


NAME = "known customers who come back, at the date when the fewest do"


def test_the_report_doubts_totals_and_single_customers(broken: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(broken, **COLUMNS)
    with pytest.warns(UserWarning, match=SAID):
        fitted = clv.BetaGeoModel().fit(rfm, method="laplace", random_seed=1, progressbar=False)
    (check,) = [c for c in clv.report(fitted, rfm).record.checks if c.name == NAME]
    assert check.status == "fail"
    assert check.bears_on == ("totals", "customers")
    assert check.value == 0.0
    assert "2024-11-01" in check.advice


def test_the_backtest_sees_what_comes_after_its_calibration_too(broken: pd.DataFrame) -> None:
    found = clv.backtest(
        broken,
        train_period_end="2024-09-15",
        method="laplace",
        draws=50,
        bootstrap=0,
        progressbar=False,
        **COLUMNS,
    )
    (check,) = [c for c in found.checks if c.name.startswith("known customers who come back")]
    assert check.status == "fail"
    assert "2024-11-01" in check.advice


def test_the_command_says_so_of_files(
    broken: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken.to_parquet(tmp_path / "log.parquet")
    columns = ["--customer-id", "customer_id", "--timestamp", "date"]
    assert not main(
        ["summarize", str(tmp_path / "log.parquet"), "-o", str(tmp_path / "rfm.parquet"), *columns]
    )
    assert SAID in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
@pytest.mark.parametrize("scaler", [1, 7])
def test_the_audit_of_a_file_says_what_that_of_a_table_says(
    broken: pd.DataFrame, tmp_path: Path, name: str, scaler: float
) -> None:
    options: dict[str, Any] = {**COLUMNS, "time_scaler": scaler}
    if name.endswith("csv"):
        broken.to_csv(tmp_path / name, index=False)
    else:
        broken.to_parquet(tmp_path / name)
    want = clv.rfm_summary(broken, **options).audit
    audit = clv.rfm_summary_to_parquet(tmp_path / name, tmp_path / "rfm.parquet", **options)
    assert want is not None
    assert audit.notes == want.notes
    assert audit.notes[0].startswith(SAID)
    assert clv.RfmTable.from_parquet(tmp_path / "rfm.parquet").audit == audit
    sound = log_of("usual")
    sound.to_parquet(tmp_path / "sound.parquet")
    path = tmp_path / "sound.parquet"
    assert not clv.rfm_summary_to_parquet(path, tmp_path / "rfm.parquet", **options).notes


@pytest.mark.slow
def test_the_audit_of_spark_says_what_that_of_a_table_says(
    broken: pd.DataFrame, spark: Any
) -> None:
    from clvmodels import spark as on_spark

    want = clv.rfm_summary(broken, **COLUMNS).audit
    assert want is not None
    assert on_spark.rfm_summary(spark.createDataFrame(broken), **COLUMNS).audit.notes == want.notes
