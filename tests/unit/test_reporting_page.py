"""The page: structure, policy, escaping, size, and that its numbers are the record's."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clvmodels.diagnostics.record import Figure, Report, Table
from clvmodels.errors import SchemaError
from clvmodels.plots.inks import dark_style
from clvmodels.reporting import RenderedReport, from_json, render_page, render_text, to_json
from clvmodels.reporting.images import make_picture, plain_svg
from clvmodels.reporting.values import clean, write, write_column
from clvmodels.reporting.views import MAX_ROWS
from tests.protocol.report_samples import NASTY, draw, sample, segments, waves

VOID = {"meta", "link", "img", "br", "hr", "input"}
NUMERIC = {"integer", "number", "percent", "money", "duration"}


@dataclass
class Node:
    """One element of a parsed page."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Node | str] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """Yield this element and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, *tags: str) -> list[Node]:
        """All elements of these tags."""
        return [node for node in self.walk() if node.tag in tags]

    @property
    def text(self) -> str:
        """All text below."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    @property
    def classes(self) -> set[str]:
        """Its classes."""
        return set((self.attributes.get("class") or "").split())


class Parser(HTMLParser):
    """Builds the tree, and refuses a page whose tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]
        self.feed(page)
        self.close()
        assert [node.tag for node in self.open] == [""], "elements that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in {tag}: {attrs}"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Node:
    return Parser(page).root


@pytest.fixture(scope="module")
def page() -> str:
    return render_page(sample(), draw)


@pytest.fixture(scope="module")
def tree(page: str) -> Node:
    return parse(page)


def with_table(table: Table) -> Report:
    report = sample()
    first, *others = report.sections
    return replace(report, sections=(replace(first, tables=(table,)), *others))


# Structure


def test_it_is_one_whole_document(page: str, tree: Node) -> None:
    assert page.startswith("<!doctype html>\n")
    assert tree.all("html")[0].attributes["lang"] == "en"
    assert page.index("charset") < 200
    for landmark in ("header", "nav", "main", "footer", "h1", "title", "style", "script"):
        assert len(tree.all(landmark)) == 1, landmark
    assert tree.all("title")[0].text == "CDNOW"
    first = tree.all("body")[0].all("a")[0]
    assert (first.attributes["href"], first.classes) == ("#main", {"skip"})


def test_headings_descend_without_gaps(tree: Node) -> None:
    levels = [int(node.tag[1]) for node in tree.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert [node.text for node in tree.all("h2")] == [
        "Can these numbers be used?",
        *(section.title for section in sample().sections),
    ]


def test_references_within_the_page_lead_somewhere(tree: Node) -> None:
    ids = Counter(node.attributes["id"] for node in tree.walk() if "id" in node.attributes)
    assert set(ids.values()) == {1}
    named = [n.attributes[a] for n in tree.walk() for a in n.attributes if a == "aria-labelledby"]
    links = [node.attributes["href"] for node in tree.all("a")]
    assert named
    assert {name for name in named if name not in ids} == set()
    assert {link for link in links if link is None or link[1:] not in ids} == set()


def test_contents_name_every_section(tree: Node) -> None:
    links = [node.text.strip() for node in tree.all("nav")[0].all("a")]
    titles = ["Verdict", *(section.title for section in sample().sections)]
    assert [link.rsplit(": ", 1)[-1].lstrip("✓▲✕○") for link in links] == titles
    assert "fail: Does the model fit?" in links[3]


def test_tables_and_figures_can_be_heard(tree: Node) -> None:
    assert len(tree.all("table")) == 4
    for table in tree.all("table"):
        assert len(table.all("caption")) == 1
        assert table.all("caption")[0].text.strip()
        assert {cell.attributes["scope"] for cell in table.all("th")} == {"col", "row"}
        for row in table.all("tbody")[0].all("tr"):
            assert [cell.attributes.get("scope") for cell in row.all("th")] == ["row"]
    for image in tree.all("img"):
        assert (image.attributes["alt"] or "").startswith("A line that rises")
        assert int(image.attributes["width"] or 0) > 300
    for node in tree.walk():
        if node.attributes.get("tabindex") == "0":  # what one can stop at has a name
            assert "aria-labelledby" in node.attributes or node.tag == "pre"


def test_lines_to_copy_are_lines(tree: Node) -> None:
    assert tree.all("pre")[-1].text == "import clvmodels\nclvmodels.report('web')"
    assert "(whole)" in [row.all("th")[0].text for row in tree.all("tr") if "whole" in row.classes]


def test_statuses_are_words_and_signs(tree: Node) -> None:
    badges = {node.text for node in tree.walk() if "badge" in node.classes}
    assert badges == {"✓ pass", "▲ warn", "✕ fail", "○ not available"}


# Policy


def digest(text: str) -> str:
    """The source of a policy that stands for an inline text."""
    found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{found}'"


def test_the_policy_allows_this_style_and_this_script_alone(tree: Node) -> None:
    meta = next(n for n in tree.all("meta") if "http-equiv" in n.attributes)
    policy = dict(
        part.strip().split(" ", 1) for part in (meta.attributes["content"] or "").split(";")
    )
    hashes = {f"{tag}-src": digest(tree.all(tag)[0].text) for tag in ("style", "script")}
    hashes["style-src"] += f" {digest(dark_style())}"  # of the figures
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        **hashes,
    }
    order = [node.tag for node in tree.all("head")[0].walk()]
    assert order.index("style") > 2  # charset and policy come first


