"""Models with covariates in what is made of posteriors: reports, backtests, pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.diagnostics.data import _same_base, _unknown
from clvmodels.diagnostics.effect_parts import effect_data, new_customer_tables
from clvmodels.diagnostics.record import Table
from clvmodels.diagnostics.study import Question, prepare
from clvmodels.diagnostics.values import _segments
from clvmodels.evaluation.checks import covariates_check
from clvmodels.evaluation.tracking import expected_of_new
from clvmodels.formulas.strata import coded
from clvmodels.purchases.design import Design, Effect, Factor, mix_of
from clvmodels.rfm.histories import purchase_histories
from clvmodels.simulate import simulate_log
from tests.covariates import (
    LEVELS,
    base_of,
    design_of_channels,
    nothing,
    of_level,
    plain_posterior,
    something,
    table_of,
    with_effects,
)

COLUMNS = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
MODELS = ("bgnbd", "mbgnbd", "mbgcnbd2", "paretonbd")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return base_of()


@pytest.mark.parametrize("model", MODELS)
def test_weeks_expected_of_new_customers_are_those_of_their_levels(
    frame: pd.DataFrame, model: str
) -> None:
    plain, design = plain_posterior(model), design_of_channels(frame)
    posterior = with_effects(plain, design, something)
    channel = frame["channel"].to_numpy()
    strata = design.strata({"channel": design.factors[0].codes(channel.astype(object))})
    kind = coded(np.zeros(len(frame)), strata)
    first, edges = -frame["T"].to_numpy(), np.arange(-280.0, 1.0, 7.0)
    found = expected_of_new(posterior.formulas, posterior.draws(), first, edges, kind)
    levels = {level: of_level(posterior, level) for level in LEVELS}
    wanted = sum(
        expected_of_new(one.formulas, one.draws(), first[channel == level], edges)
        for level, one in levels.items()
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)
    flat = with_effects(plain, design, nothing)
    found = expected_of_new(flat.formulas, flat.draws(), first, edges, kind)
    wanted = expected_of_new(plain.formulas, plain.draws(), first, edges)
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("model", ["mbgnbd", "paretonbd"])
def test_a_report_shows_what_kind_of_customer_buys_more(frame: pd.DataFrame, model: str) -> None:
    posterior = with_effects(plain_posterior(model), design_of_channels(frame), something)
    report = clv.report(posterior, table_of(frame))
    section = next(one for one in report.record.sections if one.key == "fit")
    figure = next(one for one in section.figures if one.key == "effects")
    bought = posterior.effects().query("on == 'purchases' and level != '(other)'")
    wanted = bought.sort_values("times", ascending=False)["level"].tolist()
    assert sorted(wanted) == list(LEVELS)
    assert figure.data["levels"] == wanted
    assert figure.data["left"] == 0
    assert [one["name"] for one in figure.data["series"]] == [
        "how often they buy",
        "how readily they leave",
    ]
    assert "rate of leaving" in figure.caption if model == "paretonbd" else "odds of leaving"
    table = next(one for one in section.tables if one.key == "effects")
    effects = posterior.effects()
    known = effects[effects["level"] != "(other)"]
    assert [row[3] for row in table.rows] == pytest.approx(known["times"].tolist(), rel=1e-12)
    assert sum(row[2] for row in table.rows[: len(LEVELS)]) == len(frame)


def test_a_report_judges_the_chains_of_the_effects(frame: pd.DataFrame) -> None:
    from clvmodels.diagnostics.chains import all_chains_of, effect_chains_of

    posterior = with_effects(plain_posterior(), design_of_channels(frame), something)
    effects = effect_chains_of(posterior)
    draws = posterior.draws()
    assert set(effects) == set(draws) - set(all_chains_of(posterior))
    for name, values in effects.items():
        np.testing.assert_array_equal(values.reshape(-1), draws[name])
    assert effect_chains_of(plain_posterior()) == {}


@pytest.mark.parametrize(
    ("metric", "said"),
    [("crps", "The covariates add nothing"), ("mae", "The covariates make forecasts better.")],
)
def test_a_point_is_not_compared_with_a_distribution(metric: str, said: str) -> None:
    """The model without covariates has no spread, by which it would always lose."""
    rows = [
        {
            "target": "purchases",
            "metric": name,
            "forecast": "without_covariates",
            "model_is": "unclear",
        }
        for name in ("mae", "rmse", "crps", "spearman")
    ]
    metrics = pd.DataFrame(rows)
    metrics.loc[metrics["metric"] == metric, "model_is"] = "better"
    (check,) = covariates_check(metrics)
    assert check.advice.startswith(said)
    assert "Of 3 comparisons" in check.advice


@pytest.mark.slow
def test_a_backtest_judges_a_model_with_covariates() -> None:
    parts = []
    truth = {"r": 0.8, "alpha": 30.0, "a": 0.5, "b": 2.0, "p": 6.0, "q": 4.0, "v": 15.0}
    for i, (level, faster) in enumerate({"ads": 0.5, "shop": 2.0}.items()):
        own = truth | {"alpha": truth["alpha"] / faster}
        one = simulate_log(1000, **own, T=(20.0, 250.0), seed=i, observation_end="2024-12-31")
        parts.append(one.assign(channel=level, customer_id=level + one["customer_id"].astype(str)))
    log = pd.concat(parts, ignore_index=True)
    model = clv.CLVModel(clv.BetaGeoModel(purchase_covariates=["channel"]))
    how = {"method": "laplace", "random_seed": 1, "progressbar": False}
    found = clv.backtest(log, **COLUMNS, train_period_end="2024-08-31", model=model, **how)
    train = found.tracking[found.tracking["part"] == "train"]
    inside = train["actual"].between(train["lower"], train["upper"])
    assert inside.mean() > 0.7
    plain = clv.backtest(log, **COLUMNS, train_period_end="2024-08-31", model="bgnbd", **how)
    errors = found.metrics.query("target == 'purchases' and metric == 'mae'")
    errors = errors.set_index("forecast")["value"]
    alone = plain.metrics.query("target == 'purchases' and metric == 'mae' and forecast == 'model'")
    assert errors["without_covariates"] == pytest.approx(alone["value"].iloc[0], rel=1e-9)
    assert errors["model"] < errors["without_covariates"]
    check = next(one for one in found.checks if "without covariates" in one.name)
    assert check.advice.startswith("The covariates make forecasts better.")
    assert not [one for one in plain.checks if "without covariates" in one.name]


def test_small_segments_of_a_report_keep_their_levels(frame: pd.DataFrame) -> None:
    """Segments are gathered under one name, and the customers are valued by their own levels."""
    base = table_of(frame.assign(shop=[f"s{i % 40:02d}" for i in range(len(frame))]))
    shops = sorted(set(base.to_pandas()["shop"]))
    codes = Factor("shop", tuple(shops), tuple(6 for _ in shops))
    effect = Effect("purchases", "shop", "pooled", 1.0, codes.levels)
    mix = mix_of(np.arange(1, 41).repeat(6))
    purchases = with_effects(plain_posterior(), Design((codes,), (effect,), mix), something)
    posterior = clv.CLVPosterior(purchases, 25.0)
    study = prepare(posterior, base, Question())
    (table,) = (
        one for one in _segments(study) if isinstance(one, Table) and one.key == "segment-1"
    )
    values = {row[0]: row[4] for row in table.rows}
    assert len(values) == 22  # twenty, the others, and the whole
    assert effect_data([purchases], 0.9)["left"] == 28
    whole = values.pop("(whole)")
    assert sum(values.values()) == pytest.approx(whole, rel=1e-9)
    assert whole == pytest.approx(study.scores["clv"].sum(), rel=1e-9)


def test_a_base_with_covariates_is_known_again(frame: pd.DataFrame) -> None:
    posterior = with_effects(plain_posterior(), design_of_channels(frame), something)
    known = purchase_histories(table_of(frame)).fingerprint()
    posterior = replace(posterior, metadata=replace(posterior.metadata, fingerprint=known))
    for rows, same in ((frame, True), (frame.iloc[1:], False)):
        check = _same_base(prepare(posterior, table_of(rows), Question()))
        assert (check.status == "pass") is same


def test_totals_count_customers_of_unknown_levels(frame: pd.DataFrame) -> None:
    """Everywhere, by segment and in the whole; nowhere where there are none."""
    purchases = with_effects(plain_posterior(), design_of_channels(frame), something)
    posterior = clv.CLVPosterior(purchases, 25.0)
    moved = frame.assign(
        channel=frame["channel"].where(np.arange(len(frame)) % 6 > 0, "radio"),
        half=["a", "b"] * (len(frame) // 2),
    )

    def everywhere() -> tuple[Any, ...]:
        base = table_of(moved)
        return (
            clv.segment_report(posterior, base, by="half"),
            clv.portfolio(posterior, base, by="half", paths=30, draws=10),
            clv.tier_report(posterior, base),
            next(_unknown(prepare(posterior, base, Question()))),
        )

    with pytest.warns(UserWarning, match="40 of 240 customers have values of 'channel'"):
        segments, totals, tiers, check = everywhere()
    assert segments["unknown_levels"].tolist() == [40, 0, 40]
    assert totals.table["unknown_levels"].tolist() == [40, 0, 40]
    assert tiers["unknown_levels"].iloc[-1] == 40
    assert check.status == "warn"
    assert check.sentence.startswith("16.7 % of the customers have levels of covariates that")
    known = table_of(frame.assign(half=moved["half"]))
    assert "unknown_levels" not in clv.segment_report(posterior, known, by="half")
    assert next(_unknown(prepare(posterior, known, Question()))).status == "pass"


def test_segments_are_held_against_one_draw_by_draw(frame: pd.DataFrame) -> None:
    purchases = with_effects(plain_posterior(), design_of_channels(frame), something)
    posterior = clv.CLVPosterior(purchases, 25.0)
    found = clv.segment_report(posterior, table_of(frame), by="channel", against="shop")
    found = found.set_index("channel")
    assert found.loc["shop", ["more", "more_lower", "more_upper"]].tolist() == [0.0, 0.0, 0.0]
    each = found["clv_per_customer"]
    np.testing.assert_allclose(found["more"], each - each["shop"])
    assert (found["more_lower"] <= found["more_upper"]).all()
    clear = found["more_lower"] > 0
    assert (found["chance_of_more"][clear] > 0.94).all()
    # both move with r and alpha: the difference is known better than its parts seem to say
    parts = found["clv_per_customer_upper"] - found["clv_per_customer_lower"]
    width = (found["more_upper"] - found["more_lower"])["web"]
    assert width < parts["web"] + parts["shop"]
    with pytest.raises(clv.SchemaError, match="against names 'radio', which is not a segment"):
        clv.segment_report(posterior, table_of(frame), by="channel", against="radio")


def test_a_report_values_new_customers_of_each_level(frame: pd.DataFrame) -> None:
    purchases = with_effects(plain_posterior(), design_of_channels(frame), something)
    posterior = clv.CLVPosterior(purchases, 25.0)
    study = prepare(posterior, table_of(frame), Question(margin=0.4))
    (table,) = new_customer_tables(study)
    by = clv.acquisition_report(posterior, table_of(frame), by="channel", margin=0.4)
    wanted = by.set_index("channel").drop("(whole)").sort_values("value", ascending=False)
    assert [row[0] for row in table.rows] == list(wanted.index)
    figures = wanted[["customers", "value", "value_lower", "value_upper"]].to_numpy()
    np.testing.assert_allclose([row[1:5] for row in table.rows], figures, rtol=1e-12)
    assert table.caption.startswith("Profit, at a margin of 40 % in 365 days")
