"""Customers at hand and to come: sums of the model's own figures, and doubt that holds."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli.entry import main
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import total_value
from clvmodels.predictive.newcomers import extrapolated
from tests.readable import too_long
from tests.unit.test_cohorts import COLUMNS, LOG, POSTERIOR

MONTH = 30.4375
RFM = clv.rfm_summary(LOG, margin=0.4, **COLUMNS)
POINT = clv.CLVPosterior(
    clv.BetaGeoPosterior.from_draws(r=0.6, alpha=30.0, a=0.8, b=2.5),
    clv.GammaGammaPosterior.from_draws(p=6.0, q=4.0, v=15.0),
)
PLAIN: dict[str, Any] = {"calendar": "none", "paths": 60, "draws": 60, "horizon": "12M"}


def valued(posterior: Any = POSTERIOR, rfm: Any = RFM, **options: Any) -> Any:
    return clv.customer_valuation(posterior, rfm, **{**PLAIN, "acquisitions": 50.0, **options})


@pytest.mark.parametrize("rate", [0.0, 0.1])
@pytest.mark.parametrize("discounting", ["continuous", "monthly"])
def test_those_to_come_are_worth_what_new_customers_are(rate: float, discounting: Any) -> None:
    counts = [30.0, 0.0, 80.0]
    how: dict[str, Any] = {"discount_rate": rate, "discounting": discounting}
    found = valued(POINT, acquisitions=counts, cac=7.0, **how)
    came = cost = 0.0
    for month, count in enumerate(counts):
        day = (month + 0.5) * MONTH
        now = 1.1 ** (-day / 365.25) if rate else 1.0
        each = POINT.new_customer_value(12 * MONTH - day, margin=0.4, **how).mean
        assert found.months["value_each"][month] == pytest.approx(each, rel=1e-9)
        came += count * each * now
        cost += count * 7.0 * now
    table = found.table.set_index("part")["mean"]
    assert table["customers to come"] == pytest.approx(came, rel=1e-9)
    assert table["cost of acquiring them"] == pytest.approx(-cost, rel=1e-12)
    hand = total_value(POINT, RFM, horizon="12M", **how).mean
    assert table["customers at hand"] == pytest.approx(hand, rel=1e-9)
    assert table["all together"] == pytest.approx(hand + came - cost, rel=1e-9)
    assert found.table["customers"].tolist() == pytest.approx([300, 110, 110, 410])


def test_those_to_come_against_simulated_customers() -> None:
    """A customer won in mid-month, followed to the horizon: mean of many, to 4 standard errors."""
    ahead = 350.0
    log = clv.simulate.simulate_log(
        20_000, r=0.6, alpha=30.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0, T=(ahead, ahead), seed=3
    )
    each = 0.4 * log.groupby("customer_id")["amount"].sum()
    found = valued(POINT, discount_rate=0.0, horizon=ahead + MONTH / 2).months["value_each"][0]
    assert abs(found - each.mean()) < 4 * each.std() / math.sqrt(len(each)) + 0.01 * found


def test_weeks_are_days_and_the_parts_add_up_on_every_path() -> None:
    found = valued(cac=5.0, calendar=0.2)
    assert np.allclose(found.samples[3], found.samples[:3].sum(axis=0))
    table = found.table.set_index("part")
    assert (table["lower"] < table["mean"]).iloc[[0, 1, 3]].all()
    assert (table["mean"] < table["upper"]).iloc[[0, 1, 3]].all()
    weeks = clv.rfm_summary(LOG, margin=0.4, time_scaler=7, **COLUMNS)
    posterior = clv.CLVPosterior(
        clv.BetaGeoPosterior.from_draws(
            r=0.6, alpha=30.0 / 7, a=0.8, b=2.5, time_unit="D", time_scaler=7
        ),
        POINT.spend,
    )
    one, other = (valued(*pair, horizon="365D") for pair in ((POINT, RFM), (posterior, weeks)))
    assert other.table["mean"].tolist() == pytest.approx(one.table["mean"].tolist(), rel=1e-9)


def test_the_calendar_widens_both_parts() -> None:
    narrow, wide = (valued(calendar=doubt, paths=400).table for doubt in ("none", 0.3))
    assert (wide["sd"] > 1.5 * narrow["sd"])[:2].all()


def test_baskets_of_one_value_and_one_customer() -> None:
    rfm = clv.RfmTable.from_pandas(
        pd.DataFrame({"customer_id": [1], "frequency": [2], "recency": [20.0], "T": [90.0]}),
        time_unit="D",
    )
    found = valued(clv.CLVPosterior(POINT.purchases, 25.0), rfm, acquisitions=0.0)
    assert found.table["mean"][1] == 0.0
    assert found.table["mean"][0] > 0.0


# --- how many come ---


def ages_of(counts: Any, seed: int) -> np.ndarray:
    """Days since first orders, of counts by month, the oldest first."""
    rng = np.random.default_rng(seed)
    back = np.repeat(np.arange(len(counts))[::-1], counts)
    return (back + rng.random(len(back))) * MONTH


def test_intervals_of_extrapolated_numbers_hold() -> None:
    rng, held, widths = np.random.default_rng(7), [], []
    for seed in range(200):
        level = np.log(200.0) + np.cumsum(rng.normal(0.0, 0.06, 36))
        counts = rng.poisson(np.exp(level))
        ages = np.append(ages_of(counts[:24], seed), 24.5 * MONTH)
        total = extrapolated(ages, 12, 400, seed).sum(axis=0)
        lower, upper = np.quantile(total, [0.05, 0.95])
        held.append(lower <= counts[24:].sum() <= upper)
        widths.append((upper - lower) / counts[24:].sum())
    assert 0.8 < np.mean(held) < 0.99, "of 90 % intervals; binomial limits of 200 and some more"
    assert np.median(widths) < 1.5


@pytest.mark.parametrize("known", [7, 12, 24])
@pytest.mark.parametrize(("drift", "season"), [(-0.06, 0.0), (0.05, 0.25)])
def test_trends_and_seasons_go_on_with_doubt(known: int, drift: float, season: float) -> None:
    """They last for three more months; of few months' logs the doubt is more than it has to be."""
    rng, held, off = np.random.default_rng(3), [], []
    month = np.arange(known + 12)
    for seed in range(100):
        level = np.log(200.0) + drift * np.minimum(month, known + 3)
        level += season * np.cos(2.0 * np.pi * (month / 12.0 + rng.random()))
        counts = rng.poisson(np.exp(level + np.cumsum(rng.normal(0.0, 0.05, known + 12))))
        ages = np.append(ages_of(counts[:known], seed), (known + 0.5) * MONTH)
        total = extrapolated(ages, 12, 400, seed).sum(axis=0)
        lower, upper = np.quantile(total, [0.05, 0.95])
        held.append(lower <= counts[known:].sum() <= upper)
        off.append(math.log(total.mean() / counts[known:].sum()))
    assert np.mean(held) > 0.8, "of 90 % intervals; binomial limit of 100"
    assert abs(np.mean(off)) < 0.2


