"""What completion shows: verbs and data that are documented, and nothing else."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from enum import Enum
from typing import Any

import pytest

import clvmodels
from clvmodels import BetaGeoPosterior, CLVModel, CLVPosterior, GammaGammaPosterior
from clvmodels.errors import SchemaError
from tests.protocol.test_docs import LISTED
from tests.unit.diagnostics_cases import base
from tests.unit.test_keywords import public

PURCHASES = BetaGeoPosterior.from_draws(r=0.2, alpha=30.0, a=0.8, b=2.4)
SPEND = GammaGammaPosterior.from_draws(p=6.0, q=4.0, v=15.0)
OF_POSTERIORS = {
    *("certain", "draws", "draws_total", "facts", "fingerprint", "from_draws", "log_likelihood"),
    *("metadata", "model", "observed", "parameters", "save", "scale", "summary", "to_datatree"),
    *("tree", "verdict"),
}
SURFACE: dict[str, tuple[Any, set[str]]] = {
    "purchases": (
        PURCHASES,
        OF_POSTERIORS
        | {"expected_probability_alive", "expected_purchases", "expected_purchases_new_customer"}
        | {"effects", "formulas", "of", "predict", "probability_of_purchase"},
    ),
    "spend": (SPEND, OF_POSTERIORS | {"effects", "expected_customer_spend"}),
    "both": (
        CLVPosterior(PURCHASES, SPEND),
        {"basket_value", "certain", "draws", "effects", "fingerprint", "fits", "gamma_gamma"}
        | {"log_likelihood", "margin", "new_customer_value", "of", "predict", "purchases"}
        | {"reads_amounts", "save", "scale", "spend", "summary", "to_datatree", "verdicts"},
    ),
    "model": (
        CLVModel(),
        {"basket_value", "fit", "get_params", "purchases", "replace", "set_params", "spend"},
    ),
}
MODULES = [name for name in clvmodels.__all__ if inspect.ismodule(getattr(clvmodels, name))]
CLASSES = {
    f"{one.__module__}.{one.__qualname__}": one
    for _, one in LISTED
    if inspect.isclass(one) and not issubclass(one, BaseException)
}


def shown(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("name", SURFACE)
def test_completion_shows_verbs_and_data_only(name: str) -> None:
    thing, wanted = SURFACE[name]
    assert shown(thing) == wanted


TABLE = clvmodels.RfmTable.from_frame(base(30))
COMPLETED: dict[str, tuple[Any, set[str]]] = {
    **SURFACE,
    "package": (clvmodels, set(clvmodels.__all__) - {"__version__"}),
    "table": (TABLE, shown(TABLE)),
    "specification": (clvmodels.BetaGeoModel(), shown(clvmodels.BetaGeoModel())),
    "spend's specification": (clvmodels.GammaGammaModel(), shown(clvmodels.GammaGammaModel())),
}


COMPLETED["verdict"] = (PURCHASES.verdict, shown(PURCHASES.verdict))


@pytest.fixture(scope="module")
def shell() -> Any:
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    config = pytest.importorskip("traitlets.config").Config()
    config.HistoryManager.enabled = False
    return interactive(config=config)


@pytest.mark.parametrize("jedi", [False, True])
@pytest.mark.parametrize("name", COMPLETED)
def test_notebooks_complete_what_dir_shows(shell: Any, name: str, jedi: bool) -> None:
    """By what an object says of itself, or, as IPython does by default, by jedi too."""
    from IPython.core.completer import provisionalcompleter

    thing, wanted = COMPLETED[name]
    shell.user_ns["thing"], shell.Completer.use_jedi = thing, jedi
    with provisionalcompleter():
        found = {one.text.removeprefix(".") for one in shell.Completer.completions("thing.", 6)}
    assert {one for one in found if not one.startswith("_")} == wanted


@pytest.mark.parametrize("name", [*MODULES, "posterior", "rfm", "reporting"])
def test_modules_show_their_public_names(name: str) -> None:
    module = importlib.import_module(f"clvmodels.{name}")
    assert shown(module) == set(module.__all__)
    scope: dict[str, Any] = {}
    exec(f"from clvmodels.{name} import *", scope)
    assert {one for one in scope if not one.startswith("_")} == set(module.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_attribute_is_documented(name: str) -> None:
    """On the page of its class: by a docstring of its own, or by name in the class's."""
    kind = CLASSES[name]
    ours = [one for one in kind.__mro__ if one.__module__.startswith("clvmodels")]
    text = "\n".join(one.__doc__ or "" for one in ours)
    if kind.__name__ == "LogOptions":  # which are the arguments of a verb
        text += clvmodels.rfm_summary.__doc__ or ""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    own = {n for one in ours for n in vars(one) if not n.startswith("_")}
    own |= {one.name for one in fields if not one.name.startswith("_")}
    if issubclass(kind, Enum):  # members speak for themselves
        own -= set(kind.__members__)
    assert [one for one in sorted(own) if not is_documented(kind, one, text)] == []


