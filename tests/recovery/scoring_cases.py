"""Small bases to score, and what a reader finds where scores are written."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable
from tests.recovery.scoring_nursery import Nursery, Outcome, compile_failing_disk

Kind = Literal["folder", "parquet", "csv", "duckdb"]
Source = Literal["rfm", "log"]
NAMES: Final[dict[Kind, str]] = {
    "folder": "scores",
    "parquet": "scores.parquet",
    "csv": "scores.csv.gz",
    "duckdb": "scores.duckdb",
}
# A table that stands in the database before.
OTHER: Final = "other"
ROWS: Final = 1_500
BLOCK_ROWS: Final = 800
_OPTIONS: Final[dict[str, Any]] = {
    "horizon": "90D",
    "draws": 20,
    "block_rows": BLOCK_ROWS,
    "threads": 1,
    "allow_rejects": True,
    "memory_limit": "200MB",
}
_LOG: Final = {
    "customer_id_col": "customer",
    "datetime_col": "day",
    "monetary_value_col": "amount",
    "observation_period_end": "2024-12-31",
}


@dataclass(frozen=True)
class View:
    """What a reader finds: None for what is not there.

    Attributes
    ----------
    scores, rejects : pyarrow.Table, bytes or None
    manifest : dict or None
        Without times.
    names : frozenset of str
        All that lies in the folder of the output.
    """

    scores: Any
    rejects: Any
    manifest: dict[str, Any] | None
    names: frozenset[str]


@dataclass(frozen=True)
class Case:
    """A call that is interrupted, and the views before it and after it.

    Attributes
    ----------
    kind : str
        Of output.
    call : dict
        Arguments of `clvmodels.score`.
    start : Path
        A folder as it is before the call, to be copied.
    """

    kind: Kind
    call: dict[str, Any]
    start: Path

    def set_up(self) -> None:
        """Make the output's folder what it is before the call."""
        folder = Path(self.call["output"]).parent
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.start, folder)

    def view(self) -> View:
        """Look at the output's folder as a reader would."""
        output = Path(self.call["output"])
        manifest = output.with_name("scores.manifest.json")
        rejects = output.with_name("scores.rejects.parquet")
        return View(
            _scores(self.kind, output),
            pq.read_table(rejects) if rejects.exists() else None,
            _manifest(manifest) if manifest.exists() else None,
            frozenset(path.name for path in output.parent.iterdir()),
        )


def assert_whole(now: View, before: View, after: View, kind: Kind) -> None:
    """No part of a result can be taken for a whole one."""
    found = now.scores
    assert now.names <= before.names | after.names | {"scores.partial", f"{NAMES[kind]}.wal"}
    assert _is_one_of(found, before.scores, after.scores), "scores are neither old nor new"
    assert _is_one_of(now.rejects, before.rejects, after.rejects), "rejects: neither old nor new"
    if kind != "folder" and before.scores is not None:
        assert found is not None, "there was no moment without the old or the new scores"
    if now.manifest is not None:
        whole = before if now.manifest == before.manifest else after
        assert now.manifest == whole.manifest
        assert _same(found, whole.scores), "the manifest is not of the scores beside it"
        assert _same(now.rejects, whole.rejects), "the manifest is not of the rejects beside it"


def assert_same_view(now: View, after: View) -> None:
    """The same rows, values, rejects, counts, and nothing left over."""
    assert now.names == after.names, now.names ^ after.names
    assert now.manifest == after.manifest
    assert _same(now.scores, after.scores)
    assert _same(now.rejects, after.rejects)


def _is_one_of(found: Any, *known: Any) -> bool:
    return found is None or any(_same(found, one) for one in known)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, pa.Table) and isinstance(other, pa.Table):
        return bool(one.equals(other))
    return type(one) is type(other) and one == other


