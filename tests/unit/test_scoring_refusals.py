"""Both engines refuse alike: one table of bad inputs goes through `score` and `score_files`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable
from clvmodels import spark as on_spark
from clvmodels.errors import ClvError

COLUMNS = {"customer_id_col": "who", "datetime_col": "when", "monetary_value_col": "paid"}


def posterior_of(q: float = 3.7) -> CLVPosterior:
    around = 1 + 0.1 * np.random.default_rng(3).normal(size=40)
    purchases = BetaGeoPosterior.from_draws(r=0.3 * around, alpha=30 * around, a=1.0, b=2.0)
    known = replace(purchases.metadata, base={"whole_periods": 1, "max_T": 120.0})
    purchases = replace(purchases, metadata=known)
    return CLVPosterior(purchases, GammaGammaPosterior.from_draws(p=6.0, q=q * around, v=15.0))


POSTERIOR = posterior_of()


def customers(rows: int = 40) -> pd.DataFrame:
    x = np.arange(rows) % 4
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "frequency": x,
            "recency": np.where(x > 0, 50.0, 0.0),
            "T": 100.0,
            "monetary_value": np.where(x > 0, 10.0, 0.0),
        }
    )


def log() -> pd.DataFrame:
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(60) % 31, unit="D")
    return pd.DataFrame({"who": np.arange(60) % 9, "when": when.astype("M8[us]"), "paid": 5.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Inputs of every kind, and things that stand where an output would go."""
    frame = customers()
    (tmp_path / "in").mkdir()
    frame.to_parquet(tmp_path / "in" / "base.parquet", index=False)
    rfm = RfmTable.from_pandas(frame, observation_end="2024-06-30")
    rfm.to_parquet(tmp_path / "rfm.parquet")
    RfmTable.from_pandas(frame, observation_end="2024-06-30", time_unit="W").to_parquet(
        tmp_path / "weeks.parquet"
    )
    frame.drop(columns="T").to_parquet(tmp_path / "lacking.parquet", index=False)
    frame.assign(frequency="two").to_parquet(tmp_path / "text.parquet", index=False)
    log().to_parquet(tmp_path / "log.parquet", index=False)
    (tmp_path / "notes.md").write_text("no customers")
    (tmp_path / "broken.parquet").write_text("PAR1")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "letter.txt").write_text("not ours")
    (tmp_path / "half.partial").mkdir()
    (tmp_path / "half.partial" / "letter.txt").write_text("not ours")
    return tmp_path


Asked = dict[str, Any]
# What is wrong; the rest is a base that can be scored.
EARLY: dict[str, Callable[[Path], Asked]] = {
    **{
        f"{name}={value!r}": lambda _, name=name, value=value: {name: value}
        for name, value in [
            ("horizon", "soon"),
            ("horizon", -1),
            ("discount_rate", -1.0),
            ("discount_rate", "ten"),
            ("discounting", "weekly"),
            ("interval", 2.0),
            ("draws", 0),
            ("draws", 2.5),
            ("intervals", "none"),
            ("predictive", "yes"),
            ("allow_rejects", 1),
            ("block_rows", 0),
            ("block_rows", 2.5),
            ("threads", 0),
            ("threads", 1.5),
            ("memory_limit", "much"),
            ("memory_limit", 4),
            ("max_rejects", "200%"),
            ("max_rejects", -1),
            ("progress", 3),
            ("margin", 2.0),
            ("table", "a b"),
            ("time_unit", "year"),
            ("time_unit", "W"),
            ("time_scaler", 7),
            ("refunds", "net"),
            ("duplicates", "drop"),
            ("missing_ids", ["guest"]),
            ("where", "x = 1"),
            ("observation_period_end", "2024-01-01"),
            ("decimal", ";"),
            ("encoding", "no such"),
            ("customer_id_col", "who"),
            ("discount_rat", 0.1),
        ]
    },
    "no such file": lambda at: {"source": at / "none.parquet"},
    "no such pattern": lambda at: {"source": str(at / "none*.parquet")},
    "a folder without files": lambda at: {"source": at / "hollow"},
    "a frame": lambda _: {"source": customers()},
    "no files": lambda _: {"source": []},
    "one file twice": lambda at: {"source": [at / "in" / "base.parquet"] * 2},
    "another format": lambda at: {"source": at / "notes.md"},
    "a broken file": lambda at: {"source": at / "broken.parquet"},
    "a column is missing": lambda at: {"source": at / "lacking.parquet"},
    "text for numbers": lambda at: {"source": at / "text.parquet"},
    "a log without names": lambda at: {"source": at / "log.parquet"},
    "a summary with names": lambda at: {"source": at / "rfm.parquet", **COLUMNS},
    "another unit": lambda at: {"source": at / "weeks.parquet"},
    "two kinds": lambda at: {"source": [at / "rfm.parquet", at / "in" / "base.parquet"]},
    "refunds of a log": lambda at: {"source": at / "log.parquet", **COLUMNS, "refunds": "some"},
    "ids of a log": lambda at: {"source": at / "log.parquet", **COLUMNS, "missing_ids": 5},
    "dates of a log": lambda at: {"source": at / "log.parquet", **COLUMNS, "date_format": "x"},
    "no such posterior": lambda at: {"posterior": at / "none.nc"},
    "a posterior of spend": lambda _: {"posterior": POSTERIOR.spend},
    "no posterior": lambda _: {"posterior": 3},
    "a margin without values": lambda _: {"posterior": POSTERIOR.purchases, "margin": 0.3},
    "an unknown format": lambda at: {"output": at / "out.xlsx"},
    "a file in the way": lambda at: {"output": at / "taken"},
    "their folder": lambda at: {"output": at / "theirs"},
    "among the inputs": lambda at: {"output": at / "in" / "scores"},
    "their work folder": lambda at: {"output": at / "half"},
    "no output": lambda _: {"output": 3},
}


