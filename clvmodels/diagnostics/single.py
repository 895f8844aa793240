"""Single figures of the report, from a posterior, a table, values or a backtest alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from clvmodels import frames
from clvmodels.diagnostics.active import _alive_figure, _matrices
from clvmodels.diagnostics.chains import OnePosterior
from clvmodels.diagnostics.data import _cohorts, _figures
from clvmodels.diagnostics.draw_figures import figures_of_draws
from clvmodels.diagnostics.fit_checks import tracking_figures
from clvmodels.diagnostics.fitted_weeks import track, why_not_tracked
from clvmodels.diagnostics.power_scaling import (
    priors_of,
    sensitivity,
    sensitivity_figures,
    why_not,
)
from clvmodels.diagnostics.prior_checks import _densities
from clvmodels.diagnostics.record import Figure
from clvmodels.diagnostics.repeat_fit import expected_repeats, repeat_figure
from clvmodels.diagnostics.spend_fit import spend_figures, spend_histogram
from clvmodels.diagnostics.study import Question, Study, _table, model_name, prepare
from clvmodels.diagnostics.values import _distribution
from clvmodels.errors import DomainError, SchemaError
from clvmodels.posterior import CLVPosterior, GammaGammaPosterior, PurchasePosterior
from clvmodels.predictive import forecast_total
from clvmodels.predictive.calendars import CalendarChoice
from clvmodels.rfm import RfmTable
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.histories import (
    PurchaseHistories,
    RfmColumns,
    purchase_histories,
    rfm_columns,
)
from clvmodels.rfm.periods import check_said
from clvmodels.schema import FREQUENCY, Horizon, TimeScale

if TYPE_CHECKING:
    from clvmodels.frames import Frame

Posterior = CLVPosterior | PurchasePosterior | GammaGammaPosterior
Data = dict[str, Any]

_MOST_SHOWN: Final = 60
_SHARE_SHOWN: Final = 0.995
_FEW: Final = 50
_OF_CHAINS: Final = ("trace", "ranks", "energy")
_WHY_NOT: Final = {
    "certain": "the posterior is a single point; fit with method='nuts' or 'laplace'.",
    "few": "it needs draws of NUTS, at least 100 in each chain, and several chains for ranks.",
    "no chains": "its draws are not those of chains; fit with method='nuts'.",
}


class _Part(Study):
    """A study of which only what one figure needs is there; the rest is None."""

    __slots__ = ()

    @property
    def scale(self) -> TimeScale:
        found = self.rfm or self.purchases or self.spend
        return TimeScale() if found is None else found.scale

    @property
    def models(self) -> tuple[OnePosterior, ...]:
        return tuple(one for one in (self.purchases, self.spend) if one is not None)


def part(
    posterior: Posterior | None = None,
    rfm: RfmTable | Frame | None = None,
    said: TimeScale | None = None,
    **other: Any,
) -> Any:
    """A study of what is given alone."""
    purchases: Any = posterior
    spend = None
    if isinstance(posterior, CLVPosterior):
        purchases, spend = posterior.purchases, posterior.gamma_gamma
    elif isinstance(posterior, GammaGammaPosterior):
        purchases, spend = None, posterior
    table = columns = histories = None
    if rfm is not None:
        table = _alone(rfm, said) if purchases is None else _table(rfm, purchases.metadata, said)
        columns = rfm_columns(table)
        known = purchases or spend
        if known is not None:
            columns = with_strata(columns, known.metadata.design)
        histories = purchase_histories(columns)
    given = {"question": Question(), "columns": columns, "histories": histories} | other
    return _Part(
        purchases=purchases,
        clv=None,
        spend=spend,
        rfm=table,  # type: ignore[arg-type]
        scores=given.pop("scores", None),
        why_no_value="",
        **given,
    )


def _alone(rfm: RfmTable | Frame, said: TimeScale | None) -> RfmTable:
    """The table, of which a frame is in days unless said, where no posterior has a unit."""
    if not isinstance(rfm, RfmTable):
        unit = said or TimeScale()
        return RfmTable.from_frame(rfm, time_unit=unit.time_unit, time_scaler=unit.time_scaler)
    if said is not None:
        check_said(rfm.scale, said)
    return rfm


# --- of draws ---------------------------------------------------------------------------


def of_draws(kind: str, posterior: Posterior) -> Data:
    """Data of a figure of draws: of one model, or of both side by side.

    Raises
    ------
    DomainError
        The posterior has nothing of that kind to show.
    SchemaError
        Two models do not go into one figure.
    """
    study = part(posterior)
    found = [_one_of_draws(kind, one, study) for one in study.models]
    first = dict(found[0].data)
    for other in found[1:]:
        for name, value in other.data.items():
            if name in ("parameters", "pairs", "prior", "likelihood"):
                first[name] = [*first[name], *value]
            elif value != first[name]:
                raise SchemaError(
                    "The draws of purchases and of spend do not fit into one figure: pass "
                    "posterior.purchases or posterior.spend."
                )
    return first


def _one_of_draws(kind: str, posterior: OnePosterior, study: Study) -> Figure:
    of = _of_priors if kind.startswith("prior") else figures_of_draws
    for figure in of(posterior, study):
        if figure.kind == kind:
            return figure
    why = _nothing_to_draw(kind, posterior)
    raise DomainError(f"{model_name(posterior)} has no such figure: {why}")


def _nothing_to_draw(kind: str, posterior: OnePosterior) -> str:
    if posterior.certain:
        return _WHY_NOT["certain"]
    if kind.startswith("prior"):
        return why_not(posterior, priors_of(posterior))
    chains = posterior.metadata.method in ("nuts", "given")
    return _WHY_NOT["few" if chains or kind not in _OF_CHAINS else "no chains"]


def _of_priors(posterior: OnePosterior, study: Study) -> Iterator[Figure]:
    priors = priors_of(posterior)
    yield from _densities(posterior, priors, study)
    yield from sensitivity_figures(posterior, sensitivity(posterior, priors, study))


# --- of a table -------------------------------------------------------------------------


def repeats(
    rfm: RfmTable | Frame, posterior: Posterior | None = None, *, said: TimeScale | None = None
) -> Data:
    """Customers by repeat purchases, with what a posterior expects."""
    study = part(posterior, rfm, said)
    if posterior is None:
        return dict(next(_figures(study)).data)
    return dict(repeat_figure(study, expected_repeats(study)).data)


def cohorts(rfm: RfmTable) -> Data:
    """New customers by cohort.

    Raises
    ------
    SchemaError
        The table does not know when its observation ended.
    """
    study = part(None, rfm)
    if study.rfm.observation_end is None:
        raise SchemaError(
            "The table does not know its observation end, so there are no dates of first "
            "purchases: make it with rfm_summary, or pass observation_end to from_pandas."
        )
    return dict(_cohorts(study).data)


def spend(
    kind: str,
    rfm: RfmTable | Frame,
    posterior: Posterior | None = None,
    currency: str = "",
    *,
    said: TimeScale | None = None,
) -> Data:
    """Mean spend of repeat customers: its density beside the model's, or by frequency.

    Raises
    ------
    DomainError
        Too few customers have a repeat purchase of positive value, or all spend the same.
    """
    study = part(posterior, rfm, said, question=Question(currency=currency))
    for figure in spend_figures(study, spend_histogram(study)):
        if figure.kind == kind:
            return dict(figure.data)
    raise DomainError(
        "There is too little repeat spend to draw: the table needs monetary_value, and repeat "
        "customers who spend different amounts."
    )


def over_time(
    posterior: CLVPosterior | PurchasePosterior,
    rfm: RfmTable,
    log: Any,
    id_map: Any,
    *,
    horizon: Horizon,
    calendar: CalendarChoice,
    cumulative: bool,
) -> Data:
    """Repeat purchases by week over the time that was fitted, and by month over a horizon.

    Raises
    ------
    SchemaError
        There is no log, or the table does not know how it was read.
    """
    study = part(posterior, rfm, log=log, id_map=id_map)
    if why_not_tracked(study):
        raise SchemaError(
            "Purchases over time need a table made by rfm_summary and its log: pass log=, and "
            "id_map= if there was one."
        )
    months = None
    if horizon is not None:
        months = forecast_total(posterior, rfm, horizon=horizon, calendar=calendar, path="M")
    return dict(list(tracking_figures(study, track(study), months))[int(cumulative)].data)


def matrix(
    posterior: CLVPosterior | PurchasePosterior,
    rfm: RfmTable | Frame | None,
    *,
    purchases: bool,
    horizon: Horizon,
    said: TimeScale | None = None,
) -> Data:
    """P(alive), or purchases to come, over number of repeats and time of the last one.

    Raises
    ------
    SchemaError
        Neither a table nor the posterior says how long customers were observed.
    DomainError
        They were observed for no time, or the horizon has no end.
    """
    study = part(posterior, rfm, said, question=Question(horizon=horizon))
    if rfm is None:
        study = _typical(study)
    found = list(_matrices(study))
    if len(found) <= int(purchases):
        raise DomainError(
            "There is no matrix to draw: customers must have been observed for some time, and "
            "future purchases need a finite horizon, such as '365D'."
        )
    return dict(found[int(purchases)].data)


def _typical(study: Study) -> Study:
    """Histories as far as the base that was fitted reached."""
    reach = study.purchases.metadata.base.get("max_T")
    if reach is None:
        raise SchemaError(
            "The posterior does not know how long its customers were observed: pass their table "
            "too, as in plot_history_matrix(posterior, rfm)."
        )
    draws = {name: values[:, None] for name, values in study.purchases.draws(_FEW).items()}
    ages, below, most = np.array([float(reach)]), 0.0, 0
    while most < _MOST_SHOWN:
        below += float(study.purchases.formulas.pmf(most, 0, 0, 0, ages, **draws).mean())
        if below >= _SHARE_SHOWN:
            break
        most += 1
    x = np.array([float(most)])
    histories = PurchaseHistories(x, ages, ages, np.ones(1))
    return replace(study, columns=_columns(x), histories=histories)


# --- of values --------------------------------------------------------------------------


def alive(values: pd.DataFrame) -> Data:
    """Repeat customers by P(alive); all customers where frequency is not there."""
    known = FREQUENCY in values
    x = values[FREQUENCY].to_numpy(dtype=np.float64) if known else np.ones(len(values))
    study = part(scores=values, columns=_columns(x))
    for figure in _alive_figure(study):
        return dict(figure.data) | ({} if known else {"label": "customers"})
    raise DomainError(
        "No customer has a repeat purchase, so there is no P(alive) to draw: use a longer log."
    )


def value_distribution(values: pd.DataFrame, currency: str) -> Data:
    """Customers by value: those who came back, and those who bought once."""
    x = values[FREQUENCY].to_numpy(dtype=np.float64)
    study = part(scores=values, columns=_columns(x), question=Question(currency=currency))
    for figure in _distribution(study):
        return dict(figure.data)
    raise DomainError(
        "No customer has a value above 0, so there is nothing to draw: use a longer horizon."
    )


def table_of(values: Any) -> pd.DataFrame:
    """Return customers' values as a pandas frame, whatever frame they came in."""
    return frames.to_pandas(values)


def _columns(x: Any) -> RfmColumns:
    nothing = np.zeros(len(x))
    return RfmColumns(np.arange(len(x)), x, nothing, nothing, None, None, 1.0, None)


def scores(
    posterior: CLVPosterior | PurchasePosterior,
    rfm: RfmTable | Frame,
    said: TimeScale | None = None,
) -> pd.DataFrame:
    """What a posterior says of every customer, with their frequency; clv where it can."""
    study = prepare(posterior, rfm, Question(), said=said)
    return study.scores.assign(**{FREQUENCY: study.columns.x})