def is_documented(kind: type, attribute: str, text: str) -> bool:
    found = inspect.getattr_static(kind, attribute, None)
    if inspect.isroutine(found) or isinstance(found, property | classmethod | staticmethod):
        return bool(getattr(getattr(kind, attribute), "__doc__", None))
    return re.search(rf"^\s*(?:.*,\s*)?{attribute}\b.*$", text, re.M) is not None


# --- signatures, of every public function and method ---

POSTERIOR = CLVPosterior(PURCHASES, SPEND)
# What decides which options there are is known when they are called only.
OPEN = {
    "replace": "fields of the model, and of its parts as part__field",
    "set_params": "in scikit-learn's form",
    "mlflow.log_model": "options of mlflow",
    "mlflow.save_model": "options of mlflow",
    "PurchasePosterior.from_draws": "parameters of the model",
    "StackPosterior.from_draws": "which refuses all, and names `stack`",
}
FUNCTIONS = {where: one for where, one in public() if inspect.isfunction(one)}
METHODS = {
    f"{one.__name__}.{name}": getattr(one, name)
    for _, one in public()
    if inspect.isclass(one)
    for name, _ in inspect.getmembers(one, inspect.isroutine)
    if not name.startswith("_")
    and (getattr(getattr(one, name), "__module__", "") or "").startswith("clvmodels")
}


def positions(function: Any) -> list[str]:
    found = inspect.signature(function).parameters.values()
    return [one.name for one in found if one.kind is one.POSITIONAL_OR_KEYWORD]


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_signatures_write_every_option_out(name: str) -> None:
    found = inspect.signature({**FUNCTIONS, **METHODS}[name]).parameters.values()
    free = [one for one in found if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
    assert not free or name in OPEN or name.rpartition(".")[2] in OPEN


TWO = {
    name: one
    for name, one in FUNCTIONS.items()
    if {"posterior"} < set(positions(one)[:2]) or "rfm" in positions(one)[1:2]
}


def test_the_posterior_comes_before_the_customers() -> None:
    """But where files or frames of another engine go in and come out."""
    turned = {name for name, one in TWO.items() if positions(one)[1] == "posterior"}
    assert turned == {
        *("score", "scoring.score", "spark.score", "spark.score_files", "spark.rejects"),
    }
    assert len(TWO) > 20


@pytest.mark.parametrize("name", TWO)
def test_the_other_order_is_recognised_and_named(name: str) -> None:
    call, places = TWO[name], positions(TWO[name])
    rfm = clvmodels.RfmTable.from_frame(base(20), time_unit="D")
    given = (POSTERIOR, rfm) if places[1] == "posterior" else (rfm, POSTERIOR)
    more = ["x"] * (len(places) > 2 and places[2] == "output")
    says = rf"takes {places[0]} first and {places[1]} second: {call.__name__}\({places[0]}, "
    if name.rpartition(".")[2] in ("portfolio", "simulate_future"):  # for this release
        with pytest.warns(FutureWarning, match="takes the posterior first, like all other"):
            call(*given)
    elif "path" in places:  # of a file to write
        with pytest.raises(SchemaError, match="needs a posterior"):
            call(*given)
    else:
        with pytest.raises(SchemaError, match=says):
            call(*given, *more)
