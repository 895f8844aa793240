"""The explorer: sums of everybody, the customers that matter, and what the page says of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow
from clvmodels.errors import DomainError, SchemaError
from clvmodels.explorer import choosing, explorer_page
from clvmodels.posterior.predicting import columns_of
from clvmodels.predictive.alive_history import Looked, alive_by
from clvmodels.predictive.timelines import AHEAD, PAST, grid
from clvmodels.schema import TimeScale
from clvmodels.verdict import Check, Verdict
from tests.clocks import clock
from tests.protocol.report_samples import NASTY
from tests.unit.diagnostics_cases import base, fitted_pair
from tests.unit.test_customer_list import COLUMNS, END, purchases, valued

FAILED = Verdict("nuts", (Check("largest R-hat", 1.4, 1.01, "fail", "Sample longer.", "at most"),))
FEW: dict[str, Any] = {"most_valuable": 40, "at_risk": 20, "sample": 20, "draws": 20}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    log = load_cdnow(sample=True)
    channels = np.array(["shop", "=HYPERLINK(1)", "-web", None], dtype=object)
    return log.assign(channel=log["customer_id"].map(lambda one: channels[int(one) % 4]))


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> clv.RfmTable:
    return clv.rfm_summary(
        log, **COLUMNS, monetary_value_col="amount", observation_period_end=END,
        segment_cols=["channel"], margin=0.3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def explorer(rfm: clv.RfmTable, log: pd.DataFrame) -> clv.Explorer:
    return clv.explore(valued(), rfm, log=log, currency="$", **FEW)


class Page(HTMLParser):
    """The rows of a page's list, the words of the page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, dict[str, str | None]]]] = []
        self.lives: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._within, self._listing = "", "", False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.tags.append((tag, known))
        self._within = tag
        if life := known.get("data-life"):
            self.lives.append(life.split("|"))
            self.rows.append([])
            self._listing = True
        elif tag in ("td", "th") and self._listing:
            self.rows[-1].append(("", known))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""
        self._listing = self._listing and tag != "tbody"

    def handle_data(self, data: str) -> None:
        if self._within not in ("style", "script"):
            self.text += data
        if self._listing and self.rows[-1] and self._within != "span":
            said, known = self.rows[-1][-1]
            self.rows[-1][-1] = (said + data.strip("\n"), known)


def test_values_are_those_that_predict_gives(explorer: clv.Explorer, rfm: clv.RfmTable) -> None:
    whole = valued().predict(rfm, predictive=True, draws=20).set_index("customer_id")
    found = explorer.customers.set_index("customer_id")
    there = [name for name in whole if name in found]
    assert {"clv", "clv_lower", "value_upper", "p_alive", "purchases_lower"} <= set(there)
    pd.testing.assert_frame_equal(
        found[there], whole.loc[found.index, there], rtol=1e-9, check_dtype=False
    )


def test_the_list_is_that_of_customers(explorer: clv.Explorer, rfm: clv.RfmTable) -> None:
    said = clv.customers(valued(), rfm, draws=20).customers.set_index("customer_id")
    found = explorer.customers.set_index("customer_id")
    names = [n for n in said if n not in ("value", "value_lower", "value_upper", "channel")]
    assert len(names) > 10
    pd.testing.assert_frame_equal(found[names], said.loc[found.index, names])
    table = rfm.to_pandas().set_index("customer_id").loc[found.index]
    first = pd.Timestamp(END) - pd.to_timedelta(table["T"], unit="D")
    assert (found["first_order"] == first).all()


