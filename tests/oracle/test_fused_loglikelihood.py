"""The fused log-likelihoods against the row-by-row formulas and PyTensor's gradient.

Parameters are drawn from the default priors, with points at three standard deviations
added; every base is tried through PyTensor's numba mode and through ``perform``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest

from clvmodels.fit import BetaGeoModel, GammaGammaModel
from clvmodels.fit.ops import FusedLogLikelihood, digest_of, log_likelihood
from clvmodels.formulas import bgnbd, gamma_gamma
from clvmodels.formulas.beta_geometric import BetaGeometric
from clvmodels.formulas.fused import Fused
from clvmodels.model_facts import GAMMA_GAMMA, BetaDefault, Default
from clvmodels.purchases import MODELS
from clvmodels.rfm.histories import purchase_histories
from clvmodels.rfm.spent import spend_histories
from clvmodels.simulate import simulate_rfm

Array = np.ndarray
MODES = ["NUMBA", "FAST_COMPILE"]
POINTS = 24
PURCHASE_DEFAULTS = MODELS["bgnbd"].defaults
SPEND_DEFAULTS = GAMMA_GAMMA.defaults


def frame(x, t_x, T, m_bar=None) -> pd.DataFrame:
    columns = {"customer_id": np.arange(len(x)), "frequency": x, "recency": t_x, "T": T}
    columns["monetary_value"] = np.where(np.asarray(x) > 0, 20.0 if m_bar is None else m_bar, 0.0)
    return pd.DataFrame(columns)


def heavy(rng: np.random.Generator) -> pd.DataFrame:
    x = rng.integers(1_000, 5_000, size=40)
    T = rng.uniform(100, 10_000, size=40)
    return frame(x, T * rng.beta(5, 1, size=40), T, rng.gamma(6.0, 5.0, size=40))


def bases() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(3)
    usual = simulate_rfm(
        600, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(1, 730), seed=2, cents=True
    )
    few = np.arange(5)
    return {
        "usual": usual,
        "usual, in thousands of days and cents": usual.assign(
            recency=usual["recency"] / 1e3,
            T=usual["T"] / 1e3,
            monetary_value=usual["monetary_value"] * 100,
        ),
        "x in thousands": heavy(rng),
        "all T equal": simulate_rfm(
            400, r=0.6, alpha=10, a=0.8, b=2.5, p=6, q=4, v=15, T=100, seed=3
        ),
        "T = 0 among others": pd.concat([usual.head(50), frame([0, 0, 0], [0] * 3, [0.0] * 3)]),
        "one amount for all": usual.assign(
            monetary_value=np.where(usual["frequency"] > 0, 9.99, 0.0)
        ),
        "rows many times": pd.concat([usual.head(20)] * 37),
        # in the same minute, which no unit of ours tells from the first purchase
        "bought at once": frame(few, np.minimum(few, 1.0) * 0.001, np.full(5, 0.001)),
        "one customer": frame([3], [50.0], [60.0]),
        "recency = T": frame([1, 2, 9], [5.0, 60.0, 99.0], [5.0, 60.0, 99.0]),
    }


BASES = bases()


def drawn(defaults: dict[str, Default], scale: float) -> Iterator[dict[str, float]]:
    """Points of the prior: random ones, and one parameter at a time three sd away."""
    rng = np.random.default_rng(7)

    def value(default: Default, z: float) -> float:
        if isinstance(default, BetaDefault):
            return 0.5 * math.erfc(-z / math.sqrt(2.0))  # Beta(1, 1) at the normal's quantile
        return default.median * (scale if default.scaled else 1.0) * math.exp(default.sigma * z)

    for _ in range(POINTS):
        yield {name: value(default, rng.normal()) for name, default in defaults.items()}
    for away in defaults:
        for z in (-3.0, 3.0):
            yield {
                name: value(default, z if name == away else 0.0)
                for name, default in defaults.items()
            }


def purchase_points(scale: float) -> Iterator[tuple[float, ...]]:
    for point in drawn(PURCHASE_DEFAULTS, scale):
        phi, kappa = point["phi_dropout"], point["kappa_dropout"]
        yield point["r"], point["alpha"], phi * kappa, (1 - phi) * kappa


def spend_points(scale: float) -> Iterator[tuple[float, ...]]:
    for point in drawn(SPEND_DEFAULTS, scale):
        yield point["p"], point["q"], point["v"]


class Compiled:
    """One compiled function per kind of model and mode; the base is an argument."""

    def __init__(self, build: Callable[..., object], inputs: list[object], scalars: int) -> None:
        self.build, self.inputs, self.scalars = build, inputs, scalars
        self.functions: dict[str | None, Callable[..., list[Array]]] = {}

    def __call__(self, mode: str | None, *arguments: object) -> tuple[float, Array]:
        if mode not in self.functions:
            value = self.build(*self.inputs)
            gradient = pytensor.grad(value, self.inputs[: self.scalars])
            self.functions[mode] = pytensor.function(self.inputs, [value, *gradient], mode=mode)
        value, *gradient = self.functions[mode](*arguments)
        return float(value), np.array(gradient, dtype=float)


def plain_purchases(extra: float) -> Callable[..., object]:
    def build(r, alpha, a, b, x, t_x, T):
        """The log-likelihood as it is written in the papers, over rows."""
        B = b + x + extra
        z = pt.log(a) - pt.log(b + pt.maximum(x + extra, 1.0) - 1.0)
        z += (r + x) * (pt.log(alpha + T) - pt.log(alpha + t_x))
        rows = pt.gammaln(r + x) - pt.gammaln(r) + r * pt.log(alpha) - (r + x) * pt.log(alpha + T)
        rows += pt.gammaln(a + b) - pt.gammaln(b) + pt.gammaln(B) - pt.gammaln(a + B)
        return pt.sum(rows + pt.switch(x + extra > 0, pt.softplus(z), 0.0))

    return build


def plain_spend(p, q, v, x, m_bar):
    rows = pt.gammaln(p * x + q) - pt.gammaln(p * x) - pt.gammaln(q) + q * pt.log(v)
    rows += (p * x - 1) * pt.log(m_bar) + p * x * pt.log(x) - (p * x + q) * pt.log(x * m_bar + v)
    return pt.sum(rows)


def scalars(names: str) -> list[object]:
    return [pt.dscalar(name) for name in names.split()]


# Others have oracles of their own: test_cnbd_oracle.py, test_pareto_nbd_oracle.py
PURCHASES = {
    key: model.formulas
    for key, model in MODELS.items()
    if isinstance(model.formulas, BetaGeometric)
}


def fused(model: str, rfm: pd.DataFrame) -> Fused:
    h = purchase_histories(rfm)
    return PURCHASES[model].fused(h.x, h.t_x, h.T, h.count)


def fused_spend(rfm: pd.DataFrame) -> Fused:
    h = spend_histories(rfm)
    return gamma_gamma.fused(h.x, h.total, h.count)


def compiled(some: Fused, parameters: list[object]) -> Compiled:
    """Of any base: its tables are inputs."""
    tables = [
        pt.tensor(name, dtype=t.dtype, shape=(None,) * t.ndim) for name, t in some.tables.items()
    ]
    count = len(parameters)
    return Compiled(
        lambda *inputs: log_likelihood(some, inputs[:count], inputs[count:]),
        [*parameters, *tables],
        count,
    )


_SOME = BASES["usual"]
FUSED = {name: compiled(fused(name, _SOME), scalars("r alpha a b")) for name in PURCHASES}
PLAIN = {
    name: Compiled(
        plain_purchases(model.extra_stays),
        [*scalars("r alpha a b"), pt.dvector(), pt.dvector(), pt.dvector()],
        4,
    )
    for name, model in PURCHASES.items()
}
FUSED_SPEND = compiled(fused_spend(_SOME), scalars("p q v"))
PLAIN_SPEND = Compiled(plain_spend, [*scalars("p q v"), pt.dvector(), pt.dvector()], 3)


def columns(rfm: pd.DataFrame, *names: str) -> list[Array]:
    return [rfm[name].to_numpy(dtype=float) for name in names]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", list(BASES))
@pytest.mark.parametrize("model", list(PURCHASES))
def test_purchases(model: str, base: str, mode: str) -> None:
    rfm = BASES[base]
    histories = purchase_histories(rfm)
    tables = fused(model, rfm).tables.values()
    x, t_x, T = columns(rfm, "frequency", "recency", "T")
    for r, alpha, a, b in purchase_points(histories.mean_T or 1.0):
        value, gradient = FUSED[model](mode, r, alpha, a, b, *tables)
        rows = PURCHASES[model].log_likelihood(x, t_x, T, r=r, alpha=alpha, a=a, b=b)
        assert value == pytest.approx(math.fsum(rows), rel=1e-10, abs=0)
        _, expected = PLAIN[model]("NUMBA", r, alpha, a, b, x, t_x, T)
        # A derivative that is 0 comes from PyTensor's graph as the rounding of its terms.
        rounding = 4 * np.finfo(float).eps * len(rows) * max(r / alpha, 1.0)
        np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=rounding)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("base", list(BASES))
def test_spend(base: str, mode: str) -> None:
    rfm = BASES[base]
    rfm = rfm[rfm["frequency"] > 0]
    histories = spend_histories(rfm)
    tables = fused_spend(rfm).tables.values()
    x, m_bar = columns(rfm, "frequency", "monetary_value")
    for p, q, v in spend_points(histories.typical_amount):
        value, gradient = FUSED_SPEND(mode, p, q, v, *tables)
        rows = gamma_gamma.log_likelihood(x, m_bar, p=p, q=q, v=v)
        assert value == pytest.approx(math.fsum(rows), rel=1e-10, abs=0)
        _, expected = PLAIN_SPEND("NUMBA", p, q, v, x, m_bar)
        np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_modes_are_what_they_are_taken_for(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAST_COMPILE goes through ``perform``, NUMBA does not."""
    called = []
    plain = FusedLogLikelihood.perform
    monkeypatch.setattr(
        FusedLogLikelihood, "perform", lambda *args: called.append(1) or plain(*args)
    )
    fresh = Compiled(FUSED_SPEND.build, FUSED_SPEND.inputs, FUSED_SPEND.scalars)
    value, _ = fresh(mode, 6.0, 4.0, 15.0, *fused_spend(_SOME).tables.values())
    assert math.isfinite(value)
    assert bool(called) is (mode == "FAST_COMPILE")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("function", "good", "some"),
    [
        (FUSED["bgnbd"], (0.5, 30.0, 0.8, 2.5), fused("bgnbd", _SOME)),
        (FUSED_SPEND, (6.0, 4.0, 15.0), fused_spend(_SOME)),
    ],
    ids=["purchases", "spend"],
)
def test_outside_the_domain_the_value_is_minus_infinity(function, good, some, mode: str) -> None:
    """A sampler's step may underflow to 0; it must see a wall there, not a NaN."""
    tables = some.tables.values()
    assert math.isfinite(function(mode, *good, *tables)[0])
    for position in range(len(good)):
        for bad in (0.0, -1.0, math.nan):
            point = [bad if i == position else value for i, value in enumerate(good)]
            value, gradient = function(mode, *point, *tables)
            assert value == -math.inf
            assert not np.isnan(gradient).any()


