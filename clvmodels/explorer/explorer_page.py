"""The explorer's page: what is asked, the sums, and the list, laid out in at most 2 MB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels import __version__
from clvmodels.diagnostics.record import Format
from clvmodels.diagnostics.words import percent
from clvmodels.economics.labels import WHOLE
from clvmodels.explorer import explorer_words as words
from clvmodels.explorer.cells import Column, ShownCell, columns_of_list, rows_of_list
from clvmodels.explorer.choosing import ALL, OTHERS, Overview
from clvmodels.explorer.explorer_words import Asked
from clvmodels.posterior.scorable import has_money
from clvmodels.predictive.timelines import Timeline
from clvmodels.reporting.self_contained import asset, dressed, environment
from clvmodels.reporting.values import MISSING, write

IntArray = npt.NDArray[np.int64]
MOST_BYTES: Final = 2_000_000
_HOME: Final = "clvmodels.explorer"
_FILTERS: Final = ("tier", "state", "chosen_as")


class Group(NamedTuple):
    """A row of a table of sums, with what its name leads to."""

    name: str
    customers: str
    share: str
    value: str
    span: str
    each: str
    only: dict[str, str]
    whole: bool


class Sums(NamedTuple):
    """A table of sums."""

    id: str
    title: str
    rows: list[Group]


def page_of(
    asked: Asked, seen: Overview, frame: pd.DataFrame, lives: Sequence[Timeline]
) -> tuple[str, IntArray]:
    """Render a page of as many customers as go into one.

    Returns
    -------
    str
        The page.
    ndarray of int
        Positions of the customers who are on it.
    """
    whole = (frame["chosen_as"] == ALL).all()
    listed = frame.drop(columns="chosen_as") if whole else frame
    attributes = [one.by for one in seen.segments]
    columns = columns_of_list(
        listed, attributes, money=has_money(asked.posterior), interval=asked.level
    )
    rows = rows_of_list(listed, columns, currency=asked.currency)
    shown, page = np.arange(len(frame)), ""
    while not page or (len(page.encode()) > MOST_BYTES and len(shown) > 1):
        if page:
            shown = _fewer(frame["chosen_as"], shown, MOST_BYTES / len(page.encode()))
        page = _rendered(asked, seen, frame, columns, [(rows[i], lives[i]) for i in shown.tolist()])
    return page, shown


def _fewer(why: pd.Series[str], shown: IntArray, share: float) -> IntArray:
    """The first of each kind, as many as may go into the share of a page that there is."""
    kinds = why.iloc[shown].to_numpy()
    kept = [
        rows[: max(int(len(rows) * share * 0.97), 1)]
        for rows in (shown[kinds == kind] for kind in dict.fromkeys(kinds))
    ]
    fewer = np.sort(np.concatenate(kept))
    return fewer if len(fewer) < len(shown) else shown[:-1]


def _rendered(
    asked: Asked,
    seen: Overview,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    rows: Sequence[tuple[tuple[ShownCell, ...], Timeline]],
) -> str:
    scripts = asset("script.js") + asset("list.js") + asset("card.js")
    styles = "".join(asset(one) for one in ("style.css", "list.css", "card.css"))
    styles += asset("explorer.css", _HOME) + _laid_out(columns)
    names = [one.by for one in seen.segments]
    return (
        environment(_HOME)
        .get_template("explorer.html.j2")
        .render(
            title=asked.title or words.title(asked),
            status=asked.status,
            headline=words.headline(asked),
            sentences=list(words.sentences(asked)),
            facts=list(words.facts(asked)),
            total=_total(asked, seen),
            sums=[_sums(asked, seen, by, i) for i, by in enumerate(("tier", "state", *names))],
            columns=columns,
            rows=rows,
            filters="\n".join((*_FILTERS, *names)),
            chosen=words.chosen(frame, len(rows), len(asked.rfm)),
            explained=list(words.explained(asked)),
            meanings=words.meanings(asked, columns),
            settings=words.settings(asked),
            missing=MISSING,
            version=__version__,
            **dressed(styles, scripts),
        )
    )


def _laid_out(columns: Sequence[Column]) -> str:
    """How columns of the list stand: said once each, and not in every cell."""
    places = {one: f"#customers{{}} tr > :nth-child({i})" for i, one in enumerate(columns, 1)}
    right = [at.format("") for one, at in places.items() if one.kind == "number"]
    hidden = [at.format(".short") for one, at in places.items() if one.detail]
    return f"{','.join(right)}{{text-align:right}}{','.join(hidden)}{{display:none}}\n"


# --- sums -------------------------------------------------------------------------------


def _total(asked: Asked, seen: Overview) -> dict[str, str]:
    """What everybody brings, in words."""
    row = {str(name): value for name, value in seen.totals.iloc[-1].items()}
    whole, without = _group(asked, row), int(row["without_value"])
    some = f"{without:,} customers have no finite expected value and are not in it."
    return {
        "label": f"Expected {'value' if has_money(asked.posterior) else 'orders'} of everybody",
        "value": whole.value,
        "span": whole.span,
        "note": some if without else "",
        "customers": whole.customers,
    }


def _sums(asked: Asked, seen: Overview, by: str, place: int) -> Sums:
    *others, _ = (seen.totals["by"] == by).to_numpy()
    part = seen.totals[[*others, True]]
    rows = [_group(asked, {str(n): v for n, v in row.items()}) for row in part.to_dict("records")]
    title = {"tier": "By tier", "state": "By state"}.get(by, f"By {by}")
    return Sums(f"sums-{place}", title, rows)


def _group(asked: Asked, row: dict[str, Any]) -> Group:
    money = has_money(asked.posterior)
    name = "value" if money else "purchases"
    how: Format = "money" if money else "integer"
    small: Format = "money" if money else "number"
    said = partial(_said, asked)
    valued, whole = row["customers"] - row["without_value"], row["by"] == WHOLE
    lower, upper = (row[f"{name}_{end}"] for end in ("lower", "upper"))
    leads = not whole and row["group"] != OTHERS
    return Group(
        name="all customers" if whole else row["group"],
        customers=f"{row['customers']:,}",
        share=percent(row["share"]) if math.isfinite(row["share"]) else MISSING,
        value=said(row[name], how),
        # the currency stands above
        span=f"{write(lower, how)} to {write(upper, how)}" if math.isfinite(lower) else "",
        each=said(row[name] / valued if valued else math.nan, small),
        only={row["by"]: row["group"]} if leads else {},
        whole=whole,
    )


def _said(asked: Asked, value: float, how: Format) -> str:
    return write(value, how, currency=asked.currency)
