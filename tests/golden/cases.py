"""Everything whose numbers may not change: a dictionary from name to a function of a folder.

Each function returns a flat record of arrays. What is not public is imported where it is
used, so that a module that moves changes one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import clvmodels as clv
from tests.golden import inputs
from tests.golden.inputs import MODELS
from tests.golden.values import Flat, flat

Case = Callable[[Path], Flat]
OUTCOME: Final = {"predictive": True}
TERMS: Final[Mapping[str, dict[str, Any]]] = {
    "year": {},
    "outcome": {"horizon": "180D", "interval": 0.5, **OUTCOME},
    "monthly": {"horizon": "12M", "discounting": "monthly", "discount_rate": 0.2, **OUTCOME},
    "margin": {"horizon": 30, "margin": 0.125, "discount_rate": 0.0, "interval": 0.99},
    "few": {"horizon": "52W", "draws": 7},
    "nothing": {"horizon": 0},
}


# --- formulas and likelihood -------------------------------------------------------------


def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Histories with every combination of small and huge x, and of recency and age."""
    x, T, share = np.meshgrid(
        [0.0, 1.0, 2.0, 5.0, 40.0, 1000.0], [0.0, 1.0, 200.0, 1e4], [0.0, 0.01, 0.7, 1.0]
    )
    x, T, share = x.ravel(), T.ravel(), share.ravel()
    t_x = np.where(x > 0, share * T, 0.0)
    return np.unique(np.column_stack([x, t_x, T]), axis=0).T


def weights(model: str, folder: Path) -> Flat:
    """P(alive) and what the loops multiply it by, for a grid of histories."""
    formulas = inputs.purchases(model).formulas
    x, t_x, T = _grid()
    draws = {name: inputs.draws("usual")[name][::10, None] for name in ("r", "alpha", "a", "b")}
    who, n = (x, t_x, T), np.array([0.0, 1.0, 2.0, 17.0])[:, None, None]
    ages = np.array([0.0, 1.0, 30.0, 365.0, 1e4])
    vectors = {name: values[:, 0] for name, values in draws.items()}
    return flat(
        log_likelihood=formulas.log_likelihood(*who, **draws),
        p_alive=formulas.p_alive(*who, **draws),
        odds=formulas.log_odds_terms(x, **draws),
        stay=formulas.stay_shape(x, b=draws["b"]),
        p_purchase=formulas.p_purchase(*who, 365.0, **draws),
        expected=formulas.expected_purchases(*who, 365.0, **draws),
        expected_endless=formulas.expected_purchases(*who, np.inf, **draws),
        discounted=formulas.discounted_purchases(*who, 365.0, 3e-4, **draws),
        discounted_endless=formulas.discounted_purchases(*who, np.inf, 3e-4, **draws),
        discounted_monthly=formulas.discounted_purchases(*who, 365.0, 3e-4, month=30.4375, **draws),
        block=formulas.if_alive_block(x, T, 365.0, 3e-4, **vectors),
        along=formulas.if_alive_along(2.0, [0.0, 30.0, 700.0], ages, **vectors),
        pmf=formulas.pmf(n, *who, 90.0, **draws),
        pmf_new=formulas.pmf_new(np.arange(6.0)[:, None], 90.0, **vectors),
        new=formulas.expected_purchases_new(ages, **draws),
        discounted_new=formulas.discounted_purchases_new(ages, 3e-4, **draws),
    )


_POINTS: Final = {
    "r": (0.3, 1.7),
    "alpha": (9.0, 60.0),
    "phi_dropout": (0.15, 0.6),
    "kappa_dropout": (1.4, 12.0),
    "p": (2.5, 9.0),
    "q": (1.6, 7.0),
    "v": (8.0, 40.0),
}


