"""Covariates are learnt: effects come back, units and orders make no difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pandas.testing import assert_frame_equal

from clvmodels import (
    BetaGeoModel,
    CLVModel,
    Covariate,
    DomainError,
    GammaGammaModel,
    ModifiedBetaGeoModel,
    ParetoNBDModel,
    Pooled,
    RfmTable,
    SchemaError,
    compare,
    rfm_summary,
    stack,
)
from clvmodels.datasets import load_online_retail
from clvmodels.diagnostics.power_scaling import (
    log_prior_and_likelihood,
    priors_of,
    sensitivity,
    sensitivity_tables,
)
from clvmodels.diagnostics.study import Question, prepare
from clvmodels.fit.effect_variables import KNOWN, _check_few_columns, with_others
from clvmodels.purchases.design import EFFECTS_PRIOR, Design, Effect, Factor
from clvmodels.rfm.attributes import attribute, texts_of
from clvmodels.rfm.histories import rfm_columns
from tests.covariates import base_of, table_of

CHANNELS = {"ads": -0.6, "shop": 0.5, "web": 0.1}
LEAVING = {"ads": 0.7, "shop": -0.5, "web": -0.2}
R, ALPHA, PHI, KAPPA = 0.7, 25.0, 0.25, 4.0
QUICK = {"method": "laplace", "random_seed": 1, "progressbar": False, "draws": 250}


def simulated(customers: int = 6000, groups: int = 15, seed: int = 2) -> pd.DataFrame:
    """BG/NBD customers of three channels and some countries, looked at by the day."""
    rng = np.random.default_rng(seed)
    channel = rng.choice(sorted(CHANNELS), customers, p=[0.3, 0.2, 0.5])
    names = np.array([f"g{i:03d}" for i in range(groups)])
    country = rng.choice(names, customers, p=rng.dirichlet(np.full(groups, 2.0)))
    effects = dict(zip(names, rng.normal(0.0, 0.4, groups), strict=True))
    income = rng.normal(50.0, 10.0, customers)
    eta = np.array([CHANNELS[c] + effects[g] for c, g in zip(channel, country, strict=True)])
    eta = eta + 0.3 * (income - 50.0) / 10.0
    odds = PHI / (1 - PHI) * np.exp([LEAVING[c] for c in channel])
    leaves = rng.beta(KAPPA * odds / (1 + odds), KAPPA / (1 + odds))
    rate = rng.gamma(R, 1.0, customers) / ALPHA * np.exp(eta)
    T = rng.integers(100, 400, customers).astype(float)
    x, t_x, t, alive = np.zeros(customers), np.zeros(customers), np.zeros(customers), T > 0
    while alive.any():
        t = t + rng.exponential(1.0 / rate)
        alive = alive & (t <= T)
        x, t_x = x + alive, np.where(alive, t, t_x)
        alive = alive & (rng.random(customers) >= leaves)
    t_x = np.ceil(t_x)
    frame = pd.DataFrame(
        {
            "customer_id": np.arange(customers),
            "frequency": np.minimum(x, t_x).astype(int),
            "recency": t_x,
            "T": T,
            "channel": channel,
            "country": country,
            "income": income,
        }
    )
    frame.attrs["countries"] = effects
    return frame


FRAME = simulated()


@pytest.fixture(scope="module")
def fitted():
    model = BetaGeoModel(
        purchase_covariates=["channel", Pooled("country"), Covariate("income", bins=10)],
        dropout_covariates=["channel"],
    )
    return model.fit(table_of(FRAME), **QUICK)


def z_scores(posterior, wanted):
    draws = posterior.draws()
    return {
        name: (draws[name].mean() - value) / draws[name].std() for name, value in wanted.items()
    }


@pytest.mark.slow
def test_effects_come_back(fitted) -> None:
    """Within some posterior standard deviations of what was simulated."""
    assert fitted.verdict.status == "pass"
    level = np.mean(list(CHANNELS.values()))
    wanted = {f"purchases[channel={k}]": v - level for k, v in CHANNELS.items()}
    level = np.mean(list(LEAVING.values()))
    wanted |= {f"dropout[channel={k}]": v - level for k, v in LEAVING.items()}
    countries = FRAME.attrs["countries"]
    wanted |= {f"purchases[country={k}]": v for k, v in countries.items()}
    scores = z_scores(fitted, wanted)
    assert max(map(abs, scores.values())) < 4.5, scores
    slope = fitted.draws()["purchases[income=" + fitted.metadata.design.factors[2].levels[-1] + "]"]
    z = fitted.metadata.design.factors[2].numbers[-1]
    assert abs(slope.mean() / z - 0.3) < 4.5 * slope.std() / z


@pytest.mark.slow
def test_small_groups_are_drawn_to_the_average(fitted) -> None:
    draws, design = fitted.draws(), fitted.metadata.design
    counts = dict(zip(design.factors[1].levels, design.factors[1].customers, strict=True))
    small, large = (min(counts, key=counts.get), max(counts, key=counts.get))
    spread = {g: draws[f"purchases[country={g}]"].std() for g in (small, large)}
    assert spread[small] > spread[large]
    other = draws["purchases[country=(other)]"].std()
    assert other > 3 * spread[large]  # a group that nobody has seen is in doubt as the groups are


@pytest.mark.slow
def test_the_table_of_effects_is_in_plain_units(fitted) -> None:
    table = fitted.effects().set_index(["on", "covariate", "level"])
    draws = fitted.draws()
    times = np.exp(draws["purchases[channel=shop]"])
    row = table.loc[("purchases", "channel", "shop")]
    assert row["times"] == pytest.approx(np.median(times))
    assert row["figure"] == pytest.approx(np.median(draws["r"] / draws["alpha"] * times * 365.25))
    assert row["customers"] == (FRAME["channel"] == "shop").sum()
    leaving = table.loc[("dropout", "channel", "ads")]
    odds = draws["a"] / draws["b"] * np.exp(draws["dropout[channel=ads]"])
    assert leaving["figure"] == pytest.approx(np.median(odds / (1 + odds)))


@pytest.mark.slow
def test_new_customers_of_a_level(fitted) -> None:
    shop = fitted.of({"channel": "shop", "country": "g001", "income": 50.0})
    ads = fitted.of({"channel": "ads"})
    new = {
        name: float(one.expected_purchases_new_customer(t="365D").mean())
        for name, one in {"shop": shop, "ads": ads, "all": fitted}.items()
    }
    assert new["ads"] < new["all"]
    income = FRAME.groupby("channel").size() / len(FRAME)
    parts = [
        income[c] * fitted.of({"channel": c}).expected_purchases_new_customer(t="365D").mean()
        for c in CHANNELS
    ]
    assert sum(map(float, parts)) == pytest.approx(new["all"], rel=1e-9)
    with pytest.raises(SchemaError, match="'radio' is not a level of channel"):
        fitted.of({"channel": "radio"})
    with pytest.raises(SchemaError, match="'colour' is not a covariate of this model"):
        fitted.of({"colour": "red"})


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel])
def test_units_and_order_make_no_difference(kind) -> None:
    """Weeks, cents and thousands, other names of levels, shuffled rows: the same posterior."""
    frame = FRAME.head(1500)
    model = kind(
        purchase_covariates=["channel", Covariate("income", bins=5)],
        dropout_covariates=["channel"],
    )
    one = model.fit(table_of(frame), **QUICK)
    names = {"ads": "a", "shop": "s", "web": "w"}
    other = frame.sample(frac=1.0, random_state=3).assign(
        income=lambda f: f["income"] * 1000.0, channel=lambda f: f["channel"].map(names)
    )
    other = other.assign(recency=other["recency"] / 7, T=other["T"] / 7)
    again = model.fit(RfmTable.from_pandas(other, time_unit="D", time_scaler=7), **QUICK)
    first, second = one.draws(), again.draws()
    # Where rounding makes another weight, one draw in a thousand is another point
    for level, short in names.items():
        for side in ("purchases", "dropout"):
            one, other = first[f"{side}[channel={level}]"], second[f"{side}[channel={short}]"]
            assert np.mean(np.abs(one - other) > 1e-5) < 0.01
    assert np.mean(np.abs(first["alpha"] / 7 / second["alpha"] - 1.0) > 1e-5) < 0.01


@pytest.mark.slow
def test_a_column_of_one_value_changes_nothing() -> None:
    frame = FRAME.head(1500).assign(constant="x", number=3.0)
    plain = BetaGeoModel().fit(table_of(frame), **QUICK)
    model = BetaGeoModel(purchase_covariates=["constant"], dropout_covariates=["constant"])
    same = model.fit(table_of(frame), **QUICK)
    for name, values in plain.draws().items():
        np.testing.assert_allclose(same.draws()[name], values, rtol=1e-9)
    assert_frame_equal(
        same.predict(frame, horizon="90D"), plain.predict(frame, horizon="90D"), rtol=1e-9
    )


@pytest.mark.slow
def test_likelihood_is_that_of_each_customer() -> None:
    """What the fit adds up by stratum equals the formulas, customer by customer."""
    from clvmodels.fit.density import compile_density

    frame = FRAME.head(300)
    model = BetaGeoModel(purchase_covariates=["channel"], dropout_covariates=["channel"])
    built = model.build(table_of(frame))
    posterior = model.fit(table_of(frame), **QUICK)
    point = {name: float(v[0]) for name, v in posterior.draws().items()}
    assert compile_density(built).dim == 4 + 2 + 2
    by_customer = posterior.log_likelihood(table_of(frame)).isel(chain=0, draw=0)
    total = 0.0
    for level in CHANNELS:
        rows = frame[frame["channel"] == level]
        faster, leave = (np.exp(point[f"{s}[channel={level}]"]) for s in ("purchases", "dropout"))
        kappa = point["a"] + point["b"]
        odds = point["a"] / point["b"] * leave
        total += float(
            posterior.facts.formulas.log_likelihood(
                rows["frequency"].to_numpy(float),
                rows["recency"].to_numpy(float),
                rows["T"].to_numpy(float),
                r=point["r"],
                alpha=point["alpha"] / faster,
                a=kappa * odds / (1 + odds),
                b=kappa / (1 + odds),
            ).sum()
        )
    assert float(by_customer.sum()) == pytest.approx(total, rel=1e-10)


def test_cohorts_are_months_of_the_first_purchase() -> None:
    frame = FRAME.head(200)
    found = texts_of(attribute(rfm_columns(table_of(frame)), "cohort"))
    first = pd.Timestamp("2024-06-30") - pd.to_timedelta(frame["T"], unit="D")
    assert list(found) == list(first.dt.strftime("%Y-%m"))
    with pytest.raises(SchemaError, match="knows no dates from which months could be taken"):
        attribute(rfm_columns(frame), "cohort")


@pytest.mark.slow
def test_ordered_groups_are_near_their_neighbours() -> None:
    """Countries in the order of what was simulated: a walk, which takes Markov chains."""
    effects = FRAME.attrs["countries"]
    rank = {name: f"{i:02d}" for i, name in enumerate(sorted(effects, key=effects.get))}
    frame = FRAME.assign(rank=FRAME["country"].map(rank))
    model = BetaGeoModel(purchase_covariates=[Pooled("rank", ordered=True)])
    # of a thousand draws the largest R-hat of twenty levels is above 1.01 by chance, at times
    how = {"method": "nuts", "draws": 1000, "chains": 2, "random_seed": 1, "progressbar": False}
    posterior = model.fit(table_of(frame), **how)
    draws = posterior.draws()
    levels = posterior.metadata.design.factors[0].levels
    found = [draws[f"purchases[rank={level}]"].mean() for level in levels]
    assert np.corrcoef(found, sorted(effects.values()))[0, 1] > 0.85
    other = draws["purchases[rank=(other)]"]
    assert abs(other.mean() - found[-1]) < 4 * other.std() / np.sqrt(len(other)) + 0.02


@pytest.mark.slow
def test_groups_of_which_one_is_nearly_all_converge() -> None:
    """Nine in ten customers are British: the average and their effect move together."""
    rfm = rfm_summary(
        load_online_retail(),
        customer_id_col="customer_id",
        datetime_col="timestamp",
        monetary_value_col="amount",
        segment_cols=["country"],
    )
    countries = [Pooled("country")]
    model = ModifiedBetaGeoModel(purchase_covariates=countries, dropout_covariates=countries)
    posterior = model.fit(rfm, method="nuts", random_seed=1, progressbar=False)  # or it raises
    table = posterior.effects().set_index(["on", "level"])
    times = table.loc[[("purchases", "United Kingdom"), ("purchases", "EIRE")], "times"]
    assert times.iloc[1] > 2 * times.iloc[0]
    stats = posterior.tree["sample_stats"]
    assert float(stats["n_steps"].mean()) < 30  # 61 where the mode's Hessian whitens


@pytest.mark.slow
def test_compared_with_and_without(fitted) -> None:
    """Left out one by one: as customers' own terms, and effects that are there are found."""
    plain = BetaGeoModel().fit(table_of(FRAME), **QUICK)
    found = compare({"with": fitted, "without": plain}, table_of(FRAME))
    table = found.table.set_index("model") if "model" in found.table else found.table
    assert table.loc["with", "elpd"] > table.loc["without", "elpd"] + 5 * table["dse"].max()
    alone = compare({"one": plain, "other": plain}, table_of(FRAME)).table
    assert table.loc["without", "elpd"] == pytest.approx(float(alone["elpd"].iloc[0]), rel=1e-9)


