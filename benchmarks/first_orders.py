"""What first orders are worth to the model of spend: the figures of "Customers who bought once".

python -m benchmarks.first_orders [LOG ...]

writes ``benchmarks/first_orders.csv``, a row for each log and choice. Both models are taken at
their mode, MBG/NBD for purchases, and judged by what customers spend in the weeks held out.
Purchases are the same throughout, so that rows of a log differ by spend alone.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log

PATH: Final = Path(__file__).with_suffix(".csv")
CUTS: Final = {
    "cdnow sample": ("1997-09-30", "273D"),
    "online_retail": ("2011-06-09", "183D"),
}
SPENDS: Final = {
    "exclude": clv.GammaGammaModel(),
    "include": clv.GammaGammaModel(first_order="include"),
    "covariate": clv.GammaGammaModel(first_order="covariate"),
    "exclude, frequency": clv.GammaGammaModel(covariates=[clv.Covariate("frequency", bins=6)]),
}
POINT: Final[dict[str, Any]] = {"method": "map", "progressbar": False, "on_failure": "warn"}


def gini(value: np.ndarray, actual: np.ndarray) -> float:
    """How well values order customers by what they spent; 1 is their true order."""

    def area(order: np.ndarray) -> float:
        shares = np.cumsum(actual[np.argsort(-order, kind="stable")]) / actual.sum()
        return float(2.0 * shares.mean() - 1.0)

    return area(value) / area(actual)


def rows(name: str) -> pd.DataFrame:
    """The figures of one log."""
    log, columns = small_log(name)
    end, horizon = CUTS[name]
    split = clv.rfm_train_test_split(log, train_period_end=end, refunds="net", **columns)
    test = split.test.set_index("customer_id").loc[split.train["customer_id"]]
    bought = test["test_frequency"].to_numpy()
    actual = np.nan_to_num(bought * test["test_monetary_value"].to_numpy())
    purchases = clv.ModifiedBetaGeoModel().fit(split.train, **POINT)
    once = (bought > 0) & (split.train["frequency"] == 0).to_numpy()
    found = []
    for choice, spend in SPENDS.items():
        both = clv.CLVPosterior(purchases, spend.fit(split.train, **POINT))
        made = both.predict(split.train, horizon=horizon, discount_rate=0.0)
        value, order = made["clv"].to_numpy(), made["expected_spend"].to_numpy()
        errors = np.abs(np.log(order[once] * bought[once] / actual[once]))
        found.append(
            {
                "log": name,
                "first order": choice,
                "error of the total": round(value.sum() / actual.sum() - 1.0, 3),
                "Gini of value": round(gini(value, actual), 3),
                "mean absolute error": round(float(np.abs(value - actual).mean()), 1),
                "log error of orders of those who had bought once": round(errors.mean(), 3),
            }
        )
    return pd.DataFrame(found)


def main() -> None:
    """Make the figures of all logs, or of some in place of those on file."""
    warnings.simplefilter("ignore")
    renewed(PATH, sys.argv[1:], CUTS, rows)


if __name__ == "__main__":
    main()
