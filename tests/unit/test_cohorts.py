"""Cohort curves: what has happened is the log's, what comes has a fan, costs are paid back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.economics.labels import Segments
from clvmodels.errors import DomainError, SchemaError
from clvmodels.forecast.calendar import Calendar
from clvmodels.plots import plot_cohorts
from clvmodels.plots.fit import draw_cohorts
from clvmodels.posterior.finite import valued
from clvmodels.posterior.scorable import prepared_for
from clvmodels.predictive.by_age import ByAge
from clvmodels.predictive.calendars import levels_of_spend
from clvmodels.simulate import simulate_log
from tests.unit.test_forecast_total import posterior_of

COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
PARAMETERS = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 2.5, "p": 6.0, "q": 4.0, "v": 15.0}
LOG = simulate_log(300, **PARAMETERS, T=(20.0, 300.0), seed=5)
RFM = clv.rfm_summary(LOG, **COLUMNS)
POSTERIOR = posterior_of()
QUICK: dict[str, Any] = {"log": LOG, "months": 12, "paths": 60, "draws": 60, "calendar": "none"}


def found(rfm: Any = RFM, **options: Any) -> clv.predictive.CohortCurves:
    return clv.cohorts(POSTERIOR, rfm, **{**QUICK, **options})


def whole(curves: Any) -> pd.DataFrame:
    table = curves.table
    return table[table[curves.by[0]] == "(whole)"].reset_index(drop=True)


# --- what has happened ---


def test_what_is_known_is_counted_in_the_log() -> None:
    table = found(margin=0.5).table
    daily = LOG.assign(day=pd.to_datetime(LOG["date"]).dt.floor("D"))
    first = daily.groupby("customer_id")["day"].transform("min")
    daily["age"] = (daily["day"] - first).dt.days
    daily["cohort"] = first.dt.strftime("%Y-%m")
    known = table[(table["known"] == 1.0) & (table["cohort"] != "(whole)")]
    assert len(known) > 20
    for row in known.to_dict("records"):
        own = daily[daily["cohort"] == row["cohort"]]
        until = own[own["age"] <= row["month"] * 30.4375]
        value = 0.5 * until["amount"].sum() / row["customers"]
        days = until.drop_duplicates(["customer_id", "day"])
        assert row["customers"] == own["customer_id"].nunique()
        fan = [row[f"value{end}"] for end in ("", "_lower", "_upper")]
        assert fan == pytest.approx([value] * 3)
        assert row["purchases"] == pytest.approx(len(days) / row["customers"])


def test_the_whole_is_the_mean_of_its_cohorts_and_fans_grow() -> None:
    table = found().table
    last = table[table["month"] == 12]
    parts, all_of_them = last.iloc[:-1], last.iloc[-1]
    mean = np.average(parts["value"], weights=parts["customers"])
    assert all_of_them["value"] == pytest.approx(mean)
    assert all_of_them["customers"] == len(RFM)
    one = table[table["cohort"] == parts["cohort"].iloc[-1]]
    width = (one["value_upper"] - one["value_lower"]).to_numpy()
    assert width[0] == 0.0
    assert width[-1] > width[3] > 0.0
    assert (one["value"].diff().dropna() > 0).all()


# --- what comes ---


def test_what_comes_is_the_total_of_the_horizon() -> None:
    """Of customers of one age the months of age are those of the horizon."""
    same = clv.RfmTable.from_pandas(
        RFM.to_pandas().assign(T=300.0), observation_end=RFM.observation_end
    )
    ahead = 365.25 - 300.0
    total = clv.forecast_total(
        POSTERIOR, same, horizon=ahead, calendar="none", discount_rate=0.0, paths=6000, draws=60
    ).table.set_index("total")
    given = prepared_for(POSTERIOR, same, horizon=ahead, discount_rate=0.0, draws=60)
    group = np.zeros(len(same), dtype=np.int64)
    known = valued(given.draws, given.columns.x)
    ends = np.array([0.0, 300.0, 320.0, 365.25])
    one = Segments(("cohort",), (("all",),), group)
    run = ByAge(given, one, np.full(300, 300.0), ends, 2, known)
    sums = run.future(Calendar(), 6000, 0, 1.0)[0].sum(axis=0)
    for i, name in enumerate(("purchases", "value")):
        error = 5 * sums[i].std() / np.sqrt(6000)
        assert sums[i].mean() == pytest.approx(total.loc[name, "mean"], abs=error)
    assert run.future(Calendar(), 60, 0, 1.0)[0, :2].sum() == 0.0  # nobody is younger


def test_the_calendar_widens_the_fan_and_threads_change_nothing() -> None:
    sure, open_ = (whole(found(calendar=one)).iloc[-1] for one in ("none", 0.3))
    width = [one["value_upper"] - one["value_lower"] for one in (sure, open_)]
    assert width[1] > 1.5 * width[0]
    pd.testing.assert_frame_equal(found(threads=1).table, found(threads=2).table)


def test_what_is_spent_moves_with_the_calendar_unless_it_was_given() -> None:
    def doubt(posterior: Any) -> tuple[float, float]:
        last = whole(clv.cohorts(posterior, RFM, **{**QUICK, "calendar": 0.3, "paths": 400}))
        one = last.iloc[-1]
        so_far = last[last["known"] > 0.99].iloc[-1]
        widths = (
            (one[f"{name}_upper"] - one[f"{name}_lower"]) / (one[name] - so_far[name])
            for name in ("purchases", "value")
        )
        return next(widths), next(widths)

    bought, spent = doubt(POSTERIOR)
    assert spent > 1.1 * bought
    bought, spent = doubt(clv.CLVPosterior(POSTERIOR.purchases, 25.0))
    assert spent == pytest.approx(bought, rel=1e-9)


def test_levels_of_spend_promise_nothing_and_have_their_share_of_the_doubt() -> None:
    levels = levels_of_spend(Calendar(0.2), 2_000)
    assert levels.mean() == pytest.approx(1.0, rel=1e-12)
    assert np.log(levels).std() == pytest.approx(0.6 * 0.2, rel=0.08)
    assert (levels_of_spend(Calendar(), 5) == 1.0).all()


def test_weeks_are_days() -> None:
    weeks = clv.rfm_summary(LOG, **COLUMNS, time_scaler=7)
    with pytest.raises(clv.TimeUnitError):
        found(weeks)
    own = clv.BetaGeoPosterior.from_draws(
        r=0.6, alpha=30.0 / 7, a=0.8, b=2.5, time_unit="D", time_scaler=7
    )
    posteriors = own, clv.BetaGeoPosterior.from_draws(r=0.6, alpha=30.0, a=0.8, b=2.5)
    tables = [
        clv.cohorts(one, rfm, **QUICK).table
        for one, rfm in zip(posteriors, (weeks, RFM), strict=True)
    ]
    assert "value" not in tables[0]
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)


# --- segments and costs ---


def test_segments_are_given_by_id_and_costs_by_segment() -> None:
    ids = RFM.to_pandas()["customer_id"]
    channel = pd.Series(["web" if i % 2 else "shop" for i in ids], index=ids, name="channel")
    one = found(by=channel, cohort="Q", cac={"web": 30.0, "shop": 10.0})
    assert one.by == ("cohort", "channel")
    assert set(one.table["channel"]) == {"web", "shop", "(whole)"}
    assert one.payback is not None
    assert set(one.payback["cac"].iloc[:-1]) == {30.0, 10.0}
    text = dict(zip(map(str, ids), channel, strict=True))
    alike = found(by=text, cohort="Q").table.rename(columns={"segment": "channel"})
    pd.testing.assert_frame_equal(one.table, alike)
    with pytest.raises(SchemaError, match="The cac names 'post', which is not a cohort"):
        found(by=channel, cac={"post": 3.0})
    with pytest.raises(SchemaError, match="None of the ids"):
        found(by={"nobody": "x"})
    with pytest.raises(SchemaError, match="twice"):
        found(by=pd.Series(["a", "b"], index=[1, 1]))


def test_payback_is_where_the_curve_reaches_the_cost() -> None:
    free, dear = (found(cohort=None, cac=cac).payback for cac in (0.0, 1e9))
    assert free is not None
    assert dear is not None
    assert free.loc[0, ["month", "chance"]].tolist() == [0, 1]
    assert dear.loc[0, ["month", "month_lower", "chance"]].tolist() == [np.inf, np.inf, 0]
    curve = whole(found(cohort=None))
    cost = float(curve["value"].iloc[2]) + 1e-9
    paid = found(cohort=None, cac=cost).payback
    assert paid is not None
    assert paid.loc[0, "month_lower"] <= 3 <= paid.loc[0, "month_upper"]


# --- refusals, one customer, pictures ---


def test_another_log_and_too_much_are_refused() -> None:
    with pytest.raises(SchemaError, match="other purchases than the table"):
        found(log=LOG.iloc[5:])
    with pytest.raises(SchemaError, match="how its log was read"):
        found(clv.RfmTable.from_pandas(RFM.to_pandas(), observation_end=RFM.observation_end))
    with pytest.raises(DomainError, match="too many for the memory"):
        found(paths=10**8)
    with pytest.raises(SchemaError, match="held against values"):
        clv.cohorts(POSTERIOR.purchases, RFM, cac=3.0, **QUICK)


def test_one_customer_has_a_curve() -> None:
    one = LOG[LOG["customer_id"] == LOG["customer_id"].iloc[0]]
    curves = found(clv.rfm_summary(one, **COLUMNS), log=one)
    assert curves.table["customers"].tolist() == [1] * 13
    assert plot_cohorts(curves).get_xlabel() == "months since the first order"


def test_curves_are_drawn_with_their_cost() -> None:
    curves = found(cac=20.0)
    axes = plot_cohorts(curves, most=3, unit="$")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == 4
    assert labels[-1] == "CAC $20"
    assert "per customer" in axes.get_ylabel()
    assert "purchases" in plot_cohorts(curves, total="purchases").get_ylabel()
    with pytest.raises(SchemaError, match="total="):
        plot_cohorts(curves, total="money")


def test_no_line_leads_to_the_share_of_a_single_customer() -> None:
    axes = draw_cohorts(["a", "b", "c"], [50, 1, 60], [0.5, 1.0, 0.4])
    line, points = axes.figure.axes[1].lines
    np.testing.assert_array_equal(line.get_ydata(), [0.5, np.nan, 0.4])
    assert points.get_ydata().tolist() == [1.0]
