"""What may be stacked: posteriors that count time in one unit and know one spend, with weights.

Apart from the stack, since these are refusals and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from clvmodels.errors import DomainError, SchemaError, TimeUnitError
from clvmodels.posterior.clv import CLVPosterior
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.spend import SpendPosterior
from clvmodels.schema import check_number, shown

ROUNDING: Final = 1e-6

Stackable = CLVPosterior | PurchasePosterior


def checked_members(
    posteriors: Mapping[str, Stackable],
) -> tuple[dict[str, PurchasePosterior], SpendPosterior | None]:
    """Return the posteriors of purchases by name, and the spend of all, if they have it."""
    if not isinstance(posteriors, Mapping) or not posteriors:
        raise SchemaError(
            f"posteriors={shown(posteriors)} must be posteriors by name: pass "
            "{'bgnbd': posterior, 'mbgnbd': another}."
        )
    found, spent = {}, {}
    for name, one in posteriors.items():
        bought = one.purchases if isinstance(one, CLVPosterior) else one
        if not isinstance(bought, PurchasePosterior):
            raise SchemaError(
                f"A stack needs posteriors of purchases, alone or with spend, and "
                f"{shown(name)} is a {type(one).__name__}: leave it out."
            )
        if bought.metadata.members:
            raise SchemaError(
                f"{shown(name)} is a stack itself: pass its members "
                f"({', '.join(bought.metadata.members)}), each with its part of the weight."
            )
        if bought.metadata.clock is not None:
            raise SchemaError(
                f"{shown(name)} has a clock of its own, and all members of a stack must count the "
                "same time: fit it without a clock, or use it alone."
            )
        if bought.metadata.design is not None:
            raise SchemaError(
                f"{shown(name)} has covariates, which a stack does not take: use it alone."
            )
        found[str(name)] = bought
        spent[str(name)] = one.spend if isinstance(one, CLVPosterior) else None
    _check_units(found)
    _check_points(found)
    return found, _same_spend(spent)


def _check_units(found: Mapping[str, PurchasePosterior]) -> None:
    (first, one), *others = found.items()
    for name, other in others:
        if other.scale != one.scale:
            raise TimeUnitError(
                f"{shown(first)} counts time in {one.scale} and {shown(name)} in {other.scale}: "
                "fit all members of a stack to tables in one unit."
            )


def _check_points(found: Mapping[str, PurchasePosterior]) -> None:
    points = [name for name, one in found.items() if one.certain]
    drawn = [name for name, one in found.items() if not one.certain]
    if points and drawn:
        raise SchemaError(
            f"{shown(points[0])} is a single point and {shown(drawn[0])} has draws, so that "
            "intervals of their stack would leave out how uncertain the first is: fit all "
            "members by method='laplace' or 'nuts', or all by 'map'."
        )


def _same_spend(spent: Mapping[str, SpendPosterior | None]) -> SpendPosterior | None:
    (first, one), *others = spent.items()
    for name, other in others:
        if (one is None) != (other is None):
            knows, not_ = (first, name) if other is None else (name, first)
            raise SchemaError(
                f"{shown(knows)} knows spend and {shown(not_)} does not: pass the purchases of "
                "all, and make CLVPosterior(stack, spend) of the result."
            )
        if one is not None and other is not None and one.fingerprint() != other.fingerprint():
            raise SchemaError(
                f"The spend of {shown(first)} and {shown(name)} differs, and a stack has one: pass "
                "the purchases of all, and make CLVPosterior(stack, spend) of the result."
            )
    return one


def checked_weights(given: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Weights by name, checked."""
    if given is None:
        return dict.fromkeys(names, 1.0 / len(names))
    found = given if isinstance(given, Mapping) else getattr(given, "weights", None)
    if not isinstance(found, Mapping):
        raise SchemaError(
            f"weights={shown(given)} must be a number for every posterior by its name, or what "
            "clvmodels.compare returns."
        )
    if set(found) != set(names):
        raise SchemaError(
            f"Weights are of {', '.join(map(str, found)) or 'none'}, and the posteriors are "
            f"{', '.join(names)}: give each of them one."
        )
    weights = {name: check_number(f"weights[{name!r}]", found[name]) for name in names}
    total = sum(weights.values())
    if not all(0 <= weight < math.inf for weight in weights.values()):
        raise DomainError(
            f"weights={shown(dict(found))} must be numbers from 0 to 1: give each posterior its "
            "share of the whole."
        )
    if abs(total - 1.0) > ROUNDING:
        raise DomainError(
            f"weights={shown(dict(found))} must sum to 1, and they sum to {total:g}: "
            f"{'divide each by the sum' if total > 0 else 'leave them out for equal ones'}."
        )
    return {name: weight / total for name, weight in weights.items()}
