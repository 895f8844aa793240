"""Where a report comes from, how to make it again, and what to cite."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from clvmodels import __version__
from clvmodels.diagnostics.chains import kind_of
from clvmodels.diagnostics.densities import prior_text
from clvmodels.diagnostics.record import Section, Table
from clvmodels.diagnostics.study import Question, Study, model_name
from clvmodels.diagnostics.words import number, percent
from clvmodels.posterior import Metadata

_VERSIONED: Final = ("numpy", "scipy", "pandas", "xarray", "arviz-stats", "numba", "matplotlib")
_SOURCES: Final[Mapping[str, str]] = {
    "nuts": "Hoffman, M. D. & Gelman, A. (2014). The No-U-Turn sampler. Journal of Machine "
    "Learning Research 15, 1593-1623; nutpie, https://github.com/pymc-devs/nutpie.",
    "laplace": "Vehtari, A., Simpson, D., Gelman, A., Yao, Y. & Gabry, J. (2024). Pareto smoothed "
    "importance sampling. Journal of Machine Learning Research 25(72), 1-58.",
    "rhat": "Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. & Buerkner, P.-C. (2021). "
    "Rank-normalization, folding, and localization: an improved R-hat. Bayesian Analysis 16(2), "
    "667-718.",
    "psense": "Kallioinen, N., Paananen, T., Buerkner, P.-C. & Vehtari, A. (2024). Detecting and "
    "diagnosing prior and likelihood sensitivity with power-scaling. Statistics and Computing 34, "
    "57.",
    "arviz": "Kumar, R., Carroll, C., Hartikainen, A. & Martin, O. (2019). ArviZ: a unified "
    "library for exploratory analysis of Bayesian models in Python. Journal of Open Source "
    "Software 4(33), 1143.",
}


def provenance_of(study: Study, date: str | None) -> dict[str, Any]:
    """Plain values for the record.

    Parameters
    ----------
    study : Study
    date : str, optional
        When the report was made, as it is to be printed; by default it is not said, so that
        the same input gives the same report.
    """
    question = study.question
    return {
        "date": date,
        "observation_end": study.purchases.metadata.observation_end,
        "customers": study.histories.customers,
        "table_fingerprint": study.histories.fingerprint(),
        "random_seed": question.random_seed,
        "settings": {
            "horizon": question.horizon,
            "discount_rate": question.discount_rate,
            "discounting": question.discounting,
            "interval": question.interval,
            "draws": question.draws,
            "currency": question.currency,
            "margin": study.rfm.margin,
            "time_unit": study.scale.time_unit,
            "time_scaler": study.scale.time_scaler,
        },
        "models": {
            kind_of(one): _model(one.metadata, one.tree["posterior"], one.fingerprint())
            for one in study.models
        },
        "report_versions": report_versions(),
        "log": study.log is not None,
        "backtest": None
        if study.backtest is None
        else {"train_end": study.backtest.train_end, "test_end": study.backtest.test_end},
        "reproduce": reproduce(study),
        "cite": list(citations(study)),
    }


def _model(known: Metadata, group: Any, fingerprint: str) -> dict[str, Any]:
    return {
        "model": known.model,
        "method": known.method,
        "chains": int(group.sizes["chain"]),
        "draws": int(group.sizes["draw"]),
        "seed": known.seed,
        "sampling_seconds": group.attrs.get("sampling_time"),
        "priors": {name: prior_text(record) for name, record in known.priors.items()},
        "prior_scales": dict(known.prior_scales),
        "fitted_customers": known.base.get("customers"),
        "data_fingerprint": known.fingerprint,
        "draws_fingerprint": fingerprint,
        "versions": dict(known.versions),
        "notes": list(known.notes),
    }


def report_versions() -> dict[str, str]:
    """Versions of what the report's numbers were computed with."""
    found = {"clvmodels": __version__, "python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def reproduce(study: Study) -> list[str]:
    """Three lines of Python that make this report again."""
    asked, usual = study.question, Question()
    names = (
        "horizon",
        "discount_rate",
        "discounting",
        "interval",
        "draws",
        "margin",
        "cac",
        "currency",
        "random_seed",
    )
    changed = [
        f"{name}={getattr(asked, name)!r}"
        for name in names
        if getattr(asked, name) != getattr(usual, name)
    ]
    given = ["posterior", "rfm", *(["log=log"] if study.log is not None else [])]
    given += ["backtest=backtest"] if study.backtest is not None else []
    return [
        "import clvmodels",
        'posterior, rfm = clvmodels.load_posterior("posterior.nc"), '
        'clvmodels.RfmTable.from_parquet("rfm.parquet")',
        f'clvmodels.report({", ".join([*given, *changed])}).save("report.html")',
    ]


def citations(study: Study) -> Iterator[str]:
    """The sources that this report rests on."""
    methods = {one.metadata.method for one in study.models}
    for one in study.models:
        yield one.facts.papers
    for method in ("nuts", "laplace"):
        if method in methods:
            yield _SOURCES[method]
    if "nuts" in methods:
        yield _SOURCES["rhat"]
    yield _SOURCES["psense"]
    yield _SOURCES["arviz"]


def provenance_section(study: Study, provenance: Mapping[str, Any]) -> Section:
    """Versions, seed, priors, sampler settings, fingerprints, date, and what to cite."""
    return Section(
        key="provenance",
        title="Where this comes from",
        intro="The same files, versions and seeds give the same numbers.",
        tables=(
            _facts_table(study, provenance),
            *(
                _model_table(kind_of(one), model_name(one), provenance["models"][kind_of(one)])
                for one in study.models
            ),
            _lines("reproduce", "How to reproduce it", "line", provenance["reproduce"]),
            _lines("cite", "What to cite", "source", provenance["cite"]),
        ),
    )


def _facts_table(study: Study, provenance: Mapping[str, Any]) -> Table:
    settings = provenance["settings"]
    rate = settings["discount_rate"]
    rows = [
        *((("made on", provenance["date"]),) if provenance["date"] else ()),
        ("observed until", provenance["observation_end"] or "unknown"),
        ("customers", f"{provenance['customers']:,}"),
        ("horizon", study.scale.horizon_words(settings["horizon"])),
        *(
            ()
            if study.clv is None  # money that is in no figure
            else (
                ("discount rate a year", f"{percent(rate)}, {settings['discounting']}"),
                ("margin", percent(settings["margin"])),
            )
        ),
        ("interval", percent(settings["interval"])),
        ("draws used", f"{settings['draws']:,}"),
        ("time unit", str(study.scale)),
        ("seed of the report", str(provenance["random_seed"])),
        ("fingerprint of the table", provenance["table_fingerprint"]),
    ]
    rows += [(f"version of {name}", text) for name, text in provenance["report_versions"].items()]
    return Table("facts", "This report", ("what", "value"), tuple(rows))


def _model_table(kind: str, name: str, known: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, str]] = [
        ("method", known["method"]),
        ("chains x draws", f"{known['chains']:,} x {known['draws']:,}"),
        ("seed of the fit", "unknown" if known["seed"] is None else str(known["seed"])),
    ]
    if known["sampling_seconds"] is not None:
        rows.append(("time to fit, seconds", number(float(known["sampling_seconds"]))))
    rows += [(f"prior of {one}", text) for one, text in known["priors"].items()]
    rows += [(one, number(float(value), 6)) for one, value in known["prior_scales"].items()]
    rows += [
        ("fingerprint of the data", known["data_fingerprint"] or "unknown"),
        ("fingerprint of the draws", known["draws_fingerprint"]),
    ]
    rows += [(f"version of {one}, at the fit", text) for one, text in known["versions"].items()]
    return Table(f"fit-{kind}", f"The fit of {name}", ("what", "value"), tuple(rows))


def _lines(key: str, title: str, column: str, lines: list[str]) -> Table:
    rows = tuple((str(i), line) for i, line in enumerate(lines, start=1))
    return Table(key, title, ("", column), rows)
