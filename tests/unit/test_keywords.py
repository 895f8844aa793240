"""Options that a function has not: the message names the one that was meant."""

from __future__ import annotations

import importlib
import inspect
import pydoc
from collections.abc import Iterator
from functools import partial
from typing import Any, TypedDict, Unpack

import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    RfmTable,
    SchemaError,
    UnknownOptionError,
    economics,
)
from clvmodels.diagnostics import diagnose
from clvmodels.keywords import defaults, named
from clvmodels.posterior import total_value
from tests.unit.diagnostics_cases import base, given

PURCHASES = given().purchases
MODELS = (
    "BetaGeoModel",
    "CLVModel",
    "GammaGammaModel",
    "ModifiedBetaGeoModel",
    "ParetoNBDModel",
)
LOG = pd.DataFrame(
    {
        "customer_id": [1, 1, 2],
        "date": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-01-05"]),
        "amount": [10.0, 12.0, 9.0],
    }
)


@pytest.mark.parametrize(
    ("call", "wrong", "meant"),
    [
        (CLVModel().fit, "seed", "did you mean random_seed?"),
        (CLVModel().fit, "random_sed", "did you mean random_seed?"),
        (BetaGeoModel().fit, "nuts_sampler", "did you mean method?"),
        (GammaGammaModel().fit, "warmup", "did you mean tune?"),
        (BetaGeoModel().fit, "cores", "chains run on all cores"),
        (BetaGeoModel().fit, "target_accept", "the sampler adapts by itself"),
        (BetaGeoModel().build, "unit", "did you mean time_unit?"),
        (CLVModel().fit, "margin", "the margin belongs to the table: rfm_summary("),
        (given().predict, "future_t", "did you mean horizon?"),
        (given().predict, "ci_prob", "did you mean interval?"),
        (given().new_customer_value, "t", "did you mean horizon?"),
        (clv.rfm_summary, "freq", "did you mean time_unit?"),
        (clv.rfm_summary, "returns", "did you mean refunds?"),
        (clv.rfm_summary, "amount_col", "did you mean monetary_value_col?"),
        (clv.rfm_summary, "timestamp", "did you mean datetime_col?"),
        (clv.rfm_summary, "observation_end", "did you mean observation_period_end?"),
        (clv.rfm_summary_to_parquet, "monetary_value", "did you mean monetary_value_col?"),
        (clv.rfm_train_test_split, "calibration_period_end", "did you mean train_period_end?"),
        (clv.rfm_train_test_split, "observation_period_end", "did you mean test_period_end?"),
        (RfmTable.from_pandas, "observation_period_end", "did you mean observation_end?"),
        (RfmTable.from_frame, "freq", "did you mean time_unit?"),
        (clv.backtest, "seed", "did you mean random_seed?"),
        (clv.score, "cores", "did you mean threads?"),
        (diagnose, "seed", "did you mean random_seed?"),
        (clv.report, "seed", "did you mean random_seed?"),
        (clv.report, "path", "did you mean output?"),
        (clv.report, "curency", "did you mean currency?"),
        (clv.simple_clv, "discount", "did you mean discount_rate?"),
        (clv.simple_clv, "freq", "did you mean time_unit?"),
        (clv.simple_clv_per_customer, "returns", "did you mean refunds?"),
        (total_value, "t", "did you mean horizon?"),
        (PURCHASES.expected_purchases, "horizon", "did you mean future_t?"),
        (PURCHASES.expected_purchases, "t", "did you mean future_t?"),
        (PURCHASES.probability_of_purchase, "time", "did you mean future_t?"),
        (PURCHASES.expected_probability_alive, "rfm", "did you mean data?"),
        (given().spend.expected_customer_spend, "freq", "did you mean time_unit?"),
        (BetaGeoPosterior.from_draws, "freq", "did you mean time_unit?"),
        (clv.spark.score, "future_t", "did you mean horizon?"),
        (clv.spark.score_files, "discount", "did you mean discount_rate?"),
        (clv.spark.rfm_summary, "observation_end", "did you mean observation_period_end?"),
        (clv.plots.plot_lorenz, "axis", "did you mean ax?"),
        (clv.plots.plot_history_matrix, "t", "did you mean horizon?"),
        (economics.tier_report, "ci_prob", "did you mean interval?"),
    ],
)
def test_the_nearest_option_is_named(call: Any, wrong: str, meant: str) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        call(base(), **{wrong: 1})
    text = str(caught.value)
    assert f"has no option {wrong!r}: {meant}" in text
    assert isinstance(caught.value, TypeError)  # as Python has it
    assert isinstance(caught.value, SchemaError)
    known = [n for n, p in inspect.signature(call).parameters.items() if p.kind is p.KEYWORD_ONLY]
    assert known
    assert all(name in text for name in known)