def _density(specification: Callable[..., Any]) -> Flat:
    """Log density of the pm.Model and its gradient, with both sets of priors.

    Also of a few customers, whose terms do not drown in those of the frequent.
    """
    from clvmodels.fit.density import compile_density, unconstrain

    few = inputs.frame().query("frequency < 8 and monetary_value < 1000").head(6)
    found = {}
    for name, priors, base in (
        ("default", "default", inputs.base()),
        ("peer", "pymc-marketing", inputs.base()),
        ("few", "default", few),
    ):
        model = specification(priors=priors).build(base)
        variables = [one.name for one in model.free_RVs]
        theta = unconstrain(model, {one: np.array(_POINTS[one]) for one in variables})
        sampled = compile_density(model)
        values, gradients = zip(*map(sampled, theta), strict=True)
        found[name] = {
            "logp": values,
            "dlogp": dict(zip(variables, np.transpose(gradients), strict=True)),
            "constrained": sampled.constrain(theta),
        }
        if name == "default":
            alone, of_mode = sampled.value_function(), compile_density(model, jacobian=False)
            found[name]["logp_alone"] = [alone(one) for one in theta]
            found[name]["logp_of_mode"] = [of_mode(one)[0] for one in theta]
    return flat(**found)


def density(model: str, folder: Path) -> Flat:
    """Of the purchase model."""
    return _density({"bgnbd": clv.BetaGeoModel, "mbgnbd": clv.ModifiedBetaGeoModel}[model])


def density_of_spend(folder: Path) -> Flat:
    """Of the spend model."""
    return _density(clv.GammaGammaModel)


# --- predictions -------------------------------------------------------------------------


def _predicted(posterior: clv.CLVPosterior, rfm: Any, **options: Any) -> pd.DataFrame:
    found = posterior.predict(rfm, **options)
    return found.drop(columns=["frequency", "recency", "T", "monetary_value"])


def predict(model: str, folder: Path) -> Flat:
    """Every column of `predict` under every setting that has a path of its own."""
    base, usual = inputs.base(), inputs.posterior(model)
    lasting = inputs.posterior(model, "lasting", margin=0.6)
    found = {name: _predicted(usual, base, **options) for name, options in TERMS.items()}
    found["life"] = _predicted(usual, base, horizon=None)
    found["lasting_life"] = _predicted(lasting, inputs.base(margin=None), horizon=None)
    found["single"] = _predicted(inputs.posterior(model, "single"), base, **OUTCOME)
    found["heavy"] = _predicted(inputs.posterior(model, "heavy"), base, **OUTCOME)
    weekly = inputs.posterior(model, weeks=True), inputs.base(weeks=True)
    found["weeks"] = _predicted(*weekly, horizon="26W", **OUTCOME)
    found["frame"] = _predicted(usual, inputs.frame().head(12))
    return flat(**found)


def expected(model: str, folder: Path) -> Flat:
    """The methods that return draws by customers."""
    found, some = inputs.purchases(model), inputs.base().to_pandas().iloc[::9]
    spend = inputs.spend("heavy")
    return flat(
        alive=found.expected_probability_alive(some),
        purchase=found.probability_of_purchase(some, future_t="90D"),
        purchase_ever=found.probability_of_purchase(some, future_t=None),
        purchases=found.expected_purchases(some, future_t="2Y"),
        purchases_ever=found.expected_purchases(some, future_t=None),
        new=found.expected_purchases_new_customer(t=["30D", 365, "10Y"]),
        new_ever=found.expected_purchases_new_customer(),
        log_likelihood=found.log_likelihood(some),
        log_likelihood_of_spend=spend.log_likelihood(some),
        spend=spend.expected_customer_spend(some),
        summary=found.summary(),
        fingerprint=inputs.posterior(model).fingerprint(),
    )


def totals(model: str, folder: Path) -> Flat:
    """Values of the whole base and of new customers."""
    base, usual = inputs.base(), inputs.posterior(model, margin=0.4)
    lasting = inputs.posterior(model, "lasting")
    monthly = {"discounting": "monthly", "discount_rate": 0.15}
    total = clv.economics.customer_equity
    return flat(
        total=total(usual, base),
        total_monthly=total(usual, inputs.base(margin=None), horizon="12M", **monthly),
        total_life=total(lasting, base, horizon=None, interval=0.5, draws=11),
        total_single=total(inputs.posterior(model, "single"), base),
        new=usual.new_customer_value(),
        new_monthly=usual.new_customer_value("24M", **monthly, margin=0.1),
        new_life=lasting.new_customer_value(None, interval=0.5),
    )


