"""Which model describes the purchases of a base best: leave-one-out, on distinct histories.

Vehtari, A., Gelman, A. & Gabry, J. (2017). Practical Bayesian model evaluation using
leave-one-out cross-validation and WAIC. Statistics and Computing 27, 1413-1432; weights
after Yao, Y., Vehtari, A., Simpson, D. & Gelman, A. (2018). Using stacking to average
Bayesian predictive distributions. Bayesian Analysis 13(3), 917-1003.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clvmodels.errors import SchemaError
from clvmodels.formulas.psis import leave_one_out, tail_size
from clvmodels.frames import Frame
from clvmodels.keywords import named
from clvmodels.machine import available_cores
from clvmodels.posterior.predicting import columns_of
from clvmodels.posterior.scorable import purchases_of, scorable
from clvmodels.rfm.histories import IntArray, PurchaseHistories, purchase_histories
from clvmodels.schema import FloatArray, TimeUnit, check_whole, scale_said, shown
from clvmodels.verdict import MAX_KHAT

if TYPE_CHECKING:
    from clvmodels.posterior.purchases import PurchasePosterior
    from clvmodels.purchases import PurchaseModel
    from clvmodels.rfm import RfmTable

_CELLS: Final = 1_000_000  # of draws by histories, in memory at once for each core
_LEAST_DRAWS: Final = 100
# A difference is clear above so many standard errors and so much elpd: Sivula, T., Magnusson,
# M., Matamoros, A. A. & Vehtari, A. (2020). Uncertainty in Bayesian leave-one-out
# cross-validation based model comparison. arXiv:2008.10296.
_CLEAR_ERRORS: Final = 2.0
_CLEAR_ELPD: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Models side by side, the best first.

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
    """

    table: pd.DataFrame
    customers: int
    histories: int
    draws: Mapping[str, int]

    @property
    def best(self) -> str:
        """The model with the greatest elpd."""
        return str(self.table.index[0])

    @property
    def weights(self) -> dict[str, float]:
        """Stacking weights by model; they sum to 1."""
        return {str(name): float(value) for name, value in self.table["weight"].items()}

    @property
    def words(self) -> str:
        """What the table says, in sentences."""
        said = [_who_is_best(self.table)]
        if (bad := self.table.index[self.table["verdict"] == "fail"]).size:
            said.append(f"The fit of {_listed(bad)} did not converge: do not rely on its row.")
        if (bad := self.table.index[self.table["doubtful"] > 0]).size:
            said.append(
                f"For some customers the estimate of {_listed(bad)} rests on few draws "
                f"(Pareto shape above {MAX_KHAT}): take more draws."
            )
        said.append(
            "This compares how well models describe the purchases so far; which of them "
            "forecasts better is for clvmodels.backtest to say."
        )
        return " ".join(said)

    def __str__(self) -> str:
        head = f"{self.customers:,} customers, {self.histories:,} different histories"
        return f"{head}\n\n{_shown(self.table).to_string()}\n\n{self.words}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = f"{self.customers:,} customers, {self.histories:,} different histories"
        return f"<p>{head}</p>{_shown(self.table).to_html()}<p>{escape(self.words)}</p>"


