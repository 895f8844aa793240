"""From totals: order value, frequency, cost of goods sold, margin."""

from __future__ import annotations

from clvmodels.errors import DomainError
from clvmodels.formulas.simple._checks import check_divisor, check_number


def average_order_value(revenue: float, orders: float) -> float:
    """Average order value: revenue / orders.

    Parameters
    ----------
    revenue : float
        In money, >= 0.
    orders : float
        How many brought it, > 0.

    Raises
    ------
    DomainError
        There are no orders, or revenue is negative.

    Examples
    --------
    >>> average_order_value(revenue=12_000, orders=240)
    50.0
    """
    return check_number("revenue", revenue) / check_divisor(
        "orders", orders, "without an order there is no average one"
    )


def purchase_frequency(orders: float, customers: float) -> float:
    """Orders per customer, in the time in which the orders were counted.

    Parameters
    ----------
    orders : float
        Orders of a period, >= 0.
    customers : float
        Unique customers (or customer-years, for orders per year), > 0.

    Raises
    ------
    DomainError
        There are no customers, or the number of orders is negative.

    Examples
    --------
    >>> purchase_frequency(orders=240, customers=100)
    2.4
    """
    return check_number("orders", orders) / check_divisor(
        "customers", customers, "without customers nobody orders"
    )


def cost_of_goods_sold(
    opening_inventory: float, purchases: float, closing_inventory: float
) -> float:
    """Cost of the goods sold: opening inventory + purchases - closing inventory.

    Parameters
    ----------
    opening_inventory, purchases, closing_inventory : float
        In money, >= 0.

    Raises
    ------
    DomainError
        A number is negative, or more is left than there ever was.

    Examples
    --------
    >>> cost_of_goods_sold(180_000, 450_000, 160_000)
    470000.0
    """
    opening = check_number("opening_inventory", opening_inventory)
    available = opening + check_number("purchases", purchases)
    closing = check_number("closing_inventory", closing_inventory)
    if closing > available:
        raise DomainError(
            f"closing_inventory={closing_inventory!r} is more than opening inventory and purchases "
            f"together ({available:g}): goods that were never there cannot be left."
        )
    return available - closing


def gross_margin(revenue: float, cost: float) -> float:
    """Share of revenue that is left after the cost of the goods: (revenue - cost) / revenue.

    Below 0 where goods were sold below cost. That is a fact of the books and is returned
    as such; the formulas of lifetime value refuse it, since customers who cost money on
    every order have no value that more orders or a longer life would raise.

    Parameters
    ----------
    revenue : float
        In money, > 0.
    cost : float
        Cost of goods sold, >= 0.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    DomainError
        There is no revenue to take a share of, or the cost is negative.

    Examples
    --------
    >>> gross_margin(revenue=800_000, cost=470_000)
    0.4125
    >>> gross_margin(revenue=100, cost=125)
    -0.25
    """
    whole = check_divisor("revenue", revenue, "a margin is a share of revenue")
    return (whole - check_number("cost", cost)) / whole
