"""One batch of customers in, one batch of scores out: what every engine runs.

The same object scores blocks on one machine, partitions on Spark, and whole frames; a
row's score does not depend on which rows stand beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clvmodels import schema
from clvmodels.errors import SchemaError
from clvmodels.forecast import OUTCOMES, OutcomePredictor, Predictor, Whole, spending
from clvmodels.forecast.calendar import Calendar
from clvmodels.formulas.gamma_gamma import mean_with_first
from clvmodels.formulas.strata import coded, stratum_of
from clvmodels.margin import MarginLike
from clvmodels.posterior.finite import no_value
from clvmodels.posterior.layout import by_label, intervals_of, labelled, points_of
from clvmodels.posterior.predicting import until
from clvmodels.posterior.scorable import (
    Scorable,
    asked_for,
    attributes_of,
    has_money,
    purchases_of,
    reads_amounts,
    scorable,
)
from clvmodels.posterior.shares import past_value, shares_of
from clvmodels.posterior.spend import NO_FIRST_VALUE
from clvmodels.purchases.design import FIRST_PURCHASE
from clvmodels.rfm.attributes import cohorts_of, first_days, strata_of
from clvmodels.rfm.day_pairs import known_day, own_times
from clvmodels.schema import Discounting, FloatArray, Horizon
from clvmodels.scoring.row_checks import REASONS, Rows, check_schema, needed_of, read_rows

Intervals = Literal["clv", "all"]
REASON: Final = schema.REASON
_COUNTS: Final = OUTCOMES[:2]  # of purchases, in whole numbers


@dataclass(frozen=True, slots=True)
class Sums:
    """What a batch adds up to over one horizon; see `BatchTotals`."""

    clv: float
    expected_purchases: float
    by_draw: FloatArray


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """What a batch adds up to.

    Attributes
    ----------
    scored, rejected : int
        Rows of each kind.
    one_time : int
        Scored customers without a repeat purchase.
    zero_spend : int
        Scored repeat customers with a monetary_value of exactly 0.
    without_value : int
        Scored customers without a finite expected value, who are not in its sums.
    unknown_levels : int
        Scored customers with a level of a covariate that the fitted base did not have.
    clv, expected_purchases : float
        Sums over the scored rows; of purchases NaN where there is no finite number, of value
        NaN where no spend is known.
    by_draw : ndarray, shape (draws,)
        Value of the scored rows together in every draw; their expected purchases where no
        spend is known.
    further : tuple of Sums
        The same of every horizon after the first.
    """

    scored: int
    rejected: int
    one_time: int
    zero_spend: int
    without_value: int
    unknown_levels: int
    clv: float
    expected_purchases: float
    by_draw: FloatArray
    further: tuple[Sums, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Scores and rejects of a batch; together as many rows as went in.

    Attributes
    ----------
    scores : pyarrow.Table
        In input order; the schema is `Scorer.schema`.
    rejects : pyarrow.Table
        The input rows that could not be scored, unchanged, with a column ``reason``.
    reject_rows : ndarray of int64
        Their positions in the batch.
    totals : BatchTotals
    """

    scores: pa.Table
    rejects: pa.Table
    reject_rows: npt.NDArray[np.int64]
    totals: BatchTotals


