"""How fast a posterior is, and how right: against pymc-marketing and against NUTS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bases import base_parquet
from benchmarks.measure import Measured, run
from benchmarks.table import Row

CHAINS, DRAWS = 4, 1000
PARETO = "paretonbd"


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure the table of the fits, row by row.

    Parameters
    ----------
    large : bool
        Whether to measure the bases of one and ten million customers too.
    """
    yield from _cold()
    yield from _hundred_thousand()
    yield from _hundred_thousand_pareto()
    if large:
        yield from _million()
        yield from _million_pareto()
        yield from _ten_million()


def _cold() -> Iterator[Row]:
    base = str(base_parquet("cdnow"))
    ours = run("fit_ours", repeats=3, base=base, method="auto")
    peer = run("fit_peer", repeats=3, base=base)
    yield Row(
        "fit 2,357 (CDNOW), auto, cold", ours, "<= 1/2 of peer", _ratio(ours, peer) >= 2, peer
    )


def _hundred_thousand() -> Iterator[Row]:
    base = str(base_parquet("100000"))
    ours = run("fit_ours", repeats=3, base=base, method="nuts", draws=DRAWS, chains=CHAINS)
    chosen = run("fit_auto", base=base)
    seconds = f"<= 60 s; keeps {chosen.found['model']}"
    yield Row("fit 100,000, model auto", chosen, seconds, _within(chosen, 60, True))
    peer = run("fit_peer", base=base, draws=DRAWS, chains=2)
    met = _ratio(ours, peer) >= 8 and _converged(ours)
    yield Row("fit 100,000, nuts 4 x 1,000", ours, "<= 1/8 of peer, R-hat, ESS", met, peer)


def _hundred_thousand_pareto() -> Iterator[Row]:
    """The peer takes hours: its time is that of one gradient for every step, the least it does."""
    base = str(base_parquet("100000"))
    ours = run("fit_ours", base=base, method="nuts", draws=DRAWS, chains=CHAINS, model=PARETO)
    one = run("gradient_peer_pareto", base=base)
    steps = CHAINS * 2 * DRAWS  # it tunes for as many as it draws
    peer = replace(one, seconds=[steps * seconds for seconds in one.inside])
    met = peer.median >= 10 * ours.median_cpu and _converged(ours)
    must = f"CPU <= 1/10 of peer's {steps:,} gradients, R-hat, ESS"
    yield Row("fit 100,000, Pareto/NBD, nuts 4 x 1,000", ours, must, met, peer)


def _million_pareto() -> Iterator[Row]:
    base = str(base_parquet("1000000"))
    laplace = run("fit_ours", repeats=3, base=base, method="laplace", model=PARETO)
    met = _within(laplace, 30, _largest(laplace, "k-hat") < 0.7)
    yield Row("fit 1,000,000, Pareto/NBD, laplace", laplace, "<= 30 s, k-hat < 0.7", met)


def _million() -> Iterator[Row]:
    base = str(base_parquet("1000000"))
    nuts = run("fit_ours", base=base, method="nuts", draws=DRAWS, chains=CHAINS)
    yield Row("fit 1,000,000, nuts 4 x 1,000", nuts, "<= 65 s", _within(nuts, 65, _converged(nuts)))
    laplace = run("fit_ours", repeats=3, base=base, method="laplace")
    good = _largest(laplace, "k-hat") < 0.7
    yield Row("fit 1,000,000, laplace", laplace, "<= 8 s, k-hat < 0.7", _within(laplace, 8, good))
    reference = run("fit_ours", base=base, method="nuts", draws=2500, chains=CHAINS)
    mean, sd = _differences(laplace, reference)
    met = mean <= 0.1 and sd <= 0.05 and _smallest(reference, "bulk ESS") >= 10_000
    note = f"means within {mean:.3f} sd, sds within {sd:.1%}"
    yield Row("  laplace against NUTS, ESS >= 10,000", reference, note, met)


def _ten_million() -> Iterator[Row]:
    base = str(base_parquet("10000000"))
    ours = run("fit_ours", base=base, method="laplace")
    met = _within(ours, 90, ours.peak_mb <= 6 * 1024)
    yield Row("fit 10,000,000 from Parquet, laplace", ours, "<= 90 s, <= 6 GB", met)


def _ratio(ours: Measured, peer: Measured) -> float:
    return peer.median / ours.median


def _within(measured: Measured, seconds: float, also: bool) -> bool:
    return measured.median <= seconds and also


def _converged(measured: Measured) -> bool:
    return _largest(measured, "R-hat") <= 1.01 and _smallest(measured, "bulk ESS") >= 1000


def _largest(measured: Measured, part: str) -> float:
    return max(value for name, value in measured.found["checks"].items() if part in name)


def _smallest(measured: Measured, part: str) -> float:
    return min(value for name, value in measured.found["checks"].items() if part in name)


def _differences(one: Measured, reference: Measured) -> tuple[float, float]:
    """Largest difference of means in reference sds, and of sds as a share."""
    pairs = [
        (one.found["moments"][name], wanted) for name, wanted in reference.found["moments"].items()
    ]
    means = max(abs(got[0] - wanted[0]) / wanted[1] for got, wanted in pairs)
    sds = max(abs(got[1] / wanted[1] - 1.0) for got, wanted in pairs)
    return means, sds
