"""The purchase models that there are: everything that names one is derived from this.

A new model is a file beside this one, an entry here, and a test of its formulas.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from clvmodels.errors import SchemaError
from clvmodels.model_facts import BetaDefault, Default, LogNormalDefault, Parameter, Peer
from clvmodels.purchases.model import AT_ANY_TIME, Described, PurchaseModel
from clvmodels.schema import FloatArray, check_choice, shown


@dataclass(frozen=True, slots=True)
class MeanAndSize:
    """a and b of a Beta distribution through its mean phi and its size kappa = a + b."""

    sampled: tuple[str, str] = ("phi_dropout", "kappa_dropout")
    made: tuple[str, str] = ("a", "b")

    def make(self, one: Any, other: Any) -> tuple[Any, Any]:
        """Make a and b."""
        return one * other, (1.0 - one) * other

    def unmake(self, one: Any, other: Any) -> tuple[Any, Any]:
        """Make phi and kappa."""
        return one / (one + other), one + other


def _average_customer(draws: Mapping[str, FloatArray], *, stages: int = 1) -> tuple[Described, ...]:
    rate = draws["r"] / (stages * draws["alpha"])
    leaves = draws["a"] / (draws["a"] + draws["b"])
    return (
        Described("repeat purchases a year while active", rate, "a year"),
        Described("leave for good {leaves}", leaves, "share"),
    )


def _dropout_moved(parameters: Mapping[str, Any], faster: Any, leave: Any) -> dict[str, Any]:
    """Move the mean dropout probability by its odds; a + b stays, which says how alike they are."""
    a, b = parameters["a"], parameters["b"]
    share = (a + b) / (a * leave + b)
    return {
        "r": parameters["r"],
        "alpha": parameters["alpha"] / faster,
        "a": a * leave * share,
        "b": b * share,
    }


def _leaving_moved(parameters: Mapping[str, Any], faster: Any, leave: Any) -> dict[str, Any]:
    """Move both rates by their scales (Fader & Hardie 2007, time-invariant covariates)."""
    alpha, beta = parameters["alpha"] / faster, parameters["beta"] / leave
    return {"r": parameters["r"], "alpha": alpha, "s": parameters["s"], "beta": beta}


_PARAMETERS: Final = (
    Parameter("r"),
    Parameter("alpha", carries="time"),
    Parameter("a"),
    Parameter("b"),
)
_RIDGES: Final = (("r", "alpha"), ("a", "b"))


def _alpha(stages: int = 1) -> LogNormalDefault:
    """Of repeat purchases a unit of time the same, however many stages each of them takes."""
    of_stages = "alpha" if stages == 1 else f"({stages} alpha)"
    return LogNormalDefault(
        0.3 / stages,
        1.5,
        True,
        f"r / {of_stages} is a rate per unit of time: with r near its median the mean customer "
        "makes about 2 repeat purchases in the mean time observed, give or take a factor of 40",
    )


_DEFAULTS: Final[Mapping[str, Default]] = {
    "r": LogNormalDefault(
        0.6,
        1.2,
        False,
        "shape of the purchase rates over customers: published bases lie between 0.1 and 3; "
        "95 % of the mass between 0.06 and 6.3",
    ),
    "alpha": _alpha(),
    "phi_dropout": BetaDefault(
        1.0, 1.0, "mean dropout probability a / (a + b): anything between 0 and 1"
    ),
    "kappa_dropout": LogNormalDefault(
        3.0,
        1.2,
        False,
        "a + b, how alike customers are in dropping out: 95 % of the mass between 0.3 and 32; "
        "published bases lie between 1 and 10",
    ),
}
_PEER_PRIORS: Final[Mapping[str, tuple[str, Mapping[str, float]]]] = {
    "r": ("Weibull", {"alpha": 2, "beta": 1}),
    "alpha": ("Weibull", {"alpha": 2, "beta": 10}),
    "phi_dropout": ("Uniform", {"lower": 0, "upper": 1}),
    "kappa_dropout": ("Pareto", {"alpha": 1, "m": 1}),
}
_ABOUT: Final = "How often customers buy, and when they leave"

BGNBD: Final = PurchaseModel(
    key="bgnbd",
    name="BG/NBD",
    about=_ABOUT,
    papers="Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). 'Counting your customers' the "
    "easy way: an alternative to the Pareto/NBD model. Marketing Science 24(2), 275-284.",
    parameters=_PARAMETERS,
    defaults=_DEFAULTS,
    joint=MeanAndSize(),
    moved=_dropout_moved,
    peer=Peer("BetaGeoModel", _PEER_PRIORS),
    ridges=_RIDGES,
    leaves="after each repeat purchase",
    once_says_nothing=True,
    endless_where="a <= 1",
    describe=_average_customer,
    irregular="bgnbd",
    family="clvmodels.purchases.beta_geometric:bgnbd",
)
MBGNBD: Final = PurchaseModel(
    key="mbgnbd",
    name="MBG/NBD",
    about=_ABOUT,
    papers="Batislam, E. P., Denizel, M. & Filiztekin, A. (2007). Empirical validation and "
    "comparison of models for customer base analysis. International Journal of Research in "
    "Marketing 24(3), 201-209.",
    parameters=_PARAMETERS,
    defaults=_DEFAULTS,
    joint=MeanAndSize(),
    moved=_dropout_moved,
    peer=Peer("ModifiedBetaGeoModel", _PEER_PRIORS),
    ridges=_RIDGES,
    leaves="after each purchase",
    once_says_nothing=False,
    endless_where="a <= 1",
    describe=_average_customer,
    irregular="mbgnbd",
    family="clvmodels.purchases.beta_geometric:mbgnbd",
)


def _regular(model: PurchaseModel, k: int) -> PurchaseModel:
    """The same model with Erlang-k times between purchases: r and alpha are of their stages."""
    key = model.key.replace("nbd", f"cnbd{k}")
    return replace(
        model,
        key=key,
        name=model.name.replace("NBD", f"CNBD-{k}"),
        papers="Reutterer, T., Platzer, M. & Schroeder, N. (2021). Leveraging purchase regularity "
        "for predicting customer behavior the easy way. International Journal of Research in "
        "Marketing 38(1), 194-215; Platzer, M. & Reutterer, T. (2016). Ticking away the moments: "
        "timing regularity helps to better predict customer activity. Marketing Science 35(5), "
        "779-799.",
        defaults={**model.defaults, "alpha": _alpha(k)},
        peer=None,
        describe=partial(_average_customer, stages=k),
        regularity=k,
        family=f"clvmodels.purchases.cnbd:{key}",
    )


def _average_customer_who_leaves_any_time(draws: Mapping[str, FloatArray]) -> tuple[Described, ...]:
    from clvmodels.formulas import paretonbd  # facts cost nothing until they are asked for

    own = {name: draws[name] for name in ("r", "alpha", "s", "beta")}  # effects may be there too
    leaves = 1.0 - paretonbd.p_purchase(0, 0, 0, math.inf, **own)
    return (
        Described("repeat purchases a year while active", draws["r"] / draws["alpha"], "a year"),
        Described("leave for good before they buy again", leaves, "share"),
    )


PARETONBD: Final = PurchaseModel(
    key="paretonbd",
    name="Pareto/NBD",
    about=_ABOUT,
    papers="Schmittlein, D. C., Morrison, D. G. & Colombo, R. (1987). Counting your customers: "
    "who are they and what will they do next? Management Science 33(1), 1-24; Fader, P. S. & "
    "Hardie, B. G. S. (2005). A note on deriving the Pareto/NBD model and related expressions.",
    parameters=(
        Parameter("r"),
        Parameter("alpha", carries="time"),
        Parameter("s"),
        Parameter("beta", carries="time"),
    ),
    defaults={
        "r": _DEFAULTS["r"],
        "alpha": _DEFAULTS["alpha"],
        "s": LogNormalDefault(
            0.6,
            1.2,
            False,
            "shape of the rates of leaving over customers, as r is of buying: published bases lie "
            "between 0.2 and 3; 95 % of the mass between 0.06 and 6.3",
        ),
        "beta": LogNormalDefault(
            0.5,
            1.5,
            True,
            "half of the customers have left after beta (2^(1/s) - 1): with s near its median "
            "after about the mean time observed, give or take a factor of 20",
        ),
    },
    peer=Peer(
        "ParetoNBDModel",
        {
            "r": ("Weibull", {"alpha": 2, "beta": 1}),
            "alpha": ("Weibull", {"alpha": 2, "beta": 10}),
            "s": ("Weibull", {"alpha": 2, "beta": 1}),
            "beta": ("Weibull", {"alpha": 2, "beta": 10}),
        },
    ),
    ridges=(("r", "alpha"), ("s", "beta")),
    leaves=AT_ANY_TIME,
    once_says_nothing=False,
    endless_where="s <= 1",
    moved=_leaving_moved,
    describe=_average_customer_who_leaves_any_time,
    family="clvmodels.purchases.pareto_nbd:paretonbd",
)

AUTO: Final = "auto"
"""What is to be chosen by the base: the model, or how regularly customers buy."""
ModelKey = Literal[
    "bgnbd",
    "mbgnbd",
    "paretonbd",
    "bgcnbd2",
    "bgcnbd3",
    "bgcnbd4",
    "mbgcnbd2",
    "mbgcnbd3",
    "mbgcnbd4",
]
ModelChoice = Literal[ModelKey, "auto"]
_REGULAR: Final = tuple(_regular(model, k) for model in (BGNBD, MBGNBD) for k in (2, 3, 4))
MODELS: Final[dict[str, PurchaseModel]] = {
    model.key: model for model in (BGNBD, MBGNBD, PARETONBD, *_REGULAR)
}


def purchase_model(key: str) -> PurchaseModel:
    """Return a purchase model by its key.

    Parameters
    ----------
    key : str
        As in ``clvmodels.purchases.MODELS``.

    Raises
    ------
    SchemaError
        There is none.
    """
    check_choice("model", key, tuple(MODELS))
    return MODELS[key]


_OWN: Final = dict(MODELS)


def sent(model: PurchaseModel) -> PurchaseModel | str:
    """Return what tells another process which model it is, for `learn` there.

    Spark's workers import the package anew: they know its own models by their keys, but not
    what a program added to the catalogue.

    Raises
    ------
    SchemaError
        A model that was added has parts that cannot be found by name there.
    """
    if _OWN.get(model.key) is model:
        return model.key
    for part in ("describe", "moved", "family"):
        if not _has_a_name(getattr(model, part)):
            raise SchemaError(
                f"The model {model.name} cannot be sent to other processes, since {part}= has no "
                "name in a module that they could import: define it in a module of its own with "
                "def or class, not as a lambda or in a notebook."
            )
    return model


def _has_a_name(part: Any) -> bool:
    """Whether it, or what it is an instance of, can be found by its module and its name."""
    if part is None or isinstance(part, str):
        return True
    part = getattr(part, "func", part)  # of a partial
    named = part if hasattr(part, "__qualname__") else type(part)
    home = sys.modules.get(named.__module__)
    return named.__module__ != "__main__" and getattr(home, named.__qualname__, None) is named


def learn(model: PurchaseModel | str) -> PurchaseModel:
    """Return a model that was `sent`, and add it to the catalogue if it is not there."""
    if isinstance(model, str):
        return purchase_model(model)
    return MODELS.setdefault(model.key, model)


def regularities(model: PurchaseModel) -> dict[int, PurchaseModel]:
    """Return a model with every regularity k that there is of it; itself alone if no other."""
    if not model.irregular:
        return {model.regularity: model}
    alike = (one for one in MODELS.values() if one.irregular == model.irregular)
    return {one.regularity: one for one in alike}


def with_regularity(model: PurchaseModel, regularity: int) -> PurchaseModel:
    """Return the same model with Erlang-k times between purchases.

    Parameters
    ----------
    model : PurchaseModel
        With any k.
    regularity : int
        k.

    Raises
    ------
    SchemaError
        There is no such model.
    """
    found = regularities(model)
    whole = isinstance(regularity, int) and not isinstance(regularity, bool)
    if whole and regularity in found:
        return found[regularity]
    if len(found) == 1:
        can = ", ".join(one.name for one in MODELS.values() if one.irregular == one.key)
        raise SchemaError(
            f"regularity={shown(regularity)} is not for {model.name}: leave it out, or take one "
            f"of {can}."
        )
    *first, last = map(str, found)
    raise SchemaError(
        f"regularity={shown(regularity)} must be {', '.join(first)} or {last}, or 'auto': how many "
        "stages there are from one purchase to the next."
    )
