"""Options that are no numbers, flags or choices are refused alike, wherever they are passed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    ClvError,
    CLVPosterior,
    DomainError,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    TimeUnitError,
    count_distribution,
    economics,
    load_posterior,
    portfolio,
    rfm_summary,
    simulate,
    simulate_future,
    value_distribution,
)
from clvmodels.path_checks import path_of
from clvmodels.schema import check_interval, check_list, check_whole

POSTERIOR = CLVPosterior(
    BetaGeoPosterior.from_draws(r=[0.24, 0.25, 0.26], alpha=30.9, a=0.79, b=2.43),
    GammaGammaPosterior.from_draws(p=[6.2, 6.3, 6.4], q=3.74, v=15.4),
)
RFM = pd.DataFrame(
    {
        "customer_id": [1, 2],
        "frequency": [2, 0],
        "recency": [213.0, 0.0],
        "T": [272.0, 100.0],
        "monetary_value": [22.35, 0.0],
    }
)
TABLE = RfmTable.from_pandas(RFM)
LOG = pd.DataFrame({"who": [1, 1, 2], "when": pd.date_range("2024-01-01", periods=3), "paid": 5.0})
COLUMNS = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}
# What people pass by mistake: text, lists, cells of a frame, things of another kind.
ODD: tuple[Any, ...] = ("many", "0.9", b"1", [1], {}, np.array([1, 2]), pd.NA, 10**400, object())


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"interval": "0.9"}, DomainError, "interval='0.9' must be a number"),
        ({"interval": None}, DomainError, "interval=None must be a number"),
        ({"interval": 90}, DomainError, "interval=90 must lie between 0 and 1, such as 0.9"),
        ({"interval": 1.0}, DomainError, "interval=1.0 must lie between"),
        ({"interval": float("nan")}, DomainError, "interval=nan must lie between"),
        ({"draws": 2.5}, DomainError, "draws=2.5 must be a whole number >= 1"),
        ({"draws": "many"}, DomainError, "draws='many' must be a number"),
        ({"draws": 0}, DomainError, "draws=0 must be a whole number >= 1"),
        ({"draws": True}, DomainError, "draws=True must be a number"),
        ({"discount_rate": "10%"}, DomainError, "discount_rate='10%' must be a number"),
        ({"discounting": ["monthly"]}, SchemaError, "discounting=.'monthly'. is unknown"),
        ({"discounting": np.array(["a", "b"])}, SchemaError, "discounting=.* is unknown"),
        ({"horizon": [[1]]}, TimeUnitError, r"horizon=\[+1\]+ is not one length of time"),
        ({"horizon": "a year"}, TimeUnitError, "horizon='a year' is not one length of time"),
        ({"predictive": "no"}, SchemaError, "predictive='no' must be True or False"),
    ],
)
def test_predict_says_what_is_wrong(
    options: dict[str, Any], error: type[ClvError], says: str
) -> None:
    with pytest.raises(error, match=says):
        POSTERIOR.predict(RFM, **options)
    if "predictive" not in options:
        with pytest.raises(error, match=says):
            POSTERIOR.new_customer_value(**options)


def test_numbers_of_other_kinds_are_fine() -> None:
    """NumPy's numbers, and whole floats as JSON has them, count as what they are."""
    same = POSTERIOR.predict(RFM, draws=2, interval=0.5, predictive=True)
    also = POSTERIOR.predict(
        RFM, draws=np.float64(2.0), interval=np.float32(0.5), predictive=np.True_
    )
    pd.testing.assert_frame_equal(same, also)


OPTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "predict": (
        lambda **o: POSTERIOR.predict(RFM, **o),
        ("interval", "draws", "discount_rate", "discounting", "horizon", "predictive"),
    ),
    "draws": (lambda **o: POSTERIOR.purchases.draws(**o), ("count",)),
    "count_distribution": (
        lambda **o: count_distribution(POSTERIOR, RFM, **o),
        ("draws", "horizon", "threads"),
    ),
    "value_distribution": (
        lambda **o: value_distribution(POSTERIOR, RFM, **o),
        ("draws", "paths", "random_seed", "threads"),
    ),
    "portfolio": (
        lambda **o: portfolio(POSTERIOR, RFM, **o),
        ("draws", "interval", "paths", "random_seed", "threads", "by"),
    ),
    "simulate_future": (
        lambda **o: simulate_future(POSTERIOR, RFM, **o),
        ("draws", "paths", "random_seed", "threads"),
    ),
    "quantile": (
        lambda **o: count_distribution(POSTERIOR, RFM).quantile(**o),
        ("probability",),
    ),
    "rfm_summary": (
        lambda **o: rfm_summary(LOG, **{**COLUMNS, **o}),
        (
            *COLUMNS,
            *("time_unit", "time_scaler", "refunds", "margin"),
            *("segment_cols", "observation_period_end"),
        ),
    ),
    "simulate_log": (
        lambda **o: simulate.simulate_log(
            **{"n": 3, "T": 9, "r": 1, "alpha": 9, "a": 1, "b": 2, "seed": 1} | o
        ),
        ("n", "T", "r", "alpha", "seed"),
    ),
    "value_tiers": (
        lambda **o: economics.value_tiers(POSTERIOR.predict(RFM), **o),
        ("quantiles", "thresholds", "labels"),
    ),
    "acquisition_budget": (
        lambda **o: economics.acquisition_budget(75.0, **{"customers": 3, "target_ratio": 3.0} | o),
        ("customers", "target_ratio"),
    ),
    "gini": (economics.gini, ("values",)),
    "top_shares": (lambda **o: economics.top_shares(POSTERIOR, TABLE, **o), ("shares",)),
    "ltv_to_cac": (lambda **o: economics.ltv_to_cac(75.0, **o), ("cac",)),
    "load_posterior": (load_posterior, ("path",)),
    "from_draws": (
        lambda **o: BetaGeoPosterior.from_draws(**{"r": 1, "alpha": 9, "a": 1, "b": 2} | o),
        ("r", "time_unit", "time_scaler"),
    ),
}


@pytest.mark.parametrize(
    ("call", "option"),
    [(call, option) for call, (_, options) in OPTIONS.items() for option in options],
)
def test_what_is_no_option_is_an_error_of_ours_in_one_line(call: str, option: str) -> None:
    """Whatever is passed either means something or is refused by name."""
    said = []
    for odd in ODD:
        try:
            OPTIONS[call][0](**{option: odd})
        except ClvError as error:
            said.append(str(error))
    assert len(said) >= 4  # some of them are numbers, or lists of numbers
    assert all("\n" not in text and len(text) < 400 for text in said), said


@pytest.mark.parametrize(
    "call",
    [
        lambda wrong: value_distribution(wrong, RFM),
        lambda wrong: economics.payback_period(wrong, 20.0),
    ],
)
@pytest.mark.parametrize("wrong", [POSTERIOR.purchases, RFM, "posterior.nc"])
def test_value_needs_both_posteriors(call: Callable[[Any], object], wrong: Any) -> None:
    with pytest.raises(
        SchemaError, match="A value needs a posterior of purchases and of spend, fou"
    ):
        call(wrong)


def test_checks_of_the_schema() -> None:
    assert check_whole("n", 0, least=0) == 0
    assert check_whole("n", 7.0, most=7) == 7
    assert check_interval(np.float64(0.5)) == 0.5
    assert check_list("by", ("a", "b")) == ["a", "b"]
    assert path_of("The table", "a/b").name == "b"
    with pytest.raises(DomainError, match="n=8 must be at most 7"):
        check_whole("n", 8, most=7)
    with pytest.raises(DomainError, match="n=-1 must be a whole number >= 0"):
        check_whole("n", -1, least=0)
    with pytest.raises(SchemaError, match="by='ab' must be a list"):
        check_list("by", "ab")
    with pytest.raises(SchemaError, match="The table must be named by a path, found 3"):
        path_of("The table", 3)


@pytest.mark.parametrize("verb", [portfolio, simulate_future])
def test_the_other_order_of_arguments_is_understood_and_named(verb) -> None:
    wanted = verb(POSTERIOR, RFM, paths=5)
    name = verb.__name__
    with pytest.warns(
        FutureWarning, match=rf"{name} takes the posterior first.*\(posterior, rfm\)"
    ):
        found = verb(RFM, POSTERIOR, paths=5)
    assert str(found) == str(wanted)


def test_a_table_in_place_of_the_posterior_is_named() -> None:
    with pytest.raises(SchemaError, match="Counts need a posterior of purchases, alone or"):
        count_distribution(RFM, RFM)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"found \w+: pass a CLVPosterior"):
        economics.tier_report(RFM, RFM)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"give every purchase a value, as in CLVPosterior"):
        economics.payback_period(POSTERIOR.purchases, 20.0)  # type: ignore[arg-type]
