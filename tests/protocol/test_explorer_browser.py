"""The explorer in a real browser: searched, filtered, sorted, exported, and one customer opened."""

from __future__ import annotations

import csv
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from tests.protocol import test_report_browser
from tests.protocol.browser import Browser
from tests.protocol.report_samples import NASTY
from tests.protocol.test_report_browser import (
    DESK,
    FAULTS,
    OVERFLOWING,
    PALE,
    PAPER,
    PHONE,
    UNFOLD,
    complaints,
    requests,
)
from tests.unit.diagnostics_cases import base, fitted_pair
from tests.unit.test_customer_list import purchases
from tests.unit.test_explorer import FAILED

pytestmark = pytest.mark.slow
browser = test_report_browser.browser

SHOWN = "[...document.querySelectorAll('#customers tbody tr')].filter(row => !row.hidden)"
IDS = f"{SHOWN}.map(row => row.cells[0].textContent)"
CHANNELS = ["shop", "=cmd|' /C calc'!A0", "-web", 'a,"b"']
# What the page would save, as text.
SAVED = """
new Promise(done => {
  const make = URL.createObjectURL;
  URL.createObjectURL = blob => { blob.text().then(done); return make(blob); };
  const click = HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click = () => {};
  document.querySelector('.tools button').click();
  HTMLAnchorElement.prototype.click = click;
  URL.createObjectURL = make;
})
"""


def log_of(customers: int) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    who = np.repeat([f"c{n}" for n in range(customers)], 4)
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 360, len(who)), unit="D")
    amounts = rng.lognormal(3, 1, len(who)).round(2)
    channel = np.repeat(rng.choice(CHANNELS, customers), 4)
    return pd.DataFrame({"id": who, "date": days, "amount": amounts, "channel": channel})


@pytest.fixture(scope="module")
def explorer() -> clv.Explorer:
    log = log_of(400)
    rfm = clv.rfm_summary(
        log, customer_id_col="id", datetime_col="date", monetary_value_col="amount",
        segment_cols=["channel"],
    )  # fmt: skip
    few: dict[str, Any] = {"most_valuable": 150, "at_risk": 30, "sample": 50}
    spend = clv.GammaGammaPosterior.from_draws(p=6.25, q=np.linspace(3.5, 4.0, 80), v=15.4)
    posterior = clv.CLVPosterior(purchases(), spend)
    return clv.explore(posterior, rfm, log=log, currency="$", draws=20, **few)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, explorer: clv.Explorer) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("explorers")
    failed = clv.RfmTable.from_frame(base(60), time_unit="D")
    once = base(60, T=(30, 90)).assign(frequency=0.0, recency=0.0)
    once = once[["customer_id", "frequency", "recency", "T"]]
    names = [one for one in NASTY if "\ud800" not in one]
    nasty = pd.DataFrame(
        {"customer_id": names, "frequency": 2, "recency": 30.0, "T": 50.0, "channel": names[::-1]}
    )
    made = {
        "plain": explorer,
        "failed": clv.explore(fitted_pair(verdict=FAILED), failed, draws=10),
        "once": clv.explore(purchases(), clv.RfmTable.from_frame(once, time_unit="D"), draws=10),
        "nasty": clv.explore(
            purchases(), clv.RfmTable.from_frame(nasty, time_unit="D"), title=NASTY[3], draws=10
        ),
    }
    return {name: one.save(folder / f"{name}.html") for name, one in made.items()}


def ids(browser: Browser) -> list[str]:
    return list(browser.run(IDS))


def choose(browser: Browser, place: int, value: str) -> None:
    browser.run(
        f"(select => {{ select.value = {json.dumps(value)}; "
        "select.dispatchEvent(new Event('change')); })"
        f"(document.querySelectorAll('.tools select')[{place}])"
    )


def search(browser: Browser, text: str) -> None:
    browser.run(
        f"(box => {{ box.value = {json.dumps(text)}; box.dispatchEvent(new Event('input')); }})"
        "(document.querySelector('.tools input'))"
    )


def saved(browser: Browser) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.run(SAVED).removeprefix("\ufeff"))))