# Where a chain or a line search may look, tens of prior standard deviations away. A sum of
# large numbers that cancel is a false mode there, and a chain that finds it stays.
FAR = [
    (0.5, 30.0, 1e20, 1e19),
    (0.5, 30.0, 1e20, 1e-3),
    (0.5, 30.0, 0.3, 1e12),
    (0.5, 30.0, 0.3, 1e-20),
    (1e12, 3e13, 0.8, 2.5),
    (1e8, 1e-3, 0.8, 2.5),
    (1e-12, 1e9, 0.8, 2.5),
]


@pytest.mark.parametrize("point", FAR)
@pytest.mark.parametrize("model", list(PURCHASES))
def test_far_away_the_value_is_still_right(model: str, point: tuple[float, ...]) -> None:
    rfm = frame([0, 1, 1, 2, 7, 40], [0.0, 3, 9, 30, 200, 650], [50.0, 60, 9, 90, 210, 700])
    value, gradient = FUSED[model]("NUMBA", *point, *fused(model, rfm).tables.values())
    with mpmath.workdps(80):
        exact = [mpmath.mpf(number) for number in point]
        rows = zip(*columns(rfm, "frequency", "recency", "T"), strict=True)
        expected = mpmath.fsum(exact_row(model, *row, *exact) for row in rows)
    assert value == pytest.approx(float(expected), rel=1e-10)
    assert np.isfinite(gradient).all()


