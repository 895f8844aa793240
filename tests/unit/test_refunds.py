"""Refunds taken off earlier purchases: whole journeys, by amount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.datasets import load_online_retail
from clvmodels.errors import SchemaError
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.sensitivity import _policies
from clvmodels.log.audit import Audit, Reason, Uncovered

NAMES: dict[str, Any] = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
}
NET: dict[str, Any] = {**NAMES, "refunds": "net_earlier"}


def log(*rows: tuple[Any, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(
        [(*row, None)[:4] for row in rows], columns=["who", "day", "paid", "order"]
    )
    frame["when"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame["day"], unit="D")
    return frame.drop(columns="day")


def rows_of(rfm: clv.RfmTable) -> list[list[Any]]:
    return rfm.to_pandas().to_numpy().tolist()


def left_out(audit: Audit | None) -> dict[str, tuple[int, float | None]]:
    assert audit is not None
    return {item.reason: (item.rows, item.amount) for item in audit.left_out if item.rows}


def not_netted(audit: Audit | None) -> dict[str, tuple[int, float | None]]:
    assert audit is not None
    return {item.reason: (item.rows, item.amount) for item in audit.not_netted if item.rows}


LIFO = log(
    ("a", 0, 10.0),
    ("a", 1, 5.0),
    ("a", 2, -7.0),  # takes the 5 and 2 of the 10
    ("a", 3, 6.0),
    ("a", 3, -1.0),  # within its day
    ("b", 0, -3.0),  # nothing was bought before
    ("b", 1, 4.0),
    ("b", 2, -9.0),  # 5 more than there is
    ("b", 3, 2.0),
)


def test_the_latest_purchases_go_first() -> None:
    rfm = clv.rfm_summary(LIFO, **NET)
    # id, frequency, recency, T, monetary_value, first_value
    assert rows_of(rfm) == [["a", 1, 3.0, 3.0, 5.0, 8.0], ["b", 0, 0.0, 0.0, 0.0, 2.0]]
    audit = rfm.audit
    assert audit is not None
    assert (audit.amount_read, audit.amount_used) == (7.0, 15.0)
    assert left_out(audit) == {"refund": (2, -8.0), "netted to nothing": (3, 0.0)}
    assert (audit.netted_rows, audit.netted_amount) == (1, -1.0)
    assert (audit.netted_earlier_rows, audit.netted_earlier_amount) == (1, -11.0)
    assert not_netted(audit) == {
        "no earlier purchase": (1, -3.0),
        "larger than all earlier purchases": (1, -5.0),
    }
    assert "1 negative rows not netted, no earlier purchase: -3.00" in str(audit)
    assert "1 negative rows netted against earlier purchases: -11.00" in str(audit)


def test_a_refund_is_taken_off_the_order_that_it_names() -> None:
    rows = log(
        ("a", 0, 10.0, "x"),
        ("a", 1, 5.0, "y"),
        ("a", 2, -4.0, "x"),
        ("a", 3, -1.0, "z"),  # not in the log: the latest
        ("a", 4, 2.0, None),
        ("a", 5, -1.0, None),  # names none: the latest
        ("b", 5, 3.0, "y"),  # another customer's order of that name
        ("b", 9, -1.0, "y"),
    )
    options = {**NET, "order_id_col": "order"}
    for source in (rows, rows.sample(frac=1, random_state=3)):
        rfm = clv.rfm_summary(source, **options)
        assert rows_of(rfm) == [
            ["a", 2, 4.0, 9.0, 2.5, 6.0],  # 6, then 4 and 1
            ["b", 0, 0.0, 4.0, 0.0, 2.0],  # T to day 9, though that refund is dated back
        ]
        assert rfm.audit is not None
        assert (rfm.audit.netted_earlier_rows, rfm.audit.netted_earlier_amount) == (4, -7.0)
    assert rows_of(clv.rfm_summary(rows, **NET))[0] == ["a", 1, 4.0, 9.0, 1.0, 10.0]


def test_order_ids_ask_for_netting() -> None:
    with pytest.raises(SchemaError, match="order_id_col='order' is used with refunds='net_earl"):
        clv.rfm_summary(LIFO, **NAMES, order_id_col="order")
    with pytest.raises(SchemaError, match="order_id_col='ordr'"):
        clv.rfm_summary(LIFO, **NET, order_id_col="ordr")


def test_shares_that_are_left_out_are_of_rows_and_of_amount() -> None:
    many = log(*(("a", day, 1.0) for day in range(98)), ("a", 98, 100.0), ("a", 99, -100.0))
    audit = clv.rfm_summary(many, **NAMES).audit
    assert audit is not None
    assert audit.share_lost() == pytest.approx((0.01, 100 / 98 if 100 < 98 else 1.0))
    assert "1.0 % of the rows, and 100.0 % of the amount, were left out" in str(audit)
    audit = clv.rfm_summary(many, **NET).audit
    assert audit is not None
    assert audit.share_lost() == (0.0, 0.0)
    assert "were left out" not in str(audit)


def test_audits_written_before_still_load_and_new_ones_come_back() -> None:
    audit = clv.rfm_summary(LIFO, **NET).audit
    assert audit is not None
    assert Audit.from_dict(audit.to_dict()) == audit
    old = {
        name: value
        for name, value in audit.to_dict().items()
        if name not in ("netted_earlier_rows", "netted_earlier_amount", "not_netted")
    }
    assert Audit.from_dict(old).not_netted == ()
    both = audit.merge(audit, customers=2, periods=4)
    assert (both.netted_earlier_rows, both.netted_earlier_amount) == (2, -22.0)
    assert not_netted(both)["no earlier purchase"] == (2, -6.0)


def test_the_same_on_disk_and_in_csv(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = log(
        *zip(
            rng.integers(0, 40, 2_000).tolist(),
            rng.integers(0, 300, 2_000).tolist(),
            (rng.integers(-3_000, 6_000, 2_000) / 100).tolist(),
            rng.integers(0, 500, 2_000).tolist(),
            strict=True,
        )
    )
    rows.to_parquet(tmp_path / "log.parquet")
    rows.to_csv(tmp_path / "log.csv", index=False)
    for options in (NET, {**NET, "order_id_col": "order"}):
        want = clv.rfm_summary(rows, **options)
        for name in ("log.parquet", "log.csv"):
            audit = clv.rfm_summary_to_parquet(
                tmp_path / name, tmp_path / "rfm.parquet", **options, memory_limit="200MB"
            )
            got = clv.RfmTable.from_parquet(tmp_path / "rfm.parquet")
            pd.testing.assert_frame_equal(got.to_pandas(), want.to_pandas(), rtol=1e-12)
            assert audit == want.audit == got.audit
            assert got.options is not None
            assert got.options.order_id_col == options.get("order_id_col")


# --- later logs ---------------------------------------------------------------------------


OLD = log(("a", 0, 10.0, "x"), ("a", 1, 5.0, "y"))
NEW = log(("a", 5, 3.0, "z"), ("a", 6, -4.0, "x"))


def test_update_says_what_it_cannot_take_off() -> None:
    old = clv.rfm_summary(OLD, **NET)
    with pytest.warns(UserWarning, match=r"1 refunds in the new log, -1\.00, are not covered"):
        new = old.update(NEW)
    assert rows_of(new) == [["a", 1, 1.0, 6.0, 5.0, 10.0]]
    assert not_netted(new.audit) == {Uncovered.OBSERVED_BEFORE.value: (1, -1.0)}
    assert left_out(new.audit)["refund"] == (1, -1.0)


def test_update_does_not_take_a_refund_of_an_old_order_off_a_new_one() -> None:
    old = clv.rfm_summary(OLD, **NET, order_id_col="order")
    with pytest.warns(UserWarning, match=r"1 refunds in the new log, -4\.00"):
        new = old.update(pd.concat([OLD, NEW]))
    assert rows_of(new) == [["a", 2, 5.0, 6.0, 4.0, 10.0]]
    assert not_netted(new.audit) == {Uncovered.OBSERVED_BEFORE.value: (1, -4.0)}
    assert new.audit is not None
    assert (new.audit.netted_earlier_rows, new.audit.rows_left_out(Reason.REFUND)) == (0, 1)


def test_a_split_knows_refunds_up_to_its_own_ends() -> None:
    rows = pd.concat([OLD, NEW, log(("a", 8, 9.0, "w"), ("a", 9, -8.0, "w"))])
    for options, held in ((NET, []), ({**NET, "order_id_col": "order"}, [3.0])):
        split = clv.rfm_train_test_split(
            rows, train_period_end="2020-01-04", test_period_end="2020-01-09", **options
        )
        assert rows_of(split.train) == [["a", 1, 1.0, 3.0, 5.0, 10.0]]
        held = [*held, 9.0]
        assert split.test["test_frequency"].tolist() == [len(held)]
        assert split.test["test_monetary_value"].tolist() == [np.mean(held)]
        how = {"time_unit": "D", "time_scaler": 1, "zero_amounts": "keep", "duplicates": "keep"}
        how |= {"margin": 1.0, "id_map": None, "order_id_col": None, **options}
        reading = Reading.of(rows, how)
        span = reading.calendar.span("2020-01-04", "2020-01-09", None)
        observed = reading.cut(span, 0.1, "continuous")
        assert observed.total is not None
        assert sorted(observed.total) == sorted([10.0, 5.0, *held])
        said = {one.what for one in _policies(reading, span)}
        assert "refunds left out" in said


def test_what_online_retail_really_took() -> None:
    """Against a plain loop: 8,905 cancelled lines, most of them for earlier invoices."""
    log = load_online_retail().dropna(subset="customer_id")
    names = {"customer_id_col": "customer_id", "datetime_col": "timestamp"}
    rfm = clv.rfm_summary(log, **names, monetary_value_col="amount", refunds="net_earlier")
    days = log.groupby(["customer_id", log["timestamp"].dt.date])["amount"].sum().round(6)
    left, uncovered = {}, 0.0
    for who, mine in days.groupby(level=0):
        stack: list[float] = []
        for total in mine:
            while total < 0 and stack:
                total = round(total + stack.pop(), 6)
            uncovered += min(total, 0.0)
            stack += [total] if total > 0 else []
        if stack:
            left[int(who)] = (len(stack) - 1, round(sum(stack), 6))
    got = rfm.to_pandas().set_index("customer_id")
    total = got["first_value"] + got["frequency"] * got["monetary_value"]
    assert {who: n for who, (n, _) in left.items()} == got["frequency"].to_dict()
    want = pd.Series({who: paid for who, (_, paid) in left.items()})
    np.testing.assert_allclose(total.sort_index(), want.sort_index(), rtol=1e-9, atol=1e-6)
    audit = rfm.audit
    assert audit is not None
    assert sum(item.amount or 0.0 for item in audit.not_netted) == pytest.approx(uncovered)
    assert audit.amount_used == pytest.approx(log["amount"].sum() - uncovered)
    within, earlier = audit.netted_amount or 0.0, audit.netted_earlier_amount or 0.0
    refunds = log.loc[log["amount"] < 0, "amount"].sum()
    assert within + earlier + uncovered == pytest.approx(refunds)


# --- orders that do not cover their refunds -----------------------------------------------


def notes_of(audit: Audit | None) -> str:
    assert audit is not None
    return "; ".join(audit.notes)


def test_an_update_warns_of_refunds_that_name_an_order_of_the_table() -> None:
    old = clv.rfm_summary(OLD, **NET, order_id_col="order")
    with pytest.warns(UserWarning, match="1 refunds") as found:
        new = old.update(NEW)
    texts = [str(one.message) for one in found]
    assert any(
        t.startswith("1 refunds name an order in 'order' of which the log has no purchase, -4.00")
        and "The table probably contains that order already" in t
        for t in texts
    )
    # taken off the new 3.00, which is said, and beyond it not covered
    assert "1 refunds name an order in 'order' of which the log has no" in notes_of(new.audit)
    assert not_netted(new.audit) == {Uncovered.OBSERVED_BEFORE.value: (1, -1.0)}


@pytest.mark.parametrize("rounds", [1, 100])
def test_refunds_beyond_their_order_are_counted(rounds: int) -> None:
    step = 1.0 / rounds  # sums of these are not exact
    rows = log(
        ("a", 0, 50.0, "w"),
        *(("a", 1, 8.0 * step, "x") for _ in range(rounds)),
        *(("a", 2, -8.0 * step, "x") for _ in range(rounds)),
        ("a", 3, -8.0, "x"),  # once more: it is taken off the 50
        ("a", 4, 6.0, "y"),
        ("a", 4, -2.0, "y"),
        ("a", 5, -5.0, "y"),  # one more than is left
        ("a", 6, -0.5, "nowhere"),
        ("a", 7, -0.25),
    )
    audit = clv.rfm_summary(rows, **NET, order_id_col="order").audit
    assert "1 refunds name an order in 'order' of which the log has no purchase, -0.50" in (
        notes_of(audit)
    )
    assert "2 refunds exceed what is left of their order in 'order', by -9.00" in notes_of(audit)
    assert audit is not None
    assert audit.amount_used == pytest.approx(50.0 - 8.0 - 1.0 - 0.75)
    whole = clv.rfm_summary(rows[:-4], **NET, order_id_col="order").audit
    assert "of their order" in notes_of(whole)
    fine = rows[rows["order"] != "nowhere"].iloc[: 1 + 2 * rounds]
    assert not notes_of(clv.rfm_summary(fine, **NET, order_id_col="order").audit)
    assert not notes_of(clv.rfm_summary(rows, **NET).audit)
