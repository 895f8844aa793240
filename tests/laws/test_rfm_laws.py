"""Laws of the log -> RfmTable path, against a slow reference in plain Python."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import re
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings

from clvmodels.errors import SchemaError
from clvmodels.log.audit import Reason, Uncovered
from clvmodels.log.engines import total_of
from clvmodels.rfm import RfmTable, rfm_summary, rfm_train_test_split

# The logs generated here hold rows that cannot be read, and refunds that nothing covers.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*cannot be used:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*refunds in the new log:UserWarning"),
]
NOT_ADDED = Uncovered.OBSERVED_BEFORE.value

COLUMNS = {
    "customer_id_col": "who",
    "datetime_col": "when",
    "monetary_value_col": "paid",
    "implausible_dates": "keep",  # the dates generated here are of all times
}
EPOCH = dt.datetime(1970, 1, 1)
Row = tuple[str | None, Any, float, str | None]


# --- the reference: one row at a time, exact sums ---------------------------------------


def parse(when: Any) -> dt.datetime | None:
    if isinstance(when, dt.datetime):
        return when
    try:
        return dt.datetime.strptime(when, "%Y-%m-%d")
    except ValueError:
        return None


def ordinal(when: dt.datetime, unit: str) -> int:
    if unit == "M":
        return (when.year - 1970) * 12 + when.month - 1
    length = {"h": dt.timedelta(hours=1), "D": dt.timedelta(1), "W": dt.timedelta(7)}[unit]
    start = dt.datetime(1969, 12, 22) if unit == "W" else EPOCH  # the Monday of week 0
    return (when - start) // length


@dataclass
class Reference:
    """What a summary must be."""

    rows: dict[str, list[Any]]
    reasons: dict[str, list[float]]
    end: int | None
    used: list[float] = field(default_factory=list)
    netted: list[float] = field(default_factory=list)
    # refunds="net_earlier", in cents but for those that nothing covers
    within_rows: int = 0
    within: int = 0
    earlier_rows: int = 0
    earlier: int = 0
    uncovered: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    varying_segments: str = "first"
    varying: int = 0


def reference(
    log: list[Row],
    *,
    unit: str = "D",
    scaler: float = 1,
    refunds: str = "drop",
    zero_amounts: str = "keep",
    duplicates: str = "keep",
    varying_segments: str = "first",
    end: int | None = None,
    id_map: dict[str, str] | None = None,
) -> Reference:
    reasons: dict[str, list[float]] = defaultdict(list)
    periods: dict[str, dict[int, list[tuple[dt.datetime, float, str | None]]]] = {}
    seen: set[tuple[Any, ...]] = set()
    last = None
    for row in log:
        who, when, paid, kind = row
        moment = parse(when) if when not in (None, "") else None
        period = None if moment is None else ordinal(moment, unit)
        if period is not None:
            last = period if last is None else max(last, period)
        amount = paid if math.isfinite(paid) else 0.0
        key = (who, when, str(paid), kind)
        if who in (None, ""):
            reason = "no customer"
        elif when in (None, ""):
            reason = "no date"
        elif period is None:
            reason = "unreadable date"
        elif not math.isfinite(paid):
            reason = "non-finite amount"
        elif end is not None and period > end:
            reason = "after the observation end"
        elif paid == 0 and zero_amounts == "drop":
            reason = "zero amount"
        elif key in seen and duplicates == "drop":
            reason = "duplicate"
        elif paid < 0 and refunds == "drop":
            reason = "refund"
        else:
            assert who is not None
            assert period is not None
            assert moment is not None
            person = (id_map or {}).get(who, who)
            periods.setdefault(person, {}).setdefault(period, []).append((moment, paid, kind))
            reason = "used"
        seen.add(key)
        if reason != "used":
            reasons[reason].append(amount)
    result = Reference({}, reasons, last if end is None else end)
    result.varying_segments = varying_segments
    for who, mine in periods.items():
        add_customer(result, who, mine, refunds, scaler)
    return result


def net_earlier(result: Reference, mine: Any) -> dict[int, int]:
    """Take refunds off a stack of purchases, in cents; return what is left of each period."""
    stack: list[list[int]] = []  # period, cents left
    bought = False
    lines: dict[int, str] = {}
    for period, items in sorted(mine.items()):
        cents = [round(100 * amount) for _, amount, _ in items]
        total, negative = sum(cents), [one for one in cents if one < 0]
        within = min(-sum(negative), total - sum(negative))
        result.within -= within
        lines[period] = "netted to nothing" if negative else "zero amount"
        if total >= 0:
            result.within_rows += len(negative)
            if total > 0:
                stack.append([period, total])
                bought = True
            continue
        open_ = -total
        while open_ and stack:
            taken = min(open_, stack[-1][1])
            stack[-1][1] -= taken
            open_ -= taken
            result.earlier -= taken
            if not stack[-1][1]:
                lines[stack.pop()[0]] = "netted to nothing"
        if not open_:
            result.earlier_rows += len(negative)
            continue
        why = "larger than all earlier purchases" if bought else "no earlier purchase"
        result.uncovered[why] += [-open_ / 100] + [0.0] * (len(negative) - 1)
        result.reasons["refund"] += [-open_ / 100] + [0.0] * (len(items) - 1)
        del lines[period]
    left = {period: cents for period, cents in stack if cents}
    for period, line in lines.items():
        if period not in left:
            result.reasons[line] += [0.0] * len(mine[period])
    return left


def add_customer(result: Reference, who: str, mine: Any, refunds: str, scaler: float) -> None:
    totals: dict[int, Fraction] = {}
    kinds: list[tuple[dt.datetime, str]] = []
    left = net_earlier(result, mine) if refunds == "net_earlier" else None
    for period, items in mine.items():
        if left is not None:
            if period in left:
                paid = sum(Fraction(amount) for _, amount, _ in items)
                changed = sum(round(100 * amount) for _, amount, _ in items) != left[period]
                totals[period] = Fraction(left[period], 100) if changed else paid
                kinds += [(moment, kind) for moment, _, kind in items if kind is not None]
                result.used += [float(totals[period])] + [0.0] * (len(items) - 1)
            continue
        amounts = [amount for _, amount, _ in items]
        # cents, so that a sum that should be nothing is nothing
        if refunds == "net" and sum(round(100 * amount) for amount in amounts) <= 0:
            result.reasons["refund"] += amounts
            continue
        totals[period] = sum(map(Fraction, amounts), Fraction(0))
        kinds += [(moment, kind) for moment, _, kind in items if kind is not None]
        result.used += amounts
        result.netted += [amount for amount in amounts if amount < 0]
    if not totals:
        return
    first, last = min(totals), max(totals)
    repeats = [total for period, total in totals.items() if period != first]
    mean = float(sum(repeats, Fraction(0)) / len(repeats)) if repeats else 0.0
    result.varying += len({kind for _, kind in kinds}) > 1
    at = (max if result.varying_segments == "last" else min)(
        (one for one, _ in kinds), default=EPOCH
    )
    assert result.end is not None
    result.rows[who] = [
        len(repeats),
        (last - first) / scaler,
        (result.end - first) / scaler,
        mean,
        float(totals[first]),
        min((kind for moment, kind in kinds if moment == at), default=None),
        math.fsum(math.log((b - a) / scaler) for a, b in itertools.pairwise(sorted(totals))),
    ]


# --- what is compared --------------------------------------------------------------------


def frame(log: list[Row]) -> pd.DataFrame:
    data = pd.DataFrame(log, columns=["who", "when", "paid", "kind"])
    text = any(isinstance(when, str) for when in data["when"])
    if text:
        data["when"] = [
            when.isoformat() if isinstance(when, dt.datetime) else when for when in data["when"]
        ]
        return data.astype({"when": "str", "who": "str", "kind": "str"})
    return data.astype({"when": "datetime64[us]", "who": "str", "kind": "str"})


def assert_same(table: RfmTable, expected: Reference, *, segments: bool = False) -> None:
    got = table.to_pandas()
    assert list(got["customer_id"]) == sorted(expected.rows)
    want = [expected.rows[who] for who in sorted(expected.rows)]
    size = 1e-12 * (1 + math.fsum(map(abs, expected.used)))
    for i, name in enumerate(["frequency", "recency", "T"]):
        assert list(got[name]) == [row[i] for row in want], name
    for i, name in enumerate(["monetary_value", "first_value"], start=3):
        np.testing.assert_allclose(got[name], [row[i] for row in want], rtol=0, atol=size)
    gaps = [row[6] for row in want]
    np.testing.assert_allclose(table["log_gaps"], gaps, rtol=1e-12, atol=1e-12)
    assert table.log_gaps == pytest.approx(math.fsum(gaps), rel=1e-12, abs=1e-12)
    if segments:
        kinds = [None if pd.isna(kind) else kind for kind in got["kind"]]
        assert kinds == [row[5] for row in want]
        assert table.audit is not None
        notes = "".join(table.audit.notes)
        for said, count in (
            ("varies within ", expected.varying),
            ("missing for ", kinds.count(None)),
        ):
            found = re.search(rf"'kind' .*?{said}(\d+) customer", notes)
            assert (0 if found is None else int(found[1])) == count


def assert_audited(table: RfmTable, expected: Reference, log: list[Row]) -> None:
    audit = table.audit
    assert audit is not None
    left = {item.reason: item for item in audit.left_out}
    assert table.options is not None
    earlier = table.options.refunds == "net_earlier"
    skipped = {Reason.USED, Reason.ALREADY_OBSERVED, Reason.IMPLAUSIBLE_DATE}
    skipped |= {Reason.NOT_CHOSEN, Reason.UNREADABLE_AMOUNT}
    skipped |= set() if earlier else {Reason.NETTED}
    assert list(left) == [r.text for r in Reason if r not in skipped]
    for reason, item in left.items():
        assert item.rows == len(expected.reasons[reason]), reason
        assert item.amount == pytest.approx(math.fsum(expected.reasons[reason]), abs=1e-6)
    assert audit.rows_used == len(expected.used)
    assert audit.amount_used == pytest.approx(math.fsum(expected.used), abs=1e-6)
    assert audit.rows_read == len(log)
    everything = math.fsum(paid for _, _, paid, _ in log if math.isfinite(paid))
    assert audit.amount_read == pytest.approx(everything, abs=1e-6)
    assert audit.customers == len(expected.rows)
    assert audit.periods == sum(row[0] + 1 for row in expected.rows.values())
    assert audit.rows_merged == audit.rows_used - audit.periods
    if not earlier:
        return
    assert (audit.netted_rows, audit.netted_earlier_rows) == (
        expected.within_rows,
        expected.earlier_rows,
    )
    assert audit.netted_amount == pytest.approx(expected.within / 100, abs=1e-6)
    assert audit.netted_earlier_amount == pytest.approx(expected.earlier / 100, abs=1e-6)
    for item in audit.not_netted:
        lines = expected.uncovered[item.reason]
        assert item.rows == len(lines)
        assert item.amount == pytest.approx(sum(lines), abs=1e-6)


# --- what is generated -------------------------------------------------------------------

moments = st.one_of(
    st.datetimes(dt.datetime(1969, 12, 20), dt.datetime(1970, 1, 12)),
    st.datetimes(dt.datetime(1899, 12, 25), dt.datetime(2030, 1, 1)),
    st.sampled_from(
        [
            dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
            dt.datetime(1970, 1, 1),
            dt.datetime(1970, 1, 4, 23, 59, 59, 500000),
            dt.datetime(1970, 1, 5),
        ]
    ),
)
dates = st.dates(dt.date(1969, 12, 20), dt.date(1970, 1, 20)).map(str)
# mostly dates: where more than a tenth is none, the log is refused
texts = st.one_of(*[dates] * 8, st.sampled_from(["", "soon", "1970-02-30", "1970-01-03"]))
people = st.sampled_from(["ann", "bob", "cy", "dee", "", None])
cents = st.integers(-3000, 9000).map(lambda c: c / 100)
amounts = st.one_of(cents, st.sampled_from([0.0, 0.1, 0.2, -0.3, math.nan, math.inf, 1e6]))
kinds = st.sampled_from(["web", "shop", None])


def logs(when: Any = moments, who: Any = people, paid: Any = amounts, size: int = 30) -> Any:
    rows = st.tuples(who, when, paid, kinds)
    return st.lists(rows, min_size=1, max_size=size).flatmap(
        lambda some: st.permutations([*some, *some[: len(some) // 4]])
    )


policies = st.fixed_dictionaries(
    {
        "refunds": st.sampled_from(["drop", "net", "net_earlier"]),
        "zero_amounts": st.sampled_from(["keep", "drop"]),
        "duplicates": st.sampled_from(["keep", "drop"]),
        "varying_segments": st.sampled_from(["first", "last"]),
    }
)
units = st.tuples(st.sampled_from("hDWM"), st.sampled_from([1, 7, 0.5]))


def summarise(log: list[Row], **options: Any) -> RfmTable | None:
    try:
        return rfm_summary(frame(log), **{**COLUMNS, **options})
    except SchemaError as error:
        if "No purchase remains" in str(error):
            return None
        raise


@pytest.mark.slow
@settings(max_examples=80)
@given(log=logs(), unit=units, policy=policies, cut=st.none() | moments)
@example(
    log=[("ann", dt.datetime(1969, 12, 31, 23, 59, 59, 999999), 1.0, None)],
    unit=("D", 1),
    policy={"refunds": "drop", "zero_amounts": "keep", "duplicates": "keep"},
    cut=None,
)
@example(  # of the values of one moment the smallest
    log=[("ann", EPOCH, 1.0, kind) for kind in (None, "web", "shop", "web")],
    unit=("D", 1),
    policy={"refunds": "drop", "zero_amounts": "keep", "duplicates": "keep"},
    cut=None,
)
@example(  # 1.1 + 2.2 - 3.3 is 4e-16 in binary in any order, and yet no purchase
    log=[("ann", EPOCH, paid, None) for paid in (1.1, 2.2, -3.3)],
    unit=("D", 1),
    policy={"refunds": "net", "zero_amounts": "keep", "duplicates": "keep"},
    cut=None,
)
def test_summary_and_audit_equal_the_reference(
    log: list[Row], unit: tuple[str, float], policy: dict[str, Any], cut: dt.datetime | None
) -> None:
    end = None if cut is None else ordinal(cut, unit[0])
    expected = reference(log, unit=unit[0], scaler=unit[1], end=end, **policy)
    table = summarise(
        log,
        time_unit=unit[0],
        time_scaler=unit[1],
        observation_period_end=cut,
        segment_cols=["kind"],
        **policy,
    )
    if table is None:
        assert not expected.rows
        return
    assert_same(table, expected, segments=True)
    assert_audited(table, expected, log)


days = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 20))
some_cents = st.one_of(st.integers(-40, 40), st.integers(-4_000, 4_000)).map(lambda c: c / 100)


@pytest.mark.slow
@settings(max_examples=150)
@given(log=logs(when=days, who=st.sampled_from(["ann", "bob"]), paid=some_cents, size=40))
@example(  # 1.1 + 2.2 - 3.3 is 4e-16 over three days, and yet no purchase
    log=[("ann", EPOCH + dt.timedelta(i), paid, None) for i, paid in enumerate((1.1, 2.2, -3.3))]
)
@example(  # latest first: the second purchase goes, and half of the first one
    log=[("ann", EPOCH + dt.timedelta(i), paid, None) for i, paid in enumerate((4, 3, -5, 6))]
)
def test_refunds_are_taken_off_the_latest_purchases(log: list[Row]) -> None:
    expected = reference(log, refunds="net_earlier")
    table = summarise(log, refunds="net_earlier")
    if table is None:
        assert not expected.rows
        return
    assert_same(table, expected)
    assert_audited(table, expected, log)


@pytest.mark.slow
@settings(max_examples=30)
@given(log=logs(when=texts), policy=policies)
def test_dates_as_text_equal_the_reference(log: list[Row], policy: dict[str, Any]) -> None:
    expected = reference(log, **policy)
    if 10 * len(expected.reasons["unreadable date"]) > len(log):
        with pytest.raises(SchemaError, match="have text in 'when' that cannot be read as a date"):
            summarise(log, **policy)
        return
    table = summarise(log, **policy)
    if table is None:
        assert not expected.rows
        return
    assert_same(table, expected)
    assert_audited(table, expected, log)


@pytest.mark.slow
@settings(max_examples=30)
@given(log=logs(), policy=policies, data=st.data())
def test_row_order_does_not_matter(
    log: list[Row], policy: dict[str, Any], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(log))
    one = summarise(log, segment_cols=["kind"], **policy)
    other = summarise(shuffled, segment_cols=["kind"], **policy)
    if one is None or other is None:
        assert one is other
        return
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas(), rtol=1e-13, atol=1e-9)
    assert one.audit is not None
    assert other.audit is not None
    pd.testing.assert_frame_equal(one.audit.to_pandas(), other.audit.to_pandas(), atol=1e-9)


@pytest.mark.slow
@settings(max_examples=30)
@given(log=logs(), policy=policies)
def test_accounts_of_one_person_are_one_customer(log: list[Row], policy: dict[str, Any]) -> None:
    id_map = {"ann": "cy", "bob": "cy"}
    expected = reference(log, id_map=id_map, **policy)
    table = summarise(log, id_map=id_map, **policy)
    if table is None:
        assert not expected.rows
        return
    assert_same(table, expected)
    assert_audited(table, expected, log)


@pytest.mark.slow
@settings(max_examples=50)
@given(log=logs(size=40), unit=units, policy=policies, cut=moments)
def test_update_equals_a_summary_of_both_logs(
    log: list[Row], unit: tuple[str, float], policy: dict[str, Any], cut: dt.datetime
) -> None:
    options = {"time_unit": unit[0], "time_scaler": unit[1], "segment_cols": ["kind"], **policy}
    end = ordinal(cut, unit[0])
    early = [row for row in log if row[1] is None or ordinal(row[1], unit[0]) <= end]
    late = [row for row in log if row not in early]
    old = summarise(early, observation_period_end=cut, **options) if early else None
    if old is None or not late:
        return
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        updated = old.update(frame(late))
    assert updated.audit is not None
    open_ = [item for item in updated.audit.not_netted if item.reason == NOT_ADDED and item.rows]
    assert bool(open_) == any("refunds in the new log" in str(item.message) for item in told)
    if open_:  # which purchases they would be taken off is not known any more
        assert updated.audit.rows_read == len(log)
        return
    both = summarise(log, **options)
    assert both is not None
    left, right = updated.to_pandas(), both.to_pandas()
    pd.testing.assert_frame_equal(left, right, rtol=1e-12, atol=1e-8)
    assert list(left["T"]) == list(right["T"])
    assert updated.observation_end == both.observation_end
    assert updated.audit is not None
    assert both.audit is not None
    lines = updated.audit.to_pandas()
    assert lines.loc["already observed", "rows"] == 0
    pd.testing.assert_frame_equal(
        lines.drop("already observed"), both.audit.to_pandas(), rtol=0, atol=1e-6
    )
    assert updated.audit.periods == both.audit.periods
    assert updated.audit.customers == both.audit.customers


@pytest.mark.slow
@settings(max_examples=30)
@given(log=logs(paid=cents), policy=policies, cut=moments)
def test_rows_observed_before_change_nothing(
    log: list[Row], policy: dict[str, Any], cut: dt.datetime
) -> None:
    early = [row for row in log if row[1].date() <= cut.date()]
    old = summarise(early, observation_period_end=cut, **policy) if early else None
    if old is None:
        return
    end = max(cut, *(row[1] for row in log))
    once = old.update(frame(log), observation_period_end=end)
    clean = [row for row in log if row[1].date() > cut.date()]
    if clean:
        other = old.update(frame(clean), observation_period_end=end)
        pd.testing.assert_frame_equal(once.to_pandas(), other.to_pandas())
    twice = once.update(frame(log))
    pd.testing.assert_frame_equal(once.to_pandas(), twice.to_pandas(), rtol=1e-13)
    assert twice.audit is not None
    assert twice.audit.rows_read == len(early) + 2 * len(log)


@pytest.mark.slow
@settings(max_examples=40)
@given(log=logs(), unit=units, policy=policies, cut=moments)
def test_split_counts_what_the_same_customers_did_later(
    log: list[Row], unit: tuple[str, float], policy: dict[str, Any], cut: dt.datetime
) -> None:
    end = ordinal(cut, unit[0])
    train = reference(log, unit=unit[0], scaler=unit[1], end=end, **policy)
    late = [row for row in log if row[1] is not None and ordinal(row[1], unit[0]) > end]
    test = reference(late, unit=unit[0], scaler=unit[1], **policy)
    options = {"time_unit": unit[0], "time_scaler": unit[1], **policy}
    if not train.rows or not test.rows:
        with pytest.raises(SchemaError, match="No purchase"):
            rfm_train_test_split(frame(log), train_period_end=cut, **COLUMNS, **options)
        return
    split = rfm_train_test_split(frame(log), train_period_end=cut, **COLUMNS, **options)
    assert_same(split.train, train)
    assert split.new_customers == len(set(test.rows) - set(train.rows))
    got = split.to_pandas().set_index("customer_id")
    assert list(got.index) == sorted(train.rows)
    assert test.end is not None
    for who in train.rows:
        frequency, _, _, mean, first = test.rows.get(who, [-1, 0, 0, 0.0, 0.0])[:5]
        assert got.loc[who, "test_frequency"] == frequency + 1
        total = (mean * frequency + first) / (frequency + 1) if frequency >= 0 else 0.0
        assert got.loc[who, "test_monetary_value"] == pytest.approx(total, abs=1e-6)
        assert got.loc[who, "test_T"] == (test.end - end) / unit[1]


def test_sums_have_one_value_in_any_order() -> None:
    """Threads decide the order; Kahan's sum alone has another last bit in one of fifty."""
    rng = np.random.default_rng(1)
    group, value = np.repeat(np.arange(300), 7), rng.gamma(2, 20, 2100)
    wanted = [math.fsum(value[group == one]) for one in range(300)]
    engine = ibis.duckdb.connect()
    for _ in range(5):
        order = rng.permutation(len(value))
        rows = pa.table({"group": group[order], "value": value[order]})
        table = engine.create_table("log", rows, overwrite=True)
        sums = table.group_by("group").aggregate(total=total_of(table["value"])).order_by("group")
        assert engine.to_pyarrow(sums)["total"].to_pylist() == wanted