@pytest.mark.parametrize("name", ["plain", "failed", "once", "nasty"])
@pytest.mark.parametrize("width", [320, PHONE, DESK])
def test_it_is_quiet_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    browser.click("#customers button.lead")
    assert complaints(browser) == []
    assert requests(browser) == [pages[name].as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(OVERFLOWING) == []
    assert browser.run("window.hit ?? null") is None


@pytest.mark.parametrize("name", ["plain", "failed", "once"])
def test_axe_finds_no_fault(browser: Browser, pages: dict[str, Path], name: str) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    for width, dark in ((DESK, False), (PHONE, True)):
        browser.open(pages[name], width=width, dark=dark)
        browser.run("document.querySelector('#customers button.lead').click()")
        browser.run(UNFOLD)
        browser.run(f"{axe};0")
        assert browser.run(FAULTS) == [], (width, dark)
        assert browser.run(PALE) == []


def test_it_is_shown_by_the_hundred(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.open(pages["plain"], width=DESK)
    wanted = explorer.customers["customer_id"].tolist()
    assert len(wanted) == 230
    assert ids(browser) == wanted[:100]
    assert browser.run("document.querySelector('.tools output').textContent") == (
        "230 of 230 customers, 100 shown"
    )
    browser.click("#list button.more")
    assert ids(browser) == wanted[:200]


def test_a_customer_is_found_by_id_and_opened(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.open(pages["plain"], width=DESK)
    row = explorer.customers.iloc[210]
    search(browser, row["customer_id"].upper())
    assert row["customer_id"] in ids(browser)
    browser.run("document.querySelector('.tools input').focus()")
    browser.press("Enter")
    assert browser.run("document.getElementById('one').hidden") is False
    assert browser.run("document.activeElement.id") == "one-title"
    opened = ids(browser)[0]
    assert browser.run("document.getElementById('one-title').textContent") == f"Customer {opened}"
    known = explorer.customers.set_index("customer_id").loc[opened]
    text = browser.run("document.getElementById('figures').textContent")
    assert f"${known['clv']:,.2f}" in text or f"${known['clv']:,.0f}" in text
    assert "90\N{NO-BREAK SPACE}% interval of the mean" in text
    assert "90\N{NO-BREAK SPACE}% interval of the outcome" in text
    assert f"{known['next_order']:%Y-%m-%d}" in text
    strokes = browser.run("document.querySelectorAll('#life .order').length")
    assert (
        strokes == known["orders"] == browser.run("document.querySelectorAll('#orders li').length")
    )
    browser.click("#close")
    assert browser.run("document.getElementById('one').hidden") is True


def test_the_curve_tells_what_it_is_pointed_at(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=DESK)
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")
    browser.click("#customers button.lead")
    x, y = browser.run(
        "(() => { const e = document.querySelector('#life .now');"
        " e.scrollIntoView({block: 'center', behavior: 'instant'});"
        " const r = e.getBoundingClientRect(); return [r.x, r.y + r.height / 2]; })()"
    )
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    said = browser.run("document.getElementById('pointed').textContent")
    end = browser.run("JSON.parse(document.getElementById('one').dataset.settings).end")
    assert said.startswith(f"{end}: P(alive) ")


def test_filters_and_groups_lead_to_customers(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.open(pages["plain"], width=DESK)
    labels = browser.run(
        "[...document.querySelectorAll('.tools label')].map(e => e.firstChild.data.trim())"
    )
    assert labels == ["Customer", "Tier", "State", "Chosen as", "channel"]
    table = explorer.customers
    choose(browser, 0, "tier 2")
    choose(browser, 3, CHANNELS[1])
    wanted = table[(table["tier"] == "tier 2") & (table["channel"] == CHANNELS[1])]
    assert len(wanted) > 1
    assert ids(browser) == wanted["customer_id"].tolist()[:100]
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")
    browser.click("#all tr[data-only*='tier 1'] button.lead")
    first = table[table["tier"] == "tier 1"]["customer_id"].tolist()
    assert ids(browser) == first[:100]
    assert browser.run("document.activeElement.type") == "search"


def test_what_is_saved_is_the_selection_and_no_formula(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.open(pages["plain"], width=DESK)
    rows = saved(browser)
    table = explorer.customers
    assert [row["customer_id"] for row in rows] == table["customer_id"].tolist()
    for name in ("clv", "clv_lower", "value_upper", "p_alive", "expected_purchases"):
        found = [float(row[name]) for row in rows]
        np.testing.assert_allclose(found, table[name], rtol=1e-6)
    assert [row["next_order"] for row in rows] == [
        "" if pd.isna(one) else f"{one:%Y-%m-%d}" for one in table["next_order"]
    ]
    guarded = [f"'{one}" if one[0] in "=-" else one for one in table["channel"]]
    assert [row["channel"] for row in rows] == guarded
    choose(browser, 0, "tier 1")
    assert len(saved(browser)) == (table["tier"] == "tier 1").sum()


def test_a_click_sorts_all_and_shows_the_first(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.open(pages["plain"], width=DESK)
    for key in ("p_alive", "orders", "value_upper"):
        place = browser.run(
            "[...document.querySelectorAll('#customers thead th')]"
            f".findIndex(th => th.dataset.key === {json.dumps(key.removesuffix('_upper'))})"
        )
        heading = f"#customers thead th:nth-child({place + 1}) button"
        browser.run(f"document.querySelector({json.dumps(heading)}).click()")
        values = explorer.customers.set_index("customer_id")[key]
        shown = values.loc[ids(browser)].to_numpy()
        assert len(shown) == 100
        assert (np.diff(shown) >= -1e-6 * np.abs(shown[1:])).all(), key
        assert shown[0] == pytest.approx(values.min(), rel=1e-6)


def test_without_scripts_everything_is_there(
    browser: Browser, pages: dict[str, Path], explorer: clv.Explorer
) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["plain"], width=DESK)
        assert complaints(browser) == []
        assert ids(browser) == explorer.customers["customer_id"].tolist()
        assert browser.run("document.querySelector('.tools').checkVisibility()") is False
        assert browser.run(OVERFLOWING) == []
        told = browser.run("document.getElementById('customers').textContent")
        assert "reward loyalty" in told
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_on_paper(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["plain"], width=PAPER, media="print", dark=True)
    assert browser.run("document.documentElement.scrollWidth") == PAPER
    assert browser.run(PALE) == []
    # the whole list is there, and nothing lies over it
    bottom, top = browser.run(
        "[document.getElementById('customers').getBoundingClientRect().bottom,"
        " document.querySelector('#list > details').getBoundingClientRect().top]"
    )
    assert bottom <= top
    assert browser.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