@pytest.mark.slow
def test_with_spend_and_one_customer_of_a_level() -> None:
    frame = base_of(300).assign(kind=lambda f: np.where(f.index == 0, "one", "others"))
    model = CLVModel(BetaGeoModel(purchase_covariates=["kind"]), GammaGammaModel())
    posterior = model.fit(table_of(frame), **QUICK)
    assert posterior.of({"kind": "one"}).new_customer_value().mean > 0
    with pytest.raises(SchemaError, match="has covariates, which a stack does not take"):
        stack({"a": posterior, "b": posterior})


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["frequency"], "frequency cannot be a covariate"),
        ("channel", "must be a list: put it in brackets"),
        (["channel", "channel"], "names 'channel' twice"),
        ([3], "holds 3: give names of columns"),
    ],
)
def test_what_cannot_be_a_covariate(asked, message) -> None:
    with pytest.raises(SchemaError, match=message):
        BetaGeoModel(purchase_covariates=asked)


def test_what_a_base_does_not_have() -> None:
    with pytest.raises(SchemaError, match="no column 'colour', a covariate of the model"):
        BetaGeoModel(purchase_covariates=["colour"]).fit(table_of(FRAME.head(50)), **QUICK)
    frame = FRAME.head(50).assign(income=-1.0)
    with pytest.raises(DomainError, match="values that are not positive"):
        BetaGeoModel(purchase_covariates=[Covariate("income", log=True)]).fit(
            table_of(frame), **QUICK
        )


