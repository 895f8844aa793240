"""Choose customers, look at them closely, and make a page of it."""

from __future__ import annotations

import html as markup
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np
import pandas as pd

from clvmodels.economics.outlook import base_for, measure_of, ranking
from clvmodels.errors import DomainError, SchemaError
from clvmodels.explorer.choosing import TIERS, IntArray, Overview, Wanted, choose, overview
from clvmodels.explorer.explorer_page import page_of
from clvmodels.explorer.explorer_words import Asked
from clvmodels.keywords import named
from clvmodels.path_checks import named_paths
from clvmodels.posterior.predicting import columns_of, predicted_frame
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable, spend_of
from clvmodels.posterior.terms import ValueTerms
from clvmodels.predictive.alive_history import alive_by
from clvmodels.predictive.customer_list import Limits, kept_attributes, list_part
from clvmodels.predictive.time_to_next import dates_at
from clvmodels.predictive.timelines import orders_of, timelines
from clvmodels.progress import part, telling
from clvmodels.reporting.rendered import FRAME, check_outputs, write_together
from clvmodels.rfm import RfmTable
from clvmodels.schema import CUSTOMER_ID, Horizon, T, check_list, check_whole

# What the list rounds, and predictions have in full
_ROUNDED: Final = {
    f"{of}{end}" for of in ("value", "purchases") for end in ("", "_lower", "_upper")
}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explorer:
    """A page to look customers up in; notebooks display it.

    Attributes
    ----------
    customers : DataFrame
        A row for each customer who is shown, the most valuable first: customer_id, chosen_as,
        tier, state, action, the segment columns; what :meth:`CLVPosterior.predict` says with
        ``predictive=True`` (clv_lower and clv_upper are of the expectation, value_lower and
        value_upper of the outcome); and what `customers` says of their orders.
    totals : DataFrame
        A row for each tier, state and segment of *all* customers, and for the whole: by, group,
        customers; value (or purchases) with ``_lower`` and ``_upper`` of its expectation, and
        its share; without_value, where some have none.
    html : str
        One self-contained page.
    """

    customers: pd.DataFrame
    totals: pd.DataFrame
    html: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, whole or not at all.

        Parameters
        ----------
        path : path-like
            The HTML file, ``.html`` or ``.htm``.

        Raises
        ------
        SchemaError
            The name has another suffix, or is a folder's.
        OSError
            The folder cannot be written to.
        """
        check_outputs(path, None)
        write_together({Path(path): self.html})
        return Path(path)

    def _repr_html_(self) -> str:
        return FRAME.format(page=markup.escape(self.html), title="Customers")

    def __repr__(self) -> str:
        whole = int(self.totals["customers"].iloc[-1])
        return f"<Explorer of {len(self.customers):,} of {whole:,} customers>"


@named
def explore(
    posterior: Scorable,
    rfm: RfmTable,
    *,
    log: Any = None,
    id_map: Any = None,
    output: str | os.PathLike[str] | None = None,
    ids: Sequence[Any] | None = None,
    most_valuable: int = 1000,
    at_risk: int = 500,
    sample: int = 500,
    attributes: Sequence[str] | None = None,
    new_within: Horizon = "90D",
    slow: float = 0.75,
    late: float = 0.9,
    lost_below: float = 0.1,
    currency: str = "",
    title: str | None = None,
    **terms: Unpack[ValueTerms],
) -> Explorer:
    """Make a page to look customers up in: sums of all, and those that matter one by one.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone there are no columns of money.
    rfm : RfmTable
        The base, of any size. Sums are of everybody.
    log, id_map : optional
        What the table was made of: each customer's orders are then on the page, with P(alive)
        from the first one on. Without it there are the first, the last and their number.
    output : path-like, optional
        HTML file to write.
    ids : sequence, optional
        Show these customers, instead of those chosen by the next three.
    most_valuable, at_risk, sample : int
        How many to show: the most valuable of all; the most valuable others who are slowing or
        overdue; and others at random, always the same ones. Small bases are shown whole. A page
        of more than 2 MB leaves out the last of each kind, and says so.
    attributes : sequence of str, optional
        Segment columns of the table to show; by default all.
    new_within, slow, late, lost_below
        Where states begin, as in `customers`.
    currency : str
        Only for display, such as "$" or "EUR".
    title : str, optional
        Of the page.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`. A lifetime has no intervals of outcomes.

    Returns
    -------
    Explorer
        The page, and the numbers that it shows.

    Raises
    ------
    SchemaError, TimeUnitError
        The table is not an RfmTable, lacks an attribute or an id, or is not that of the log.
    DomainError
        An option is out of range, or the base is empty. A fit that failed is not an error: the
        page says so, above all.
    """
    wanted = _wanted(ids, most_valuable, at_risk, sample)
    if output is not None:
        check_outputs(output, None, named_paths(log))
    whose, limits = (
        scorable(posterior, "The explorer needs"),
        Limits(new_within, slow, late, lost_below),
    )
    base = base_for(whose, rfm, terms["margin"])
    told = telling()  # shares as measured on a million customers
    told(0.02, "all customers")
    with part(0.02, 0.6):
        seen = overview(whose, base, kept_attributes(base, attributes), limits, **terms)
    asked = Asked(whose, base, limits, dict(terms), currency, title, logged=log is not None)
    told(0.6, "some of them closely")
    rows, why = choose(base, seen, wanted)
    frame = closely(asked, seen, rows).assign(chosen_as=why)
    order = ranking(frame[measure_of(whose)].to_numpy(), frame[CUSTOMER_ID])
    rows, frame = rows[order], frame.iloc[order].reset_index(drop=True)
    told(0.8, "their orders")
    orders = None if log is None else orders_of(base, rows, log, id_map)
    some = _some(base, rows)
    columns = columns_of(purchases_of(whose), some, None)
    lives = timelines(alive_by(whose, terms["draws"]), some, columns, orders, ahead=asked.ahead)
    told(0.95, "the page")
    page, shown = page_of(asked, seen, frame, lives)
    explorer = Explorer(frame.iloc[shown].reset_index(drop=True), seen.totals, page)
    if output is not None:
        explorer.save(output)
    return explorer


def _wanted(ids: Sequence[Any] | None, most_valuable: int, at_risk: int, sample: int) -> Wanted:
    counts = {"most_valuable": most_valuable, "at_risk": at_risk, "sample": sample}
    wanted = Wanted(
        None if ids is None else check_list("ids", ids),
        **{name: check_whole(name, count, least=0) for name, count in counts.items()},
    )
    if ids is None and not sum(counts.values()):
        raise DomainError("most_valuable=0, at_risk=0 and sample=0 show nobody: raise one of them.")
    if ids is not None and not wanted.ids:
        raise SchemaError("ids=[] shows nobody: name at least one customer.")
    return wanted


def _some(rfm: RfmTable, rows: IntArray) -> RfmTable:
    return replace(rfm, table=rfm.table.take(rows))


def closely(asked: Asked, seen: Overview, rows: IntArray) -> pd.DataFrame:
    """All that is said of some customers: predictions, both intervals, and their list."""
    whose, some = asked.posterior, _some(asked.rfm, rows)
    purchases, spend = purchases_of(whose), spend_of(whose)
    ends = not math.isinf(asked.horizon)
    found = predicted_frame(purchases, spend, some, predictive=ends, **asked.terms)
    by = measure_of(whose)
    worth = found[[by, f"{by}_lower", f"{by}_upper"]].to_numpy()
    tiers = np.array(TIERS, dtype=object)[seen.tier[rows]]
    said = list_part(whose, some, [], asked.limits, worth, tiers, asked.terms["draws"])
    if clash := {one.by for one in seen.segments} & {*found, *said, "chosen_as", "first_order"}:
        raise SchemaError(
            f"attributes={min(clash)!r} is a column that the explorer makes itself: rename the "
            "segment column."
        )
    listed = said[[name for name in said if name not in _ROUNDED]].set_index(found.index)
    segments = {one.by: one.of(rows) for one in seen.segments}
    frame = listed.assign(**segments, **{n: found[n] for n in found if n not in listed})
    if some.observation_end is not None:
        age = np.asarray(some.table[T].to_numpy(), dtype=np.float64)
        frame["first_order"] = dates_at(some.observation_end, some.scale, -age)
    return frame