def test_sums_are_of_everybody(explorer: clv.Explorer, rfm: clv.RfmTable) -> None:
    totals = explorer.totals
    tiers = clv.tier_report(valued(), rfm, draws=20)
    mine = totals[totals["by"].isin(["tier", "(whole)"])]
    for name, theirs in (("value", "clv"), ("value_lower", "clv_lower"), ("share", "value_share")):
        np.testing.assert_allclose(mine[name], tiers[theirs], rtol=1e-9)
    assert mine["customers"].tolist() == tiers["customers"].tolist()
    segments = clv.segment_report(valued(), rfm, by="channel", draws=20)
    by = totals[totals["by"] == "channel"]
    assert by["group"].tolist() == segments["channel"].tolist()[:-1]
    np.testing.assert_allclose(by["value_upper"], segments["clv_upper"][:-1], rtol=1e-9)
    for by_what in ("tier", "state", "channel"):
        assert totals.loc[totals["by"] == by_what, "customers"].sum() == len(rfm)


def test_who_is_chosen(explorer: clv.Explorer, rfm: clv.RfmTable) -> None:
    said = clv.customers(valued(), rfm, draws=20).customers
    found = explorer.customers
    assert found["chosen_as"].value_counts().to_dict() == {
        "most valuable": 40, "at risk": 20, "sample": 20
    }  # fmt: skip
    assert found["customer_id"].is_unique
    assert (np.diff(found["clv"]) <= 0).all()
    least = found.loc[found["chosen_as"] == "most valuable", "clv"].min()
    assert (said["value"] > least + 0.01).sum() < 40
    risky = found[found["chosen_as"] == "at risk"]
    assert set(risky["state"]) <= {"slowing", "overdue"}


