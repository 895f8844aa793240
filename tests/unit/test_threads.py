"""Asked from several threads, as a service asks, answers are those of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import clvmodels as clv
from clvmodels.datasets import load_cdnow
from clvmodels.diagnostics.record import Figure
from clvmodels.reporting.images import make_picture
from clvmodels.threads import one_at_a_time

ENDS = ("1997-06-30", "1997-09-30", "1998-01-31")
LOG: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}


def bases() -> list[clv.RfmTable]:
    log = load_cdnow(sample=True)
    return [clv.rfm_summary(log, observation_period_end=end, **LOG) for end in ENDS]


def by_threads(ask: Callable[[int], Any], times: int) -> None:
    want = [ask(i) for i in range(len(ENDS))]
    with ThreadPoolExecutor(len(ENDS)) as pool:
        for _ in range(times):
            assert list(pool.map(ask, range(len(ENDS)))) == want


@pytest.mark.slow
def test_fits_of_several_bases() -> None:
    """One in five failed, and one in forty had the numbers of another base."""
    tables = bases()

    def fitted(i: int) -> list[float]:
        model = clv.CLVModel()
        found = model.fit(tables[i], method="laplace", random_seed=1, progressbar=False, draws=250)
        return [float(values.mean()) for values in found.draws().values()]

    by_threads(fitted, 15)


@pytest.mark.slow
def test_what_is_asked_of_a_posterior() -> None:
    tables = bases()
    posterior = clv.CLVModel().fit(
        tables[1], method="laplace", random_seed=1, progressbar=False, draws=250
    )

    def asked(i: int) -> list[float]:
        table = clv.rfm_summary(load_cdnow(sample=True), observation_period_end=ENDS[i], **LOG)
        total = clv.forecast_total(posterior, table, horizon="26W", draws=100, paths=200)
        scores = posterior.predict(table, predictive=True, draws=100)
        return [float(total.table["mean"].sum()), *scores.select_dtypes("number").sum()]

    by_threads(asked, 5)


def test_pictures_leave_styles_alone() -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    before = dict(mpl.rcParams)
    meet = threading.Barrier(2)

    def draw(figure: Figure) -> Drawing:
        drawing = Drawing(figsize=(2.0, 1.0))
        drawing.subplots().set_title(figure.title)
        return drawing

    figure = Figure("one", "kind", "A title", "What it says", "What it shows", {})
    want = make_picture(figure, draw)

    def drawn(_: int) -> Any:
        meet.wait()
        return make_picture(figure, draw)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            assert list(pool.map(drawn, range(2))) == [want, want]
    assert dict(mpl.rcParams) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_child_does_not_wait_for_a_thread_that_it_has_not() -> None:
    inside, done = threading.Event(), threading.Event()

    @one_at_a_time("pytensor")
    def work() -> None:
        inside.set()
        done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(30)
    if (child := os.fork()) == 0:
        os._exit(one_at_a_time("pytensor")(lambda: 7)())
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
