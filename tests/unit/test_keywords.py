"""Options that a function has not: the message names the one that was meant."""

from __future__ import annotations

import inspect
from typing import Any

import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import (
    BetaGeoModel,
    CLVModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    RfmTable,
    SchemaError,
    UnknownOptionError,
)
from clvmodels.diagnostics import diagnose
from tests.unit.diagnostics_cases import base, given

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
        (clv.rfm_summary, "observation_end", "did you mean observation_period_end?"),
        (clv.rfm_summary_to_parquet, "monetary_value", "did you mean monetary_value_col?"),
        (clv.rfm_train_test_split, "calibration_period_end", "did you mean train_period_end?"),
        (clv.rfm_train_test_split, "observation_period_end", "did you mean test_period_end?"),
        (RfmTable.from_pandas, "observation_period_end", "did you mean observation_end?"),
        (RfmTable.from_frame, "freq", "did you mean time_unit?"),
        (clv.backtest, "seed", "did you mean random_seed?"),
        (clv.score, "cores", "did you mean threads?"),
        (diagnose, "seed", "did you mean random_seed?"),
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
    with pytest.raises(SchemaError, match=r"purchases='pareto' is unknown: .*'bgnbd', 'mbgnbd'"):
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


def public_functions() -> list[Any]:
    """Public functions with options of their own; the rest hands them on."""
    found = [getattr(clv, name) for name in clv.__all__ if name != "__version__"]
    functions = [one for one in found if inspect.isfunction(one)]
    kinds = [{p.kind for p in inspect.signature(one).parameters.values()} for one in functions]
    return [
        one
        for one, kind in zip(functions, kinds, strict=True)
        if inspect.Parameter.KEYWORD_ONLY in kind and inspect.Parameter.VAR_KEYWORD not in kind
    ]


@pytest.mark.parametrize("function", public_functions(), ids=lambda one: one.__name__)
def test_every_public_function_names_its_options(function: Any) -> None:
    with pytest.raises(UnknownOptionError, match=rf"^{function.__name__} has no option 'zzz'"):
        function(zzz=1)
