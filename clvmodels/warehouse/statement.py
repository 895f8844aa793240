"""The statement that scores a table of customers where it lies, in the SQL of a warehouse.

Of each distinct history a row of powers, cos(n arccos v) of u = ln(c + T); of each history and
each of the few draws of its x a weight, P(alive, in phase), and polynomials; their sums are the
means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

from clvmodels.schema import (
    CUSTOMER_ID,
    FIRST_VALUE,
    FREQUENCY,
    MARGIN,
    MONETARY_VALUE,
    REASON,
    RECENCY,
    T,
)
from clvmodels.warehouse.coefficient_table import (
    HALF,
    LEAST,
    MIDDLE,
    SLOPE,
    SPEND,
    CoefficientTable,
)
from clvmodels.warehouse.few_draws import MEANS, Span

Dialect = Literal["duckdb", "bigquery", "snowflake", "postgres"]
DIALECTS: Final[tuple[Dialect, ...]] = get_args(Dialect)
_SUMS: Final = {  # column of the means -> what is weighted
    "p_alive": "alive",
    "p_purchase": "buys",
    "expected_purchases": "purchases",
    "discounted_purchases": "discounted",
}
_ROWS: Final = 50  # of one INSERT


class _Words(NamedTuple):
    """How a warehouse writes what they write differently."""

    quote: str
    double: str
    text: str


_WORDS: Final[Mapping[Dialect, _Words]] = {
    "duckdb": _Words('"', "DOUBLE", "VARCHAR"),
    "bigquery": _Words("`", "FLOAT64", "STRING"),
    "snowflake": _Words('"', "DOUBLE", "VARCHAR"),
    "postgres": _Words('"', "DOUBLE PRECISION", "TEXT"),
}


@dataclass(frozen=True, slots=True)
class Money:
    """How values come about, where there are some.

    Attributes
    ----------
    margin : float
        Share of revenue that values are made of.
    amounts : bool
        Whether customers' own amounts are read.
    counted : bool
        Whether the first order counts among them.
    """

    margin: float
    amounts: bool
    counted: bool


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """Write SQL for one warehouse.

    Attributes
    ----------
    dialect : {"duckdb", "bigquery", "snowflake", "postgres"}
    table : CoefficientTable
    span : Span
    money : Money or None
    endless : bool
        Whether undiscounted purchases have no finite mean.
    """

    dialect: Dialect
    table: CoefficientTable
    span: Span
    money: Money | None
    endless: bool

    def statement(self, rfm: str, coefficients: str) -> str:
        """SQL of one row of means for each row of the table of customers."""
        steps = {
            "customers": self._customers(rfm),
            "histories": self._histories(),
            "powers": self._powers(coefficients),
            "parts": self._parts(coefficients),
            "means": self._means(),
        }
        body = ",\n".join(f"{name} AS (\n{sql}\n)" for name, sql in steps.items())
        return f"WITH {body}\n{self._scores(coefficients)}\n"

    def creation(self, coefficients: str) -> str:
        """SQL that makes the table of coefficients and fills it."""
        rows = self.table.rows
        names = ", ".join(self._name(name) for name in map(str, rows))
        columns = ",\n".join(
            f"  {self._name(name)} {self._words.double}" for name in map(str, rows)
        )
        values = [
            "(" + ", ".join("NULL" if v != v else repr(float(v)) for v in row) + ")"
            for row in rows.itertuples(index=False)
        ]
        parts = [
            f"INSERT INTO {coefficients} ({names}) VALUES\n"
            + ",\n".join(values[begin : begin + _ROWS])
            + ";"
            for begin in range(0, len(values), _ROWS)
        ]
        return "\n".join([f"CREATE TABLE {coefficients} (\n{columns}\n);", *parts, ""])

    @property
    def _words(self) -> _Words:
        return _WORDS[self.dialect]

    def _name(self, name: str) -> str:
        return f"{self._words.quote}{name}{self._words.quote}"

    def _customers(self, rfm: str) -> str:
        read = {FREQUENCY: "x", RECENCY: "t_x", T: "age"}
        if self.money is not None and self.money.amounts:
            read |= {MONETARY_VALUE: "m_bar"} | (
                {FIRST_VALUE: "first"} if self.money.counted else {}
            )
        columns = ",\n".join(
            f"    CAST({self._name(name)} AS {self._words.double}) AS {short}"
            for name, short in read.items()
        )
        return f"  SELECT {self._name(CUSTOMER_ID)} AS id,\n{columns}\n  FROM {rfm}"

    def _histories(self) -> str:
        return (
            "  SELECT DISTINCT x, t_x, age FROM customers\n"
            f"  WHERE t_x >= 0 AND t_x <= age AND age <= {self.span.longest!r}\n"
            "    AND ((x = 0 AND t_x = 0) OR (x > 0 AND t_x > 0))"
        )

    def _powers(self, coefficients: str) -> str:
        """cos(n arccos v) of T, and of t_x where P(alive) needs it."""
        degrees, of_recency = self.table.degrees, self.table.alive.of_recency
        most = {"age": max(n for name, n in degrees.items() if name not in of_recency)}
        if of_recency:
            most["t_x"] = max(degrees[name] for name in of_recency)
        u = f"(LN({self.table.shift!r} + GREATEST({{}}, 0.0)) - b.{MIDDLE}) / b.{HALF}"
        angles = ", ".join(
            f"ACOS(LEAST(1.0, GREATEST(-1.0, {u.format(of)}))) AS angle_{of}" for of in most
        )
        powers = ",\n".join(
            f"    COS({n} * angle_{of}) AS {of}_{n}"
            for of, count in most.items()
            for n in range(1, count + 1)
        )
        x = self._name(FREQUENCY)
        bounds = ", ".join(f"MAX({self._name(n)}) AS {n}" for n in (LEAST, MIDDLE, HALF))
        return (
            f"  SELECT x, t_x, age,\n{powers}\n  FROM (\n"
            f"    SELECT h.x, t_x, age, {angles}\n    FROM histories h JOIN (\n"
            f"      SELECT {x} AS x, {bounds} FROM {coefficients} GROUP BY {x}\n"
            f"    ) b ON b.x = h.x AND h.t_x >= b.{LEAST}\n  ) angles"
        )

    def _polynomial(self, name: str) -> str:
        of = "t_x" if name in self.table.alive.of_recency else "age"
        terms = (
            f"c.{self._name(f'{name}_{n}')}" + (f" * {of}_{n}" if n else "")
            for n in range(self.table.degrees[name] + 1)
        )
        return "(" + " + ".join(terms) + ")"

    def _weight(self) -> str:
        """P(alive, in phase) of one draw."""
        degrees = self.table.degrees
        columns = {name: f"c.{self._name(name)}" for name in map(str, self.table.rows)}
        return self.table.alive.text.format(
            **columns, **{name: self._polynomial(name) for name in degrees}
        )

    def _parts(self, coefficients: str) -> str:
        polynomials = "".join(f",\n    {self._polynomial(name)} AS {name}" for name in MEANS)
        alive = f"c.{self._name('alive')}"
        return (
            f"  SELECT x, t_x, age,\n    {self._weight()} AS weight,\n    {alive} AS alive"
            f"{polynomials}\n"
            f"  FROM powers JOIN {coefficients} c ON c.{self._name(FREQUENCY)} = x"
        )

    def _means(self) -> str:
        columns = ",\n".join(f"    SUM(weight * {of}) AS {name}" for name, of in _SUMS.items())
        return f"  SELECT x, t_x, age,\n{columns}\n  FROM parts GROUP BY x, t_x, age"

    def _scores(self, coefficients: str) -> str:
        """A row for every customer: who they are, the means, and why some are not there."""
        columns = {CUSTOMER_ID: "c.id", FREQUENCY: "c.x", RECENCY: "c.t_x", T: "c.age"}
        columns |= {name: _share(f"m.{name}") for name in ("p_alive", "p_purchase")}
        none = f"CAST(NULL AS {self._words.double})"
        columns["expected_purchases"] = none if self.endless else "m.expected_purchases"
        columns["discounted_purchases"] = "m.discounted_purchases"
        joins = "LEFT JOIN means m ON m.x = c.x AND m.t_x = c.t_x AND m.age = c.age"
        if self.money is not None:
            margin = f"CAST({self.money.margin!r} AS {self._words.double})"
            spend = f"({self._spend(self.money)})"
            columns["expected_spend"] = spend
            columns["clv"] = f"{margin} * m.discounted_purchases * {spend}"
            columns[MARGIN] = margin
            of_x = ", ".join(f"MAX({self._name(n)}) AS {n}" for n in (SPEND, SLOPE))
            x = self._name(FREQUENCY)
            joins += (
                f"\nLEFT JOIN (SELECT {x} AS x, {of_x} FROM {coefficients} GROUP BY {x}) s"
                " ON s.x = m.x"
            )
        columns[REASON] = self._why_not()
        chosen = ",\n".join(f"  {text} AS {self._name(name)}" for name, text in columns.items())
        return f"SELECT\n{chosen}\nFROM customers c\n{joins}"

    def _spend(self, money: Money) -> str:
        """Expected spend: a line in the mean of the amounts that count."""
        if not money.amounts:
            return f"s.{SPEND}"
        return f"s.{SPEND} + s.{SLOPE} * {_mean_amount(money)}"

    def _why_not(self) -> str:
        """Why a row has no numbers, or no value; empty where it has all."""
        most, longest = self.span.most_purchases, self.span.longest
        reasons = [
            ("c.x IS NULL OR c.t_x IS NULL OR c.age IS NULL", "a number is missing"),
            (f"c.x > {most}", f"more than {most} repeat purchases"),
            (f"c.age > {longest!r}", f"T above {longest:g}"),
            ("m.x IS NULL", "no customer has such a history"),
        ]
        if self.money is not None:
            reasons.append((f"s.{SPEND} IS NULL", "expected spend is infinite in some draws"))
            if self.money.amounts:
                missing = f"{_mean_amount(self.money)} IS NULL"
                reasons.append((missing, "an amount is missing or negative"))
        cases = "".join(f"\n    WHEN {when} THEN '{text}'" for when, text in reasons)
        return f"CAST(CASE{cases}\n  END AS {self._words.text})"


def _mean_amount(money: Money) -> str:
    """Mean of the amounts that count, empty where one is missing or negative."""
    own = "CASE WHEN c.x = 0 THEN 0.0 WHEN c.m_bar >= 0 THEN c.m_bar END"
    if not money.counted:
        return f"({own})"
    return f"(((CASE WHEN c.first >= 0 THEN c.first END) + c.x * ({own})) / (c.x + 1.0))"


def _share(of: str) -> str:
    """Within 0 and 1, whatever rounding does."""
    return f"CASE WHEN {of} > 1.0 THEN 1.0 WHEN {of} < 0.0 THEN 0.0 ELSE {of} END"
