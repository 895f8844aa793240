"""First orders as amounts that spend is learnt from: of fits, predictions, scores and files."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mpmath import mp
from numpy.testing import assert_allclose
from scipy.stats import rankdata

import clvmodels
from clvmodels import (
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    load_posterior,
    simulate_future,
    value_distribution,
)
from clvmodels.cli.fit import check_amounts
from clvmodels.errors import DomainError, SchemaError
from clvmodels.evaluation.counting_first import CHECK
from clvmodels.evaluation.fitting import centre
from clvmodels.forecast import spending
from clvmodels.forecast.base_sums import sums_of_base
from clvmodels.posterior.scorable import prepared_for
from clvmodels.rfm.spent import spend_histories
from clvmodels.scoring import Scorer
from clvmodels.simulate import simulate_log

P, Q, V = 6.25, 3.74, 15.44
DRAWS = {"p": [P, 6.0, 5.8], "q": [Q, 3.9, 4.1], "v": [V, 15.0, 16.2]}
BASE = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d", "e"],
        "frequency": [2, 0, 0, 1, 0],
        "recency": [30.0, 0.0, 0.0, 12.0, 0.0],
        "T": [38.0, 38.0, 38.0, 40.0, 20.0],
        "monetary_value": [22.35, 0.0, 0.0, 8.0, 0.0],
        "first_value": [10.0, 50.0, 5.0, 0.0, 50.0],
    }
)
SPENT = (BASE["first_value"] + BASE["frequency"] * BASE["monetary_value"]).to_numpy()
ORDERS = BASE["frequency"].to_numpy() + 1


def spend(**changes):
    return GammaGammaPosterior.from_draws(**{**DRAWS, **changes}, first_order="include")


def both(**changes):
    purchases = BetaGeoPosterior.from_draws(
        r=[0.243, 0.25, 0.26], alpha=[4.41, 4.5, 4.4], a=[0.79, 0.8, 0.81], b=[2.43, 2.4, 2.5]
    )
    return CLVPosterior(purchases, spend(**changes))


def test_expected_spend_is_that_of_one_more_amount():
    mp.dps = 30
    found = spend().expected_customer_spend(BASE).to_numpy()[0]
    for s, (p, q, v) in enumerate(zip(*DRAWS.values(), strict=True)):
        for i, (n, total) in enumerate(zip(ORDERS, SPENT, strict=True)):
            exact = mp.mpf(p) * (mp.mpf(v) + mp.mpf(total)) / (mp.mpf(p) * int(n) + mp.mpf(q) - 1)
            assert_allclose(found[s, i], float(exact), rtol=1e-12)


def test_log_likelihood_is_the_density_of_the_mean_of_all_amounts():
    mp.dps = 40
    found = spend().log_likelihood(BASE)
    assert found.sizes["customer_id"] == len(BASE)
    p, q, v = mp.mpf(P), mp.mpf(Q), mp.mpf(V)
    for i, (n, total) in enumerate(zip(ORDERS, SPENT, strict=True)):
        k, m = p * int(n), mp.mpf(total) / int(n)
        exact = (
            mp.loggamma(k + q)
            - mp.loggamma(k)
            - mp.loggamma(q)
            + q * mp.log(v)
            + (k - 1) * mp.log(m)
            + k * mp.log(int(n))
            - (k + q) * mp.log(v + total)
        )
        assert_allclose(found.to_numpy()[0, 0, i], float(exact), rtol=1e-10)


def test_predictions_tell_one_time_buyers_apart_and_count_no_order_twice():
    found = both().predict(BASE, horizon="365D", predictive=True)
    expected = spend().expected_customer_spend(BASE).mean(("chain", "draw")).to_numpy()
    assert_allclose(found["expected_spend"], expected, rtol=1e-12)
    assert_allclose(found["historical_value"], SPENT)
    assert list(found["monetary_value"]) == list(BASE["monetary_value"])
    assert found["expected_spend"][1] > 2 * found["expected_spend"][2]
    assert found["value_upper"][1] > 2 * found["value_upper"][2]
    excluded = CLVPosterior(both().purchases, GammaGammaPosterior.from_draws(**DRAWS))
    before = excluded.predict(BASE, horizon="365D")
    assert before["expected_spend"][1] == before["expected_spend"][2]
    assert_allclose(found["expected_purchases"], before["expected_purchases"])


def test_simulated_values_have_the_expected_mean_and_distribution():
    paths = 3_000
    options = {"horizon": "365D", "draws": 3}
    values = simulate_future(both(), BASE, paths=paths, random_seed=4, **options).values
    expected = both().predict(BASE, **options)["clv"].to_numpy()
    error = values.std(axis=1) / np.sqrt(paths)
    assert (np.abs(values.mean(axis=1) - expected) < 4.5 * error).all()
    y = expected * 1.5
    below = value_distribution(both(), BASE, **options).cdf(y)
    simulated = (values <= y[:, None]).mean(axis=1)
    # two simulations: that of the distribution has at least 1,000 paths
    assert (np.abs(below - simulated) < 4.5 * np.sqrt(0.25 / paths + 0.25 / 1_000)).all()


def test_sums_by_time_add_up_what_customers_bring():
    terms = {"horizon": "180D", "discount_rate": 0.1, "discounting": "continuous"}
    terms |= {"interval": 0.9, "margin": None, "draws": None}
    given = prepared_for(both(), BASE, time_unit="D", time_scaler=1.0, **terms)
    found = sums_of_base(given.draws, given.future.due, np.array([180.0]), given.who, 1)
    expected = both().predict(BASE, horizon="180D", draws=3)["clv"].sum()
    assert_allclose(found.mean_value, expected, rtol=1e-9)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 1, 3]])
def test_scores_are_predictions_in_any_order(order):
    rows = BASE.iloc[order].reset_index(drop=True)
    batch = pa.RecordBatch.from_pandas(rows, preserve_index=False)
    found = Scorer(both(), predictive=True).score(batch).scores.to_pandas()
    expected = both().predict(BASE, predictive=True).iloc[order].reset_index(drop=True)
    for column in found.columns.drop("customer_id"):
        assert_allclose(found[column], expected[column], rtol=1e-12, err_msg=column)


def test_rows_without_a_usable_first_order_are_rejected_with_a_reason():
    odd = BASE.assign(first_value=[np.nan, 50.0, -5.0, 0.0, 1e200])
    batch = pa.RecordBatch.from_pandas(odd, preserve_index=False)
    found = Scorer(both()).score(batch)
    assert found.scores["customer_id"].to_pylist() == ["b", "d"]
    assert set(found.rejects["reason"].to_pylist()) == {
        "first_value is missing, negative or too large, and the spend model counts it"
    }
    plain = CLVPosterior(both().purchases, GammaGammaPosterior.from_draws(**DRAWS))
    assert Scorer(plain).score(batch).totals.scored == 5
    with pytest.raises(SchemaError, match="2 customers have a negative or missing first_value"):
        both().predict(odd)


def test_tables_without_first_orders_are_refused():
    bare = BASE.drop(columns="first_value")
    with pytest.raises(SchemaError, match="lacks first_value"):
        both().predict(bare)
    with pytest.raises(SchemaError, match="lacks first_value"):
        Scorer(both()).score(pa.RecordBatch.from_pandas(bare, preserve_index=False))
    with pytest.raises(SchemaError, match="lacks first_value"):
        spend_histories(bare, "include")
    with pytest.raises(DomainError, match="1 customers have a negative or missing first_value"):
        spend_histories(BASE.assign(first_value=[1, 1, -1, 1, 1]), "include")
    with pytest.raises(SchemaError, match="first_order"):
        GammaGammaModel(first_order="both")


def test_statistics_know_one_time_buyers_money_and_no_order_of_rows():
    found = spend_histories(BASE, "include")
    assert found.customers == 5
    assert found.count.max() == 2  # b and e
    assert found.without_repeat == 0
    assert spend_histories(BASE[::-1], "include").fingerprint() == found.fingerprint()
    nothing = BASE.assign(first_value=[10.0, 0.0, 5.0, 0.0, 50.0])
    assert spend_histories(nothing, "include").zero_spend == 1
    cents = BASE.assign(
        monetary_value=BASE["monetary_value"] * 100, first_value=BASE["first_value"] * 100
    )
    assert_allclose(
        spend_histories(cents, "include").typical_amount, 100 * found.typical_amount, rtol=1e-12
    )
    scaled = both(v=[100 * v for v in DRAWS["v"]]).predict(cents)
    assert_allclose(scaled["clv"], 100 * both().predict(BASE)["clv"], rtol=1e-12)


def test_a_saved_posterior_and_its_point_keep_the_option(tmp_path):
    read = load_posterior(both().save(tmp_path / "both.nc"))
    assert read.spend.metadata.first_order == "include"
    pd.testing.assert_frame_equal(read.predict(BASE), both().predict(BASE))
    assert read.fingerprint() == both().fingerprint()
    plain = CLVPosterior(both().purchases, GammaGammaPosterior.from_draws(**DRAWS))
    assert plain.fingerprint() != both().fingerprint()
    assert centre(read).spend.metadata.first_order == "include"
    assert "first orders count" in repr(read.spend)


def test_pymc_marketing_has_no_such_model():
    with pytest.raises(SchemaError, match="has no model of spend that counts"):
        clvmodels.to_pymc_marketing(spend(), BASE)


def test_one_value_for_all_leaves_no_first_order_to_count():
    check_amounts("include", None)
    check_amounts("exclude", 20.0)
    with pytest.raises(SchemaError, match="counts as 20: leave --first-order or"):
        check_amounts("include", 20.0)


def test_files_are_scored_as_frames_are(tmp_path):
    pq.write_table(pa.Table.from_pandas(BASE, preserve_index=False), tmp_path / "rfm.parquet")
    clvmodels.score(
        tmp_path / "rfm.parquet", both(), output=tmp_path / "scores.parquet", time_unit="D"
    )
    found = pq.read_table(tmp_path / "scores.parquet").to_pandas().sort_values("customer_id")
    assert_allclose(found["clv"], both().predict(BASE)["clv"], rtol=1e-12)


def test_new_customers_have_the_population_mean():
    with pytest.raises(DomainError, match="infinite"):
        both(q=[0.9, 3.9, 4.1]).new_customer_value()
    draws = {name: np.array(values) for name, values in DRAWS.items()}
    assert_allclose(spending.mean_of_new(draws)[0], P * V / (Q - 1))


@pytest.mark.slow
def test_parameters_are_recovered_from_first_orders_alone():
    rng = np.random.default_rng(20)
    customers = 4_000
    x = rng.integers(0, 3, customers)
    rate = rng.gamma(Q, 1 / V, customers)
    first = rng.gamma(P, 1 / rate)
    m_bar = np.where(x > 0, rng.gamma(P * np.maximum(x, 1)) / rate / np.maximum(x, 1), 0.0)
    base = pd.DataFrame(
        {
            "customer_id": np.arange(customers),
            "frequency": x,
            "recency": 10.0 * (x > 0),
            "T": 40.0,
            "monetary_value": m_bar,
            "first_value": first,
        }
    )
    model = GammaGammaModel(first_order="include")
    fitted = model.fit(base, method="laplace", random_seed=1, progressbar=False, time_unit="D")
    assert fitted.metadata.base["customers"] == customers
    for name, truth in (("p", P), ("q", Q), ("v", V)):
        values = fitted.draws()[name]
        assert abs(values.mean() - truth) < 4 * values.std(), name
    assert CLVModel(spend=model).spend.first_order == "include"


def concentration(order, amounts):
    """Gini of amounts in an order, those of ties shared."""
    ranks = rankdata(order)
    return float(((2.0 * ranks - len(ranks) - 1.0) * amounts.to_numpy()).sum())


@pytest.mark.slow
@pytest.mark.parametrize("alike", [True, False])
def test_a_backtest_recommends_to_count_first_orders_or_not(tmp_path, alike):
    """Where they tell later ones, and where they are of another kind; kept and read."""
    rng = np.random.default_rng(5)
    names = {"r": 0.8, "alpha": 40.0, "a": 0.8, "b": 3.0, "p": 60.0, "q": 3.0, "v": 1.0}
    log = simulate_log(900, **names, T=(200.0, 300.0), seed=4)[["customer_id", "date", "amount"]]
    if not alike:
        first = ~log.sort_values("date").duplicated("customer_id").reindex(log.index)
        log["amount"] = log["amount"].mask(first, rng.gamma(0.3, 300.0, len(log)))
    cut = log["date"].min() + 0.6 * (log["date"].max() - log["date"].min())
    columns = {
        "customer_id_col": "customer_id",
        "datetime_col": "date",
        "monetary_value_col": "amount",
    }
    model = CLVModel("mbgnbd")
    how = {"method": "map", "bootstrap": 100, "calendar": "none", "on_failure": "warn"}
    end = str(cut.date())
    found = clvmodels.backtest(log, model=model, train_period_end=end, **columns, **how)
    found.save(tmp_path / "b")
    kept = clvmodels.load_backtest(tmp_path / "b")
    assert kept.settings["first_order"] == "exclude"
    (check,) = (one for one in kept.checks if one.name == CHECK)
    assert (check.status, check.bears_on) == ("pass", ())
    train = clvmodels.rfm_train_test_split(log, train_period_end=end, **columns).train
    actual = found.customers.set_index("customer_id")["value_actual"][train["customer_id"]]
    ginis = {}
    for choice in ("include", "exclude"):
        fitted = model.replace(spend__first_order=choice).fit(
            train, method="map", progressbar=False, on_failure="warn", random_seed=0
        )
        value = fitted.predict(train, horizon=f"{found.settings['horizon_days']:g}D")["clv"]
        ginis[choice] = concentration(value, actual) / concentration(actual, actual)
        assert f"{ginis[choice]:.3f}" in check.advice
    assert check.value == pytest.approx(ginis["include"] - ginis["exclude"], abs=1e-9)
    if alike:
        assert "first_order='include' ranks customers better beyond chance: fit w" in check.advice
        assert "customers better where first orders count" in check.sentence
    else:
        assert "keep first_order='exclude'." in check.advice
