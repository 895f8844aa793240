"""Single figures of a backtest, or of one of its tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clvmodels.diagnostics.fit_checks import _conditional_figure
from clvmodels.diagnostics.origins import origin_figures
from clvmodels.diagnostics.prediction import _calibration, _coverage, _gains, tracked_data
from clvmodels.diagnostics.single import Data, part
from clvmodels.diagnostics.words import short
from clvmodels.errors import DomainError

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.evaluation.backtest_record import Backtest


def of_backtest(kind: str, backtest: Backtest, target: str = "purchases") -> Data:
    """Data of a figure of a backtest.

    Raises
    ------
    SchemaError
        The backtest has no such target.
    DomainError
        It has no predictive intervals.
    """
    backtest.table(target)  # refuses a target that is not there
    study = part(backtest=backtest)
    if kind == "group_calibration":
        return dict(_calibration(study, backtest, target).data)
    if kind == "gains":
        return dict(_gains(backtest, target).data)
    if kind == "origin_totals":
        for figure in origin_figures(backtest):
            if figure.key == f"origins-{target}":
                return dict(figure.data)
        raise DomainError(
            "The backtest has totals of one date alone: run it with origins, and with a calendar."
        )
    return dict(next(_conditional_figure(study)).data)


def held(coverage: pd.DataFrame) -> Data:
    """Data of coverage.

    Raises
    ------
    DomainError
        There are no predictive intervals.
    """
    for figure in _coverage(coverage):
        return dict(figure.data)
    raise DomainError(
        "The backtest has no predictive intervals, since its model was fitted as a single point: "
        "run it with method='laplace' or 'nuts'."
    )


def weeks(tracking: pd.DataFrame, *, cumulative: bool) -> Data:
    """Data of purchases over time."""
    return tracked_data(tracking, cumulative=cumulative)


def repeated(repeats: pd.DataFrame) -> Data:
    """Data of customers by repeat purchases in the calibration."""
    names = ("actual", "expected", "lower", "upper")
    numbers = {name: short(repeats[name].to_numpy(dtype=float)) for name in names}
    return {"bins": [str(one) for one in repeats["repeats"]], **numbers}