def _scores(kind: Kind, path: Path) -> Any:
    if not path.exists():
        return None
    if kind == "csv":
        return path.read_bytes()
    if kind == "duckdb":
        return _table(path)
    if kind == "folder":
        parts = [pq.read_table(part) for part in sorted(path.iterdir())]
        return pa.concat_tables(parts) if parts else b"an empty folder"
    return pq.read_table(path)


def _table(path: Path) -> Any:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = {name for (name,) in connection.execute("SHOW TABLES").fetchall()}
        if OTHER in names:
            found = connection.execute(f"SELECT * FROM {OTHER}").fetchall()
            assert found == [(1,)], "a table of somebody else was changed"
        if "scores" not in names:
            return None
        return connection.sql("SELECT * FROM scores").to_arrow_table()


def _manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return {name: found[name] for name in found if name not in ("written", "seconds")}


@dataclass
class Bench:
    """Runs cases in children, and knows how they must begin and end."""

    folder: Path
    nursery: Nursery
    known: dict[tuple[Kind, Source, bool], tuple[Case, View, View]] = field(default_factory=dict)

    def case(
        self, kind: Kind, source: Source = "rfm", *, replace: bool = True
    ) -> tuple[Case, View, View]:
        """Return a case, what is there before it, and after it."""
        if (kind, source, replace) not in self.known:
            self.known[kind, source, replace] = self._make(kind, source, replace)
        return self.known[kind, source, replace]

    def _make(self, kind: Kind, source: Source, replace: bool) -> tuple[Case, View, View]:
        earlier, later = make_calls(self.folder, kind, source)
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        if replace and kind == "duckdb":
            with duckdb.connect(earlier["output"]) as connection:
                connection.execute(f"CREATE TABLE {OTHER} AS SELECT 1 AS one")
        if replace:
            assert_done(self.nursery.run(earlier))
        start = self.folder / f"start-{kind}-{source}-{replace}"
        shutil.copytree(out, start)
        case = Case(kind, later, start)
        before = case.view()
        assert_done(self.nursery.run(later))
        after = case.view()
        companions = {"scores.rejects.parquet"} if source == "rfm" else set()
        assert after.names == {NAMES[kind], "scores.manifest.json"} | companions
        assert after.scores is not None
        assert after.manifest is not None
        assert after.manifest != before.manifest
        return case, before, after

    def changes(self, case: Case, fault: str) -> int:
        """How many changes a whole run makes; `fault` says who counts."""
        case.set_up()
        outcome = self.nursery.run(case.call, fault)
        assert_done(outcome)
        return outcome.changes


def assert_done(outcome: Outcome) -> None:
    """A child has scored all."""
    assert not outcome.killed
    assert outcome.code == 0, outcome.trace or outcome.text
    assert outcome.error == "", outcome.trace or outcome.text


@contextmanager
def open_bench(fallback: Path, *, preload: bool) -> Iterator[Bench]:
    """Yield a bench; with ``preload`` the disk can fail, which takes a C compiler."""
    with scratch(fallback) as folder:
        warm_up = [
            call | {"output": str(folder / "warm" / f"{source}-{i}{suffix}")}
            for source, kind, suffix in (("rfm", "csv", ".csv"), ("log", "duckdb", ".duckdb"))
            for i, call in enumerate(make_calls(folder, kind, source))
        ]
        library = compile_failing_disk(folder) if preload else None
        with Nursery(folder / "out", warm_up, library) as nursery:
            yield Bench(folder, nursery)


# --- bases -------------------------------------------------------------------------------