def told(effects: np.ndarray, sd: float, draws: int, side: str = "purchases") -> np.ndarray:
    """Draws of a level that the base did not have, of levels known up to some doubt."""
    names = tuple(f"l{i}" for i in range(len(effects)))
    effect = Effect(side, "channel", "level", 1.0, names)
    design = Design((Factor("channel", names, (1,) * len(names)),), (effect,))
    noise = np.random.default_rng(4).normal(0.0, sd, (1, draws, len(effects)))
    values = effects - effects.mean() + noise - noise.mean(axis=2, keepdims=True)
    given = xr.Dataset({KNOWN: (("chain", "draw", "known"), values)})
    return with_others(given, design)["effects"].to_numpy()[0, :, -1]


def test_a_new_level_differs_as_those_do_that_are_known() -> None:
    """Of levels without doubt the spread's density is that of normal numbers, here by sums."""
    effects = np.array([-0.25, 0.1, 0.2, -0.1, 0.05, 0.0])
    found = told(effects, 1e-4, 20_000)
    grid = np.linspace(1e-3, 4.0, 40_000)
    squares, count = np.sum((effects - effects.mean()) ** 2), len(effects)
    logs = -0.5 * ((grid / 0.5) ** 2 + squares / grid**2) - (count - 1) * np.log(grid)
    weights = np.exp(logs - logs.max())
    variance = np.sum(weights * grid**2) / np.sum(weights) * (1.0 + 1.0 / count)
    assert found.std() == pytest.approx(np.sqrt(variance), rel=0.05)
    assert abs(found.mean()) < 4.5 * found.std() / np.sqrt(len(found))


