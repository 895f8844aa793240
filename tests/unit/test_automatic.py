"""A model that is chosen by the base: the best one, or a stack, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.cli import main
from clvmodels.errors import ConvergenceError, SchemaError
from clvmodels.evaluation.fitting import Fitting, centre
from clvmodels.fit import AutomaticModel, automatic, regularity
from clvmodels.fit.purchases import BetaGeoModel, PurchaseSpecification
from clvmodels.fit.run import Settings
from clvmodels.posterior import StackPosterior
from clvmodels.posterior.leave_one_out import Timings
from clvmodels.purchases import AUTO, MODELS
from clvmodels.simulate import simulate_log, simulate_rfm

COLUMNS = {"customer_id_col": "customer_id", "datetime_col": "date"}
QUIET: dict[str, Any] = {"random_seed": 3, "progressbar": False, "time_unit": "D"}
# Few models, so that a choice takes seconds
FEW = {key: MODELS[key] for key in ("bgnbd", "mbgnbd")}
SMALL = simulate_rfm(
    500, r=0.6, alpha=20.0, a=0.7, b=2.0, p=6.0, q=4.0, v=15.0, T=(20.0, 200.0), seed=8
)


@pytest.fixture(autouse=True)
def _few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "MODELS", FEW)


def sentences(text: str) -> list[str]:
    return [one for one in text.replace("(k > 1)", "").split(". ") if one]


def timings(elpd_diff: float, dse: float, weights: dict[str, float]) -> Any:
    """Let a comparison say this of two models."""

    def say(models: Any, columns: Any, count: int) -> Timings:
        table = pd.DataFrame(
            {
                "elpd": [-100.0, -100.0 - elpd_diff],
                "elpd_diff": [0.0, elpd_diff],
                "dse": [0.0, dse],
                "weight": list(weights.values()),
                "verdict": ["pass", "pass"],
            },
            index=list(weights),
        )
        return Timings(table, len(columns), len(columns), dict.fromkeys(models, count))

    return say


# --- what is kept ---


def test_what_is_clearly_best_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said = timings(50.0, 5.0, {"mbgnbd": 0.8, "bgnbd": 0.2})
    monkeypatch.setattr(automatic, "timings_of", said)
    found = clv.CLVModel(AUTO).fit(SMALL, method="laplace", **QUIET)
    assert found.purchases.metadata.model == "mbgnbd"
    assert found.purchases.metadata.why == (
        "Of BG/NBD and MBG/NBD, MBG/NBD describes the purchases of the base best (elpd 50.0 above "
        "that of BG/NBD, standard error 5.0). MBG/NBD is kept alone, since that is clear."
    )
    assert found.purchases.metadata.why in repr(found)


@pytest.mark.parametrize("repeating", [0, 1])
def test_too_few_repeat_customers_choose_nothing(repeating: int) -> None:
    """One history would put all weight on a model with a standard error of 0."""
    rows = [(i, 0, 0.0, 30.0 + i) for i in range(20)]
    rows[:repeating] = [(0, 2, 10.0, 30.0)] * repeating
    base = pd.DataFrame(rows, columns=["customer_id", "frequency", "recency", "T"])
    found = AutomaticModel().fit(base, method="laplace", on_failure="warn", **QUIET)
    assert isinstance(found, clv.BetaGeoPosterior)
    assert found.metadata.why == (
        "Fewer than 2 customers bought again, which does not tell models apart. BG/NBD, the "
        "default, is kept."
    )


def test_what_has_all_weight_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    said = timings(1.0, 5.0, {"bgnbd": 0.9999, "mbgnbd": 0.0001})
    monkeypatch.setattr(automatic, "timings_of", said)
    found = AutomaticModel().fit(SMALL, method="laplace", **QUIET)
    assert found.metadata.model == "bgnbd"
    assert "a mixture has all weight on it" in found.metadata.why


def test_what_is_not_told_apart_is_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    said = timings(1.0, 5.0, {"bgnbd": 0.6, "mbgnbd": 0.4})
    monkeypatch.setattr(automatic, "timings_of", said)
    found = clv.CLVModel(AUTO).fit(SMALL, method="laplace", **QUIET)
    stack = found.purchases
    assert isinstance(stack, StackPosterior)
    assert stack.weights == {"bgnbd": 0.6, "mbgnbd": 0.4}
    assert "stacked by weight: BG/NBD 0.60 and MBG/NBD 0.40." in stack.metadata.why
    assert len(sentences(stack.metadata.why)) == 2
    alone = {key: clv.CLVModel(key).purchases for key in stack.weights}
    members = {k: one.fit(SMALL, method="laplace", **QUIET) for k, one in alone.items()}
    again = clv.stack(members, weights=stack.weights)
    assert again.fingerprint() == stack.fingerprint()


def test_it_is_the_comparison_that_decides() -> None:
    """The table of clv.compare, on the same fits, leads to what was kept."""
    found = AutomaticModel().fit(SMALL, method="laplace", **QUIET)
    members = {
        key: clv.CLVModel(key).purchases.fit(SMALL, method="laplace", **QUIET) for key in FEW
    }
    compared = clv.compare(members, SMALL, time_unit="D")
    gap = compared.table.iloc[1]
    assert f"elpd {gap['elpd_diff']:,.1f} above" in found.metadata.why
    if isinstance(found, StackPosterior):
        assert found.weights == pytest.approx(compared.weights, abs=1e-9)
    else:
        assert found.metadata.model == compared.best


# --- how it is fitted ---


def test_nuts_samples_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    said = timings(50.0, 5.0, {"bgnbd": 1.0, "mbgnbd": 0.0})
    monkeypatch.setattr(automatic, "timings_of", said)
    how = {"method": "nuts", "draws": 1000, "tune": 500, "chains": 2}
    found = AutomaticModel().fit(SMALL, **how, **QUIET)
    alone = BetaGeoModel().fit(SMALL, **how, **QUIET)
    assert found.metadata.method == "nuts"
    assert found.fingerprint() == alone.fingerprint()
    assert "kept alone" in found.metadata.why


def test_a_fit_that_fails_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PurchaseSpecification._fit_columns

    def fail(self: Any, *args: Any, **options: Any) -> Any:
        if self.name == "mbgnbd":
            raise ConvergenceError("The nuts fit did not converge.")
        return whole(self, *args, **options)

    monkeypatch.setattr(PurchaseSpecification, "_fit_columns", fail)
    found = AutomaticModel().fit(SMALL, method="laplace", **QUIET)
    assert found.metadata.model == "bgnbd"
    assert "only model whose fit converged" in found.metadata.why
    assert "MBG/NBD was left out: The nuts fit did not converge." in found.metadata.notes


def test_where_all_fail_the_default_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *args: Any, **options: Any) -> Any:
        raise ConvergenceError(f"The fit of {self.name} did not converge.")

    monkeypatch.setattr(PurchaseSpecification, "_fit_columns", fail)
    with pytest.raises(ConvergenceError, match="fit of bgnbd"):
        AutomaticModel().fit(SMALL, method="laplace", **QUIET)


def test_priors_are_those_of_all_models() -> None:
    model = clv.CLVModel(AUTO).replace(purchases__priors="pymc-marketing")
    found = model.fit(SMALL, method="laplace", **QUIET)
    for one in found.purchases.metadata.members.values() or [found.purchases]:
        assert getattr(one, "metadata").priors["r"]["dist"] == "Weibull"  # noqa: B009
    with pytest.raises(SchemaError, match="priors"):
        AutomaticModel(priors={"r": 1})  # type: ignore[arg-type]


def test_the_default_stays_and_others_are_named() -> None:
    assert clv.CLVModel().purchases == BetaGeoModel()
    with pytest.raises(SchemaError, match="auto, bgnbd, mbgnbd"):
        clv.CLVModel(3)  # type: ignore[arg-type]


# --- regularity ---


def regular_base(k: int) -> pd.DataFrame:
    """Customers of BG/CNBD-k, with the sums of the logarithms of their gaps."""
    rng = np.random.default_rng(5)
    rows = []
    for customer in range(700):
        rate, T, times = rng.gamma(2.0, 1.0 / 40.0), 250.0, [0.0]
        while True:
            when = times[-1] + rng.gamma(k, 1.0 / (k * rate))
            if when > T:
                break
            times.append(when)
            if rng.random() < 0.15:
                break
        gaps = np.log(np.diff(times)).sum()
        rows.append((customer, len(times) - 1, times[-1], T, gaps))
    names = ["customer_id", "frequency", "recency", "T", "log_gaps"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize("k", [1, 3])
def test_regularity_is_found_by_evidence(k: int) -> None:
    base = regular_base(k)
    found = BetaGeoModel(regularity=AUTO).fit(base, method="laplace", **QUIET)
    assert found.facts.regularity == k
    alone = BetaGeoModel(regularity=k).fit(base, method="laplace", **QUIET)
    assert found.fingerprint() == alone.fingerprint()
    assert found.metadata.why.startswith(f"Regularity k = {k} was chosen of 1, 2")
    assert len(sentences(found.metadata.why)) == 2


def test_without_gaps_regularity_is_1_and_that_is_said() -> None:
    found = clv.ModifiedBetaGeoModel(regularity=AUTO).fit(SMALL, method="laplace", **QUIET)
    assert found.metadata.model == "mbgnbd"
    assert regularity.NO_GAPS in found.metadata.notes


@pytest.mark.parametrize("method", ["laplace", "map"])
def test_without_gaps_a_choice_says_so_whatever_is_kept(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    few = {key: MODELS[key] for key in ("bgnbd", "paretonbd")}
    monkeypatch.setattr(automatic, "MODELS", few)
    said = timings(50.0, 5.0, {"paretonbd": 1.0, "bgnbd": 0.0})
    monkeypatch.setattr(automatic, "timings_of", said)
    found = AutomaticModel().fit(SMALL, method=method, **QUIET)  # type: ignore[arg-type]
    assert (found.metadata.model, found.metadata.method) == ("paretonbd", method)
    assert found.metadata.notes.count(regularity.NO_GAPS) == 1


def test_three_are_listed_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automatic, "MODELS", MODELS)
    said = timings(1.0, 5.0, {"bgnbd": 0.6, "mbgnbd": 0.4})
    three = {"bgnbd": 0.5, "mbgnbd": 0.3, "paretonbd": 0.2}

    def say(models: Any, columns: Any, count: int) -> Timings:
        found = said(models, columns, count)
        table = found.table.reindex([*found.table.index, "paretonbd"])
        return replace(found, table=table.assign(weight=list(three.values())))

    monkeypatch.setattr(automatic, "timings_of", say)
    found = AutomaticModel().fit(SMALL, method="laplace", **QUIET)
    assert "by weight: BG/NBD 0.50, MBG/NBD 0.30 and Pareto/NBD 0.20." in found.metadata.why


def test_regularity_is_chosen_by_laplace_and_sampled_by_nuts() -> None:
    how = {"method": "nuts", "draws": 1000, "tune": 500, "chains": 2}
    found = BetaGeoModel(regularity=AUTO).fit(regular_base(2), **how, **QUIET)
    assert (found.facts.regularity, found.metadata.method) == (2, "nuts")


@pytest.mark.parametrize(
    ("asked", "customers", "again"), [("laplace", 100, "nuts"), ("auto", 20_000, "raise")]
)
def test_trials_fall_back_on_nuts_only_where_it_is_quick(
    asked: Any, customers: int, again: str
) -> None:
    found = regularity.trial_of(Settings(method=asked, draws=50, chains=1), customers)
    assert (found.method, found.on_failure, found.draws) == ("laplace", again, 50)


# --- from the log to the report ---


@pytest.mark.slow
def test_the_command_says_why_and_the_report_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, file, page = (tmp_path / name for name in ("rfm.parquet", "fit.nc", "page.html"))
    clv.RfmTable.from_frame(SMALL, time_unit="D").to_parquet(table)
    how = ["--model", "auto", "--method", "laplace", "--seed", "3"]
    assert main(["fit", str(table), "-o", str(file), *how]) == 0
    said = " ".join(capsys.readouterr().out.split())
    why = clv.load_posterior(file).purchases.metadata.why
    assert why in said
    assert main(["report", "--rfm", str(table), "--posterior", str(file), "-o", str(page)]) == 0
    assert why.split(" (")[0] in page.read_text(encoding="utf-8")
    assert main(["fit", str(table), "-o", str(file), *how, "--regularity", "2"]) == 2
    assert "The regularity too is chosen by --model auto" in capsys.readouterr().err
    how = ["--model", "mbgnbd", "--method", "laplace", "--regularity", "auto", "--seed", "3"]
    assert main(["fit", str(table), "-o", str(file), *how]) == 0
    assert "Regular timing (k > 1) was not tried" in " ".join(capsys.readouterr().out.split())


def test_the_command_names_what_takes_a_regularity(capsys: pytest.CaptureFixture[str]) -> None:
    how = ["--model", "paretonbd", "--regularity", "auto"]
    assert main(["fit", "rfm.parquet", "-o", "fit.nc", *how]) == 2
    said = capsys.readouterr().err
    assert "is not for Pareto/NBD: leave it out, or take one of BG/NBD, MBG/NBD." in said


def test_the_command_lists_auto_among_its_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "rfm.parquet", "-o", "fit.nc", "--model", "pareto"]) == 2
    assert "use one of 'auto', 'bgnbd'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_backtest_chooses_on_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    said = timings(1.0, 5.0, {"bgnbd": 0.6, "mbgnbd": 0.4})
    monkeypatch.setattr(automatic, "timings_of", said)
    log = simulate_log(
        400,
        r=0.6,
        alpha=20.0,
        a=0.7,
        b=2.0,
        T=(60.0, 300.0),
        seed=8,
        observation_end="2024-12-31",
    )
    how = {"random_seed": 3, "progressbar": False, "method": "laplace"}
    found = clv.backtest(log, **COLUMNS, train_period_end="2024-09-30", model="auto", **how)
    assert set(found.fits) == {"stack"}
    assert found.settings["model"] == "auto"
    assert np.isfinite(found.tracking["expected"]).all()


def test_the_centre_of_a_stack_is_that_of_its_members() -> None:
    stack = clv.stack(
        {
            "one": clv.BetaGeoPosterior.from_draws(r=[0.5, 0.6], alpha=9.0, a=0.8, b=2.0),
            "other": clv.ModifiedBetaGeoPosterior.from_draws(r=[0.7, 0.8], alpha=9.0, a=0.8, b=2.0),
        },
        draws=4,
    )
    points = centre(stack)
    assert isinstance(points, StackPosterior)
    assert points.members["one"].draws()["r"][0] == pytest.approx(np.sqrt(0.5 * 0.6))
    assert Fitting("auto", {}).name == "auto"
