"""Whether customers buy next when the model said they would: three real logs, two models each.

CLVMODELS_LOGS=FOLDER python -m benchmarks.next_purchases [LOG ...]

writes ``benchmarks/next_purchases.csv``: the table ``next_purchases`` of a backtest of each log
and model, shares in per cent.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log

PATH: Final = Path(__file__).with_suffix(".csv")
PLANS: Final = {
    "cdnow": ("1997-09-30", ("bgnbd", "paretonbd")),
    "grocery_elog": ("2006-12-31", ("bgnbd", "mbgcnbd2")),
    "online_retail": ("2011-06-30", ("bgnbd", "mbgnbd")),
}


def rows(name: str) -> pd.DataFrame:
    """Statements of each model, and what came of them."""
    log, columns = small_log(name)
    where: dict[str, Any] = {k: v for k, v in columns.items() if k != "monetary_value_col"}
    end, models = PLANS[name]
    found = []
    for model in models:
        one = clv.backtest(
            log,
            **where,
            train_period_end=end,
            model=model,
            method="laplace",
            calendar="none",
            bootstrap=50,
            random_seed=1,
            progressbar=False,
        )
        table = one.next_purchases
        assert table is not None
        shares = (100 * table[["said", "lower", "upper", "happened"]]).round(1)
        table = table[["statement", "customers"]].join(shares)
        found.append(table.assign(log=name, model=model))
        print(found[-1].to_string(index=False), flush=True)
    together = pd.concat(found)
    return together[["log", "model", *(c for c in together if c not in ("log", "model"))]]


def main(names: list[str]) -> None:
    """Measure, print and keep."""
    renewed(PATH, names, PLANS, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
