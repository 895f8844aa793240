"""Which model describes the purchases of a base best: leave-one-out, on distinct histories.

Vehtari, A., Gelman, A. & Gabry, J. (2017). Practical Bayesian model evaluation using
leave-one-out cross-validation and WAIC. Statistics and Computing 27, 1413-1432; weights
after Yao, Y., Vehtari, A., Simpson, D. & Gelman, A. (2018). Using stacking to average
Bayesian predictive distributions. Bayesian Analysis 13(3), 917-1003.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from clvmodels.errors import OURS, SchemaError
from clvmodels.formulas.psis import leave_one_out, tail_size
from clvmodels.frames import Frame
from clvmodels.machine import available_cores
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.stacking import StackPosterior
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.rfm.gaps import gaps_of
from clvmodels.rfm.histories import (
    IntArray,
    PurchaseHistories,
    RfmColumns,
    purchase_histories,
)
from clvmodels.schema import FloatArray, TimeScale, shown
from clvmodels.verdict import MAX_KHAT

if TYPE_CHECKING:
    from clvmodels.posterior.purchases import PurchasePosterior
    from clvmodels.rfm import RfmTable

_CELLS: Final = 1_000_000  # of draws by histories, in memory at once for each core
LEAST_DRAWS: Final = 100
# A difference is clear above so many standard errors and so much elpd: Sivula, T., Magnusson,
# M., Matamoros, A. A. & Vehtari, A. (2020). Uncertainty in Bayesian leave-one-out
# cross-validation based model comparison. arXiv:2008.10296.
CLEAR_ERRORS: Final = 2.0
CLEAR_ELPD: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Timings:
    """How well models describe the purchases of a base, the best first.

    Attributes
    ----------
    table : DataFrame
        As `clvmodels.Comparison` has it.
    customers, histories : int
        Of the base, and how many different histories they have.
    draws : mapping of str to int
        How many were used of each.
    """

    table: pd.DataFrame
    customers: int
    histories: int
    draws: Mapping[str, int]


def timings(
    models: Mapping[str, PurchasePosterior],
    rfm: RfmTable | Frame,
    said: TimeScale | None,
    count: int,
) -> Timings:
    """Leave each history out in turn, under every model.

    Parameters
    ----------
    models : mapping of str to PurchasePosterior
        By the names that they have in the result.
    rfm : RfmTable or frame
        The base, in the posteriors' unit of time.
    said : TimeScale, optional
        The unit that a frame is said to be in.
    count : int
        Use so many draws of each.

    Raises
    ------
    SchemaError
        A posterior is a single point, or the table is not an RFM table.
    TimeUnitError
        A posterior is in another unit of time than the table.

    Notes
    -----
    Models of different regularity are compared customer by customer, since their densities
    are of the gaps between purchases too, which a history does not have, and so are models
    with covariates.
    """
    _check_draws(models)
    tables = {name: columns_of(one, rfm, said) for name, one in models.items()}
    return timings_of(models, next(iter(tables.values())), count)


def timings_of(models: Mapping[str, PurchasePosterior], columns: RfmColumns, count: int) -> Timings:
    """The same of a table that was checked already."""
    columns = replace(columns, stratum=None)
    histories = purchase_histories(columns)
    _warn_of_other_bases(models, histories)
    tables = {name: with_strata(columns, one.metadata.design) for name, one in models.items()}
    powers = {name: one.formulas.gap_power for name, one in models.items()}
    gaps = gaps_of(columns) if len(set(powers.values())) > 1 else np.zeros(len(columns))
    terms = {
        name: _terms(one, purchase_histories(tables[name]), count) for name, one in models.items()
    }
    customers = histories.count
    if gaps.any() or any(one.stratum is not None for one in tables.values()):
        terms, customers = _by_customer(terms, powers, tables, gaps), np.ones(len(columns))
    elpd = np.stack([one.elpd for one in terms.values()])
    table = _table(customers, terms, stacking_weights(elpd, customers))
    table["verdict"] = [one.metadata.verdict.status for one in models.values()]
    used = {name: min(count, one.draws_total) for name, one in models.items()}
    table = table.sort_values("elpd", ascending=False, kind="stable")
    return Timings(table, histories.customers, len(histories.count), used)


def _warn_of_other_bases(
    models: Mapping[str, PurchasePosterior], histories: PurchaseHistories
) -> None:
    own = histories.fingerprint()
    others = [n for n, one in models.items() if one.metadata.fingerprint not in (None, own)]
    if others:
        warnings.warn(
            f"Fitted to other customers or another date than this table: {', '.join(others)}. "
            "Leave-one-out takes a customer away from what a fit has seen, so the comparison does "
            "not say which of the models is better here: fit all of them to this table.",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )


def unclear_elpd(rest: pd.DataFrame) -> pd.Series[bool]:
    """Whether the base does not tell models from the one with the greatest elpd."""
    near = rest["elpd_diff"] <= CLEAR_ERRORS * rest["dse"]
    return near | (rest["elpd_diff"] < CLEAR_ELPD)


def stacking_weights(elpd: FloatArray, count: FloatArray) -> FloatArray:
    """Weights of the mixture of models whose left-out densities are greatest.

    Parameters
    ----------
    elpd : ndarray, shape (M, H)
        Leave-one-out log density of each history under each model.
    count : ndarray, shape (H,)
        Customers who have it.

    Returns
    -------
    ndarray, shape (M,)
        At least 0, of sum 1.
    """
    from scipy.optimize import minimize

    density = np.exp(elpd - elpd.max(axis=0))
    share = count / count.sum()

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        mixed = np.maximum(weights @ density, np.finfo(float).tiny)
        return -float(share @ np.log(mixed)), -(density @ (share / mixed))

    models = len(elpd)
    found = minimize(
        loss,
        np.full(models, 1.0 / models),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(found.x, 0.0, None)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True, slots=True)
class _Terms:
    """By history, shape (H,) each: log densities left out and not, and Pareto shapes."""

    elpd: FloatArray
    lppd: FloatArray
    khat: FloatArray


def _check_draws(models: Mapping[str, PurchasePosterior]) -> None:
    for name, one in models.items():
        if one.metadata.clock is not None:
            raise SchemaError(
                f"The posterior {shown(name)} has a clock, under which a customer's likelihood "
                "depends on the days of all purchases, which a table does not have by customer: "
                "compare it with others by backtest, at the same dates."
            )
        if one.draws_total < LEAST_DRAWS:
            raise SchemaError(
                f"The posterior {shown(name)} has {one.draws_total} draws, and leave-one-out needs "
                f"{LEAST_DRAWS} at least: fit it by nuts or laplace."
            )


def _by_customer(
    terms: Mapping[str, _Terms],
    powers: Mapping[str, int],
    tables: Mapping[str, RfmColumns],
    gaps: FloatArray,
) -> dict[str, _Terms]:
    """Terms of every customer, with what a likelihood owes to the gaps alone."""
    found = {}
    for name, one in terms.items():
        _, place = distinct_rows(tables[name].kind, tables[name].T, tables[name].t_x)
        owed = powers[name] * gaps
        found[name] = _Terms(one.elpd[place] + owed, one.lppd[place] + owed, one.khat[place])
    return found


def _of_stack(stack: StackPosterior, histories: PurchaseHistories, count: int) -> _Terms:
    """Densities of a mixture: its members', each with its own history left out."""
    shares = np.array(list(stack.weights.values()))[:, None]
    parts = [_terms(one, histories, count) for one in stack.members.values()]
    return _Terms(
        np.asarray(logsumexp([one.elpd for one in parts], axis=0, b=shares)),
        np.asarray(logsumexp([one.lppd for one in parts], axis=0, b=shares)),
        np.max([one.khat for one in parts], axis=0),
    )


