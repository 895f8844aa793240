"""Clocks, parameters and totals of simulated bases: errors are as large as is said."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.fit.clock_density import WIDTHS
from clvmodels.purchases.clock import harmonics, weekdays
from tests.clocks import BEGIN, NAMES, days_from, log_by

DAYS, AHEAD, BASES, CUSTOMERS = 550, 120, 12, 1500
# Standard errors of a mean of squares beyond which it is not chance: one in ten thousand
BEYOND = 4.0


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Coefficients by their priors, g of the log and of what comes after, and parameters."""
    week, season = WIDTHS["week"] * rng.normal(size=7), WIDTHS["season"] * rng.normal(size=16)
    at = days_from(BEGIN, DAYS + AHEAD)
    shocks = np.repeat(0.06 * rng.normal(size=len(at) // 14 + 1), 14)[: len(at)]
    g = np.exp(weekdays(at) @ week + harmonics(at) @ season + shocks)
    theta = {"r": 0.8, "alpha": 50.0, "a": 0.6, "b": 2.6}
    theta = {name: value * math.exp(0.2 * rng.normal()) for name, value in theta.items()}
    return np.concatenate([week, season]), g / g[1 : DAYS + 1].mean(), theta


@pytest.mark.slow
def test_errors_of_clock_parameters_and_totals_are_as_large_as_said() -> None:
    clocks, parameters, totals = [], [], []
    for base in range(BASES):
        rng = np.random.default_rng([20261129, base])
        truth, g, theta = drawn(rng)
        log = log_by(g, CUSTOMERS, seed=base, last=DAYS, **theta)
        end = BEGIN + pd.Timedelta(days=DAYS)
        known = log[log["date"] <= end]
        rfm = clv.rfm_summary(known, **NAMES, observation_period_end=end, day_pairs=True)
        model = clv.BetaGeoModel(clock=clv.Clock(season=True))
        fitted = model.fit(rfm, method="laplace", random_seed=base)
        clock = fitted.metadata.clock
        assert clock is not None
        error = np.concatenate([clock.week, clock.season]) - truth
        inverse = np.linalg.inv(clock.doubt @ clock.doubt.T)
        clocks.append(float(error @ inverse @ error) / len(error))
        draws = fitted.draws()
        rate = np.log(draws["r"] / draws["alpha"])  # purchases a day, of a living customer
        parameters.append(((rate.mean() - math.log(theta["r"] / theta["alpha"])) / rate.std()) ** 2)
        plan = clv.forecast_total(fitted, rfm, horizon=f"{AHEAD}D", paths=1000)
        one = plan.table.iloc[0]
        came = float(((log["date"] > end) & log["customer_id"].isin(known["customer_id"])).sum())
        totals.append(((came - float(one["mean"])) / float(one["sd"])) ** 2)
    # chi-squared of 23 degrees of freedom, and of one
    of_clock = math.sqrt(2.0 / (23 * BASES))
    assert abs(np.mean(clocks) - 1.0) < BEYOND * of_clock, clocks
    of_one = math.sqrt(2.0 / BASES)
    assert np.mean(parameters) < 1.0 + BEYOND * of_one, parameters
    # the future of these bases has no shift of level, which the forecast allows for
    assert np.mean(totals) < 1.0 + BEYOND * of_one, totals
