"""The same base in days or weeks, dollars or cents, has one posterior.

No sampling: the log posterior of rescaled data at rescaled parameters differs from the
original by a constant, wherever one looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clvmodels import (
    BetaGeoPosterior,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    RfmTable,
)
from clvmodels.fit.purchases import purchase_specification
from clvmodels.simulate import simulate_rfm
from tests.kinds import KINDS

POINTS = 40
BASE = simulate_rfm(
    400, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(0, 400), seed=9, cents=True
)
TIMES = ["recency", "T"]
PURCHASES = [purchase_specification(key) for key in KINDS]
SPECIFICATIONS = [*PURCHASES, GammaGammaModel()]
NAMES = [*KINDS, GammaGammaModel.name]
SCALES = dict.fromkeys(PURCHASES, "T_scale") | {GammaGammaModel(): "v_scale"}


def in_days(rfm: pd.DataFrame) -> RfmTable:
    return RfmTable.from_pandas(rfm)


def in_weeks(rfm: pd.DataFrame) -> RfmTable:
    return RfmTable.from_pandas(rfm.assign(**{n: rfm[n] / 7 for n in TIMES}), time_scaler=7)


def in_thousands_of_days(rfm: pd.DataFrame) -> RfmTable:
    return RfmTable.from_pandas(rfm.assign(**{n: rfm[n] / 1e3 for n in TIMES}), time_scaler=1e3)


def in_cents(rfm: pd.DataFrame) -> RfmTable:
    return RfmTable.from_pandas(rfm.assign(monetary_value=rfm["monetary_value"] * 100))


def in_weeks_and_thousands(rfm: pd.DataFrame) -> RfmTable:
    scaled = rfm.assign(monetary_value=rfm["monetary_value"] / 1e3)
    return RfmTable.from_pandas(
        scaled.assign(**{n: rfm[n] / 7 for n in TIMES}), time_unit="D", time_scaler=7
    )


# How many new units one old unit is: of time and of money.
RESCALED: list[tuple[Callable[[pd.DataFrame], RfmTable], float, float]] = [
    (in_weeks, 1 / 7, 1.0),
    (in_thousands_of_days, 1e-3, 1.0),
    (in_cents, 1.0, 100.0),
    (in_weeks_and_thousands, 1 / 7, 1e-3),
]


def log_posterior(specification, rfm: RfmTable) -> Callable[[dict[str, float]], float]:
    model = specification.build(rfm)
    compiled = model.compile_logp(mode="FAST_COMPILE")
    return lambda point: float(compiled(point))


def points(specification, unit: float, rng: np.random.Generator) -> list[dict[str, float]]:
    """Points in unconstrained space, widely about the bulk of real posteriors."""
    if isinstance(specification, GammaGammaModel):
        centre = {"p_log__": math.log(6), "q_log__": math.log(4), "v_log__": math.log(15 * unit)}
    elif specification.facts.joint is None:
        centre = {
            "r_log__": math.log(0.5),
            "alpha_log__": math.log(30 * unit),
            "s_log__": math.log(0.6),
            "beta_log__": math.log(40 * unit),
        }
    else:
        centre = {
            "r_log__": math.log(0.5),
            "alpha_log__": math.log(30 * unit),
            _dropout(specification): -1.0,
            "kappa_dropout_log__": math.log(3),
        }
    return [{k: v + rng.normal() for k, v in centre.items()} for _ in range(POINTS)]


def _dropout(specification) -> str:
    uniform = specification.priors == "pymc-marketing"
    return "phi_dropout_interval__" if uniform else "phi_dropout_logodds__"


def constant_spread(specification, rescale, time: float, money: float, seed: int = 4) -> float:
    """Range over points of the rescaled log posterior less the original."""
    unit = money if isinstance(specification, GammaGammaModel) else time
    here = points(specification, 1.0, np.random.default_rng(seed))
    there = points(specification, unit, np.random.default_rng(seed))
    original = log_posterior(specification, in_days(BASE))
    rescaled = log_posterior(specification, rescale(BASE))
    if specification.priors == "pymc-marketing":
        # Theirs starts kappa at 1; the point is the same in both, wherever it lies.
        for point in (*here, *there):
            if "kappa_dropout_log__" in point:
                point["kappa_dropout_interval__"] = point.pop("kappa_dropout_log__")
    differences = [rescaled(b) - original(a) for a, b in zip(here, there, strict=True)]
    assert np.isfinite(differences).all()
    return float(np.ptp(differences))


@pytest.mark.parametrize(("rescale", "time", "money"), RESCALED)
@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_default_priors_know_no_units(kind, rescale, time: float, money: float) -> None:
    assert constant_spread(kind, rescale, time, money) < 1e-9


@pytest.mark.parametrize(("rescale", "time", "money"), [RESCALED[0], RESCALED[2]])
@pytest.mark.parametrize("kind", [one for one in SPECIFICATIONS if one.facts.peer])
def test_fixed_priors_do(kind, rescale, time: float, money: float) -> None:
    """Why pymc-marketing's defaults are not ours: what they say depends on the unit."""
    spread = constant_spread(kind.replace(priors="pymc-marketing"), rescale, time, money)
    touched = money if isinstance(kind, GammaGammaModel) else time
    if touched == 1.0:  # this parameter's unit did not change: the test is fair
        assert spread < 1e-9
    else:
        assert spread > 1.0


