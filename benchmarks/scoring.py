"""How fast whole bases are summarised and scored, beside SQL by hand and pymc-marketing."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.bases import base_parquet, posterior_nc
from benchmarks.logs import log_parquet
from benchmarks.measure import Measured, run, run_in_turns, work_alone
from benchmarks.table import Row

PEER_CUSTOMERS, DRAWS = 5_000, 500
HUNDRED_THOUSAND, MILLION, TEN_MILLION = 100_000, 1_000_000, 10_000_000
MOST_TIMES = {"bgcnbd2": 3, "mbgcnbd2": 3, "bgcnbd4": 8, "paretonbd": 5}
MOST_TIMES_OF_OUTCOMES = {"paretonbd": 2.5}
# Of the ten-million base: x, t_x and T of 2,042,023 histories.
HISTORY_TABLE_MB = 2_042_023 * 3 * 8 / 2**20


def rows(*, large: bool = True) -> Iterator[Row]:
    """Measure the table of scoring, row by row.

    Parameters
    ----------
    large : bool
        Whether to measure the base of ten million customers too. The log of a hundred
        million transactions is measured only where CLVMODELS_BENCH_HUGE is set.
    """
    yield _summary(TEN_MILLION, None)
    if os.environ.get("CLVMODELS_BENCH_HUGE"):
        yield _summary(100_000_000, "4GB")
    log = str(log_parquet(TEN_MILLION))
    whole = run("run_whole_way", repeats=1, log=log)
    yield Row("clvmodels run, 10,000,000 transactions", whole, "<= 60 s", whole.median <= 60)
    million = _score(MILLION, repeats=3)
    yield Row("score 1,000,000", million, "<= 5 s", million.median <= 5)
    outcomes = _score(MILLION, repeats=1, predictive=True)
    yield Row("  with intervals of outcomes", outcomes, "<= 15 s", outcomes.median <= 15)
    if large:
        ten = _score(TEN_MILLION, repeats=1)
        most = 1.25 * million.peak_mb + HISTORY_TABLE_MB
        met = ten.median <= 22 and ten.peak_mb <= min(4096, most)
        yield Row("score 10,000,000", ten, f"<= 22 s, <= {min(4096, most):,.0f} MB", met)
        ten = _score(TEN_MILLION, repeats=1, predictive=True)
        met = ten.median <= 150 and ten.peak_mb <= 1200
        yield Row("  with intervals of outcomes", ten, "<= 150 s, <= 1,200 MB", met)
        yield _page()
    yield _in_memory()
    yield _beside_the_peer(million)
    yield from _beside_the_simplest()


def _summary(transactions: int, memory_limit: str | None) -> Row:
    log = str(log_parquet(transactions))
    ours, by_hand = run_in_turns(
        ("summarize_ours", {"log": log, "memory_limit": memory_limit}),
        ("summarize_by_hand", {"log": log, "memory_limit": memory_limit}),
        repeats=9 if transactions <= TEN_MILLION else 1,
    )
    ours, by_hand = work_alone(ours), work_alone(by_hand)
    ratio = ours.median / by_hand.median
    met = ratio <= 1.3 and ours.found == by_hand.found
    if memory_limit is not None:
        met = met and ours.peak_mb <= 5 * 1024
    return Row(f"RFM of {transactions:,} transactions", ours, "<= 1.3 x SQL by hand", met, by_hand)


def _page() -> Row:
    found = work_alone(run("report_ours", base=str(base_parquet(str(MILLION)))))
    return Row("report of 1,000,000", found, "<= 30 s", found.median <= 30)


def _in_memory() -> Row:
    files = {"base": str(base_parquet(str(HUNDRED_THOUSAND))), "posterior": str(posterior_nc())}
    found = work_alone(run("predict_loyal", repeats=3, **files, customers=7_000, draws=DRAWS))
    return Row("predict 7,000, hardly anybody leaves", found, "<= 1 s", found.median <= 1)


def _score(customers: int, repeats: int, **options: bool) -> Measured:
    files = {"base": str(base_parquet(str(customers))), "posterior": str(posterior_nc())}
    return run("score_ours", repeats=repeats, **files, draws=DRAWS, **options)


def _beside_the_simplest() -> Iterator[Row]:
    """Models of the catalogue beside BG/NBD, in one run: purchases alone, CPU time."""
    base = str(base_parquet(str(HUNDRED_THOUSAND)))
    for predictive, most in ((False, MOST_TIMES), (True, MOST_TIMES_OF_OUTCOMES)):
        jobs = [
            ("score_purchases", {"base": base, "model": key, "predictive": predictive})
            for key in ("bgnbd", *most)
        ]
        simplest, *others = run_in_turns(*jobs, repeats=3)
        for (key, times), other in zip(most.items(), others, strict=True):
            one, beside = (Measured(m.inside, m.peak_mb, m.found) for m in (other, simplest))
            ratio = one.median / beside.median
            what = f"score {HUNDRED_THOUSAND:,}, {key}{' with outcomes' if predictive else ''}"
            yield Row(what, one, f"<= {times} x bgnbd", ratio <= times, beside)


def _beside_the_peer(million: Measured) -> Row:
    base, posterior = str(base_parquet(str(MILLION))), str(posterior_nc())
    peer = run("clv_peer", base=base, posterior=posterior, customers=PEER_CUSTOMERS, draws=DRAWS)
    # Of the peer its prediction alone, without imports; of ours the whole process.
    theirs = Measured([s / PEER_CUSTOMERS for s in peer.inside], peer.peak_mb, peer.found)
    ours = Measured([s / MILLION for s in million.seconds], million.peak_mb, million.found)
    met = theirs.median / ours.median >= 150
    return Row("discounted clv, per customer", ours, ">= 150 x faster than peer", met, theirs)