def exact_row(model: str, x, t_x, T, r, alpha, a, b):
    stays = x + PURCHASES[model].extra_stays
    gone = mpmath.mpf(0)
    if stays > 0:
        gone = a / (b + stays - 1) * ((alpha + T) / (alpha + t_x)) ** (r + x)
    row = mpmath.loggamma(r + x) - mpmath.loggamma(r) + r * mpmath.log(alpha)
    row -= (r + x) * mpmath.log(alpha + T)
    row += mpmath.loggamma(a + b) - mpmath.loggamma(b)
    row += mpmath.loggamma(b + stays) - mpmath.loggamma(a + b + stays)
    return row + mpmath.log1p(gone)


FAR_SPEND = [(1e6, 4.0, 15.0), (6.0, 1e6, 1e7), (1e-6, 4.0, 15.0), (6.0, 4.0, 1e-9)]


@pytest.mark.parametrize("point", FAR_SPEND)
def test_far_away_the_value_of_spend_is_still_right(point: tuple[float, ...]) -> None:
    rfm = frame([1, 2, 7, 40], [40.0] * 4, [50.0] * 4, [9.5, 20.0, 33.0, 12.25])
    value, gradient = FUSED_SPEND("NUMBA", *point, *fused_spend(rfm).tables.values())
    with mpmath.workdps(80):
        p, q, v = (mpmath.mpf(number) for number in point)
        expected = mpmath.mpf(0)
        for x, m in zip(*columns(rfm, "frequency", "monetary_value"), strict=True):
            k, m = p * mpmath.mpf(x), mpmath.mpf(m)
            expected += mpmath.loggamma(k + q) - mpmath.loggamma(k) - mpmath.loggamma(q)
            expected += q * mpmath.log(v) + (k - 1) * mpmath.log(m) + k * mpmath.log(x)
            expected -= (k + q) * mpmath.log(x * m + v)
    assert value == pytest.approx(float(expected), rel=1e-10)
    assert np.isfinite(gradient).all()


