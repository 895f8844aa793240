"""One measured job in a process of its own: prints a JSON line of what it found.

Run as ``python -m benchmarks.jobs JOB JSON``; the process is measured whole, imports and
compilation included.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.bases import cache_dir
from benchmarks.logs import by_hand


def fit_ours(
    base: str, method: str, draws: int = 1000, chains: int = 4, model: str = "bgnbd"
) -> dict[str, Any]:
    """Fit both models to an RFM Parquet file and save the posterior."""
    from clvmodels import CLVModel, RfmTable

    posterior = CLVModel(model).fit(
        RfmTable.from_parquet(base),
        method=method,
        draws=draws,
        chains=chains,
        random_seed=1,
        progressbar=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        posterior.save(Path(folder) / "posterior.nc")
    checks = {
        f"{name}: {check.name}": check.value
        for name, verdict in posterior.verdicts.items()
        for check in verdict.checks
    }
    moments = {}
    for one in (posterior.purchases, posterior.spend):
        for name, values in one.draws().items():
            moments[name] = [float(values.mean()), float(values.std())]
    status = {name: verdict.status for name, verdict in posterior.verdicts.items()}
    return {"checks": checks, "moments": moments, "status": status}


def fit_auto(base: str) -> dict[str, Any]:
    """Choose the model of an RFM Parquet file, regular ones among them, and fit spend."""
    import numpy as np

    from clvmodels import CLVModel, RfmTable

    frame, rng = RfmTable.from_parquet(base).to_pandas(), np.random.default_rng(1)
    # Purchases at random: given how many there were, their times are uniform
    frame["log_gaps"] = [
        np.log(np.diff([0.0, *np.sort(rng.uniform(0.0, t_x, x - 1)), t_x])).sum() if x else 0.0
        for x, t_x in zip(frame["frequency"], frame["recency"], strict=True)
    ]
    began = time.perf_counter()
    found = CLVModel("auto").fit(frame, time_unit="D", random_seed=1, progressbar=False)
    known = found.purchases.metadata
    return {
        "seconds": time.perf_counter() - began,
        "model": known.model,
        "why": known.why,
        "notes": list(known.notes),
    }


def fit_log(name: str, until: str) -> dict[str, Any]:
    """Read a log and fit what its columns allow, to a day."""
    from benchmarks.logs import small_log
    from clvmodels import BetaGeoModel, CLVModel, rfm_summary

    log, columns = small_log(name)
    rfm = rfm_summary(log, **columns, observation_period_end=until)
    model = CLVModel() if "monetary_value_col" in columns else BetaGeoModel()
    model.fit(rfm, random_seed=0, progressbar=False, on_failure="warn")
    return {"customers": len(rfm)}


def backtest_log(name: str, until: str | None = None) -> dict[str, Any]:
    """Backtest a log that was cut at a day; without one, at the days that are the default."""
    from benchmarks.logs import small_log
    from clvmodels import backtest

    log, columns = small_log(name)
    found = backtest(log, **columns, train_period_end=until, on_failure="warn")
    return {"customers": len(found), "status": found.status}


def fit_peer(base: str, draws: int = 1000, chains: int | None = None) -> dict[str, Any]:
    """Fit both of pymc-marketing's models with its default sampler, and save."""
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

    from benchmarks.bases import peer_frame

    frame = peer_frame(Path(base))
    options: dict[str, Any] = {"progressbar": False, "random_seed": 1, "draws": draws}
    if chains is not None:
        options["chains"] = chains
    purchases, spend = BetaGeoModel(), GammaGammaModel()
    purchases.fit(data=frame.drop(columns="monetary_value"), **options)
    repeat = frame[(frame["frequency"] > 0) & (frame["monetary_value"] > 0)]
    spend.fit(data=repeat, **options)
    with tempfile.TemporaryDirectory() as folder:
        purchases.save(str(Path(folder) / "purchases.nc"))
        spend.save(str(Path(folder) / "spend.nc"))
    return {}


def gradient_peer_pareto(base: str, times: int = 5) -> dict[str, Any]:
    """Time one gradient of pymc-marketing's Pareto/NBD, which its sampler takes at every step."""
    import numpy as np
    from pymc_marketing.clv import ParetoNBDModel

    from benchmarks.bases import peer_frame

    model = ParetoNBDModel()
    model.build_model(peer_frame(Path(base)).drop(columns="monetary_value"))
    gradient = model.model.logp_dlogp_function(ravel_inputs=True)
    gradient.set_extra_values({})
    typical = {"r_log__": 0.55, "alpha_log__": 30.0, "s_log__": 0.6, "beta_log__": 80.0}
    point = np.log([typical[one.name] for one in model.model.value_vars])
    assert np.isfinite(gradient(point)[1]).all()
    started = time.process_time()
    for _ in range(times):
        gradient(point)
    return {"seconds": (time.process_time() - started) / times}


