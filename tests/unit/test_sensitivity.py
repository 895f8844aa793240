"""Which input moves lifetime value: against derivatives, and drawn."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from clvmodels import DomainError, SchemaError, rfm_summary
from clvmodels.economics import SimpleInputs, simple_clv, simple_sensitivity
from clvmodels.plots import plot_tornado

START = SimpleInputs(order_value=50.0, orders_per_year=4.0, margin=0.5, churn=0.2)


def test_over_the_lifetime_it_is_a_product() -> None:
    table = simple_sensitivity(START, change=0.1, over="lifetime").set_index("input")
    assert list(table.index) == ["churn", "order_value", "orders_per_year", "margin"]
    for name in ("order_value", "orders_per_year", "margin"):
        row = table.loc[name]
        assert (row["better"], row["note"]) == ("raise", "")
        assert row["change_raised"] == pytest.approx(0.1, rel=1e-12)
        assert row["change_lowered"] == pytest.approx(-0.1, rel=1e-12)
        assert row["per_percent"] == pytest.approx(1.0, rel=1e-12)
    churn = table.loc["churn"]
    assert churn["better"] == "lower"
    assert (churn["at"], churn["lowered_to"]) == (0.2, pytest.approx(0.18))
    assert churn["value_lowered"] == pytest.approx(50 * 4 * 0.5 / 0.18, rel=1e-12)
    assert churn["change_lowered"] == pytest.approx(1 / 0.9 - 1, rel=1e-12)
    assert churn["per_percent"] == pytest.approx((1 / 0.9 - 1) / 0.1, rel=1e-12)
    assert (table["value"] == 500.0).all()


def test_over_the_horizon_churn_counts_as_its_derivative_says() -> None:
    start = SimpleInputs(
        order_value=50.0,
        orders_per_year=4.0,
        margin=0.5,
        churn=0.2,
        horizon_years=math.inf,
        discount_rate=0.1,
    )
    table = simple_sensitivity(start, change=1e-6)
    assert table["input"].tolist()[-1] == "churn"
    # For ever the value goes with 1 / (delta - ln(1 - c))
    slope = 0.2 / 0.8 / (math.log(1.1) - math.log(0.8))
    assert table["per_percent"].iloc[-1] == pytest.approx(slope, rel=1e-5)
    assert table["value"].iloc[0] == pytest.approx(100 / math.log(1.1 / 0.8), rel=1e-12)


def test_what_cannot_be_raised_has_no_effect_and_a_note() -> None:
    table = simple_sensitivity(
        SimpleInputs(order_value=1.0, orders_per_year=1.0, margin=0.995, churn=0.999)
    ).set_index("input")
    assert "cannot be more than 1" in table.loc["margin", "note"]
    assert math.isnan(table.loc["margin", "per_percent"])
    assert math.isnan(table.loc["margin", "change_raised"])
    assert table.loc["margin", "change_lowered"] == pytest.approx(-0.01, rel=1e-9)
    assert table.index[-1] == "margin"
    assert "cannot be more than 1" in table.loc["churn", "note"]
    assert table.loc["churn", "per_percent"] > 0  # it can be lowered


def test_without_churn_there_is_none_to_lower() -> None:
    start = SimpleInputs(order_value=1.0, orders_per_year=1.0, margin=0.5, churn=0.0)
    churn = simple_sensitivity(start).set_index("input").loc["churn"]
    assert (churn["per_percent"], churn["note"]) == (0.0, "there is no churn to lower")
    with pytest.raises(DomainError, match="without churn"):
        simple_sensitivity(start, over="lifetime")


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"order_value": 0.0}, {}),
        ({"churn": 1.0}, {}),
        ({"churn": 0.0, "horizon_years": math.inf, "discount_rate": 0.0}, {}),
        ({}, {"change": 0.0}),
        ({}, {"change": 1.0}),
        ({}, {"change": math.nan}),
    ],
)
def test_percents_of_nothing_are_refused(
    changes: dict[str, float], options: dict[str, float]
) -> None:
    fields = {"order_value": 1.0, "orders_per_year": 1.0, "margin": 0.5, "churn": 0.5} | changes
    with pytest.raises(DomainError):
        simple_sensitivity(SimpleInputs(**fields), **options)


def test_only_two_figures_are_known() -> None:
    with pytest.raises(SchemaError, match="over"):
        simple_sensitivity(START, over="eternity")


def test_a_base_is_taken_as_its_inputs() -> None:
    log = pd.DataFrame(
        {
            "id": ["a", "a", "b", "b", "c"],
            "day": ["2024-01-01", "2024-02-01", "2024-01-05", "2024-06-01", "2024-03-01"],
            "amount": [10.0, 20.0, 30.0, 20.0, 5.0],
        }
    )
    rfm = rfm_summary(
        log, customer_id_col="id", datetime_col="day", monetary_value_col="amount", margin=0.4
    )
    base = simple_clv(rfm, silence=60.0)
    table = simple_sensitivity(base)
    pd.testing.assert_frame_equal(table, simple_sensitivity(base.inputs))
    assert table["value"].iloc[0] == base.value


def test_the_tornado_draws_the_table() -> None:
    table = simple_sensitivity(
        SimpleInputs(order_value=9.0, orders_per_year=1.0, margin=1.0, churn=0.3), change=0.1
    )
    axes = plot_tornado(table)
    lowered, raised = axes.containers
    for bars, name in ((lowered, "lowered"), (raised, "raised")):
        widths = [bar.get_width() for bar in bars]
        assert widths == pytest.approx((100 * table[f"change_{name}"]).tolist(), nan_ok=True)
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        name.replace("_", " ") for name in table["input"]
    ]
    top, bottom = axes.get_ylim()[::-1]
    assert top < bottom  # the first row is at the top
    assert plot_tornado(table, ax=axes) is axes
    axes.figure.canvas.draw()