def test_what_is_near_to_nothing_has_the_list_alone() -> None:
    with pytest.raises(UnknownOptionError, match=r"no option 'zzz'\. It takes rfm, method"):
        CLVModel().fit(base(), zzz=1)  # type: ignore[call-arg]


def test_signatures_are_what_they_are() -> None:
    """Both models' fits have the same options, spelled out."""
    one, both = (inspect.signature(model.fit).parameters for model in (BetaGeoModel, CLVModel))
    assert list(one) == list(both)
    assert [p.default for p in one.values()] == [p.default for p in both.values()]
    assert both["random_seed"].annotation == "int | None"
    assert inspect.signature(CLVModel.fit).return_annotation == "CLVPosterior"
    assert "CLVPosterior" in inspect.signature(clv.load_posterior).return_annotation


# --- names of models ---


def test_models_are_known_by_name() -> None:
    assert CLVModel("mbgnbd") == CLVModel(purchases=ModifiedBetaGeoModel())
    assert CLVModel("bgnbd") == CLVModel()
    fitted = CLVModel("mbgnbd").fit(base(100), method="map", progressbar=False)
    assert isinstance(fitted.purchases, clv.ModifiedBetaGeoPosterior)


def test_a_name_that_is_no_model_lists_those_that_are() -> None:
    with pytest.raises(SchemaError, match=r"purchases='pareto' is unknown: .*'auto', 'bgnbd', "):
        CLVModel("pareto")  # type: ignore[arg-type]
    for wrong in (GammaGammaModel(), BetaGeoModel, 3):
        with pytest.raises(SchemaError, match="must be a model of purchases"):
            CLVModel(wrong)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="must be a GammaGammaModel"):
        CLVModel(spend=BetaGeoModel())  # type: ignore[arg-type]


# --- logs where tables are meant ---


@pytest.mark.parametrize(
    "call",
    [
        CLVModel().fit,
        BetaGeoModel().fit,
        BetaGeoModel().build,
        given().predict,
        RfmTable.from_pandas,
    ],
)
@pytest.mark.parametrize("log", [LOG, LOG.rename(columns={"customer_id": "CustomerID"})])
def test_a_log_is_recognised(call: Any, log: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match=r"looks like a log .*date, amount.* rfm_summary\(log"):
        call(log)


def test_a_table_with_other_names_is_no_log() -> None:
    with pytest.raises(SchemaError, match="lacks T"):
        CLVModel().fit(base().rename(columns={"T": "age"}))


# --- every public function and method, so that no new one is forgotten ---

# These hand all further options on to another package, or are in its form.
OTHERS: dict[str, str] = {
    "mlflow.log_model": "options of mlflow",
    "mlflow.save_model": "options of mlflow",
    **{f"{model}.set_params": "scikit-learn's" for model in MODELS},
}


def has_options(function: Any) -> bool:
    kinds = {one.kind for one in inspect.signature(function).parameters.values()}
    return bool(kinds & {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})


def public() -> Iterator[tuple[str, Any]]:
    """All names of the package and of its public modules."""
    modules = [one for one in clv.__all__ if inspect.ismodule(getattr(clv, one))]
    for module in ("", *modules, "posterior", "reporting", "interop.pymc_marketing"):
        home = importlib.import_module(f"clvmodels.{module}".rstrip("."))
        for name in getattr(home, "__all__", dir(home)):
            found = getattr(home, name)
            ours = str(getattr(found, "__module__", "")).startswith("clvmodels")
            if ours and not name.startswith("_"):
                yield f"{module}.{name}".lstrip("."), found


def callables() -> dict[str, tuple[str, Any]]:
    """What is called, what its error must call it, and how to call it with options alone."""
    found: dict[str, tuple[str, Any]] = {}
    for where, one in public():
        if inspect.isfunction(one) and has_options(one):
            found.setdefault(where, (one.__name__, one))
        if not inspect.isclass(one):
            continue
        for name, member in inspect.getmembers(one, inspect.isroutine):
            ours = getattr(member, "__module__", "") or ""
            if name.startswith("_") or not ours.startswith("clvmodels"):
                continue
            if has_options(member):
                call = member if inspect.ismethod(member) else partial(member, blank(one))
                found.setdefault(f"{one.__name__}.{name}", (f"{one.__name__}.{name}", call))
    return {name: both for name, both in found.items() if name not in OTHERS}


