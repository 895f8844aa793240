"""What speaks against scoring: of the posterior, and of the rows that are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.forecast import infinite_share
from clvmodels.posterior.scorable import Scorable, fits_of, purchases_of
from clvmodels.rejects import RejectLimit, refuse_empty, refuse_loss, unreadable, unreadable_rows
from clvmodels.rfm.customers import (
    beyond_base,
    beyond_base_text,
    beyond_lifetime,
    fractions_text,
    lifetime_text,
)
from clvmodels.schema import FIRST_VALUE
from clvmodels.scoring.block_records import BlockRecord, reasons_of
from clvmodels.scoring.scorer import Scorer
from clvmodels.scoring.source import Source
from clvmodels.scoring.staging import Figures, Staged
from clvmodels.scoring.target import Target
from clvmodels.scoring.workspace import Workspace
from clvmodels.verdict import explain_failure

MAX_AGE_DAYS: Final = 90.0
MAX_AGE_SHARE: Final = 0.1


def concerns(
    source: Source, posterior: Scorable, scorer: Scorer, staged: Staged, figures: Figures
) -> list[str]:
    """Say what speaks against scoring: failed fits, an old posterior, an unreadable log, units.

    A posterior is too old when the base was observed for longer after it than a tenth of
    its training window (the longest T), or than 90 days.
    """
    said = [
        f"{one.metadata.model}: {explain_failure(one.verdict)}"
        for one in fits_of(posterior)
        if not one.verdict.ok
    ]
    said += _age(posterior, staged.observation_end) + unreadable_rows(staged.audit)
    said += _endless_spend(scorer, figures.least_x) + source.notes
    said += _first_values(source)
    if source.foreign:
        said += _unit(posterior, figures, said=source.said)
    if not staged.total:
        said.append(f"{source.text} has no rows: the output has none either.")
    return said


def _first_values(source: Source) -> list[str]:
    """Say which file it is that keeps columns of the output from everybody."""
    if source.kind != "rfm" or not source.amounts:
        return []
    lacking = [path for path, columns in source.schemas.items() if FIRST_VALUE not in columns.names]
    if len(lacking) in (0, len(source.files)):
        return []
    others = f" and {len(lacking) - 1} other files lack" if len(lacking) > 1 else " lacks"
    return [
        f"{lacking[0]}{others} {FIRST_VALUE}, which the rest of the input has: the output has no "
        "historical_value and total_value, for anybody. Summarise the log again for those columns."
    ]


def _unit(posterior: Scorable, figures: Figures, *, said: bool) -> list[str]:
    """Say what speaks against the posterior's unit of time, for files that do not know theirs.

    Parameters
    ----------
    posterior : CLVPosterior or PurchasePosterior
        In whose unit the files are.
    figures : Figures
    said : bool
        Whether the caller said the unit.
    """
    most = figures.longest
    if most is not None and beyond_lifetime(most, posterior.scale):
        return [lifetime_text(most, posterior.scale)]
    fitted = purchases_of(posterior).metadata.longest_T
    if most is not None and not said and beyond_base(most, fitted):
        return [beyond_base_text(most, fitted, posterior.scale)]
    odd = figures.fractions and not said and purchases_of(posterior).metadata.whole
    return [fractions_text(posterior.scale)] if odd else []


def _endless_spend(scorer: Scorer, least_x: float | None) -> list[str]:
    """Say whose value will be empty: those with few repeat purchases, where q <= 1 in a draw."""
    shares = infinite_share(scorer.draws, np.array([] if least_x is None else [least_x]))
    if not (shares > 0).any():
        return []
    return [
        f"Expected spend is infinite in {100 * shares[0]:.1f} % of the draws at frequency "
        f"{least_x:g} (p x + q <= 1): such customers have no value but a reason why, and "
        "the value of the base leaves them out (without_value says how many)."
    ]


def refuse_lost_log(
    staged: Staged, most: RejectLimit | None, target: Target, work: Workspace
) -> None:
    """Refuse a log of which more rows cannot be read than may be; the run leaves nothing."""
    if staged.audit is not None:
        with _leaving_nothing(work):
            audit = staged.audit
            refuse_loss(unreadable(audit), audit.rows_read, most, target.path)


def refuse_lost_rows(
    records: Sequence[BlockRecord], most: RejectLimit | None, target: Target, work: Workspace
) -> None:
    """Refuse more rejected rows than may be, or all where an earlier output would go for it."""
    counts = reasons_of(records)
    rows = sum(record.scored for record in records) + sum(counts.values())
    with _leaving_nothing(work):
        refuse_loss(counts, rows, most, target.path)
        if target.manifest.exists():
            refuse_empty(counts, rows, target.path)


@contextmanager
def _leaving_nothing(work: Workspace) -> Iterator[None]:
    """Remove what a refused run has done: the next one is of a mended input."""
    try:
        yield
    except SchemaError:
        work.remove()
        raise


def _age(posterior: Scorable, observation_end: pd.Timestamp | None) -> list[str]:
    metadata = purchases_of(posterior).metadata
    if observation_end is None or metadata.observation_end is None:
        return []
    fitted = pd.Timestamp(metadata.observation_end)
    days = (observation_end - fitted).days
    dates = f"{observation_end:%Y-%m-%d}, the posterior's base to {fitted:%Y-%m-%d}"
    if days < 0:
        return [
            f"The base was observed to {dates}. That base is older than the one that was "
            "fitted: score the newest table."
        ]
    limit = MAX_AGE_DAYS
    if "max_T" in metadata.base:
        limit = min(limit, MAX_AGE_SHARE * metadata.base["max_T"] * metadata.scale.days)
    if days <= limit:
        return []
    return [
        f"The base was observed to {dates}: the posterior is {days:,} days older, more than "
        f"{limit:.0f}. Fit again."
    ]
