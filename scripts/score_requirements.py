"""Write requirements-score.txt: what scoring a saved posterior needs, at the pinned versions.

Scoring is run here, from logs to files of every format, and the posterior is shown; whichever
of the package's dependencies this has loaded are taken, with all that they need themselves.
So nothing is listed by hand: a new import changes the file, and a test says that it is stale.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "requirements-score.txt"
HEADER = """\
# What scoring a saved posterior needs, and nothing of what fits one or draws plots:
#     pip install -r requirements-score.txt && pip install --no-deps clvmodels
# Written by scripts/score_requirements.py, from what scoring imports and constraints.txt pins.
"""

SCORING = """
import json, sys, tempfile, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import clvmodels as clv
from clvmodels.cli import main
from clvmodels.datasets import load_cdnow

columns = {"customer_id_col": "customer_id", "datetime_col": "date", "monetary_value_col": "amount"}
purchases = clv.BetaGeoPosterior.from_draws(r=[0.24, 0.25], alpha=4.4, a=0.8, b=2.4)
spend = clv.GammaGammaPosterior.from_draws(p=6.2, q=3.7, v=15.4)
with tempfile.TemporaryDirectory() as folder:
    here = Path(folder)
    posterior = clv.CLVPosterior(purchases, spend).save(here / "posterior.nc")
    load_cdnow(sample=True).to_csv(here / "log.csv", index=False)
    rfm = clv.rfm_summary(here / "log.csv", **columns)
    rfm.to_pandas().to_csv(here / "rfm.csv", index=False)
    clv.rfm_summary_to_parquet(here / "log.csv", here / "rfm.parquet", **columns)
    for name in ("a.parquet", "b.csv", "c.duckdb", "d"):
        clv.score(here / "rfm.csv", posterior, here / name, predictive=True)
    told = ["--posterior", str(posterior), "-o", str(here / "e.parquet")]
    assert main(["score", str(here / "rfm.parquet"), *told]) == 0
    log = ["--customer-id", "customer_id", "--timestamp", "date", "--amount", "amount"]
    told[-1] = str(here / "f.parquet")
    assert main(["score", str(here / "log.csv"), *log, *told]) == 0
    saved = clv.load_posterior(posterior)
    saved.predict(rfm, predictive=True)
    saved.summary(), repr(saved), saved._repr_html_()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded() -> set[str]:
    """Distributions of which scoring has loaded a module."""
    done = subprocess.run(
        [sys.executable, "-c", SCORING], capture_output=True, text=True, check=True, cwd=ROOT
    )
    homes = packages_distributions()
    modules = json.loads(done.stdout.splitlines()[-1])
    return {canonicalize_name(one) for name in modules for one in homes.get(name, [])}


def needed() -> dict[str, Requirement]:
    """Those of the package's own dependencies that scoring has loaded."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = map(Requirement, project["dependencies"])
    found = loaded()
    return {name: one for one in listed if (name := canonicalize_name(one.name)) in found}


def closure(requirement: Requirement) -> Iterator[str]:
    """A distribution and all that it requires, on whatever system."""
    todo, seen = [(requirement.name, frozenset(requirement.extras))], set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        yield canonicalize_name(name)
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:  # of another system: its own needs are not known here
            continue
        for one in map(Requirement, lines):
            if wanted(one, extras):
                todo.append((one.name, frozenset(one.extras)))


def wanted(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Whether a requirement holds without an extra, or with one of these; systems are open."""
    marker = str(requirement.marker or "")
    named = re.findall(r"""extra == ["']([^"']+)["']""", marker)
    return not named or bool(set(named) & extras)


def text() -> str:
    """The file, as it should be."""
    names = {name for one in needed().values() for name in closure(one)}
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    kept = [line for line in pins if canonicalize_name(re.split(r"[=<>; \[]", line)[0]) in names]
    return HEADER + "\n".join(kept) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
    print(f"{TARGET.name}: {len(text().splitlines()) - HEADER.count(chr(10))} packages")