def test_nothing_is_loaded_and_nothing_is_inline(tree: Node) -> None:
    for node in tree.walk():
        for name, value in node.attributes.items():
            assert name != "style"
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action"):
                assert (value or "").startswith(("data:", "#")), (node.tag, value)
    for text in (tree.all("style")[0].text, tree.all("script")[0].text):
        assert re.search(r"url\(|@import|https?:|fetch|XMLHttp|innerHTML|eval", text) is None


def test_images_hold_no_styles_but_that_of_dark_ground_and_no_links(tree: Node) -> None:
    for image in tree.all("img"):
        kind, _, content = (image.attributes["src"] or "").partition(";base64,")
        assert kind == "data:image/svg+xml"
        svg = base64.b64decode(content).decode()
        for element in ElementTree.fromstring(svg).iter():
            tag = element.tag.rpartition("}")[2]
            assert tag not in ("script", "metadata")
            assert tag != "style" or element.text == dark_style()
            assert "style" not in element.attrib
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("#")
        assert "http" not in svg.replace("http://www.w3.org/", "")


# Escaping


def shape(tree: Node) -> list[tuple[str, tuple[str, ...]]]:
    """Tags with the names of their attributes: what data must not change."""
    return [(node.tag, tuple(sorted(node.attributes))) for node in tree.walk()]


def test_names_are_text_whatever_they_look_like() -> None:
    harmless = tuple(f"name {n}" for n in range(len(NASTY)))
    expected = shape(parse(render_page(sample(names=harmless), draw)))
    for title in ("CDNOW", NASTY[0], NASTY[3]):
        tree = parse(render_page(sample(names=NASTY, title=title), draw))
        assert shape(tree) == expected
        assert tree.all("title")[0].text == clean(title)


@pytest.mark.parametrize("name", NASTY)
def test_each_name_is_shown_as_it_is(name: str) -> None:
    page = render_page(sample(names=(name,), title=name), draw)
    tree = parse(page)
    shown = clean(name) if len(name) < 400 else f"{name[:400]} ... ({len(name)} characters)"
    cells = [cell.text for cell in tree.all("bdi")]
    assert cells.count(shown) == 2  # a row of the segments, and of the last table
    assert tree.all("h1")[0].text == clean(name)
    assert f"One row per customer of {clean(name)}." in tree.text
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", page) is None
    page.encode("utf-8")


