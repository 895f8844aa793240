"""The report's numbers on the CDNOW sample, against direct arithmetic."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import integrate, stats

from clvmodels import (
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    datasets,
    rfm_summary,
    tier_report,
    top_shares,
)
from clvmodels.diagnostics import Report, diagnose
from clvmodels.diagnostics.densities import prior_of
from clvmodels.diagnostics.spend_fit import spend_histogram
from clvmodels.diagnostics.study import Question, model_name, prepare
from clvmodels.evaluation import backtest
from clvmodels.evaluation.repeats import repeats_by_draw
from clvmodels.formulas import bgnbd, gamma_gamma
from clvmodels.posterior import total_value

LOG = datasets.load_cdnow(sample=True)
COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
END = "1997-09-30"
# Maximum likelihood in days and dollars, with standard errors of the logarithms
FITTED = {"r": (0.2426, 0.05), "alpha": (30.895, 0.08), "a": (0.7929, 0.2), "b": (2.4259, 0.25)}
SPENT = {"p": (6.249, 0.15), "q": (3.744, 0.07), "v": (15.444, 0.2)}


@pytest.fixture(scope="module")
def rfm() -> RfmTable:
    return rfm_summary(LOG, **COLUMNS, observation_period_end=END)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    rng = np.random.default_rng(11)

    def draws(of: dict[str, tuple[float, float]]) -> dict[str, Any]:
        return {n: m * np.exp(s * rng.standard_normal(300)) for n, (m, s) in of.items()}

    return CLVPosterior(
        BetaGeoPosterior.from_draws(**draws(FITTED)), GammaGammaPosterior.from_draws(**draws(SPENT))
    )


@pytest.fixture(scope="module")
def report(posterior: CLVPosterior, rfm: RfmTable) -> Report:
    return diagnose(posterior, rfm, log=LOG, currency="$")


def table(report: Report, section: str, key: str) -> pd.DataFrame:
    (found,) = [one for one in report.section(section).tables if one.key == key]
    return pd.DataFrame(found.rows, columns=found.columns).set_index(found.columns[0])


def data(report: Report, key: str) -> dict[str, Any]:
    (found,) = [one for one in report.figures if one.key == key]
    return dict(found.data)


def value(report: Report, part: str) -> float:
    (found,) = [check.value for check in report.checks if part in check.name]
    return found


# --- the data ---


def test_frequencies_and_cohorts_are_those_of_the_log(report: Report) -> None:
    seen = LOG[LOG["date"] <= END]
    days = seen.drop_duplicates(["customer_id", "date"])
    repeats = days.groupby("customer_id").size() - 1
    counted = np.bincount(np.minimum(repeats, 15), minlength=16)
    assert data(report, "frequency")["actual"] == counted.tolist()
    first = days.groupby("customer_id")["date"].min().dt.strftime("%Y-%m")
    shown = data(report, "cohorts")
    assert dict(zip(shown["cohorts"], shown["customers"], strict=True)) == (
        first.value_counts().to_dict()
    )
    share = (repeats > 0).groupby(first).mean()
    np.testing.assert_allclose(shown["repeat_share"], share.to_numpy(), rtol=1e-5)


# --- the fit ---


def test_expected_repeats_are_sums_over_customers(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    T = rfm.to_pandas()["T"].to_numpy()
    draws = {n: v[:, None] for n, v in posterior.purchases.draws(200).items()}
    chances = [bgnbd.pmf_new(n, T, **draws).mean(axis=0).sum() for n in range(7)]
    shown = table(report, "fit", "repeats")
    np.testing.assert_allclose(shown["expected"].iloc[:7], chances, rtol=1e-9)
    assert shown["expected"].sum() == pytest.approx(len(T), rel=1e-9)
    off = 0.5 * (shown["expected"] - shown["customers"]).abs().sum() / len(T)
    assert value(report, "a different number of repeats") == pytest.approx(off, rel=1e-9)
    mean = bgnbd.expected_purchases_new(T, **draws).mean()
    real = rfm.to_pandas()["frequency"].mean()
    found = value(report, "error of the repeat purchases")
    assert found == pytest.approx(mean / real - 1, rel=1e-9)


def test_the_band_of_repeats_holds_what_the_model_makes(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    """Simulate whole bases from the draws: 90 % of their counts lie in the 90 % band."""
    T = rfm.to_pandas()["T"].to_numpy()
    rng = np.random.default_rng(12)
    draws = posterior.purchases.draws(200)
    counts = []
    for s in range(200):
        lam = rng.gamma(draws["r"][s], 1 / draws["alpha"][s], len(T))
        stays = rng.geometric(rng.beta(draws["a"][s], draws["b"][s], len(T)).clip(1e-12))
        x = np.minimum(rng.poisson(lam * T), stays)
        counts.append(np.bincount(np.minimum(x, 7), minlength=8))
    shown = table(report, "fit", "repeats")
    low, high = shown["lower"].to_numpy(), shown["upper"].to_numpy()
    inside = ((low <= np.array(counts)) & (np.array(counts) <= high)).mean(axis=0)
    # 200 bases: 4 standard errors of a share of 0.9, and one for the band's own noise
    assert (np.abs(inside - 0.9) < 5 * np.sqrt(0.09 / 200)).all()


def test_tracking_counts_the_log_and_sums_the_cohorts(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    shown = data(report, "tracking")
    seen = LOG[LOG["date"] <= END].drop_duplicates(["customer_id", "date"])
    repeat = seen[seen["date"] > seen.groupby("customer_id")["date"].transform("min")]
    ends = pd.to_datetime(shown["dates"])
    counted = [
        ((repeat["date"] > end - pd.Timedelta(days=7)) & (repeat["date"] <= end)).sum()
        for end in ends
    ]
    assert shown["actual"] == counted
    T = rfm.to_pandas()["T"].to_numpy()
    draws = {n: v[:, None] for n, v in posterior.purchases.draws(200).items()}
    after = [(pd.Timestamp(END) - end).days for end in (ends[9], ends[10])]
    low, high = (
        bgnbd.expected_purchases_new(np.maximum(T - days, 0), **draws).mean(axis=0).sum()
        for days in after
    )
    assert shown["expected"][10] == pytest.approx(high - low, rel=1e-5)
    assert data(report, "tracking-cumulative")["actual"][-1] == len(repeat)


def test_spend_shares_are_integrals_of_the_density(posterior: CLVPosterior, rfm: RfmTable) -> None:
    study = prepare(posterior, rfm, Question())
    found = spend_histogram(study)
    assert found is not None
    edges, actual, expected = found
    repeat = rfm.to_pandas().query("frequency > 0")
    m = repeat["monetary_value"]
    counted = [((m >= a) & (m < b)).mean() for a, b in pairwise(edges)]
    np.testing.assert_allclose(actual[1:-1], counted, atol=1e-12)
    np.testing.assert_allclose(expected.sum(axis=1), 1.0, rtol=1e-12)
    x, weight = np.unique(repeat["frequency"], return_counts=True)
    draws = {n: v[0] for n, v in posterior.spend.draws(60).items()}

    def density(amount: float) -> float:
        each = np.exp(gamma_gamma.log_likelihood(x, amount, **draws))
        return float(weight @ each / weight.sum())

    for k in (0, 9, 29):
        area = integrate.quad(density, edges[k], edges[k + 1], epsabs=1e-11)[0]
        assert expected[0, k + 1] == pytest.approx(area, rel=1e-8)


def test_correlations_are_scipys(report: Report, rfm: RfmTable) -> None:
    repeat = rfm.to_pandas().query("frequency > 0")
    found = stats.spearmanr(repeat["frequency"], repeat["monetary_value"]).statistic
    assert value(report, "rank correlation") == pytest.approx(abs(found), rel=1e-12)


# --- what it says ---


def test_tiers_and_top_shares_are_those_of_economics(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    shown, expected = table(report, "says", "tiers"), tier_report(posterior, rfm)
    for mine, theirs in (
        ("customers", "customers"),
        ("value", "clv"),
        ("lower", "clv_lower"),
        ("upper", "clv_upper"),
        ("share of the value", "value_share"),
        ("share of past revenue", "past_share"),
    ):
        np.testing.assert_allclose(shown[mine], expected[theirs], rtol=1e-9)
    tops, theirs = table(report, "says", "top-shares"), top_shares(posterior, rfm)
    assert tops["customers"].tolist() == theirs["customers"].tolist()
    np.testing.assert_allclose(
        tops.iloc[:, 1:],
        theirs[
            [
                "value_share",
                "value_share_lower",
                "value_share_upper",
                "past_share",
                "past_top_share",
            ]
        ],
        rtol=1e-9,
    )


def test_the_base_is_worth_what_total_value_says(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    (fact,) = [fact for fact in report.facts if fact.key == "value_of_the_base"]
    expected = total_value(posterior, rfm)
    found = (fact.value, fact.lower, fact.upper)
    np.testing.assert_allclose(found, (expected.mean, expected.lower, expected.upper), rtol=1e-9)


def test_active_customers_in_every_draw(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    rows = rfm.to_pandas()
    alive = posterior.purchases.expected_probability_alive(rfm).to_numpy()[0]
    chosen = ((np.arange(200) + 0.5) * 300 / 200).astype(int)
    sums = alive[chosen][:, (rows["frequency"] > 0).to_numpy()].sum(axis=1)
    (fact,) = [fact for fact in report.facts if fact.key == "active_repeat_customers"]
    np.testing.assert_allclose((fact.lower, fact.upper), np.quantile(sums, [0.05, 0.95]), rtol=1e-9)
    buys = posterior.purchases.probability_of_purchase(rfm, future_t="365D").to_numpy()[0]
    once = buys[chosen][:, (rows["frequency"] == 0).to_numpy()].sum(axis=1)
    (fact,) = [fact for fact in report.facts if fact.key == "one_time_buyers_again"]
    np.testing.assert_allclose((fact.lower, fact.upper), np.quantile(once, [0.05, 0.95]), rtol=1e-9)


def test_matrices_are_formulas_at_the_oldest_age(
    report: Report, posterior: CLVPosterior, rfm: RfmTable
) -> None:
    shown, bought = data(report, "alive-matrix"), data(report, "purchases-matrix")
    draws = posterior.purchases.draws(100)
    T = rfm.to_pandas()["T"].max()
    for row, column in ((24, 3), (12, 5), (7, 1)):
        x, t_x = shown["frequency"][column], shown["recency"][row]
        alive = bgnbd.p_alive(x, t_x, T, **draws).mean()
        assert shown["values"][row][column] == pytest.approx(alive, rel=2e-4)
        expected = bgnbd.expected_purchases(x, t_x, T, 365.0, **draws).mean()
        assert bought["values"][row][column] == pytest.approx(expected, rel=2e-4)
    assert shown["values"][0][0] == 1.0  # of who bought once
    assert shown["values"][5][0] is None


# --- priors ---

PRIORS = [
    (
        {"dist": "LogNormal", "kwargs": {"mu": 0.3, "sigma": 0.7}},
        stats.lognorm(0.7, scale=np.exp(0.3)),
    ),
    ({"dist": "Beta", "kwargs": {"alpha": 2, "beta": 3}}, stats.beta(2, 3)),
    ({"dist": "Uniform", "kwargs": {"lower": 0, "upper": 1}}, stats.uniform()),
    ({"dist": "Gamma", "kwargs": {"mu": 2.0, "sigma": 1.0}}, stats.gamma(4.0, scale=0.5)),
    ({"dist": "Exponential", "kwargs": {"lam": 4.0}}, stats.expon(scale=0.25)),
]


@pytest.mark.parametrize(("record", "dist"), PRIORS)
def test_priors_are_scipys(record: dict[str, Any], dist: Any) -> None:
    prior = prior_of("x", record)
    assert prior is not None
    at = np.array([0.1, 0.4, 0.9])
    np.testing.assert_allclose(prior.log_density(at), dist.logpdf(at), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["LogNormal", "Weibull", "Pareto", "HalfNormal", "InverseGamma"])
def test_priors_are_pymcs(family: str) -> None:
    """Parameters mean in SciPy what they mean in PyMC, the Jacobian included."""
    pm = pytest.importorskip("pymc")
    kwargs = {
        "LogNormal": {"mu": 0.3, "sigma": 0.7},
        "Weibull": {"alpha": 2.0, "beta": 10.0},
        "Pareto": {"alpha": 1.0, "m": 1.0},
        "HalfNormal": {"sigma": 2.0},
        "InverseGamma": {"alpha": 3.0, "beta": 2.0},
    }[family]
    with pm.Model() as model:
        # as arrays, since PyTensor takes plain numbers for 32-bit constants
        variable = getattr(pm, family)("x", **{n: np.asarray(v) for n, v in kwargs.items()})
    prior = prior_of("x", {"dist": family, "kwargs": kwargs})
    assert prior is not None
    at = np.array([1.3, 2.0, 4.5])
    np.testing.assert_allclose(prior.log_density(at), pm.logp(variable, at).eval(), rtol=1e-10)
    value_var = model.rvs_to_values[variable]
    transform = model.rvs_to_transforms[variable]
    free = transform.forward(at, *variable.owner.inputs).eval()
    density = model.compile_logp()
    whole = np.array([density({value_var.name: z}) for z in free])
    mine = prior.log_density(at) + prior.log_jacobian(at)
    np.testing.assert_allclose(np.diff(mine), np.diff(whole), rtol=1e-8, atol=1e-10)


# --- a real fit ---


@pytest.fixture(scope="module")
def sampled(rfm: RfmTable) -> CLVPosterior:
    return CLVModel().fit(
        rfm, method="nuts", draws=400, chains=2, random_seed=21, progressbar=False
    )


@pytest.mark.slow
def test_convergence_is_arvizs(sampled: CLVPosterior, rfm: RfmTable) -> None:
    report = diagnose(sampled, rfm)
    for kind, one in (("purchases", sampled.purchases), ("spend", sampled.spend)):
        shown = table(report, "convergence", f"parameters-{kind}")
        tree = one.tree
        names = [*one.parameters, *(set(tree["posterior"].data_vars) - set(one.parameters))]
        names.sort(key=shown.index.get_loc)
        assert set(names) == set(shown.index)
        found = {
            "R-hat": arviz_stats.rhat(tree, var_names=names),
            "bulk ESS": arviz_stats.ess(tree, var_names=names),
            "MCSE of the mean": arviz_stats.mcse(tree, var_names=names),
        }
        for column, theirs in found.items():
            np.testing.assert_allclose(
                shown[column], [float(theirs[name]) for name in names], rtol=1e-9
            )
        draws = np.concatenate(tree["posterior"]["q" if kind == "spend" else "r"].to_numpy())
        assert shown["mean"]["q" if kind == "spend" else "r"] == pytest.approx(draws.mean())
        for check in one.verdict.checks:
            assert value(report, f"{model_name(one)}: {check.name}") == check.value
    energy = sampled.purchases.tree["sample_stats"]["energy"].to_numpy()
    by_hand = [np.sum(np.diff(e) ** 2) / np.sum((e - e.mean()) ** 2) for e in energy]
    assert value(report, "BG/NBD: smallest energy") == pytest.approx(min(by_hand), rel=5e-3)


@pytest.mark.slow
def test_prior_sensitivity_is_arvizs(sampled: CLVPosterior, rfm: RfmTable) -> None:
    """The log-likelihood summed over customers and SciPy's priors, into ArviZ's psense."""
    report = diagnose(sampled, rfm)
    rows = rfm.to_pandas()
    who = [rows[name].to_numpy(float)[:, None] for name in ("frequency", "recency", "T")]
    group = sampled.purchases.tree["posterior"].to_dataset()
    draws = {n: group[n].to_numpy() for n in ("r", "alpha", "a", "b")}
    likelihood = np.stack(
        [
            bgnbd.log_likelihood(*who, **{n: v[c] for n, v in draws.items()}).sum(axis=0)
            for c in range(2)
        ]
    )
    log_prior = np.zeros(likelihood.shape)
    for name, record in sampled.purchases.metadata.priors.items():
        kwargs, at = record["kwargs"], group[name].to_numpy()
        if record["dist"] == "Beta":
            log_prior += stats.beta.logpdf(at, kwargs["alpha"], kwargs["beta"])
        else:
            log_prior += stats.lognorm.logpdf(at, kwargs["sigma"], scale=np.exp(kwargs["mu"]))
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": group[["r", "alpha", "a", "b"]],
            "log_prior": xr.Dataset({"p": (dims, log_prior)}, coords=group.coords),
            "log_likelihood": xr.Dataset({"y": (dims, likelihood)}, coords=group.coords),
        }
    )
    shown = table(report, "priors", "sensitivity-purchases")
    for column, of in (("to the prior", "prior"), ("to the data", "likelihood")):
        theirs = arviz_stats.psense(tree, group=of)
        for name in draws:
            assert shown[column][name] == pytest.approx(float(theirs[name]), rel=1e-5)


@pytest.mark.slow
def test_the_backtest_is_shown_as_it_is() -> None:
    tested = backtest(
        LOG,
        **COLUMNS,
        train_period_end=END,
        method="map",
        bootstrap=50,
        random_seed=5,
        progressbar=False,
    )
    rfm = rfm_summary(LOG, **COLUMNS, observation_period_end=END)
    point = CLVPosterior(
        BetaGeoPosterior.from_draws(**{n: m for n, (m, _) in FITTED.items()}),
        GammaGammaPosterior.from_draws(**{n: m for n, (m, _) in SPENT.items()}),
    )
    report = diagnose(point, rfm, backtest=tested)
    wide = tested.table("purchases")
    shown = table(report, "prediction", "metrics-purchases")
    assert shown["model"]["mean absolute error"] == pytest.approx(wide.loc["mae", "model"])
    assert shown["simple formula"]["root mean squared error"] == pytest.approx(
        wide.loc["rmse", "simple"]
    )
    by_name = {check.name: check.status for check in report.checks}
    for check in tested.checks:
        assert by_name[check.name] == check.status
    error = shown["model"]["error of the total, %"]
    assert error == pytest.approx(100 * wide.loc["bias", "model"])
    customers = tested.customers
    groups = customers.groupby(np.minimum(customers["frequency"], 7))
    shown_means = data(report, "conditional-expectations")
    np.testing.assert_allclose(shown_means["actual"], groups["purchases_actual"].mean(), rtol=1e-5)
    np.testing.assert_allclose(shown_means["expected"], groups["purchases_model"].mean(), rtol=1e-5)
    gains = data(report, "gains-purchases")
    order = np.argsort(-customers["purchases_actual"].to_numpy(), kind="stable")
    best = customers["purchases_actual"].to_numpy()[order][: round(0.2 * len(customers))].sum()
    at = gains["curves"]["the best order possible"][20]
    assert at == pytest.approx(best / customers["purchases_actual"].sum(), rel=2e-3)


def test_gathered_ages_hardly_change_the_histogram(posterior: CLVPosterior, rfm: RfmTable) -> None:
    study = prepare(posterior, rfm, Question())
    draws = study.few_draws(5)
    few, all_ = (repeats_by_draw(bgnbd, draws, *study.ages(most))[0] for most in (20, 1000))
    np.testing.assert_allclose(few, all_, rtol=2e-3)
