"""Models against each other by what customers bought after a date, at several dates of a log."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtr

from clvmodels.errors import SchemaError
from clvmodels.evaluation import losses
from clvmodels.evaluation.cut_dates import Span
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.metrics import TOP, kinds_of
from clvmodels.evaluation.pairs import Paired, PairedRanks
from clvmodels.evaluation.ranking import RANK_METRICS, IntArray
from clvmodels.forecast import tail_probabilities
from clvmodels.frames import to_pandas
from clvmodels.machine import available_cores
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.predicting import own_horizon
from clvmodels.predictive.counts import distribution_of
from clvmodels.purchases.design import Design
from clvmodels.rfm import RfmSplit
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.day_pairs import by_clock
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import FloatArray
from clvmodels.verdict import Status

_ROWS: Final = 250_000  # customers whose distributions are in memory at once
# So many know the parameters so well that a fifth of the draws, and 100 at least, change scores
# by a hundredth of what matters
_MANY: Final = 100_000
_FEW_DRAWS: Final = 100
Better = Literal["high", "low"]
OF_CUSTOMERS: Final = ("log_score", "crps", "interval_score", "relative_error", "total_error")
_SHOWN: Final = ("coverage", "total_bias")
# Score -> what is better
SCORES: Final[dict[str, Better]] = {
    "log_score": "high",
    "crps": "low",
    "interval_score": "low",
    "relative_error": "low",
    "total_error": "low",
    "total_interval_score": "low",
    **dict.fromkeys(RANK_METRICS, "high"),
}
_ALSO: Final = (*_SHOWN, "totals_inside", "verdict")


class Scored(NamedTuple):
    """What a model forecast at one date, customer by customer, shape (n,), and in total.

    Attributes
    ----------
    mean, log_score, crps, lower, upper : ndarray, shape (n,)
    total, total_lower, total_upper : float
    """

    mean: FloatArray
    log_score: FloatArray
    crps: FloatArray
    lower: FloatArray
    upper: FloatArray
    total: float
    total_lower: float
    total_upper: float


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """How well models forecast what customers bought after some dates.

    Attributes
    ----------
    table : DataFrame
        A row a model. Of customers, the mean over all at all dates: ``log_score`` (log
        probability of their count, greater is better), ``crps`` (continuous ranked
        probability score of the count), ``interval_score`` and ``coverage`` of their
        predictive intervals; ``relative_error``, the sum of ``|forecast - actual|`` over that of
        actual purchases. Of the ranking, the mean over dates: ``spearman``, ``gini``,
        ``top_found`` as in :class:`Backtest`. Of totals, the mean over dates:
        ``total_error``, ``|forecast / actual - 1|``; ``total_bias``, with its sign;
        ``total_interval_score``, over the actual total; ``totals_inside``, the share of
        dates whose total lies in the predictive interval. ``verdict``: the worst of its fits.
    differences : DataFrame
        For each score and model: ``best``, the model with the best score; ``difference``,
        what the model lacks to it (at least 0); ``se``, its standard error over customers
        and dates; NaN with totals of a single date.
    origins : DataFrame
        For each date and model: origin, train_end, test_end, customers, model, purchases
        (actual), forecast, lower, upper (predictive), inside, and the scores of that date.
    interval : float
        Probability of the intervals.
    """

    table: pd.DataFrame
    differences: pd.DataFrame
    origins: pd.DataFrame
    interval: float

    @property
    def dates(self) -> int:
        """At how many dates the models were judged."""
        return int(self.origins["origin"].nunique())

    @property
    def title(self) -> str:
        """Where the figures come from, in a line."""
        first = self.origins.drop_duplicates("origin")
        customers, when = first["customers"], first["train_end"]
        many = f"{customers.min():,}"
        many += "" if customers.min() == customers.max() else f" to {customers.max():,}"
        if self.dates == 1:
            return f"Forecasts for {many} customers on {when.iloc[0]}"
        return f"Forecasts for {many} customers at {self.dates} dates, {when.min()} to {when.max()}"


def held_out(
    reading: Reading,
    fittings: Mapping[str, Fitting],
    spans: list[Span],
    *,
    draws: int,
    interval: float,
    seed: int,
    begin: Callable[[str], None],
) -> HeldOut:
    """Fit every model at every date, and score what it forecast.

    Parameters
    ----------
    reading : Reading
        The log.
    fittings : mapping of str to Fitting
        The models.
    spans : list of Span
        Ends of calibrations and holdouts.
    draws : int
        Posterior draws to forecast with.
    interval : float
        Probability of the intervals.
    seed : int
        Of the samples of customers behind the errors of ranks.
    begin : callable
        Is told what begins.
    """
    sums = _Sums(list(fittings), seed, interval)
    for span in spans:
        calendar = reading.calendar
        until = calendar.date(span.train_end)
        begin(f"customers as of {until}")
        split, _ = reading.split(span)
        columns, actual, order = _customers(split)
        if not actual.any():
            raise SchemaError(
                f"None of the {len(actual):,} customers known on {until} buys again by "
                f"{calendar.date(span.test_end)}: use fewer origins, or a longer horizon."
            )
        horizon = span.length / split.train.scale.time_scaler
        found: dict[str, Scored] = {}
        for name, fitting in fittings.items():
            begin(f"{name} as of {until}")
            posterior = fitting.purchases(split.train)
            sums.note_verdict(name, posterior)
            own = by_clock(columns, posterior.metadata.clock)
            own = _with_strata(own, split, order, posterior.metadata.design)
            length = own_horizon(posterior, horizon, columns.last_day)
            found[name] = scored(posterior, own, actual, length, draws, interval)
        ends = [calendar.last_day(end) for end in (span.train_end, span.test_end)]
        facts = dict(zip(("train_end", "test_end"), ends, strict=True))
        sums.add(found, actual, sums.who(columns.customer_id), facts)
    return sums.result()


def _customers(split: RfmSplit) -> tuple[RfmColumns, FloatArray, IntArray]:
    """Customers of a calibration, those of one history together; what they bought; their rows."""
    columns = rfm_columns(split.train)
    order = np.lexsort((columns.t_x, columns.T, columns.x))
    bought = to_pandas(split.test)["test_frequency"].to_numpy(dtype=np.float64)
    return _some(columns, order), bought[order], order


def _with_strata(
    columns: RfmColumns, split: RfmSplit, order: IntArray, design: Design | None
) -> RfmColumns:
    """The same customers, with the stratum of each."""
    if design is None:
        return columns
    strata = with_strata(rfm_columns(split.train), design).stratum
    assert strata is not None
    return replace(columns, stratum=strata[order])


def _some(columns: RfmColumns, rows: Any) -> RfmColumns:
    names = ("customer_id", "x", "t_x", "T", *(() if columns.stratum is None else ("stratum",)))
    taken = {name: getattr(columns, name)[rows] for name in names}
    return replace(columns, **taken, m_bar=None, first_value=None, counted=None, frame=None)


def scored(
    posterior: PurchasePosterior,
    columns: RfmColumns,
    actual: FloatArray,
    horizon: float,
    draws: int,
    interval: float,
) -> Scored:
    """Forecast and score all customers, who come with those of one history together.

    A distribution is made for each history, and of so many customers at a time that memory
    does not grow with the base; of large bases by fewer draws.
    """
    if len(actual) > _MANY:
        draws = min(draws, max(draws // 5, _FEW_DRAWS))
    count = len(posterior.draws(draws)[posterior.facts.parameters[0].name])
    totals, parts = np.zeros((2, count)), []
    for begin in range(0, len(actual), _ROWS):
        rows = slice(begin, begin + _ROWS)
        found = distribution_of(
            posterior, _some(columns, rows), horizon, draws, available_cores(), totals
        )
        y = actual[rows]
        parts.append((found.mean, found.log_score(y), found.crps(y), *found.interval(interval)))
    mean, log_score, crps, low, high = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Scored(mean, log_score, crps, low, high, float(mean.sum()), *_ends(totals, interval))


def _ends(totals: FloatArray, interval: float) -> tuple[float, float]:
    """Ends of the predictive interval of the total: a normal distribution for each draw.

    Given the parameters customers are independent, and many.
    """
    mean, sd = totals[0], np.sqrt(np.maximum(totals[1], 0.0))
    if not (sd > 0.0).any():
        lower, upper = (float(end) for end in np.quantile(mean, tail_probabilities(interval)))
        return lower, upper
    sd = np.maximum(sd, 1e-12 * sd.max())
    low, high = float((mean - 12.0 * sd).min()), float((mean + 12.0 * sd).max())

    def end(probability: float) -> float:
        return float(brentq(lambda t: ndtr((t - mean) / sd).mean() - probability, low, high))

    lower, upper = (end(one) for one in tail_probabilities(interval))
    return max(lower, 0.0), upper


class _Sums:
    """Scores of all models over the dates, as they come."""

    def __init__(self, names: list[str], seed: int, interval: float) -> None:
        self._names, self._interval = names, interval
        self._scores = {score: Paired.of(len(names)) for score in (*OF_CUSTOMERS, *_SHOWN)}
        self._ranks = PairedRanks(seed)
        self._ids = pd.Index([])
        self._rows: list[dict[str, Any]] = []
        self._verdicts: dict[str, Status] = dict.fromkeys(names, "pass")

    def note_verdict(self, name: str, posterior: PurchasePosterior) -> None:
        """Keep the worst verdict of a model's fits."""
        if not posterior.verdict.ok:
            self._verdicts[name] = posterior.verdict.status

    def who(self, ids: npt.NDArray[np.generic]) -> IntArray:
        """Return the number of each customer, the same at all dates."""
        mine = pd.Index(ids)
        place = self._ids.get_indexer(mine) if len(self._ids) else np.full(len(mine), -1)
        new = np.flatnonzero(place < 0)
        place[new] = len(self._ids) + np.arange(len(new))
        self._ids = self._ids.append(mine[new]) if len(self._ids) else mine
        return np.asarray(place, dtype=np.int64)

    def add(
        self,
        found: Mapping[str, Scored],
        actual: FloatArray,
        who: IntArray,
        facts: Mapping[str, Any],
    ) -> None:
        """Add one date."""
        for score, (values, weight) in self._by_customer(found, actual).items():
            self._scores[score].add(values, weight, who)
        means = np.stack([one.mean for one in found.values()])
        kind, one_each = kinds_of([actual, *means])
        self._ranks.add(actual[one_each], means[:, one_each], kind, who, TOP)
        self._note_date(found, actual, facts)

    def _by_customer(
        self, found: Mapping[str, Scored], actual: FloatArray
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Scores of every customer by each model, and what their sum is divided by."""
        total, ones, models = float(actual.sum()), np.ones(len(actual)), list(found.values())
        apart = np.stack([one.mean - actual for one in models])
        signs = np.sign([[one.total - total] for one in models])
        inside = [losses.covered(actual, one.lower, one.upper) for one in models]
        ends = [(one.lower, one.upper) for one in models]
        missed = [losses.interval_score(actual, *both, self._interval) for both in ends]
        share = actual / total
        return {
            "log_score": (np.stack([one.log_score for one in models]), ones),
            "crps": (np.stack([one.crps for one in models]), ones),
            "interval_score": (np.stack(missed), ones),
            "coverage": (np.stack(inside), ones),
            "relative_error": (np.abs(apart), actual),
            "total_error": (signs * apart / total, share),
            "total_bias": (apart / total, share),
        }

    def _note_date(
        self, found: Mapping[str, Scored], actual: FloatArray, facts: Mapping[str, Any]
    ) -> None:
        total = actual.sum()
        sums = {score: one.dates[-1] for score, one in self._scores.items()}
        ranks = self._ranks.dates[-1][:, :, 0]
        for i, (name, one) in enumerate(found.items()):
            lower, upper = np.array([one.total_lower]), np.array([one.total_upper])
            (missed,) = losses.interval_score(total, lower, upper, self._interval)
            self._rows.append(
                {
                    "origin": len(self._ranks.dates),
                    **facts,
                    "customers": len(actual),
                    "model": name,
                    "purchases": float(total),
                    "forecast": one.total,
                    "lower": one.total_lower,
                    "upper": one.total_upper,
                    "inside": bool(one.total_lower <= total <= one.total_upper),
                    **{score: float(values[i] / values[-1]) for score, values in sums.items()},
                    "total_interval_score": float(missed / total),
                    **dict(zip(RANK_METRICS, map(float, ranks[i]), strict=True)),
                }
            )

    def result(self) -> HeldOut:
        """Everything together."""
        origins = pd.DataFrame(self._rows)
        by_model = origins.groupby("model", sort=False)
        columns: dict[str, Any] = {n: one.values for n, one in self._scores.items()}
        columns |= {name: self._ranks.values(name) for name in RANK_METRICS}
        table = pd.DataFrame(columns, index=pd.Index(self._names))
        table["total_interval_score"] = by_model["total_interval_score"].mean()
        table["totals_inside"] = by_model["inside"].mean()
        table["verdict"] = list(self._verdicts.values())
        wide = origins.pivot_table(
            index="origin", columns="model", values="total_interval_score", sort=False
        )
        differences = pd.DataFrame(list(self._differences(table, wide)))
        return HeldOut(table[[*SCORES, *_ALSO]], differences, origins, self._interval)

    def _differences(self, table: pd.DataFrame, totals: pd.DataFrame) -> Iterator[dict[str, Any]]:
        for score, better in SCORES.items():
            values = table[score].to_numpy()
            best = self._names[int(values.argmax() if better == "high" else values.argmin())]
            for name in self._names:
                apart = (best, name) if better == "high" else (name, best)
                if score == "total_interval_score":
                    by_date = totals[apart[0]] - totals[apart[1]]
                    found = float(by_date.mean()), float(by_date.std() / math.sqrt(len(by_date)))
                elif score in RANK_METRICS:
                    found = self._ranks.difference(score, *map(self._names.index, apart))
                else:
                    found = self._scores[score].difference(*map(self._names.index, apart))
                row = {"score": score, "model": name, "best": best}
                yield row | {"difference": found[0], "se": found[1]}