def test_any_key_and_column_name_will_do() -> None:
    table = Table('a"b <c>', "t", ('"><script>', "b"), ((1, 2), (3, 4)), formats={"b": "number"})
    figure = replace(waves('x y"z'), title="<i>", alt='"><b>', caption="</figcaption>")
    report = with_table(table)
    first, *others = report.sections
    report = replace(report, sections=(replace(first, figures=(figure,)), *others))
    report = replace(report, currency="<u>", time_unit="</th>")
    tree = parse(render_page(report, draw))
    assert not tree.all("i", "b", "u")
    assert '"><script>' in [node.text for node in tree.all("th")]
    assert tree.all("img")[0].attributes["alt"] == '"><b>'
    ids = {node.attributes["id"] for node in tree.walk() if "id" in node.attributes}
    assert {"table-a-b-c--title", "figure-x-y-z"} <= ids


def test_names_in_figures_are_no_formulas_and_no_markup() -> None:
    picture = make_picture(waves("x", labels=NASTY), draw)
    svg = ElementTree.fromstring(base64.b64decode(picture.uri.partition(",")[2]))
    texts = [node.text for node in svg.iter() if node.tag.endswith("}text")]
    for name in NASTY:
        assert (clean(name) if len(name) <= 60 else f"{name[:57]}...") in texts


# Numbers


def test_percent_signs_stay_with_their_numbers(page: str) -> None:
    assert "\N{NO-BREAK SPACE}%" in page
    assert not re.search(r"\d %", page.split("</style>")[1])


def read_back(text: str) -> tuple[float, float]:
    """Return the number that a reader sees, and how far rounding may have moved it."""
    digits = re.sub(r"[^0-9.e+-]", "", text)
    percent = 100 if "%" in text else 1
    mantissa, _, exponent = digits.partition("e")
    places = len(mantissa.partition(".")[2])
    step = 10.0 ** (int(exponent or 0) - places)
    return float(digits) / percent, 0.5000001 * step / percent


def assert_shows(text: str, raw: str | None, value: Any, how: str, times: int = 1) -> None:
    """Assert that a cell shows the record's value."""
    if value is None or how not in NUMERIC:
        assert raw is None
        return
    assert float(raw or "nan") == value
    seen, margin = (times * one for one in read_back(text))
    if text[0] in "<>":  # closer to 0, or to 100 %, than the column's decimals
        assert (value < seen) == (text[0] == "<")
        assert abs(seen - value) <= 2.1 * margin
        return
    assert abs(seen - value) <= margin, (text, value)


def test_cells_are_the_records_numbers() -> None:
    rng = np.random.default_rng(3)
    spread = 10.0 ** rng.uniform(-9, 9, 200) * rng.choice([-1, 1], 200)
    rows = tuple((f"row {n}", float(v), float(v), float(v)) for n, v in enumerate(spread))
    spread_table = Table(
        "spread", "t", ("row", "number", "percent", "money"), rows,
        formats={"number": "number", "percent": "percent", "money": "money"},
    )  # fmt: skip
    for table in (segments(), spread_table):
        tree = parse(render_page(with_table(table), draw))
        found = tree.all("table")[2]
        shown = found.all("tbody")[0].all("tr")
        assert len(shown) == len(table.rows)
        units = [heading.text for heading in found.all("thead")[0].all("th")]
        for row, values in zip(shown, table.rows, strict=True):
            cells = row.all("th", "td")
            for cell, name, value, unit in zip(cells, table.columns, values, units, strict=True):
                raw = cell.attributes.get("data-value")
                times = 1000 if "thousand" in unit else 1
                assert_shows(cell.text, raw, value, table.formats.get(name, "text"), times)


