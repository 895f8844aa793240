"""A model of purchases that is chosen by the base: fit all, compare, keep the best or stack.

Every model is fitted by Laplace, each with the regularity that has the greatest evidence, and
left out customer by customer. What is kept is then fitted as was asked.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Unpack

from clvmodels.display import listed
from clvmodels.errors import ConvergenceError, one_line
from clvmodels.fit.parameters import Parameters
from clvmodels.fit.priors import PYMC_MARKETING
from clvmodels.fit.purchases import (
    BetaGeoModel,
    PurchaseSpecification,
    RegularSpecification,
    purchase_specification,
)
from clvmodels.fit.regularity import NO_GAPS, final_method, trial_of
from clvmodels.fit.run import FitTerms, Settings, settings_of
from clvmodels.fit.specification import base_of
from clvmodels.keywords import named, named_fields
from clvmodels.posterior import PurchasePosterior
from clvmodels.posterior.leave_one_out import Timings, timings_of, unclear_elpd
from clvmodels.posterior.stacking import LEAST_WEIGHT, stacked
from clvmodels.progress import by_steps, progress
from clvmodels.purchases import AUTO, MODELS
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import check_choice, scale_said

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable
    from clvmodels.rfm.counted import CountedHistories

COMPARED_DRAWS: Final = 500  # of each model, as clvmodels.compare takes
_LEAST_REPEATING: Final = 2


@named_fields
@dataclass(frozen=True)
class AutomaticModel(Parameters):
    """The purchase model, or the stack of models, that describes a base best.

    ``CLVModel("auto")`` has it, and ``clvmodels fit --model auto``.

    Parameters
    ----------
    priors : "default" or "pymc-marketing"
        Of every model.

    Attributes
    ----------
    name : str
        "auto", as files and the command line have it.

    Examples
    --------
    >>> from clvmodels import CLVModel
    >>> CLVModel("auto").purchases
    AutomaticModel(priors='default')
    """

    priors: Literal["default", "pymc-marketing"] = "default"

    name: ClassVar[str] = AUTO

    def __post_init__(self) -> None:
        check_choice("priors", self.priors, ("default", PYMC_MARKETING))

    @named
    def fit(
        self, rfm: RfmTable | Frame | CountedHistories, **terms: Unpack[FitTerms]
    ) -> PurchasePosterior:
        """Fit every model, and keep the one that describes the base best, or stack several.

        All are fitted by Laplace and compared as `clvmodels.compare` does. Where the best one
        is clearly best, or all weight is on it, it is kept; else those with weight are
        stacked. What is kept is fitted by the method that is asked for, if that is another.

        Parameters
        ----------
        rfm : RfmTable or frame
            The base. Where the table has the gaps between purchases, models with regular
            timing are among those that are compared.
        method, draws, tune, chains, importance_draws, random_seed, progressbar, on_failure, start
            As in :meth:`BetaGeoModel.fit`.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, as in :meth:`RfmTable.from_frame`.

        Returns
        -------
        PurchasePosterior
            Of one model, or a StackPosterior; ``metadata.why`` says why in two sentences, and
            ``metadata.notes`` which models were left out.

        Raises
        ------
        ConvergenceError
            No model's fit converged.
        DomainError
            The base holds nothing that a model could learn from.
        """
        settings = settings_of(terms)
        columns, end = base_of(rfm, scale_said(terms["time_unit"], terms["time_scaler"]))
        return self._fit_columns(columns, settings, observation_end=end)

    @named
    def _fit_columns(
        self, columns: RfmColumns, settings: Settings, *, observation_end: str | None
    ) -> PurchasePosterior:
        """Fit to columns that were checked already; see :meth:`fit`."""
        if int((columns.x > 0).sum()) < _LEAST_REPEATING:
            return self._of_default(columns, settings, observation_end)
        trial = trial_of(settings, len(columns))
        tried, left_out = self._tried(columns, trial, observation_end)
        if not tried:  # it says why, or goes on as the caller wants
            return BetaGeoModel(self.priors)._fit_columns(
                columns, settings, observation_end=observation_end
            )
        weights, why = chosen(tried, columns)
        kept = {name: one for name, one in tried.items() if weights[name] >= LEAST_WEIGHT}
        if final_method(settings, len(columns)) != "laplace":
            kept = {
                name: self._specification(one.metadata.model)._fit_columns(
                    columns, settings, observation_end=observation_end
                )
                for name, one in kept.items()
            }
        found = next(iter(kept.values()))
        if len(kept) > 1:
            found = stacked(kept, {n: weights[n] for n in kept}, why=why)
        if columns.log_gaps is None:  # nor does a fit of what was kept by NUTS know it
            left_out = (*left_out, NO_GAPS)
        notes = tuple(dict.fromkeys((*found.metadata.notes, *left_out)))
        return replace(found, metadata=replace(found.metadata, why=why, notes=notes))

    def _of_default(
        self, columns: RfmColumns, settings: Settings, end: str | None
    ) -> PurchasePosterior:
        """Fit the default, where times between purchases are too few to choose by."""
        found = BetaGeoModel(self.priors)._fit_columns(columns, settings, observation_end=end)
        why = (
            f"Fewer than {_LEAST_REPEATING} customers bought again, which does not tell models "
            f"apart. {found.facts.name}, the default, is kept."
        )
        return replace(found, metadata=replace(found.metadata, why=why))

    def _specification(self, key: str) -> PurchaseSpecification[PurchasePosterior]:
        return purchase_specification(key).replace(priors=self.priors)

    def _tried(
        self, columns: RfmColumns, trial: Settings, end: str | None
    ) -> tuple[dict[str, PurchasePosterior], tuple[str, ...]]:
        """Fits of all models by their keys, and what was left out, in sentences."""
        keys = [key for key, one in MODELS.items() if one.regularity == 1]
        found, left_out = {}, []
        with progress("Compare models", shown=trial.progressbar) as told:
            begin = by_steps(told, len(keys) + 1)
            for key in keys:
                model, name = self._specification(key), MODELS[key].name
                begin(name)
                if self.priors == PYMC_MARKETING and model.facts.peer is None:
                    left_out.append(f"{name} was not tried: pymc-marketing has no priors for it.")
                    continue
                if isinstance(model, RegularSpecification):
                    model = model.replace(regularity=AUTO)
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", UserWarning)  # said in the notes
                        one = model._fit_columns(
                            columns, replace(trial, progressbar=False), observation_end=end
                        )
                except ConvergenceError as error:
                    left_out.append(f"{name} was left out: {one_line(error)}")
                else:
                    found[one.metadata.model] = one
        return found, tuple(left_out)


def chosen(
    tried: Mapping[str, PurchasePosterior], columns: RfmColumns
) -> tuple[dict[str, float], str]:
    """Compare models; return weights of those to keep, and why, in two sentences.

    Parameters
    ----------
    tried : mapping of str to PurchasePosterior
        Fitted to the base, by name.
    columns : RfmColumns
        The base.
    """
    names = {key: one.facts.name for key, one in tried.items()}
    if len(tried) == 1:
        (name,) = names.values()
        return dict.fromkeys(tried, 1.0), (
            f"{name} is kept, since it is the only model whose fit converged. There was nothing "
            "to compare it with."
        )
    compared = timings_of(tried, columns, COMPARED_DRAWS)
    table, best = compared.table, str(compared.table.index[0])
    weights = {str(key): float(value) for key, value in table["weight"].items()}
    alone = {key: float(key == best) for key in tried}
    said = _described(compared, names)
    if not unclear_elpd(table.iloc[1:]).any():
        return alone, f"{said} {names[best]} is kept alone, since that is clear."
    if weights[best] >= 1.0 - LEAST_WEIGHT:
        return alone, f"{said} {names[best]} is kept alone, since a mixture has all weight on it."
    shares = listed(
        f"{names[key]} {weight:.2f}" for key, weight in weights.items() if weight >= LEAST_WEIGHT
    )
    return weights, f"{said} That is not clear, so models are stacked by weight: {shares}."


def _described(compared: Timings, names: Mapping[str, str]) -> str:
    """Which model describes the base best, and by how much, in a sentence."""
    table = compared.table
    best, second = (names[str(key)] for key in table.index[:2])
    gap = table.iloc[1]
    by = f"elpd {gap['elpd_diff']:,.1f} above that of {second}, standard error {gap['dse']:,.1f}"
    among = listed(name for key, name in names.items() if key in table.index)
    return f"Of {among}, {best} describes the purchases of the base best ({by})."
