"""The report of CDNOW's sample, made by the package that the site is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FILE: Final = "cdnow_report.html"
CUT: Final = "1997-09-30"  # of the backtest: 39 weeks to learn from, 39 held out


def setup(app: Sphinx) -> dict[str, Any]:
    """Make it when the pages are written."""
    app.connect("build-finished", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make(app: Sphinx, exception: Exception | None) -> None:
    """Write the report beside the page that shows it."""
    target = Path(app.outdir) / FILE
    if exception is not None or app.builder.format != "html" or target.exists():
        return
    import clvmodels as clv

    columns = {
        "customer_id_col": "customer_id",
        "datetime_col": "date",
        "monetary_value_col": "amount",
    }
    log = clv.datasets.load_cdnow(sample=True)
    quick: dict[str, Any] = {"method": "laplace", "random_seed": 1, "progressbar": False}
    rfm = clv.rfm_summary(log, **columns, margin=0.3)
    posterior = clv.CLVModel().fit(rfm, **quick)
    held = clv.backtest(log, **columns, train_period_end=CUT, **quick)
    told: dict[str, Any] = {"cac": 10.0, "currency": "$", "date": "the day this site was built"}
    clv.report(posterior, rfm, log=log, backtest=held, output=target, **told)