def planned(model: str, folder: Path) -> Flat:
    """Totals to plan with: by source, horizon, month and segment, under scenarios."""
    base, usual = inputs.base(), inputs.posterior(model, margin=0.4)
    total, some = clv.forecast_total, {"paths": 120, "random_seed": 3}
    first = pd.Period(base.observation_end, freq="M") + 1
    scenario = {str(first): 1.5, str(first + 2): 0.0}
    monthly = {"discounting": "monthly", "discount_rate": 0.15, "interval": 0.5}
    months = total(usual, base, horizon="180D", path="M", scenario=scenario, **some)
    sure = total(usual, base, horizon="90D", calendar="none", scenario=scenario, **some)
    several = total(usual, base, horizon=["30D", "12M"], by="channel", calendar=0.3, **some)
    alone = total(inputs.purchases(model), base, horizon="90D", path="M", **monthly, **some)
    weekly = inputs.posterior(model, weeks=True), inputs.base(weeks=True)
    under = {"calendar": 0.2, "scenario": scenario}
    future = clv.simulate_future(usual, base, "90D", paths=20, random_seed=3, **under)
    counts = clv.count_distribution(usual, base, horizon="90D", **under)
    values = clv.value_distribution(usual, base, horizon="90D", paths=200, **under)
    return flat(
        months={"table": months.table, "samples": months.samples[::5], "edges": months.edges},
        whole={"table": months.whole.table, "samples": months.whole.samples},
        sure=sure.table,
        several={"table": several.table, "samples": several.samples[-2:]},
        alone={"table": alone.table, "whole": alone.whole.table},
        single=total(inputs.posterior(model, "single"), base, horizon="90D", **some).table,
        weeks=total(*weekly, horizon="26W", path="M", **monthly, **some).table,
        future={"counts": future.counts[::5], "values": future.values.sum(axis=0)},
        counts={"mean": counts.mean[::5], "quantile": counts.quantile([0.1, 0.9])[:, ::5]},
        values={"mean": values.mean[::5], "quantile": values.quantile([0.1, 0.9])[:, ::5]},
    )


def outcomes(model: str, folder: Path) -> Flat:
    """Distributions of counts, values and totals, and simulated futures."""
    base, usual = inputs.base(), inputs.posterior(model)
    some = inputs.frame().iloc[::5]
    x = some["frequency"].to_numpy()
    counts = clv.count_distribution(usual, some, horizon="180D")
    values = clv.value_distribution(usual, some, horizon="180D", paths=200, margin=0.5)
    monthly = {"discounting": "monthly", "horizon": "6M"}
    paths = clv.simulate_future(usual, some.head(30), "90D", paths=8, random_seed=3)
    return flat(
        counts={
            "start": counts.start,
            "survival": counts.survival[::3],
            "pmf": counts.pmf(np.arange(4)[:, None]),
            "quantile": counts.quantile([0.05, 0.5, 0.95]),
            "log_score": counts.log_score(np.minimum(x, 30)),
            "crps": counts.crps(np.minimum(x, 30)),
            "pit": counts.pit(np.minimum(x, 30)),
            "customers": counts.expected_customers(9),
        },
        values={
            "mean": values.mean,
            "quantile": values.quantile([0.1, 0.5, 0.9]),
            "cdf": values.cdf(10.0 + x),
            "crps": values.crps(10.0 + x),
            "pit": values.pit(10.0 + x),
        },
        portfolio=_portfolio(usual, base),
        by=_portfolio(usual, base, by=["channel"], random_seed=4, interval=0.5, **monthly),
        future={"purchases": paths.purchases, "draw": paths.draw, "values": paths.values},
        future_totals=clv.simulate_future(usual, base, **monthly, paths=40, draws=9).totals(),
    )


def _portfolio(*arguments: Any, **options: Any) -> dict[str, Any]:
    found = clv.portfolio(*arguments, paths=60, **options)
    return {"table": found.table, "samples": found.samples[-1]}


