"""Totals to plan with, as `clvmodels.forecast_total` has them: in words, a table, and a fan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from clvmodels.diagnostics.record import Fact, Figure, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import horizon_of, money, number, percent, short, span
from clvmodels.economics.labels import WHOLE
from clvmodels.errors import ClvError
from clvmodels.forecast import tail_probabilities
from clvmodels.forecast.calendar import Calendar
from clvmodels.predictive import TotalForecast, forecast_total
from clvmodels.predictive.planning import SOURCES
from clvmodels.schema import DAYS_PER_MONTH, DAYS_PER_YEAR, FloatArray, check_choice

_MOST_CUSTOMERS: Final = 20_000  # that are followed one by one
_MOST_MONTHS: Final = 36
_MOST_YEARS: Final = 10
_INNER: Final = 0.5
_FEW_DAYS: Final = 3.0
_CALLED: Final = {
    "parameters": "the parameters",
    "chance": "chance",
    "calendar": "the calendar",
}
_MANY: Final = ("the parameters",)
_WHY: Final = {
    "none": "The calendar is left out, as asked: seasons, campaigns and the state of the trade "
    "move all customers at once, and are not allowed for.",
    "assumed": "An assumption, not a result of this fit: the model knows no seasons or trends, and "
    "in real logs all customers together buy 10 to 20 % more or less afterwards than before. A "
    "standard deviation of {sd} allows for that.",
    "given": "What moves all customers at once, such as seasons, has the standard deviation of "
    "{sd} that was asked for.",
    "learnt": "What moves all customers at once, such as seasons, was learnt from the log; its "
    "standard deviation is {sd}.",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """Totals of the base, or why there are none.

    Attributes
    ----------
    whole : TotalForecast or None
        Of the horizon.
    months : TotalForecast or None
        Its months, where there are dates.
    of : int
        How many customers were followed, from whom all others are scaled up.
    why_not : str
        Why there is no total, or no months; "" where there are.
    """

    whole: TotalForecast | None = None
    months: TotalForecast | None = None
    of: int = 0
    why_not: str = ""


def planned(study: Study) -> Planned:
    """Forecast the totals of the base, with their months."""
    asked, scale = study.question, study.scale
    days = scale.horizon(asked.horizon) * scale.days
    if not np.isfinite(days):
        return Planned(
            why_not="There are no totals to plan with of a whole lifetime: choose a horizon that "
            "ends, such as 365D."
        )
    if days > _MOST_YEARS * DAYS_PER_YEAR:  # each purchase of each customer is followed
        return Planned(
            why_not=f"There are no totals to plan with beyond {_MOST_YEARS} years, of which nobody "
            "knows the calendar: choose a shorter horizon, such as 365D."
        )
    by_month = study.rfm.observation_end is not None and days <= _MOST_MONTHS * DAYS_PER_MONTH
    who, of = study.rfm, min(len(study.rfm), _MOST_CUSTOMERS)
    if of < len(who):
        rng = np.random.default_rng(asked.random_seed)
        chosen = np.sort(rng.choice(len(who), of, replace=False))
        who = replace(who, table=who.table.take(chosen))
    terms = asked.of_purchases() if study.clv is None else asked.terms()
    terms |= {"calendar": asked.calendar, "random_seed": asked.random_seed}
    try:
        found = forecast_total(
            study.clv or study.purchases, who, path="M" if by_month else None, **terms
        )
    except ClvError as error:
        return Planned(why_not=f"There are no totals to plan with: {error}")
    scaled = _scaled(study, found, found.whole or found)
    whole = scaled if found.whole is None else scaled.whole
    why_not = (
        ""
        if by_month
        else "There are no months of the forecast: "
        + (
            f"it is longer than {_MOST_MONTHS} of them."
            if study.rfm.observation_end is not None
            else "the table does not know when its observation ended."
        )
    )
    return Planned(whole, scaled if by_month else None, of, why_not)


def _scaled(study: Study, found: TotalForecast, whole: TotalForecast) -> TotalForecast:
    """Bring the totals of a sample to those of all, whose expectations are known."""
    if len(study.rfm) <= _MOST_CUSTOMERS:
        return found
    means = whole.table.set_index("total")["mean"]
    columns = {"purchases": "expected_purchases", "value": "clv"}
    share = {t: float(study.scores[columns[t]].sum()) / means[t] for t in means.index}
    return _times(found, share)


def _times(found: TotalForecast, share: dict[str, float]) -> TotalForecast:
    table = found.table.copy()
    by_row = table["total"].map(share)
    amounts = [n for n in table if n in ("mean", "sd") or n.endswith(("lower", "upper"))]
    for name in [*amounts, *(f"sd_{source}" for source in SOURCES)]:
        table[name] = table[name] * by_row
    samples = found.samples * by_row.to_numpy()[:, None]
    whole = None if found.whole is None else _times(found.whole, share)
    return replace(found, table=table, samples=samples, whole=whole)


# --- words ------------------------------------------------------------------------------


def plan_facts(study: Study, plan: Planned, total: str) -> Iterator[Fact]:
    """The total of the first screen, with what may really come of it."""
    if plan.whole is None:
        return
    row = _row(plan.whole, total)
    said = f"Where the total may really lie in {horizon_of(study.question.horizon, study.scale)}"
    value = total == "value"
    yield Fact(
        f"{total}_to_plan_with",
        "The same, to plan with",
        row["mean"],
        row["lower"],
        row["upper"],
        "money" if value else "integer",
        f"{said}: the {percent(study.question.interval)} interval allows for what is not known of "
        f"the parameters, for chance and for the calendar. {in_words(row)} "
        f"{calendar_said(plan.whole.calendar)}{_of_a_sample(study, plan)}",
        "worth",
    )


def in_words(row: dict[str, Any]) -> str:
    """Say where the doubt comes from, the most of it first."""
    shares = sorted(((row[f"share_{name}"], name) for name in SOURCES), reverse=True)
    if not np.isfinite(shares[0][0]):
        return "Nothing of it is in doubt."
    told = [(_CALLED[name], percent(share)) for share, name in shares if share >= 0.005]
    (first, most), *others = told
    parts = [f"{first} {'make' if first in _MANY else 'makes'} {most} of the doubt"]
    parts += [f"{which} {share}" for which, share in others]
    text = f"{', '.join(parts[:-1])} and {parts[-1]}" if others else parts[0]
    narrowed = {
        "parameters": "More data would narrow it",
        "chance": "A larger base would have less of it",
        "calendar": "More data of the same kind would narrow the parameters' part alone",
    }
    return f"{text[:1].upper()}{text[1:]}. {narrowed[shares[0][1]]}."


def calendar_said(calendar: Calendar) -> str:
    """Say what is assumed of the calendar, and by whom."""
    return _WHY[calendar.source].format(sd=percent(calendar.sd))


def _of_a_sample(study: Study, plan: Planned) -> str:
    if plan.of == len(study.rfm):
        return ""
    return (
        f" {plan.of:,} customers, drawn at random, were followed and scaled up to all, so that "
        "chance is somewhat overstated."
    )


def _row(found: TotalForecast, total: str) -> dict[str, Any]:
    row: dict[str, Any] = found.table.set_index("total").loc[total].to_dict()
    return row


def plan_table(study: Study, plan: Planned) -> Iterator[Table]:
    """What is expected, what may really come, and where the doubt comes from."""
    if plan.whole is None:
        return
    names = ("mean", "expected_lower", "expected_upper", "lower", "upper")
    records = plan.whole.table.to_dict("records")
    yield Table(
        key="plan",
        title="Totals to plan with, and where their doubt comes from",
        columns=(
            *("total", "expected", "lower", "upper", "plan with, from", "to"),
            *SOURCES,
        ),
        rows=tuple(
            (row["total"], *(row[n] for n in names), *(row[f"share_{n}"] for n in SOURCES))
            for row in records
        ),
        caption=(
            f"In {horizon_of(study.question.horizon, study.scale)}, with the "
            f"{percent(study.question.interval)} interval of the expectation, and with where the "
            "total may really lie; where the doubt comes from is in shares of its variance. "
            f"{calendar_said(plan.whole.calendar)}{_of_a_sample(study, plan)}"
        ),
        formats={
            **dict.fromkeys(("expected", "lower", "upper", "plan with, from", "to"), "integer"),
            **dict.fromkeys(SOURCES, "percent"),
        },
        intervals={"expected": ("lower", "upper")},
        spanners={"where the doubt comes from": SOURCES},
    )


# --- months -----------------------------------------------------------------------------


def plan_figures(study: Study, plan: Planned) -> Iterator[Figure]:
    """The months of each total, with their fan."""
    if plan.months is None or plan.whole is None:
        return
    for total in plan.whole.table["total"]:
        row, data = _row(plan.whole, total), fan_of(plan.months, total)
        currency = study.question.currency if total == "value" else ""
        ends = [money(row[n], currency) if total == "value" else number(round(row[n])) for n in (
            "mean", "lower", "upper"
        )]  # fmt: skip
        level = percent(study.question.interval)
        yield Figure(
            key=f"plan-{total}",
            kind="forecast",
            title=f"{ends[0]} {'of value is' if total == 'value' else 'purchases are'} expected, "
            f"and {span(*ends[1:])} may come",
            caption=(
                "By calendar month: expected (line), and where it may really lie in "
                f"{percent(_INNER)} and {level} of the cases. The fan widens since nobody "
                "knows the calendar far ahead, and the months' doubts do not cancel: a bad month "
                "is likely to be followed by another. Months that are cut off are shown at the "
                "rate of a whole one."
            ),
            alt=(
                f"Fan of {len(data['expected'])} months from {data['edges'][0]} to "
                f"{data['edges'][-1]}; the whole is {ends[0]}, {level} interval "
                f"{span(*ends[1:])}."
            ),
            data=data | {"unit": currency},
        )


def fan_of(found: TotalForecast, total: str, *, cumulative: bool = False) -> dict[str, Any]:
    """Data of the figure of a path by month: a month's rate, or sums so far.

    Raises
    ------
    SchemaError
        The forecast has no such total.
    """
    edges, expected, samples = months_of(found, total)
    if cumulative:
        expected, samples = expected.cumsum(), samples.cumsum(axis=0)
    else:
        edges, expected, samples = _as_rates(edges, expected, samples, DAYS_PER_MONTH)
    outer, inner = (
        np.quantile(samples, tail_probabilities(level), axis=1)
        for level in (found.interval, _INNER)
    )
    return {
        "edges": [str(edge) for edge in edges],
        "expected": short(expected),
        "lower": short(outer[0]),
        "upper": short(outer[1]),
        "inner_lower": short(inner[0]),
        "inner_upper": short(inner[1]),
        "quantity": total,
        "cumulative": cumulative,
    }


def months_of(found: TotalForecast, total: str) -> tuple[Any, FloatArray, FloatArray]:
    """Edges of the months of all customers, what is expected in each, and on every path."""
    from clvmodels import frames

    table = frames.to_pandas(found.table)
    check_choice("total", total, tuple(table["total"].unique()))
    mine = (table["total"] == total).to_numpy()
    if table.columns[0] not in ("month", "horizon"):
        mine = mine & (table.iloc[:, 0] == WHOLE).to_numpy()
    edges = np.array(found.edges, dtype="datetime64[D]")
    return edges, table["mean"].to_numpy()[mine], found.samples[mine]


def goes_on(
    months: TotalForecast | None, days: float, *, so_far: float | None
) -> dict[str, Any] | None:
    """What follows a curve of purchases by periods of some days, or of their sum so far."""
    if months is None:
        return None
    edges, expected, samples = months_of(months, "purchases")
    if so_far is None:
        edges, expected, samples = _as_rates(edges, expected, samples, days)
    else:
        expected, samples = so_far + expected.cumsum(), so_far + samples.cumsum(axis=0)
    lower, upper = np.quantile(samples, tail_probabilities(months.interval), axis=1)
    names = ("expected", "lower", "upper")
    values = (short(one) for one in (expected, lower, upper))
    return {"edges": [str(edge) for edge in edges], **dict(zip(names, values, strict=True))}


def _as_rates(
    edges: Any, expected: FloatArray, samples: FloatArray, days: float
) -> tuple[Any, FloatArray, FloatArray]:
    """The same by so many days; without a first or last month of a few, whose rate is chance."""
    length = np.diff(edges) / np.timedelta64(1, "D")
    kept = np.flatnonzero(length >= min(_FEW_DAYS, length.max()))
    mine, length = np.append(edges[kept], edges[kept[-1] + 1]), length[kept]
    return mine, expected[kept] / length * days, samples[kept] / length[:, None] * days
