"""The report in a real browser: quiet, within its window, sortable, readable in the dark."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, rfm_summary
from clvmodels.datasets import load_cdnow
from clvmodels.diagnostics import Report, diagnose
from clvmodels.reporting import RenderedReport, render_page
from tests.protocol.browser import Browser, find_browser, open_browser
from tests.protocol.report_samples import NASTY, draw, sample
from tests.unit.diagnostics_cases import PURCHASES, base, fitted_pair, good_statistics

pytestmark = pytest.mark.slow

COUNTED = ("frequency", "recency", "T")
PHONE, DESK, PAPER = 390, 1280, 718  # CSS pixels; paper is A4 less its margins
HEADING = "#section-data thead th:nth-child({})"

# Elements that reach beyond the window, other than inside a box that scrolls.
OVERFLOWING = """
[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  const scrolls = e.parentElement.closest('.scroll, pre.note, nav.contents');
  return box.right > innerWidth + 1 && !scrolls && !e.matches('.unseen, .skip');
}).map(e => e.outerHTML.slice(0, 80))
"""
# Texts with less contrast than WCAG asks for (4.5; 3 where large), with their ratio.
PALE = """
(() => {
  const read = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map(v => v / 255).map(v =>
      v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = read(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const own = (e) => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll('body *')].filter(e => own(e) && e.tagName !== 'SCRIPT')
    .map(e => {
      const style = getComputedStyle(e);
      const [a, b] = [light(read(style.color).slice(0, 3)), light(ground(e))].sort((x, y) => y - x);
      const large = parseFloat(style.fontSize) >= 24;
      return [e.outerHTML.slice(0, 60), (a + 0.05) / (b + 0.05), large ? 3 : 4.5];
    }).filter(([_, ratio, limit]) => ratio < limit);
})()
"""
# Texts that do not fit into their cells, cards or lines, and boxes with more than they show.
CUT = """
[...document.querySelectorAll('.value, .interval, td, th, dt, dd, h2, h3, p, li, figcaption')]
  .filter(e => e.checkVisibility() && e.clientWidth > 8 && !e.closest('table.wide thead')
    && e.scrollWidth > e.clientWidth + 1)
  .concat([...document.querySelectorAll('.scroll')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.querySelector('table.customers')))
  .concat([...document.querySelectorAll('svg[role=img] text')].filter(e => {
    const box = e.getBBox();
    return box.x < 0 || box.x + box.width > e.ownerSVGElement.viewBox.baseVal.width;
  }))
  .map(e => e.outerHTML.slice(0, 120))
"""
# What axe-core finds wrong on the page, everything unfolded: rule, elements, the first of them.
FAULTS = """
axe.run().then(found => found.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html]))
"""
# A pointer over a chart: at its left edge 0, at its right edge 1.
MOVED = """
(() => {{
  const svg = document.querySelector('{}');
  const box = svg.getBoundingClientRect();
  const at = {{ clientX: box.left + {} * box.width, clientY: box.top + box.height / 2 }};
  svg.dispatchEvent(new PointerEvent('pointermove', at));
}})()
"""
UNFOLD = "document.querySelectorAll('details').forEach(part => { part.open = true; })"
COLUMN = """
[...document.querySelectorAll('#section-data tbody tr')]
  .map(row => [row.cells[{0}].textContent, row.cells[{0}].dataset.value ?? null])
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium) to run this")
    with open_browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


def cdnow() -> Report:
    """Return a real report, with wide tables and every kind of figure but a backtest's."""
    log = load_cdnow(sample=True)
    rfm = rfm_summary(
        log, customer_id_col="customer_id", datetime_col="date", monetary_value_col="amount"
    )
    rng = np.random.default_rng(3)
    means = {"r": 0.25, "alpha": 38.0, "a": 0.62, "b": 2.75}
    draws = {name: mean * rng.lognormal(0, 0.05, 200) for name, mean in means.items()}
    spend = GammaGammaPosterior.from_draws(p=4.8, q=4.2 * rng.lognormal(0, 0.05, 200), v=24.6)
    posterior = CLVPosterior(BetaGeoPosterior.from_draws(**draws), spend)
    return diagnose(posterior, rfm, log=log, currency="$", draws=100)