def economics(model: str, folder: Path) -> Flat:
    """Tables about values and what they are worth doing."""
    e, base, usual = clv.economics, inputs.base(), inputs.posterior(model)
    table, scores = inputs.log_table(), _predicted(usual, base)
    acquired, lists = e.acquired_customer_value(usual, table), e.action_lists(usual, base)
    cost = {"search": 11.0, "shop": 3.5, "friends": 0.0}
    return flat(
        tiers=e.value_tiers(scores),
        tier_report=e.tier_report(usual, base, quantiles=[0.5, 0.9]),
        movement=e.tier_movement(
            e.value_tiers(scores), e.value_tiers(_predicted(usual, base, horizon=30))
        ),
        shares=e.top_shares(usual, base),
        gini=e.gini(scores["clv"]),
        lorenz=e.lorenz_curve(scores["clv"])[1][::10],
        actions=lists.customers,
        action_counts=lists.counts,
        slipping=lists.slipping["customer_id"],
        one_time=lists.one_time["customer_id"],
        segments=e.segment_report(usual, base, by="channel", cac=cost, horizon="12M"),
        simple=e.compare_with_simple(usual, table, log=inputs.log(), horizon="2Y"),
        acquired=acquired,
        ratio=e.ltv_to_cac(acquired, 4.0),
        highest=e.highest_cac(acquired, target_ratio=3.0),
        budget=e.acquisition_budget(usual.new_customer_value(margin=0.3), customers=50),
        payback=e.payback_period(usual, 6.5, margin=0.3),
        payback_monthly=e.payback_period(
            usual, 7.5, margin=0.3, discounting="monthly", discount_rate=0.1
        ),
    )


# --- scores ------------------------------------------------------------------------------


