"""Which model is better, and at what: the one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

from clvmodels import frames
from clvmodels.errors import SchemaError
from clvmodels.evaluation.comparison_record import Comparison
from clvmodels.evaluation.cut_dates import ORIGINS, Calendar, Span
from clvmodels.evaluation.cuts import Reading
from clvmodels.evaluation.fitting import Fitting
from clvmodels.evaluation.heldout import held_out
from clvmodels.keywords import named
from clvmodels.log.options import FileTerms
from clvmodels.posterior.leave_one_out import LEAST_DRAWS, Timings, timings
from clvmodels.posterior.scorable import Scorable, purchases_of, scorable
from clvmodels.progress import by_steps, progress
from clvmodels.purchases import MODELS
from clvmodels.rfm import RfmTable, rfm_summary
from clvmodels.rfm import without_first_month as later_only
from clvmodels.schema import (
    Horizon,
    TimeUnit,
    check_interval,
    check_whole,
    is_log,
    scale_said,
    shown,
)

if TYPE_CHECKING:
    from clvmodels.posterior.purchases import PurchasePosterior


@named
def compare(
    models: Mapping[str, Any] | Sequence[Any],
    data: Any,
    *,
    draws: int = 500,
    time_unit: TimeUnit | None = None,
    time_scaler: float | None = None,
    customer_id_col: str | None = None,
    datetime_col: str | None = None,
    monetary_value_col: str | None = None,
    id_map: Any = None,
    origins: int | None = None,
    train_period_end: Any = None,
    test_period_end: Any = None,
    horizon: Horizon = None,
    without_first_month: bool = False,
    method: Literal["auto", "nuts", "laplace"] = "laplace",
    on_failure: Literal["nuts", "raise", "warn"] = "nuts",
    interval: float = 0.9,
    random_seed: int = 0,
    progressbar: bool = True,
    **terms: Unpack[FileTerms],
) -> Comparison:
    """Compare purchase models: how well they describe a base, and how well they forecast it.

    With a table of customers, models are compared by leave-one-out cross-validation. Every
    customer counts, but one density is computed for all who share a history, so that a
    million customers take seconds. With a log, every model is also fitted at several past
    dates and judged by what the customers known then bought afterwards, and the words say
    what each model is better at. Spend has no part in either.

    Parameters
    ----------
    models : mapping of str to model, or sequence of str
        Two or more: keys of ``clvmodels.purchases.MODELS``, specifications such as
        `BetaGeoModel()`, or, with a table, posteriors that were fitted to it; by the names
        that they have in the result. A list of keys names models by themselves.
    data : RfmTable, frame, or log
        The base, in the posteriors' unit of time; or, where ``customer_id_col`` and
        ``datetime_col`` are given, a log in any of the forms of `rfm_summary`.
    draws : int
        Use this many of each posterior, evenly spaced over all draws; for forecasts of more
        than 100,000 customers a fifth of them.
    time_unit, time_scaler : optional
        The unit that a frame's recency and T are in, or that a log is counted in, as in
        `rfm_summary`.
    customer_id_col, datetime_col, monetary_value_col : str, optional
        Columns of a log. Amounts only tell refunds and zero amounts from purchases.
    origins : int, optional
        Dates at which models are fitted and judged, as in `backtest`: equally spaced in the
        second half of the log; by default 4, or none beside ``train_period_end``.
    train_period_end, test_period_end, horizon : optional
        One date more, and the ends of the holdouts, as in `backtest`.
    without_first_month, id_map : optional
        As in `backtest`.
    refunds, order_id_col, zero_amounts, duplicates, implausible_dates, missing_ids
        As in `rfm_summary`.
    varying_segments, date_format, decimal, delimiter, encoding, where, currency_col, rates
        As in `rfm_summary`.
    method, on_failure : str
        How models are fitted, as in :meth:`BetaGeoModel.fit`.
    interval : float
        Probability of the predictive intervals that are scored.
    random_seed : int
        Makes fits and errors of ranks repeatable.
    progressbar : bool
        Show what is being done, on a terminal or in a notebook.

    Returns
    -------
    Comparison
        The models by falling elpd, with differences, standard errors and weights; with a
        log also ``heldout``, the scores of their forecasts.

    Raises
    ------
    SchemaError
        There are fewer than two models, one of them is not of purchases or is a single
        point, the table is not an RFM table, or the log cannot be read or cut.
    DomainError
        ``draws`` is not a whole number of at least 100, or another number is out of range.
    TimeUnitError
        A posterior is in another unit of time than the table.
    ConvergenceError
        A fit did not converge.

    Notes
    -----
    Of draws theta_s from the posterior of all, the density of a history left out is the
    weighted harmonic mean of p(y | theta_s), with weights smoothed by a Pareto distribution
    (Vehtari et al. 2024). All customers with one history have
    the same terms, so sums and standard errors are taken with counts. The weights maximise
    the log density of the mixture (Yao et al. 2018, eq. 5).

    Forecasts are judged at each date by the customers known then, all models by the same
    ones, so that differences and their errors are paired; customers of several dates are one
    cluster. A model is behind where it lacks more than two standard errors and more than
    what matters: 0.01 of a log score, share or Gini, 1 % of an interval score.

    Examples
    --------
    >>> import clvmodels as clv
    >>> rfm = clv.simulate.simulate_rfm(300, r=0.5, alpha=9.0, a=0.8, b=2.5, T=50.0, seed=1)
    >>> near = clv.BetaGeoPosterior.from_draws(
    ...     r=[0.5] * 100, alpha=[9.0] * 100, a=[0.8] * 100, b=[2.5] * 100
    ... )
    >>> far = clv.BetaGeoPosterior.from_draws(
    ...     r=[2.0] * 100, alpha=[9.0] * 100, a=[0.8] * 100, b=[2.5] * 100
    ... )
    >>> clv.evaluation.compare({"near": near, "far": far}, rfm).best
    'near'
    """
    count = check_whole("draws", draws, least=LEAST_DRAWS)
    check_interval(interval)
    given = _by_name(models)
    fit: dict[str, Any] = {
        "method": method,
        "on_failure": on_failure,
        "random_seed": check_whole("random_seed", random_seed, least=0),
        "progressbar": False,  # of a step, where there is one of all
    }
    if customer_id_col is None and datetime_col is None:
        cuts = {
            "origins": origins,
            "train_period_end": train_period_end,
            "test_period_end": test_period_end,
            "horizon": horizon,
            "monetary_value_col": monetary_value_col,
        }
        _check_table(data, cuts)
        unit = {"time_unit": time_unit, "time_scaler": time_scaler}
        with progress("Compare", shown=progressbar) as told:
            posteriors = _fitted(given, data, {**fit, **unit}, by_steps(told, len(given) + 1))
            return _record(timings(posteriors, data, scale_said(time_unit, time_scaler), count))
    options = {
        "customer_id_col": customer_id_col,
        "datetime_col": datetime_col,
        "monetary_value_col": monetary_value_col,
        "time_unit": time_unit or "D",
        "time_scaler": 1 if time_scaler is None else time_scaler,
        "id_map": id_map,
        **terms,
    }
    fittings = _fittings(given, options, fit)
    known = train_period_end is not None
    wanted = 0 if known and origins is None else ORIGINS if origins is None else origins
    steps = 2 + (len(given) + 1) * (1 + known + wanted)
    with progress("Compare", shown=progressbar) as told:
        begin = by_steps(told, steps)
        begin("reading the log")
        reading = Reading.of(
            data,
            {
                **options,
                "missing_ids": list(terms["missing_ids"]),
                "margin": None,
                "segment_cols": [
                    *dict.fromkeys(c for one in fittings.values() for c in one.columns)
                ],
            },
            later_only=without_first_month,
        )
        spans = _spans(reading.calendar, train_period_end, test_period_end, horizon, origins)
        rfm = _whole(reading, test_period_end)
        posteriors = _fitted(fittings, rfm, {}, begin)
        begin("timings")
        found = _record(timings(posteriors, rfm, None, count))
        out = held_out(
            reading,
            fittings,
            spans,
            draws=count,
            interval=interval,
            seed=random_seed,
            begin=begin,
        )
        return replace(found, heldout=out)


def _record(found: Timings) -> Comparison:
    return Comparison(found.table, found.customers, found.histories, found.draws)


def _by_name(models: Any) -> dict[str, Any]:
    """Models by name; a list of keys names them by themselves.

    Raises
    ------
    SchemaError
        There are fewer than two, or things that have no name.
    """
    named_ones = models
    if isinstance(models, Sequence) and not isinstance(models, str):
        keys = all(isinstance(one, str) for one in models)
        named_ones = dict(zip(models, models, strict=True)) if keys else None
    if not isinstance(named_ones, Mapping) or len(named_ones) < 2:
        raise SchemaError(
            f"models={shown(models)} must be two models or more by name: pass ['bgnbd', "
            "'mbgnbd'], or {'bgnbd': posterior, 'mbgnbd': another}."
        )
    return {str(name): one for name, one in named_ones.items()}


def _fittings(
    given: Mapping[str, Any], options: Mapping[str, Any], fit: Mapping[str, Any]
) -> dict[str, Fitting]:
    """How each model is fitted at every date of a log.

    Raises
    ------
    SchemaError
        A column is not named, or a model is a posterior, which cannot be fitted again.
    """
    for name in ("customer_id_col", "datetime_col"):
        if options[name] is None:
            raise SchemaError(
                f"A log needs customer_id_col and datetime_col, and {name} is missing: pass both, "
                "or neither with a table of customers."
            )
    for name, one in given.items():
        if isinstance(one, Scorable):
            raise SchemaError(
                f"{shown(name)} is a posterior, and models are fitted at several dates of a log: "
                f"pass its specification or its key ({', '.join(MODELS)}), or compare posteriors "
                "on the table that they were fitted to."
            )
    return {name: _fitting(one, fit) for name, one in given.items()}


def _fitting(model: Any, fit: Mapping[str, Any]) -> Fitting:
    # PyMC takes seconds to import, and comparing posteriors does not need it
    from clvmodels.fit import CLVModel
    from clvmodels.fit.purchases import PurchaseSpecification

    if isinstance(model, PurchaseSpecification):
        model = CLVModel(model)
    found = Fitting(model, fit)
    found.specification()  # refuses what is not a model before the log is read
    if found.has_clock:
        raise SchemaError(
            f"The model {found.name} has a clock, under which a customer's likelihood depends on "
            "the days of all purchases, which a table does not have by customer: compare it with "
            "others by backtest, at the same dates."
        )
    return found


def _fitted(
    given: Mapping[str, Any], rfm: Any, fit: Mapping[str, Any], begin: Any
) -> dict[str, PurchasePosterior]:
    """Posteriors as they are, and models fitted to the base."""
    found = {}
    for name, one in given.items():
        if isinstance(one, Scorable):
            found[name] = purchases_of(scorable(one))
            continue
        begin(f"fitting {name}")
        fitting = one if isinstance(one, Fitting) else _fitting(one, fit)
        found[name] = fitting.purchases(rfm)
    return found


def _check_table(data: Any, cuts: Mapping[str, Any]) -> None:
    """Refuse what is of a log, where its columns are not named."""
    if frames.kind_of(data) is not None and is_log(frames.column_names(data)):
        raise SchemaError(
            f"This looks like a log of transactions (columns: "
            f"{', '.join(map(str, frames.column_names(data)))}): name its columns, "
            "customer_id_col=... and datetime_col=..., or pass a table of customers."
        )
    for name, value in cuts.items():
        if value is not None:
            raise SchemaError(
                f"{name}={shown(value)} is of a log, and this is a table of customers: pass a log "
                f"with customer_id_col and datetime_col, or leave {name} out."
            )


def _spans(
    calendar: Calendar, train_end: Any, test_end: Any, horizon: Horizon, origins: int | None
) -> list[Span]:
    """Where the log is cut: the date that was given, and rolling ones."""
    one = [] if train_end is None else [calendar.span(train_end, test_end, horizon)]
    count = ORIGINS if origins is None and not one else origins
    rolling = [] if count is None else calendar.origins(count, test_end, horizon)
    return [*one, *(span for span in rolling if span not in one)]


def _whole(reading: Reading, test_end: Any) -> RfmTable:
    """The customers at the end of the log, or of the last holdout."""
    rfm = rfm_summary(reading.log, observation_period_end=test_end, **reading.options)
    return later_only(rfm) if reading.later_only else rfm
