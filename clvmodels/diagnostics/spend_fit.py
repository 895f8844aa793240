"""Does the spend model fit: density against data, and the independence that it assumes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from scipy.special import betainc, betaincc
from scipy.stats import rankdata

from clvmodels import limits
from clvmodels.diagnostics.record import Figure
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import number, percent, short
from clvmodels.forecast.spending import split_effects
from clvmodels.schema import FloatArray
from clvmodels.verdict import Check

_BINS: Final = 30
_DRAWS: Final = 60
_MOST_X: Final = 150  # frequencies that are told apart, in all strata
_LEAST_X: Final = 10  # in each
_LEAST: Final = 2
_GROUPS: Final = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 15), (16, 2**53))


SpendHistogram = tuple[FloatArray, FloatArray, FloatArray]


def spend_checks(study: Study, histogram: SpendHistogram | None) -> Iterator[Check]:
    """Histogram of mean spend, correlation with frequency, draws without a mean."""
    if study.spend is None:
        return
    yield _histogram_check(study, histogram)
    yield _correlation_check(study)
    share = float(np.mean(study.spend.draws()["q"] <= 1.0))
    yield limits.judged(
        "share of draws in which the mean spend is infinite",
        share,
        0.0,
        f"In {percent(share)} of the draws the mean spend of all customers is infinite (q <= 1), "
        "so values of customers without repeats are not given: use a prior of q above 1, or a "
        "longer log.",
        otherwise="fail",
        unit="share",
    )


def _histogram_check(study: Study, found: SpendHistogram | None) -> Check:
    name = "share of repeat customers whom the model expects to spend a different mean amount"
    limit = limits.MAX_SPEND_MISPLACED
    # The spread of amounts is not their mean: totals and order hold where it is off.
    how: dict[str, Any] = {"unit": "share", "bears_on": ("customers",)}
    if found is None:
        why_not = "There is no repeat spend to look at."
        return limits.unavailable(name, why_not, limit, side="at most", **how)
    _, actual, expected = found
    return limits.judged(
        name,
        float(0.5 * np.abs(expected.mean(axis=0) - actual).sum()),
        max(limit, _by_chance(study, expected)),
        "Amounts are not distributed as Gamma-Gamma expects (a few fixed prices, or very large "
        "orders): be careful with single customers' values.",
        fail_from=max(limits.TOO_MUCH_SPEND_MISPLACED, _by_chance(study, expected)),
        **how,
    )


def _by_chance(study: Study, expected: FloatArray) -> float:
    """99 % quantile of the difference between two histograms that chance alone makes."""
    spend = study.repeat_spend
    assert spend is not None
    shares = expected.mean(axis=0)
    shares = shares / shares.sum()
    rng = np.random.default_rng(study.question.random_seed)
    drawn = rng.multinomial(len(spend[0]), shares, size=200) / len(spend[0])
    return float(np.quantile(0.5 * np.abs(drawn - shares).sum(axis=1), 0.99))


def spend_histogram(study: Study) -> SpendHistogram | None:
    """Shares of repeat customers by mean spend: what there are, what the model expects.

    The mean m of x purchases is below some amount with the probability that a
    Beta(p x, q) is below x m / (v + x m).

    Returns
    -------
    edges : ndarray, shape (B + 1,)
        Between the 0.5 % and 99.5 % quantiles, evenly spaced in logarithms, without the
        open ends.
    actual : ndarray, shape (B + 2,)
        With an open bin on either side.
    expected : ndarray, shape (S, B + 2)
        In each draw.
    """
    spend = study.repeat_spend
    if study.spend is None or spend is None or len(spend[0]) < _LEAST:
        return None
    x, m_bar = spend
    low, high = np.quantile(m_bar, [0.005, 0.995]).tolist()
    if not low < high:
        return None
    edges = np.geomspace(low, high, _BINS + 1)
    place = np.searchsorted(edges, m_bar, side="right")
    actual = np.bincount(place, minlength=len(edges) + 1) / len(m_bar)
    draws, effects = split_effects(study.spend.draws(_DRAWS), study.spend.metadata.design)
    strata = study.repeat_strata
    each = np.unique(strata)
    below, above = np.zeros((2, len(draws["p"]), len(edges)))
    for g in each:
        times = 1.0 if effects is None else effects.times(int(g))
        counts, customers = _frequencies(x[strata == g], max(_MOST_X // len(each), _LEAST_X))
        lower, upper = _beside(edges, counts, customers, draws | {"v": draws["v"] * times})
        below, above = below + lower, above + upper
    rising = np.diff(below / len(x), axis=1, prepend=0.0, append=1.0)
    falling = -np.diff(above / len(x), axis=1, prepend=1.0, append=0.0)
    # Of two numbers near 1 the difference is rounding
    return edges, actual, np.where(np.arange(rising.shape[1]) < _BINS // 2, rising, falling)


def _beside(
    edges: FloatArray, counts: FloatArray, customers: FloatArray, draws: dict[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Customers whose mean spend is expected below and above each edge, in each draw."""
    below, above = np.empty((2, len(draws["p"]), len(edges)))
    total = counts[:, None] * edges
    for s in range(len(below)):
        p, q, v = (draws[name][s] for name in ("p", "q", "v"))
        at = p * counts[:, None], q, total / (v + total)
        below[s], above[s] = customers @ betainc(*at), customers @ betaincc(*at)
    return below, above


