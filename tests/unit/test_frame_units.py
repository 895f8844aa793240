"""Frames of customers: lengths of time, units that nobody says, rows that no unit allows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaPosterior,
    RfmTable,
    SchemaError,
    TimeUnitError,
    count_distribution,
    load_posterior,
    plots,
    portfolio,
    rfm_summary,
    score,
    simulate_future,
    to_pymc_marketing,
    value_distribution,
)
from clvmodels.cli.commands import app
from clvmodels.datasets import load_cdnow
from clvmodels.diagnostics import diagnose
from clvmodels.plots.fit import draw_purchases_over_time
from clvmodels.posterior.total import total_value
from clvmodels.rfm.customers import exceeds_periods, has_fractions
from clvmodels.rfm.histories import rfm_columns
from clvmodels.schema import TimeScale

LOG: Final = load_cdnow(sample=True)
COLUMNS: Final = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
TABLE: Final = rfm_summary(LOG, **COLUMNS)
WEEKS: Final = rfm_summary(LOG, **COLUMNS, time_scaler=7)
FRAME: Final = TABLE.to_pandas()
IN_WEEKS: Final = WEEKS.to_pandas()
MAP: Final = {"method": "map", "progressbar": False, "random_seed": 1}
SAID: Final = {"time_unit": "D", "time_scaler": 7}
WARNED: Final = "T has fractions, and its unit of time is not given: taken as D"


@pytest.fixture(scope="module")
def posterior() -> CLVPosterior:
    return CLVModel().fit(TABLE, **MAP)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def with_lengths(frame: pd.DataFrame, unit: str = "ns", days: float = 1.0) -> pd.DataFrame:
    """T and recency as what ``end - first`` gives."""
    lengths = {
        name: pd.to_timedelta((frame[name] * days).round(), unit="D").astype(f"timedelta64[{unit}]")
        for name in ("recency", "T")
    }
    return frame.assign(**lengths)


# --- lengths of time ---------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_lengths_of_time_are_the_days_that_they_hold(
    posterior: CLVPosterior, kind: str, unit: str
) -> None:
    given: Any = with_lengths(FRAME, unit)
    if kind != "pandas":
        given = pa.Table.from_pandas(given, preserve_index=False)
        given = pl.from_arrow(given) if kind == "polars" else given
    assert RfmTable.from_frame(given) == RfmTable.from_frame(FRAME)
    wanted = float(posterior.predict(TABLE)["clv"].sum())
    assert float(np.sum(posterior.predict(given)["clv"].to_numpy())) == wanted
    assert total_value(posterior, given).mean == pytest.approx(wanted, rel=1e-12)


def test_lengths_of_time_are_in_the_unit_of_the_table_to_the_last_bit() -> None:
    found = RfmTable.from_frame(with_lengths(IN_WEEKS, days=7.0), **SAID)
    assert found.table["T"].to_pylist() == IN_WEEKS["T"].tolist()
    assert found.table["recency"].to_pylist() == IN_WEEKS["recency"].tolist()
    hours = RfmTable.from_frame(with_lengths(FRAME), time_unit="h")
    assert hours.table["T"].to_pylist() == (24 * FRAME["T"]).tolist()
    with pytest.raises(SchemaError, match="calendar months differ in length"):
        RfmTable.from_frame(with_lengths(FRAME), time_unit="M")


def test_a_fit_to_lengths_of_time_is_the_fit_to_days(posterior: CLVPosterior) -> None:
    found = CLVModel().fit(with_lengths(FRAME), **MAP)
    assert found.purchases.draws() == posterior.purchases.draws()
    assert found.purchases.metadata.notes == posterior.purchases.metadata.notes


def test_lengths_of_time_in_files_are_scored(posterior: CLVPosterior) -> None:
    """Parquet stores bare integers, which the embedded engine would read as such."""
    pq.write_table(pa.Table.from_pandas(with_lengths(FRAME), preserve_index=False), "in.parquet")
    report = score("in.parquet", posterior, "out.parquet")
    wanted = posterior.predict(FRAME)
    found = pd.read_parquet("out.parquet")
    assert report.rejected == 0
    np.testing.assert_array_equal(found["T"], FRAME["T"])
    np.testing.assert_allclose(found["clv"], wanted["clv"], rtol=1e-9)


def test_files_with_and_without_lengths_of_time_do_not_mix(posterior: CLVPosterior) -> None:
    Path("in").mkdir()
    FRAME.head(50).to_parquet("in/a.parquet")
    with_lengths(FRAME.tail(50)).to_parquet("in/b.parquet")
    with pytest.raises(SchemaError, match="column 'recency' is double and duration"):
        score("in", posterior, "out.parquet")


@pytest.mark.parametrize("name", ["T", "recency"])
@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pd.Series(pd.Timestamp("2020-01-01"), FRAME.index), "subtract the date of the customer's"),
        (pd.Series(True, FRAME.index), "holds true and false, not numbers"),
        (pd.Series(1j, FRAME.index), "convert it to one type"),
        (pd.Series("9", FRAME.index), "holds text, not numbers"),
    ],
)
def test_dates_and_the_like_are_refused_everywhere(
    posterior: CLVPosterior, name: str, column: pd.Series, says: str
) -> None:
    frame = FRAME.assign(**{name: column})
    verbs: list[Callable[[Any], Any]] = [
        RfmTable.from_pandas,
        BetaGeoModel().build,
        posterior.predict,
        posterior.purchases.expected_probability_alive,
        lambda given: diagnose(posterior, given),
    ]
    for verb in verbs:
        with pytest.raises(SchemaError, match=says):
            verb(frame)


# --- units that nobody says --------------------------------------------------------------


def test_weeks_without_a_unit_are_warned_of_and_right_with_it(posterior: CLVPosterior) -> None:
    """Weekly T taken as days gave 4.7 times the value, without a word."""
    wanted = float(posterior.predict(TABLE)["clv"].sum())
    plain = IN_WEEKS[IN_WEEKS["frequency"] <= IN_WEEKS["recency"]]
    for verb in (posterior.predict, BetaGeoModel().build, RfmTable.from_frame):
        with pytest.warns(UserWarning, match=WARNED) as caught:
            verb(plain)
        assert [Path(one.filename).name for one in caught] == [Path(__file__).name]
    found = CLVModel().fit(IN_WEEKS, **MAP, **SAID)
    assert found.scale == TimeScale("D", 7)
    assert found.purchases.metadata.notes == ()
    value = float(found.predict(IN_WEEKS, **SAID)["clv"].sum())
    assert value == pytest.approx(wanted, rel=1e-3)
    assert float(found.predict(WEEKS)["clv"].sum()) == pytest.approx(value, rel=1e-12)
    assert total_value(found, IN_WEEKS, **SAID).mean == pytest.approx(value, rel=1e-12)


def test_that_days_were_assumed_is_said_once_in_notes(tmp_path: Path) -> None:
    """No warning: days are the usual unit, and these T are whole."""
    assumed = CLVModel().fit(FRAME, **MAP)
    (note,) = assumed.purchases.metadata.notes
    assert note.startswith("The frame does not say its unit of time: taken as days (D).")
    assert assumed.spend.metadata.notes == ()
    assert load_posterior(assumed.save(tmp_path / "p.nc")).purchases.metadata.notes == (note,)
    assert CLVModel().fit(FRAME, **MAP, time_unit="D").purchases.metadata.notes == ()
    assert CLVModel().fit(TABLE, **MAP).purchases.metadata.notes == ()


def test_saying_the_unit_silences_and_is_checked(posterior: CLVPosterior) -> None:
    odd = FRAME.assign(T=FRAME["T"] + 0.37)
    with pytest.warns(UserWarning, match=WARNED):
        posterior.predict(odd)
    posterior.predict(odd, time_unit="D")
    RfmTable.from_pandas(odd, time_unit="D")
    BetaGeoModel().build(odd, time_scaler=1)
    loose = CLVModel().fit(odd, **MAP, time_unit="D")
    loose.predict(odd)  # as the base that was fitted
    for verb in (posterior.predict, lambda given, **unit: diagnose(posterior, given, **unit)):
        with pytest.raises(TimeUnitError, match="counts time in 7 x D, the posterior in D"):
            verb(IN_WEEKS, **SAID)
        with pytest.raises(TimeUnitError, match="counts time in D, not in 7 x D"):
            verb(TABLE, **SAID)
    with pytest.raises(TimeUnitError, match="not in 7 x D: leave out"):
        BetaGeoModel().build(TABLE, **SAID)


def _draws(found: Any) -> Any:
    """What is to be the same, of an array, a distribution or a picture."""
    if hasattr(found, "lines"):
        bars = [(b.get_x(), b.get_height()) for b in found.patches if hasattr(b, "get_height")]
        lines = [line.get_xydata() for line in found.lines]
        others = [np.ma.filled(one.get_array(), 0.0) for one in found.collections]
        return np.concatenate([np.ravel(one) for one in (bars, *lines, *others)])
    if hasattr(found, "quantile") and not hasattr(found, "dims"):
        return found.quantile(0.9)
    if hasattr(found, "table"):
        return found.table.to_numpy(dtype=np.float64)
    return getattr(found, "values", found)


FRAMES_TAKEN: Final[dict[str, Callable[..., Any]]] = {
    "predict": lambda one, rfm, **unit: one.predict(rfm, **unit)["clv"],
    "total_value": lambda one, rfm, **unit: total_value(one, rfm, **unit).draws,
    "alive": lambda one, rfm, **unit: one.purchases.expected_probability_alive(rfm, **unit),
    "p_purchase": lambda one, rfm, **unit: one.purchases.probability_of_purchase(
        rfm, future_t="90D", **unit
    ),
    "purchases": lambda one, rfm, **unit: one.purchases.expected_purchases(
        rfm, future_t="90D", **unit
    ),
    "log_likelihood": lambda one, rfm, **unit: one.purchases.log_likelihood(rfm, **unit),
    "datatree": lambda one, rfm, **unit: one.purchases.to_datatree(rfm, **unit)["log_likelihood"][
        "recency_frequency"
    ],
    "counts": lambda one, rfm, **unit: count_distribution(one, rfm, **unit),
    "values": lambda one, rfm, **unit: value_distribution(one, rfm, paths=50, **unit),
    "portfolio": lambda one, rfm, **unit: portfolio(one, rfm, paths=20, **unit),
    "future": lambda one, rfm, **unit: simulate_future(one, rfm, paths=5, **unit),
    "report": lambda one, rfm, **unit: diagnose(one, rfm, draws=20, **unit).facts[2].value,
    "peer": lambda one, rfm, **unit: to_pymc_marketing(one.purchases, rfm, **unit).data["T"],
    "plot_repeat_histogram": lambda one, rfm, **unit: plots.plot_repeat_histogram(one, rfm, **unit),
    "plot_history_matrix": lambda one, rfm, **unit: plots.plot_history_matrix(one, rfm, **unit),
    "plot_alive_histogram": lambda one, rfm, **unit: plots.plot_alive_histogram(one, rfm, **unit),
    "plot_spend_density": lambda one, rfm, **unit: plots.plot_spend_density(one, rfm, **unit),
    "plot_value_distribution": lambda one, rfm, **unit: plots.plot_value_distribution(
        one, rfm, **unit
    ),
    "plot_lorenz": lambda one, rfm, **unit: plots.plot_lorenz(one, rfm, **unit),
}


def _customers_of(table: RfmTable, rows: int) -> RfmTable:
    return replace(table, table=table.table.slice(0, rows))


@pytest.mark.parametrize("name", FRAMES_TAKEN)
@pytest.mark.filterwarnings("ignore:This table is not the base")
def test_every_entrance_of_frames_takes_their_unit(name: str, posterior: CLVPosterior) -> None:
    verb, rows = FRAMES_TAKEN[name], 200
    draws = posterior.purchases.draws()
    weekly = CLVPosterior(
        BetaGeoPosterior.from_draws(**(draws | {"alpha": draws["alpha"] / 7}), **SAID),
        posterior.spend,
    )
    table = _customers_of(WEEKS, rows)
    odd = table.to_pandas()
    assert has_fractions(odd["T"].to_numpy(), TimeScale("D", 1))
    np.testing.assert_array_equal(_draws(verb(weekly, odd, **SAID)), _draws(verb(weekly, table)))
    with pytest.raises(TimeUnitError, match="7 x D, the posterior in D"):
        verb(posterior, odd, **SAID)
    with pytest.raises(TimeUnitError, match="counts time in 7 x D, not in D"):
        verb(weekly, table, time_unit="D")
    plt.close("all")


def test_spend_reads_frames_in_the_unit_of_its_base(posterior: CLVPosterior) -> None:
    """Ten purchases within seven weeks are possible, within seven days not."""
    one = pd.DataFrame(
        {"customer_id": [1], "frequency": [10], "recency": [7.0], "T": [9.0]}
    ).assign(monetary_value=20.0)
    with pytest.raises(SchemaError, match="more repeat purchases than periods"):
        posterior.spend.expected_customer_spend(one)
    weekly = CLVModel().fit(WEEKS, **MAP).spend
    wanted = weekly.expected_customer_spend(RfmTable.from_pandas(one, **SAID)).item()
    assert weekly.expected_customer_spend(one).item() == wanted
    assert weekly.log_likelihood(one).sizes["customer_id"] == 1
    said = posterior.spend.expected_customer_spend(one, **SAID)
    assert said.item() == pytest.approx(wanted, rel=1e-2)
    with pytest.raises(TimeUnitError, match="not in 7 x D"):
        weekly.expected_customer_spend(TABLE, **SAID)


def test_plots_of_customers_alone_take_a_unit() -> None:
    odd = _customers_of(WEEKS, 200).to_pandas()
    for plot in (plots.plot_repeat_histogram, plots.plot_spend_by_frequency):
        plot(odd, **SAID)
        with pytest.raises(TimeUnitError, match="not in 7 x D"):
            plot(TABLE, **SAID)
    plt.close("all")


def test_a_lifetime_is_exceeded(posterior: CLVPosterior) -> None:
    seconds = FRAME.assign(T=FRAME["T"] * 86_400, recency=FRAME["recency"] * 86_400)
    says = r"T reaches 4.70\d+e\+07, which in D are 128,\d+ years"
    for verb in (posterior.predict, RfmTable.from_frame, BetaGeoModel().build):
        with pytest.warns(UserWarning, match=says):
            verb(seconds)
    seconds.to_parquet("in.parquet")
    with pytest.warns(UserWarning, match=says):
        report = score("in.parquet", posterior, "out.parquet")
    assert any("longer than a customer's lifetime" in one for one in report.record["warnings"])


def test_files_in_another_unit_are_warned_of(posterior: CLVPosterior) -> None:
    plain = IN_WEEKS[IN_WEEKS["frequency"] <= IN_WEEKS["recency"]]
    plain.to_parquet("in.parquet")
    with pytest.warns(UserWarning, match=WARNED):
        score("in.parquet", posterior, "out.parquet")
    score("in.parquet", posterior, "out.parquet", time_unit="D")


def test_weeks_with_two_decimals_are_whole_days() -> None:
    rounded = np.round(np.arange(0, 400) / 7, 2)
    assert not has_fractions(rounded, TimeScale("D", 7))
    assert has_fractions(rounded, TimeScale("D"))
    assert not has_fractions((np.arange(0, 4000) / 7).astype(np.float32) * 1.0, TimeScale("D", 7))
    assert has_fractions(np.array([10.5]), TimeScale("D", 7))


def test_the_command_line_fits_weeks() -> None:
    plain = IN_WEEKS[IN_WEEKS["frequency"] <= IN_WEEKS["recency"]].head(300)
    plain.to_csv("weeks.csv", index=False)
    options = ["weeks.csv", "--method", "map", "--seed", "1"]
    with pytest.warns(UserWarning, match=WARNED):
        assert CliRunner().invoke(app, ["fit", *options, "-o", "days.nc"]).exit_code == 0
    unit = ["--time-unit", "D", "--time-scaler", "7"]
    result = CliRunner().invoke(app, ["fit", *options, *unit, "-o", "weeks.nc"])
    assert result.exit_code == 0
    assert load_posterior("weeks.nc").scale == TimeScale("D", 7)


# --- rows that no unit allows ------------------------------------------------------------


def one_row(x: int, t_x: float, T: float = 400.0) -> pd.DataFrame:
    row = {"customer_id": "odd", "frequency": x, "recency": t_x, "T": T, "monetary_value": 9.0}
    return pd.DataFrame([row])


@pytest.mark.parametrize(
    ("x", "t_x", "unit", "possible"),
    [
        (50, 3.0, ("D", 1), False),
        (2, 0.0, ("D", 1), False),
        (3, 3.0, ("D", 1), True),
        (4, 3.0, ("D", 1), False),
        (21, 3.0, ("D", 7), True),
        (22, 3.0, ("D", 7), False),
        (3, 3 / 7, ("D", 7), True),
        (4, 3 / 7, ("D", 7), False),
        (3, float(np.float32(3 / 7)), ("D", 7), True),
        (72, 3.0, ("h", 24), True),  # several purchases a day
        (73, 3.0, ("h", 24), False),
        (3, 3.0, ("W", 1), True),
        (4, 3.0, ("M", 1), False),
        (50, 3.2, ("D", 1), True),  # not merged by days: nothing is known
    ],
)
def test_what_the_unit_allows(x: int, t_x: float, unit: tuple[Any, float], possible: bool) -> None:
    frame, said = one_row(x, t_x), {"time_unit": unit[0], "time_scaler": unit[1]}
    given = exceeds_periods(np.array([float(x)]), np.array([t_x]), TimeScale(*unit))
    assert given.tolist() == [not possible]
    one = CLVPosterior(
        BetaGeoPosterior.from_draws(r=0.2, alpha=4.4, a=0.8, b=2.4, **said),
        GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
    )
    frame.to_parquet("in.parquet")
    report = score("in.parquet", one, "out.parquet", allow_rejects=True)
    if possible:
        assert len(one.predict(frame)) == len(RfmTable.from_pandas(frame, **said)) == 1
        assert report.reasons == {}
        return
    assert report.reasons == {"frequency exceeds the periods in recency": 1}
    for verb in (one.predict, BetaGeoModel().build, RfmTable.from_pandas):
        with pytest.raises(SchemaError, match=r"1 rows have more repeat purchases .*is row 0"):
            verb(frame, **said)


def test_impossible_rows_do_not_move_the_fit() -> None:
    """One in ten such rows moved r from .57 to .19."""
    few = FRAME.iloc[::10].assign(frequency=50, recency=3.0)
    with pytest.raises(SchemaError, match="rows have more repeat purchases than periods"):
        CLVModel().fit(pd.concat([FRAME.drop(few.index), few]), **MAP)


@pytest.mark.parametrize("unit", [{}, SAID, {"time_unit": "W"}, {"time_unit": "M"}])
def test_no_table_of_a_log_is_refused(unit: dict[str, Any]) -> None:
    table = rfm_summary(LOG, **COLUMNS, **unit)
    assert len(rfm_columns(table)) == len(table)
    assert not has_fractions(table.table["T"].to_numpy(), table.scale)
    single = table.to_pandas().astype({"T": "float32", "recency": "float32"})
    assert len(RfmTable.from_frame(single, **unit)) == len(table)


# --- ids in the index, names of columns --------------------------------------------------


def test_customers_in_the_index_are_taken(posterior: CLVPosterior) -> None:
    indexed = FRAME.set_index("customer_id")
    wanted = posterior.predict(FRAME)
    pd.testing.assert_frame_equal(posterior.predict(indexed), wanted)
    both = FRAME.set_index(["customer_id", FRAME.index.rename("row")])
    pd.testing.assert_frame_equal(posterior.predict(both), wanted)
    assert RfmTable.from_pandas(indexed) == RfmTable.from_pandas(FRAME)
    assert total_value(posterior, indexed).mean == total_value(posterior, FRAME).mean
    facts = [diagnose(posterior, one, draws=20).facts for one in (indexed, FRAME)]
    assert facts[0] == facts[1]
    indexed.to_parquet("in.parquet")
    options = ["fit", "in.parquet", "-o", "p.nc", "--method", "map"]
    assert CliRunner().invoke(app, options).exit_code == 0


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("id", r"index 'id' is the id.*reset_index\(\).rename\(columns=\{'id': 'customer_id'\}\)"),
        (None, r"reset_index\(names='customer_id'\)"),
    ],
)
def test_another_index_is_explained(posterior: CLVPosterior, index: str | None, says: str) -> None:
    frame = FRAME.set_index("customer_id").rename_axis(index)
    for verb in (posterior.predict, BetaGeoModel().build, RfmTable.from_pandas):
        with pytest.raises(SchemaError, match=says):
            verb(frame)


def test_columns_may_have_numbers_for_names() -> None:
    frame = FRAME.assign(more="x").rename(columns={"more": 2024})
    assert RfmTable.from_pandas(frame).segment_cols == ("2024",)


def test_bins_of_pandas_are_segments() -> None:
    bins = pd.cut(FRAME["frequency"], [-1, 0, 3, 99])
    found = RfmTable.from_pandas(FRAME.assign(much=bins)).to_pandas()
    assert found["much"].astype(str).tolist() == bins.astype(str).tolist()


def test_nothing_is_said_of_usual_frames(posterior: CLVPosterior) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior.predict(FRAME)
        RfmTable.from_pandas(FRAME)
        RfmTable.from_pandas(IN_WEEKS, **SAID)
        BetaGeoModel().build(TABLE)


@pytest.mark.parametrize("dates", [["0001-01-02", "0001-12-30"], ["9999-01-05", "9999-12-30"]])
def test_dates_at_the_ends_of_the_calendar_are_drawn(dates: list[str]) -> None:
    """Margins of the axis would reach into years that have no names."""
    axes = draw_purchases_over_time(dates, [1.0, 2.0], [1.5, 2.5], lower=[1.0, 1.0], upper=[3, 3])
    axes.figure.canvas.draw()
    assert all(label.get_text() for label in axes.get_xticklabels())


def test_days_in_place_of_weeks_are_noticed_by_the_base_that_was_fitted(tmp_path: Path) -> None:
    fitted = BetaGeoModel().fit(WEEKS, method="map", random_seed=1, progressbar=False)
    days = rfm_summary(LOG, **COLUMNS).to_pandas()
    said = r"times as long as in the base that was fitted: are recency and T in another unit"
    for verb in (fitted.predict, fitted.expected_probability_alive, fitted.log_likelihood):
        with pytest.warns(UserWarning, match=said):
            verb(days)
    days.to_parquet(tmp_path / "days.parquet")
    with pytest.warns(UserWarning, match=said):
        score(tmp_path / "days.parquet", fitted, tmp_path / "scores.parquet")
    with pytest.warns(UserWarning, match=said):
        diagnose(fitted, days)
    # whoever says the unit means it, and a base that grew older is no other unit
    fitted.predict(days, time_unit="D", time_scaler=7)
    older = WEEKS.to_pandas()
    fitted.predict(older.assign(T=3 * older["T"]))