@pytest.mark.parametrize("kind", PURCHASES, ids=KINDS)
def test_customers_who_were_not_watched_have_a_unit_all_the_same(kind) -> None:
    """T = 0 throughout gives no scale; a day stands in for it, whatever the unit."""
    new = BASE.head(30).assign(frequency=0, recency=0.0, T=0.0)
    scales = [kind._prepare(_columns(rescale(new)))[1] for rescale in (in_days, in_weeks)]
    assert scales[0] == pytest.approx(7 * scales[1], rel=1e-15)


def _columns(rfm: RfmTable):
    from clvmodels.rfm.histories import rfm_columns

    return rfm_columns(rfm)


@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_a_scale_can_be_given_and_is_then_the_prior(kind) -> None:
    """The scale found in the data, passed explicitly, changes nothing; another one does."""
    name = SCALES[kind]
    _, found = kind._prepare(_columns(in_days(BASE)))
    given, other = kind.replace(**{name: found}), kind.replace(**{name: 2 * found})
    point = points(kind, 1.0, np.random.default_rng(1))[0]
    base = log_posterior(kind, in_days(BASE))(point)
    assert log_posterior(given, in_days(BASE))(point) == base
    assert abs(log_posterior(other, in_days(BASE))(point) - base) > 1e-3


def test_predictions_know_no_units() -> None:
    """Draws rescaled with the base give the same people the same value in other units."""
    rng = np.random.default_rng(2)
    r, a, b = rng.gamma(50, 0.01, 60), rng.gamma(80, 0.01, 60), rng.gamma(50, 0.05, 60)
    alpha, p, q, v = 30 * r, 6 + a, 4 + b, 15 * (1 + r)
    spend = GammaGammaPosterior.from_draws(p=p, q=q, v=v)
    days = CLVPosterior(BetaGeoPosterior.from_draws(r=r, alpha=alpha, a=a, b=b), spend)
    weeks = CLVPosterior(
        BetaGeoPosterior.from_draws(r=r, alpha=alpha / 7, a=a, b=b, time_scaler=7),
        GammaGammaPosterior.from_draws(p=p, q=q, v=v / 1e3),
    )
    for options in ({}, {"horizon": None}, {"horizon": "12M", "discounting": "monthly"}):
        one = days.predict(in_days(BASE), **options)
        other = weeks.predict(in_weeks_and_thousands(BASE), **options)
        for name in one.columns.drop("customer_id"):
            unit = {"recency": 1 / 7, "T": 1 / 7}.get(name, 1.0)
            if name == "monetary_value" or name.startswith(("clv", "expected_spend")):
                unit = 1e-3
            np.testing.assert_allclose(other[name], one[name] * unit, rtol=1e-9, err_msg=name)
