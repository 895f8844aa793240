"""The options of predictions, typed once: verbs take them by ``**terms: Unpack[...]``.

`clvmodels.keywords.named` writes them out, in this order and with these defaults, in the
signature of every verb that takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from clvmodels.keywords import defaults
from clvmodels.margin import MarginLike
from clvmodels.schema import Discounting, Horizon, TimeUnit


@defaults(horizon="365D")
class _Ahead(TypedDict, total=False):
    horizon: Horizon


@defaults(horizon="365D")
class _EachAhead(TypedDict, total=False):
    """One horizon, or several that are predicted in one pass."""

    horizon: Horizon | Sequence[Horizon]


@defaults(discounting="continuous")
class _How(TypedDict, total=False):
    discounting: Discounting


@defaults(discount_rate=0.10)
class _Rate(TypedDict, total=False):
    discount_rate: float


@defaults(interval=0.9)
class _Interval(TypedDict, total=False):
    interval: float


@defaults(draws=500)
class _Draws(TypedDict, total=False):
    draws: int


@defaults(margin=None)
class _Margin(TypedDict, total=False):
    margin: MarginLike


@defaults(time_unit=None, time_scaler=None)
class Unit(TypedDict, total=False):
    """The unit of recency and T of a frame; an RfmTable knows its own."""

    time_unit: TimeUnit | None
    time_scaler: float | None


@defaults(customers=20_000, random_seed=0)
class _Sample(TypedDict, total=False):
    customers: int
    random_seed: int


class SampleTerms(_Sample, Unit, total=False):
    """Of a sample of the customers in any table."""


class Terms(_Ahead, _Rate, _How, _Interval, _Draws, total=False):
    """What is expected, and how well it is known."""


class ValueTerms(Terms, _Margin, total=False):
    """The same of values, of customers in an RfmTable."""


class FrameTerms(ValueTerms, Unit, total=False):
    """The same of customers in any table."""


class PurchaseTerms(_EachAhead, _Rate, _How, _Interval, _Draws, Unit, total=False):
    """Of a frame of predictions, for one horizon or several, without values."""


class PredictTerms(_EachAhead, _Rate, _How, _Interval, _Draws, _Margin, Unit, total=False):
    """The same with values."""


class NewCustomerTerms(_How, _Interval, _Draws, _Margin, total=False):
    """Of a customer not yet acquired, beside horizon and rate."""


class ListTerms(_Ahead, _Rate, _How, _Draws, _Margin, total=False):
    """Of customers in an RfmTable, without intervals."""


class OutcomeTerms(ListTerms, Unit, total=False):
    """Of outcomes, which have no interval of an expectation."""


class PathTerms(_Rate, _How, _Margin, Unit, total=False):
    """Of simulated futures, beside horizon and draws."""


@defaults(predictive=False)
class PredictOptions(PredictTerms, total=False):
    """Keyword arguments of :meth:`clvmodels.CLVPosterior.predict`."""

    predictive: bool