def test_rows_in_another_order_show_the_same_customers(
    explorer: clv.Explorer, rfm: clv.RfmTable, log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And blocks add up to the whole."""
    monkeypatch.setattr(choosing, "_BLOCK", 700)
    order = np.random.default_rng(2).permutation(len(rfm))
    turned = clv.RfmTable(**{
        **{name: getattr(rfm, name) for name in rfm.__slots__ if name != "table"},
        "table": rfm.table.take(order),
    })  # fmt: skip
    again = clv.explore(valued(), turned, log=log, currency="$", **FEW)
    assert again.customers["customer_id"].tolist() == explorer.customers["customer_id"].tolist()
    pd.testing.assert_frame_equal(again.totals, explorer.totals, rtol=1e-9)


def test_a_given_list_is_shown_and_no_other(rfm: clv.RfmTable) -> None:
    found = clv.explore(valued(), rfm, ids=["20111", 111, "00111"[2:]], draws=20)
    assert sorted(found.customers["customer_id"]) == [111, 20111]
    assert "asked for" in found.html
    with pytest.raises(SchemaError, match="ids=1 is not a customer"):
        clv.explore(valued(), rfm, ids=[1], draws=20)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"most_valuable": -1}, DomainError, "most_valuable=-1"),
        ({"most_valuable": 0, "at_risk": 0, "sample": 0}, DomainError, "show nobody"),
        ({"ids": []}, SchemaError, r"ids=\[\] shows nobody"),
        ({"attributes": ["colour"]}, SchemaError, "attributes='colour'"),
        ({"output": "page.txt"}, SchemaError, r"must end in \.html"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    rfm: clv.RfmTable, options: dict[str, Any], kind: Any, words: str
) -> None:
    with pytest.raises(kind, match=words):
        clv.explore(valued(), rfm, **{**FEW, **options})


# --- lives ---


@pytest.mark.parametrize("key", ["bgnbd", "mbgnbd", "paretonbd"])
def test_p_alive_now_is_predicts_and_earlier_that_of_an_earlier_table(
    key: str, log: pd.DataFrame
) -> None:
    posterior = purchases(key)
    now = clv.rfm_summary(log, **COLUMNS, observation_period_end=END)
    ids = now["customer_id"].to_numpy()
    earlier = clv.rfm_summary(log, **COLUMNS, observation_period_end="1997-06-30")
    then = earlier.to_pandas().set_index("customer_id")
    who = np.flatnonzero(np.isin(ids, then.index))
    some = then.loc[ids[who]]
    columns = columns_of(posterior, now, None)
    looked = Looked(
        who, *(some[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    )
    found = alive_by(posterior, 30).at(columns, looked, probability=(0.05, 0.95))
    said = posterior.predict(earlier, draws=30, interval=0.9).set_index("customer_id")
    for values, name in zip(found, ("p_alive", "p_alive_lower", "p_alive_upper"), strict=True):
        np.testing.assert_allclose(values, said.loc[ids[who], name], rtol=1e-9)


def test_p_alive_by_a_clock_counts_own_time(log: pd.DataFrame) -> None:
    bare = purchases()
    posterior = replace(bare, metadata=replace(bare.metadata, clock=clock()))
    now = clv.rfm_summary(log, **COLUMNS, observation_period_end=END)
    table = now.to_pandas()
    who = np.arange(len(now))
    looked = Looked(
        who, *(table[name].to_numpy(dtype=float) for name in ("frequency", "recency", "T"))
    )
    columns = columns_of(posterior, now, None)
    (found,) = alive_by(posterior, 30).at(columns, looked)
    said = posterior.predict(now, draws=30)["p_alive"]
    np.testing.assert_allclose(found, said, rtol=1e-9)
    (later,) = alive_by(posterior, 30).at(columns, looked._replace(now=looked.now + 60.0))
    assert (later <= found + 1e-12).all()
    assert (later < found).any()


def read_life(life: list[str]) -> tuple[list[float], list[tuple[int, float]]]:
    curve = [int(life[2][i : i + 2], 36) / 1000 for i in range(0, len(life[2]), 2)]
    orders = [one.split(":") for one in life[4].split(",") if one]
    return curve, [(int(at, 36), float(total)) for at, total in orders]


def test_lives_hold_the_orders_of_the_log(explorer: clv.Explorer, log: pd.DataFrame) -> None:
    page = Page(explorer.html)
    assert len(page.lives) == len(explorer.customers) == 80
    dates = pd.to_datetime(log["date"])
    for life, row in zip(page.lives, explorer.customers.to_dict("records"), strict=True):
        mine = log[(log["customer_id"] == row["customer_id"]) & (dates <= END)]
        totals = mine.groupby(pd.to_datetime(mine["date"]))["amount"].sum()
        curve, orders = read_life(life)
        first = totals.index[0]
        assert [at for at, _ in orders] == [(one - first).days for one in totals.index]
        np.testing.assert_allclose([total for _, total in orders], totals, atol=0.00501)
        assert int(life[1]) == row["T"]
        assert len(life[3]) == 4 * min(len(orders) - 1, 16)
        if len(curve) > 1:  # else it is flat
            assert len(curve) == PAST + AHEAD
            assert abs(curve[PAST - 1] - row["p_alive"]) <= 0.00051
            assert (np.diff(curve[PAST - 1 :]) <= 0).all()


def test_looks_are_at_whole_periods() -> None:
    assert grid(0, 70, 36)[:3] == [0, 2, 4]
    assert grid(0, 70, 36)[PAST - 1 :] == [70 + 2 * i for i in range(AHEAD + 1)]
    assert grid(5, 5, 1)[:PAST] == [5] * PAST


def test_without_a_log_curves_begin_at_the_last_order(rfm: clv.RfmTable) -> None:
    found = clv.explore(valued(), rfm, **FEW)
    life = Page(found.html).lives[0]
    assert [int(life[0]), int(life[1])] == found.customers.loc[0, ["recency", "T"]].tolist()
    assert life[3] == life[4] == ""


def test_another_log_is_refused(rfm: clv.RfmTable, log: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="other purchases than the table"):
        clv.explore(valued(), rfm, log=log.iloc[::2], **FEW)


# --- words ---


def test_the_page_says_what_its_numbers_are_made_with(explorer: clv.Explorer) -> None:
    text = Page(explorer.html).text.replace("\N{NO-BREAK SPACE}", " ")
    for words in (
        "2,357 customers, observed until 1997-09-30", "the next 365 days", "at 10 % a year",
        "profit, at a margin of 30 %", "the posterior is a single point",
        "90 % interval of the outcome",
        "the 40 of whom most is expected", "Nothing is known of how the draws were made",
        "P(alive) says nothing of customers who ordered once",
    ):  # fmt: skip
        assert words in text, words


def test_cells_hold_the_numbers(rfm: clv.RfmTable) -> None:
    spend = clv.GammaGammaPosterior.from_draws(p=6.25, q=np.linspace(3.5, 4.0, 80), v=15.4)
    explorer = clv.explore(clv.CLVPosterior(purchases(), spend), rfm, **FEW)
    page = Page(explorer.html)
    keys = [
        (known["data-key"], (known.get("data-ends") or "").split())
        for tag, known in page.tags if tag == "th" and "data-key" in known
    ]  # fmt: skip
    assert len(keys) > 15
    for cells, row in zip(page.rows, explorer.customers.to_dict("records"), strict=True):
        assert len(cells) == len(keys)
        for (key, ends), (text, known) in zip(keys, cells, strict=True):
            held = known.get("data-ends")
            for name, said in zip(ends, (held or "").split(), strict=False):
                if not name.startswith("next"):
                    assert float(said) == pytest.approx(row[name], rel=1e-6)
            if key in ("clv", "p_alive", "p_purchase"):
                assert float(known["data-value"] or "nan") == pytest.approx(row[key], rel=1e-6)
            if key in ("tier", "state", "customer_id", "action"):
                assert text == str(row[key])


def test_a_failed_fit_stands_above_all() -> None:
    rfm = clv.RfmTable.from_frame(base(60), time_unit="D")
    page = clv.explore(fitted_pair(verdict=FAILED), rfm, draws=10).html
    text = Page(page).text
    assert text.index("The fit failed its checks: no figure") < text.index("All customers")
    assert "Sample longer." in text
    assert 'class="explorer unreliable"' in page
    passed = clv.explore(fitted_pair(verdict=Verdict("nuts", ())), rfm, draws=10).html
    assert 'class="explorer"' in passed


@pytest.mark.parametrize(
    ("returned", "kind", "said"),
    [
        (0, "fail", "Too few customers came back: no figure on this page may be used."),
        (60, "warn", "The fit passed its checks, with a warning."),
        (100, "pass", "The fit passed its checks."),
    ],
)
def test_a_fit_of_a_base_in_which_too_few_came_back_is_not_praised(
    returned: int, kind: str, said: str
) -> None:
    passed = Check("largest R-hat", 1.0, 1.01, "pass", "", "at most")
    pair = fitted_pair(verdict=Verdict("nuts", (passed,)))
    metadata = replace(pair.purchases.metadata, base={"repeat_customers": returned})
    own = clv.CLVPosterior(type(pair.purchases)(pair.purchases.tree, metadata), pair.spend)
    page = clv.explore(own, clv.RfmTable.from_frame(base(60), time_unit="D"), draws=10).html
    assert f'class="verdict {kind}"' in page
    assert said in Page(page).text
    assert ("(there should be at least 100)" in Page(page).text) == (kind != "pass")


def test_without_amounts_there_is_no_money(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **COLUMNS, observation_period_end=END)
    found = clv.explore(purchases("mbgnbd"), rfm, log=log, **FEW)
    assert {"purchases", "purchases_lower", "share"} <= set(found.totals)
    text = Page(found.html).text.lower()
    assert "value" not in text
    assert "revenue" not in text
    assert "currency" not in text


def test_weeks_months_and_a_lifetime(log: pd.DataFrame) -> None:
    for unit in ({"time_scaler": 7.0}, {"time_unit": "M"}):
        scale = TimeScale(unit.get("time_unit", "D"), unit.get("time_scaler", 1.0))  # type: ignore[arg-type]
        rfm = clv.rfm_summary(log, **COLUMNS, **unit)  # type: ignore[arg-type]
        posterior = clv.BetaGeoPosterior.from_draws(
            r=0.24, alpha=31.0 / scale.days, a=0.8, b=2.4,
            time_unit=scale.time_unit, time_scaler=scale.time_scaler,
        )  # fmt: skip
        found = clv.explore(clv.CLVPosterior(posterior, 25.0), rfm, log=log, horizon=None, **FEW)
        assert "no interval of the outcome" in found.html
        life = Page(found.html).lives[0]
        periods = found.customers.loc[0, "T"] * scale.time_scaler
        assert int(life[1]) == round(periods)


def test_one_customer_whose_end_is_not_known() -> None:
    frame = pd.DataFrame(
        {"customer_id": ["=1+1"], "frequency": [3], "recency": [30.0], "T": [40.5]}
    )
    found = clv.explore(purchases(), clv.RfmTable.from_frame(frame, time_unit="D"), draws=10)
    assert len(found.customers) == 1
    assert "This customer is listed." in found.html
    assert "1 customer<" in found.html
    life = Page(found.html).lives[0]
    assert int(life[2][2 * PAST - 2 : 2 * PAST], 36) == round(1000 * found.customers["p_alive"][0])


def test_texts_of_the_log_are_texts_of_the_page(tmp_path: Path) -> None:
    names = [one for one in NASTY if "\ud800" not in one]
    frame = pd.DataFrame(
        {"customer_id": names, "frequency": 2, "recency": 30.0, "T": 50.0, "channel": names[::-1]}
    )
    rfm = clv.RfmTable.from_frame(frame, time_unit="D")
    found = clv.explore(purchases(), rfm, title=NASTY[0], currency=NASTY[3], draws=10)
    page = Page(found.html)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not [known for tag, known in page.tags if any(name.startswith("on") for name in known)]
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "b"})
    script = found.html[found.html.rindex("<script>") :]
    assert re.search(r"@import|https?:|fetch|XMLHttp|innerHTML|eval", script) is None
    shown = {cells[0][0] for cells in page.rows}
    assert {one for one in names if one.isprintable()} <= shown
    only = [
        json.loads(known["data-only"] or "")
        for tag, known in page.tags
        if tag == "tr" and "data-only" in known
    ]
    assert {"channel": NASTY[0]} in only


def test_a_page_that_would_be_too_large_says_what_it_leaves_out(
    rfm: clv.RfmTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer_page, "MOST_BYTES", 85_000)
    found = clv.explore(valued(), rfm, **FEW)
    assert len(found.html.encode()) <= 85_000
    count = len(found.customers)
    assert 0 < count < 80
    assert len(Page(found.html).lives) == count
    assert f"{count} of these are on it" in found.html
    assert set(found.customers["chosen_as"]) == {"most valuable", "at risk", "sample"}


def test_customers_without_a_value_are_counted(log: pd.DataFrame) -> None:
    rfm = clv.rfm_summary(log, **COLUMNS, monetary_value_col="amount")
    spend = clv.GammaGammaPosterior.from_draws(p=6.0, q=[0.9, 3.7], v=15.0)
    with pytest.warns(UserWarning, match="have no expected value"):
        found = clv.explore(clv.CLVPosterior(purchases(), spend), rfm, ids=[111, 4], draws=20)
    assert found.totals["without_value"].iloc[-1] > 0
    assert "have no finite expected value and are not in it" in found.html


# --- the command ---


def test_the_command_writes_the_page(
    tmp_path: Path, rfm: clv.RfmTable, log: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    rfm.to_parquet(tmp_path / "rfm.parquet")
    valued().save(tmp_path / "posterior.nc")
    log.to_parquet(tmp_path / "log.parquet")
    (tmp_path / "ids.csv").write_text("customer_id\n111\n20111\n")
    fitted = ["--rfm", str(tmp_path / "rfm.parquet"), "--posterior", str(tmp_path / "posterior.nc")]
    page = tmp_path / "explore.html"
    options = ["--log", str(tmp_path / "log.parquet"), "--ids", str(tmp_path / "ids.csv")]
    assert main(["explore", *fitted, "-o", str(page), *options, "--draws", "20"]) == 0
    said = capsys.readouterr().out
    assert "tier 1" in said
    assert "2 customers to look up" in said
    assert len(Page(page.read_text(encoding="utf-8")).lives) == 2
