"""Through how many modules an argument goes: whoever reads on from a verb opens no more files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clvmodels as clv
from clvmodels.posterior.core import Posterior
from clvmodels.scoring.input_files import InputFile, Listing
from clvmodels.scoring.source import Source
from tests.unit.diagnostics_cases import base, given

TABLE = clv.RfmTable.from_frame(base(200))
BOTH = given(20)


def handed(call: Callable[[], Any], is_it: Callable[[object], bool]) -> set[str]:
    """Modules of the package with a function that gets the thing as an argument."""
    found: set[str] = set()

    def see(frame: Any, event: str, arg: Any) -> None:
        name, code = frame.f_globals.get("__name__", ""), frame.f_code
        if event == "call" and name.startswith("clvmodels."):
            arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            if any(is_it(frame.f_locals.get(one)) for one in arguments):
                found.add(name)

    sys.setprofile(see)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_report_hands_its_posterior_to_few_modules() -> None:
    found = handed(
        lambda: clv.report(BOTH, TABLE), lambda one: isinstance(one, clv.CLVPosterior | Posterior)
    )
    assert {"clvmodels.reporting.rendered", "clvmodels.posterior.core"} < found
    assert len(found) <= 20, sorted(found)


def test_scoring_hands_its_source_to_few_modules(tmp_path: Path) -> None:
    """What was found at the path that was named, and the record that is made of it."""
    TABLE.to_parquet(tmp_path / "rfm.parquet")
    found = handed(
        lambda: clv.score(tmp_path / "rfm.parquet", BOTH, tmp_path / "scores.parquet"),
        lambda one: isinstance(one, Source | Listing | InputFile),
    )
    assert {"clvmodels.scoring.job", "clvmodels.scoring.source"} < found
    assert len(found) <= 12, sorted(found)