@named
def compare(
    posteriors: Mapping[str, Any],
    rfm: RfmTable | Frame,
    *,
    draws: int = 500,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> Comparison:
    """Compare purchase models on one base by leave-one-out cross-validation.

    Every customer counts, but one density is computed for all who share a history, so that
    a million customers take seconds. Spend has no part in it.

    Parameters
    ----------
    posteriors : mapping of str to CLVPosterior or BetaGeoPosterior
        Two or more, by the names that they have in the result. They should be fitted to
        this base.
    rfm : RfmTable or frame
        The base, in the posteriors' unit of time.
    draws : int
        Use this many of each posterior, evenly spaced over all draws.
    time_unit, time_scaler : optional
        The unit that a frame's recency and T are in.

    Returns
    -------
    Comparison
        The models by falling elpd, with differences, standard errors and weights.

    Raises
    ------
    SchemaError
        There are fewer than two posteriors, one of them is not of purchases or is a single
        point, or the table is not an RFM table.
    DomainError
        ``draws`` is not a whole number of at least 100.
    TimeUnitError
        A posterior is in another unit of time than the table.

    Notes
    -----
    Of draws theta_s from the posterior of all, the density of a history left out is the
    weighted harmonic mean of p(y | theta_s), with weights smoothed by a Pareto distribution
    (Vehtari et al. 2024). All customers with one history have
    the same terms, so sums and standard errors are taken with counts. The weights maximise
    the log density of the mixture (Yao et al. 2018, eq. 5).

    Examples
    --------
    >>> import clvmodels as clv
    >>> rfm = clv.simulate.simulate_rfm(300, r=0.5, alpha=9.0, a=0.8, b=2.5, T=50.0, seed=1)
    >>> near = clv.BetaGeoPosterior.from_draws(
    ...     r=[0.5] * 100, alpha=[9.0] * 100, a=[0.8] * 100, b=[2.5] * 100
    ... )
    >>> far = clv.BetaGeoPosterior.from_draws(
    ...     r=[2.0] * 100, alpha=[9.0] * 100, a=[0.8] * 100, b=[2.5] * 100
    ... )
    >>> clv.evaluation.compare({"near": near, "far": far}, rfm).best
    'near'
    """
    count = check_whole("draws", draws, least=_LEAST_DRAWS)
    said = scale_said(time_unit, time_scaler)
    models = _checked(posteriors)
    tables = {name: columns_of(one, rfm, said) for name, one in models.items()}
    histories = purchase_histories(next(iter(tables.values())))
    terms = {name: _terms(one, histories, count) for name, one in models.items()}
    elpd = np.stack([one.elpd for one in terms.values()])
    table = _table(histories.count, terms, stacking_weights(elpd, histories.count))
    table["verdict"] = [one.metadata.verdict.status for one in models.values()]
    used = {name: min(count, one.draws_total) for name, one in models.items()}
    table = table.sort_values("elpd", ascending=False, kind="stable")
    return Comparison(table, histories.customers, len(histories.count), used)


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


def _checked(posteriors: Mapping[str, Any]) -> dict[str, PurchasePosterior]:
    if not isinstance(posteriors, Mapping) or len(posteriors) < 2:
        raise SchemaError(
            f"posteriors={shown(posteriors)} must be two posteriors or more by name: pass "
            "{'bgnbd': posterior, 'mbgnbd': another}."
        )
    found = {str(name): purchases_of(scorable(one)) for name, one in posteriors.items()}
    for name, one in found.items():
        if one.draws_total < _LEAST_DRAWS:
            raise SchemaError(
                f"The posterior {shown(name)} has {one.draws_total} draws, and leave-one-out needs "
                f"{_LEAST_DRAWS} at least: fit it by nuts or laplace."
            )
    _refuse_unlike({name: one.facts for name, one in found.items()})
    return found


def _refuse_unlike(models: Mapping[str, PurchaseModel]) -> None:
    """Densities of another k are of the gaps too, which summaries have not."""
    (first, one), *others = models.items()
    for name, other in others:
        if other.regularity != one.regularity:
            raise SchemaError(
                f"The posteriors {shown(first)} and {shown(name)} are of {one.name} and "
                f"{other.name}, whose likelihoods differ by the gaps between purchases, which a "
                "table does not have: compare models of one regularity, or backtest both."
            )


def _terms(posterior: PurchasePosterior, histories: PurchaseHistories, count: int) -> _Terms:
    """Densities of all histories; those of nobody's time (T = 0) are 1."""
    draws = posterior.draws(min(count, posterior.draws_total))
    size = len(next(iter(draws.values())))
    H = len(histories.count)
    found = _Terms(np.zeros(H), np.zeros(H), np.full(H, -np.inf))
    watched = np.flatnonzero((histories.T > 0) | (histories.x > 0))

    def fill(rows: IntArray) -> None:
        # One x at a time: what depends on it and the draw alone, such as gamma functions, is
        # then computed once, which makes this four times as fast
        x, t_x, T = histories.x[rows[:1], None], histories.t_x[rows, None], histories.T[rows, None]
        values = np.ascontiguousarray(posterior.formulas.log_likelihood(x, t_x, T, **draws))
        parts = [np.empty(len(rows)) for _ in range(3)]
        leave_one_out(values, tail_size(size), *parts)
        for whole, part in zip((found.elpd, found.lppd, found.khat), parts, strict=True):
            whole[rows] = part

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(fill, _blocks(watched, histories.x, max(_CELLS // size, 1))))
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


def _who_is_best(table: pd.DataFrame) -> str:
    best = str(table.index[0])
    rest = table.iloc[1:]
    unclear = (rest["elpd_diff"] <= _CLEAR_ERRORS * rest["dse"]) | (rest["elpd_diff"] < _CLEAR_ELPD)
    if unclear.any():
        return (
            f"The base does not tell {best} from {_listed(rest.index[unclear])}: the difference in "
            f"elpd is within {_CLEAR_ERRORS:g} standard errors, or below {_CLEAR_ELPD:g}."
        )
    second = table.iloc[1]
    return (
        f"{best} describes the base best: its elpd is {second['elpd_diff']:,.1f} above that of "
        f"{table.index[1]} (standard error {second['dse']:,.1f})."
    )


def _listed(names: Any) -> str:
    *most, last = [str(name) for name in names]
    return f"{', '.join(most)} and {last}" if most else last


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    wide = table.copy()
    for name in ("elpd", "se", "p_loo", "elpd_diff", "dse"):
        wide[name] = wide[name].map("{:,.1f}".format)
    wide["weight"] = wide["weight"].map("{:.2f}".format)
    wide["khat"] = wide["khat"].map("{:.2f}".format)
    wide["doubtful"] = wide["doubtful"].map("{:,}".format)
    return wide
