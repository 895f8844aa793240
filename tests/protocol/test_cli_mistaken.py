"""Files passed in the place of others: the error says what they are, and what to pass."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior, RfmTable
from clvmodels.cli import main


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, a posterior, scores, a log and folders of other commands, where the test runs."""
    monkeypatch.chdir(tmp_path)
    purchases = BetaGeoPosterior.from_draws(r=0.25, alpha=38.0, a=0.62, b=2.75)
    spend = GammaGammaPosterior.from_draws(p=4.8, q=4.2, v=24.6)
    CLVPosterior(purchases, spend).save("posterior.nc")
    rows = {
        "customer_id": [1, 2],
        "frequency": [2.0, 0.0],
        "recency": [30.0, 0.0],
        "T": [50.0, 9.0],
    }
    table = RfmTable.from_frame(pd.DataFrame({**rows, "monetary_value": [9.0, 0.0]}))
    table.to_parquet("rfm.parquet")
    table.to_pandas().to_parquet("scores.parquet")
    Path("orders.csv").write_text("customer_id,date,amount\nA,2024-01-01,10\n")
    for folder, file in {"compared": "comparison.parquet", "clv": "run.json"}.items():
        Path(folder).mkdir()
        Path(folder, file).touch()


_COLUMNS = "--customer-id customer_id --timestamp date"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "report --rfm posterior.nc --posterior rfm.parquet -o r.html",
            "The file posterior.nc is a posterior, and rfm.parquet is a table of customers: "
            "exchange --rfm and --posterior.",
        ),
        (
            "customers --rfm rfm.parquet --posterior scores.parquet -o c.csv",
            "The file scores.parquet is a table: pass the posterior that 'clvmodels fit' wrote, "
            "such as posterior.nc.",
        ),
        ("score rfm.parquet --posterior orders.csv -o s.csv", "orders.csv is a table: pass"),
        ("fit posterior.nc -o f.nc", "is a posterior: pass the table of customers that"),
        ("fit rfm.parquet -o f.nc --update rfm.parquet", "is a table of customers: pass the post"),
        (f"run rfm.parquet -o out {_COLUMNS}", "is a table of customers: pass the log of orders"),
        (f"summarize posterior.nc -o out.csv {_COLUMNS}", "is a posterior: pass the log of orders"),
        (
            "report --rfm rfm.parquet --posterior posterior.nc --backtest compared -o r.html",
            "The folder compared comes from 'clvmodels compare': pass the folder that 'clvmodels "
            "backtest' wrote.",
        ),
        (
            "report --rfm rfm.parquet --posterior posterior.nc --backtest clv -o r.html",
            "The folder clv comes from 'clvmodels run': pass the folder",
        ),
        (
            "report --rfm rfm.parquet --posterior posterior.nc -o r.html --for boss",
            "--for boss is unknown: use one of 'both', 'manager', 'analyst'.",
        ),
        ("fit rfm.parquet -o f.nc --model best", "--model best is unknown: use one of 'auto', "),
    ],
)  # fmt: skip
def test_the_error_says_what_it_is_and_what_to_pass(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not any(Path(name).exists() for name in ("r.html", "c.csv", "s.csv", "f.nc", "out"))