def summarize_ours(log: str, memory_limit: str | None) -> dict[str, Any]:
    """Summarise a log, Parquet to Parquet, with the audit of every row."""
    import ibis.backends.duckdb  # noqa: F401  # not part of the work that is timed

    from clvmodels.log import LogOptions
    from clvmodels.log.embedded import Resources
    from clvmodels.rfm.on_disk import summarize_to_parquet
    from clvmodels.schema import TimeScale

    options = LogOptions(
        customer_id_col="customer_id",
        datetime_col="ordered_at",
        monetary_value_col="amount",
        scale=TimeScale(),
    )
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        out, started = Path(folder) / "rfm.parquet", time.perf_counter()
        summarize_to_parquet(log, out, options, Resources(memory_limit, None, Path(folder)))
        seconds = time.perf_counter() - started
        return _sums(out) | {"seconds": seconds}


def summarize_by_hand(log: str, memory_limit: str | None) -> dict[str, Any]:
    """Summarise a log by SQL that somebody wrote for it."""
    import duckdb

    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder, duckdb.connect() as connection:
        out = Path(folder) / "rfm.parquet"
        connection.execute(f"SET temp_directory = '{folder}'")
        if memory_limit is not None:
            connection.execute(f"SET memory_limit = '{memory_limit}'")
        connection.execute("SET enable_progress_bar = false")
        started = time.perf_counter()
        connection.execute(by_hand(Path(log), out))
        seconds = time.perf_counter() - started
        return _sums(out) | {"seconds": seconds}


def run_whole_way(log: str) -> dict[str, Any]:
    """Go from a log to scores by one command: summary, Laplace, score."""
    from clvmodels.cli import main

    named = ["--customer-id", "customer_id", "--timestamp", "ordered_at", "--amount", "amount"]
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        how = ["--method", "laplace", "--seed", "1", "--quiet"]
        assert main(["run", log, "-o", folder, *named, *how]) == 0
        return {"rows": json.loads((Path(folder) / "scores.manifest.json").read_text())["rows"]}


def _sums(rfm: Path) -> dict[str, Any]:
    """What two ways to the same summary agree in."""
    import duckdb

    names = ("frequency", "recency", '"T"', "monetary_value", "first_value")
    columns = ", ".join(f"sum({name})" for name in names)
    found = duckdb.sql(f"SELECT count(*), {columns} FROM '{rfm}'").fetchall()[0]
    return {"rows": found[0], "sums": [f"{float(value):.9g}" for value in found[1:]]}


def learn_clock(base: str) -> dict[str, Any]:
    """Learn a clock from a base, beside the fit itself."""
    from clvmodels import BetaGeoModel, Clock, RfmTable
    from clvmodels.fit.clock_learning import learn_clock
    from clvmodels.rfm.histories import rfm_columns

    columns = rfm_columns(RfmTable.from_parquet(base))
    started = time.perf_counter()
    found = learn_clock(BetaGeoModel(), columns, Clock(), 1)
    return {"seconds": time.perf_counter() - started, "sd": found.sd_of_shocks}


def fit_strata(base: str, method: str) -> dict[str, Any]:
    """Fit purchases by a covariate of many levels that moves both sides."""
    from clvmodels import BetaGeoModel, RfmTable

    rfm = RfmTable.from_parquet(base)
    model = BetaGeoModel(purchase_covariates=["shop"], dropout_covariates=["shop"])
    begin = time.perf_counter()
    posterior = model.fit(rfm, method=method, random_seed=1, progressbar=False)
    return {
        "seconds": time.perf_counter() - begin,
        "method": posterior.metadata.method,
        "verdict": posterior.verdict.status,
    }


def score_ours(base: str, posterior: str, draws: int, predictive: bool = False) -> dict[str, Any]:
    """Score an RFM file into a folder of parts: mean, sd and interval of clv."""
    from clvmodels import score

    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        out = Path(folder) / "scores"
        started = time.perf_counter()
        report = score(base, posterior, out, draws=draws, predictive=predictive)
        seconds = time.perf_counter() - started
        return {"scored": report.scored, "rejected": report.rejected, "seconds": seconds}


def score_on_spark(base: str, posterior: str, draws: int, block_rows: int) -> dict[str, Any]:
    """Score an RFM file into a folder of parts on a Spark of two cores that has started."""
    from clvmodels.spark import score_files
    from clvmodels.spark.session import spark_session

    with (
        spark_session(2, "4GB") as session,
        tempfile.TemporaryDirectory(dir=cache_dir()) as folder,
    ):
        session.range(1).count()
        started = time.perf_counter()
        out = Path(folder) / "scores"
        report = score_files(base, posterior, out, draws=draws, block_rows=block_rows)
        seconds = time.perf_counter() - started
    return {"scored": report.scored, "rejected": report.rejected, "seconds": seconds}


def count_on_spark(base: str, memory: str) -> dict[str, Any]:
    """Count the histories of a folder of customers on a Spark of two cores; fit to them."""
    from clvmodels import CLVModel
    from clvmodels.spark import count_histories
    from clvmodels.spark.session import spark_session

    with spark_session(2, memory) as session:
        session.range(1).count()
        started = time.perf_counter()
        histories = count_histories(session.read.parquet(base))
        counted = time.perf_counter()
    posterior = CLVModel().fit(histories, method="laplace", random_seed=1, progressbar=False)
    assert histories.amounts is not None
    return {
        "customers": histories.customers,
        "histories": len(histories.purchases),
        "amounts": len(histories.amounts),
        "count_seconds": counted - started,
        "seconds": time.perf_counter() - started,
        "mean": posterior.summary()["mean"].to_dict(),
    }


