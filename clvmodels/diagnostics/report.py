"""One call: posterior and base in, the record of the whole report out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clvmodels.diagnostics.convergence import convergence_section
from clvmodels.diagnostics.data import data_section
from clvmodels.diagnostics.fit import fit_section
from clvmodels.diagnostics.prediction import prediction_section
from clvmodels.diagnostics.priors import prior_section
from clvmodels.diagnostics.provenance import provenance_of, provenance_section
from clvmodels.diagnostics.record import Fact, Headline, Report
from clvmodels.diagnostics.says import says_section
from clvmodels.diagnostics.study import Question, Study, model_name, prepare
from clvmodels.diagnostics.totals import Amount, Totals, totals
from clvmodels.diagnostics.words import horizon_of, listed, number, percent, unit_of
from clvmodels.diagnostics.worth import worth
from clvmodels.schema import Discounting, Horizon
from clvmodels.verdict import Check, Status

if TYPE_CHECKING:
    from clvmodels.evaluation.record import Backtest
    from clvmodels.frames import Frame
    from clvmodels.posterior import CLVPosterior, PurchasePosterior
    from clvmodels.rfm import RfmTable

_ORDER: tuple[Status, ...] = ("unavailable", "pass", "warn", "fail")


def diagnose(
    posterior: CLVPosterior | PurchasePosterior,
    rfm: RfmTable | Frame,
    *,
    log: Any = None,
    backtest: Backtest | None = None,
    horizon: Horizon = "365D",
    discount_rate: float = 0.10,
    discounting: Discounting = "continuous",
    interval: float = 0.9,
    draws: int = 500,
    currency: str = "",
    random_seed: int = 0,
    id_map: Any = None,
    date: str | None = None,
    title: str | None = None,
) -> Report:
    """Compute everything that a diagnostic report shows, and judge it by stated limits.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or ModifiedBetaGeoPosterior
        By any method; what a method does not give is said to be unavailable.
    rfm : RfmTable or frame
        The base, as a rule the one that was fitted.
    log : object, optional
        The log that ``rfm`` was made of, in any of the forms of `rfm_summary`: for the
        tracking plot and the simple formula's gaps.
    backtest : Backtest, optional
        Of the same kind of model on the same log.
    horizon, discount_rate, discounting, interval, draws
        As in :meth:`CLVPosterior.predict`.
    currency : str
        For the eye, such as "$" or "EUR".
    random_seed : int
        Of what is simulated: samples and bands.
    id_map : mapping or frame, optional
        As it was given to `rfm_summary`.
    date : str, optional
        Of the report, as it is to be printed; by default the posterior's observation
        end: the same input gives the same report.
    title : str, optional
        Of the report.

    Returns
    -------
    Report
        Plain values, small for a base of any size.

    Raises
    ------
    SchemaError, TimeUnitError
        Posterior, table or log are not of the right form, or the table is empty.
    DomainError
        A number is out of range.

    Notes
    -----
    A fit that failed, a base without repeat customers, or a posterior without spend do
    not raise: the verdict says so.
    """
    question = Question(
        horizon=horizon,
        discount_rate=discount_rate,
        discounting=discounting,
        interval=interval,
        draws=draws,
        currency=currency,
        random_seed=random_seed,
    )
    study = prepare(posterior, rfm, question, log=log, id_map=id_map, backtest=backtest)
    held = worth(study)
    added = totals(study, held)
    provenance = provenance_of(study, date)
    sections = (
        data_section(study),
        convergence_section(study),
        prior_section(study),
        fit_section(study),
        prediction_section(study),
        says_section(study, added, held),
        provenance_section(study, provenance),
    )
    checks = tuple(check for section in sections for check in section.checks)
    return Report(
        title=title or _title(study),
        verdict=headline(checks, study.why_no_value),
        checks=checks,
        facts=tuple(facts(study, added)),
        sections=sections,
        provenance=provenance,
        currency=currency,
        time_unit=unit_of(study.scale),
    )


def _title(study: Study) -> str:
    models = " and ".join(model_name(one) for one in study.models)
    end = study.purchases.metadata.observation_end
    return f"Customer lifetime value: {models}" + (f", observed to {end}" if end else "")


def worst(checks: tuple[Check, ...]) -> Status:
    """The worst status of all checks."""
    return max((check.status for check in checks), key=_ORDER.index, default="unavailable")


def headline(checks: tuple[Check, ...], why_no_value: str = "") -> Headline:
    """Say on one screen whether the numbers can be used.

    Parameters
    ----------
    checks : tuple of Check
    why_no_value : str
        Why there are no values, if there are none.
    """
    named = {
        status: [check.name for check in checks if check.status == status] for status in _ORDER
    }
    status = worst(checks)
    said = {
        "fail": "Do not use these numbers as they are.",
        "warn": "These numbers can be used with care.",
        "pass": "These numbers can be used"
        + (", as far as they could be checked." if named["unavailable"] else "."),
        "unavailable": "Nothing could be checked, so nothing is known of these numbers.",
    }
    sentences = []
    if named["fail"]:
        sentences.append(f"Failed: {listed(named['fail'], most=4)}.")
    if named["warn"]:
        sentences.append(f"To be looked at: {listed(named['warn'], most=4)}.")
    if named["unavailable"]:
        sentences.append(f"Could not be checked: {listed(named['unavailable'], most=4)}.")
    sentences.append(f"{len(named['pass'])} of {len(checks)} checks passed.")
    if why_no_value:
        sentences.append(f"There are no values: {why_no_value}")
    return Headline(status, said[status], tuple(sentences))


# --- facts ------------------------------------------------------------------------------


def facts(study: Study, added: Totals) -> Iterator[Fact]:
    """The first screen's figures."""
    ahead = horizon_of(study.question.horizon, study.scale)
    yield from _worth(study, added, ahead)
    known = added.repeat + added.once
    yield Fact(
        "active_repeat_customers",
        "Repeat customers who are probably still active",
        added.active.mean,
        *_ends(added.active),
        "integer",
        f"Of {added.repeat:,} customers who came back; the sum of their P(alive)."
        if added.repeat
        else "Nobody came back.",
        "active",
    )
    yield Fact(
        "repeat_customers_again",
        "Repeat customers who will buy again",
        added.again_repeat.mean,
        *_ends(added.again_repeat),
        "integer",
        f"At least once in {ahead}.",
        "active",
    )
    yield Fact(
        "one_time_buyers",
        "Customers who bought only once",
        added.once,
        format="integer",
        note=f"{percent(added.once / known)} of all."
        + (
            " BG/NBD's P(alive) says nothing of them: it is 1 for ever."
            if study.purchases.metadata.model == "bgnbd"
            else " They are not among the active customers above."
        ),
        group="one-time",
    )
    yield Fact(
        "one_time_buyers_again",
        "One-time buyers who will buy again",
        added.again.mean,
        *_ends(added.again),
        "integer",
        f"At least once in {ahead}.",
        "one-time",
    )
    yield from _base(study)


