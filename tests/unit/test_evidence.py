"""Log evidence: against quadrature, in any unit, and whether it finds the k that made a log."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import stats
from scipy.special import logsumexp
from scipy.stats import qmc

import clvmodels as clv
from clvmodels.errors import SchemaError
from clvmodels.fit.evidence import Evidence, evidence_of_fit, log_evidence, model_evidence
from clvmodels.fit.purchases import PurchaseSpecification
from clvmodels.model_facts import LogNormalDefault
from clvmodels.purchases.catalogue import BGNBD
from clvmodels.purchases.cnbd import RegularFamily

KS = [1, 2, 3, 4]


def regular(k: int) -> PurchaseSpecification[Any]:
    """BG/CNBD-k; alpha is a time of stages, so that its prior goes down with k.

    The scale of alpha is given, so that all bases meet the same prior.
    """
    alpha = BGNBD.defaults["alpha"]
    assert isinstance(alpha, LogNormalDefault)
    defaults = {**BGNBD.defaults, "alpha": replace(alpha, median=alpha.median / k)}
    facts = replace(BGNBD, key=f"k{k}", family=RegularFamily(0, k), defaults=defaults)
    kind = type("Regular", (PurchaseSpecification,), {"facts": facts})
    return kind(T_scale=60.0)


def base(k: int, customers: int, seed: int) -> pd.DataFrame:
    """Customers of BG/CNBD-k in continuous time, with the sum of the logs of their gaps."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.9, 1 / (8.0 / k), customers)
    leaves = rng.beta(0.9, 2.5, customers)
    rows = []
    for i in range(customers):
        T = rng.uniform(40, 80)
        at, x, logs = 0.0, 0, 0.0
        while True:
            gap = rng.gamma(k, 1 / rate[i])
            if at + gap > T:
                break
            at, x, logs = at + gap, x + 1, logs + math.log(gap)
            if rng.random() < leaves[i]:
                break
        rows.append((i, x, at, T, logs))
    return pd.DataFrame(rows, columns=["customer_id", "frequency", "recency", "T", "log_gaps"])


def test_a_density_whose_integral_is_known() -> None:
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Potential("likelihood", pm.logp(pm.Normal.dist(theta, 0.5), 1.3))
    found = model_evidence(model)
    exact = stats.norm(0.0, math.hypot(2.0, 0.5)).logpdf(1.3)
    assert found.laplace == pytest.approx(exact, abs=1e-7)
    assert found.value == pytest.approx(exact, abs=5 * found.error)
    assert 0 < found.error < 0.02


def by_prior(k: int, frame: pd.DataFrame) -> tuple[float, float]:
    """Log of the mean likelihood over the prior, and its standard error over 16 replicates."""
    x, t_x, T, logs = (frame[n].to_numpy() for n in ("frequency", "recency", "T", "log_gaps"))
    formulas, means = RegularFamily(0, k), []
    for seed in range(16):
        u = qmc.Sobol(4, rng=seed).random_base2(14)
        r = 0.6 * np.exp(1.2 * stats.norm.ppf(u[:, 0]))
        alpha = 0.3 / k * 60.0 * np.exp(1.5 * stats.norm.ppf(u[:, 1]))
        phi, kappa = u[:, 2], 3.0 * np.exp(1.2 * stats.norm.ppf(u[:, 3]))
        total = np.full(len(u), (k - 1) * logs.sum())
        for history in zip(x, t_x, T, strict=True):
            draws = {"r": r, "alpha": alpha, "a": phi * kappa, "b": (1 - phi) * kappa}
            total += formulas.log_likelihood(*history, **draws)
        means.append(logsumexp(total) - math.log(len(u)))
    relative = np.exp(np.array(means) - max(means))
    error = relative.std(ddof=1) / relative.mean() / math.sqrt(len(means))
    return max(means) + math.log(relative.mean()), float(error)


@pytest.mark.slow
@pytest.mark.parametrize("k", KS)
def test_evidence_is_the_mean_likelihood_over_the_prior(k: int) -> None:
    frame = base(2, 12, seed=1)
    found = log_evidence(regular(k), frame, draws=8192, time_unit="D")
    brute, error = by_prior(k, frame)
    assert found.khat < 0.7
    assert found.value == pytest.approx(brute, abs=5 * math.hypot(error, found.error))
    assert math.hypot(error, found.error) < 0.03
    # of 12 customers no Gaussian, but near it
    assert found.laplace == pytest.approx(brute, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("k", KS)
def test_the_k_that_made_the_customers_has_the_greatest_evidence(k: int) -> None:
    frame = base(k, 600, seed=k)
    found = {one: log_evidence(regular(one), frame, draws=256, time_unit="D") for one in KS}
    assert max(found, key=lambda one: found[one].value) == k
    assert max(found, key=lambda one: found[one].laplace) == k
    second = max(one.value for name, one in found.items() if name != k)
    assert found[k].value - second > 10
    for one in found.values():  # with many customers the Gaussian is near
        assert one.value == pytest.approx(one.laplace, abs=0.5)


@pytest.mark.slow
def test_a_change_of_units_changes_all_k_alike() -> None:
    frame = base(2, 200, seed=3)
    x = frame["frequency"].sum()
    weeks = frame.assign(
        recency=frame["recency"] / 7,
        T=frame["T"] / 7,
        log_gaps=frame["log_gaps"] - frame["frequency"] * math.log(7.0),
    )
    for k in (1, 3):
        days = log_evidence(regular(k), frame, time_unit="D").value
        by_week = replace(regular(k), T_scale=60.0 / 7)
        found = log_evidence(by_week, weeks, time_unit="D", time_scaler=7).value
        assert found - days == pytest.approx(x * math.log(7.0), rel=1e-7)


def test_a_fit_by_laplace_has_kept_its_evidence() -> None:
    frame = base(1, 300, seed=4)
    fitted = clv.BetaGeoModel().fit(
        frame, method="laplace", random_seed=0, progressbar=False, time_unit="D"
    )
    found: Evidence = log_evidence(clv.BetaGeoModel(), frame, time_unit="D")
    assert evidence_of_fit(fitted, frame) == pytest.approx(found.value, rel=1e-12)
    other = clv.BetaGeoModel().fit(frame, method="map", progressbar=False, time_unit="D")
    assert evidence_of_fit(other, frame) is None


def test_without_gaps_only_what_needs_none_is_told() -> None:
    frame = base(2, 50, seed=5).drop(columns="log_gaps")
    assert math.isfinite(log_evidence(regular(1), frame, time_unit="D").value)
    with pytest.raises(SchemaError, match="no column 'log_gaps'"):
        log_evidence(regular(2), frame, time_unit="D")


def test_gaps_of_other_customers_are_refused() -> None:
    frame = base(2, 50, seed=5)
    mixed = frame.assign(log_gaps=frame["log_gaps"].to_numpy()[::-1])
    missing = frame.assign(log_gaps=frame["log_gaps"].where(frame["customer_id"] != 7))
    weeks = frame.assign(recency=frame["recency"] / 7, T=frame["T"] / 7)
    for wrong, scaler in ((mixed, 1), (missing, 1), (weeks, 7)):
        with pytest.raises(SchemaError, match="have log_gaps that are missing, or that purchases"):
            log_evidence(regular(2), wrong, time_unit="D", time_scaler=scaler)