def test_a_steady_trade_goes_on_as_it_was() -> None:
    counts = np.random.default_rng(1).poisson(400, 24)
    found = extrapolated(np.append(ages_of(counts, 2), 24.5 * MONTH), 6, 2_000, 0)
    assert found.mean() == pytest.approx(counts[-6:].mean(), rel=0.02)
    assert found.std(axis=1)[-1] < 0.2 * found.mean()
    assert (np.diff(found.std(axis=1)[[0, -1]]) > 0).all(), "doubt grows"


def test_extrapolated_in_a_valuation() -> None:
    found = clv.customer_valuation(POSTERIOR, RFM, **PLAIN)
    assert found.acquisitions == "extrapolated"
    assert (found.months["acquired_lower"] < found.months["acquired_upper"]).all()
    assert valued().acquisitions == "given"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"horizon": None}, DomainError, "horizon"),
        ({"horizon": "10D"}, DomainError, "a month or longer"),
        ({"acquisitions": [1.0] * 13}, DomainError, "at most one for each of the 12 months"),
        ({"acquisitions": -1.0}, DomainError, "must be numbers >= 0"),
        ({"acquisitions": "many"}, SchemaError, "must be 'extrapolated'"),
        ({"cac": -1.0}, DomainError, "cac=-1.0"),
    ],
)
def test_what_is_refused(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        valued(**options)
    old = clv.RfmTable.from_pandas(RFM.to_pandas().assign(T=lambda one: one["T"] + 400.0))
    with pytest.raises(DomainError, match="say too little"):
        clv.customer_valuation(POSTERIOR, old, **PLAIN)


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    RFM.to_parquet("rfm.parquet")
    POSTERIOR.save("p.nc")
    Path("plan.csv").write_text("month,won\n1,30\n2,40\n")
    asked = ["valuation", "--rfm", "rfm.parquet", "--posterior", "p.nc", "--horizon", "12M"]
    quick = ["--calendar", "none", "--paths", "60", "--draws", "60", "--cac", "5"]
    files = ["--acquisitions", "plan.csv", "--json", "found.json", "-o", "found.csv"]
    assert main([*asked, *quick, *files]) == 0
    out = capsys.readouterr().out
    assert too_long(out, 100) == []
    assert "customers to come" in out
    wanted = valued(acquisitions=[30.0, 40.0], cac=5.0)
    assert json.loads(Path("found.json").read_text()) == json.loads(json.dumps(wanted.to_dict()))
    assert pd.read_csv("found.csv")["acquired"].tolist() == [30.0, 40.0] + [0.0] * 10
    assert main([*asked, "--acquisitions", "none.csv"]) == 2
    assert "a number a month, or a CSV" in " ".join(capsys.readouterr().err.split())