def _worth(study: Study, added: Totals, ahead: str) -> Iterator[Fact]:
    value, asked = added.value, study.question
    if value is None:
        yield Fact(
            "value_of_the_base",
            "What the base is worth",
            None,
            format="money",
            note=study.why_no_value,
            group="worth",
        )
        return
    rate = f"discounted at {percent(asked.discount_rate)} a year"
    margin = "" if study.rfm.margin == 1 else f", at a margin of {percent(study.rfm.margin)}"
    yield Fact(
        "value_of_the_base",
        "What the base is worth",
        value.mean,
        *_ends(value),
        "money",
        f"Expected value of what these customers will buy in {ahead}, {rate}{margin}; the "
        f"{percent(asked.interval)} interval is of this expectation. Customers to come are not "
        "in it.",
        "worth",
    )
    size = study.histories.customers
    yield Fact(
        "value_per_customer",
        "Per customer",
        value.mean / size,
        *_ends(Amount(value.mean / size, value.lower / size, value.upper / size)),
        "money",
        "The mean over all customers; most are worth less.",
        "worth",
    )


def _base(study: Study) -> Iterator[Fact]:
    h = study.histories
    yield Fact("customers", "Customers", h.customers, format="integer")
    yield Fact(
        "observed_for",
        "Longest time observed",
        float(h.T.max()),
        format="duration",
        note=f"In {unit_of(study.scale)}; {number(h.mean_T)} on average.",
    )
    end = study.purchases.metadata.observation_end
    if end is not None:
        yield Fact("observation_end", "Observed to", end, format="date")
    if study.clv is not None:
        yield Fact(
            "median_value",
            "Median customer",
            float(study.scores["clv"].median()),
            format="money",
            note="Half of the customers are worth less.",
        )


def _ends(amount: Amount) -> tuple[float | None, float | None]:
    """Ends of an interval; None where there is none."""
    lower, upper = amount.lower, amount.upper
    return (lower if lower == lower else None), (upper if upper == upper else None)
