"""The documentation: docstrings are whole, names are listed, pages run, links lead somewhere."""

from __future__ import annotations

import contextlib
import doctest
import html.parser
import importlib
import inspect
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, validate

import clvmodels
from clvmodels.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = DOCS / "api"

# Every name in the __all__ of these, or without one every public thing that they define, is
# documented on an API page. Other modules are no part of the interface.
PUBLIC = (
    "clvmodels",
    "clvmodels.log.audit",
    "clvmodels.datasets",
    "clvmodels.diagnostics",
    "clvmodels.economics",
    "clvmodels.evaluation",
    "clvmodels.formulas.simple",
    "clvmodels.mlflow",
    "clvmodels.fit",
    "clvmodels.plots",
    "clvmodels.posterior",
    "clvmodels.predictive",
    "clvmodels.reporting",
    "clvmodels.rfm",
    "clvmodels.scoring",
    "clvmodels.simulate",
    "clvmodels.spark",
)
# Functions without a page though their module has no __all__: other modules use them.
INTERNAL = {"clvmodels.log.audit.make_audit"}


def public_names(module: ModuleType) -> list[str]:
    """Names that a module offers."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    own = module.__name__
    found = (n for n, v in vars(module).items() if getattr(v, "__module__", None) == own)
    return [n for n in found if not n.startswith("_") and f"{own}.{n}" not in INTERNAL]


class Documented(NamedTuple):
    name: str
    thing: Any


def entries() -> Iterator[Documented]:
    """What the API pages list."""
    for page in sorted(API.glob("*.rst")):
        module, inside = "", False
        for line in page.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"\.\. (?:current)?module:: (\S+)", line):
                module = found[1]
            elif line.startswith(".. autosummary::"):
                inside = True
            elif line and not line.startswith(" "):
                inside = False
            elif inside and (name := line.strip()) and not name.startswith(":"):
                yield Documented(f"{module}.{name}", thing_called(f"{module}.{name}"))


def thing_called(name: str) -> Any:
    """Import an object by its dotted name."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found: Any = importlib.import_module(".".join(parts[:length]))
            for part in parts[length:]:
                found = getattr(found, part)
            return found
    raise AssertionError(f"there is nothing called {name}")


LISTED = list(entries())


# --- every public name has a page ---


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_on_an_api_page(name: str) -> None:
    module = importlib.import_module(name)
    listed = {id(entry.thing) for entry in LISTED}
    text = "\n".join(page.read_text(encoding="utf-8") for page in API.glob("*.rst"))
    for public in public_names(module):
        thing = getattr(module, public)
        if inspect.ismodule(thing) or public == "__version__":
            continue
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert id(thing) in listed, f"{name}.{public} is on no page of docs/api"
        else:  # a constant has no docstring: it is named in the page's text
            assert f"{public}``" in text, f"{name}.{public} is named on no page of docs/api"


def test_nothing_is_listed_twice() -> None:
    """Two pages of one thing would compete for its links."""
    names = [f"{e.thing.__module__}.{e.thing.__qualname__}" for e in LISTED]
    assert sorted(set(names)) == sorted(names)


# --- numpydoc ---

# Codes of numpydoc.validate that do not count, and why.
IGNORED = {
    "ES01": "one line may be all that there is to say",
    "EX01": "examples are where they help; test_models_protocol asks for those of the main path",
    "SA01": "the API pages put what belongs together side by side",
    "SS05": "summaries are noun phrases too ('Draws by parameter'), which it takes for verbs",
    "PR03": "arguments past the data are by keyword, so those that go together are told together",
    "PR08": "descriptions may begin with the name of a column or argument, as it is written",
    "RT04": "the same",
}


def members() -> dict[str, Any]:
    """Documented objects and the public methods and properties that the package gives them."""
    found = {}
    for _, thing in LISTED:
        name = f"{thing.__module__}.{thing.__qualname__}"
        found[name] = thing
        if not inspect.isclass(thing):
            continue
        for attribute, value in inspect.getmembers(thing):
            function = value.fget if isinstance(value, property) else value
            ours = (getattr(function, "__module__", None) or "").startswith("clvmodels")
            if ours and not attribute.startswith("_") and inspect.isroutine(function):
                found[f"{name}.{attribute}"] = value
    return found


MEMBERS = members()
TOP_LEVEL = {
    id(getattr(clvmodels, n)) for n in clvmodels.__all__ if callable(getattr(clvmodels, n))
}