def test_facts_and_checks_are_the_records_numbers(tree: Node) -> None:
    report = sample()
    facts = [node for node in tree.all("div") if "fact" in node.classes]
    assert [node.all("dt")[0].text for node in facts] == [fact.label for fact in report.facts]
    for node, fact in zip(facts, report.facts, strict=True):
        values = [v for v in (fact.value, fact.lower, fact.upper) if isinstance(v, int | float)]
        shown = node.all("data")
        assert len(shown) == len(values)
        for element, value in zip(shown, values, strict=True):
            times = 1_000_000 if "million" in element.text else 1
            assert_shows(element.text, element.attributes["value"], value, "number", times)
    rows = [row for table in tree.all("table")[:2] for row in table.all("tbody")[0].all("tr")]
    order = ("fail", "warn", "unavailable", "pass")
    for row, check in zip(
        rows, sorted(report.checks, key=lambda check: order.index(check.status)), strict=True
    ):
        status, name, value, limit = row.all("th", "td")
        assert check.status in status.text.replace("not available", "unavailable")
        assert name.text.replace("\N{NO-BREAK SPACE}", " ") == check.finding + check.advice
        assert_shows(value.text, value.attributes.get("data-value"), check.value, "number")
        bound = limit.text.removeprefix("at most").removeprefix("at least")
        assert_shows(bound, limit.attributes.get("data-value"), check.limit, "number")
        if check.limit is not None:
            assert limit.text.startswith(("at most ", "at least ", "within ±"))
    lines = [node.text for node in tree.all("ul") if "uses" in node.classes]
    assert len(lines) == 1
    for use in report.verdict.uses:
        assert f"{use.verdict}. {use.reason}".replace(" %", "\N{NO-BREAK SPACE}%") in lines[0]


@pytest.mark.parametrize(
    ("value", "how", "text"),
    [
        (0.25, "percent", "25 %"),
        (0.00012345, "percent", "0.0123 %"),
        (0.9999, "percent", ">99.9 %"),
        (1.0, "percent", "100 %"),
        (1.00123, "number", "1.001"),
        (0.0, "number", "0"),
        (123456.7, "number", "123,457"),
        (0.000012345, "number", "1.234e-05"),
        (1411, "integer", "1,411"),
        (1411.0, "integer", "1,411"),
        (12.345, "money", "€12.35"),
        (-12.3, "money", "-€12.30"),
        (12345.6, "money", "€12,346"),
        (3.14159, "duration", "3.142 weeks"),
        ("1997-09-30", "date", "1997-09-30"),
        (1411, "text", "1411"),
        (True, "text", "yes"),
        (None, "money", "\N{EN DASH}"),
    ],
)
def test_how_values_are_written(value: Any, how: Any, text: str) -> None:
    # 12.345 in binary lies above its decimals
    assert write(value, how, currency="€", time_unit="weeks") == text


@pytest.mark.parametrize(
    ("values", "how", "thousands", "texts"),
    [
        ([0.25, 0.444, 1.0], "percent", False, ["25.0 %", "44.4 %", "100.0 %"]),
        ([0.9999, 0.00244, 0.00001, 0.0], "percent", False,
         [">99.9 %", "0.2 %", "<0.1 %", "0.0 %"]),
        ([0.0244, 0.005, 0.00001], "percent", False, ["2.44 %", "0.50 %", "<0.01 %"]),
        ([0.5, 1.0, 0.1], "percent", False, ["50 %", "100 %", "10 %"]),
        ([0.9996, 0.5], "percent", False, [">99.9 %", "50.0 %"]),
        ([-0.101, 0.286], "error", False, ["-10.1 %", "+28.6 %"]),
        ([0.825301, 69.5465, 0.0045, None], "number", False,
         ["0.8253", "69.55  ", "0.0045", "\N{EN DASH}"]),
        ([4526.2, 929.44, 0.64], "money", False, ["4,526", "929", "1"]),
        ([30.0, 5.5], "money", False, ["30.00", "5.50"]),
        ([2_157_134.0, 70_539.0, 5_321.0], "money", True, ["2,157.1", "70.5", "5.3"]),
        ([2_157_134.0, 191.4, 20.0, 0.0], "money", True, ["2,157.1", "0.2", "<0.1", "0.0"]),
        ([2_157_134.0, 170_539.0], "money", True, ["2,157", "171"]),
        ([0.0, 0.5402], "number", False, ["0     ", "0.5402"]),
        ([3, 12], "integer", False, ["3", "12"]),
        (["a", None], "text", False, ["a", "\N{EN DASH}"]),
    ],
)  # fmt: skip
def test_columns_have_their_points_below_each_other(
    values: list[Any], how: Any, thousands: bool, texts: list[str]
) -> None:
    found = write_column(values, how, thousands=thousands)
    blanks = {0x2007: " ", 0x2008: " "}
    assert [one.translate(blanks).lstrip() for one in found] == [one.lstrip() for one in texts]
    points = [len(one) - one.index(".") for one in found if "." in one]
    assert len(set(points)) <= 1


