"""Plots take what people have, show themselves, and say what else they were given."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.axes import Axes

import clvmodels as clv
from clvmodels import (
    DomainError,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    UnknownOptionError,
    plots,
)
from clvmodels.evaluation.fitting import Fitting
from clvmodels.plots.renamed import OLD
from clvmodels.posterior import CLVPosterior
from clvmodels.simulate import simulate_log
from tests import inks
from tests.clocks import clock
from tests.covariates import (
    base_of,
    design_of_channels,
    plain_posterior,
    something,
    with_effects,
)
from tests.unit.diagnostics_cases import PURCHASES, SPEND, base, fitted, mode, normal_in_logs
from tests.unit.diagnostics_cases import given as known

COLUMNS: dict[str, Any] = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    truth = {**PURCHASES, **SPEND, "T": (100.0, 500.0)}
    return simulate_log(300, seed=3, observation_end="2021-06-30", **truth)


@pytest.fixture(scope="module")
def rfm(log: pd.DataFrame) -> RfmTable:
    return clv.rfm_summary(log, **COLUMNS)


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    purchases = normal_in_logs(0.05, prior_sigma=1.0)
    spend = fitted(GammaGammaPosterior)
    return CLVPosterior(purchases, spend)


@pytest.fixture(scope="module")
def backtest(log: pd.DataFrame) -> clv.Backtest:
    with pytest.MonkeyPatch.context() as patch:  # what is drawn needs no fit
        patch.setattr(Fitting, "fit", lambda self, rfm, **changes: known(60))
        end = "2020-12-31"
        return clv.backtest(
            log, **COLUMNS, train_period_end=end, origins=2, horizon="60D", bootstrap=50, draws=60
        )


def timed(posterior: clv.CLVPosterior) -> clv.CLVPosterior:
    metadata = replace(posterior.purchases.metadata, clock=clock())
    return replace(posterior, purchases=replace(posterior.purchases, metadata=metadata))


def by_channel() -> clv.PurchasePosterior:
    design = design_of_channels(base_of())
    return with_effects(plain_posterior(), design, something)


@pytest.fixture
def given(
    log: pd.DataFrame, rfm: RfmTable, posterior: CLVPosterior, backtest: clv.Backtest
) -> dict[str, Any]:
    return {"log": log, "rfm": rfm, "posterior": posterior, "backtest": backtest}


# Every plot, from what people have; several ways are several entries.
CALLS: dict[str, Any] = {
    "plot_alive_histogram": lambda d, **o: plots.plot_alive_histogram(
        d["posterior"].predict(d["rfm"]), **o
    ),
    "plot_calibration": lambda d, **o: plots.plot_calibration([0.1, 0.5], [0.2, 0.4], **o),
    "plot_cohorts": lambda d, **o: plots.plot_cohorts(d["rfm"], **o),
    "plot_comparison": lambda d, **o: plots.plot_comparison(d["posterior"], d["rfm"], **o),
    "plot_conditional_expectations": lambda d, **o: plots.plot_conditional_expectations(
        d["backtest"], **o
    ),
    "plot_deciles": lambda d, **o: plots.plot_deciles(d["backtest"], target="value", **o),
    "plot_effects": lambda d, **o: plots.plot_effects(by_channel(), **o),
    "plot_energy": lambda d, **o: plots.plot_energy(d["posterior"].spend, **o),
    "plot_clock": lambda d, **o: plots.plot_clock(timed(d["posterior"]), **o),
    "plot_forecast": lambda d, **o: plots.plot_forecast(
        clv.forecast_total(d["posterior"], d["rfm"], horizon="90D", path="M", paths=60), **o
    ),
    "plot_gains": lambda d, **o: plots.plot_gains(d["backtest"], target="value", **o),
    "plot_group_calibration": lambda d, **o: plots.plot_group_calibration(d["backtest"], **o),
    "plot_history_matrix": lambda d, **o: plots.plot_history_matrix(d["posterior"], d["rfm"], **o),
    "plot_interval_coverage": lambda d, **o: plots.plot_interval_coverage(d["backtest"], **o),
    "plot_lorenz": lambda d, **o: plots.plot_lorenz(d["posterior"], d["rfm"], **o),
    "plot_metric": lambda d, **o: plots.plot_metric(d["backtest"], "mae", **o),
    "plot_origin_totals": lambda d, **o: plots.plot_origin_totals(
        d["backtest"], target="value", **o
    ),
    "plot_pairs": lambda d, **o: plots.plot_pairs(["0", "1"], [1, 2], [2, 3], unit="", **o),
    "plot_purchases_over_time": lambda d, **o: plots.plot_purchases_over_time(
        d["posterior"], d["rfm"], log=d["log"], **o
    ),
    "plot_repeat_histogram": lambda d, **o: plots.plot_repeat_histogram(d["rfm"], **o),
    "plot_spend_by_frequency": lambda d, **o: plots.plot_spend_by_frequency(d["rfm"], **o),
    "plot_spend_density": lambda d, **o: plots.plot_spend_density(d["posterior"], d["rfm"], **o),
    "plot_tiers": lambda d, **o: plots.plot_tiers(d["posterior"], d["rfm"], **o),
    "plot_tornado": lambda d, **o: plots.plot_tornado(clv.simple_clv(d["rfm"]), **o),
    "plot_totals": lambda d, **o: plots.plot_totals(d["backtest"], **o),
    "plot_value_distribution": lambda d, **o: plots.plot_value_distribution(
        d["posterior"].predict(d["rfm"]), **o
    ),
}
CALLS |= {
    "plot_alive_history": lambda d, **o: plots.plot_alive_history(
        d["posterior"], d["rfm"], log=d["log"], customer_id=5, **o
    ),
    "plot_cohort_heatmap": lambda d, **o: plots.plot_cohort_heatmap(
        clv.cohorts(
            d["posterior"], d["rfm"], log=d["log"], cohort="Y", months=3, paths=20, draws=20
        ),
        **o,
    ),
    "plot_customer_value": lambda d, **o: plots.plot_customer_value(
        d["posterior"], d["rfm"], customer_id=5, **o
    ),
    "plot_next_purchase": lambda d, **o: plots.plot_next_purchase(
        d["posterior"], d["rfm"], customer_id=5, **o
    ),
    "plot_payback": lambda d, **o: plots.plot_payback(d["posterior"], 30.0, months=6, **o),
    "plot_times_between": lambda d, **o: plots.plot_times_between(d["rfm"], log=d["log"], **o),
    "plot_timelines": lambda d, **o: plots.plot_timelines(
        d["posterior"], d["rfm"], log=d["log"], **o
    ),
}
PANELS: dict[str, Any] = {
    "plot_heterogeneity": lambda d, **o: plots.plot_heterogeneity(d["posterior"], **o),
    "plot_prior_posterior": lambda d, **o: plots.plot_prior_posterior(
        d["posterior"].purchases, **o
    ),
    "plot_ranks": lambda d, **o: plots.plot_ranks(d["posterior"].spend, **o),
    "plot_ridges": lambda d, **o: plots.plot_ridges(d["posterior"], **o),
    "plot_trace": lambda d, **o: plots.plot_trace(d["posterior"].purchases, **o),
}
CALLS["plot_prior_sensitivity"] = lambda d, **o: plots.plot_prior_sensitivity(
    d["posterior"].purchases, **o
)


def test_every_plot_is_tried() -> None:
    public = {name for name in plots.__all__ if name.startswith("plot_")}
    assert public == CALLS.keys() | PANELS.keys()


def test_every_plot_has_an_example_on_its_page() -> None:
    """The site draws them; there each is run."""
    text = (Path(__file__).parents[2] / "docs/_ext/plot_examples.py").read_text(encoding="utf-8")
    found = dict(re.findall(r"^# (plot_\w+)\n(.+?)(?=^# |\Z)", text, re.MULTILINE | re.DOTALL))
    assert found.keys() == CALLS.keys() | PANELS.keys()
    for name, code in found.items():
        assert f"clv.plots.{name}(" in code


# --- where they draw ---


@pytest.mark.parametrize("name", sorted(CALLS))
def test_without_axes_pyplot_shows_it(name: str, given: dict[str, Any]) -> None:
    axes = CALLS[name](given)
    assert isinstance(axes, Axes)
    assert axes.has_data()
    assert [plt.figure(number) for number in plt.get_fignums()] == [axes.figure]
    inks.check(axes.figure)


@pytest.mark.parametrize("name", sorted(PANELS))
def test_without_axes_panels_are_one_figure(name: str, given: dict[str, Any]) -> None:
    axes = PANELS[name](given)
    assert len(axes) > 1
    assert {one.figure for one in axes} == {plt.gcf()}
    assert len(plt.get_fignums()) == 1
    inks.check(plt.gcf())


@pytest.mark.parametrize("name", sorted(CALLS))
def test_given_axes_open_nothing(name: str, given: dict[str, Any]) -> None:
    figure, (axes,) = plots.new_figure(1, 1, "")
    assert CALLS[name](given, ax=axes) is axes
    assert axes.has_data()
    assert axes.figure is figure
    assert not plt.get_fignums()


def test_reports_leave_nothing_open(given: dict[str, Any], tmp_path: Any) -> None:
    rendered = clv.report(given["posterior"], given["rfm"], log=given["log"])
    rendered.save(tmp_path / "report.html")
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", ["plot_timelines", "plot_times_between"])
def test_purchases_are_drawn_from_a_log(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match=r"counts and not the purchases themselves: pass log="):
        getattr(plots, name)(given["rfm"])


@pytest.mark.parametrize("name", sorted(CALLS | PANELS))
def test_what_fails_leaves_nothing_open(name: str) -> None:
    """And the message says what the plot takes, whatever it was given."""
    draw = getattr(plots, name)
    extra = [
        1.5
        for one in inspect.signature(draw).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ][1:]
    options = {"unit": ""} if name == "plot_pairs" else {}
    for wrong in (1.5, None, object(), {"a": "b"}, pd.DataFrame({"no": [1]})):
        with pytest.raises(SchemaError, match=rf"^{name} takes .+, found "):
            draw(wrong, *extra, **options)
    said = rf"^ax='x' is not what {name} draws on: pass .+ matplotlib Axes"
    with pytest.raises(SchemaError, match=said):
        draw(1.5, *extra, ax="x", **options)
    assert not plt.get_fignums()


@pytest.mark.slow
def test_a_notebook_shows_each_once(tmp_path: Any, posterior: CLVPosterior) -> None:
    """In a real kernel, as its users write it: as the last line, and in the middle."""
    import nbformat

    from scripts import notebooks

    posterior.save(tmp_path / "posterior.nc")
    cells = [
        f"import clvmodels as clv\nfitted = clv.load_posterior({str(tmp_path / 'posterior.nc')!r})",
        "clv.plots.plot_ridges(fitted)",
        "clv.plots.plot_lorenz([1, 2, 7])\nprint('after')",
        "import matplotlib.pyplot as plt\n"
        "_, axes = plt.subplots()\nclv.plots.plot_lorenz([1, 2, 7], ax=axes)\nplt.show()",
        "for _ in range(30):\n    clv.plots.plot_lorenz([1, 2, 7])\n    plt.close()\n",
        "plt.get_fignums()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    notebooks.run(notebook)
    pictures = [
        sum("image/png" in output.get("data", {}) for output in cell.outputs)
        for cell in notebook.cells
    ]
    assert pictures == [0, 1, 1, 1, 0, 0]
    assert notebook.cells[-1].outputs[0].data["text/plain"] == "[]"
    assert not [o for cell in notebook.cells for o in cell.outputs if o.get("name") == "stderr"]


# --- what they were called before ---


@pytest.mark.parametrize("old", sorted(OLD))
def test_old_names_draw_the_same_and_say_the_new_one(old: str, given: dict[str, Any]) -> None:
    new, options = OLD[old]
    source = [1.0, 7.0, 2.0] if new == "plot_lorenz" else given["backtest"]
    with pytest.warns(FutureWarning, match=rf"^{old}\(\.\.\.\) is now {new}\(") as told:
        draw = getattr(plots, old)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert old not in plots.__all__
    same = [
        drawn.axes[0]
        for drawn in (draw(source).figure, getattr(plots, new)(source, **options).figure)
    ]
    one, two = ([line.get_xydata().tolist() for line in axes.lines] for axes in same)
    assert one == two


def test_axes_are_taken_by_their_old_name_too() -> None:
    _, (axes,) = plots.new_figure(1, 1, "")
    with pytest.warns(
        FutureWarning, match=r"plot_lorenz\(axes=\.\.\.\) is now plot_lorenz\(ax="
    ) as told:
        assert plots.plot_lorenz([1.0, 2.0], axes=axes) is axes
    assert told[0].filename == __file__
    with pytest.raises(UnknownOptionError, match="did you mean ax"):
        plots.plot_lorenz([1.0, 2.0], axis=axes)
    with pytest.raises(AttributeError, match="plot_nothing"):
        getattr(plots, "plot_nothing")  # noqa: B009


# --- what they take ---


def heights(axes: Axes) -> list[float]:
    return axes.patches[0].get_data().values.tolist()


def test_both_models_stand_side_by_side(posterior: CLVPosterior) -> None:
    alike = CLVPosterior(fitted(), posterior.spend)
    labels = [axes.get_ylabel() for axes in plots.plot_trace(alike)]
    assert labels == ["r", "alpha (days)", "a", "b", "p", "q", "v (money)"]


def test_draws_of_other_lengths_do_not_go_together(posterior: CLVPosterior) -> None:
    for draw in (plots.plot_trace, plots.plot_energy):
        with pytest.raises(SchemaError, match=r"posterior\.purchases or posterior\.spend"):
            draw(posterior)


def test_a_mode_has_no_draws() -> None:
    for draw in (plots.plot_trace, plots.plot_ridges, plots.plot_prior_posterior):
        with pytest.raises(DomainError, match="a single point"):
            draw(mode())


def test_laplace_draws_are_no_chains() -> None:
    with pytest.raises(DomainError, match="method='nuts'"):
        plots.plot_trace(fitted(method="laplace"))


def test_values_of_any_kind_of_frame(posterior: CLVPosterior, rfm: RfmTable) -> None:
    values = posterior.predict(rfm)
    repeat = values.loc[values["frequency"] > 0, "p_alive"]
    counts = np.histogram(repeat, np.linspace(0, 1, 21))[0].tolist()
    for given in (values, pa.Table.from_pandas(values, preserve_index=False)):
        axes = plots.plot_alive_histogram(given)
        assert heights(axes) == counts
        assert axes.get_ylabel() == "repeat customers"
    assert heights(plots.plot_alive_histogram(posterior, rfm)) == counts
    assert heights(plots.plot_alive_histogram(posterior.purchases, rfm)) == counts


def test_chances_alone_are_of_all_customers() -> None:
    axes = plots.plot_alive_histogram([0.01, 0.99, 0.98])
    assert heights(axes) == [1, *[0] * 18, 2]
    assert axes.get_ylabel() == "customers"


def test_lorenz_takes_values_curves_and_tables(posterior: CLVPosterior, rfm: RfmTable) -> None:
    values = posterior.predict(rfm)
    expected = np.transpose(clv.lorenz_curve(values["clv"]))
    given = (
        values,
        values["clv"],
        values["clv"].to_numpy(),
        {"a": clv.lorenz_curve(values["clv"])},
    )
    for one in given:
        _, drawn = plots.plot_lorenz(one).get_lines()
        np.testing.assert_allclose(drawn.get_xydata(), expected)


def test_the_most_valuable_come_first_in_a_concentration() -> None:
    axes = plots.plot_lorenz([1.0, 7.0, 2.0], first="most valuable")
    assert axes.get_xlabel().endswith("most valuable first")
    _, drawn = axes.get_lines()
    np.testing.assert_allclose(
        drawn.get_xydata(), [[0, 0], [1 / 3, 0.7], [2 / 3, 0.9], [1, 1]], atol=1e-12
    )


def test_a_matrix_reaches_as_far_as_the_base_that_was_fitted(rfm: RfmTable) -> None:
    known = fitted(base={"max_T": 540.0})
    axes = plots.plot_history_matrix(known)
    _, high = axes.get_ylim()
    assert high == pytest.approx(540.0, rel=0.05)
    beside = plots.plot_history_matrix(known, rfm, quantity="expected_purchases", horizon="52W")
    assert beside.figure.axes[1].get_ylabel() == "expected purchases"


def test_a_matrix_of_given_draws_asks_for_customers(posterior: CLVPosterior) -> None:
    with pytest.raises(SchemaError, match=r"plot_history_matrix\(posterior, rfm\)"):
        plots.plot_history_matrix(posterior)


@pytest.mark.parametrize(
    "name", ["plot_alive_histogram", "plot_lorenz", "plot_tiers", "plot_repeat_histogram"]
)
def test_a_posterior_of_customers_asks_for_them(name: str, posterior: CLVPosterior) -> None:
    with pytest.raises(SchemaError, match=rf"{name}\(posterior, rfm\)"):
        getattr(plots, name)(posterior)


def test_repeats_with_what_is_expected(posterior: CLVPosterior, rfm: RfmTable) -> None:
    actual = np.minimum(rfm.to_pandas()["frequency"], 7).value_counts().sort_index()
    axes = plots.plot_repeat_histogram(posterior, rfm)
    assert [bar.get_height() for bar in axes.containers[0]] == actual.tolist()
    (points,) = axes.lines
    assert points.get_ydata().sum() == pytest.approx(300, rel=1e-3)


def test_tables_of_a_backtest_are_taken_too(backtest: clv.Backtest) -> None:
    assert plots.plot_deciles(backtest.calibration).has_data()
    assert plots.plot_purchases_over_time(backtest.tracking, cumulative=True).has_data()
    with pytest.raises(SchemaError, match="metric='speed' is unknown: use one of "):
        plots.plot_metric(backtest, "speed")
    with pytest.raises(SchemaError, match="not in this backtest: it has purchases"):
        plots.plot_gains(backtest, target="money")  # type: ignore[arg-type]


def test_a_table_without_dates_has_no_cohorts() -> None:
    with pytest.raises(SchemaError, match="observation end"):
        plots.plot_cohorts(RfmTable.from_pandas(base()))


def test_spend_needs_amounts() -> None:
    with pytest.raises(DomainError, match="monetary_value"):
        plots.plot_spend_by_frequency(base().drop(columns=["monetary_value", "first_value"]))


@pytest.mark.parametrize("cumulative", [False, True])
def test_purchases_over_time_go_on_into_the_months_to_come(
    posterior: CLVPosterior, rfm: RfmTable, log: pd.DataFrame, cumulative: bool
) -> None:
    how: dict[str, Any] = {"log": log, "cumulative": cumulative}
    past = plots.plot_purchases_over_time(posterior, rfm, **how)
    axes = plots.plot_purchases_over_time(posterior, rfm, horizon="90D", **how)
    end = np.datetime64(rfm.observation_end, "D")
    last = [line.get_xdata()[-1] for line in axes.lines if len(line.get_xdata()) > 2]
    assert max(np.datetime64(one, "D") for one in last) == end + 91
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "forecast, with its fan" in labels
    assert len(axes.collections) == len(past.collections) + 1
    if cumulative:  # goes on from what there was
        future = axes.lines[2].get_ydata()
        assert future[0] == pytest.approx(axes.lines[1].get_ydata()[-1], rel=1e-5)
        months = clv.forecast_total(posterior, rfm, horizon="90D", path="M")
        bought = months.whole.table["mean"][0]
        assert future[-1] - future[0] == pytest.approx(bought, rel=1e-3)


def test_a_forecast_is_drawn_by_month_of_all_segments_together(
    posterior: CLVPosterior, rfm: RfmTable
) -> None:
    terms: dict[str, Any] = {"horizon": "90D", "path": "M", "paths": 60}
    months = clv.forecast_total(posterior, rfm, **terms)
    by = clv.forecast_total(posterior, rfm, by="cohort", **terms)
    for total in ("purchases", "value"):
        one, two = (plots.plot_forecast(x, total=total, cumulative=True) for x in (months, by))
        np.testing.assert_allclose(one.lines[0].get_ydata(), two.lines[0].get_ydata(), rtol=1e-6)
        whole = months.whole.table.set_index("total")["mean"][total]
        assert one.lines[0].get_ydata()[-1] == pytest.approx(whole, rel=1e-3)
    with pytest.raises(SchemaError, match="total"):
        plots.plot_forecast(months, total="money")
    with pytest.raises(SchemaError, match="plot_forecast takes what forecast_total"):
        plots.plot_forecast(months.whole)


def test_a_month_of_a_day_has_no_rate(posterior: CLVPosterior, rfm: RfmTable) -> None:
    """The log ends on the last day but one of June: the forecast begins with one day of it."""
    months = clv.forecast_total(posterior, rfm, horizon="12M", path="M", paths=60)
    assert len(months.edges) == 14
    drawn = plots.plot_forecast(months).lines[0].get_ydata()
    assert len(drawn) == 13
    assert drawn.min() > 0.5 * drawn.max()
    sums = plots.plot_forecast(months, cumulative=True).lines[0].get_ydata()
    assert len(sums) == 14


def test_purchases_over_time_need_the_log(posterior: CLVPosterior, rfm: RfmTable) -> None:
    with pytest.raises(SchemaError, match="pass log="):
        plots.plot_purchases_over_time(posterior, rfm)
