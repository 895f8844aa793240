"""The result of a backtest: tables, checks, and how they are kept."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from clvmodels.errors import SchemaError, one_line
from clvmodels.evaluation import checks as judging
from clvmodels.evaluation.baselines import LABELS
from clvmodels.evaluation.metrics import METRIC_LABELS, METRICS
from clvmodels.evaluation.over_dates import moved_by_clock, over_dates, with_clock
from clvmodels.outputs import aside, followed
from clvmodels.path_checks import path_of
from clvmodels.uses import UseVerdict, in_one_sentence, judge_uses
from clvmodels.verdict import WORDS, Check, Status, Verdict

FORMAT_VERSION: Final = 2
HEADER: Final = "metrics.json"
TABLES: Final = (
    "metrics",
    "customers",
    "coverage",
    "totals",
    "calibration",
    "tracking",
    "repeats",
)
OPTIONAL: Final = ("next_purchases", "rolling", "calendar_totals", "sensitivity")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Backtest:
    """What a model forecast at a past date, and what happened then; made by `backtest`.

    Every interval here is of one of two kinds. Those of ``customers``, ``coverage``,
    ``totals``, ``tracking`` and ``repeats`` are predictive: where what happens should lie.
    Those of ``metrics``, ``calibration`` and the ``lower``/``upper`` of ``coverage`` are
    bootstrap intervals over customers: how far the figure would vary with other customers
    of the kind.

    Attributes
    ----------
    train_end, test_end : str
        Last date of the calibration and of the holdout.
    settings : mapping
        The arguments, and figures of the split: customers, new_customers (first seen in
        the holdout, left out), horizon_days, time_unit, time_scaler.
    metrics : DataFrame
        One row for each target ("purchases", "value"), metric and forecast: value,
        lower, upper; difference (model minus baseline; of absolute values for bias) with
        its interval; model_is "better", "worse" or "unclear" against that baseline, of all
        comparisons of a date together (Holm's correction for their number), "" where there
        is nothing to compare.
    customers : DataFrame
        One row per customer of the calibration: customer_id, history,
        purchases_actual, purchases_<forecast>, purchases_lower and _upper (predictive);
        the same for value.
    coverage : DataFrame
        For each target and level: share of customers whose predictive interval holds
        what happened, mean width, and their bootstrap intervals.
    totals : DataFrame
        For each target and level: forecast, lower, upper (predictive, of the total),
        actual, inside.
    calibration : DataFrame
        For each target and forecast, groups of customers from the lowest forecast up:
        customers, expected, actual (means), with the interval of the latter.
    tracking : DataFrame
        By week (end date, and days in it: the last one may be short) and part ("train",
        "holdout"): repeat purchases, actual and expected, incremental and cumulative,
        with predictive bands. In the holdout what is
        expected is conditional on every customer's history, and the cumulative curve
        goes on from what had happened.
    repeats : DataFrame
        Customers with 0, 1, ..., 7+ repeat purchases in the calibration: actual, expected,
        lower, upper.
    next_purchases : DataFrame or None
        Of the holdout, whether customers bought next when :func:`clvmodels.next_purchase` said:
        statement ("bought within 30 days", "bought by the median", "overdue: bought in the
        holdout", ...), customers it was made of, the share said and the share that happened,
        with lower and upper, between which it should lie if customers are independent; doubt
        about parameters is not in that. Medians and windows that end after the holdout are
        left out. None in backtests written by earlier versions.
    rolling : DataFrame or None
        The rows of ``metrics`` for every rolling origin, with origin, train_end,
        test_end and customers.
    calendar_totals : DataFrame or None
        Totals of the reported cut and of every rolling origin without doubt about the
        calendar ("none") and with it, by :func:`clvmodels.forecast_total`: train_end, test_end,
        target, clock, calendar, calendar_sd, level, forecast, lower, upper, actual, inside, and
        interval_score, as a share of the actual total. A model with a clock ("with") is also
        fitted "without" it and, where it learnt a season, "without season". None where no
        calendar was asked for.
    sensitivity : DataFrame or None
        How totals change with the handling of the data.
    checks : tuple of Check
        What the reader must know.
    fits : mapping of str to Verdict
        The verdict of each fit.
    notes : tuple of str
        What else to know of the forecasts.
    """

    train_end: str
    test_end: str
    settings: Mapping[str, Any]
    metrics: pd.DataFrame
    customers: pd.DataFrame
    coverage: pd.DataFrame
    totals: pd.DataFrame
    calibration: pd.DataFrame
    tracking: pd.DataFrame
    repeats: pd.DataFrame
    checks: tuple[Check, ...]
    fits: Mapping[str, Verdict]
    notes: tuple[str, ...] = ()
    next_purchases: pd.DataFrame | None = field(default=None)
    rolling: pd.DataFrame | None = field(default=None)
    calendar_totals: pd.DataFrame | None = field(default=None)
    sensitivity: pd.DataFrame | None = field(default=None)

    def __len__(self) -> int:
        return len(self.customers)

    @property
    def status(self) -> Status:
        """The worst status of all checks."""
        return judging.worst(self.checks)

    @property
    def uses(self) -> tuple[UseVerdict, ...]:
        """What forecasts of this kind can be used for: totals, ranking, single customers."""
        return judge_uses(fit_checks(self.fits), self.checks)

    @property
    def targets(self) -> tuple[str, ...]:
        """What was forecast: "purchases" and, with amounts, "value"."""
        return tuple(self.metrics["target"].unique())

    @property
    def totals_over_dates(self) -> pd.DataFrame | None:
        """How well totals hold over all dates, by target, clock and calendar.

        Of ``calendar_totals``: calendar_sd (the mean), level, dates, inside (at how many of them
        the interval held), coverage, interval_score (the mean, as a share of the actual total:
        smaller is better) and error (the mean of forecast minus actual, likewise). None where
        that is.
        """
        return None if self.calendar_totals is None else over_dates(self.calendar_totals)

    @property
    def moved_by_clock(self) -> pd.DataFrame | None:
        """By how much the clock moved the forecasts of totals, by date and target.

        Of ``calendar_totals``: train_end, test_end, target, forecast_without and forecast_with
        the clock, moved (the share by which the second is more), and actual. None where the
        model has no clock, or no calendar was asked for.
        """
        return None if self.calendar_totals is None else moved_by_clock(self.calendar_totals)

    def table(self, target: str = "purchases") -> pd.DataFrame:
        """Metrics of one target, a row for each metric and a column for each forecast.

        Raises
        ------
        SchemaError
            There is no such target.
        """
        return self._wide(target, "value")

    def verdict(self, target: str = "purchases") -> pd.DataFrame:
        """Which baseline each metric beats, a row for each metric: better, worse or unclear.

        Raises
        ------
        SchemaError
            There is no such target.
        """
        return self._wide(target, "model_is").iloc[:, 1:]

    def _wide(self, target: str, column: str) -> pd.DataFrame:
        if target not in self.targets:
            raise SchemaError(
                f"target={target!r} is not in this backtest: it has {', '.join(self.targets)}."
            )
        mine = self.metrics[self.metrics["target"] == target]
        forecasts = list(mine["forecast"].unique())
        wide = mine.set_index(["metric", "forecast"])[column].unstack("forecast")  # noqa: PD010
        return wide.loc[list(METRICS), forecasts]

    # --- files ---

    def to_dict(self) -> dict[str, Any]:
        """Dates, settings, checks and metrics, as plain values for JSON."""
        return {
            "format_version": FORMAT_VERSION,
            "train_end": self.train_end,
            "test_end": self.test_end,
            "settings": dict(self.settings),
            "status": self.status,
            "uses": [use.to_dict() for use in self.uses],
            "checks": [_plain(asdict(check)) for check in self.checks],
            "fits": {name: verdict.to_dict() for name, verdict in self.fits.items()},
            "notes": list(self.notes),
            "metrics": plain_records(self.metrics),
            "coverage": plain_records(self.coverage),
            "totals": plain_records(self.totals),
            **{
                name: None if (table := getattr(self, name)) is None else plain_records(table)
                for name in OPTIONAL
            },
        }

    def save(self, folder: str | Path) -> Path:
        """Write the tables as Parquet and metrics.json to a folder; see `load_backtest`."""
        folder = followed(path_of("The backtest", folder))
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*TABLES, *OPTIONAL):
            table = getattr(self, name)
            path = folder / f"{name}.parquet"
            if table is None:
                path.unlink(missing_ok=True)
            else:
                with aside(path) as written:
                    table.to_parquet(written, index=False)
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False, default=str)
        with aside(folder / HEADER) as written:
            written.write_text(text + "\n", encoding="utf-8")
        return folder

    # --- display ---

    def __repr__(self) -> str:
        return (
            f"<Backtest of {len(self):,} customers, calibration to {self.train_end}, holdout to "
            f"{self.test_end}: {self.status}>"
        )

    def __str__(self) -> str:
        lines = [repr(self), *(f"  {use}" for use in self.uses)]
        lines += [f"  {check} {check.advice}".rstrip() for check in self.checks]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        uses = [f"<b>{html.escape(in_one_sentence(self.uses))}</b>"]
        uses += [html.escape(str(use)) for use in self.uses]
        parts = [f"<p><b>{html.escape(repr(self))}</b></p>", f"<p>{'<br>'.join(uses)}</p>"]
        parts.append(_checks_html(self.checks))
        for target in self.targets:
            wide = self.table(target).rename(index=METRIC_LABELS, columns=LABELS)
            shown = wide.to_html(border=0, float_format=lambda v: f"{v:.4g}", na_rep="")
            parts += [f"<p>Forecasts of {target}</p>", shown]
        coverage = self.coverage.to_html(border=0, index=False, float_format=lambda v: f"{v:.4g}")
        parts += ["<p>Coverage of predictive intervals</p>", coverage]
        parts += [f"<p>{html.escape(note)}</p>" for note in self.notes]
        return f"<div>{''.join(parts)}</div>"


def load_backtest(folder: str | Path) -> Backtest:
    """Read what `Backtest.save` wrote.

    Parameters
    ----------
    folder : str or Path
        Where it was saved.

    Returns
    -------
    Backtest
        The same tables and settings.

    Raises
    ------
    SchemaError
        The folder holds no backtest, or one of a newer version, or a table is missing.
    """
    folder = path_of("The backtest", folder)
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
        version = header["format_version"]
        if version > FORMAT_VERSION:
            raise SchemaError(
                f"The backtest in {folder} has format {version}, newer than {FORMAT_VERSION}: "
                "upgrade clvmodels to read it."
            )
        tables: dict[str, Any] = {
            name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES
        }
        for name in OPTIONAL:
            there = header.get(name) is not None
            tables[name] = pd.read_parquet(folder / f"{name}.parquet") if there else None
        tables["calendar_totals"] = with_clock(tables["calendar_totals"])
        return Backtest(
            train_end=header["train_end"],
            test_end=header["test_end"],
            settings=header["settings"],
            checks=_checks_of(header, tables),
            fits={name: Verdict.from_dict(found) for name, found in header["fits"].items()},
            notes=tuple(header["notes"]),
            **tables,
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{folder} holds no whole backtest ({one_line(error)}): write one with Backtest.save."
        ) from error


def _checks_of(header: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> tuple[Check, ...]:
    """Checks as they were kept; those of format 1 could not fail, and are made again."""
    if header["format_version"] < FORMAT_VERSION:
        return judging.judge(tables, float(header["settings"]["interval"]))
    return tuple(Check(**check) for check in header["checks"])


def fit_checks(fits: Mapping[str, Verdict]) -> list[Check]:
    """Whether the backtest's own fits converged; without, its figures say nothing."""
    return [
        Check(
            f"failed checks of the backtest's own fit of {name}",
            float(len(verdict.failures)),
            0.0,
            "pass" if verdict.ok else "fail",
            "" if verdict.ok else "So do not trust its figures.",
            "at most",
        )
        for name, verdict in fits.items()
    ]


def plain_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table for JSON, which has neither NaN nor infinity."""
    return [_plain(row) for row in table.to_dict("records")]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Values for JSON, which has neither NaN nor infinity: null, and "inf"."""
    return {str(name): _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _checks_html(checks: tuple[Check, ...]) -> str:
    rows = "".join(
        f"<tr><td>{WORDS[check.status]}</td><td>{html.escape(check.finding)}</td>"
        f"<td>{html.escape(check.figure)}</td><td>{html.escape(check.bound)}</td>"
        f"<td>{html.escape(check.advice)}</td></tr>"
        for check in checks
    )
    return f"<table>{rows}</table>"