def said(score: Any, folder: Path, asked: Asked, engine: str) -> tuple[type, str]:
    """What a call is refused with; the engine's own output folder is called OUT."""
    source = asked.get("source", folder / "in")
    output = asked.get("output", folder / engine)
    options = {n: v for n, v in asked.items() if n not in ("source", "posterior", "output")}
    with pytest.raises(ClvError) as caught:
        score(source, asked.get("posterior", POSTERIOR), output, **options)
    name = str(caught.value).replace(score.__name__ + " has no option", "SCORE has no option")
    return caught.type, name.replace(str(folder / engine), "OUT")


@pytest.mark.parametrize("case", EARLY)
def test_refused_alike_before_anything_starts(folder: Path, case: str) -> None:
    before = sorted(folder.rglob("*"))
    asked = EARLY[case](folder)
    here = said(clv.score, folder, asked, "here")
    assert said(on_spark.score_files, folder, asked, "there") == here
    assert sorted(folder.rglob("*")) == before


# What only the rows say
LATE: dict[str, tuple[pd.DataFrame, Asked]] = {
    "no such column": (log(), {**COLUMNS, "datetime_col": "day"}),
    "dates that nobody can read": (log().assign(when="soon"), COLUMNS),
    "numbers for dates": (log().assign(when=1.5), COLUMNS),
    "text for amounts": (log().assign(paid="much"), COLUMNS),
    "refunds that are refused": (log().assign(paid=-5.0), {**COLUMNS, "refunds": "error"}),
    "no purchase is left": (log().assign(paid=-5.0), COLUMNS),
    "too many are lost": (
        customers().assign(frequency=[1.5, *[0] * 39], recency=0.0),
        {"max_rejects": 0},
    ),
    "too many of a log": (
        log().assign(when=["soon", *["2024-01-05"] * 59]),
        {**COLUMNS, "max_rejects": 0},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LATE)
def test_refused_alike_when_rows_are_read(spark: Any, folder: Path, case: str) -> None:
    frame, options = LATE[case]
    frame.to_parquet(folder / "case.parquet", index=False)
    before = sorted(folder.rglob("*"))
    asked = {"source": folder / "case.parquet", **options}
    here = said(clv.score, folder, asked, "here")
    assert said(on_spark.score_files, folder, asked, "there") == here
    assert sorted(folder.rglob("*")) == before


def warned(score: Any, *call: Any, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score(*call, **options)
    return sorted(str(one.message) for one in caught if one.category is UserWarning)


# Of T in days; and whether expected spend is infinite in some draws
WARNED: dict[str, tuple[Any, float]] = {
    "fractions": (100.3, 3.7),
    "out of proportion": (5_000.0, 3.7),
    "longer than a life": (1e6, 3.7),
    "endless spend": (100.0, 0.9),
    "nobody": (None, 3.7),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WARNED)
def test_warned_alike(spark: Any, folder: Path, case: str) -> None:
    T, q = WARNED[case]
    frame = customers().head(0 if T is None else 40).assign(T=T or 1.0)
    if T is not None:  # a row that is refused has no say in what is warned of
        frame.loc[3, ["frequency", "T"]] = np.nan, 1e9
    frame.to_parquet(folder / "case.parquet", index=False)
    posterior = posterior_of(q)
    calls = ((clv.score, folder / "here"), (on_spark.score_files, folder / "there"))
    here, there = (
        warned(one, folder / "case.parquet", posterior, out, allow_rejects=True)
        for one, out in calls
    )
    assert here == there
    assert len(here) == 1
