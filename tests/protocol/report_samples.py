"""Records made by hand, for tests of how they are rendered."""

from __future__ import annotations

from typing import Any

import numpy as np

from clvmodels.diagnostics.record import Fact, Figure, Headline, Report, Section, Table
from clvmodels.uses import UseVerdict
from clvmodels.verdict import Check

NASTY = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</style></script><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "&amp;&lt;b&gt;",
    "\u202egnirts\u202c عربى שלום",
    "nul\x00 bell\x07 escape\x1b[31m",
    "lone \ud800 surrogate",
    "$a_b$ and $^$",
    "very long " + "n" * 600,
)
CHECKS = (
    Check("largest R-hat", 1.0012, 1.01, "pass", "The chains agree.", "at most"),
    Check("smallest bulk ESS", 1234.5, 400.0, "pass", "Enough draws.", "at least"),
    Check("share of long lives", 0.031, 0.05, "warn", "Totals lean on them.", "at most", "share"),
    Check("calibration on held-out periods", None, None, "unavailable", "Give a backtest."),
    Check("error of repeat purchases", 0.41, 0.2, "fail", "Look there.", "within", "share"),
)
USE_VERDICTS = (
    UseVerdict("totals", "not supported", "Error of repeat purchases +41 % (within ±20 %)."),
    UseVerdict("ranking", "supported", "The backtest found what it found."),
    UseVerdict("customers", "not checked", "No backtest says how well they predict."),
)
COLUMNS = ("segment", "customers", "share", "worth", "silent for", "last bought", "verdict")
FORMATS: dict[str, Any] = {
    "customers": "integer",
    "share": "percent",
    "worth": "money",
    "silent for": "duration",
    "last bought": "date",
    "verdict": "status",
}


def segments(rows: int = 12, names: tuple[str, ...] = ()) -> Table:
    """A table with a column of every kind, in an order of no kind, and a row of sums."""
    rng = np.random.default_rng(5)
    named = [*names, *(f"segment {n}" for n in range(1, rows - len(names) + 1))]
    made = [
        (
            name,
            int(rng.integers(1, 20_000)),
            float(rng.uniform()),
            float(rng.lognormal(8, 3) - 500),
            None if n == 3 else float(rng.uniform(0, 90)),
            f"2011-{1 + n % 12:02d}-09",
            ("pass", "warn", "fail", "unavailable")[n % 4],
        )
        for n, name in enumerate(named)
    ]
    made.append(("(whole)", 123_456, 1.0, 5e6, 44.0, "2011-12-09", "pass"))
    return Table(
        key="segments",
        title="Two segments hold half of the value",
        columns=COLUMNS,
        rows=tuple(made),
        caption="Each row is a segment; worth is discounted over the next 12 months.",
        formats=FORMATS,
    )


def waves(key: str, points: int = 80, labels: tuple[str, ...] = ()) -> Figure:
    """A figure that `draw` draws."""
    return Figure(
        key=key,
        kind="waves",
        title="The model follows the purchases of each week",
        caption="Dots are what was observed; where they leave the band, the model is wrong.",
        alt="A line that rises from 0 to 1 and falls again, within a band.",
        data={"x": np.linspace(0, 6, points), "labels": list(labels)},
    )


def draw(figure: Figure) -> Any:
    """Draw the only kind of these samples."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(7, 4), layout="constrained")
    axes = drawing.subplots()
    x = np.asarray(figure.data["x"])
    axes.fill_between(x, np.sin(x) - 0.2, np.sin(x) + 0.2, color="#d5dbe1")
    axes.plot(x, np.sin(x), "o", markersize=3, color="#2a6f97")
    axes.set(xlabel="time, in weeks", ylabel="purchases a week")
    for place, label in enumerate(figure.data["labels"]):
        axes.text(1, -place / 10, label[:60])
    return drawing


def sample(*, names: tuple[str, ...] = (), rows: int = 12, title: str = "CDNOW") -> Report:
    """A report with everything that a report can hold; names turn up wherever data does."""
    name = names[0] if names else "web"
    facts = (
        Fact("value", "What the base is worth", 1234567.8, 1.1e6, 1.4e6, "money", name, "worth"),
        Fact("active", "Probably still active", 412.7, 401.2, 424.9, "number", "", "active"),
        Fact("once", "Bought only once", 1411, None, None, "integer", "P(alive) is 1.", "active"),
        Fact("end", "Observed until", "1997-09-30", format="date", group="base"),
        Fact("q", "Mean spend", None, None, None, "money", "Infinite in some draws.", "base"),
    )
    sections = (
        Section(
            "data",
            "The data",
            f"One row per customer of {name}.",
            tables=(segments(rows, names),),
            figures=(waves("histogram", labels=names),),
            notes=(f"Rows of {name} were merged.", "import clvmodels as clv\nclv.report(p, rfm)"),
        ),
        Section("convergence", "Convergence", "", checks=CHECKS[:2], figures=(waves("trace"),)),
        Section("fit", "Does the model fit?", "It does not.", checks=CHECKS[2:3] + CHECKS[4:]),
        Section("prediction", "Does it predict?", "", checks=CHECKS[3:4], notes=("No backtest.",)),
        Section("provenance", "Provenance", "", tables=(_provenance(name), _lines(name))),
    )
    return Report(
        title=title,
        verdict=Headline(
            "warn", "Not before the fit is mended.", (f"Look at {name}.",), USE_VERDICTS
        ),
        checks=CHECKS,
        facts=facts,
        sections=sections,
        provenance={"report_versions": {"clvmodels": "0.1.0"}, "column": name},
        currency="$",
        time_unit="weeks",
    )


def _provenance(name: str) -> Table:
    rows = (("clvmodels", "0.1.0"), ("seed", 1), ("customer column", name))
    return Table("versions", "What made this report", ("what", "value"), rows)


def _lines(name: str) -> Table:
    rows = ((1, "import clvmodels"), (2, f"clvmodels.report({name!r})"))
    return Table("reproduce", "How to reproduce it", ("", "line"), rows)