def excused(code: str, message: str, name: str, thing: Any) -> bool:
    """Whether a complaint is none, by the house's own rules."""
    validator = Validator(get_doc_object(thing))
    if code == "RT01":  # of methods and properties the first line says what is returned
        return id(thing) not in TOP_LEVEL
    if code in ("PR01", "PR02"):
        return not undescribed(validator, thing)
    if code == "PR04":  # arguments that are another function's are told by pointing there
        argument = message.split('"')[1]
        return "as in" in " ".join(validator.doc_all_parameters[argument][1]).lower()
    return code in IGNORED


def undescribed(validator: Validator, thing: Any) -> set[str]:
    """Arguments that nothing is said of, neither here nor where the docstring points.

    A single argument is what the first line is about. Fields with an underscore are private.
    """
    wanted = {n.lstrip("*") for n in validator.signature_parameters if not n.startswith("_")}
    text = inspect.getdoc(thing) or ""
    if len(wanted) <= 1 or re.search(r"(see|are those of) :(meth|func):", text):
        return set()
    told = {name.lstrip("*") for name in validator.doc_all_parameters}
    # A record's fields are its attributes, some of which it may have from its base; methods
    # of one class may have their arguments told once for all, in its docstring.
    for owner in thing.__mro__[:-1] if inspect.isclass(thing) else owner_of(thing):
        doc = get_doc_object(owner)
        entries = [one.name for part in ("Parameters", "Attributes") for one in doc[part]]
        entries += re.findall(r"^([\w, ]+?)(?: : .*)?\n +\S", "\n".join(doc["Notes"]), re.MULTILINE)
        told |= {name.strip() for names in entries for name in names.split(",")}
    return wanted - told - keywords_of(thing, told)


def owner_of(thing: Any) -> list[type]:
    """The class of a method, if it is one."""
    path = getattr(thing, "__qualname__", "").rpartition(".")[0]
    found: Any = sys.modules.get(getattr(thing, "__module__", ""))
    for part in path.split(".") if path else ():
        found = getattr(found, part, None)
    return [found] if inspect.isclass(found) else []


def keywords_of(thing: Any, told: set[str]) -> set[str]:
    """The name of a ``**parameters`` whose TypedDict's keys are all described."""
    found = set()
    for name, parameter in inspect.signature(thing).parameters.items():
        unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
        if parameter.kind is parameter.VAR_KEYWORD and unpacked:
            keys = getattr(sys.modules[thing.__module__], unpacked[1]).__annotations__
            found |= {name} if set(keys) <= told else set()
    return found


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry.name)
def test_summaries_are_not_cut(entry: Documented) -> None:
    """Tables of the API show the first sentence: "0, 1, ..." would end there, "(a)" is a list."""
    first = (inspect.getdoc(entry.thing) or "").splitlines()[0]
    assert not re.search(r"\.\.|\. |^\(\w\)", first), first


@pytest.mark.parametrize("name", MEMBERS)
def test_docstrings_are_whole(name: str) -> None:
    found = validate(name)["errors"]
    left = [f"{c}: {m}" for c, m in found if not excused(c, m, name, MEMBERS[name])]
    assert left == []


def test_no_code_is_ignored_for_nothing() -> None:
    codes = {code for name in MEMBERS for code, _ in validate(name)["errors"]}
    assert set(IGNORED) <= codes


# --- the pages' code runs ---

# What the site makes, and what is shown of it elsewhere
MADE = {"notebooks", "generated", "_build"}

BLOCK = re.compile(
    r"(?:^% (?P<note>[^\n]*)\n)?^```(?P<kind>python|pycon|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    kind: str
    text: str
    note: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, with the remark that stands before each."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["kind"], m["text"], m["note"] or "", text[: m.start()].count("\n") + 1)
        for m in BLOCK.finditer(text)
    ]


def commands(text: str) -> list[list[str]]:
    """The commands of a console block, with lines that go on joined."""
    joined = text.replace("\\\n", " ")
    return [shlex.split(line[2:]) for line in joined.splitlines() if line.startswith("$ ")]


PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not MADE & {*page.parts} and blocks(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page in a folder of its own, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.setenv(name, "true")
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page):
        if block.note.startswith("not run: "):
            continue
        where = f"{page.name}:{block.line}"
        if block.kind == "python":
            exec(compile(block.text, where, "exec"), names)
        elif block.kind == "pycon":
            run_doctest(block.text, names, where)
        else:
            for command in commands(block.text):
                run_command(command, block.note, where)


