"""What a forecast has to beat: forecasts that need no model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from clvmodels.economics import simple_clv, simple_clv_per_customer
from clvmodels.evaluation.observed import Observed
from clvmodels.formulas.discounting import flow_value
from clvmodels.rfm import RfmTable
from clvmodels.schema import (
    FIRST_VALUE,
    FREQUENCY,
    MONETARY_VALUE,
    Discounting,
    FloatArray,
    T,
)

MODEL: Final = "model"
POINT: Final = "point"
PLAIN: Final = "without_covariates"
SIMPLE: Final = "simple"
SIMPLE_PER_CUSTOMER: Final = "simple_per_customer"
LAST_PERIOD: Final = "last_period"
COHORT: Final = "cohort"
BASELINES: Final = (SIMPLE, SIMPLE_PER_CUSTOMER, LAST_PERIOD, COHORT, POINT, PLAIN)
LABELS: Final = {
    MODEL: "model",
    POINT: "model, point estimate",
    PLAIN: "model, without covariates",
    SIMPLE: "simple formula",
    SIMPLE_PER_CUSTOMER: "simple formula, own figures",
    LAST_PERIOD: "last period again",
    COHORT: "cohort average",
}


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What is forecast for every customer's holdout.

    Attributes
    ----------
    name : str
        One of the keys of `LABELS`.
    purchases : ndarray, shape (N,)
        Expected number of purchases.
    value : ndarray, shape (N,), or None
        Expected discounted value; None for a log without amounts.
    note : str
        What the reader should know of it.
    """

    name: str
    purchases: FloatArray = field(repr=False)
    value: FloatArray | None = field(repr=False)
    note: str = ""

    def of(self, target: str) -> FloatArray | None:
        """Forecast of "purchases" or of "value"."""
        return self.purchases if target == "purchases" else self.value


def baselines(
    observed: Observed, *, log: Any, id_map: Any, discount_rate: float, discounting: Discounting
) -> list[Forecast]:
    """Make every forecast that needs no model, in the order of `BASELINES`."""
    simple = simple_formula(
        observed, log=log, id_map=id_map, discount_rate=discount_rate, discounting=discounting
    )
    return [*simple, last_period(observed), cohort_average(observed)]


def simple_formula(
    observed: Observed, *, log: Any, id_map: Any, discount_rate: float, discounting: Discounting
) -> list[Forecast]:
    """Take the simple formula, for the base as a whole and with customers' own figures.

    Purchases are orders per year x years retained in the horizon, undiscounted; value is
    that of `simple_clv` and `simple_clv_per_customer`. Both count a customer as lost
    after the 95th percentile of the gaps between purchases.
    """
    rfm = observed.train if observed.has_money else _with_unit_amounts(observed.train)
    terms: dict[str, Any] = {
        "horizon": observed.terms.horizon,
        "discount_rate": discount_rate,
        "discounting": discounting,
    }
    whole = simple_clv(rfm, log=log, id_map=id_map, **terms)
    terms["silence"] = whole.silence
    years = simple_clv(rfm, **(terms | {"discount_rate": 0.0})).retained_years
    own = simple_clv_per_customer(rfm, **terms)
    count = np.full(observed.customers, whole.orders_per_year * years)
    own_count = np.nan_to_num(own["orders_per_year"].to_numpy() * years, nan=0.0)
    value = own_value = None
    if observed.has_money:
        value = np.full(observed.customers, whole.value)
        own_value = np.nan_to_num(own["value"].to_numpy(), nan=0.0)
    fresh = int(own["orders_per_year"].isna().sum())
    return [
        Forecast(
            SIMPLE,
            count,
            value,
            f"{whole.orders_per_year:.3g} orders a year, churn {whole.churn:.3g} a year, lost "
            f"after {whole.silence:g} silent days; the same for everybody, so it ranks nobody",
        ),
        Forecast(
            SIMPLE_PER_CUSTOMER,
            own_count,
            own_value,
            f"{fresh:,} customers first bought in the last period and have no frequency: counted "
            "as 0"
            if fresh
            else "",
        ),
    ]


def last_period(observed: Observed) -> Forecast:
    """Let everybody do again what they did in the last period of the holdout's length.

    First purchases count too. A purchase s after the start of that period is expected s
    after the start of the holdout, and discounted accordingly.
    """
    end, length = observed.span.train_end, observed.span.length
    start = end - length
    first = int(observed.period.min())
    short = first - start - 1
    note = f"the log reaches back only {length - short} of {length} periods" if short > 0 else ""
    return Forecast(
        LAST_PERIOD,
        observed.count(start),
        observed.value(start),
        note,
    )


def cohort_average(observed: Observed) -> Forecast:
    """Repeat purchases per unit of time of all who first bought in the same month.

    Expected purchases are that rate times the horizon; value is the rate times the mean
    amount of the cohort's repeat purchases, as a flow that is discounted. Cohorts
    without repeat purchases to average take the base's mean amount, those that were not
    watched for any time its rate too.
    """
    table, terms = observed.train.table, observed.terms
    x = np.asarray(table[FREQUENCY].to_numpy(), dtype=np.float64)
    age = np.asarray(table[T].to_numpy(), dtype=np.float64)
    months, group = np.unique(observed.month_of_first(), return_inverse=True)
    rate = _mean_by_group(x, age, group, len(months))
    note = f"{len(months)} monthly cohorts"
    if not observed.has_money:
        return Forecast(COHORT, rate * terms.horizon, None, note)
    spent = x * np.asarray(table[MONETARY_VALUE].to_numpy(), dtype=np.float64)
    amount = _mean_by_group(spent, x, group, len(months))
    flow = float(flow_value(0.0, terms.horizon, terms.delta, month=terms.month))
    return Forecast(COHORT, rate * terms.horizon, rate * flow * amount * terms.margin, note)


def _mean_by_group(top: FloatArray, bottom: FloatArray, group: Any, count: int) -> FloatArray:
    """Ratio of sums within each customer's group; of the whole where there is nothing."""
    sums = np.bincount(group, top, minlength=count), np.bincount(group, bottom, minlength=count)
    whole = top.sum() / bottom.sum()
    ratio = np.divide(sums[0], sums[1], out=np.full(count, whole), where=sums[1] > 0)
    return np.asarray(ratio[group])


def _with_unit_amounts(rfm: RfmTable) -> RfmTable:
    """Give every purchase the amount 1, for the simple formula of a log without amounts."""
    x = rfm.table[FREQUENCY].to_numpy()
    table = rfm.table.append_column(MONETARY_VALUE, pa.array((x > 0).astype(np.float64)))
    return replace(rfm, table=table.append_column(FIRST_VALUE, pa.array(np.ones(len(rfm)))))
