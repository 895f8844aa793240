"""Pictures of customers one by one draw what the public verbs say, whatever the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import date2num
from scipy import stats

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, DomainError, RfmTable, SchemaError, plots
from clvmodels.simulate import simulate_log
from tests.clocks import clock
from tests.covariates import (
    LEVELS,
    base_of,
    design_of_channels,
    plain_posterior,
    something,
    with_effects,
)
from tests.unit.diagnostics_cases import PURCHASES, SPEND, given, mode

COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
END = "2021-03-31"


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    truth = {**PURCHASES, **SPEND, "T": (100.0, 500.0)}
    found = simulate_log(300, seed=3, observation_end="2021-06-30", **truth)
    return found.assign(channel=np.array(LEVELS)[found["customer_id"] % 3])


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> RfmTable:
    return clv.rfm_summary(log, **COLUMNS, observation_period_end=END)


def posterior_of(kind: str) -> Any:
    """In days; by a clock, with covariates, of another model, in weeks, or as one point."""
    plain = given(60)
    if kind == "clock":
        bought = replace(plain.purchases.metadata, clock=clock())
        return replace(plain, purchases=replace(plain.purchases, metadata=bought))
    if kind == "covariates":
        return with_effects(plain_posterior(), design_of_channels(base_of()), something)
    if kind == "paretonbd":
        return plain_posterior("paretonbd")
    if kind == "weeks":
        draws = plain.purchases.draws()
        draws = {n: v / 7 if n == "alpha" else v for n, v in draws.items()}
        return BetaGeoPosterior.from_draws(time_unit="D", time_scaler=7, **draws)
    return mode() if kind == "mode" else plain


def table_of(log: pd.DataFrame, kind: str, end: Any = END) -> RfmTable:
    options: dict[str, Any] = dict(COLUMNS)
    if kind == "weeks":
        options["time_scaler"] = 7
    if kind == "covariates":
        options["segment_cols"] = ["channel"]
    if kind == "paretonbd":
        del options["monetary_value_col"]
    return clv.rfm_summary(log, **options, observation_period_end=end)


def repeat_buyer(rfm: RfmTable) -> Any:
    table = rfm.to_pandas()
    return table.loc[table["frequency"].idxmax(), "customer_id"]


# --- P(alive) over time ---


@pytest.mark.parametrize("kind", ["days", "weeks", "clock", "covariates", "paretonbd", "mode"])
def test_a_history_is_what_predict_said_at_each_date(log: pd.DataFrame, kind: str) -> None:
    posterior, now = posterior_of(kind), table_of(log, kind)
    who = repeat_buyer(now)
    axes = plots.plot_alive_history(posterior, now, log=log, customer_id=who)
    when, drawn = axes.lines[0].get_xdata(orig=False), axes.lines[0].get_ydata()
    last = posterior.predict(now).set_index("customer_id").loc[who, "p_alive"]
    assert drawn[-1] == pytest.approx(last, rel=1e-5)
    for date in ("2020-12-01", "2021-02-10"):
        place = int(np.argmin(np.abs(when - date2num(np.datetime64(date)))))
        then = pd.Timestamp("1970-01-01") + pd.Timedelta(when[place], "D")
        table = table_of(log[log["date"] < then + pd.Timedelta("1D")], kind, then)
        told = posterior.predict(table).set_index("customer_id")["p_alive"]
        if who in told.index:
            assert drawn[place] == pytest.approx(told[who], rel=1e-5)
    assert len(axes.lines[1].get_xdata()) == now.to_pandas()["frequency"].max() + 1
    assert len(axes.collections) == (kind != "mode")


def test_a_history_says_whom_it_needs(log: pd.DataFrame, rfm: RfmTable) -> None:
    posterior = given(20)
    with pytest.raises(SchemaError, match="say which one is meant, as in customer_id="):
        plots.plot_alive_history(posterior, rfm, log=log)
    with pytest.raises(SchemaError, match="customer_id=-1 is not a customer of the table"):
        plots.plot_alive_history(posterior, rfm, log=log, customer_id=-1)
    with pytest.raises(SchemaError, match="plot_alive_history takes a posterior"):
        plots.plot_alive_history(posterior, rfm.to_pandas(), log=log, customer_id=1)
    first = pd.DataFrame({"who": ["a"], "on": ["2021-03-01"]})
    fresh = clv.rfm_summary(first, customer_id_col="who", datetime_col="on")
    with pytest.raises(DomainError, match="came in the last period"):
        plots.plot_alive_history(posterior, fresh, log=first)


# --- timelines, and times between purchases ---


def test_timelines_are_the_dates_of_the_log(log: pd.DataFrame, rfm: RfmTable) -> None:
    chosen = [repeat_buyer(rfm), 1]
    axes = plots.plot_timelines(given(20), rfm, log=log, customers=chosen)
    days = log["date"].dt.floor("D")
    for row, who in enumerate(chosen):
        wanted = np.unique(days[log["customer_id"] == who])
        points = [line for line in axes.lines if line.get_linestyle() == "None"]
        drawn = np.concatenate(
            [line.get_xdata(orig=True)[line.get_ydata() == row] for line in points]
        )
        np.testing.assert_array_equal(np.sort(drawn), wanted.astype("datetime64[D]"))
        seen = points[0].get_xdata(orig=True)[points[0].get_ydata() == row]
        assert len(seen) == (wanted <= np.datetime64(END)).sum()
    assert [text.get_text() for text in axes.get_yticklabels()] == [str(one) for one in chosen]
    said = given(20).predict(rfm).set_index("customer_id").loc[chosen[0], "p_alive"]
    assert f"P(alive) {100 * said:.0f} %" in [text.get_text() for text in axes.texts]


def test_timelines_spread_over_those_who_came_back(log: pd.DataFrame, rfm: RfmTable) -> None:
    axes = plots.plot_timelines(rfm, log=log, customers=5)
    table = rfm.to_pandas().set_index("customer_id")["frequency"]
    names = [int(text.get_text()) for text in axes.get_yticklabels()]
    bought = table.loc[names].to_numpy()
    assert len(names) == 5
    assert bought.min() > 0
    assert np.all(np.diff(bought) >= 0)


def test_times_between_are_the_logs(log: pd.DataFrame, rfm: RfmTable) -> None:
    known = log[log["date"] < pd.Timestamp(END) + pd.Timedelta("1D")]
    days = known.assign(day=known["date"].dt.floor("D")).drop_duplicates(["customer_id", "day"])
    gaps = days.sort_values("day").groupby("customer_id")["day"].diff().dropna().dt.days
    axes = plots.plot_times_between(given(60), rfm, log=log)
    bars = axes.patches[0].get_data()
    np.testing.assert_array_equal(bars.values, np.histogram(gaps, bars.edges)[0])
    assert axes.lines[1].get_xdata()[0] == gaps.median()
    expected = axes.lines[0].get_ydata().sum()  # the log was simulated by these parameters
    assert expected == pytest.approx(bars.values.sum(), rel=0.25)
    weeks = plots.plot_times_between(table_of(log, "weeks"), log=log).patches[0].get_data()
    np.testing.assert_allclose(weeks.edges * 7, bars.edges, rtol=1e-5)
    np.testing.assert_array_equal(weeks.values, bars.values)


def test_expected_times_are_of_one_model_alone(log: pd.DataFrame, rfm: RfmTable) -> None:
    with pytest.raises(DomainError, match="one model without a clock or covariates"):
        plots.plot_times_between(posterior_of("clock"), rfm, log=log)


# --- what is ahead of one customer ---


def test_chances_of_a_value_are_those_of_its_distribution(rfm: RfmTable) -> None:
    posterior = given(60)
    who = posterior.predict(rfm).set_index("customer_id")["clv"].idxmax()
    axes = plots.plot_customer_value(posterior, rfm, customer_id=who, margin=0.3, unit="$")
    one = rfm.to_pandas().set_index("customer_id").loc[[who]].reset_index()
    found = clv.value_distribution(posterior, one, margin=0.3, discount_rate=0.1)
    steps = axes.patches[-1].get_data()
    below = [float(found.cdf([edge])[0]) for edge in steps.edges[[0, 5, -1]]]
    nothing = axes.patches[0].get_height()
    assert nothing == pytest.approx(below[0], abs=1e-9)
    assert nothing + steps.values[:5].sum() == pytest.approx(below[1], abs=1e-5)
    assert nothing + steps.values.sum() == pytest.approx(below[2], abs=1e-5)
    assert axes.lines[0].get_xdata()[0] == pytest.approx(float(found.mean[0]), rel=1e-9)
    np.testing.assert_allclose(axes.lines[1].get_xdata(), np.concatenate(found.interval(0.9)))


@pytest.mark.parametrize("kind", ["days", "weeks", "clock", "paretonbd"])
def test_chances_of_the_next_purchase_are_those_of_the_verb(log: pd.DataFrame, kind: str) -> None:
    posterior, now = posterior_of(kind), table_of(log, kind)
    who = repeat_buyer(now)
    axes = plots.plot_next_purchase(posterior, now, customer_id=who, horizon="200D")
    curve, never = axes.lines[0], axes.lines[1]
    told = clv.next_purchase(posterior, now, within=["200D"], interval=0.8).customers
    told = told.set_index("customer_id").loc[who]
    assert curve.get_ydata()[-1] == pytest.approx(told["p_within_200D"], rel=1e-5)
    assert never.get_ydata()[0] == pytest.approx(1 - told["p_never"])
    assert curve.get_xdata(orig=True)[-1] == np.datetime64("2021-10-17")
    assert axes.lines[2].get_xdata(orig=True)[0] == told["next_lower"].to_datetime64()


def test_a_frame_of_one_customer_needs_no_name_and_no_dates() -> None:
    one = pd.DataFrame({"customer_id": ["a"], "frequency": [3], "recency": [8.0], "T": [20.0]})
    axes = plots.plot_next_purchase(posterior_of("weeks"), one)
    assert axes.get_xlabel() == "time from now (weeks)"
    with pytest.raises(DomainError, match="finite"):
        plots.plot_next_purchase(given(20), one, horizon=None, time_unit="D")


# --- new customers, and how they differ ---


def test_payback_is_by_the_verbs() -> None:
    posterior = given(60)
    terms: dict[str, Any] = {"margin": 0.4, "discount_rate": 0.05}
    axes = plots.plot_payback(posterior, 20.0, months=12, unit="$", **terms)
    values = [
        posterior.new_customer_value(f"{m}M" if m else "0D", **terms).mean for m in (0, 7, 12)
    ]
    np.testing.assert_allclose(axes.lines[0].get_ydata()[[0, 7, 12]], values)
    days = clv.payback_period(posterior, 20.0, within="12M", **terms).days
    (month,), (cost,) = axes.lines[2].get_data()
    assert month * 30.4375 == pytest.approx(days)
    assert cost == 20.0
    assert axes.get_ylabel().startswith("profit")
    alone = plots.plot_payback(mode(), months=3)
    assert len(alone.lines) == 1
    assert alone.get_ylabel().startswith("revenue")
    dear = plots.plot_payback(posterior, 1e6, months=3)
    assert len(dear.lines) == 2


@pytest.mark.parametrize("kind", ["days", "weeks", "paretonbd"])
def test_shares_of_customers_are_those_of_their_distributions(kind: str) -> None:
    posterior = posterior_of(kind)
    rates, leaving = plots.plot_heterogeneity(posterior)
    draws = getattr(posterior, "purchases", posterior).draws()
    year = 365.25 / posterior.scale.days
    edges = np.array([0, 0.25, 0.5, 1, 2, 4, 8, 16, np.inf])
    gamma = stats.gamma(draws["r"][:, None], scale=year / draws["alpha"][:, None])
    wanted = np.diff(gamma.cdf(edges), axis=1).mean(axis=0)
    bars = [bar.get_height() for bar in rates.containers[0]]
    np.testing.assert_allclose(bars, wanted, atol=0.012)  # 160,000 customers, in some 40 draws
    if kind == "paretonbd":
        mu = stats.gamma(draws["s"][:, None], scale=1 / draws["beta"][:, None])
        with np.errstate(divide="ignore"):
            cut = -np.log1p(-np.arange(11) / 10) / year
        wanted = np.diff(mu.cdf(cut), axis=1).mean(axis=0)
        assert leaving.get_xlabel() == "chance of leaving within a year"
    else:
        beta = stats.beta(draws["a"][:, None], draws["b"][:, None])
        wanted = np.diff(beta.cdf(np.arange(11) / 10), axis=1).mean(axis=0)
    bars = [bar.get_height() for bar in leaving.containers[0]]
    np.testing.assert_allclose(bars, wanted, atol=0.012)


def test_a_map_of_cohorts_is_their_table(log: pd.DataFrame, rfm: RfmTable) -> None:
    found = clv.cohorts(given(30), rfm, log=log, cohort="Q", months=12, paths=30, draws=30)
    rows = found.table[found.table["cohort"] == found.table["cohort"].iloc[0]]
    axes = plots.plot_cohort_heatmap(found, unit="$")
    drawn = axes.collections[0].get_array()
    assert drawn.shape == (found.table["cohort"].nunique() - 1, 12)
    np.testing.assert_allclose(drawn[0], np.diff(rows["value"]))
    sums = plots.plot_cohort_heatmap(found, total="purchases", cumulative=True)
    np.testing.assert_allclose(sums.collections[0].get_array()[0], rows["purchases"])
    edge = sums.lines[0].get_xdata()[0] + 0.5
    assert edge == (rows["known"] == 1).sum()


def test_purchases_over_time_are_of_each_stratum(log: pd.DataFrame) -> None:
    """Which the table's own columns say; what is expected adds up to what each expects."""
    now, posterior = table_of(log, "covariates"), posterior_of("covariates")
    axes = plots.plot_purchases_over_time(posterior, now, log=log, cumulative=True)
    newcomers = now.to_pandas().assign(frequency=0, recency=0.0)
    expected = sum(
        posterior.predict(
            clv.RfmTable.from_frame(rows.assign(T=0.0, monetary_value=0.0), time_unit="D"),
            horizon=float(age),
            discount_rate=0.0,
        )["expected_purchases"].sum()
        for age, rows in newcomers.groupby("T")
        if age > 0
    )
    assert axes.lines[0].get_ydata()[-1] == pytest.approx(expected, rel=0.01)


# --- bases that have little ---


def test_a_base_of_one_time_buyers() -> None:
    log = pd.DataFrame({"who": list("abc"), "on": ["2021-01-01", "2021-02-01", "2021-03-01"]})
    names = {"customer_id_col": "who", "datetime_col": "on"}
    once = clv.rfm_summary(log, **names, observation_period_end="2021-06-30")
    assert plots.plot_timelines(given(20), once, log=log).has_data()
    assert plots.plot_alive_history(given(20), once, log=log, customer_id="a").has_data()
    assert plots.plot_next_purchase(given(20), once, customer_id="b").has_data()
    with pytest.raises(DomainError, match="No customer has bought twice"):
        plots.plot_times_between(once, log=log)
    with pytest.raises(SchemaError, match="monetary_value"):
        plots.plot_customer_value(given(20), once, customer_id="a")


def test_values_of_a_fixed_basket_need_no_amounts(log: pd.DataFrame) -> None:
    now = table_of(log, "paretonbd")
    posterior = CLVPosterior(posterior_of("paretonbd"), 25.0)
    assert plots.plot_customer_value(posterior, now, customer_id=1).has_data()
    assert plots.plot_payback(posterior, 30.0).has_data()
