"""The audit of a transaction log: every row is used, or left out for one reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum, IntEnum
from html import escape
from typing import TYPE_CHECKING, Any

from clvmodels.errors import SchemaError, one_line
from clvmodels.keywords import named
from clvmodels.limits import MAX_LEFT_OUT
from clvmodels.log.amounts import sum_of_amounts

if TYPE_CHECKING:
    import pandas as pd


class Reason(IntEnum):
    """Why a row is left out; the first that applies is the one that counts."""

    USED = 0
    NOT_CHOSEN = 20
    NO_CUSTOMER = 1
    NO_DATE = 2
    UNREADABLE_DATE = 3
    UNREADABLE_AMOUNT = 21
    NON_FINITE_AMOUNT = 4
    AFTER_END = 5
    ZERO_AMOUNT = 6
    DUPLICATE = 7
    REFUND = 8
    NETTED = 11
    ALREADY_OBSERVED = 9
    IMPLAUSIBLE_DATE = 10

    @property
    def text(self) -> str:
        """The reason in words, as in reports."""
        return _TEXT[self]


_TEXT = {
    Reason.USED: "used",
    Reason.NOT_CHOSEN: "not chosen by where",
    Reason.NO_CUSTOMER: "no customer",
    Reason.NO_DATE: "no date",
    Reason.UNREADABLE_DATE: "unreadable date",
    Reason.UNREADABLE_AMOUNT: "unreadable amount",
    Reason.NON_FINITE_AMOUNT: "non-finite amount",
    Reason.AFTER_END: "after the observation end",
    Reason.ZERO_AMOUNT: "zero amount",
    Reason.DUPLICATE: "duplicate",
    Reason.REFUND: "refund",
    Reason.NETTED: "netted to nothing",
    Reason.ALREADY_OBSERVED: "already observed",
    Reason.IMPLAUSIBLE_DATE: "implausible date",
}


# Left out because that was asked for, and not for what the rows are.
_AS_ASKED = (
    Reason.NOT_CHOSEN.text,
    Reason.AFTER_END.text,
    Reason.NETTED.text,
    Reason.ALREADY_OBSERVED.text,
)


class Uncovered(Enum):
    """Why a refund could not be netted, or not in full."""

    NO_EARLIER = "no earlier purchase"
    TOO_LARGE = "larger than all earlier purchases"
    OBSERVED_BEFORE = "not covered by purchases in the periods added"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows left out for one reason.

    Parameters
    ----------
    reason : str
        One of the texts of `Reason`, such as "no customer".
    rows : int
        Rows of the log.
    amount : float or None
        Sum of their finite amounts; None for a log without amounts.
    """

    reason: str
    rows: int
    amount: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What became of every row of a log.

    ``rows_read`` is ``rows_used`` plus the rows of ``left_out``, and so are the
    amounts. Amounts that are missing, NaN or infinite cannot be summed: such rows are
    counted, with amount 0, whatever the reason they are left out for.

    Parameters
    ----------
    rows_read, rows_used : int
        Rows of the log, and those that made purchases.
    amount_read, amount_used : float or None
        Sums of their amounts in the log's own money; None for a log without amounts.
    left_out : tuple of LeftOut
        One entry per reason, in the order in which reasons are tried, zeros included.
        With ``refunds="net"`` the rows of a period whose total is not positive are
        left out as refunds. With ``refunds="net_earlier"`` refunds in such periods, and
        the purchases that they cancel, are "netted to nothing"; where purchases do not
        cover a refund, its rows are left out as "refund", with the amount not covered.
    customers, periods : int
        Customers, and customer-periods with a purchase (rows of one customer in one
        period are one purchase).
    netted_rows : int
        Negative rows that were netted against purchases of their own period.
    netted_amount : float or None
        What was netted so, <= 0.
    notes : tuple of str
        What else the reader of the log should know.
    netted_earlier_rows : int
        Negative rows that were netted in full, and not within their own period alone.
    netted_earlier_amount : float or None
        What was netted against purchases of earlier periods, <= 0.
    not_netted : tuple of LeftOut
        Negative rows that purchases do not cover in full, and the amount that is not
        covered, by why (`Uncovered`); they are in ``left_out`` as refunds.
    last_period : str or None
        What the last week or month observed covers, where that is more than the date that
        was given as the end, or than the log.
    """

    rows_read: int
    rows_used: int
    amount_read: float | None
    amount_used: float | None
    left_out: tuple[LeftOut, ...]
    customers: int
    periods: int
    netted_rows: int = 0
    netted_amount: float | None = None
    notes: tuple[str, ...] = ()
    netted_earlier_rows: int = 0
    netted_earlier_amount: float | None = None
    not_netted: tuple[LeftOut, ...] = ()
    last_period: str | None = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """The notes, and what there is to say of the last period."""
        return self.notes if self.last_period is None else (*self.notes, self.last_period)

    @property
    def rows_merged(self) -> int:
        """Used rows beyond the first of their customer and period."""
        return self.rows_used - self.periods

    def rows_left_out(self, reason: Reason) -> int:
        """Rows left out for one reason."""
        return sum(item.rows for item in self.left_out if item.reason == reason.text)

    def lost(self) -> tuple[LeftOut, ...]:
        """Lines of ``left_out``, without rows left out because that was asked for.

        Those are rows after the observation end, rows observed already, and refunds
        with the purchases that they cancel.
        """
        return tuple(item for item in self.left_out if item.reason not in _AS_ASKED)

    def share_lost(self) -> tuple[float, float | None]:
        """Share of the rows, and of the amount, that was left out.

        Returns
        -------
        rows : float
            Of the rows used or lost; see `lost`.
        amount : float or None
            What the lines amount to, whatever their sign, over the amount that would be
            used with them: refunds of 6 beside purchases of 54 make 6 / 48. At most 1;
            None for a log without amounts.
        """
        lost = self.lost()
        rows = sum(item.rows for item in lost)
        by_rows = rows / max(self.rows_used + rows, 1)
        if self.amount_used is None:
            return by_rows, None
        amounts = [item.amount or 0.0 for item in lost]
        moved = sum_of_amounts(map(abs, amounts))
        whole = self.amount_used + sum_of_amounts(amounts)
        return by_rows, 0.0 if not moved else min(1.0, moved / whole) if whole > 0 else 1.0

    def left_out_in_words(self) -> str:
        """Shares that were left out, where rows or amount are much; else nothing."""
        rows, amount = self.share_lost()
        if max(rows, amount or 0.0) <= MAX_LEFT_OUT:
            return ""
        money = "" if amount is None else f", and {100 * amount:.1f} % of the amount,"
        most = max(self.lost(), key=lambda item: abs(item.amount or 0.0) if amount else item.rows)
        return f"{100 * rows:.1f} % of the rows{money} were left out, mainly: {most.reason}."

    def to_pandas(self) -> pd.DataFrame:
        """One row per line of the account: read, each reason, used.

        Returns
        -------
        pandas.DataFrame
            Columns ``rows`` and, for a log with amounts, ``amount``; the index says
            what they are.
        """
        import pandas as pd

        lines = [
            ("read", self.rows_read, self.amount_read),
            *((item.reason, item.rows, item.amount) for item in self.left_out),
            ("used", self.rows_used, self.amount_used),
        ]
        frame = pd.DataFrame(lines, columns=["", "rows", "amount"]).set_index("")
        return frame if self.amount_read is not None else frame[["rows"]]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, for JSON."""
        return {
            **asdict(self),
            "left_out": [asdict(item) for item in self.left_out],
            "not_netted": [asdict(item) for item in self.not_netted],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Audit:
        """Inverse of `to_dict`.

        Raises
        ------
        SchemaError
            Keys are missing or unknown.
        """
        try:
            lists = {
                "left_out": tuple(LeftOut(**item) for item in data["left_out"]),
                # files of before have none
                "not_netted": tuple(LeftOut(**item) for item in data.get("not_netted", ())),
                "notes": tuple(data["notes"]),
            }
            return cls(**{**data, **lists})
        except (KeyError, TypeError) as error:
            raise SchemaError(
                f"This is not an audit of clvmodels ({one_line(error)}): write it with "
                "Audit.to_dict()."
            ) from error

    @named
    def merge(self, later: Audit, *, customers: int, periods: int) -> Audit:
        """Account of this log and a later one together.

        Parameters
        ----------
        later : Audit
            The audit of the later log.
        customers, periods : int
            Of both logs together, which cannot be told from the two audits.
        """
        return Audit(
            rows_read=self.rows_read + later.rows_read,
            rows_used=self.rows_used + later.rows_used,
            amount_read=_add(self.amount_read, later.amount_read),
            amount_used=_add(self.amount_used, later.amount_used),
            left_out=_merge_lines(self.left_out, later.left_out),
            customers=customers,
            periods=periods,
            netted_rows=self.netted_rows + later.netted_rows,
            netted_amount=_add(self.netted_amount, later.netted_amount),
            notes=tuple(dict.fromkeys([*self.notes, *later.notes])),
            netted_earlier_rows=self.netted_earlier_rows + later.netted_earlier_rows,
            netted_earlier_amount=_add(self.netted_earlier_amount, later.netted_earlier_amount),
            not_netted=_merge_lines(self.not_netted, later.not_netted),
            last_period=later.last_period,
        )

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        lines = [_line(self.rows_read, "rows read", self.amount_read)]
        lines += [
            _line(-item.rows, item.reason, None if item.amount is None else 0.0 - item.amount)
            for item in self.left_out
            if item.rows
        ]
        lines.append(_line(self.rows_used, "rows used", self.amount_used))
        lines.append(
            f"{self.customers:,} customers, {self.periods:,} customer-periods with a purchase "
            f"({self.rows_merged:,} rows merged with others of the same period)"
        )
        words = [self.left_out_in_words()]
        return "\n".join(filter(None, [*lines, *self.about_refunds(), *words, *self.remarks]))

    def about_refunds(self) -> list[str]:
        """What was netted, and what was not, in words; nothing where nothing was."""
        earlier = self.netted_earlier_amount
        parts = (
            (self.netted_rows, "netted within their period", self.netted_amount),
            (self.netted_earlier_rows, "netted against earlier purchases", earlier),
            *((item.rows, f"not netted, {item.reason}", item.amount) for item in self.not_netted),
        )
        return [
            f"{rows:,} negative rows {what}: {amount or 0.0:,.2f}"
            for rows, what, amount in parts
            if rows or amount
        ]


@dataclass(frozen=True, slots=True)
class Netting:
    """What became of refunds; as the fields of `Audit`, in their order.

    Parameters
    ----------
    rows, amount : int, float or None
        As netted_rows and netted_amount.
    earlier_rows, earlier_amount : int, float or None
        As netted_earlier_rows and netted_earlier_amount.
    uncovered : tuple of LeftOut
        As not_netted.
    """

    rows: int = 0
    amount: float | None = None
    earlier_rows: int = 0
    earlier_amount: float | None = None
    uncovered: tuple[LeftOut, ...] = ()


def make_audit(
    lines: Mapping[Reason, tuple[int, float | None]],
    *,
    reasons: tuple[Reason, ...],
    customers: int,
    periods: int,
    netting: Netting | None = None,
    notes: tuple[str, ...] = (),
) -> Audit:
    """Build the account from rows and amount per reason; absent reasons count 0.

    The totals are sums of the lines, so that the account adds up by construction;
    that no row is missing from it is what the tests check.
    """
    has_money = any(amount is not None for _, amount in lines.values())
    zero = (0, 0.0 if has_money else None)
    left_out = tuple(LeftOut(r.text, *lines.get(r, zero)) for r in reasons)
    rows_used, amount_used = lines.get(Reason.USED, zero)
    amounts = [amount for _, amount in lines.values() if amount is not None]
    netting = netting or Netting()
    return Audit(
        rows_read=sum(rows for rows, _ in lines.values()),
        rows_used=rows_used,
        amount_read=sum_of_amounts(amounts) if has_money else None,
        amount_used=amount_used,
        left_out=left_out,
        customers=customers,
        periods=periods,
        netted_rows=netting.rows,
        netted_amount=netting.amount,
        notes=notes,
        netted_earlier_rows=netting.earlier_rows,
        netted_earlier_amount=netting.earlier_amount,
        not_netted=netting.uncovered,
    )


def _add(a: float | None, b: float | None) -> float | None:
    return None if a is None and b is None else (a or 0.0) + (b or 0.0)


def _merge_lines(a: tuple[LeftOut, ...], b: tuple[LeftOut, ...]) -> tuple[LeftOut, ...]:
    mine = {item.reason: item for item in a}
    theirs = {item.reason: item for item in b}
    return tuple(
        LeftOut(name, *_add_lines(mine.get(name), theirs.get(name)))
        for name in dict.fromkeys([*mine, *theirs])
    )


def _add_lines(a: LeftOut | None, b: LeftOut | None) -> tuple[int, float | None]:
    items = [item for item in (a, b) if item is not None]
    amounts = [item.amount for item in items if item.amount is not None]
    return sum(item.rows for item in items), sum_of_amounts(amounts) if amounts else None


def _line(rows: int, text: str, amount: float | None) -> str:
    money = "" if amount is None else f"{amount:>20,.2f}"
    return f"{rows:>14,} {text:<28}{money}".rstrip()
