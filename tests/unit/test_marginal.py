"""Effects of many groups are integrated out: integrals are right, and groups are drawn rightly."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp

from clvmodels import BetaGeoModel, Pooled
from clvmodels.fit.density import STANDARD, Density, compile_density
from clvmodels.fit.laplace import sample_laplace
from clvmodels.fit.marginal import Marginal
from clvmodels.fit.mode import find_mode
from clvmodels.fit.specification import base_of
from tests.covariates import table_of
from tests.unit.test_fit_covariates import FRAME, QUICK, simulated

SPREAD = 0.2  # in its own coordinate: .4


@cache
def density_of(*sides: str, groups: int = 3) -> Density:
    """Of the first customers of some countries, with effects of these on some sides."""
    frame = FRAME[FRAME["country"].isin([f"g{i:03d}" for i in range(groups)])].head(400)
    model = BetaGeoModel(**{f"{side}_covariates": [Pooled("country")] for side in sides})
    columns, design = model._designed(base_of(table_of(frame), None)[0])
    statistics, scale = model._prepare(columns)
    built = model._build(statistics, scale, design)
    density = compile_density(built)
    names = [one.name for one in built.free_RVs]
    places = dict(zip(names, density.compiled.places, strict=True))
    start = density.start.copy()
    for i in range(len(sides)):
        start[places[f"{STANDARD}spread_{i}"]] = SPREAD
    groups_at = tuple(places[f"{STANDARD}{i}"] for i in range(len(sides)))
    return replace(density, start=start, groups=groups_at)


def log_integral(density: Density, marginal: Marginal, theta: np.ndarray) -> float:
    """One group at a time by sums over a grid about its mode, the others being where they are."""
    value, (_, centre, scale, _) = density.value_function(), marginal._centred(theta, 1e-3)
    whole = marginal._at(theta, centre)
    base = found = value(whole)
    size = centre.shape[1]
    axis = np.linspace(-8.0, 8.0, 33)  # of its own coordinates, in which its sd is about 1
    for places, middle, root in zip(marginal.inner, centre, scale, strict=True):
        logs = []
        for own in product(axis, repeat=size):
            point = whole.copy()
            point[places] = middle + root @ own
            logs.append(value(point) - base)
        step = np.linalg.slogdet(root)[1] + size * np.log(axis[1] - axis[0])
        found += logsumexp(logs) + step
    return float(found)


@pytest.mark.parametrize(
    ("sides", "typical"), [(("purchase",), 2e-4), (("purchase", "dropout"), 2e-3)]
)
def test_evidence_is_that_of_all_effects(sides: tuple[str, ...], typical: float) -> None:
    """The integral of the density of all, over what is left that of the density without groups.

    Inner integrals are compared where the posterior is, so that the mean of their ratios is the
    ratio of the two evidences; sums over a grid are right to 1e-9.
    """
    density = density_of(*sides)
    marginal = Marginal(density)
    how = {"draws": 8, "chains": 1, "importance_draws": 100, "seed": 1}
    places = sample_laplace(marginal, find_mode(marginal), **how).theta[0]
    gaps = [log_integral(density, marginal, one) - marginal.value(one) for one in places]
    assert np.median(np.abs(gaps)) < typical, gaps
    assert abs(np.log(np.mean(np.exp(gaps)))) < 10.0 * typical, gaps


@pytest.mark.parametrize("sides", [("purchase",), ("purchase", "dropout")])
def test_the_gradient_is_that_of_the_value(sides: tuple[str, ...]) -> None:
    marginal = Marginal(density_of(*sides))
    mode = find_mode(marginal)
    assert mode.curved
    theta = mode.location + 1.5 * mode.scale.sum(axis=1)
    _, gradient = marginal(theta)
    for i, sd in enumerate(np.sqrt(np.diag(mode.scale @ mode.scale))):
        step = 0.02 * sd * np.eye(len(theta))[i]
        slope = (marginal.value(theta + step) - marginal.value(theta - step)) / 0.04
        assert gradient[i] * sd == pytest.approx(slope, rel=0.03, abs=0.03)


def test_groups_are_drawn_as_their_density_has_it() -> None:
    density = density_of("purchase")
    marginal = Marginal(density)
    theta = find_mode(marginal).location
    drawn = marginal.draw(np.repeat(theta[None], 4000, axis=0), np.random.default_rng(1))
    assert np.array_equal(drawn[:, marginal.outer], np.repeat(theta[None], 4000, axis=0))
    axis, point = np.linspace(-5.0, 5.0, 201), marginal.with_groups(theta)
    for place in marginal.inner[:, 0]:
        logs = []
        for own in axis:
            point[place] = own
            logs.append(density(point)[0])
        point[place] = axis[np.argmax(logs)]
        weights = np.exp(logs - np.max(logs))
        weights /= weights.sum()
        mean = weights @ axis
        sd = np.sqrt(weights @ (axis - mean) ** 2)
        assert drawn[:, place].mean() == pytest.approx(mean, abs=4.0 * sd / np.sqrt(4000))
        assert drawn[:, place].std() == pytest.approx(sd, rel=0.05)


@pytest.mark.slow
def test_effects_of_many_groups_come_back() -> None:
    """By the Laplace approximation, which of all effects at once had a k-hat of 6.2."""
    frame = simulated(customers=5000, groups=100)
    model = BetaGeoModel(purchase_covariates=["channel", Pooled("country")])
    posterior = model.fit(table_of(frame), importance_draws=400, on_failure="raise", **QUICK)
    assert posterior.metadata.method == "laplace"
    assert float(posterior.tree["sample_stats"]["khat"]) < 0.5
    draws, counts = posterior.draws(), frame["country"].value_counts()
    found = {one: draws[f"purchases[country={one}]"] for one in counts.index}
    scores = [
        (one.mean() - frame.attrs["countries"][name]) / one.std() for name, one in found.items()
    ]
    assert 0.8 < np.std(scores) < 1.2
    assert max(map(abs, scores)) < 4.5
    # A small group is little more than one of the population, which an unseen one is
    small, large = found[counts.index[-1]], found[counts.index[0]]
    other = draws["purchases[country=(other)]"]
    assert 2.0 * large.std() < small.std() < 1.1 * other.std()
    assert other.std() == pytest.approx(0.4, abs=0.1)


@pytest.mark.slow
def test_a_mode_draws_small_groups_to_the_average() -> None:
    """Of all effects and their spread at once the density is highest where none is drawn."""
    model, table = BetaGeoModel(purchase_covariates=[Pooled("country")]), table_of(FRAME.head(2000))
    sampled, mode = (model.fit(table, **QUICK | {"method": m}).draws() for m in ("laplace", "map"))
    of = [name for name in mode if "country" in name and "(other)" not in name]
    away = {n: (mode[n][0] - sampled[n].mean()) / sampled[n].std() for n in of}
    assert max(map(abs, away.values())) < 0.7, away
    assert mode["purchases[country=(other)]"][0] == 0.0


@pytest.mark.slow
def test_a_mode_says_which_groups_it_does_not_draw() -> None:
    model = BetaGeoModel(purchase_covariates=[Pooled("country"), Pooled("channel")])
    with pytest.warns(UserWarning, match="the groups of channel are hardly drawn to their"):
        model.fit(table_of(FRAME.head(300)), **QUICK | {"method": "map", "on_failure": "warn"})
