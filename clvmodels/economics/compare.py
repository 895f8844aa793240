"""The simple formula and the model on the same customers, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Unpack

import numpy as np
import pandas as pd
import pyarrow as pa

from clvmodels.economics.labels import WHOLE
from clvmodels.economics.outlook import (
    GroupValues,
    IntArray,
    base_for,
    customer_ids,
    group_values,
    ranking,
    ratio,
    scores_of,
)
from clvmodels.economics.simple import simple_clv, simple_clv_per_customer
from clvmodels.errors import SchemaError, one_line
from clvmodels.keywords import named
from clvmodels.posterior.finite import left_out
from clvmodels.posterior.scorable import value_posterior
from clvmodels.posterior.shares import refuse_own
from clvmodels.posterior.terms import ValueTerms
from clvmodels.rfm import RfmTable
from clvmodels.schema import FloatArray, check_whole

if TYPE_CHECKING:
    from clvmodels.posterior import CLVPosterior

Actual = Mapping[Any, float] | pd.Series
MONEY: Final = ("simple", "simple_per_customer", "model")


@named
def compare_with_simple(
    posterior: CLVPosterior,
    rfm: RfmTable,
    *,
    log: Any = None,
    actual: Actual | None = None,
    silence: float | None = None,
    groups: int = 10,
    id_map: Any = None,
    **terms: Unpack[ValueTerms],
) -> pd.DataFrame:
    """Compare the simple formula with the model, for the base and per decile of its clv.

    All figures are sums over the customers of a group, in money, over the same horizon,
    with the same discounting and margin.

    Parameters
    ----------
    posterior : CLVPosterior
        Of purchases and spend.
    rfm : RfmTable
        The base, with first purchases' values.
    log, silence, id_map
        As in `simple_clv`: the log that the table was made of, or the days after which
        a customer counts as lost.
    actual : mapping or Series, optional
        What happened, by customer_id, in the same terms: revenue in the horizon x
        margin, discounted. Customers who are not in it brought nothing; others than the
        table's, who came later, are left out.
    groups : int
        How many groups, 10 for deciles; at most one per customer.
    horizon, discount_rate, discounting, interval, draws, margin
        As in :meth:`CLVPosterior.predict`.

    Returns
    -------
    DataFrame
        Groups from the most valuable (by mean clv; ties by customer_id) down, then
        "(whole)": decile, customers; simple (the one number for all customers, times
        customers), simple_per_customer (own order value and frequency), model, with
        model_lower and model_upper from draws; with ``actual`` also actual, and simple_off,
        simple_per_customer_off and model_off, by how much each is off, as a share of
        actual (NaN where that is 0); the margin that is in all of them; and note. Customers
        without a finite expected value are in no group, nor in the whole, whose note says
        how many they are.

    Raises
    ------
    SchemaError
        The table lacks first purchases' values, or ``actual`` is not a number per
        customer, or has none of the customers.
    DomainError
        No customers, or groups is not a whole number >= 1; or as `simple_clv` and
        :meth:`CLVPosterior.predict`.
    """
    groups = check_whole("groups", groups)
    refuse_own(terms["margin"])  # the formula knows one share alone
    rfm = base_for(value_posterior(posterior), rfm, terms["margin"])
    ids = customer_ids(rfm)
    really = None if actual is None else _by_customer(actual, ids)
    simple = simple_clv(rfm, log=log, silence=silence, id_map=id_map, **_of_simple(terms))
    own = simple_clv_per_customer(rfm, silence=simple.silence, **_of_simple(terms))
    clv = scores_of(posterior, rfm, **terms)["clv"].to_numpy()
    has = ~np.isnan(clv)
    order = ranking(clv[has], ids[has])
    count = min(int(groups), len(order))
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.repeat(np.arange(count), [len(p) for p in np.array_split(order, count)])
    kept = replace(rfm, table=rfm.table.filter(pa.array(has)))
    values = group_values(posterior, kept, group, count, **terms)
    each = own["value"].to_numpy()[has]
    notes = _notes(group, each, count)
    outside = left_out(int(np.count_nonzero(~has)), len(rfm))
    money = _money(values, group, simple.value, each)
    return pd.DataFrame(
        {
            "decile" if groups == 10 else "group": [*map(str, range(1, count + 1)), WHOLE],
            **money,
            **({} if really is None else _against(money, _sums(group, really[has], count))),
            "margin": rfm.margin,
            "note": [*notes[:-1], "; ".join(filter(None, (outside, notes[-1])))],
        }
    )


def _of_simple(terms: ValueTerms) -> dict[str, Any]:
    return {name: terms[name] for name in ("horizon", "discount_rate", "discounting")}


def _money(values: GroupValues, group: IntArray, simple: float, own: FloatArray) -> dict[str, Any]:
    everything = values.with_whole()
    lower, upper = everything.bounds()
    return {
        "customers": everything.customers,
        "simple": simple * everything.customers,
        "simple_per_customer": _sums(group, np.nan_to_num(own, nan=0.0), len(values.mean)),
        "model": everything.mean,
        "model_lower": lower,
        "model_upper": upper,
    }


def _against(money: Mapping[str, Any], actual: FloatArray) -> dict[str, FloatArray]:
    off = {f"{name}_off": ratio(money[name] - actual, actual) for name in MONEY}
    return {"actual": actual, **off}


def _notes(group: IntArray, own: FloatArray, count: int) -> list[str]:
    """Say how many have no value of their own in the per-customer formula."""
    without = _sums(group, np.isnan(own), count)
    return [
        f"{number:,.0f} first bought in the last period: no frequency, counted as 0 per customer"
        if number
        else ""
        for number in without
    ]


def _sums(group: IntArray, values: Any, count: int) -> FloatArray:
    """Sum of each group, and of the whole in a last place."""
    weights = np.asarray(values, dtype=np.float64)
    sums: FloatArray = np.bincount(group, weights, minlength=count).astype(np.float64)
    return np.asarray(np.append(sums, sums.sum()), dtype=np.float64)


def _by_customer(actual: Actual, ids: pd.Series[Any]) -> FloatArray:
    if not isinstance(actual, Mapping | pd.Series):
        raise SchemaError(
            f"actual must be a mapping or Series by customer_id, found {type(actual).__name__}."
        )
    try:
        found = pd.Series(actual, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"actual must hold numbers ({one_line(error)}).") from error
    if found.index.has_duplicates:
        first = found.index[found.index.duplicated()].tolist()[0]
        raise SchemaError(f"actual has customer {first!r} twice: add up what each customer spent.")
    if not np.isfinite(found).all():
        raise SchemaError(
            "actual has values that are missing or not finite: leave these customers out; they "
            "then count as 0."
        )
    if not found.index.isin(ids).any():
        raise SchemaError(
            "actual has none of the table's customers: its index must hold customer_id, of the "
            f"same type ({ids.dtype})."
        )
    return np.asarray(found.reindex(ids, fill_value=0.0), dtype=np.float64)
