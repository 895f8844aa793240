"""One set of verbs and argument names over every model, and a docstring on all of it."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
import typing
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import clvmodels
from clvmodels import (
    BetaGeoModel,
    BetaGeoPosterior,
    CLVModel,
    CLVPosterior,
    GammaGammaModel,
    GammaGammaPosterior,
    ModifiedBetaGeoModel,
    RfmTable,
    load_posterior,
)
from clvmodels.errors import ConvergenceError, DomainError, SchemaError
from clvmodels.fit import density
from clvmodels.fit.purchases import purchase_specification
from clvmodels.fit.run import FitTerms
from clvmodels.fit.specification import Specification
from clvmodels.posterior.by_model import purchase_posterior
from clvmodels.purchases import MODELS, PurchaseModel
from clvmodels.purchases.family import Family, LeavesAtPurchases, Living, NoCalendar, OnePhase
from clvmodels.simulate import simulate_rfm
from tests.kinds import KINDS
from tests.toy_family import TOY

PURCHASES = [purchase_specification(key) for key in KINDS]
SPECIFICATIONS = [*PURCHASES, GammaGammaModel()]
NAMES = [*KINDS, GammaGammaModel.name]
POSTERIORS = {kind: purchase_posterior(kind.name) for kind in PURCHASES}
POSTERIORS[GammaGammaModel()] = GammaGammaPosterior
# Given, so that every base meets the same priors.
SCALES = {kind: {"T_scale": 200.0} for kind in PURCHASES}
SCALES[GammaGammaModel()] = {"v_scale": 20.0}
RFM = simulate_rfm(
    300, r=0.55, alpha=30, a=0.8, b=2.5, p=6.25, q=3.74, v=15.44, T=(5, 400), seed=4, cents=True
)
QUIET = {"progressbar": False, "random_seed": 1}


def ready(kind):
    return kind.replace(**SCALES[kind])


def parameters(function) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


# --- the same verbs ---


@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
@pytest.mark.parametrize("verb", ["build", "fit", "replace", "resolved_priors"])
def test_verbs_have_one_signature(kind, verb: str) -> None:
    assert inspect.signature(getattr(kind, verb)) == inspect.signature(
        getattr(BetaGeoModel(), verb)
    )


@pytest.mark.parametrize("kind", [*SPECIFICATIONS, CLVModel()], ids=[*NAMES, "clv"])
@pytest.mark.parametrize("verb", ["get_params", "set_params", "replace"])
def test_verbs_of_scikit_learn_have_one_signature(kind, verb: str) -> None:
    assert inspect.signature(getattr(kind, verb)) == inspect.signature(
        getattr(BetaGeoModel(), verb)
    )


@pytest.mark.parametrize("kind", [*SPECIFICATIONS, CLVModel()], ids=[*NAMES, "clv"])
def test_past_the_data_all_is_by_keyword(kind) -> None:
    rfm, *rest = parameters(kind.fit).values()
    assert rfm.name == "rfm"
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    assert all(one.kind in by_name for one in rest)


def test_fit_has_the_contracts_arguments() -> None:
    found = parameters(BetaGeoModel.fit)
    wanted = ["method", "draws", "tune", "chains", "random_seed", "progressbar", "on_failure"]
    assert set(wanted) <= set(found)
    defaults = {name: found[name].default for name in ("method", "draws", "chains")}
    assert defaults == {"method": "auto", "draws": 1000, "chains": 4}
    assert found["random_seed"].default is None
    hints = typing.get_type_hints(FitTerms)
    assert set(hints) == set(found) - {"self", "rfm"}
    assert typing.get_origin(hints["method"]) is typing.Literal
    assert set(typing.get_args(hints["method"])) == {"auto", "nuts", "laplace", "map"}
    assert set(typing.get_args(hints["on_failure"])) == {"nuts", "raise", "warn"}


@pytest.mark.parametrize("name", ["BetaGeoPosterior", "ModifiedBetaGeoPosterior"])
def test_purchase_posteriors_have_the_peers_names(name: str) -> None:
    kind = getattr(clvmodels, name)
    for verb, argument in {
        "expected_purchases": "future_t",
        "probability_of_purchase": "future_t",
        "expected_purchases_new_customer": "t",
    }.items():
        assert parameters(getattr(kind, verb))[argument].kind is inspect.Parameter.KEYWORD_ONLY
    alive = parameters(kind.expected_probability_alive)
    assert list(alive) == ["self", "data", "time_unit", "time_scaler"]
    assert alive["time_unit"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(parameters(kind.from_draws))[:4] == ["r", "alpha", "a", "b"]


@pytest.mark.parametrize("kind", POSTERIORS.values(), ids=NAMES)
@pytest.mark.parametrize(
    "verb", ["draws", "summary", "save", "fingerprint", "log_likelihood", "to_datatree"]
)
def test_posteriors_have_one_set_of_verbs(kind, verb: str) -> None:
    found = inspect.signature(getattr(kind, verb))
    assert found == inspect.signature(getattr(BetaGeoPosterior, verb))
    first, *rest = list(found.parameters.values())[1:] or [None]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in rest)
    if "_" in verb:
        assert first.name == "rfm"


@pytest.mark.parametrize("verb", ["log_likelihood", "to_datatree", "draws"])
def test_both_posteriors_together_have_the_same_verbs(verb: str) -> None:
    found, wanted = (inspect.signature(getattr(k, verb)) for k in (CLVPosterior, BetaGeoPosterior))
    assert found == wanted


def test_what_goes_over_is_posterior_and_table() -> None:
    posterior, rfm, *rest = parameters(clvmodels.to_pymc_marketing).values()
    assert (posterior.name, rfm.name) == ("posterior", "rfm")
    assert [one.name for one in rest] == ["time_unit", "time_scaler"]
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in rest)


def test_what_comes_over_is_asked_for_by_keyword() -> None:
    model, spend, *rest = parameters(clvmodels.from_pymc_marketing).values()
    assert (model.name, spend.name, spend.default) == ("model", "spend", None)
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in rest)


@pytest.mark.parametrize("model", [*MODELS.values(), TOY], ids=[*MODELS, TOY.key])
def test_a_family_has_every_verb(model: PurchaseModel) -> None:
    for name in (n for n in vars(Family) if not n.startswith("_")):
        if isinstance(vars(Family)[name], property):
            assert hasattr(model.formulas, name), name
            continue
        _, *wanted = parameters(getattr(Family, name))
        found = list(parameters(getattr(model.formulas, name)))
        named = [one for one in wanted if one != "parameters"] + list(model.parameter_names)
        assert found in (wanted, named), name


def test_ten_lines_name_all_that_a_model_is_made_of() -> None:
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## Adding a model of purchases")[1].split("\n## ")[0].strip()
    assert len(section.splitlines()) <= 10
    assert all(len(line) <= 124 for line in section.splitlines())
    wanted = {name for kind in (Family, Living) for name in vars(kind) if not name.startswith("_")}
    mix_ins = {OnePhase.__name__, LeavesAtPurchases.__name__, NoCalendar.__name__}
    named = set(re.findall(r"`([^`]+)`", section))
    assert wanted | mix_ins | {Family.__name__, PurchaseModel.__name__} <= named
    for path in (one for one in named if "/" in one):
        there = (Path(__file__).parents[2], Path(clvmodels.__file__).parent)
        assert any((folder / path).exists() for folder in there), path


# --- specifications ---


@pytest.mark.parametrize("kind", [*SPECIFICATIONS, CLVModel()], ids=[*NAMES, "clv"])
def test_specifications_are_frozen(kind) -> None:
    one = kind.replace()
    field = dataclasses.fields(one)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, field, "other")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.something_new = 1
    assert one == kind.replace()
    assert one is not kind.replace()


@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_replace_leaves_the_original(kind) -> None:
    one = kind.replace()
    other = one.replace(priors="pymc-marketing")
    assert type(other) is type(kind)
    assert other.name == kind.name
    assert (one.priors, other.priors) == ("default", "pymc-marketing")


@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_build_gives_an_ordinary_model_and_leaves_the_table(kind) -> None:
    import pymc as pm

    before = RFM.copy(deep=True)
    model = kind.build(RFM)
    assert isinstance(model, pm.Model)
    assert set(POSTERIORS[kind].parameters) <= set(model.named_vars)
    assert model.str_repr()
    pd.testing.assert_frame_equal(RFM, before)
    same = kind.build(RfmTable.from_pandas(RFM))
    assert set(same.named_vars) == set(model.named_vars)


@pytest.mark.parametrize("kind", [*SPECIFICATIONS, CLVModel()], ids=[*NAMES, "clv"])
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"method": "advi"}, SchemaError, "method='advi'.*'nuts'"),
        ({"on_failure": "ignore"}, SchemaError, "on_failure='ignore'.*'warn'"),
        ({"draws": 0}, DomainError, "draws=0"),
        ({"chains": 0}, DomainError, "chains=0"),
    ],
)
def test_options_without_a_meaning(kind, options, error, says: str) -> None:
    with pytest.raises(error, match=says):
        kind.fit(RFM, **options)
    with pytest.raises(TypeError, match="has no option 'samples'"):
        kind.fit(RFM, samples=3)
    with pytest.raises(SchemaError, match="lacks"):
        kind.fit(RFM.drop(columns=["frequency"]))


# --- fits ---


@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_a_mode_and_what_is_known_of_it(kind) -> None:
    table = RfmTable.from_pandas(RFM, observation_end="2024-02-29")
    before = RFM.copy(deep=True)
    posterior = ready(kind).fit(table, method="map", **QUIET)
    assert type(posterior) is POSTERIORS[kind]
    assert (posterior.draws_total, posterior.certain) == (1, True)
    known = posterior.metadata
    assert (known.method, known.seed, known.observation_end) == ("map", 1, "2024-02-29")
    assert known.prior_scales == SCALES[kind]
    assert set(known.priors) == set(kind.facts.defaults)
    assert len(known.fingerprint) == 64
    assert known.versions["clvmodels"] == clvmodels.__version__
    assert {"pymc", "numpy", "nutpie"} <= set(known.versions)
    assert list(posterior.summary().index) == list(posterior.parameters)
    assert "map" in repr(posterior)
    assert "map" in posterior._repr_html_()
    pd.testing.assert_frame_equal(RFM, before)


def test_a_fitted_mode_has_no_intervals() -> None:
    specification = CLVModel(ready(BetaGeoModel()), ready(GammaGammaModel()))
    table = specification.fit(RFM, method="map", **QUIET).predict(RFM)
    empty = [name for name in table if name.endswith(("_sd", "_lower", "_upper"))]
    assert len(empty) == 9
    assert table[empty].isna().all(axis=None)
    assert table.drop(columns=empty).notna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "laplace"])
@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_draws_with_sample_statistics(kind, method: str, tmp_path) -> None:
    posterior = ready(kind).fit(RFM, method=method, **QUIET)
    assert posterior.verdict.ok
    assert posterior.verdict.method == posterior.metadata.method == method
    groups = posterior.tree
    assert set(groups.children) == {"posterior", "sample_stats"}
    assert dict(groups["posterior"].sizes) == {"chain": 4, "draw": 1000}
    needed = {"nuts": ["diverging", "energy", "lp"], "laplace": ["khat", "importance_ess"]}
    assert set(needed[method]) <= set(groups["sample_stats"].data_vars)
    for name in posterior.parameters:
        assert (groups["posterior"][name] > 0).all()
    back = load_posterior(posterior.save(tmp_path / "p.nc"))
    assert back.fingerprint() == posterior.fingerprint()
    assert back.metadata == posterior.metadata
    summary = posterior.summary()
    assert list(summary.index) == list(posterior.parameters)
    assert summary[["mean", "sd"]].notna().all(axis=None)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "laplace"])
@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_the_same_seed_gives_the_same_draws(kind, method: str, rng) -> None:
    """To the last bit, in whatever order the rows come; another seed, others."""
    options = {"method": method, "progressbar": False}
    shuffled = RFM.iloc[rng.permutation(len(RFM))]
    one = ready(kind).fit(RFM, random_seed=7, **options)
    same = ready(kind).fit(shuffled, random_seed=7, **options)
    other = ready(kind).fit(RFM, random_seed=8, **options)
    assert one.fingerprint() == same.fingerprint()
    assert one.metadata.fingerprint == same.metadata.fingerprint
    assert one.fingerprint() != other.fingerprint()


@pytest.mark.slow
def test_without_a_seed_one_is_drawn_and_kept() -> None:
    options = {"method": "laplace", "progressbar": False}
    one, other = (ready(BetaGeoModel()).fit(RFM, **options) for _ in range(2))
    assert one.metadata.seed != other.metadata.seed
    again = ready(BetaGeoModel()).fit(RFM, random_seed=one.metadata.seed, **options)
    assert again.fingerprint() == one.fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_a_failed_fit_is_never_silent(kind, tmp_path) -> None:
    """Too few draws to judge: an error, or a warning with the verdict kept for good."""
    short = {"method": "nuts", "draws": 8, "tune": 50, **QUIET}
    for choice in ("raise", "nuts"):
        with pytest.raises(ConvergenceError, match=r"bulk ESS.*on_failure='warn'"):
            ready(kind).fit(RFM, on_failure=choice, **short)
    with pytest.warns(UserWarning, match="did not converge"):
        posterior = ready(kind).fit(RFM, on_failure="warn", **short)
    assert posterior.verdict.status == "fail"
    back = load_posterior(posterior.save(tmp_path / "p.nc"))
    assert back.verdict.status == "fail"
    assert "fail" in repr(back)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPECIFICATIONS, ids=NAMES)
def test_laplace_that_fails_goes_on_to_nuts_and_says_so(kind, tmp_path) -> None:
    """A hundred importance draws can never have an effective size of a hundred."""
    few = {"method": "laplace", "importance_draws": 100, **QUIET}
    with pytest.warns(UserWarning, match="importance ESS.*Went on to NUTS"):
        posterior = ready(kind).fit(RFM, **few)
    assert posterior.metadata.method == posterior.verdict.method == "nuts"
    assert posterior.verdict.ok
    back = load_posterior(posterior.save(tmp_path / "p.nc"))
    assert "Went on to NUTS" in back.metadata.notes[0]
    with pytest.raises(ConvergenceError, match="importance ESS"):
        ready(kind).fit(RFM, on_failure="raise", **few)
    with pytest.warns(UserWarning, match="importance ESS"):
        kept = ready(kind).fit(RFM, on_failure="warn", **few)
    assert kept.metadata.method == "laplace"
    assert not kept.verdict.ok


@pytest.mark.slow
def test_both_models_together(tmp_path) -> None:
    specification = CLVModel(
        purchases=ready(ModifiedBetaGeoModel()), spend=ready(GammaGammaModel())
    )
    posterior = specification.fit(RFM, method="laplace", **QUIET)
    assert isinstance(posterior, CLVPosterior)
    assert set(posterior.verdicts) == {"mbgnbd", "gamma_gamma"}
    assert list(posterior.summary().index) == ["r", "alpha", "a", "b", "p", "q", "v"]
    table = posterior.predict(RFM)
    assert table.notna().all(axis=None)
    back = load_posterior(posterior.save(tmp_path / "p.nc"))
    pd.testing.assert_frame_equal(back.predict(RFM), table, check_exact=True)


@pytest.mark.slow
def test_fits_that_share_a_compilation_do_not_share_data() -> None:
    """One compiled density per prior: each base and each prior gets its own posterior."""
    other = simulate_rfm(300, r=2.0, alpha=15, a=0.3, b=5.0, T=(5, 400), seed=8)
    options = {"method": "laplace", **QUIET}
    first = ready(BetaGeoModel()).fit(RFM, **options)
    second = ready(BetaGeoModel()).fit(other, **options)
    again = ready(BetaGeoModel()).fit(RFM, **options)
    moved = BetaGeoModel(T_scale=2e4).fit(RFM, **options)
    assert again.fingerprint() == first.fingerprint()
    means = [float(np.log(p.draws()["r"]).mean()) for p in (first, second)]
    assert abs(means[0] - np.log(0.55)) < 1.0 < means[1] - means[0] + 0.5
    assert moved.draws()["alpha"].mean() > 1.02 * first.draws()["alpha"].mean()


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=NAMES)
def test_bases_of_any_scale_share_a_compilation(
    specification: Specification, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {name: 2.0 * RFM[name] for name in ("recency", "T")}
    other = RFM.assign(**later, monetary_value=3.0 * RFM["monetary_value"])
    first = specification.fit(RFM, method="map", **QUIET)
    compiled: list[object] = []
    monkeypatch.setattr(density._Compiled, "_made", lambda *args: compiled.append(args))
    second = specification.fit(other, method="map", **QUIET)
    assert not compiled
    # Default priors know no units: what is a time or an amount goes with the scale.
    money = specification.name == "gamma_gamma"
    goes, by = (("v",), 3.0) if money else (("alpha", "beta"), 2.0)
    for name, value in second.draws().items():
        expected = (by if name in goes else 1.0) * first.draws()[name][0]
        assert value[0] == pytest.approx(expected, rel=1e-4)


# --- documentation ---


def modules() -> list[str]:
    found = pkgutil.walk_packages(clvmodels.__path__, "clvmodels.")
    # Underscored ones are private; running a __main__ is running the command.
    names = [module.name for module in found if "._" not in module.name]
    return ["clvmodels", *names]


def load(name: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other packages', on import
        return importlib.import_module(name)


def undocumented(module: ModuleType) -> list[str]:
    missing = [] if module.__doc__ else [module.__name__]
    for name, member in vars(module).items():
        own = getattr(member, "__module__", None) == module.__name__
        if name.startswith("_") or not own or not callable(member):
            continue
        if not inspect.getdoc(member):
            missing.append(f"{module.__name__}.{name}")
        if inspect.isclass(member):
            for attribute, value in vars(member).items():
                function = getattr(value, "__func__", getattr(value, "fget", value))
                if (
                    not attribute.startswith("_")
                    and inspect.isfunction(function)
                    and not inspect.getdoc(getattr(member, attribute))
                ):
                    missing.append(f"{module.__name__}.{name}.{attribute}")
    return missing


@pytest.mark.parametrize("name", modules())
def test_all_that_is_public_is_documented(name: str) -> None:
    assert undocumented(load(name)) == []


@pytest.mark.parametrize("name", clvmodels.__all__)
def test_public_names_document_their_arguments(name: str) -> None:
    """Each argument of a public function or class is named in its documentation."""
    member = getattr(clvmodels, name)
    if not callable(member) or (inspect.isclass(member) and issubclass(member, Exception)):
        return
    callables = {name: member}
    if inspect.isclass(member):
        # A subclass may leave the fields that it shares to its base, by name.
        text = "\n".join(inspect.getdoc(base) or "" for base in member.__mro__)
        callables = {
            f"{name}.{verb}": function
            for verb, function in inspect.getmembers(member, inspect.isroutine)
            if not verb.startswith("_") and getattr(function, "__module__", "").startswith("clv")
        }
        if dataclasses.is_dataclass(member):
            for field in dataclasses.fields(member):
                assert field.name in text or field.name.startswith("_"), f"{name}: {field.name}"
    for label, function in callables.items():
        text = inspect.getdoc(function) or ""
        arguments = set(parameters(function)) - {"self", "cls"}
        # A single one is what the first line is about; others may be another's.
        if len(arguments) > 1 and ":meth:" not in text:
            assert [one for one in arguments if one not in text] == [], label


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(load(name), optionflags=flags)
    assert failed == 0


def test_there_are_examples() -> None:
    """Every public class and function of the main path shows how it is used."""
    finder = doctest.DocTestFinder(recurse=False)
    without = [
        name
        for name in clvmodels.__all__
        if inspect.isclass(member := getattr(clvmodels, name))
        and name.endswith(("Model", "Posterior"))
        and not any(test.examples for test in finder.find(member, name))
    ]
    assert without == []