def _kept(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores by customer, without the columns that went in."""
    known = ["frequency", "recency", "T", "monetary_value"]
    return scores.sort_values("customer_id").drop(columns=known)


def _totals(report: Any) -> dict[str, Any]:
    rows = {name: getattr(report, name) for name in ("rows", "scored", "rejected", "one_time")}
    return {**rows, "clv": report.clv, "expected_purchases": report.expected_purchases}


def odd_rows() -> pd.DataFrame:
    """The base with two rows that cannot be scored."""
    base = inputs.frame()
    odd = base.iloc[[20, 30]].assign(customer_id=[9001, 9002], T=[-1.0, np.nan])
    return pd.concat([base, odd], ignore_index=True)


def score(model: str, folder: Path) -> Flat:
    """Files to files, by memory and by disk, in one block and in many."""
    posterior, saved = inputs.posterior(model, margin=0.2), folder / "posterior.nc"
    posterior.save(saved)
    base, log, odd = folder / "base.parquet", folder / "log.csv", folder / "odd.parquet"
    inputs.base().to_parquet(base)
    inputs.log().to_csv(log, index=False)
    odd_rows().to_parquet(odd, index=False)
    everything = {"intervals": "all", **OUTCOME}
    logs = {**inputs.LOG, "refunds": "net_earlier", "horizon": None}
    whole = clv.score(base, posterior, folder / "whole.parquet", **everything)
    blocks = clv.score(
        base, saved, folder / "blocks", block_rows=64, threads=2, horizon="12M", margin=0.1
    )
    text = clv.score(log, saved, folder / "scores.csv", **logs)
    rejected = clv.score(odd, saved, folder / "odd-scores.parquet", draws=9)
    return flat(
        whole=_kept(pd.read_parquet(whole.output)),
        whole_totals=_totals(whole),
        blocks=_kept(pq.read_table(blocks.output).to_pandas()),
        blocks_totals=_totals(blocks),
        text=_kept(pd.read_csv(text.output)),
        text_totals=_totals(text),
        odd=_kept(pd.read_parquet(rejected.output))["clv"],
        odd_totals=_totals(rejected),
        reasons=sorted(rejected.reasons.values()),
    )


def score_on_spark(model: str, folder: Path, session: Any) -> Flat:
    """DataFrames to DataFrames, and files to files."""
    from clvmodels import spark

    posterior, odd = inputs.posterior(model, margin=0.2), folder / "odd.parquet"
    odd_rows().to_parquet(odd, index=False)
    everything = {"intervals": "all", **OUTCOME}
    given = session.createDataFrame(pa.Table.from_pandas(inputs.frame(), preserve_index=False))
    whole = spark.score(given, posterior, **everything).toArrow().to_pandas()
    log = session.createDataFrame(pa.Table.from_pandas(inputs.log(), preserve_index=False))
    rfm = spark.rfm_summary(log, **inputs.LOG, refunds="net_earlier", margin=inputs.MARGIN)
    summed = spark.score(rfm, posterior, horizon=None).toArrow().to_pandas()
    files = spark.score_files(odd, posterior, folder / "scores", horizon="12M", draws=9)
    return flat(
        whole=_kept(whole),
        log=_kept(summed),
        files=_kept(pq.read_table(files.output).to_pandas()),
        files_totals=_totals(files),
        reasons=sorted(files.reasons.values()),
    )


# --- backtest and report -----------------------------------------------------------------


@dataclass(frozen=True)
class Given(clv.CLVModel):
    """A specification whose fit gives the draws of the inputs, and needs no sampler."""

    kind: str = field(default="usual", kw_only=True)

    def fit(self, rfm: Any, *, method: str = "auto", **options: Any) -> clv.CLVPosterior:
        kind = "single" if method == "map" else self.kind
        return inputs.posterior(self.purchases.name, kind, weeks=rfm.time_scaler == 7)


def _backtest(model: str, **options: Any) -> Any:
    found = {"refunds": "net_earlier", "margin": 0.35, "bootstrap": 60} | options
    return clv.backtest(inputs.log(), **inputs.LOG, **found, model=Given(model))


def _tables(found: Any) -> dict[str, pd.DataFrame]:
    from clvmodels.evaluation.backtest_record import OPTIONAL, TABLES

    tables = {name: getattr(found, name) for name in (*TABLES, *OPTIONAL)}
    return {name: _added(table) for name, table in tables.items() if table is not None}


def _added(table: pd.DataFrame) -> pd.DataFrame:
    """Metrics with the value in their differences: what nearly cancels has no 12 digits."""
    columns = [name for name in table.columns if name.startswith("difference")]
    return table.assign(**{name: table["value"] + table[name] for name in columns})


def backtest(model: str, folder: Path) -> Flat:
    """All tables of a backtest: metrics, coverage, totals, tracking, rolling origins."""
    found = _backtest(model, train_period_end="2024-12-31")
    weeks = _backtest(
        model, time_scaler=7, origins=2, horizon="12W", discounting="monthly", interval=0.5
    )
    return flat(
        days=_tables(found),
        checks=[check.value for check in found.checks],
        weeks={name: table for name, table in _tables(weeks).items() if name != "customers"},
    )


def report(model: str, folder: Path) -> Flat:
    """Numbers of all sections of the report: figures' data, tables, facts, checks."""
    saved = clv.load_posterior(inputs.SAVED[f"{model}-{_METHOD[model]}-clv"])
    fitted = clv.diagnostics.diagnose(
        saved,
        inputs.log_table(),
        log=inputs.log(),
        backtest=_backtest(model, train_period_end="2024-12-31"),
    )
    corners = clv.diagnostics.diagnose(
        inputs.posterior(model), inputs.base(), horizon="12M", discounting="monthly", interval=0.5
    )
    alone = clv.diagnostics.diagnose(inputs.purchases(model), inputs.base(), horizon="90D")
    return flat(fitted=_numbers(fitted), corners=_numbers(corners), alone=_numbers(alone))


_METHOD: Final = {"bgnbd": "nuts", "mbgnbd": "laplace"}


def _numbers(found: Any) -> dict[str, Any]:
    """The report without its words, which may be written better."""
    record = found.to_dict()
    numbers: dict[str, Any] = {
        "checks": [check["value"] for check in record["checks"]],
        "status": [check["status"] for check in record["checks"]],
    }
    for fact in record["facts"]:
        numbers[f"fact.{fact['key']}"] = [fact[one] for one in ("value", "lower", "upper")]
    for section in record["sections"]:
        if section["key"] == "provenance":
            continue
        for table in section["tables"]:
            for name, column in zip(
                table["columns"], zip(*table["rows"], strict=True), strict=False
            ):
                if not any(isinstance(one, str) for one in column):
                    numbers[f"{section['key']}.{table['key']}.{name}"] = column
        for figure in section["figures"]:
            prefix = f"{section['key']}.{figure['key']}"
            numbers |= {f"{prefix}.{k}": v for k, v in _figures(figure["data"]).items()}
    return numbers


def _figures(value: Any, path: str = "data") -> dict[str, Any]:
    """Numbers and lists of numbers somewhere in plain values, by path."""
    if value is None or isinstance(value, str):
        return {}
    if isinstance(value, dict):
        parts = [_figures(item, f"{path}.{key}") for key, item in value.items()]
    elif isinstance(value, list) and not all(_plain_number(one) for one in value):
        parts = [_figures(item, f"{path}.{i}") for i, item in enumerate(value)]
    else:
        return {path: value}
    return {key: item for part in parts for key, item in part.items()}


def _plain_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


# --- simulations and files ---------------------------------------------------------------


def simulate(model: str, folder: Path) -> Flat:
    """Simulated customers, and the two simulations of what customers go on to do."""
    from clvmodels.evaluation.simulated_weeks import Histories, simulate_counts

    truth = {"r": 0.6, "alpha": 15.0, "a": 0.8, "b": 2.5, "seed": 4, "model": model}
    money = {"p": 6.0, "q": 4.0, "v": 15.0}
    usual = inputs.purchases(model)
    x, t_x, T = (inputs.frame()[name].to_numpy(float) for name in ("frequency", "recency", "T"))
    known = Histories(x, t_x, T, np.full(len(x), 5000.0))
    new = Histories(*(np.zeros(len(x)),) * 3, 5000.0 - T)
    run = partial(simulate_counts, usual.formulas, usual.draws(6))
    return flat(
        customers=clv.simulate.simulate_customers(60, **truth)._asdict(),
        days=clv.simulate.simulate_rfm(60, **truth, **money, T=(50, 400), cents=True),
        continuous=clv.simulate.simulate_rfm(60, **truth, T=200.5, period=None),
        log=clv.simulate.simulate_log(40, **truth, **money, T=(20.0, 150.0)),
        known=run(known, np.array([5000.0, 5007.0, 5030.0, 5365.0]), 8),
        new=run(new, np.array([1350.0, 4000.0, 4900.0, 5000.0]), 9),
    )


def saved(folder: Path) -> Flat:
    """Files that the first format's `save` wrote are read, and predict as they did."""
    table, found = inputs.log_table(), {}
    for name, path in inputs.SAVED.items():
        posterior = clv.load_posterior(path)
        parts = (
            [posterior.purchases, posterior.spend]
            if isinstance(posterior, clv.CLVPosterior)
            else [posterior]
        )
        found[name] = {
            "class": type(posterior).__name__,
            "fingerprint": posterior.fingerprint(),
            "parts": {one.metadata.model: _known(one) for one in parts},
        }
        if isinstance(posterior, clv.CLVPosterior):
            found[name]["predict"] = _predicted(posterior, table, predictive=True)
    return flat(**found)


def _known(posterior: Any) -> dict[str, Any]:
    record = posterior.metadata.to_dict()
    texts = {name: record.pop(name) for name in ("priors", "versions", "notes", "verdict")}
    return {
        **record,
        "fingerprint": str(record["fingerprint"]),
        "observation_end": str(record["observation_end"]),
        "priors": {name: str(value) for name, value in sorted(texts["priors"].items())},
        "status": texts["verdict"]["status"],
        "draws": posterior.draws(),
        "groups": sorted(posterior.tree.children),
    }


_OF_A_MODEL: Final = (
    weights,
    density,
    predict,
    expected,
    totals,
    outcomes,
    planned,
    economics,
    score,
    backtest,
    report,
    simulate,
)
CASES: Final[dict[str, Case]] = {
    f"{case.__name__}/{model}": partial(case, model) for case in _OF_A_MODEL for model in MODELS
} | {"density/spend": density_of_spend, "saved": saved}
SPARK_CASES: Final = {f"spark/{model}": partial(score_on_spark, model) for model in MODELS}
