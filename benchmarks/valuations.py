"""Whether the value of a firm's customers comes: real logs, cut at several origins.

CLVMODELS_LOGS=FOLDER python -m benchmarks.valuations [LOG ...]

writes ``benchmarks/valuations.csv``, a row for each log, origin, calendar, way of counting the
customers to come and part of the value: revenue within the horizon, not discounted, of customers at
hand and of those to come, beside what they brought. "Given" are the numbers that really came, so
that only what each of them brings is forecast; "extrapolated" are those that the table's own first
orders tell. A calendar is assumed, or learnt by a clock. All CDNOW's and the grocer's customers
come before the first origin. The grocer's log has no amounts: its value is the number of orders.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

import clvmodels as clv
from benchmarks.logs import renewed, small_log
from clvmodels.schema import DAYS_PER_MONTH

PATH: Final = Path(__file__).with_suffix(".csv")
ORIGINS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "cdnow": (("1997-06-30", 12), ("1997-09-30", 9), ("1997-12-31", 6)),
    "grocery_elog": (("2006-06-30", 12), ("2006-12-31", 12), ("2007-06-30", 6)),
    "online_retail": (("2011-05-31", 6), ("2011-06-30", 5), ("2011-08-31", 3)),
    "retail_case_study": (
        ("2012-01-31", 12),
        ("2012-07-31", 12),
        ("2013-01-31", 12),
        ("2013-07-31", 6),
    ),
}
# As in benchmarks.calendar_coverage
MODELS: Final = {
    "cdnow": clv.BetaGeoModel(),
    "grocery_elog": clv.ModifiedBetaGeoModel(regularity=2),
    "online_retail": clv.ModifiedBetaGeoModel(),
    "retail_case_study": clv.ModifiedBetaGeoModel(),
}
PARTS: Final = ("customers at hand", "customers to come", "all together")


def revenue(rfm: clv.RfmTable) -> pd.Series:
    """Everybody's revenue so far, or orders where there are no amounts, by customer."""
    table = rfm.to_pandas().set_index("customer_id")
    if "first_value" not in table:
        return table["frequency"] + 1.0
    return table["first_value"] + table["frequency"] * table["monetary_value"]


def rows(name: str) -> pd.DataFrame:
    """Every origin of one log."""
    log, columns = small_log(name)
    how: Any = dict(columns)
    found = []
    for origin, months in ORIGINS[name]:
        days = round(months * DAYS_PER_MONTH)
        end = pd.Timestamp(origin) + pd.Timedelta(days=days)
        known = clv.rfm_summary(log, observation_period_end=origin, day_pairs=True, **how)
        later = clv.rfm_summary(log, observation_period_end=f"{end:%Y-%m-%d}", **how)
        came, counts = what_came(known, later, months)
        terms: Any = {"horizon": f"{days}D", "discount_rate": 0.0, "margin": 1.0}
        for calendar, said in product(("assumed", "learnt"), ("given", "extrapolated")):
            if said == "given":
                posterior = fitted(known, MODELS[name], clock=calendar == "learnt")
            elif not sum(counts):
                continue
            terms["acquisitions"] = counts if said == "given" else said
            table = clv.customer_valuation(posterior, known, **terms).table
            parts = PARTS[1:] if said == "extrapolated" else PARTS  # those at hand are the same
            for part in parts if sum(counts) else PARTS[:1]:
                one = {"log": name, "origin": origin, "months": months, "calendar": calendar}
                found.append(one | {"numbers": said, "part": part} | held(table, part, came[part]))
    return pd.DataFrame(found)


def what_came(
    known: clv.RfmTable, later: clv.RfmTable, months: int
) -> tuple[dict[str, float], list[float]]:
    """Revenue of the parts, and how many customers were won in each month."""
    before, after = revenue(known), revenue(later)
    hand = after.index.isin(before.index)
    parts = [after[hand].sum() - before.sum(), after[~hand].sum()]
    came = dict(zip(PARTS, [*parts, sum(parts)], strict=True))
    days = round(months * DAYS_PER_MONTH)
    ages = later.to_pandas()["T"].to_numpy()[~later.to_pandas()["customer_id"].isin(before.index)]
    month = np.clip(((days - 1 - ages) / DAYS_PER_MONTH).astype(int), 0, months - 1)
    return came, [float(one) for one in np.bincount(month, minlength=months)]


def fitted(known: clv.RfmTable, model: Any, *, clock: bool) -> clv.CLVPosterior:
    """The model as of the origin, and spend or orders that are worth 1."""
    fit: Any = {"method": "laplace", "random_seed": 1, "progressbar": False}
    purchases = model.replace(clock=clock or None)
    if "first_value" in known.to_pandas():
        return clv.CLVModel(purchases).fit(known, **fit)
    return clv.CLVPosterior(purchases.fit(known, **fit), 1.0)


def held(table: pd.DataFrame, part: str, came: float) -> dict[str, Any]:
    """Forecast and interval of one part, and what came."""
    one = table.set_index("part").loc[part]
    lower, mean, upper = (float(one[column]) for column in ("lower", "mean", "upper"))
    return {
        "lower": round(lower),
        "forecast": round(mean),
        "upper": round(upper),
        "came": round(came),
        "error": round(100 * (mean / came - 1), 1),
        "inside": lower <= came <= upper,
    }


def main(names: list[str]) -> None:
    """Measure, print and keep."""
    table = renewed(PATH, names, ORIGINS, rows)
    by = table.assign(off=table["error"].abs()).groupby(["calendar", "numbers", "part"])
    print(by[["inside", "off"]].mean().round(3).to_string())


if __name__ == "__main__":
    main(sys.argv[1:])
