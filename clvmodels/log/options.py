"""How a log is to be read: columns, calendar and policies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

from clvmodels.errors import SchemaError, TimeUnitError
from clvmodels.keywords import defaults
from clvmodels.log.amounts import check_decimal
from clvmodels.log.audit import Reason
from clvmodels.log.csv_files import check_delimiter, check_encoding
from clvmodels.log.date_texts import check_date_format
from clvmodels.log.where import check_where, columns_of
from clvmodels.schema import TimeScale, TimeUnit, check_choice, check_list, check_margin, shown

Refunds = Literal["drop", "net", "net_earlier", "error"]
KeepDrop = Literal["keep", "drop"]
Rates = Mapping[str, float] | Sequence[str]
ImplausibleDates = Literal["error", "drop", "keep"]
Varying = Literal["first", "last", "error"]


@defaults(
    refunds="drop",
    order_id_col=None,
    zero_amounts="keep",
    duplicates="keep",
    implausible_dates="error",
    missing_ids=(),
    varying_segments="first",
    date_format=None,
    decimal=None,
    where=None,
    currency_col=None,
    rates=None,
)
class LogTerms(TypedDict, total=False):
    """How the rows of a log are read: options of `clvmodels.rfm_summary` and similar functions."""

    refunds: Refunds
    order_id_col: str | None
    zero_amounts: KeepDrop
    duplicates: KeepDrop
    implausible_dates: ImplausibleDates
    missing_ids: Sequence[str | int]
    varying_segments: Varying
    date_format: str | None
    decimal: str | None
    where: str | None
    currency_col: str | None
    rates: Rates | None


@defaults(delimiter=None, encoding=None)
class FileTerms(LogTerms, total=False):
    """The same of a log that may lie in files."""

    delimiter: str | None
    encoding: str | None


class _Needed(TypedDict):
    customer_id_col: str
    datetime_col: str


@defaults(monetary_value_col=None, time_unit="D", time_scaler=1)
class _Counted(_Needed, total=False):
    monetary_value_col: str | None
    time_unit: TimeUnit
    time_scaler: float


@defaults(observation_period_end=None)
class _End(TypedDict, total=False):
    observation_period_end: Any


@defaults(margin=None)
class _Margin(TypedDict, total=False):
    margin: float | None


@defaults(segment_cols=(), day_pairs=False)
class _Segments(_Margin, total=False):
    segment_cols: Sequence[str]
    day_pairs: bool


class BacktestTerms(_Counted, FileTerms, _Margin):
    """What a log is, for a backtest."""


@defaults(monetary_value_col=None)
class JudgedTerms(_Needed, FileTerms, total=False):
    """What a log is, where its unit of time is known already."""

    monetary_value_col: str | None


class SplitTerms(_Counted, FileTerms, _Segments):
    """What a log is, for a summary that says its ends otherwise."""


class SummaryTerms(_Counted, _End, FileTerms, _Segments):
    """What a log is, for a summary."""


class TableTerms(_Counted, _End, LogTerms, _Segments):
    """The same of a log that lies in a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """How a log is to be read; see `clvmodels.rfm.rfm_summary` for the meanings.

    Parameters
    ----------
    scale : TimeScale
        The unit of time.
    order_id_col : str or None
        Column of order ids, with ``refunds="net_earlier"``.
    end : int or None
        Ordinal of the last period observed; None is the last one in the log.
    until : int or None
        Ordinal of the day that was given as the end, which its period may go beyond.
    whole : bool
        Whether ``end`` is the last week or month that is over when the log ends, to be found
        in a first reading.
    after : int or None
        Ordinal of the last period observed before: rows up to it are "already observed".
    plausible : pair of int or None
        First and last ordinal whose dates can be right, once that was found out.
    time_zone : str or None
        Zone in which time-zone-aware timestamps are counted, where the backend forgets it.
    date_format, decimal : str or None
        How dates and amounts are written that are text or, for dates, numbers; None is what
        ``clvmodels.log.sniff`` finds.
    delimiter, encoding : str or None
        Of CSV files; None is what the files show.
    where : str or None
        Condition of the rows that are meant.
    currency_col : str or None
        Column of the currency of each amount.
    rates : tuple of pairs
        What one unit of each currency is worth in that of all sums; given as a mapping, or as
        texts such as "USD=0.92".
    day_pairs : bool
        Whether purchases are counted by their day and the day of the one before, in a second
        reading.
    """

    customer_id_col: str
    datetime_col: str
    monetary_value_col: str | None = None
    scale: TimeScale = field(default_factory=TimeScale)
    refunds: Refunds = "drop"
    order_id_col: str | None = None
    zero_amounts: KeepDrop = "keep"
    duplicates: KeepDrop = "keep"
    segment_cols: tuple[str, ...] = ()
    implausible_dates: ImplausibleDates = "error"
    missing_ids: tuple[str | int, ...] = ()
    varying_segments: Varying = "first"
    margin: float | None = None
    end: int | None = None
    until: int | None = None
    whole: bool = False
    after: int | None = None
    plausible: tuple[int | None, int | None] = (None, None)
    time_zone: str | None = None
    date_format: str | None = None
    decimal: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    where: str | None = None
    currency_col: str | None = None
    rates: tuple[tuple[str, float], ...] = ()
    day_pairs: bool = False

    def __post_init__(self) -> None:
        check_choice("refunds", self.refunds, get_args(Refunds))
        check_choice("zero_amounts", self.zero_amounts, get_args(KeepDrop))
        check_choice("duplicates", self.duplicates, get_args(KeepDrop))
        check_choice("implausible_dates", self.implausible_dates, get_args(ImplausibleDates))
        check_choice("varying_segments", self.varying_segments, get_args(Varying))
        object.__setattr__(self, "missing_ids", check_ids(self.missing_ids))
        if self.order_id_col is not None and self.refunds != "net_earlier":
            raise SchemaError(
                f"order_id_col={self.order_id_col!r} is used with refunds='net_earlier' only, not "
                f"with refunds={self.refunds!r}: pass refunds='net_earlier', or leave "
                "order_id_col out."
            )
        check_date_format(self.date_format)
        check_decimal(self.decimal)
        check_delimiter(self.delimiter)
        check_encoding(self.encoding)
        check_where(self.where)
        object.__setattr__(self, "rates", check_rates(self.rates, self.currency_col))
        if self.currency_col is not None and self.monetary_value_col is None:
            raise SchemaError(
                f"currency_col={self.currency_col!r} says the currency of amounts: name their "
                "column too, as monetary_value_col."
            )
        if self.day_pairs and self.scale.time_unit != "D":
            raise TimeUnitError(
                f"day_pairs=True counts days, and time_unit={self.scale.time_unit!r} does not: "
                "pass time_unit='D', with time_scaler=7 for weeks of days, or leave day_pairs out."
            )
        if self.margin is not None:
            object.__setattr__(self, "margin", check_margin(self.margin))
        object.__setattr__(self, "segment_cols", tuple(self.segment_cols))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the log that are read."""
        money = () if self.monetary_value_col is None else (self.monetary_value_col,)
        order = () if self.order_id_col is None else (self.order_id_col,)
        currency = () if self.currency_col is None else (self.currency_col,)
        names = (self.customer_id_col, self.datetime_col, *money, *order, *currency)
        return (*names, *self.segment_cols, *self.where_columns)

    @property
    def where_columns(self) -> tuple[str, ...]:
        """The columns that the condition names."""
        return () if self.where is None else columns_of(self.where)

    @property
    def has_money(self) -> bool:
        """Whether amounts are read."""
        return self.monetary_value_col is not None

    @property
    def counts_days(self) -> bool:
        """Whether the log's last day is found, as its last period may go beyond it."""
        return self.end is None and self.scale.time_unit in ("W", "M")

    @property
    def netting(self) -> bool:
        """Whether refunds are added up with the purchases of their period."""
        return self.has_money and self.refunds in ("net", "net_earlier")

    @property
    def netting_earlier(self) -> bool:
        """Whether what is left of refunds is taken off the purchases of earlier periods."""
        return self.has_money and self.refunds == "net_earlier"

    @property
    def by_order(self) -> bool:
        """Whether a refund is first taken off the order that it names."""
        return self.netting_earlier and self.order_id_col is not None

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons that can apply, in the order in which they are tried."""
        skipped = {Reason.USED, Reason.UNREADABLE_AMOUNT}  # of text only, where there are such
        skipped |= set() if self.netting_earlier else {Reason.NETTED}
        skipped |= {Reason.ALREADY_OBSERVED} if self.after is None else set()
        skipped |= set() if self.implausible_dates == "drop" else {Reason.IMPLAUSIBLE_DATE}
        skipped |= {Reason.NOT_CHOSEN} if self.where is None else set()
        return tuple(reason for reason in Reason if reason not in skipped)


def check_ids(ids: object) -> tuple[str | int, ...]:
    """Return the ids that mean no customer.

    Raises
    ------
    SchemaError
        It is not a list of texts and whole numbers.
    """
    listed = check_list("missing_ids", ids)
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, str | int):
            raise SchemaError(f"missing_ids has {shown(one)}: pass text or whole numbers.")
    return tuple(dict.fromkeys(listed))


def check_rates(rates: object, currency_col: str | None) -> tuple[tuple[str, float], ...]:
    """Return rates as pairs in order.

    Raises
    ------
    SchemaError
        They are of another form, not positive numbers, or of no column.
    """
    if rates is None or (isinstance(rates, Mapping | list | tuple) and not rates):
        return ()
    if currency_col is None:
        raise SchemaError(
            "The rates need currency_col: name the column that says each amount's currency."
        )
    pairs: Any = rates.items() if isinstance(rates, Mapping) else check_list("rates", rates)
    found: dict[str, float] = {}
    for pair in pairs:
        currency, rate = pair.rpartition("=")[::2] if isinstance(pair, str) else pair
        try:
            number = float(rate)
        except (TypeError, ValueError):
            number = math.nan
        if not (str(currency).strip() and 0 < number < math.inf):
            raise SchemaError(
                f"The rates have {shown(pair)}: say what one unit of a currency is worth in that "
                "of all sums, as in rates={'EUR': 1.0, 'USD': 0.92}."
            )
        name = str(currency).strip()
        if found.setdefault(name, number) != number:
            raise SchemaError(
                f"The rates have {name!r} twice, with {found[name]:g} and {number:g}: give each "
                "currency one rate."
            )
    return tuple(sorted(found.items()))
