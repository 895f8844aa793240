"""The Gamma-Gamma model of spend per purchase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from clvmodels.fit.run import Result
from clvmodels.fit.specification import Specification
from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.fused import Fused
from clvmodels.keywords import named_fields
from clvmodels.model_facts import GAMMA_GAMMA, ModelFacts
from clvmodels.posterior import GammaGammaPosterior, Metadata
from clvmodels.rfm.histories import RfmColumns, SpendHistories, spend_to_fit


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
        default the geometric mean of monetary_value over repeat customers.

    Examples
    --------
    >>> from clvmodels import GammaGammaModel
    >>> GammaGammaModel(v_scale=30.0).v_scale
    30.0
    """

    v_scale: float | None = None

    facts: ClassVar[ModelFacts] = GAMMA_GAMMA

    def _scale_name(self) -> str:
        return "v_scale"

    def _prepare(self, columns: RfmColumns) -> tuple[SpendHistories, float]:
        histories = spend_to_fit(columns)
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
        return GammaGammaPosterior(result.tree, metadata)
