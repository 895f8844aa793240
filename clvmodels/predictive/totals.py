"""Totals of a base and of its segments: how many will buy, how much, and what it brings."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import numpy.typing as npt

from clvmodels import frames
from clvmodels.economics.labels import WHOLE, By, segments_of
from clvmodels.economics.outlook import UNKNOWN, unknown_by
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast import Predictor, tail_probabilities
from clvmodels.forecast.chunks import Chunk, chunk_of, chunks
from clvmodels.forecast.futures import VALUE, Keys, add_totals
from clvmodels.forecast.grouping import group_rows
from clvmodels.forecast.outcomes import check_finite, outcomes_of
from clvmodels.forecast.paths import MOST_PURCHASES, Outcomes
from clvmodels.keywords import named
from clvmodels.machine import cores_for
from clvmodels.margin import MarginSource
from clvmodels.posterior.finite import Valued, valued
from clvmodels.posterior.predicting import Prepared
from clvmodels.posterior.scorable import Scorable, prepared_for, scorable
from clvmodels.posterior.terms import FrameTerms
from clvmodels.predictive.base import in_either_order, margin_said, row_keys
from clvmodels.predictive.calendars import CalendarChoice, Scenario, calendar_of, under
from clvmodels.progress import telling_part
from clvmodels.rfm import RfmTable
from clvmodels.schema import FloatArray, check_choice

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame

TOTALS: Final = ("buyers", "alive", "purchases", "value")  # as predict.futures has them
_MEAN_OF: Final = {"buyers": "p_purchase", "purchases": "expected_purchases", "value": "clv"}
PATHS: Final = 500


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Portfolio:
    """Distributions of what a base, or each of its segments, will do together.

    They are of the *outcome*. All customers share the parameters of a path, and each has
    a fate of their own: so both what is not known of the parameters, which does not
    average out over customers, and the process's randomness, which does, are in the
    totals. Four totals:

    - buyers: customers who buy at least once within the horizon;
    - alive: customers who have not dropped out by its end, by the model's account
      (BG/NBD never drops anybody who bought once and not again);
    - purchases: how many within the horizon;
    - value: of these purchases, discounted, x margin.

    Attributes
    ----------
    table : DataFrame or Table
        One row per segment, and a last one, "(whole)", of all customers (the only one
        without ``by``): the columns of ``by``, customers, and for each total its mean,
        ``_sd``, ``_lower`` and ``_upper``. The means of buyers, purchases and value are
        the sums over customers of ``predict``'s p_purchase, expected_purchases and clv.
        Of the kind of frame that was passed, pandas for an RfmTable. The last column is the
        margin that is in value. A posterior of purchases alone has neither value nor margin.
        Where expected spend of some customers is infinite in some
        draws, value is of the others, and a column without_value counts those left out. Customers
        with levels of covariates that the base which was fitted did not have are counted in a
        column unknown_levels, if there are any.
    interval : float
        Probability of the equal-tailed intervals.
    samples : ndarray, shape (rows of the table, 4, paths)
        The totals on every path: buyers, alive, purchases, value; of purchases alone the
        first three.
    margin : float or None
        Share of revenue that value is made of; None where there is none.
    margin_from : {"argument", "table", "posterior", "not said"} or None
        Who said it.
    without_value : int
        Customers of all who have no finite expected value: they are not in the totals of
        value.
    reason : str
        Why they have none; empty where everybody has one.
    """

    table: Any
    interval: float
    samples: FloatArray
    margin: float | None
    margin_from: MarginSource | None
    without_value: int = 0
    reason: str = ""

    def draws(self, total: str, segment: int = -1) -> FloatArray:
        """One total on every path, shape (paths,).

        Parameters
        ----------
        total : {"buyers", "alive", "purchases", "value"}
        segment : int
            Row of the table; by default the whole.
        """
        check_choice("total", total, TOTALS[: self.samples.shape[1]])
        return np.asarray(self.samples[segment, TOTALS.index(total)])

    def __repr__(self) -> str:
        said = margin_said(self.margin, self.margin_from)
        return f"<Portfolio, {100 * self.interval:.0f} % intervals{said}>\n{self.table}"

    def _repr_html_(self) -> str:
        return str(frames.to_pandas(self.table).to_html(border=0))


@in_either_order
@named
def portfolio(
    posterior: Scorable,
    rfm: RfmTable | Frame,
    *,
    paths: int = PATHS,
    by: By | None = None,
    calendar: CalendarChoice = "none",
    scenario: Scenario | None = None,
    random_seed: int = 0,
    threads: int | None = None,
    **terms: Unpack[FrameTerms],
) -> Portfolio:
    """Distribution of the totals of a base: buyers, purchases and value in the horizon.

    Every customer is simulated on every path, exactly, at any size of the base (a
    normal approximation would fail for values, whose variance need not exist).

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Of purchases and spend; of purchases alone there is no total of value.
    rfm : RfmTable or frame
        Customers, in the posterior's unit of time, with monetary_value where the posterior
        reads it.
    paths : int
        Simulated futures, rounded up to as many of every draw.
    by : str, sequence of str, mapping or Series, optional
        Segment columns of the RfmTable, or "cohort"; or the segment of every customer by id.
    calendar : {"none", "auto", "learnt"} or float
        Doubt about what moves all customers at once, as in
        :func:`~clvmodels.forecast_total`. By default there is none: the totals are what the
        model says if the future's seasons and shocks are those of an average year. To plan
        with a total, use :func:`~clvmodels.forecast_total`.
    scenario : mapping or Series, optional
        As there.
    random_seed : int
        Of the simulation.
    threads : int, optional
        By default all cores; the answer does not depend on it.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`; the horizon is finite.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    Portfolio
        Totals of all and of each segment.

    Raises
    ------
    SchemaError, TimeUnitError, DomainError
        As :meth:`CLVPosterior.predict`; the horizon is endless; ``by`` names no segment
        column; there are no customers.
    """
    rfm = frames.eager(rfm)
    cores = cores_for(threads)
    given = prepared_for(scorable(posterior, "Totals need"), rfm, **terms)
    check_finite(given.future.due.horizon)
    if not len(given.columns):
        raise DomainError("The table has no customers: there is nothing to add up.")
    names, labels, group = groups_of(rfm, by, len(given.columns))
    unit = posterior.scale.days
    days = given.future.due.horizon * unit
    doubt, _ = calendar_of(calendar, scenario, rfm, days=days, learnt=given.calendar)
    given = under(given, doubt, paths, unit)
    outcomes = outcomes_of(given.draws, paths=paths, seed=random_seed)
    found = Predictor(given.draws, given.future, wanted="none", threads=cores)(*given.who).columns
    check_few(found["expected_purchases"])
    known = valued(given.draws, given.columns.x).warned()
    samples = simulated(given, outcomes, group, len(labels), cores, known)
    if given.margin is None:
        samples = samples[:, :VALUE]
    means: dict[str, npt.NDArray[Any]] = {
        total: np.bincount(group, weights=np.nan_to_num(found[name]), minlength=len(labels))
        for total, name in _MEAN_OF.items()
        if name in found
    }
    counts, samples = _with_whole(np.bincount(group, minlength=len(labels))), _with_whole(samples)
    texts = {name: [*(label[i] for label in labels), WHOLE] for i, name in enumerate(names)}
    table = _table(texts, counts, means, samples, terms["interval"])
    new = unknown_by(given, group, len(labels))
    if new.any():
        table[UNKNOWN] = _with_whole(new)
    clash = {*names} & {*table.columns[len(names) :], "without_value", UNKNOWN, "margin"}
    if clash:
        raise SchemaError(f"{min(clash)!r} is a column of the report: rename the segment column.")
    if given.margin is not None:
        without = np.bincount(group[~known.has], minlength=len(labels))
        _value_of_those_who_have_one(table, samples, counts, _with_whole(without))
        table["margin"] = given.margin.value
    return Portfolio(
        frames.like(rfm, table),
        terms["interval"],
        samples,
        None if given.margin is None else given.margin.value,
        None if given.margin is None else given.margin.source,
        known.without,
        known.reason,
    )


def check_few(expected: FloatArray) -> None:
    """Refuse customers who would be followed for ever.

    Raises
    ------
    DomainError
        Somebody is expected to make more than ``MOST_PURCHASES``.
    """
    if expected.max() > MOST_PURCHASES:
        raise DomainError(
            f"A customer is expected to make more than {MOST_PURCHASES:,.0f} purchases within the "
            "horizon: use a shorter one, or leave that customer out."
        )


def _value_of_those_who_have_one(
    table: pd.DataFrame,
    samples: FloatArray,
    counts: npt.NDArray[np.int64],
    without: npt.NDArray[np.int64],
) -> None:
    """Empty the values of segments in which nobody has one, and count who has none."""
    nobody = counts == without
    samples[nobody, VALUE] = np.nan
    for name in ("value", "value_sd", "value_lower", "value_upper"):
        table[name] = table[name].mask(nobody)
    if without.any():
        table["without_value"] = without


def groups_of(
    rfm: RfmTable | Frame, by: By | None, customers: int
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], npt.NDArray[np.int64]]:
    """Names of the segment columns, labels of the segments, and everybody's segment."""
    if by is None:
        return (), ((),), np.zeros(customers, dtype=np.int64)
    if not isinstance(rfm, RfmTable):
        raise SchemaError(
            "Segments need an RfmTable that knows its segment_cols: make one with "
            "rfm_summary(..., segment_cols=...) or RfmTable.from_pandas."
        )
    segments = segments_of(rfm, by)
    return segments.by, segments.labels, segments.group


def simulated(
    given: Prepared,
    outcomes: Outcomes,
    group: npt.NDArray[np.int64],
    segments: int,
    threads: int,
    known: Valued,
) -> FloatArray:
    """Totals of every segment on every path, shape (segments, 4, paths).

    Customers without a value are followed as segments of their own, whose value is dropped.
    """
    shape = (outcomes.per_draw, given.draws.count, len(TOTALS))

    def add(chunk: Chunk, keys: Keys, group: npt.NDArray[np.int64], out: FloatArray) -> None:
        add_totals(chunk, outcomes, keys, group, out)

    total = followed(given, add, shape, group, segments, threads, known)
    total = total.reshape(segments, -1, len(TOTALS))
    return np.ascontiguousarray(total.transpose(0, 2, 1))


def followed(
    given: Prepared,
    add: Callable[[Chunk, Keys, npt.NDArray[np.int64], FloatArray], None],
    shape: tuple[int, ...],
    group: npt.NDArray[np.int64],
    segments: int,
    threads: int,
    known: Valued,
) -> FloatArray:
    """Let all customers add to what their segments do, shape (segments, *shape).

    The last of what is added is value, which comes without margin and goes with it.
    """
    columns, draws, (*_, m_bar) = given.columns, given.draws, given.who
    apart = 2 if known.without else 1
    group = np.where(known.has, group, segments + group)
    groups, keys = group_rows(columns.kind, columns.t_x, columns.T), row_keys(columns.customer_id)

    def work(begin: int) -> FloatArray:
        out = np.zeros((apart * segments, *shape))
        add(chunk_of(groups, begin, draws, given.future.due, m_bar), keys, group, out)
        return out

    total: FloatArray = np.zeros((apart * segments, *shape))
    with ThreadPoolExecutor(threads) as pool:
        told, begins = telling_part(), list(chunks(groups))
        # in order, so that sums repeat exactly
        for done, part in enumerate(pool.map(work, begins), start=1):
            total += part
            told(done / len(begins), "what may come")
    total[segments:, ..., -1] = 0.0
    whole: FloatArray = total.reshape(apart, segments, *shape).sum(axis=0)
    whole[..., -1] *= given.future.margin
    return whole


def _with_whole(parts: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Add the sum of the segments as the last row, unless there is only the whole."""
    if len(parts) == 1:
        return parts
    return np.concatenate([parts, parts.sum(axis=0, keepdims=True)])


def _table(
    texts: dict[str, list[str]],
    customers: npt.NDArray[np.int64],
    means: dict[str, npt.NDArray[Any]],
    samples: FloatArray,
    interval: float,
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {**texts, "customers": customers}
    for i, total in enumerate(TOTALS[: samples.shape[1]]):
        drawn = samples[:, i]
        known = means.get(total)
        columns[total] = drawn.mean(axis=1) if known is None else _with_whole(known)
        columns[f"{total}_sd"] = drawn.std(axis=1)
        ends = np.quantile(drawn, tail_probabilities(interval), axis=1)
        columns[f"{total}_lower"], columns[f"{total}_upper"] = ends
    return pd.DataFrame(columns)