def blank(kind: Any) -> Any:
    """An object that no method has looked at; models have all that `replace` needs."""
    return kind() if kind.__name__ in MODELS else object.__new__(kind)


CALLABLES = callables()


@pytest.mark.parametrize("name", CALLABLES)
def test_every_public_callable_names_its_options(name: str) -> None:
    called, call = CALLABLES[name]
    called = called.removesuffix(".replace")  # which makes an object anew
    with pytest.raises(UnknownOptionError) as caught:
        call(zzz=1)
    text = str(caught.value)
    assert text.startswith(f"{called} has no option 'zzz'. It takes ")
    assert "Specification" not in text
    assert "__init__" not in text


def test_the_matrix_is_of_what_people_call() -> None:
    assert {
        *("report", "simple_clv", "simple_clv_per_customer", "posterior.total_value"),
        *("spark.score", "plots.plot_lorenz", "CLVModel.fit", "BetaGeoModel.fit"),
        *("BetaGeoPosterior.expected_purchases", "RfmTable.from_pandas", "backtest"),
    } <= set(CALLABLES)
    assert len(CALLABLES) > 100


@pytest.mark.parametrize(
    ("kind", "wrong", "meant"),
    [
        (BetaGeoModel, "prior", "did you mean priors?"),
        (ModifiedBetaGeoModel, "T_scal", "did you mean T_scale?"),
        (GammaGammaModel, "v_scal", "did you mean v_scale?"),
        (CLVModel, "purchase", "did you mean purchases?"),
        (clv.CLVPosterior, "margn", "did you mean margin?"),
        (economics.SimpleInputs, "churns", "did you mean churn?"),
    ],
)
def test_constructors_name_their_fields(kind: Any, wrong: str, meant: str) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        kind(**{wrong: 1})
    assert str(caught.value).startswith(f"{kind.__name__} has no option {wrong!r}: {meant}")


def test_a_second_name_is_used_by_its_errors() -> None:
    with pytest.raises(UnknownOptionError, match=r"^RfmTable\.from_pandas has no option"):
        RfmTable.from_pandas(base(), zzz=1)  # type: ignore[call-arg]
    with pytest.raises(UnknownOptionError, match=r"^RfmTable\.from_frame has no option"):
        RfmTable.from_frame(base(), zzz=1)  # type: ignore[call-arg]


def test_the_report_has_all_options_of_its_record() -> None:
    page, record = (inspect.signature(one).parameters for one in (clv.report, diagnose))
    assert set(page) - set(record) == {"output", "json", "reader"}
    assert set(record) <= set(page)
    assert {page[name].default for name in ("draws", "horizon")} == {500, "365D"}
    assert all(page[name].default == record[name].default for name in record)


# --- options that are typed once ---


class Shared(TypedDict):
    horizon: str
    draws: int


@defaults(horizon="365D", draws=500, margin=None)
class More(Shared, total=False):
    margin: float | None


@defaults(draws=500, margin=None)
class Needing(Shared, total=False):
    margin: float | None


def test_options_of_a_typed_dict_are_written_out_in_the_signature() -> None:
    @named
    def verb(posterior: object, *, paths: int = 3, **options: Unpack[More]) -> dict[str, object]:
        return {"paths": paths, **options}

    parameters = inspect.signature(verb).parameters
    assert list(parameters) == ["posterior", "horizon", "draws", "margin", "paths"]
    assert (parameters["draws"].annotation, parameters["draws"].default) == ("int", 500)
    assert "options" not in inspect.signature(verb).parameters
    assert "horizon: 'str' = '365D'" in pydoc.render_doc(verb)
    assert verb(1) == {"paths": 3, "horizon": "365D", "draws": 500, "margin": None}
    assert verb(1, draws=7, paths=2) == {
        "paths": 2,
        "horizon": "365D",
        "draws": 7,
        "margin": None,
    }
    with pytest.raises(UnknownOptionError, match=r"verb has no option 'drws': did you mean draws"):
        verb(1, drws=2)


def test_options_without_a_default_must_be_given() -> None:
    class Owner:
        @named
        def verb(self, **options: Unpack[Needing]) -> dict[str, object]:
            return {**options}

    assert Owner().verb(horizon="1D") == {"horizon": "1D", "draws": 500, "margin": None}
    parameters = inspect.signature(Owner().verb).parameters
    assert list(parameters) == ["horizon", "draws", "margin"]
    with pytest.raises(TypeError, match=r"verb\(\) missing 1 required .* argument: 'horizon'"):
        Owner().verb(draws=3)
    with pytest.raises(UnknownOptionError, match=r"^Owner\.verb has no option 'zzz'\. It takes ho"):
        Owner().verb(zzz=3)
