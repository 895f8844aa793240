"""``clvmodels fit``: RfmTable -> posterior, with its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from clvmodels.cli.files import check_input, check_output, is_own_table, kind_of, read_rfm
from clvmodels.cli.options import regular_key
from clvmodels.cli.reports import show_in_words, show_posterior
from clvmodels.cli.speech import speech
from clvmodels.cli.terminal import Terminal
from clvmodels.display import many
from clvmodels.errors import SchemaError
from clvmodels.limits import TOO_FEW_REPEAT_CUSTOMERS
from clvmodels.outputs import POSTERIOR_SUFFIXES
from clvmodels.purchases import AUTO, ModelChoice
from clvmodels.schema import TimeScale, TimeUnit, check_margin, scale_said

_KINDS: Final[Mapping[str, tuple[str, Mapping[str, bool]]]] = {
    "pooled": ("Pooled", {}),
    "ordered": ("Pooled", {"ordered": True}),
    "numeric": ("Covariate", {"numeric": True}),
    "log": ("Covariate", {"numeric": True, "log": True}),
    "categories": ("Covariate", {"categories": True}),
}
COVARIATES: Final = ("purchase_covariates", "dropout_covariates", "spend_covariates")

if TYPE_CHECKING:
    from clvmodels.fit import CLVModel
    from clvmodels.posterior import CLVPosterior, PurchasePosterior
    from clvmodels.purchases.clock import Clock
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.counted import CountedHistories
    from clvmodels.rfm.spent import FirstOrder


def run(
    rfm: Path,
    output: Path,
    *,
    quiet: bool,
    model: ModelChoice,
    regularity: str | None,
    clock: bool,
    age_curve: bool,
    purchase_covariates: Sequence[str],
    dropout_covariates: Sequence[str],
    spend_covariates: Sequence[str],
    priors: Any,
    time_unit: TimeUnit | None,
    time_scaler: float | None,
    margin: float | None,
    basket_value: float | None,
    first_order: FirstOrder,
    without_first_month: bool,
    csv: Mapping[str, str | None],
    update: Path | None,
    alone: bool = True,
    **options: Any,
) -> None:
    """Fit the models; options are those of their ``fit``."""
    check_output(
        output, suffixes=POSTERIOR_SUFFIXES, inputs=[rfm] if update is None else [rfm, update]
    )
    check_amounts(first_order, basket_value, spend_covariates)
    key = regular_key(model, regularity, clock=clock or age_curve)
    terminal = Terminal(quiet=quiet)
    said = scale_said(time_unit, time_scaler)
    covariates = (purchase_covariates, dropout_covariates, spend_covariates)
    by_customer = clock or age_curve or without_first_month or first_order == "covariate"
    base: RfmTable | CountedHistories | None = None
    assumed, left = None, 0
    if not (by_customer or any(covariates) or AUTO in (model, regularity)):
        base = _histories_of(rfm, margin=margin, first_order=first_order == "include")
    if base is None:
        base, assumed = read_rfm(
            rfm,
            said or TimeScale(),
            csv=csv,
            said=said is not None,
            margin=margin,
            margin_else="1, so that values are revenue (--margin sets another)",
        )
        if without_first_month:
            from clvmodels.rfm import without_first_month as later_only

            everybody, base = len(base), later_only(base)
            left = everybody - len(base)
    if basket_value is not None:
        from clvmodels.posterior import BasketValue

        BasketValue.from_draws(value=basket_value)  # refuses now what would be after the fit
    if update is not None:
        from clvmodels.posterior import load_posterior

        options["start"] = load_posterior(update)
    posterior = fit_base(
        terminal,
        base,
        model=key,
        automatic_regularity=regularity == AUTO,
        clock=clock_of_options(clock=clock, age_curve=age_curve),
        covariates=covariates,
        priors=priors,
        basket_value=basket_value,
        first_order=first_order,
        **options,
    )
    posterior.save(output)
    _warn_of_few(posterior)
    if quiet:
        return
    if assumed:
        terminal.say(assumed)
    if left:
        terminal.say(
            f"{many(left, 'customer', 'were')} left out of the fit: of the log's first month."
        )
    if basket_value is not None:
        read = ", and the table's amounts are not read" if base.has_money else ""
        terminal.say(f"Every purchase counts as {basket_value:g}: spend was not fitted{read}.")
    elif not base.has_money:
        terminal.say(
            "The table has no amounts, so only purchases were fitted, not spend: 'clvmodels "
            "score' predicts them without values. To count every purchase at one value, pass "
            "--basket-value."
        )
    show_posterior(terminal, posterior)
    terminal.heading("In words")
    show_in_words(terminal, posterior)
    terminal.say()
    terminal.wrote(output, "posterior")
    from clvmodels.posterior.scorable import fits_of

    failed = [one.verdict.method for one in fits_of(posterior) if not one.verdict.ok]
    if alone and failed and "nuts" not in failed:
        terminal.follow(f"clvmodels fit {quote(str(rfm))} --method nuts -o {quote(str(output))}")
    elif alone and not failed:
        files = f"{quote(str(rfm))} --posterior {quote(str(output))}"
        terminal.follow(f"clvmodels score {files} -o scores.parquet")


def _warn_of_few(posterior: CLVPosterior | PurchasePosterior) -> None:
    """Say at once what the report would say at last: too few came back."""
    from clvmodels.posterior.scorable import purchases_of

    returned = int(purchases_of(posterior).metadata.base["repeat_customers"])
    if returned < TOO_FEW_REPEAT_CUSTOMERS:
        speech.say(
            "warning",
            f"{f'Only {many(returned, "customer")}' if returned else 'Nobody'} came back, so that "
            "the priors decide what follows, and no use of these numbers is supported: use a "
            "longer log.",
        )


def fit_base(
    terminal: Terminal,
    rfm: RfmTable | CountedHistories,
    *,
    model: ModelChoice,
    automatic_regularity: bool = False,
    clock: Clock | None = None,
    covariates: tuple[Sequence[str], Sequence[str], Sequence[str]] = ((), (), ()),
    priors: Any,
    basket_value: float | None = None,
    first_order: FirstOrder = "exclude",
    **options: Any,
) -> CLVPosterior | PurchasePosterior:
    """Fit purchases and, where the table has amounts and no value of a basket is given, spend."""
    has_money = rfm.has_money and basket_value is None
    if has_money:
        from clvmodels.rfm.counted import CountedHistories
        from clvmodels.rfm.histories import rfm_columns
        from clvmodels.rfm.spent import spend_to_fit

        columns = rfm.columns() if isinstance(rfm, CountedHistories) else rfm_columns(rfm)
        spend_to_fit(columns, first_order)  # refuses now what would be refused after the first fit
    with terminal.step("Loading PyMC"):
        from clvmodels.fit import CLVModel, GammaGammaModel
        from clvmodels.fit.clv import joint_of

    specification = CLVModel(model).purchases.replace(priors=priors)
    if automatic_regularity:
        specification = specification.replace(regularity=AUTO)
    if clock is not None:
        specification = specification.replace(clock=clock)
    spending = GammaGammaModel(priors=priors, first_order=first_order)
    both, joint = with_covariates(CLVModel(specification, spending), *covariates), None
    if has_money:
        joint = joint_of(both, columns)
    elif covariates[2]:
        raise SchemaError("Without amounts spend is not fitted: leave --spend-covariate out.")
    with terminal.step("Fitting purchases"):
        purchases = both.purchases.fit(rfm, progressbar=terminal.watched, **options)
    from clvmodels.posterior import CLVPosterior
    from clvmodels.posterior.effects import on_design

    if basket_value is not None:
        return CLVPosterior(purchases, basket_value)
    if not has_money:
        return purchases
    with terminal.step("Fitting spend"):
        assert isinstance(both.spend, GammaGammaModel)  # as it was passed
        spend = both.spend.fit(rfm, progressbar=terminal.watched, **options)
    return CLVPosterior(on_design(purchases, joint), on_design(spend, joint))


def _histories_of(
    path: Path, *, margin: float | None, first_order: bool
) -> CountedHistories | None:
    """Count the histories of a file of RfmTable.to_parquet, which is not read into memory.

    None of other files, and of one whose rows contradict themselves: who reads it whole can say
    which row does.
    """
    from clvmodels.rfm.counted import count_histories

    check_input(path)
    if kind_of(path) != "parquet" or not is_own_table(path):
        return None
    try:
        found = count_histories(path, first_order=first_order)
        if margin is not None:
            found = replace(found, margin=check_margin(margin))
        found.columns()
    except SchemaError:
        return None
    return found


def clock_of_options(*, clock: bool, age_curve: bool) -> Clock | None:
    """The clock that --clock and --age-curve ask for, if they do."""
    from clvmodels.purchases.clock import Clock

    return Clock(age=age_curve) if clock or age_curve else None


def columns_of(covariates: Sequence[str]) -> list[str]:
    """Columns that covariates are made of, whatever is said of their kind."""
    return [_kind_and_column(one)[1] for one in covariates]


def _kind_and_column(said: str) -> tuple[str, str]:
    kind, colon, column = said.partition(":")
    return (kind, column) if colon and kind in _KINDS else ("", said)


def with_covariates(
    model: CLVModel, purchases: Sequence[str], dropout: Sequence[str], spend: Sequence[str]
) -> CLVModel:
    """The same model, with covariates: names of columns, or KIND:NAME, such as pooled:country."""
    from clvmodels.fit import covariates
    from clvmodels.fit.automatic import AutomaticModel

    if not (purchases or dropout or spend):
        return model
    if isinstance(model.purchases, AutomaticModel):
        raise SchemaError(
            f"Models are compared without covariates by --model {AUTO}: name one, such as --model "
            "mbgnbd, or leave the covariates out."
        )

    def made(said: str) -> str | covariates.Covariate | covariates.Pooled:
        kind, column = _kind_and_column(said)
        if not kind:
            return said
        name, how = _KINDS[kind]
        one: covariates.Covariate | covariates.Pooled = getattr(covariates, name)(column, **how)
        return one

    asked = [[made(one) for one in names] for names in (purchases, dropout, spend)]
    names = ("purchases__purchase_covariates", "purchases__dropout_covariates", "spend__covariates")
    return model.replace(**dict(zip(names, asked, strict=True)))


def check_amounts(
    first_order: str, basket_value: float | None, spend_covariates: Sequence[str] = ()
) -> None:
    """Refuse what is asked of amounts where every purchase has one value."""
    asked = [
        *(["--first-order"] if first_order != "exclude" else []),
        *(["--spend-covariate"] if spend_covariates else []),
    ]
    if asked and basket_value is not None:
        raise SchemaError(
            f"No amounts are read where every purchase counts as {basket_value:g}: leave "
            f"{' and '.join(asked)} or --basket-value out."
        )