def _frequencies(x: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Distinct frequencies and their customers; the rare large ones stand together."""
    counts, customers = np.unique(x, return_counts=True)
    if len(counts) <= most:
        return counts, customers.astype(np.float64)
    group = np.minimum(np.arange(len(counts)), most - 1)
    weight = np.bincount(group, weights=customers)
    return np.bincount(group, weights=customers * counts) / weight, np.asarray(weight)


def at_average(study: Study) -> tuple[FloatArray, FloatArray] | None:
    """Frequency and mean spend of repeat customers, less what covariates say; None without."""
    spend, fitted = study.repeat_spend, study.spend
    if spend is None or fitted is None or fitted.metadata.design is None:
        return spend
    _, effects = split_effects(fitted.draws(_DRAWS), fitted.metadata.design)
    assert effects is not None
    strata, place = np.unique(study.repeat_strata, return_inverse=True)
    times = np.array([np.exp(np.mean(np.log(effects.times(int(g))))) for g in strata])
    return spend[0], spend[1] / times[place]


def correlation(study: Study) -> tuple[float, float] | None:
    """Rank correlation and correlation of frequency and mean spend; None without spend.

    Where spend has covariates it is of what they leave.
    """
    spend = at_average(study)
    if spend is None or len(spend[0]) < _LEAST + 1:
        return None
    x, m_bar = spend
    if np.ptp(x) == 0 or np.ptp(m_bar) == 0:
        return None
    ranks = np.corrcoef(rankdata(x), rankdata(m_bar))[0, 1]
    return float(ranks), float(np.corrcoef(x, m_bar)[0, 1])


def _correlation_check(study: Study) -> Check:
    name = "rank correlation of frequency and mean spend"
    how: dict[str, Any] = {"bears_on": ("ranking", "customers")}
    found = correlation(study)
    if found is None:
        why_not = "There are too few different repeat customers."
        return limits.unavailable(name, why_not, limits.MAX_CORRELATION, side="within", **how)
    said = f"Rank correlation {found[0]:.2f}, plain correlation {found[1]:.2f}"
    return limits.judged(
        name,
        found[0],
        limits.MAX_CORRELATION,
        f"{said}: the model takes them to be independent, so values of frequent buyers are off; "
        "let spend go by frequency, covariates=[Pooled('frequency', ordered=True)], or by what "
        "explains it.",
        fine=f"{said}: close enough to the independence that the model assumes.",
        within=True,
        **how,
    )


# --- figures ----------------------------------------------------------------------------


def spend_figures(study: Study, histogram: SpendHistogram | None) -> Iterator[Figure]:
    """Density of mean spend, and spend by frequency."""
    if histogram is not None:
        yield _density_figure(study, *histogram)
    if correlation(study) is not None:
        yield _by_frequency(study)


def _density_figure(
    study: Study, edges: FloatArray, actual: FloatArray, expected: FloatArray
) -> Figure:
    share = float(0.5 * np.abs(expected.mean(axis=0) - actual).sum())
    width = np.diff(np.log(edges))
    tail = (1.0 - study.question.interval) / 2.0
    certain = study.spend is None or study.spend.certain
    lower, upper = np.quantile(expected[:, 1:-1] / width, [tail, 1.0 - tail], axis=0)
    middle = np.sqrt(edges[1:] * edges[:-1])
    peaks = (
        middle[int(np.argmax(actual[1:-1]))],
        middle[int(np.argmax(expected.mean(axis=0)[1:-1]))],
    )
    return Figure(
        key="spend-density",
        kind="spend_density",
        title=f"Bars and line differ by {percent(share)} of the customers",
        caption=(
            "Mean spend per purchase of repeat customers, on a logarithmic axis: data (bars) and "
            "what the model expects of customers with as many purchases (line"
            + (")." if certain else f", with the {percent(study.question.interval)} interval).")
        ),
        alt=(
            f"Mean spend of repeat customers: most lie near {number(float(peaks[0]))}, the model "
            f"expects most near {number(float(peaks[1]))}; {percent(share)} lie elsewhere than "
            "expected."
        ),
        data={
            "edges": short(edges),
            "actual": short(actual[1:-1] / width),
            "expected": short((expected[:, 1:-1] / width).mean(axis=0)),
            "lower": None if certain else short(lower),
            "upper": None if certain else short(upper),
            "currency": study.question.currency,
        },
    )


def _by_frequency(study: Study) -> Figure:
    spend, found = at_average(study), correlation(study)
    assert spend is not None
    assert found is not None
    x, m_bar = spend
    labels, rows, customers = [], [], []
    for first, last in _GROUPS:
        values = m_bar[(x >= first) & (x <= last)]
        if len(values):
            labels.append(_group_label(first, last))
            customers.append(len(values))
            rows.append(np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9]))
    quantiles = np.stack(rows, axis=1)
    return Figure(
        key="spend-by-frequency",
        kind="spend_by_frequency",
        title="Customers who come back more often spend "
        + ("a little " if abs(found[0]) <= limits.MAX_CORRELATION else "")
        + ("more" if found[0] > 0 else "less")
        + f" per purchase (rank correlation {found[0]:.2f})",
        caption=(
            "Mean spend per purchase by number of repeats: median (line), the middle half (box) "
            "and the middle 80 % (whiskers)"
            + (", as multiples of what covariates expect" if _has_covariates(study) else "")
            + ". The spend model assumes that the boxes are level."
        ),
        alt="; ".join(
            f"{label} repeats: median {number(float(m))}"
            for label, m in zip(labels, quantiles[2], strict=True)
        ),
        data={
            "groups": labels,
            "customers": customers,
            "quantiles": [short(row) for row in quantiles],
            "currency": study.question.currency,
        },
    )


def _has_covariates(study: Study) -> bool:
    return study.spend is not None and study.spend.metadata.design is not None


def _group_label(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first}+" if last > 1_000_000 else f"{first}-{last}"
