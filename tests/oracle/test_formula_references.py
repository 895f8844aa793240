"""BG/NBD and Gamma-Gamma formulas against 15-digit reference values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clvmodels.formulas import bgnbd, gamma_gamma

REFERENCE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "reference_values.json").read_text(encoding="utf-8")
)
PARAMETERS = REFERENCE["bgnbd_params"]
SPEND = REFERENCE["gamma_gamma_params"]
MONTH = 4.345
RELATIVE = 1e-12


def close(value: Any, reference: str) -> None:
    np.testing.assert_allclose(value, float(reference), rtol=RELATIVE, atol=0)


def history(customer: dict[str, Any]) -> tuple[float, float, float]:
    return customer["x"], float(customer["tx"]), float(customer["T"])


@pytest.mark.parametrize(
    "customer", REFERENCE["customers"], ids=lambda c: f"x={c['x']},tx={c['tx']}"
)
class TestCustomers:
    def test_likelihood_and_p_alive(self, customer: dict[str, Any]) -> None:
        close(bgnbd.log_likelihood(*history(customer), **PARAMETERS), customer["loglik"])
        close(bgnbd.p_alive(*history(customer), **PARAMETERS), customer["p_alive"])

    @pytest.mark.parametrize("weeks", [1, 26, 39, 52, 104])
    def test_expected_purchases(self, customer: dict[str, Any], weeks: int) -> None:
        value = bgnbd.expected_purchases(*history(customer), weeks, **PARAMETERS)
        close(value, customer[f"cet_{weeks}"])

    @pytest.mark.parametrize("percent", [10, 15])
    def test_whole_life_discounted(self, customer: dict[str, Any], percent: int) -> None:
        delta = math.log1p(percent / 100) / 52
        value = bgnbd.discounted_purchases(*history(customer), np.inf, delta, **PARAMETERS)
        close(value, customer[f"dert_{percent}pct"])

    def test_a_year_discounted(self, customer: dict[str, Any]) -> None:
        value = bgnbd.discounted_purchases(*history(customer), 52, math.log(1.1) / 52, **PARAMETERS)
        close(value, customer["det_52w_10pct"])

    def test_a_year_discounted_by_months(self, customer: dict[str, Any]) -> None:
        delta = math.log(1.01) / MONTH
        value = bgnbd.discounted_purchases(
            *history(customer), 12 * MONTH, delta, month=MONTH, **PARAMETERS
        )
        close(value, customer["lifetimes_style_monthly_12m_1pct"])


@pytest.mark.parametrize(("key", "values"), REFERENCE["extreme"].items())
def test_extreme_histories(key: str, values: dict[str, str]) -> None:
    x, t_x, T = (float(part) for part in key.split(","))
    close(bgnbd.log_likelihood(x, t_x, T, **PARAMETERS), values["loglik"])
    # 8e-858 and 3e-855 are 0 in double precision
    close(bgnbd.p_alive(x, t_x, T, **PARAMETERS), values["p_alive"])
    close(bgnbd.expected_purchases(x, t_x, T, 52, **PARAMETERS), values["cet_52"])


@pytest.mark.parametrize(
    ("key", "value"), REFERENCE["expected_repeat_purchases_new_customer"].items()
)
def test_new_customer(key: str, value: str) -> None:
    close(bgnbd.expected_purchases_new(float(key), **PARAMETERS), value)


def test_new_customer_of_the_paper() -> None:
    weeks = [0.1429, 1, 3, 31.8571, 32, 78]
    published = [0.0078, 0.0532, 0.1506, 1.0405, 1.0437, 1.8580]
    estimates = {"r": 0.24259454, "alpha": 4.41360188, "a": 0.79291991, "b": 2.42588806}
    value = bgnbd.expected_purchases_new(weeks, **estimates)
    np.testing.assert_allclose(value, published, rtol=0, atol=5e-5)


def test_number_of_purchases_of_a_new_customer() -> None:
    reference = REFERENCE["pmf_new_customer_t39"]
    for n, value in reference.items():
        close(bgnbd.pmf_new(int(n), 39, **PARAMETERS), value)
    close(bgnbd.pmf_new(10, 2, **PARAMETERS), REFERENCE["pmf_new_customer_t2_n10"])


@pytest.mark.parametrize("offset", ["1e-3", "1e-9", "-1e-12"])
def test_no_pole_at_a_equal_one(offset: str) -> None:
    """Peers write a factor 1/(a-1): infinite at 1, six digits lost near it."""
    parameters = {**PARAMETERS, "a": 1.0 + float(offset)}
    value = bgnbd.expected_purchases(2, 30.43, 38.86, 39, **parameters)
    close(value, REFERENCE["cet39_x2_tx30.43_T38.86_with_a_near_1"][offset])


def test_no_purchase_at_frequency_zero_is_the_closed_form() -> None:
    """A peer leaves out the indicator of x > 0 and returns .927."""
    no_purchase = 1 - bgnbd.p_purchase(0, 0, 38.86, 39, **PARAMETERS)
    A = 4.414 + 38.86
    close(no_purchase, str((A / (A + 39)) ** 0.243))
    assert round(float(no_purchase), 3) == 0.855


@pytest.mark.parametrize(("key", "value"), REFERENCE["gamma_gamma_loglik_x_mbar"].items())
def test_spend_likelihood(key: str, value: str) -> None:
    x, m_bar = (float(part) for part in key.split(","))
    close(gamma_gamma.log_likelihood(x, m_bar, **SPEND), value)


def test_spend_likelihood_does_not_overflow_small_integers() -> None:
    """A published test value, 862.9432, is an int8 overflow."""
    value = gamma_gamma.log_likelihood(np.array([50], dtype=np.int8), 38.0, **SPEND)
    close(value, REFERENCE["gamma_gamma_loglik_x_mbar"]["50,38"])


@pytest.mark.parametrize(("key", "value"), REFERENCE["gamma_gamma_mean_spend_x_mbar"].items())
def test_expected_spend(key: str, value: str) -> None:
    x, m_bar = (float(part) for part in key.split(","))
    close(gamma_gamma.expected_spend(x, m_bar, **SPEND), value)


def test_expected_spend_of_the_first_customers_of_cdnow() -> None:
    """Hardie, note 25: printed to cents, at the estimates of the sample."""
    estimates = {"p": 6.24934918, "q": 3.74425633, "v": 15.44430668}
    value = gamma_gamma.expected_spend([2, 1, 0], [22.35, 11.77, 0.0], **estimates)
    np.testing.assert_allclose(value, [24.65, 18.91, 35.17], rtol=0, atol=0.01)
