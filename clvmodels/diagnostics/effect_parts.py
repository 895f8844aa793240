"""What kind of customer buys more, or stays: the effects of covariates, as a figure and a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels.diagnostics.new_customers import TARGET
from clvmodels.diagnostics.record import Figure, Table
from clvmodels.diagnostics.study import Study
from clvmodels.diagnostics.words import number, percent, profit_or_revenue, short
from clvmodels.display import listed, many
from clvmodels.errors import ClvError
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.effects import effects_of
from clvmodels.purchases.design import OTHER, SIDES, Factor
from clvmodels.purchases.model import AT_ANY_TIME
from clvmodels.rfm.attributes import number_or_text

if TYPE_CHECKING:
    import pandas as pd

_MOST: Final = 12  # levels of one covariate that are shown: those that differ most
_SIDES: Final = {
    "purchases": "how often they buy",
    "dropout": "how readily they leave",
    "spend": "what they spend an order",
}


def effect_data(fits: Sequence[Posterior], interval: float) -> dict[str, Any]:
    """Data of the figure: multiples of the average customer, by level and side."""
    table = shown_effects(fits, interval)
    keys = _in_order(fits, table)
    place = {key: i for i, key in enumerate(keys)}
    series = []
    for side in SIDES:
        own = table[table["on"] == side]
        if not len(own):
            continue
        at = [place[key] for key in zip(own["covariate"], own["level"], strict=True)]
        columns = {"times": "times", "lower": "times_lower", "upper": "times_upper"}
        values = {
            name: short(own[column].to_numpy(dtype=np.float64)) for name, column in columns.items()
        }
        series.append({"name": _SIDES[side], "places": at, **values})
    return {
        "levels": [level for _, level in keys],
        "covariates": [covariate for covariate, _ in keys],
        "series": series,
        "left": _left_out(fits, table),
    }


def _left_out(fits: Sequence[Posterior], table: pd.DataFrame) -> int:
    """How many levels differ less than those of the table."""
    designs = [one.metadata.design for one in fits if one.metadata.design]
    every = {(e.factor, level) for one in designs for e in one.effects for level in e.levels}
    return len(every - {*zip(table["covariate"], table["level"], strict=True)})


def _in_order(fits: Sequence[Posterior], table: pd.DataFrame) -> list[tuple[str, str]]:
    """Levels as they are drawn: by what they do, where they have no order of their own."""
    designs = [one.metadata.design for one in fits if one.metadata.design]
    named = {e.factor for one in designs for e in one.effects if e.kind in ("level", "pooled")}
    keys = list(dict.fromkeys(zip(table["covariate"], table["level"], strict=True)))
    first = table.drop_duplicates(["covariate", "level"]).set_index(["covariate", "level"])["times"]
    places = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in keys))}
    unordered = {
        name
        for name in named & places.keys()
        if any(number_or_text(level)[0] for covariate, level in keys if covariate == name)
    }
    return sorted(keys, key=lambda key: (places[key[0]], -first[key] if key[0] in unordered else 0))


def shown_effects(fits: Sequence[Posterior], interval: float) -> pd.DataFrame:
    """Effects of the levels that the base had, of each covariate at most `_MOST`."""
    table = effects_of(fits, interval)
    table = table[table["level"] != OTHER]
    size = np.abs(np.log(table["times"])).groupby([table["covariate"], table["level"]]).max()
    most = size.groupby(level="covariate").nlargest(_MOST).droplevel(0).index
    keys = zip(table["covariate"], table["level"], strict=True)
    return table[[key in most for key in keys]]


def effect_figures(study: Study) -> Iterator[Figure]:
    """The effects, where the model has covariates."""
    if not any(one.metadata.drawn for one in study.models):
        return
    table = shown_effects(study.models, study.question.interval)
    names = ", ".join(dict.fromkeys(table["covariate"]))
    clear = table[(table["times_lower"] > 1.0) | (table["times_upper"] < 1.0)]
    yield Figure(
        key="effects",
        kind="effects",
        title=_title(clear),
        caption=(
            f"{_moved(study)} of customers of each level, as multiples of the average customer's, "
            f"with {percent(study.question.interval)} intervals. All other covariates are held "
            "equal."
        ),
        alt=f"Effects of {names}: {len(clear)} of {len(table)} intervals do not reach 1.",
        data=effect_data(study.models, study.question.interval),
    )


def effect_tables(study: Study) -> Iterator[Table]:
    """The same effects in plain units."""
    if not any(one.metadata.drawn for one in study.models):
        return
    table = shown_effects(study.models, study.question.interval)
    left = _left_out(study.models, table)
    columns = {
        name: name for name in ("covariate", "level", "customers", "times", "what", "figure")
    }
    columns |= {"lower": "figure_lower", "upper": "figure_upper"}
    yield Table(
        key="effects",
        title="What kind of customer",
        columns=tuple(columns),
        rows=tuple(
            tuple(row[name] for name in columns.values()) for row in table.to_dict("records")
        ),
        caption=(
            "The average customer has 1 times. That an effect is there does not mean that it "
            "helps to forecast those who have been watched for long, whose purchases tell it "
            "already: compare backtests with and without."
            + (f" {many(left, 'level')} that differ less are not shown." if left else "")
        ),
        formats={
            "customers": "integer",
            **dict.fromkeys(("times", "figure", "lower", "upper"), "number"),
        },
        intervals={"figure": ("lower", "upper")},
    )


def new_customer_tables(study: Study) -> Iterator[Table]:
    """What a new customer of each level is worth, of each covariate that has categories."""
    design = study.purchases.metadata.design
    if study.clv is None or design is None:
        return
    for place, factor in enumerate(design.factors):
        if not factor.numeric and len(factor.levels) > 1:
            with suppress(ClvError):  # no finite value, which the first page says
                yield _new_customers_by(study, study.clv, factor, place)


def _new_customers_by(study: Study, clv: CLVPosterior, factor: Factor, place: int) -> Table:
    """The same of one covariate: its largest levels, the most valuable first."""
    sizes = sorted(
        zip(factor.levels, factor.customers, strict=True), key=lambda one: (-one[1], one[0])
    )
    terms: dict[str, Any] = {**study.question.terms(), "margin": study.rfm.margin}
    shown = sizes[:_MOST]
    worth = {level: clv.of({factor.name: level}).new_customer_value(**terms) for level, _ in shown}
    rows = [
        (level, count, one.mean, one.lower, one.upper, one.mean / TARGET)
        for level, count in shown
        for one in (worth[level],)
    ]
    ends = percent(study.question.interval)
    less = (
        f" {many(len(sizes) - _MOST, 'smaller level', 'are')} not shown." if sizes[_MOST:] else ""
    )
    effects = [
        one for fit in study.models if fit.metadata.design for one in fit.metadata.design.effects
    ]
    pooled = any(one.factor == factor.name and one.learnt for one in effects)
    drawn = " Levels of few customers are drawn to the average." if pooled else ""
    first = next(iter(worth.values()))
    return Table(
        key=f"new-customers-{place}",
        title=f"What a new customer of each {factor.name} is worth, and may cost at most",
        columns=(factor.name, "customers", "worth", "lower", "upper", "three for one"),
        rows=tuple(sorted(rows, key=lambda row: -row[2])),
        caption=(
            f"{profit_or_revenue(first.margin).capitalize()} in {first.horizon}, first order "
            f"included, with {ends} intervals of the expectation; the last column is the cost that "
            f"brings back three for one.{drawn}{less}"
        ),
        formats={
            "customers": "integer",
            **dict.fromkeys(("worth", "lower", "upper", "three for one"), "money"),
        },
        intervals={"worth": ("lower", "upper")},
    )


def _title(clear: pd.DataFrame) -> str:
    for side, does in (
        ("purchases", "buys {} times as often"),
        ("spend", "spends {} times as much"),
    ):
        some = clear[clear["on"] == side]
        if len(some):
            most = some.loc[np.abs(np.log(some["times"])).idxmax()]
            words = does.format(number(float(most["times"])))
            return f"{most['covariate']} {most['level']} {words} as the average"
    return "No level clearly buys or spends more or less than the average customer"


def _moved(study: Study) -> str:
    """What the effects move, in words."""
    by_time = study.purchases.facts.leaves == AT_ANY_TIME
    words = {
        "purchases": "purchase rate while active",
        "dropout": "rate of leaving" if by_time else "odds of leaving at a purchase",
        "spend": "amounts of orders",
    }
    designs = [one.metadata.design for one in study.models if one.metadata.design]
    sides = {effect.side for design in designs for effect in design.effects}
    said = listed([words[side] for side in SIDES if side in sides])
    return said[0].upper() + said[1:]