def test_an_interval_stands_in_the_cell_of_its_value() -> None:
    table = Table(
        "t", "t", ("row", "value", "lower", "upper", "other", "beats", "share"),
        (("a", 982_177.0, 970_181.0, 993_502.0, 2.5, "+", 0.4),
         ("b", 5_321.0, None, None, 3.25, "-", 0.6)),
        formats={**dict.fromkeys(("value", "lower", "upper"), "money"), "other": "number",
                 "share": "percent"},
        intervals={"value": ("lower", "upper")}, signs={"other": "beats"}, bars=("share",),
        spanners={"both": ("other", "share")},
    )  # fmt: skip
    report = with_table(table)
    assert from_json(to_json(report)) == report
    found = parse(render_page(report, draw)).all("table")[2]
    above, below = found.all("thead")[0].all("tr")
    assert [(one.tag, one.attributes["colspan"]) for one in above.all("th", "td")] == [
        ("td", "2"), ("th", "2"),
    ]  # fmt: skip
    assert [one.text for one in below.all("th")] == [
        "row", "value (lower to upper) ($ thousand)", "other", "share",
    ]  # fmt: skip
    first, second = found.all("tbody")[0].all("tr")
    _, value, other, share = first.all("th", "td")
    assert value.text == "982.2 (970.2 to 993.5)"
    assert value.attributes["data-value"] == "982177.0"
    assert other.text.split() == ["2.50+", "model", "better"]
    assert share.all("rect")[0].attributes["width"] == "40.0"
    assert "(" not in second.all("td")[0].text
    lines = render_text(report, width=100).split("\n")
    assert any("982.2 (970.2 to 993.5)" in line and "2.50 +" in line for line in lines)


def test_named_currencies_follow_the_number() -> None:
    assert write(5.0, "money", currency="GBP") == "5.00 GBP"


# Size, and the same again


def test_the_same_record_makes_the_same_page(page: str) -> None:
    assert render_page(sample(), draw) == page
    assert render_page(from_json(to_json(sample())), draw) == page


def test_figures_of_many_points_stay_small() -> None:
    many = [waves(f"wave {n}", points=20_000) for n in range(2)]
    pictures = [make_picture(figure, draw) for figure in many]
    assert all(picture.uri.startswith("data:image/png;base64,") for picture in pictures)
    assert all(len(picture.uri) < 120_000 for picture in pictures)
    small = make_picture(waves("wave"), draw)
    assert abs(small.width - pictures[0].width) <= 2


@pytest.mark.slow
def test_a_page_of_many_figures_and_rows_stays_below_5_mb() -> None:
    report = with_table(segments(100_000))
    first, *others = report.sections
    figures = tuple(waves(f"wave {n}", points=400 + 40 * n) for n in range(20))
    report = replace(report, sections=(replace(first, figures=figures), *others))
    page = render_page(report, draw)
    assert len(page.encode()) < 5_000_000
    assert f"The first {MAX_ROWS:,} of 100,001 rows" in page
    assert len(parse(page).all("table")[2].all("tr")) == MAX_ROWS + 1


def test_the_older_form_of_fonts_is_understood() -> None:
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg"><defs><style>*{}</style></defs><!-- x -->'
        b"<text style=\"font: italic 700 12px 'A', sans-serif; text-anchor: middle\">t</text></svg>"
    )
    text = next(n for n in ElementTree.fromstring(plain_svg(svg)).iter() if n.tag.endswith("text"))
    assert text.attrib == {
        "font-size": "12px",
        "font-style": "italic",
        "font-weight": "700",
        "text-anchor": "middle",
    }


# JSON


