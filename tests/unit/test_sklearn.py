"""Specifications behave as scikit-learn expects of an estimator's arguments."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import pytest
from pymc_extras.prior import Prior
from sklearn.base import clone

from clvmodels import (
    BetaGeoModel,
    CLVModel,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
)
from clvmodels.simulate import simulate_rfm

MODELS = [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel, GammaGammaModel]
PRIORS = {
    BetaGeoModel: {"r": Prior("LogNormal", mu=0.0, sigma=1.0)},
    ModifiedBetaGeoModel: {
        "a": Prior("Gamma", alpha=2.0, beta=1.0),
        "b": Prior("Gamma", alpha=Prior("HalfNormal"), beta=1.0),
    },
    ParetoNBDModel: {"beta": Prior("LogNormal", mu=5.0, sigma=1.0)},
    GammaGammaModel: {"v": Prior("LogNormal", mu=3.0, sigma=0.5)},
}
SCALES = {
    BetaGeoModel: {"T_scale": 30},
    ModifiedBetaGeoModel: {"T_scale": 30},
    ParetoNBDModel: {"T_scale": 30},
    GammaGammaModel: {"v_scale": 20},
}


def configured(kind):
    return kind(priors=PRIORS[kind], **SCALES[kind])


@pytest.mark.parametrize("kind", MODELS)
def test_arguments_are_kept_as_passed(kind) -> None:
    """The very objects, not copies or conversions: clone checks identity."""
    one = configured(kind)
    own = {"regularity": 1} if "regularity" in kind.__dataclass_fields__ else {}
    own |= {"clock": None} if "clock" in kind.__dataclass_fields__ else {}
    if kind is GammaGammaModel:
        own |= {"first_order": "exclude", "covariates": ()}
    else:
        own |= {"purchase_covariates": (), "dropout_covariates": ()}
    assert one.get_params() == {"priors": PRIORS[kind], **SCALES[kind], **own}
    assert one.get_params()["priors"] is PRIORS[kind]
    (scale,) = SCALES[kind]
    assert type(one.get_params()[scale]) is int
    assert kind().get_params() == {"priors": "default", scale: None, **own}
    assert list(one.get_params()) == [field.name for field in fields(kind)]


@pytest.mark.parametrize("kind", [*MODELS, CLVModel])
def test_clone_of_the_defaults(kind) -> None:
    one = kind()
    copied = clone(one)
    assert type(copied) is kind
    assert copied == one
    assert copied is not one


@pytest.mark.parametrize("kind", MODELS)
def test_clone_with_priors(kind) -> None:
    one = configured(kind)
    copied = clone(one)
    assert copied == one
    assert copied.priors is not one.priors  # a deep copy, as of every estimator
    assert copied.resolved_priors(2.0) == one.resolved_priors(2.0)


@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel])
def test_clone_of_one_inside_another(kind) -> None:
    one = CLVModel(purchases=configured(kind), spend=configured(GammaGammaModel))
    copied = clone(one)
    assert copied == one
    assert type(copied.purchases) is kind
    assert copied.purchases is not one.purchases
    assert copied.spend.priors == PRIORS[GammaGammaModel]


def test_clone_of_several() -> None:
    several = [BetaGeoModel(), CLVModel()]
    assert clone(several) == several


def test_nested_names() -> None:
    one = CLVModel(purchases=ModifiedBetaGeoModel(T_scale=30.0))
    deep = one.get_params()
    assert set(deep) == {
        "purchases",
        "spend",
        "purchases__priors",
        "purchases__T_scale",
        "purchases__regularity",
        "purchases__clock",
        "purchases__purchase_covariates",
        "purchases__dropout_covariates",
        "spend__priors",
        "spend__v_scale",
        "spend__first_order",
        "spend__covariates",
    }
    assert deep["purchases__T_scale"] == 30.0
    assert deep["purchases"] is one.purchases
    assert set(one.get_params(deep=False)) == {"purchases", "spend"}


def test_replace_takes_these_names() -> None:
    one = CLVModel()
    other = one.replace(purchases__T_scale=30.0, purchases__priors="pymc-marketing")
    assert other.purchases == BetaGeoModel("pymc-marketing", T_scale=30.0)
    assert other.spend is one.spend
    assert one == CLVModel()
    swapped = one.replace(purchases=ModifiedBetaGeoModel(), purchases__T_scale=5.0)
    assert swapped.purchases == ModifiedBetaGeoModel(T_scale=5.0)
    assert type(one)(**one.replace(spend__v_scale=2.0).get_params(deep=False)).spend.v_scale == 2.0
    regular = one.replace(purchases__regularity=3)
    assert regular == CLVModel("bgcnbd3")
    assert clone(regular) == copy.deepcopy(regular) == regular
    assert clone(regular).purchases.name == regular.purchases.name == "bgcnbd3"
    with pytest.raises(TypeError, match="beta_scale"):
        one.replace(purchases__beta_scale=3.0)
    with pytest.raises(AttributeError, match="costs"):
        one.replace(costs__scale=3.0)


@pytest.mark.parametrize("kind", [*MODELS, CLVModel])
def test_set_params_points_to_replace(kind) -> None:
    """In place it would change what a fit was made with; a copy could be lost."""
    one = kind()
    name = next(iter(one.get_params()))
    with pytest.raises(FrozenInstanceError, match=rf"frozen: model\.replace\({name}=\.\.\.\)"):
        one.set_params(**{name: None})
    assert one == kind()
    assert one.set_params() is one


@pytest.mark.parametrize("kind", MODELS)
def test_copies_of_the_standard_library(kind) -> None:
    one = configured(kind)
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.slow
def test_a_clone_fits_the_same() -> None:
    rfm = simulate_rfm(
        200, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(5, 400), seed=4
    )
    one = CLVModel(purchases=BetaGeoModel(T_scale=200.0), spend=GammaGammaModel(v_scale=20.0))
    fits = [model.fit(rfm, method="map", progressbar=False) for model in (one, clone(one))]
    assert fits[0].fingerprint() == fits[1].fingerprint()


def test_the_package_does_without_scikit_learn() -> None:
    code = (
        "import sys; from clvmodels import CLVModel; CLVModel().get_params(); "
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