def score_purchases(base: str, model: str, predictive: bool) -> dict[str, Any]:
    """Score purchases by draws about the truth of the base, in seconds of the processor."""
    import numpy as np
    import pandas as pd

    from benchmarks.bases import PURCHASES
    from clvmodels import score
    from clvmodels.posterior.by_model import purchase_posterior
    from clvmodels.purchases import MODELS

    truth, rng = dict(PURCHASES), np.random.default_rng(1)
    truth["alpha"] /= MODELS[model].regularity  # as many purchases, whatever the stages
    if model == "paretonbd":
        truth |= {"s": 0.5, "beta": 60.0}
        del truth["a"], truth["b"]
    draws = {name: value * np.exp(0.03 * rng.normal(size=500)) for name, value in truth.items()}
    posterior = purchase_posterior(model).from_draws(**draws)
    posterior.predict(pd.read_parquet(base).head(1_000), predictive=predictive)  # compiles
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        started = time.process_time()
        report = score(base, posterior, Path(folder) / "scores", predictive=predictive)
        return {"seconds": time.process_time() - started, "scored": report.scored}


def predict_loyal(base: str, posterior: str, customers: int, draws: int) -> dict[str, Any]:
    """Predict the first customers in memory where hardly anybody leaves, which is the dearest."""
    import numpy as np
    import pandas as pd

    from clvmodels import BetaGeoPosterior, CLVPosterior, load_posterior

    rng, size = np.random.default_rng(1), 500
    ratio = np.exp(0.3 * rng.normal(size=size))  # of a to b: of both together less is known
    together = np.exp(rng.normal(size=size))
    purchases = BetaGeoPosterior.from_draws(
        r=0.7 * np.exp(0.03 * rng.normal(size=size)),
        alpha=65.0 * np.exp(0.03 * rng.normal(size=size)),
        a=0.02 * ratio * together,
        b=20.0 * together,
    )
    both = CLVPosterior(purchases, load_posterior(posterior).spend)
    frame = pd.read_parquet(base).head(customers)
    both.predict(frame.head(10), draws=draws)  # what is compiled is loaded
    started = time.perf_counter()
    value = both.predict(frame, draws=draws)["clv"]
    seconds = time.perf_counter() - started
    assert value.notna().all()
    return {"seconds": seconds, "clv": float(value.sum())}


def report_ours(base: str) -> dict[str, Any]:
    """Fit a base, and write its report."""
    from clvmodels import CLVModel, RfmTable, report

    table = RfmTable.from_parquet(base)
    posterior = CLVModel().fit(table, method="laplace", random_seed=1, progressbar=False)
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        started = time.perf_counter()
        found = report(posterior, table, output=Path(folder) / "report.html")
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "page": len(found.html)}


def clv_peer(base: str, posterior: str, customers: int, draws: int) -> dict[str, Any]:
    """Discounted clv of the first customers by pymc-marketing, of the same draws."""
    import pandas as pd
    import xarray as xr
    from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

    from benchmarks.bases import peer_frame
    from clvmodels import load_posterior

    fitted, frame = load_posterior(posterior), peer_frame(Path(base)).head(customers)
    models = []
    for kind, one in ((BetaGeoModel, fitted.purchases), (GammaGammaModel, fitted.spend)):
        dims = ("chain", "draw")
        values = {name: (dims, found[None]) for name, found in one.draws(draws).items()}
        model = kind()
        repeat = frame[frame["frequency"] > 0]
        model.build_model(repeat if kind is GammaGammaModel else frame)
        model.idata = xr.DataTree.from_dict({"posterior": xr.Dataset(values)})
        models.append(model)
    started = time.perf_counter()
    value = models[1].expected_customer_lifetime_value(
        transaction_model=models[0], data=frame, future_t=12, discount_rate=1.1 ** (1 / 12) - 1
    )
    mean, sd = value.mean(("chain", "draw")), value.std(("chain", "draw"))
    interval = value.quantile((0.05, 0.95), ("chain", "draw"))
    seconds = time.perf_counter() - started
    assert bool(pd.notna(mean.sum() + sd.sum() + interval.sum()))
    return {"seconds": seconds, "clv": float(mean.sum())}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    job.__name__: job
    for job in (
        fit_ours,
        fit_auto,
        fit_log,
        backtest_log,
        fit_peer,
        gradient_peer_pareto,
        summarize_ours,
        summarize_by_hand,
        run_whole_way,
        learn_clock,
        fit_strata,
        score_ours,
        score_on_spark,
        count_on_spark,
        score_purchases,
        predict_loyal,
        report_ours,
        clv_peer,
    )
}


if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](**json.loads(sys.argv[2]))))