def no_constants(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def test_json_is_strict_and_comes_back() -> None:
    for report in (sample(), sample(names=NASTY)):
        text = to_json(report)
        assert json.loads(text, parse_constant=no_constants) == report.to_dict()
        assert from_json(text) == report
        assert text.isascii()


def test_infinite_and_missing_numbers_are_null() -> None:
    table = Table("t", "t", ("a", "b"), (("x", float("inf")), ("y", float("nan"))))
    text = to_json(with_table(table))
    rows = json.loads(text, parse_constant=no_constants)["sections"][0]["tables"][0]["rows"]
    assert rows == [["x", None], ["y", None]]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', "null", "no json"])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(SchemaError, match="not a report of clvmodels"):
        from_json(text)


@pytest.mark.parametrize("version", [1, 99])
def test_json_of_another_version_is_refused(version: int) -> None:
    data = json.loads(to_json(sample())) | {"schema_version": version}
    with pytest.raises(SchemaError, match=f"version {version}, and this clvmodels reads 2"):
        from_json(json.dumps(data))


# Text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_text_fits_and_has_no_control_codes(width: int) -> None:
    text = render_text(sample(names=NASTY, title=NASTY[0]), width=width)
    assert max(map(len, text.splitlines())) <= max(width, len(NASTY[0]))
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) is None
    assert "<script>alert(1)</script>" in text


def test_text_tells_verdict_figures_and_checks_first() -> None:
    report = sample()
    text = render_text(report, width=100, whole=False)
    for expected in (
        "WARN: Not before the fit is mended.",
        "FAIL: Totals: not supported.",
        "$1,234,568",
        "1,411",
    ):
        assert expected in text
    for check in report.checks:  # those to be minded
        minded = check.status in ("warn", "fail")
        assert ((check.finding in text), (check.advice in text)) == (minded, minded)
    assert "The data" not in text
    whole = render_text(report, width=100)
    assert all(check.finding in whole for check in report.checks)
    assert all(section.title in whole for section in report.sections)


# What is handed out


@pytest.fixture
def rendered(page: str) -> RenderedReport:
    return RenderedReport(sample(), page)


def test_notebooks_show_the_page_in_a_frame(rendered: RenderedReport) -> None:
    frame = parse(rendered._repr_html_()).all("iframe")[0]
    assert frame.attributes["srcdoc"] == rendered.html
    assert frame.attributes["sandbox"] == "allow-scripts"
    assert "CDNOW" in repr(rendered)
    assert len(repr(rendered)) < 200
    assert str(rendered) == render_text(sample(), whole=False)


def test_files_are_written_whole(rendered: RenderedReport, tmp_path: Path) -> None:
    path = rendered.save(tmp_path / "a" / "report.html", json=tmp_path / "b" / "report.json")
    assert path.read_bytes() == rendered.html.encode()
    assert from_json((tmp_path / "b" / "report.json").read_text()) == sample()
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["report.html", "report.json"]


def test_both_files_or_neither(
    rendered: RenderedReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        if path.name.endswith(".json"):
            raise OSError(28, "No space left on device", str(path))
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        rendered.save(tmp_path / "report.html", json=tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [("report.pdf", None), ("report.html", "report.txt")])
def test_other_names_are_refused(
    rendered: RenderedReport, tmp_path: Path, names: tuple[str, str | None]
) -> None:
    page, record = names
    with pytest.raises(SchemaError, match="must end in"):
        rendered.save(tmp_path / page, json=None if record is None else tmp_path / record)
    with pytest.raises(SchemaError, match="folder"):
        rendered.save(_folder(tmp_path / "x.html"))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_figure_that_nothing_draws_is_an_error() -> None:
    figure = Figure("k", "no such kind", "t", "c", "a", {})
    report = sample()
    report = replace(report, sections=(replace(report.sections[0], figures=(figure,)),))
    with pytest.raises(KeyError, match="no such kind"):
        render_page(report)


def test_the_frame_survives_its_own_escaping(rendered: RenderedReport) -> None:
    frame = rendered._repr_html_()
    assert html.unescape(frame.partition('srcdoc="')[2].partition('" title=')[0]) == rendered.html
