"""The library speaks of arguments; on the command line they are options."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

_OPTIONS: Final = {
    "customer_id_col": "--customer-id",
    "datetime_col": "--timestamp",
    "monetary_value_col": "--amount",
    "segment_cols": "--segment",
    "observation_period_end": "--observation-end",
    "time_unit": "--time-unit",
    "time_scaler": "--time-scaler",
    "refunds": "--refunds",
    "order_id_col": "--order-id",
    "zero_amounts": "--zero-amounts",
    "duplicates": "--duplicates",
    "implausible_dates": "--implausible-dates",
    "missing_ids": "--missing-id",
    "varying_segments": "--varying-segments",
    "date_format": "--date-format",
    "decimal": "--decimal",
    "delimiter": "--delimiter",
    "encoding": "--encoding",
    "where": "--where",
    "currency_col": "--currency-col",
    "rates": "--rate",
    "margin": "--margin",
    "basket_value": "--basket-value",
    "method": "--method",
    "draws": "--draws",
    "tune": "--tune",
    "chains": "--chains",
    "random_seed": "--seed",
    "on_failure": "--on-failure",
    "priors": "--priors",
    "horizon": "--horizon",
    "discount_rate": "--discount-rate",
    "discounting": "--discounting",
    "first_order": "--first-order",
    "interval": "--interval",
    "intervals": "--intervals",
    "max_rejects": "--max-rejects",
    "memory_limit": "--memory-limit",
    "threads": "--threads",
    "block_rows": "--block-rows",
    "table": "--table",
    "silence": "--silence",
    "cac": "--cac",
    "longest": "--longest",
    "most_purchases": "--most-purchases",
    "train_period_end": "--train-end",
    "test_period_end": "--test-end",
    "origins": "--origins",
    "bootstrap": "--bootstrap",
    "calendar": "--calendar",
    "purchase_covariates": "--purchase-covariate",
    "dropout_covariates": "--dropout-covariate",
    "spend_covariates": "--spend-covariate",
    "paths": "--paths",
    "acquisitions": "--acquisitions",
    "target_ratio": "--ratio",
    "payback": "--payback",
    "cost_per_order": "--cost-per-order",
    "cost_per_year": "--cost-per-year",
    "cost_per_active_year": "--cost-per-active-year",
    "share": "--margin",
    "column": "--own-margins",
    "margins": "--margin",
    "most_valuable": "--most-valuable",
    "at_risk": "--at-risk",
    "sample": "--sample",
    "attributes": "--attribute",
    "ids": "--ids",
    "by": "--by",
    "against": "--against",
    "quantiles": "--quantile",
    "thresholds": "--threshold",
    "labels": "--label",
}
_FLAGS: Final = {
    "restart=True": "--restart",
    "allow_rejects=True": "--allow-rejects",
    "BetaGeoModel(clock=True)": "'clvmodels fit --clock'",
    "(..., day_pairs=True)": " --day-pairs",
    "a smaller longest= or most_purchases=": "a smaller --longest or --most-purchases",
    "by date_format and decimal": "by --date-format and --decimal",
    "rates=, such as {'EUR': 1.0, 'USD': 0.92}": "--rate EUR=1 --rate USD=0.92",
    "rates={'EUR': 1.0, 'USD': 0.92}": "--rate EUR=1 --rate USD=0.92",
    "The rates need currency_col": "Rates need --currency-col",
    "give the report your margin": "pass --margin",
    "Give the report your margin": "Pass --margin",
    "Give the report your own cost": "Pass --cac",
    "give the report the value of a basket": "pass --basket-value",
    "fit the purchase model alone": "pass --basket-value, such as 25, at which every purchase then "
    "counts",
    "or fit a CLVModel to a table with amounts": "or fit a table with amounts",
    "Give q a prior with its mass above 1, or fit": "Fit",  # which no option does
    "Give q a prior with its mass above 1, fit": "Fit",
    "use a prior of q above 1, or a longer log": "use a longer log",
    "covariates=[Pooled('frequency', ordered=True)]": "--spend-covariate ordered:frequency",
    "raise tune and draws": "raise --tune and --draws",
    "raise tune,": "raise --tune,",
    "with Backtest.save": "by 'clvmodels backtest'",
}
# What a report's record says in sentences
_TEXTS: Final = ("advice", "answer", "intro", "note", "notes", "reason", "sentences")
_NAMES: Final = "|".join(_OPTIONS)
# name='value', name="value", name=3 and segment_cols[0]='value'
_ASSIGNED: Final = re.compile(
    rf"\b({_NAMES})(?:\[\d+\])?=(?:(['\"])(.*?)\2|([^\s,.:;)]+(?:\.\d+)?))"
)
# missing_ids=['nan', 'NULL']: an option that is repeated
_LISTED: Final = re.compile(
    r"\b(missing_ids|segment_cols|quantiles|thresholds|labels)=(\[[^\[\]]*\])"
)
# pass log=, or leave it out: an argument alone
_ALONE: Final = re.compile(rf"\b({_NAMES}|log)=(?=[,.;:]( |$))")
# Covariate('age', numeric=True): numeric:age
_KIND: Final = re.compile(
    r"(?:Covariate|Pooled)\('([^']+)'(?:, (numeric|ordered|categories)=True)?\)"
)
_SUMMARY: Final = re.compile(r"rfm = rfm_summary\([^()]*\)")
_ALONE_FITTED: Final = re.compile(r", found (?!GammaGamma)\w+Posterior(?=: fit amounts)")
_BASKET: Final = re.compile(r"CLVPosterior\(purchases, ([\d.]+?)(?:\.0)?\)")
_BARE: Final = re.compile(
    r"\b(?:a )?(customer_id_col|order_id_col|datetime_col|monetary_value_col|segment_cols|"
    r"memory_limit|observation_period_end|train_period_end|test_period_end|"
    r"cost_per_order|cost_per_year|cost_per_active_year|purchase_covariates(?!=))\b"
)


def in_options(message: str) -> str:
    """Put a message of the library in terms of the command line's options.

    Examples
    --------
    >>> in_options("margin=2.0 must be a share; refunds='drop' leaves them out.")
    '--margin 2.0 must be a share; --refunds drop leaves them out.'
    >>> in_options("leave them out with missing_ids=['nan', 'not known'].")
    "leave them out with --missing-id nan --missing-id 'not known'."
    >>> in_options("give log=, or choose the rows of one with where=.")
    'give --log, or choose the rows of one with --where.'
    >>> in_options("pass restart=True to begin at the start.")
    'pass --restart to begin at the start.'
    """
    for said, flag in _FLAGS.items():
        message = message.replace(said, flag)
    message = _KIND.sub(lambda found: f"{found[2] or 'pooled'}:{found[1]}", message)
    message = _SUMMARY.sub("'clvmodels summarize LOG --customer-id ... --timestamp ...'", message)
    message = message.replace("rfm_summary", "'clvmodels summarize'")
    message = _ALONE_FITTED.sub(", and the posterior is of purchases alone", message)
    message = _BASKET.sub(r"--basket-value \1", message)
    message = _LISTED.sub(_repeated, message)
    message = _ASSIGNED.sub(_assigned, message)
    message = _ALONE.sub(lambda found: _OPTIONS.get(found[1], f"--{found[1]}"), message)
    return _BARE.sub(lambda found: _OPTIONS[found[1]], message)


def spoken(record: Any, *, said: bool = False) -> Any:
    """Put what a record of a report says in options, before its lines are broken.

    Its keys, its tables and its code stay as they are.
    """
    if isinstance(record, str):
        return in_options(record) if said and "\n" not in record else record
    if isinstance(record, tuple):
        return tuple(spoken(one, said=said) for one in record)
    if not is_dataclass(record) or isinstance(record, type):
        return record
    names = [one.name for one in fields(record) if one.init]
    return replace(record, **{n: spoken(getattr(record, n), said=n in _TEXTS) for n in names})


def _assigned(found: re.Match[str]) -> str:
    value = shlex.quote(found[3]) if found[2] else found[4]
    return f"{_OPTIONS[found[1]]} {value}"


def _repeated(found: re.Match[str]) -> str:
    try:
        items = ast.literal_eval(found[2])
    except (SyntaxError, ValueError):
        return found[0]  # no list of constants, such as [...]
    if not all(isinstance(item, str | int | float) for item in items):
        return found[0]
    return " ".join(f"{_OPTIONS[found[1]]} {shlex.quote(str(item))}" for item in items)