# --- strata: parameters are vectors ---

STRATA = 3
VECTORS = {
    "r": np.array([0.5, 1.3, 0.2]),
    "alpha": np.array([30.0, 4.0, 200.0]),
    "a": np.array([0.8, 0.2, 3.0]),
    "b": np.array([2.5, 0.7, 9.0]),
}


def stratified(model: str, base: str) -> tuple[Fused, list[Fused]]:
    """A base in three strata that overlap in x and in times, and each by itself."""
    h = purchase_histories(BASES[base])
    stratum = (np.arange(len(h.x)) * 7 + 2) % STRATA  # a single customer is in the last
    columns, family = (h.x, h.t_x, h.T, h.count), PURCHASES[model]
    alone = [family.fused(*(c[stratum == g] for c in columns)) for g in range(STRATA)]
    return family.fused(*columns, stratum=stratum), alone


@pytest.mark.parametrize("base", ["usual", "x in thousands", "one customer"])
@pytest.mark.parametrize("model", list(PURCHASES))
def test_strata_are_fits_of_their_own_added_up(model: str, base: str) -> None:
    """Also where nobody is in some of them."""
    whole, alone = stratified(model, base)
    found = whole(*VECTORS.values())
    each = [one(*(values[g] for values in VECTORS.values())) for g, one in enumerate(alone)]
    assert found[0] == pytest.approx(math.fsum(one[0] for one in each), rel=1e-12)
    gradient = found[1:].reshape(4, STRATA)
    np.testing.assert_allclose(gradient, np.transpose([one[1:] for one in each]), rtol=1e-12)
    assert whole(*VECTORS.values(), gradient=False)[0] == pytest.approx(found[0], rel=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", list(PURCHASES))
def test_gradients_by_stratum_are_those_of_finite_differences(model: str, mode: str) -> None:
    """Through the Op, weighted and summed, as a sampler sees them."""
    whole, _ = stratified(model, "usual")
    vectors = [pt.dvector(name) for name in VECTORS]
    value = 0.5 * log_likelihood(whole, vectors, list(whole.tables.values()))
    function = pytensor.function(vectors, [value, *pytensor.grad(value, vectors)], mode=mode)
    _, *gradient = function(*VECTORS.values())
    for place, name in enumerate(VECTORS):
        for g in range(STRATA):
            step = 1e-5 * VECTORS[name][g]
            ends = []
            for side in (-1.0, 1.0):
                there = {one: values.copy() for one, values in VECTORS.items()}
                there[name][g] += side * step
                ends.append(function(*there.values())[0])
            slope = (ends[1] - ends[0]) / (2.0 * step)
            assert gradient[place][g] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("name", list(VECTORS))
def test_one_stratum_outside_the_domain_is_a_wall(name: str) -> None:
    whole, _ = stratified("bgnbd", "usual")
    there = {one: values.copy() for one, values in VECTORS.items()}
    there[name][1] = 0.0
    found = whole(*there.values())
    assert found[0] == -math.inf
    assert not np.isnan(found).any()


def test_compiled_functions_on_disk_know_the_files_of_their_loops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTensor would go on with a loop that has changed, or take one model's for another's."""
    purchases, spend = fused("bgnbd", _SOME).kernel, fused_spend(_SOME).kernel
    assert digest_of(purchases)[0] == "clvmodels.formulas.beta_geometric_fused._kernel"
    assert digest_of(purchases) != digest_of(spend)
    assert digest_of(fused("mbgnbd", _SOME).kernel) == digest_of(purchases)
    read = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read.append(file.name) or plain(file))
    assert digest_of.__wrapped__(purchases) == digest_of(purchases)
    assert set(read) == {"beta_geometric_fused.py", "fused.py", "special.py"}


def test_models_hold_the_fused_value_and_their_priors() -> None:
    """The whole log density is the priors' plus the rows' log-likelihood."""
    rfm = BASES["usual"]
    point = {"r": 0.5, "alpha": 25.0, "phi_dropout": 0.3, "kappa_dropout": 3.0}
    model = BetaGeoModel().build(rfm)
    logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    values = {f"{n}_log__": math.log(v) for n, v in point.items() if n != "phi_dropout"}
    values["phi_dropout_logodds__"] = math.log(0.3 / 0.7)
    with_data = float(logp(values))
    rows = bgnbd.log_likelihood(
        *columns(rfm, "frequency", "recency", "T"), r=0.5, alpha=25.0, a=0.9, b=2.1
    )
    scale = rfm["T"].mean()

    def log_normal(value: float, median: float, sigma: float) -> float:
        z = (math.log(value) - math.log(median)) / sigma
        return -0.5 * z * z - math.log(sigma * value * math.sqrt(2 * math.pi))

    d = PURCHASE_DEFAULTS
    prior = log_normal(0.5, d["r"].median, d["r"].sigma)
    prior += log_normal(25.0, d["alpha"].median * scale, d["alpha"].sigma)
    prior += log_normal(3.0, d["kappa_dropout"].median, d["kappa_dropout"].sigma)
    assert with_data == pytest.approx(math.fsum(rows) + prior, rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("specification", [BetaGeoModel(), GammaGammaModel()])
def test_users_sample_and_maximise_the_model_themselves(specification) -> None:
    """PyMC's own sampler, nutpie through PyMC, and find_MAP agree with each other."""
    import pymc as pm
    from arviz_stats.base import array_stats

    model = specification.build(BASES["usual"])
    name = "alpha" if isinstance(specification, BetaGeoModel) else "q"
    options = {"chains": 2, "cores": 1, "progressbar": False, "random_seed": 5}
    with model:
        mode = pm.find_MAP(progressbar=False)
    own = pm.sample(model=model, draws=400, tune=400, nuts_sampler="pymc", **options)
    fast = pm.sample(model=model, draws=400, tune=400, nuts_sampler="nutpie", **options)
    samples = [np.log(tree["posterior"][name].to_numpy()) for tree in (own, fast)]
    errors = [float(array_stats.mcse(values, method="mean")) for values in samples]
    means = [float(values.mean()) for values in samples]
    assert abs(means[0] - means[1]) < 4.5 * math.hypot(*errors)
    assert abs(math.log(mode[name]) - means[0]) < 2.0 * samples[0].std()
