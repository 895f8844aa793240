"""Models side by side: tables of how they describe and forecast, and what these say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import pandas as pd

from clvmodels.display import listed
from clvmodels.evaluation.backtest_record import plain_records
from clvmodels.evaluation.heldout import HeldOut
from clvmodels.evaluation.strengths import (
    Strength,
    in_words,
    strengths,
)
from clvmodels.posterior.leave_one_out import CLEAR_ELPD, CLEAR_ERRORS, unclear_elpd
from clvmodels.verdict import MAX_KHAT

FORMAT_VERSION: Final = 1
_LAYOUT: Final = {
    "elpd": "{:,.1f}",
    "se": "{:,.1f}",
    "p_loo": "{:,.1f}",
    "elpd_diff": "{:,.1f}",
    "dse": "{:,.1f}",
    "weight": "{:.2f}",
    "khat": "{:.2f}",
    "doubtful": "{:,}",
}
# Of the many scores those that are shown, by their headings
_SHOWN: Final = {
    "total_bias": ("total off by", "{:+.1%}"),
    "totals_inside": ("totals inside", "{:.0%}"),
    "relative_error": ("relative error", "{:.3f}"),
    "gini": ("gini", "{:.3f}"),
    "log_score": ("log score", "{:.3f}"),
    "crps": ("crps", "{:.4f}"),
    "interval_score": ("interval score", "{:.3f}"),
    "coverage": ("coverage", "{:.1%}"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Models side by side, those that describe the purchases best first.

    Attributes
    ----------
    table : DataFrame
        A row a model, with its key in the mapping as index. ``elpd``: log density of the
        customers' histories, each left out in turn, summed; ``se`` its standard error;
        ``p_loo`` effective number of parameters; ``elpd_diff`` what the model lacks to the
        best, ``dse`` that difference's standard error; ``weight`` in the mixture that
        describes the base best; ``khat`` the greatest Pareto shape; ``doubtful``
        the customers whose own shape is above 0.7; ``verdict`` of the fit.
    customers, histories : int
        Of the base, and how many different histories they have.
    draws : mapping of str to int
        How many were used of each.
    heldout : HeldOut or None
        How well they forecast what customers bought later; with a log only.
    """

    table: pd.DataFrame
    customers: int
    histories: int
    draws: Mapping[str, int]
    heldout: HeldOut | None = None

    @property
    def best(self) -> str:
        """The model with the greatest elpd."""
        return str(self.table.index[0])

    @property
    def weights(self) -> dict[str, float]:
        """Stacking weights by model; they sum to 1."""
        return {str(name): float(value) for name, value in self.table["weight"].items()}

    @property
    def strengths(self) -> tuple[Strength, ...]:
        """Who is best at what: timings and, with a log, totals, ranking, single customers."""
        return () if self.heldout is None else strengths(self.table, self.heldout)

    @property
    def words(self) -> str:
        """What the tables say, in sentences."""
        return " ".join(self.sentences)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same, one by one."""
        said = [*self._warnings()]
        if self.heldout is not None:
            return (*in_words(self.strengths, self.heldout), *said)
        return (
            _who_is_best(self.table),
            *said,
            "This compares how well models describe the purchases so far; which of them "
            "forecasts better is for a log to say: clvmodels.compare(models, log, "
            "customer_id_col=..., datetime_col=...).",
        )

    def _warnings(self) -> list[str]:
        said, fits = [], self.table["verdict"] == "fail"
        if self.heldout is not None:
            fits |= self.heldout.table["verdict"].reindex(self.table.index) == "fail"
        if (bad := self.table.index[fits]).size:
            said.append(f"A fit of {listed(bad)} did not converge: do not rely on its rows.")
        if (bad := self.table.index[self.table["doubtful"] > 0]).size:
            said.append(
                f"For some customers the estimate of {listed(bad)} rests on few draws "
                f"(Pareto shape above {MAX_KHAT}): take more draws."
            )
        return said

    def to_dict(self) -> dict[str, Any]:
        """Tables and sentences, as plain values for JSON."""
        out = self.heldout
        return {
            "format_version": FORMAT_VERSION,
            "customers": self.customers,
            "histories": self.histories,
            "draws": dict(self.draws),
            "timings": plain_records(self.table.rename_axis("model").reset_index()),
            "heldout": None
            if out is None
            else {
                "interval": out.interval,
                "scores": plain_records(out.table.rename_axis("model").reset_index()),
                "differences": plain_records(out.differences),
                "origins": plain_records(out.origins),
            },
            "strengths": [
                {"aspect": one.aspect, "leaders": list(one.leaders), "behind": list(one.behind)}
                for one in self.strengths
            ],
            "words": list(self.sentences),
        }

    def __str__(self) -> str:
        parts = [part for title, table in self._shown() for part in (title, table.to_string())]
        return "\n\n".join([*parts, self.words])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(title)}</p>{table.to_html()}" for title, table in self._shown()]
        return f"<div>{''.join(parts)}<p>{escape(self.words)}</p></div>"

    def _shown(self) -> list[tuple[str, pd.DataFrame]]:
        head = f"{self.customers:,} customers, {self.histories:,} different histories"
        wide = self.table.copy()
        for name, how in _LAYOUT.items():
            wide[name] = wide[name].map(how.format)
        if self.heldout is None:
            return [(head, wide)]
        return [(head, wide), (self.heldout.title, heldout_shown(self.heldout))]


def heldout_shown(found: HeldOut) -> pd.DataFrame:
    """The scores that people read, as text, by their headings."""
    columns = {
        heading: found.table[name].map(how.format).str.replace("%", " %")
        for name, (heading, how) in _SHOWN.items()
    }
    return pd.DataFrame(columns)


def _who_is_best(table: pd.DataFrame) -> str:
    best, rest = str(table.index[0]), table.iloc[1:]
    unclear = unclear_elpd(rest)
    if unclear.any():
        return (
            f"The base does not tell {best} from {listed(rest.index[unclear])}: the difference in "
            f"elpd is within {CLEAR_ERRORS:g} standard errors, or below {CLEAR_ELPD:g}."
        )
    second = table.iloc[1]
    return (
        f"{best} describes the base best: its elpd is {second['elpd_diff']:,.1f} above that of "
        f"{table.index[1]} (standard error {second['dse']:,.1f})."
    )