def millions() -> Report:
    """Return a report of orders of some hundred thousand, in a currency with a long name."""
    log = load_cdnow(sample=True).head(1_500)
    rfm = rfm_summary(
        log.assign(amount=log["amount"] * 1e4),
        customer_id_col="customer_id",
        datetime_col="date",
        monetary_value_col="amount",
    )
    few = np.exp(0.05 * np.random.default_rng(3).standard_normal(60))
    posterior = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.25 * few, alpha=38.0, a=0.62, b=2.75),
        GammaGammaPosterior.from_draws(p=4.8, q=4.2 * few, v=24.6e4),
    )
    return diagnose(posterior, rfm, currency="EUR", margin=0.3, cac=90_000, draws=60)


def once() -> Report:
    """Return a report of customers who all bought once, by purchases alone."""
    rows = base(60, T=(30, 90)).assign(frequency=0.0, recency=0.0)[["customer_id", *COUNTED]]
    return diagnose(BetaGeoPosterior.from_draws(**PURCHASES), rows, draws=20)


def failed() -> Report:
    """Return a report of a fit whose sampler diverged."""
    statistics = good_statistics()
    statistics["diverging"][:, :50] = True
    pair = fitted_pair(statistics=statistics)
    return diagnose(pair, base(150), margin=0.3, cac=9.0, currency="EUR", draws=20)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "plain": render_page(sample(rows=40), draw),
        "nasty": render_page(sample(names=NASTY, title=NASTY[0]), draw),
        "cdnow": render_page(cdnow()),
        "once": render_page(once()),
        "failed": render_page(failed()),
        "millions": render_page(millions()),
        "long": render_page(sample(names=("N" * 5000,), title="T" * 500), draw),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the pictures; SCREENSHOTS names one that stays."""
    wanted = os.environ.get("SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def complaints(browser: Browser) -> list[Any]:
    """Whatever the browser has to say of a page: messages, errors, refusals."""
    names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event for name in names for event in browser.named(name)]


def requests(browser: Browser) -> list[str]:
    """What a page asked for, other than what it holds itself."""
    asked = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
    return [url for url in asked if not url.startswith("data:")]


@pytest.mark.parametrize("name", ["plain", "nasty", "long", "cdnow"])
@pytest.mark.parametrize("width", [320, PHONE, DESK])
def test_it_is_quiet_and_fits(
    browser: Browser, pages: dict[str, Path], pictures: Path, name: str, width: int
) -> None:
    browser.open(pages[name], width=width)
    assert complaints(browser) == []
    assert requests(browser) == [pages[name].as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run(OVERFLOWING) == []
    sizes = browser.run("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert len(sizes) >= 2
    assert all(done and wide > 300 for done, wide in sizes)
    assert browser.picture(pictures / f"{name}-{width}.png").stat().st_size > 10_000


def test_nothing_is_cut_off(browser: Browser, pages: dict[str, Path]) -> None:
    """Unfolded; of tables only the list of customers scrolls, and only on a phone."""
    for name in ("cdnow", "once", "failed", "millions"):
        for width in (1400, PHONE):
            browser.open(pages[name], width=width)
            browser.run(UNFOLD)
            assert browser.run(CUT) == [], (name, width)
    browser.run("document.querySelector('.fact .value').textContent = 'W'.repeat(60)")
    assert len(browser.run(CUT)) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out(
    browser: Browser, pages: dict[str, Path], pictures: Path, dark: bool
) -> None:
    for width in (PHONE, DESK):
        browser.open(pages["plain"], width=width, dark=dark)
        assert browser.run(PALE) == []
        browser.picture(pictures / f"{'dark' if dark else 'light'}-{width}.png")
    assert dark == browser.run(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(v => v < 64)"
    )


@pytest.mark.parametrize("name", ["cdnow", "once", "failed", "plain"])
def test_axe_finds_no_fault(browser: Browser, pages: dict[str, Path], name: str) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    for width, dark in ((DESK, False), (PHONE, True)):
        browser.open(pages[name], width=width, dark=dark)
        browser.run(UNFOLD)
        browser.run(f"{axe};0")
        assert browser.run(FAULTS) == [], (width, dark)


def test_axe_would_find_one(browser: Browser, pages: dict[str, Path]) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    browser.open(pages["plain"], width=DESK)
    browser.run("document.querySelector('img').removeAttribute('alt')")
    browser.run(f"{axe};0")
    assert "image-alt" in [rule for rule, *_ in browser.run(FAULTS)]


def test_the_policy_is_in_force(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=DESK)
    browser.run(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x: onerror=window.hit=1>')"
    )
    browser.run("document.body.insertAdjacentHTML('beforeend', '<b style=\"color:red\">x</b>')")
    assert browser.run("fetch('http://127.0.0.1:9/').then(() => 'came', () => 'refused')") == (
        "refused"
    )
    assert browser.run("window.hit ?? null") is None
    said = " ".join(event["entry"]["text"] for event in browser.named("Log.entryAdded"))
    for what in ("inline event handler", "inline style", "connect"):
        assert what in said.lower()


def numbers(cells: list[list[Any]]) -> list[float | None]:
    return [None if raw is None else float(raw) for _, raw in cells]


def test_a_click_sorts_numbers_as_numbers(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=DESK)
    before = numbers(browser.run(COLUMN.format(4)))
    *parts, whole = before
    known = sorted(value for value in parts if value is not None)
    assert known != [value for value in parts if value is not None]
    below = [None] * parts.count(None) + [whole]  # what is missing, and the sum
    assert len(below) == 2
    heading = HEADING.format(5)
    expected = {"ascending": known, "descending": known[::-1]}
    for state, values in expected.items():
        browser.click(f"{heading} button")
        assert numbers(browser.run(COLUMN.format(4))) == values + below
        assert browser.run(f"document.querySelector('{heading}').ariaSort") == state
        spoken = browser.run("document.getElementById('announcer').textContent")
        assert spoken == f"Sorted by silent for (weeks), {state}"
    browser.click(f"{heading} button")
    assert numbers(browser.run(COLUMN.format(4))) == before
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 0


def test_words_sort_as_people_count(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=PHONE)
    browser.click(HEADING.format(2) + " button")
    browser.click(HEADING.format(1) + " button")
    shown = [text for text, _ in browser.run(COLUMN.format(0))]
    assert shown == [*(f"segment {n}" for n in range(1, 41)), "(whole)"]
    assert browser.run("document.querySelectorAll('[aria-sort]').length") == 1


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_keyboard_sorts_too(browser: Browser, pages: dict[str, Path], key: str) -> None:
    browser.open(pages["plain"], width=DESK)
    wanted = HEADING.format(2) + " button"
    for _ in range(60):
        browser.press("Tab")
        if browser.run(f"document.activeElement === document.querySelector('{wanted}')"):
            break
    assert browser.run("document.activeElement.textContent").startswith("customers")
    assert browser.run("document.activeElement.matches(':focus-visible')")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press(key)
    found = numbers(browser.run(COLUMN.format(1)))[:-1]
    assert len(found) == 40
    assert found == sorted(found)


def test_the_first_stop_leads_past_the_contents(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=DESK)
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().x >= 0")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "main"


def test_boxes_that_scroll_can_be_reached(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["plain"], width=PHONE)
    stops = (
        "[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth > e.clientWidth || "
        "e.scrollHeight > e.clientHeight, e.tabIndex === 0])"
    )
    found = browser.run(stops)
    assert any(scrolls for scrolls, _ in found)
    assert all(scrolls == stop for scrolls, stop in found)


def test_without_scripts_tables_are_tables(browser: Browser, pages: dict[str, Path]) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["plain"], width=DESK)
        assert complaints(browser) == []
        assert browser.run("document.querySelectorAll('button').length") == 0
        assert browser.run(COLUMN.format(0))[0] == ["segment 1", None]
        assert browser.run(OVERFLOWING) == []
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("name", ["plain", "nasty", "long", "cdnow"])
def test_on_paper_nothing_is_cut(
    browser: Browser, pages: dict[str, Path], pictures: Path, name: str
) -> None:
    browser.open(pages[name], width=PAPER, media="print", dark=True)
    assert browser.run(
        "[...document.querySelectorAll('nav, .controls, .tools')]"
        ".every(e => getComputedStyle(e).display === 'none')"
    )
    ground = "getComputedStyle(document.body).backgroundColor"
    assert browser.run(ground) == "rgb(255, 255, 255)"
    assert browser.run(PALE) == []
    assert browser.run("document.documentElement.scrollWidth") == PAPER
    inside = browser.run(
        "[...document.querySelectorAll('.scroll')].map(e => [getComputedStyle(e).overflow, "
        "e.firstElementChild.getBoundingClientRect().right <= innerWidth + 1])"
    )
    assert inside
    assert all(box == ["visible", True] for box in inside)
    browser.picture(pictures / f"paper-{name}.png")
    assert browser.pdf(pictures / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_all_of_it_takes_ten_pages(
    browser: Browser, pages: dict[str, Path], pictures: Path
) -> None:
    for name in ("cdnow", "failed", "once"):
        browser.open(pages[name], width=PAPER)
        browser.run(UNFOLD)
        printed = browser.pdf(pictures / f"{name}-all.pdf").read_bytes()
        assert 2 <= len(re.findall(rb"/Type ?/Page\b", printed)) <= 10, name


def test_figures_of_a_failed_fit_do_not_stand_out(browser: Browser, pages: dict[str, Path]) -> None:
    values = (
        "[...document.querySelectorAll('.fact:not(.base .fact) .value')].map(e => "
        "[getComputedStyle(e).fontWeight, getComputedStyle(e).textDecorationLine])"
    )
    for name, shown in (("failed", ["400", "line-through"]), ("cdnow", ["650", "none"])):
        browser.open(pages[name], width=DESK)
        browser.run(UNFOLD)
        found = browser.run(values)
        assert len(found) > 8
        assert all(one == shown for one in found), name


def test_it_works_in_a_notebooks_frame(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    frame = RenderedReport(sample(), pages["plain"].read_text(encoding="utf-8"))._repr_html_()
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html><title>x</title><link rel=icon href=data:,>{frame}")
    browser.open(notebook, width=DESK)
    assert complaints(browser) == []
    assert requests(browser) == [notebook.as_uri()]
    assert browser.run("document.querySelector('iframe').getBoundingClientRect().height") > 700


def test_sliders_reckon_from_the_record(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["cdnow"], width=DESK)
    assert browser.run("document.querySelector('.controls').checkVisibility()")
    slide = (
        "(value => {{ const one = document.getElementById('{0}'); one.value = value;"
        " one.dispatchEvent(new Event('input')); }})"
    )
    known = browser.run("JSON.parse(document.getElementById('payback').dataset.curve)")
    begun = browser.run("document.getElementById('payback-said').textContent")
    facts = "[...document.querySelectorAll('.brief-facts .fact')]"
    fact = f"{facts}.find(fact => fact.textContent.includes('Paid back'))"
    when = browser.run(f"{fact}.querySelector('.value').textContent.trim()")
    assert begun.startswith(f"Paid back {'by' if when == 'the first order' else 'after'} {when}.")
    for months in (12, 24):
        browser.run(f"{slide.format('months')}({months})")
        for share in (100, 50):
            browser.run(f"{slide.format('margin')}({share})")
            brings = known["revenue"][months] * share / 100
            said = browser.run("document.getElementById('payback-said').textContent")
            assert f"{brings:,.2f}" in said or f"{brings:,.0f}" in said
            worth = known["today"][months] * share / 100
            assert f", worth ${worth:,.2f} today" in said or f", worth ${worth:,.0f} today" in said
    browser.run(f"{slide.format('cac')}(document.getElementById('cac').max)")
    assert "Paid back by the first order" not in browser.run(
        "document.getElementById('payback-said').textContent"
    )


def test_the_list_is_searched_filtered_and_sorted(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["cdnow"], width=DESK)
    rows = "[...document.querySelectorAll('table.customers tbody tr')].filter(r => !r.hidden)"
    said = "document.querySelector('.tools output').textContent"
    assert browser.run(f"{rows}.length") == 100
    assert browser.run(said).endswith(" customers, 100 shown")
    first = browser.run(f"{rows}[7].cells[0].textContent")
    type_it = (
        "(text => { const box = document.querySelector('.tools input'); box.value = text;"
        " box.dispatchEvent(new Event('input')); })"
    )
    browser.run(f"{type_it}('{first}')")
    assert first in browser.run(f"{rows}.map(r => r.cells[0].textContent)")
    browser.run(f"{type_it}('')")
    options = "[...document.querySelectorAll('.tools select')[{}].options].map(o => o.value)"
    tiers, states = (browser.run(options.format(place)) for place in (0, 1))
    assert tiers == ["", *(f"tier {place}" for place in range(1, 5))]
    assert states[0] == ""
    assert len(states) > 2
    browser.run(
        "(value => { const one = document.querySelectorAll('.tools select')[1]; one.value = value;"
        f" one.dispatchEvent(new Event('change')); }})('{states[1]}')"
    )
    shown = browser.run(f"{rows}.map(r => r.textContent)")
    assert shown
    assert all(states[1] in text for text in shown)


def test_tiers_and_states_lead_to_their_customers(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["cdnow"], width=DESK)
    browser.run(UNFOLD)
    rows = "[...document.querySelectorAll('table.customers tbody tr')].filter(r => !r.hidden)"
    leads = "[...document.querySelectorAll('{} button.lead')]"
    found = {
        "#brief .tiers": [f"tier {place}" for place in range(1, 5)],
        "#section-says": [*(f"tier {place}" for place in range(1, 5)), "active"],
    }
    for part, names in found.items():
        told = browser.run(f"{leads.format(part)}.map(b => b.textContent)")
        for name in names:
            (place, *_) = (i for i, text in enumerate(told) if text.startswith(name))
            browser.run("document.querySelector('details.customers').open = false")
            browser.run(f"{leads.format(part)}[{place}].click()")
            assert browser.run("document.querySelector('details.customers').open")
            shown = browser.run(f"{rows}.map(r => [...r.cells].map(c => c.textContent))")
            assert shown
            assert all(name in cells[1:3] for cells in shown), name


def test_a_customer_of_the_list_has_a_timeline(
    browser: Browser, pages: dict[str, Path], pictures: Path
) -> None:
    for width, dark in ((DESK, False), (PHONE, True)):
        browser.open(pages["cdnow"], width=width, dark=dark)
        browser.run(UNFOLD)
        sparks = browser.run(
            "[...document.querySelectorAll('table.customers tbody tr')].filter(r => !r.hidden)"
            ".map(r => [r.cells[7].textContent.trim(), !!r.querySelector('svg.spark')])"
        )
        assert all((text != "\N{EN DASH}") == drawn for text, drawn in sparks)
        assert sum(drawn for _, drawn in sparks) > 90
        name = browser.run("document.querySelector('table.customers button.lead').textContent")
        browser.click("table.customers button.lead")
        assert browser.run("document.getElementById('one').checkVisibility()")
        assert browser.run("document.getElementById('one-title').textContent").endswith(name)
        assert browser.run("document.querySelectorAll('#life .order').length") > 1
        assert browser.run("document.querySelectorAll('#life .alive').length") == 2
        assert browser.run(OVERFLOWING) == []
        assert complaints(browser) == []
        figures = browser.run(
            "[...document.querySelectorAll('#figures .value')].map(e => e.textContent)"
        )
        assert figures[0].startswith("$")
        browser.picture(pictures / f"customer-{width}.png", whole=False)
        still = browser.run("document.getElementById('pointed').textContent")
        browser.run(MOVED.format("#life", 0.3))
        assert browser.run("document.getElementById('pointed').textContent") != still
        browser.click("#close")
        assert browser.run("document.activeElement.type") == "search"


def test_charts_say_what_they_show_at_a_month(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["cdnow"], width=DESK)
    known = browser.run("JSON.parse(document.getElementById('payback').dataset.curve)")
    still = browser.run("document.getElementById('payback-pointed').textContent")
    browser.run(MOVED.format("#payback", 1))
    said = browser.run("document.getElementById('payback-pointed').textContent")
    assert said.startswith(f"After 12 months: ${known['revenue'][12]:.2f} (")
    browser.run("document.getElementById('payback').dispatchEvent(new Event('pointerleave'))")
    assert browser.run("document.getElementById('payback-pointed').textContent") == still
    chart = browser.run("JSON.parse(document.querySelector('svg[data-chart]').dataset.chart)")
    browser.run(MOVED.format("svg[data-chart]", 0))
    said = browser.run("document.getElementById('cohorts-said').textContent")
    first = chart["lines"][0]
    assert said == f"After 0 months: {first['cohort']} ${first['mean'][0]:.2f}."
    browser.run(MOVED.format("svg[data-chart]", 1))
    said = browser.run("document.getElementById('cohorts-said').textContent")
    assert said.startswith(f"After {chart['months']} months: {first['cohort']} $")
    assert "expected (" in said
