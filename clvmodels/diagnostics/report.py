"""One call: posterior and base in, the record of the whole report out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from clvmodels.diagnostics.active import active_section
from clvmodels.diagnostics.base_totals import totals
from clvmodels.diagnostics.convergence import convergence_section
from clvmodels.diagnostics.data import data_section
from clvmodels.diagnostics.facts import facts
from clvmodels.diagnostics.first_page import brief
from clvmodels.diagnostics.fit_checks import fit_section
from clvmodels.diagnostics.planned import planned
from clvmodels.diagnostics.prediction import checks_of_forecasts, prediction_section
from clvmodels.diagnostics.prior_checks import prior_section
from clvmodels.diagnostics.provenance import provenance_of, provenance_section
from clvmodels.diagnostics.record import Headline, Report, Section
from clvmodels.diagnostics.study import Question, Study, model_name, prepare
from clvmodels.diagnostics.tier_values import tier_values
from clvmodels.diagnostics.words import unit_of
from clvmodels.keywords import named
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.progress import telling
from clvmodels.schema import Discounting, Horizon, TimeUnit, scale_said
from clvmodels.uses import UseVerdict, in_one_sentence, judge_uses, overall
from clvmodels.verdict import Check, Use

if TYPE_CHECKING:
    from clvmodels.evaluation.backtest_record import Backtest
    from clvmodels.frames import Frame
    from clvmodels.posterior import CLVPosterior, PurchasePosterior
    from clvmodels.rfm import RfmTable

_MODEL: Final = (0.35, 0.6)  # from where to where in the whole


@named
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
    calendar: CalendarChoice = "auto",
    margin: float | None = None,
    cac: float | None = None,
    currency: str = "",
    random_seed: int = 0,
    id_map: Any = None,
    date: str | None = None,
    title: str | None = None,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
) -> Report:
    """Compute everything that a diagnostic report shows, and judge it by stated limits.

    Parameters
    ----------
    posterior : CLVPosterior, BetaGeoPosterior or the like
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
    calendar : {"auto", "none", "learnt"} or float
        Doubt about what moves all customers at once, in the totals to plan with, as in
        :func:`~clvmodels.forecast_total`.
    margin : float, optional
        Share of revenue that is profit; by default the table's, else the posterior's.
    cac : float, optional
        What winning a new customer costs, for the first page to judge.
    currency : str
        For the eye, such as "$" or "EUR".
    random_seed : int
        Of what is simulated: samples and bands.
    id_map : mapping or frame, optional
        As it was given to `rfm_summary`.
    date : str, optional
        When the report was made, as it is to be printed; by default it is not said: the
        same input gives the same report.
    title : str, optional
        Of the report.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

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
        calendar=calendar,
        margin=margin,
        cac=cac,
        currency=currency,
        random_seed=random_seed,
    )
    said = scale_said(time_unit, time_scaler)
    told = telling()  # shares as measured on bases of 2,000 and 4,000 customers
    study = prepare(posterior, rfm, question, said=said, log=log, id_map=id_map, backtest=backtest)
    told(0.03, "what the base is worth")
    held = tier_values(study)
    added = totals(study, held)
    told(0.06, "what is to come, month by month")
    plan = planned(study)
    provenance = provenance_of(study, date)
    made = (
        partial(data_section, study),
        partial(convergence_section, study),
        partial(prior_section, study),
        partial(fit_section, study, plan.months),
        partial(prediction_section, study),
        partial(active_section, study, added, held, plan),
        partial(provenance_section, study, provenance),
    )
    sections = tuple(_in_turn(made))
    told(_MODEL[1], "the first page")
    checks = tuple(check for section in sections for check in section.checks)
    converged = all(check.status != "fail" for check in sections[1].checks)
    said_first = headline(
        checks, checks_of_forecasts(study), study.why_no_value, converged=converged
    )
    why_not = "" if converged else "The fit did not converge: fit it again first."
    if not why_not and all(use.verdict == "not supported" for use in said_first.uses):
        why_not = said_first.uses[0].reason
    return Report(
        title=title or _title(study),
        verdict=said_first,
        checks=checks,
        facts=tuple(facts(study, added, plan)),
        sections=sections,
        provenance=provenance,
        currency=currency,
        time_unit=unit_of(study.scale),
        brief=brief(
            study,
            added,
            held,
            plan,
            sections,
            why_not=why_not,
            no_budget=_unsupported(said_first.uses, "totals"),
        ),
    )


def _in_turn(made: Sequence[Callable[[], Section]]) -> Iterator[Section]:
    first, last = _MODEL
    for place, make in enumerate(made):
        telling()(first + (last - first) * place / len(made), "the model")
        yield make()


def _unsupported(uses: Sequence[UseVerdict], use: Use) -> str:
    """Why the numbers must not be used for something; "" where they may."""
    of_it = (one for one in uses if one.use == use and one.verdict == "not supported")
    return next((one.reason for one in of_it), "")


def _title(study: Study) -> str:
    models = " and ".join(model_name(one) for one in study.models)
    end = study.purchases.metadata.observation_end
    return f"Customer lifetime value: {models}" + (f", observed to {end}" if end else "")


def headline(
    checks: tuple[Check, ...],
    predicted: tuple[Check, ...],
    why_no_value: str = "",
    *,
    converged: bool = True,
) -> Headline:
    """Say on one screen what the numbers can be used for.

    Parameters
    ----------
    checks : tuple of Check
        All of the report.
    predicted : tuple of Check
        Those of them that a backtest made; none without one.
    why_no_value : str
        Why there are no values, if there are none.
    converged : bool
        Whether no check of the fit's convergence failed.
    """
    uses = judge_uses([check for check in checks if check not in predicted], predicted)
    passed = sum(check.status == "pass" for check in checks)
    sentences = (
        [] if converged else ["The fit did not converge, so nothing that follows can be relied on."]
    )
    sentences.append(f"{passed} of {len(checks)} checks passed.")
    if why_no_value:
        sentences.append(f"There are no values: {why_no_value}")
    return Headline(overall(uses), in_one_sentence(uses), tuple(sentences), uses)
