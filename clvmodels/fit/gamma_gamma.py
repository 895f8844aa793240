"""The Gamma-Gamma model of spend per purchase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from clvmodels.fit.run import Result
from clvmodels.fit.specification import Specification
from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.fused import Fused
from clvmodels.keywords import named_fields
from clvmodels.model_facts import GAMMA_GAMMA, ModelFacts
from clvmodels.posterior import GammaGammaPosterior, Metadata
from clvmodels.rfm.histories import RfmColumns
from clvmodels.rfm.spent import FirstOrder, SpendHistories, spend_to_fit
from clvmodels.schema import check_choice


@named_fields
@dataclass(frozen=True)
class GammaGammaModel(Specification[GammaGammaPosterior]):
    """Gamma-Gamma: Gamma amounts whose rate is Gamma over customers.

    Fader & Hardie, "The Gamma-Gamma model of monetary value" (note 25), eq. 1a.

    Parameters
    ----------
    priors : "default", "pymc-marketing" or mapping of str to Prior
        By parameter: p, q, v. What is not named keeps its default; a prior of v is
        taken to be in the table's unit of money.
    v_scale : float, optional
        What v's default prior is multiplied by, in the table's unit of money; by
        default the geometric mean over customers of the mean of the amounts that count.
    first_order : {"exclude", "include"}
        Whether the first order counts, as one more amount beside those of repeat purchases.
        Where it does, customers who bought once have a spend of their own; where first
        orders are larger or smaller than later ones, values are then off by some of that.

    Examples
    --------
    >>> from clvmodels import GammaGammaModel
    >>> GammaGammaModel(v_scale=30.0).v_scale
    30.0
    """

    v_scale: float | None = None
    first_order: FirstOrder = "exclude"

    facts: ClassVar[ModelFacts] = GAMMA_GAMMA

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("first_order", self.first_order, get_args(FirstOrder))

    def _scale_name(self) -> str:
        return "v_scale"

    def _prepare(self, columns: RfmColumns) -> tuple[SpendHistories, float]:
        histories = spend_to_fit(columns, self.first_order)
        return histories, self._given_scale(self.v_scale, histories.typical_amount)

    def _base(self, statistics: SpendHistories) -> Mapping[str, float]:
        return {
            "customers": statistics.customers,
            "histories": len(statistics.x),
            "without_repeat": statistics.without_repeat,
            "zero_spend": statistics.zero_spend,
        }

    def _fused(self, statistics: SpendHistories) -> Fused:
        return gamma_gamma.fused(statistics.x, statistics.total, statistics.count)

    def _posterior(self, result: Result, metadata: Metadata) -> GammaGammaPosterior:
        return GammaGammaPosterior(result.tree, replace(metadata, first_order=self.first_order))
