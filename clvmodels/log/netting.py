"""Refunds taken off purchases: within a period, and off the latest earlier ones.

With n_i the total of a customer's period i and S_i = n_1 + ... + n_i, refunds that are
taken off the latest earlier purchases first leave of period i

    M_i - S_(i-1), or nothing if that is negative,   M_i the smallest of S_i, S_(i+1), ...

since R_i = S_i - M_i is what later refunds still claim when, going back in time, they reach
period i: R_(i-1) = max(0, R_i - n_i), the recursion of a queue (Lindley, 1952). Of the
refund of period i what exceeds all that is left of earlier purchases is m_(i-1) - S_i, or
nothing, with m_i the smallest of 0, S_1, ..., S_i. So windows do what a loop would.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from clvmodels.log.audit import Reason
from clvmodels.log.engines import total_of
from clvmodels.log.options import LogOptions
from clvmodels.log.row_expressions import NO_EARLIER, RUNNING_TOLERANCE, TOO_LARGE

if TYPE_CHECKING:
    import ibis

# A netted total below this share of what moved is rounding, not a purchase.
NET_TOLERANCE: Final = 1e-9
_KEYS: Final = ["customer", "reason"]


def net(periods: ibis.Table, options: LogOptions) -> ibis.Table:
    """Take refunds off purchases; what is left of neither loses its customer.

    Parameters
    ----------
    periods : ibis.Table
        Customer-periods with total, negative_rows and negative; where refunds were dated
        back to orders, earlier_rows and earlier of those.
    options : LogOptions
        Without netting the periods come back as they are.
    """
    if options.netting_earlier:
        return _net_earlier(periods)
    return _net_within(periods) if options.netting else periods


def resum(table: ibis.Table, names: Iterable[str]) -> dict[str, Any]:
    """Sum columns that are sums already; compensated where they are amounts."""
    how = {name: table[name].max() if name == "seen" else table[name].sum() for name in names}
    floats = [name for name in how if table[name].type().is_floating()]
    return how | {name: total_of(table[name]) for name in floats}


def _net_within(p: ibis.Table) -> ibis.Table:
    """Make refunds of the rows of a period whose netted total is not positive."""
    import ibis

    void = (p["reason"] == int(Reason.USED)) & (p["total"] <= _rounding(p))
    return p.mutate(
        customer=ibis.ifelse(void, None, p["customer"]),
        reason=ibis.ifelse(void, int(Reason.REFUND), p["reason"]).cast("int8"),
    )


def _rounding(p: ibis.Table) -> Any:
    """Return what is rounding in a period's total."""
    return NET_TOLERANCE * _moved(p)


def _moved(p: ibis.Table) -> Any:
    """Return the sum of a period's amounts, whatever their sign."""
    return p["total"] - 2 * p["negative"]


def _net_earlier(periods: ibis.Table) -> ibis.Table:
    """Take what is left of a period's refunds off the latest earlier purchases."""
    import ibis

    p = _claims(periods)
    used = p["reason"] == int(Reason.USED)
    left = p["total"] - p["claimed"]
    void = used & (left <= _rounding(p) + p["noise"])
    # of an order that was observed before: dated forward, and nothing here covers it
    lost = p["reason"] == NO_EARLIER
    short = void & (p["uncovered"] > _rounding(p) + p["noise"])
    # exact, where what is claimed of it may be rounding: of nothing nothing can be claimed
    free = void & (p["negative_rows"] == 0) & (p["total"] == 0.0)
    why = ibis.cases(
        (short & (p["bought"] == 0), NO_EARLIER),
        (short, TOO_LARGE),
        (free, int(Reason.ZERO_AMOUNT)),
        (void, int(Reason.NETTED)),
        else_=p["reason"],
    )
    # What refunds take is what purchases lose: together nothing, but for what is uncovered.
    amount = ibis.cases((short, -p["uncovered"]), (void, 0.0), (used, left), else_=p["total"])
    changes = {
        "customer": ibis.ifelse(void, None, p["customer"]),
        "reason": why.cast("int8"),
        "total": amount,
    }
    kept = [name for name in periods.columns if name not in (*changes, *_SHARES)]
    return p.select(*kept, **changes, **_shares(p, short, lost))


_SHARES: Final = ("negative_rows", "negative", "earlier_rows", "earlier")


def _claims(periods: ibis.Table) -> ibis.Table:
    """Add what later refunds claim of a period, and what of its own finds no purchase.

    Returns
    -------
    ibis.Table
        Besides: bought (periods with purchases so far), noise (what is rounding among
        sums of this customer), claimed and uncovered.
    """
    import ibis

    if "earlier" not in periods.columns:
        periods = periods.mutate(
            earlier_rows=ibis.literal(0, type="int64"), earlier=ibis.literal(0.0)
        )
    so_far = ibis.window(rows=(None, 0), group_by=_KEYS, order_by="period")
    p = periods.mutate(
        running=periods["total"].sum().over(so_far),
        bought=(periods["total"] > 0.0).cast("int64").sum().over(so_far),
        noise=RUNNING_TOLERANCE * _moved(periods).sum().over(ibis.window(group_by=_KEYS)),
    )
    onward = ibis.window(rows=(0, None), group_by=_KEYS, order_by="period")
    before = ibis.window(rows=(None, -1), group_by=_KEYS, order_by="period")
    lowest = p["running"].min().over(before).fill_null(0.0)
    p = p.mutate(onward=p["running"].min().over(onward), lowest=lowest)
    claimed = p["running"] - p["onward"]
    return p.mutate(
        claimed=ibis.ifelse(claimed > p["noise"], claimed, 0.0),
        uncovered=ibis.ifelse(p["lowest"] < 0.0, p["lowest"], 0.0) - p["running"],
    )


def _shares(p: ibis.Table, short: Any, lost: Any) -> dict[str, Any]:
    """Split refunds: taken off purchases of their own period, off earlier ones, or uncovered.

    negative_rows and negative are of their own period, and earlier_rows and earlier of
    earlier ones; a row that is not covered in full counts under negative_rows of its line.
    """
    import ibis

    own_rows, own = p["negative_rows"] - p["earlier_rows"], p["negative"] - p["earlier"]
    bought = p["total"] - p["negative"]
    within = ibis.ifelse(own + bought < 0.0, -bought, own)
    open_ = ibis.cases((short, p["uncovered"]), (lost, -p["total"]), else_=0.0)
    short = short | lost
    covered = p["total"] >= -_rounding(p)
    earlier_rows = ibis.cases(
        (short, 0), (covered, p["earlier_rows"]), else_=p["negative_rows"]
    ).cast("int64")
    rows = ibis.cases((short, p["negative_rows"]), (covered, own_rows), else_=0).cast("int64")
    return {
        "negative_rows": rows,
        "negative": within,
        "earlier_rows": earlier_rows,
        "earlier": p["negative"] - within + open_,
    }