def _terms(posterior: PurchasePosterior, histories: PurchaseHistories, count: int) -> _Terms:
    """Densities of all histories; those of nobody's time (T = 0) are 1."""
    if isinstance(posterior, StackPosterior):
        return _of_stack(posterior, histories, count)
    draws = posterior.draws(min(count, posterior.draws_total))
    size = len(next(iter(draws.values())))
    H = len(histories.count)
    found = _Terms(np.zeros(H), np.zeros(H), np.full(H, -np.inf))
    kind, watched = histories.kind, np.flatnonzero((histories.T > 0) | (histories.x > 0))

    def fill(rows: IntArray) -> None:
        # One x at a time: what depends on it and the draw alone, such as gamma functions, is
        # then computed once, which makes this four times as fast
        x, t_x, T = kind[rows[:1], None], histories.t_x[rows, None], histories.T[rows, None]
        values = np.ascontiguousarray(posterior.formulas.log_likelihood(x, t_x, T, **draws))
        parts = [np.empty(len(rows)) for _ in range(3)]
        leave_one_out(values, tail_size(size), *parts)
        for whole, part in zip((found.elpd, found.lppd, found.khat), parts, strict=True):
            whole[rows] = part

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(fill, _blocks(watched, kind, max(_CELLS // size, 1))))
    return found


def _blocks(rows: IntArray, x: FloatArray, size: int) -> Iterator[IntArray]:
    """Rows of one x at a time, at most so many; histories come ordered by x."""
    for same in np.split(rows, np.flatnonzero(np.diff(x[rows])) + 1):
        yield from (same[begin : begin + size] for begin in range(0, len(same), size))


def _table(count: FloatArray, terms: Mapping[str, _Terms], weights: FloatArray) -> pd.DataFrame:
    sums = {name: float(count @ one.elpd) for name, one in terms.items()}
    best = terms[max(sums, key=lambda name: sums[name])]
    return pd.DataFrame(
        {
            "elpd": sums,
            "se": {name: _standard_error(one.elpd, count) for name, one in terms.items()},
            "p_loo": {n: float(count @ (one.lppd - one.elpd)) for n, one in terms.items()},
            "elpd_diff": {n: float(count @ (best.elpd - one.elpd)) for n, one in terms.items()},
            "dse": {n: _standard_error(best.elpd - o.elpd, count) for n, o in terms.items()},
            "weight": dict(zip(terms, weights, strict=True)),
            "khat": {name: float(one.khat.max()) for name, one in terms.items()},
            "doubtful": {name: _doubtful(one.khat, count) for name, one in terms.items()},
        }
    )


def _standard_error(terms: FloatArray, count: FloatArray) -> float:
    """Of a sum over customers, shared histories and all."""
    customers = count.sum()
    mean = count @ terms / customers
    return math.sqrt(float(customers * (count @ (terms - mean) ** 2) / max(customers - 1.0, 1.0)))


def _doubtful(khat: FloatArray, count: FloatArray) -> int:
    return int(count[~(khat <= MAX_KHAT)].sum())
