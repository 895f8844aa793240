"""How long customers pause between purchases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from clvmodels.errors import DomainError
from clvmodels.log import gap_quantile_of_log
from clvmodels.rfm import RfmTable
from clvmodels.rfm.periods import ordinal_of
from clvmodels.schema import FREQUENCY, RECENCY, check_number

__all__ = ["gap_quantile", "mean_gap_quantile"]


def gap_quantile(log: Any, rfm: RfmTable, share: float = 0.95, *, id_map: Any = None) -> float:
    """Quantile of the times between successive purchases of a customer.

    Parameters
    ----------
    log : object
        The log that ``rfm`` was made of; it is read in the same way, up to the table's
        observation end.
    rfm : RfmTable
        Its summary.
    share : float
        Which quantile, 0..1; linear between gaps, as in pandas and NumPy.
    id_map : mapping or frame, optional
        As it was given to rfm_summary.

    Returns
    -------
    float
        In days.

    Raises
    ------
    DomainError
        Nobody bought twice, or the table did not come from a log.
    """
    _check_share(share)
    if rfm.options is None or rfm.observation_end is None:
        raise DomainError(
            "This table does not know how its log was read: make it with rfm_summary, or give "
            "the silence after which a customer counts as lost."
        )
    options = replace(rfm.options, end=ordinal_of(rfm.observation_end, rfm.scale), segment_cols=())
    gap = gap_quantile_of_log(log, options, share, id_map)
    if gap is None:
        raise _nobody_twice()
    return gap * rfm.scale.days / rfm.time_scaler


def mean_gap_quantile(rfm: RfmTable, share: float = 0.95) -> float:
    """Quantile of customers' mean gaps, each as often as the customer has gaps, in days.

    All that a summary knows; it is shorter than `gap_quantile`, since a customer's long
    and short pauses cancel in the mean.

    Raises
    ------
    DomainError
        Nobody bought twice.
    """
    _check_share(share)
    x = rfm.table[FREQUENCY].to_numpy()
    recency = rfm.table[RECENCY].to_numpy()
    if not x.any():
        raise _nobody_twice()
    repeat = x > 0
    gaps = np.repeat(recency[repeat] / x[repeat], x[repeat])
    return float(np.quantile(gaps, share)) * rfm.scale.days


def _check_share(share: float) -> None:
    if not 0 <= check_number("share", share) <= 1:
        raise DomainError(f"share={share!r} must lie between 0 and 1.")


def _nobody_twice() -> DomainError:
    return DomainError(
        "Nobody bought twice, so there is no gap between purchases: give the silence after "
        "which a customer counts as lost."
    )