def test_a_new_level_s_orders_are_no_larger_for_being_more() -> None:
    effects = np.array([-0.4, 0.1, 0.3])
    more, larger = told(effects, 0.05, 4000), told(effects, 0.05, 4000, "spend")
    assert abs(np.corrcoef(more, larger)[0, 1]) < 4.5 / np.sqrt(4000)


def test_a_mode_has_no_doubt_about_new_levels() -> None:
    assert told(np.array([-0.4, 0.1, 0.3]), 0.0, 1)[0] == 0.0


def test_two_columns_of_many_groups_are_refused() -> None:
    """Before anything is compiled; who asks for chains is told that they are slow."""
    groups = np.arange(len(FRAME)) % 31
    table = table_of(FRAME.assign(city=groups.astype(str), shop=groups[::-1].astype(str)))
    model = BetaGeoModel(purchase_covariates=[Pooled("city"), Pooled("shop")])
    with pytest.raises(
        SchemaError, match=r"'city' \(31 groups\), 'shop' \(31 groups\): the effects"
    ):
        model.fit(table, method="laplace", random_seed=1, progressbar=False)
    design = Design((), tuple(Effect("purchases", c, "pooled", 1.0, ("",) * 31) for c in "ab"))
    with pytest.warns(UserWarning, match="Markov chains may take hours. Pool the one"):
        _check_few_columns(design, "nuts")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The nuts fit of BG/NBD did not converge")  # of 50 draws