class Scorer:
    """Score batches of customers with one posterior and one set of options.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
        Draws of both models, or of purchases alone: there are then no columns of money.
        Amounts are read where there is a model of spend.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`clvmodels.CLVPosterior.predict`; a list of horizons makes columns of each,
        such as expected_purchases_90D, in one pass.
    intervals : {"clv", "all"}
        Whether the interval of the figure that matters most is in the output (clv, or
        expected_purchases where no spend is known), or all of them.
    margin : float or ContributionMargin, optional
        Share of revenue that values are made of; by default that of the base that was
        fitted, 1 where it had none. Or customers' own margins, a column, and costs.
    predictive : bool
        Whether intervals of the outcome are in the output, beside those of expectations:
        purchases_lower, purchases_upper, and value_lower, value_upper where spend is known.
    threads : int, optional
        By default all cores.
    whole : Whole, optional
        What is known of the whole table, times in the unit of the model: work that depends on
        it is then done once, and not again for every block.
    last_day : int, optional
        The end of observation, in days since 1970-01-01, which a posterior with a clock needs.

    Raises
    ------
    SchemaError
        The posterior knows spend alone, or a margin is given and it knows purchases alone.
    DomainError
        An option is out of range, or the options make values infinite.
    """

    def __init__(
        self,
        posterior: Scorable,
        *,
        horizon: Horizon | Sequence[Horizon] = "365D",
        discount_rate: float = 0.10,
        discounting: Discounting = "continuous",
        interval: float = 0.9,
        draws: int = 500,
        intervals: Intervals = "clv",
        margin: MarginLike = None,
        predictive: bool = False,
        threads: int | None = None,
        whole: Whole | None = None,
        last_day: int | None = None,
    ) -> None:
        posterior = scorable(posterior)
        schema.check_choice("intervals", intervals, ("clv", "all"))
        lengths = labelled(horizon)
        self.future, self.draws, used = asked_for(
            posterior,
            horizon=next(iter(lengths.values())),
            discount_rate=discount_rate,
            discounting=discounting,
            interval=interval,
            draws=draws,
            margin=margin,
        )
        bought = purchases_of(posterior)
        self.posterior, self._last_day = posterior, last_day
        self._clock = bought.metadata.clock
        calendar = Calendar.by(self._clock, last_day)
        self.futures = {
            label: until(bought, self.draws, self.future, length, calendar)
            for label, length in lengths.items()
        }
        self.future = next(iter(self.futures.values()))
        if whole is not None:
            youngest, oldest = self._own_ages(np.array(whole.span)).tolist()
            ages = self._own_ages(whole.youngest)
            whole = replace(whole, span=(youngest, oldest), youngest=ages)
        self.money, self.amounts = has_money(posterior), reads_amounts(posterior)
        self._own = None if used is None or used.of is None else used.of.column
        self._design = bought.metadata.design
        self.attributes = (*attributes_of(posterior), *([self._own] if self._own else ()))
        self.certain = posterior.certain or self.draws.count == 1
        self.intervals = intervals
        dues = [future.due for future in self.futures.values()]
        self._predict = Predictor(
            self.draws,
            self.future,
            more=dues[1:],
            wanted=intervals,
            whole=whole,
            threads=threads,
        )
        self._outcomes = {
            label: OutcomePredictor(self.draws, future, threads=threads)
            for label, future in self.futures.items()
            if predictive
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the predictions, in the order of the output."""
        return tuple(self._columns())

    def _columns(self) -> dict[str, tuple[str, str]]:
        """The same, each with its name without a horizon and the label of the horizon."""
        uncertain = intervals_of(money=self.money, every=self.intervals == "all")
        outcomes = (OUTCOMES if self.money else _COUNTS) if self._outcomes else ()
        return by_label((*points_of(money=self.money), *uncertain, *outcomes), self.futures)

    def schema(self, source: pa.Schema) -> pa.Schema:
        """Arrow schema of the scores of a table with this schema.

        Raises
        ------
        SchemaError
            The spend model counts first orders, and first_value is not among the columns.
        """
        if self.draws.counted and schema.FIRST_VALUE not in source.names:
            raise SchemaError(NO_FIRST_VALUE)
        fields = [
            pa.field(schema.CUSTOMER_ID, source.field(schema.CUSTOMER_ID).type),
            pa.field(schema.FREQUENCY, pa.int64()),
            *(pa.field(name, pa.float64()) for name in needed_of(amounts=self.amounts)[2:]),
            *(pa.field(column, _type_of(name)) for column, (name, _) in self._columns().items()),
        ]
        if not self.money:
            return pa.schema(fields)
        if self.amounts and schema.FIRST_VALUE in source.names:
            worth = ("historical_value", *(f"total_value{label}" for label in self.futures))
            fields += [pa.field(name, pa.float64()) for name in worth]
        fields.append(pa.field(schema.MARGIN, pa.float64()))
        if spending.infinite(self.draws.spend, 0.0).any():
            fields.append(pa.field(REASON, pa.string()))
        return pa.schema(fields)

    def score(
        self, batch: pa.RecordBatch, duplicated: npt.NDArray[np.bool_] | None = None
    ) -> ScoredBatch:
        """Score a batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            Columns of an RFM table; others are ignored (and kept in the rejects).
        duplicated : ndarray of bool, optional
            Rows whose customer has another row somewhere in the whole table.

        Raises
        ------
        SchemaError
            A column is missing or holds no numbers.
        """
        batch = _takeable(batch)
        check_schema(
            batch.schema,
            "The table",
            self.posterior.scale,
            amounts=self.amounts,
            attributes=self.attributes,
        )
        rows = read_rows(
            batch,
            self.posterior.scale,
            duplicated,
            amounts=self.amounts,
            first_counts=self.draws.counted > 0,
            margins=self._own,
        )
        keep = np.flatnonzero(rows.reason < 0)
        out = np.flatnonzero(rows.reason >= 0)
        scores, totals = self._scored(batch, rows, keep)
        rejects = pa.Table.from_batches([batch]).take(out)
        reason = pa.array(REASONS).take(pa.array(rows.reason[out]))
        return ScoredBatch(scores, rejects.append_column(REASON, reason), out, totals)

    def _scored(
        self, batch: pa.RecordBatch, rows: Rows, keep: npt.NDArray[np.int64]
    ) -> tuple[pa.Table, BatchTotals]:
        x, recency, age, m_bar = (v[keep] for v in (rows.x, rows.t_x, rows.T, rows.m_bar))
        t_x, T = self._own_times(recency, age)
        kind, spent = self._kinds(batch, x, age, keep), m_bar
        first, share = (v if v is None else v[keep] for v in (rows.first_value, rows.share))
        if self.draws.counted:
            if first is None:
                raise SchemaError(NO_FIRST_VALUE)
            spent = mean_with_first(x, m_bar, first)
        each = dict(zip(self.futures, self._predict.each(kind, t_x, T, spent, share), strict=True))
        found: dict[str, dict[str, Any]] = {label: dict(one.columns) for label, one in each.items()}
        for label, one in found.items():
            if self.certain:
                one |= {name: np.full(len(x), np.nan) for name in intervals_of(money=self.money)}
            if self._outcomes:
                one |= self._outcomes[label](kind, t_x, T, spent, share)
        columns: list[object] = [
            batch.column(schema.CUSTOMER_ID).take(pa.array(keep)),
            x.astype(np.int64),
            recency,
            age,
            *((m_bar,) if self.amounts else ()),
            *(pa.array(found[of][name], from_pandas=True) for name, of in self._columns().values()),
        ]
        if self.money:
            past = None if first is None else past_value(self.future, share, first, x, m_bar)
            columns += self._worth(x, past, share, [one["clv"] for one in found.values()])
        value = found[next(iter(found))].get("clv", np.zeros(0))
        sums = [self._sums(found[label], one.by_draw) for label, one in each.items()]
        totals = BatchTotals(
            scored=len(keep),
            rejected=len(rows.reason) - len(keep),
            one_time=int((x == 0).sum()),
            zero_spend=int(((x > 0) & (m_bar == 0)).sum()) if self.amounts else 0,
            without_value=int(np.isnan(value).sum()),
            unknown_levels=0 if self._design is None else self._design.unknown(stratum_of(kind)),
            clv=sums[0].clv,
            expected_purchases=sums[0].expected_purchases,
            by_draw=sums[0].by_draw,
            further=tuple(sums[1:]),
        )
        return pa.table(columns, schema=self.schema(batch.schema)), totals

    def _kinds(
        self,
        batch: pa.RecordBatch,
        x: FloatArray,
        age: FloatArray,
        keep: npt.NDArray[np.int64],
    ) -> FloatArray:
        """Purchases as the loops take them: with the stratum, where the model has covariates."""
        if self._design is None:
            return x

        def read(name: str) -> pa.Array:
            if name == FIRST_PURCHASE:
                return first_days(age, known_day(self._last_day), self.posterior.scale)
            if name in batch.schema.names:
                return batch.column(name).take(pa.array(keep))
            last_day = known_day(self._last_day)
            return pa.array(cohorts_of(age, last_day, self.posterior.scale))

        return coded(x, strata_of(self._design, read))

    def _sums(self, one: Mapping[str, FloatArray], by_draw: FloatArray) -> Sums:
        value = float(np.nansum(one["clv"])) if self.money else math.nan
        return Sums(value, float(one["expected_purchases"].sum()), by_draw)

    def _own_times(self, recency: FloatArray, age: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Recency and T by the posterior's clock, if it has one."""
        if self._clock is None:
            return recency, age
        last_day = known_day(self._last_day)
        return own_times(self._clock, recency, age, last_day, self.posterior.scale.days)

    def _own_ages(self, T: FloatArray) -> FloatArray:
        return self._own_times(np.zeros(len(T)), T)[1]

    def _worth(
        self,
        x: FloatArray,
        past: FloatArray | None,
        share: FloatArray | None,
        clv: list[FloatArray],
    ) -> list[object]:
        """Columns of money behind the predictions: past and total value, margin, reason."""
        columns: list[object] = []
        if past is not None:
            columns += [pa.array(v, from_pandas=True) for v in (past, *(past + one for one in clv))]
        columns.append(shares_of(self.future, share, len(x)))
        if (reasons := no_value(self.draws, x)) is not None:
            columns.append(pa.array(reasons, pa.string()))
        return columns


def _type_of(name: str) -> pa.DataType:
    """Outcomes of purchases are whole numbers."""
    return pa.int64() if name in _COUNTS else pa.float64()


def _takeable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Views of text as text: Arrow cannot pick rows of them."""
    for i, field in enumerate(batch.schema):
        if pa.types.is_string_view(field.type):
            batch = batch.set_column(i, field.name, batch.column(i).cast(pa.string()))
    return batch