@contextmanager
def scratch(fallback: Path) -> Iterator[Path]:
    """Yield a folder in memory where there is one: every change is forced to the disk."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() else fallback
    folder = Path(tempfile.mkdtemp(dir=where, prefix="clvmodels-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_base(rows: int, seed: int, *, bad: bool = True) -> pa.Table:
    """Customers, some of whom cannot be scored; amounts are quarters, so sums are exact."""
    rng = np.random.default_rng(seed)
    x = rng.poisson(1.2, rows).astype(float)
    total = rng.integers(0, 700, rows).astype(float)
    t_x = np.where(x > 0, np.floor(total * rng.random(rows)), 0.0)
    value = np.where(x > 0, np.round(rng.gamma(3, 36, rows)) / 4, np.nan)
    ids = np.arange(rows)
    if bad:
        x[::97], x[5::211] = -1.0, 0.5
        t_x[7::301] = 900.0
        ids[11::401] = 10
    return pa.table(
        {
            "customer_id": ids,
            "frequency": x,
            "recency": t_x,
            "T": total,
            "monetary_value": pa.array(value, from_pandas=True),
            "city": [("Bonn", "Kiel", "Köln")[i % 3] for i in range(rows)],
        }
    )


def write_base(folder: Path, rows: int, seed: int) -> str:
    """Write a base as three files that know their units, and return the folder."""
    folder.mkdir(parents=True)
    own = RfmTable.from_pandas(make_base(20, 1, bad=False).to_pandas(), margin=0.25)
    own.to_parquet(folder / "own.parquet")
    known = pq.read_schema(folder / "own.parquet").metadata
    (folder / "own.parquet").unlink()
    table = make_base(rows, seed).replace_schema_metadata(
        {b"clvmodels.rfm": known[b"clvmodels.rfm"]}
    )
    for i in range(3):
        size = -(-rows // 3)
        pq.write_table(table.slice(i * size, size), folder / f"base-{i}.parquet")
    return str(folder)


def write_log(folder: Path, customers: int, seed: int) -> str:
    """Write purchases of some customers as two files, and return a pattern of them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    count = 3 * customers
    log = pd.DataFrame(
        {
            "customer": rng.integers(0, customers, count),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 366, count), "D"),
            "amount": np.round(rng.gamma(3, 36, count)) / 4,
        }
    )
    log.iloc[::2].to_parquet(folder / "log-0.parquet", index=False)
    log.iloc[1::2].to_parquet(folder / "log-1.parquet", index=False)
    return str(folder / "log-*.parquet")


def make_posterior(seed: int, count: int = 24) -> CLVPosterior:
    """Draws that need no fit."""
    rng = np.random.default_rng(seed)

    def about(value: float, sd: float) -> np.ndarray[Any, Any]:
        return value * np.exp(sd * rng.normal(size=count))

    purchases = {"r": about(0.25, 0.1), "alpha": about(31, 0.1)}
    purchases |= {"a": about(0.9, 0.2), "b": about(2.5, 0.2)}
    spend = {"p": about(6, 0.2), "q": about(3.7, 0.1), "v": about(15, 0.3)}
    return CLVPosterior(
        BetaGeoPosterior.from_draws(**purchases), GammaGammaPosterior.from_draws(**spend)
    )


def make_calls(folder: Path, kind: Kind, source: Source) -> list[dict[str, Any]]:
    """Make input and posterior of a run whose output is there before, and of a later one.

    Returns
    -------
    list of dict
        Arguments of `clvmodels.score` for the earlier and the later run, with one output.
    """
    calls = []
    for seed, share in ((1, 0.8), (2, 1.0)):
        inputs = folder / f"{source}-{seed}"
        posterior = folder / f"posterior-{seed}.nc"
        if not posterior.exists():
            make_posterior(seed).save(posterior)
        rows = round(share * ROWS)
        if source == "rfm":
            where = str(inputs) if inputs.exists() else write_base(inputs, rows, seed)
        else:
            where = str(inputs / "log-*.parquet")
            if not inputs.exists():
                write_log(inputs, rows, seed)
        more = _LOG if source == "log" else {}
        output = str(folder / "out" / NAMES[kind])
        calls.append(
            {"source": where, "posterior": str(posterior), "output": output, **_OPTIONS, **more}
        )
    return calls