def run_doctest(text: str, names: dict[str, Any], where: str) -> None:
    test = doctest.DocTestParser().get_doctest(text, names, where, where, 0)
    assert test.examples, f"{where}: no examples"
    said = io.StringIO()
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.write, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0, said.getvalue()


def run_command(command: list[str], note: str, where: str) -> None:
    """Run a command of ours as it is printed; others are refused, since nothing tests them."""
    assert command[0] == "clvmodels", f"{where}: '{command[0]}' is no command of ours"
    wanted = int(note.removeprefix("exit code ")) if note.startswith("exit code ") else 0
    assert main(command[1:]) == wanted, where


def test_what_is_not_run_says_why() -> None:
    left_out = [b for page in PAGES for b in blocks(page) if b.note.startswith("not run")]
    assert all(re.fullmatch(r"not run: .{10,}", block.note) for block in left_out)
    elsewhere = [block for block in left_out if block.note.endswith("with a stand-in")]
    assert len(left_out) - len(elsewhere) <= 3


# --- the site ---


class Site(html.parser.HTMLParser):
    """Anchors, links and loaded files of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source") and "src" in found:
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") != "canonical":
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, warnings as errors, from a copy, so that nothing in the tree changes.

    CI has built it so just before: CLVMODELS_SITE says where.
    """
    if there := os.environ.get("CLVMODELS_SITE"):
        return Path(there)
    root = tmp_path_factory.mktemp("site")
    made = shutil.ignore_patterns("_build", "generated", "__pycache__")
    shutil.copytree(DOCS, root / "docs", ignore=made)
    for name in ("clvmodels", "notebooks", "benchmarks", "CHANGELOG.md", "CONTRIBUTING.md"):
        if (ROOT / name).exists():
            (root / name).symlink_to(ROOT / name)
    built = root / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, str(root / "docs"), str(built)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Site]:
    return {page: Site(page.read_text(encoding="utf-8")) for page in site.rglob("*.html")}


@pytest.mark.slow
def test_links_lead_somewhere(site: Path, pages: dict[Path, Site]) -> None:
    assert len(pages) > 100
    broken = []
    for page, content in pages.items():
        for link in content.links:
            target = urllib.parse.urlsplit(link)
            if target.scheme or target.netloc or not link:
                continue
            path = urllib.parse.unquote(target.path)
            file = (page.parent / path).resolve() if path else page
            fragment = urllib.parse.unquote(target.fragment)
            there = file.exists() and (
                not fragment or file not in pages or fragment in pages[file].anchors
            )
            if not there:
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(pages: dict[Path, Site]) -> None:
    """The pages of our own: a notebook may hold the output of a library that does."""
    for page, content in pages.items():
        if page.parent.name == "notebooks":
            continue
        for source in content.loaded:
            assert not urllib.parse.urlsplit(source).netloc, f"{page.name} loads {source}"


@pytest.mark.slow
def test_formulas_are_drawn_by_the_browser(site: Path) -> None:
    text = (site / "mathematics.html").read_text(encoding="utf-8")
    assert text.count("<math ") > 60
    assert "$$" not in text


@pytest.mark.slow
def test_max_cac_is_found(site: Path) -> None:
    """Search shows pages that have all the words, each stemmed."""
    index = json.loads(
        (site / "searchindex.js").read_text(encoding="utf-8").partition("(")[2].rpartition(")")[0]
    )

    def pages(word: str) -> set[str]:
        found = [index[where].get(word, []) for where in ("terms", "titleterms")]
        lists = [[one] if isinstance(one, int) else one for one in found]
        return {index["docnames"][number] for one in lists for number in one}

    assert {"deciding", "faq", "marketing"} <= pages("max") & pages("cac")


@pytest.mark.slow
def test_the_sample_report_is_there(site: Path) -> None:
    text = (site / "cdnow_report.html").read_text(encoding="utf-8")
    assert "BG/NBD" in text
    assert 'src="cdnow_report.html"' in (site / "sample_report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_notebook_has_a_page(site: Path) -> None:
    names = {file.stem for file in (ROOT / "notebooks").glob("[0-9]*.ipynb")}
    assert names == {file.stem for file in (site / "notebooks").glob("[0-9]*.html")}