@pytest.mark.parametrize(
    ("covariates", "how"),
    [
        ([Covariate("channel"), Covariate("income", bins=5)], {}),
        ([Pooled("country", ordered=True)], {}),
        ([Pooled("country")], {"method": "nuts", "draws": 50, "tune": 50, "chains": 1}),
    ],
    ids=["levels and a number", "ordered", "pooled"],
)
def test_priors_of_effects_are_told_from_the_likelihood(covariates, how) -> None:
    """What remains of the sampler's density is the likelihood of each draw, up to a constant."""
    frame = FRAME[FRAME["country"] < "g005"].head(300)
    model = BetaGeoModel(purchase_covariates=covariates)
    posterior = model.fit(table_of(frame), **QUICK | how | {"on_failure": "warn"})
    prior, likelihood = log_prior_and_likelihood(posterior, priors_of(posterior))
    wanted = posterior.log_likelihood(table_of(frame)).sum("customer_id").to_numpy()
    gap = likelihood - wanted
    np.testing.assert_allclose(gap, gap.mean(), atol=1e-6)
    assert wanted.std() > 0.3
    own = posterior.tree["sample_stats"][EFFECTS_PRIOR].to_numpy()
    assert own.std() > 0.1
    rest = replace(posterior, metadata=replace(posterior.metadata, design=None))
    np.testing.assert_allclose(
        prior - log_prior_and_likelihood(rest, priors_of(rest))[0], own, atol=1e-9
    )


@pytest.mark.slow
def test_a_report_says_how_priors_of_effects_move_answers(fitted) -> None:
    """Spreads of groups are among what the prior may move, their effects are not."""
    names = {name for name in fitted.draws() if "country=" in name}
    priors, study = priors_of(fitted), prepare(fitted, table_of(FRAME), Question())
    (table,) = sensitivity_tables(fitted, sensitivity(fitted, priors, study))
    found = {row[0]: row[1:3] for row in table.rows}
    assert {"purchases[sd of country]", "purchases[channel=ads]"} < set(found)
    assert not names & set(found)
    assert all(data > prior for prior, data in found.values())
    assert all(0.0 <= one < np.inf for pair in found.values() for one in pair)
