"""Seeded customers, transaction logs and RFM tables from known parameters.

The BG/NBD story, simulated as it is told (Fader, Hardie & Lee 2005, section 3): a
customer whose rate is lambda ~ Gamma(r, alpha) buys in a Poisson process and leaves
after each repeat purchase with probability p ~ Beta(a, b). In the MBG/NBD (Batislam,
Denizel & Filiztekin 2007) the first purchase can be the last one too. Spend is the
Gamma-Gamma's (Fader & Hardie 2013): nu ~ Gamma(q, v), amounts ~ Gamma(p, nu).

Each function simulates block by block: memory beyond the result does not grow with n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd

from clvmodels import schema
from clvmodels.dates import moment_of
from clvmodels.formulas.story import Customers
from clvmodels.keywords import defaults, named
from clvmodels.purchases import ModelKey
from clvmodels.purchases.stories import (
    AMOUNTS,
    Block,
    Exposure,
    ObservationTime,
    Population,
    Spend,
)
from clvmodels.schema import FloatArray, TimeScale, TimeUnit

IntArray = npt.NDArray[np.int64]

__all__ = ["Customers", "simulate_customers", "simulate_log", "simulate_rfm"]


def __dir__() -> list[str]:
    return __all__


DATE: Final = "date"
AMOUNT: Final = "amount"


class _Seeded(TypedDict):
    seed: int


class _Watched(TypedDict):
    T: ObservationTime


@defaults(r=None, alpha=None, a=None, b=None, model="bgnbd", parameters=None)
class _People(_Seeded, total=False):
    r: float | None
    alpha: float | None
    a: float | None
    b: float | None
    model: ModelKey
    parameters: Mapping[str, float] | None


@defaults(p=None, q=None, v=None, period=1.0, cents=False, time_unit="D")
class _World(_Watched, _People, total=False):
    p: float | None
    q: float | None
    v: float | None
    period: float | None
    cents: bool
    time_unit: TimeUnit


@named
def simulate_customers(n: int, **people: Unpack[_People]) -> Customers:
    """Draw purchase rates and dropout probabilities.

    They are those behind ``simulate_rfm`` and ``simulate_log`` with the same n, seed
    and parameters.

    Parameters
    ----------
    n : int
        Number of customers.
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; alpha is in the
        unit of time.
    a, b : float
        Shapes of the beta distribution of dropout probabilities.
    seed : int
        Seed of all random streams.
    model : str
        A name of ``clvmodels.purchases.MODELS``.
    parameters : mapping of str to float, optional
        Parameters of a model that has others than r, alpha, a and b, by name.

    Returns
    -------
    Customers
        Two arrays of shape (n,), ``purchase_rate`` and ``dropout``.

    Raises
    ------
    DomainError
        A parameter is not positive and finite, or n is negative.
    SchemaError
        The model is unknown, or has other parameters.
    """
    population = _population(n, people)
    blocks = [population.customers(block) for block in population.blocks()]
    return Customers(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))


@named
def simulate_rfm(n: int, **world: Unpack[_World]) -> pd.DataFrame:
    """Simulate one row per customer, as a log of whole days would be summed up.

    With ``period`` the clock starts at the end of the first purchase's period, and the
    repeat purchases of one period count as one: T periods of exposure, purchases in
    distinct periods 1, ..., T. Merging loses purchases where lambda * period is not
    small; ``period=None`` leaves time continuous, and the models hold exactly.

    Parameters
    ----------
    n, r, alpha, a, b, seed, model, parameters
        As in ``simulate_customers``.
    T : float, (low, high), or array of shape (n,)
        Time from first purchase to the end of observation, in the unit of time, whole
        periods. A tuple means uniform from low to high, both included.
    p, q, v : float, optional
        Gamma-Gamma parameters, all three or none; one amount per purchase. q > 1 for a
        finite population mean p v / (q - 1).
    period : float or None
        Length of the periods in which purchases are merged, in the unit of time.
    cents : bool
        Round amounts to whole cents, one at least.
    time_unit : {"h", "D", "W", "M"}
        The unit of time of alpha, T and period; kept in the frame's ``attrs``.

    Returns
    -------
    pandas.DataFrame
        customer_id (0 to n - 1), frequency, recency, T and, where there are amounts,
        monetary_value: the mean total of the repeat periods, 0 where there is none. Of a model
        of regular timing also log_gaps, by which models of different regularity are compared;
        of another one summarise ``simulate_log`` for them.

    Raises
    ------
    DomainError
        A parameter is not positive and finite, p, q, v are incomplete, or T is
        negative, of another length, or not whole periods.
    """
    population, spend, exposure, scale = _opened(n, world)

    gaps = population.model.regularity > 1
    columns = _empty_columns(population.n, with_spend=spend is not None, with_gaps=gaps)
    for block in population.blocks():
        found = _summarise(population, exposure, spend, block)
        for name, values in columns.items():
            values[block.rows] = found[name]
    frame = pd.DataFrame({schema.CUSTOMER_ID: np.arange(population.n), **columns})
    frame.attrs["time_unit"] = str(scale)
    return frame


@named
def simulate_log(
    n: int,
    *,
    observation_end: str | pd.Timestamp = "2025-12-31",
    **world: Unpack[_World],
) -> pd.DataFrame:
    """Simulate the transactions, one row per purchase, behind ``simulate_rfm``.

    The same arguments and seed give the same customers: the log's summary at
    ``observation_end`` is what ``simulate_rfm`` returns.

    Parameters
    ----------
    n, r, alpha, a, b, T, p, q, v, seed, period, cents, time_unit, model, parameters
        As in ``simulate_rfm``.
    observation_end : str or Timestamp
        Everyone is observed until then, and first bought T earlier.

    Returns
    -------
    pandas.DataFrame
        customer_id, date (to the microsecond) and, where there are amounts, amount;
        ordered by customer, then by time.

    Raises
    ------
    DomainError
        As ``simulate_rfm``.
    """
    population, spend, exposure, scale = _opened(n, world)
    end = np.datetime64(moment_of(observation_end, "observation_end"), "us")

    parts = [
        _transactions(population, exposure, spend, block, scale=scale, end=end)
        for block in population.blocks()
    ]
    return pd.concat(parts, ignore_index=True)


def _population(n: int, people: _People) -> Population:
    of_bgnbd = {"r": people["r"], "alpha": people["alpha"], "a": people["a"], "b": people["b"]}
    own = {**of_bgnbd, **(people["parameters"] or {})}
    return Population.of(n, people["model"], people["seed"], own)


def _opened(n: int, world: _World) -> tuple[Population, Spend | None, Exposure, TimeScale]:
    """Check the options, and say who buys what, for how long, in which unit."""
    population = _population(n, world)
    spend = Spend.of(world["p"], world["q"], world["v"], cents=world["cents"])
    exposure = Exposure.of(world["T"], n=population.n, period=world["period"])
    return population, spend, exposure, TimeScale(world["time_unit"])


def _summarise(
    population: Population, exposure: Exposure, spend: Spend | None, block: Block
) -> dict[str, npt.NDArray[Any]]:
    """Frequency, recency, T, mean spend and gaps of a block, each of shape (block.size,)."""
    observed = exposure.draw(block)
    frequency = np.zeros(block.size, dtype=np.int64)
    recency, total, log_gaps = np.zeros((3, block.size))
    for who, when, amount in _purchases(population, exposure, spend, block, observed):
        gap = when - recency[who]
        frequency[who] += gap > 0.0
        log_gaps[who] += np.log(np.where(gap > 0.0, gap * exposure.unit, 1.0))
        recency[who] = when
        if amount is not None:
            total[who] += amount
    columns: dict[str, npt.NDArray[Any]] = {
        schema.FREQUENCY: frequency,
        schema.RECENCY: recency * exposure.unit,
        schema.T: observed * exposure.unit,
    }
    if spend is not None:
        columns[schema.MONETARY_VALUE] = total / spend.unit / np.maximum(frequency, 1)
    return columns | {schema.LOG_GAPS: log_gaps}


def _purchases(
    population: Population,
    exposure: Exposure,
    spend: Spend | None,
    block: Block,
    observed: FloatArray,
    *,
    first: bool = False,
) -> Iterator[tuple[IntArray, FloatArray, FloatArray | None]]:
    """Yield rounds of purchases: who, when (as ``draw`` counts) and how much."""
    rng = block.rng(AMOUNTS)
    level = None if spend is None else spend.levels(block)

    def amounts(who: IntArray) -> FloatArray | None:
        return None if spend is None or level is None else spend.amounts(level[who], rng)

    everyone = np.arange(block.size)
    opening = amounts(everyone)  # drawn in any case, so that log and summary agree
    if first:
        yield everyone, np.zeros(block.size), opening
    for who, when in population.repeat_purchases(block, observed * exposure.unit):
        yield who, exposure.merge(when / exposure.unit, observed[who]), amounts(who)


def _transactions(
    population: Population,
    exposure: Exposure,
    spend: Spend | None,
    block: Block,
    *,
    scale: TimeScale,
    end: np.datetime64,
) -> pd.DataFrame:
    """Return a block's log, ordered by customer and time."""
    observed = exposure.draw(block)
    rounds = list(_purchases(population, exposure, spend, block, observed, first=True))
    who = np.concatenate([each[0] for each in rounds])
    order = np.argsort(who, kind="stable")  # rounds are in order of time already
    who, when = who[order], np.concatenate([each[1] for each in rounds])[order]
    microseconds = 86_400e6 * scale.days * exposure.unit * (observed[who] - when)
    log = {
        schema.CUSTOMER_ID: block.start + who,
        DATE: end - np.rint(microseconds).astype("timedelta64[us]"),
    }
    if spend is not None:
        amounts = [each[2] for each in rounds if each[2] is not None]
        log[AMOUNT] = np.concatenate(amounts)[order] / spend.unit
    return pd.DataFrame(log)


def _empty_columns(n: int, *, with_spend: bool, with_gaps: bool) -> dict[str, npt.NDArray[Any]]:
    money, gaps = [schema.MONETARY_VALUE] * with_spend, [schema.LOG_GAPS] * with_gaps
    floats = [schema.RECENCY, schema.T, *money, *gaps]
    return {schema.FREQUENCY: np.empty(n, dtype=np.int64)} | {name: np.empty(n) for name in floats}
