"""The Gamma-Gamma model of spend per purchase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

import numpy as np

from clvmodels.errors import SchemaError
from clvmodels.fit.covariates import SPEND, Asked, Covariate, Pooled, covariates_of, design_of
from clvmodels.fit.run import Result
from clvmodels.fit.specification import Specification
from clvmodels.formulas import gamma_gamma
from clvmodels.formulas.fused import Fused
from clvmodels.keywords import named_fields
from clvmodels.model_facts import GAMMA_GAMMA, ModelFacts
from clvmodels.posterior import GammaGammaPosterior, Metadata
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.histories import RfmColumns
from clvmodels.rfm.spent import FirstOrder, SpendHistories, spend_to_fit
from clvmodels.schema import FIRST_VALUE, check_choice

if TYPE_CHECKING:
    from clvmodels.purchases.design import Design, Side


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
    first_order : {"exclude", "include", "covariate"}
        Whether the first order counts, as one more amount beside those of repeat purchases.
        Where it does, customers who bought once have a spend of their own; where first
        orders are larger or smaller than later ones, values are then off by some of that.
        As a covariate, the logarithm of its amount moves v, and by how much is learnt from
        those who came back: ``Covariate("first_value", log=True)``.
    covariates : sequence of str, Covariate or Pooled
        Columns of the table that move what customers spend: channels, countries, or frequency
        (:class:`clvmodels.Covariate`, :class:`clvmodels.Pooled`). Each multiplies v, and so
        all amounts of a customer.

    Examples
    --------
    >>> from clvmodels import GammaGammaModel
    >>> GammaGammaModel(v_scale=30.0).v_scale
    30.0
    """

    v_scale: float | None = None
    first_order: FirstOrder = "exclude"
    covariates: Sequence[Asked] = field(default=(), kw_only=True)

    facts: ClassVar[ModelFacts] = GAMMA_GAMMA

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("first_order", self.first_order, get_args(FirstOrder))
        self._asked()

    def _asked(self) -> dict[Side, tuple[Covariate | Pooled, ...]]:
        found = covariates_of(SPEND, self.covariates)
        if self.first_order != "covariate":
            return {"spend": found}
        if FIRST_VALUE in [one.column for one in found]:
            raise SchemaError(
                f"first_order='covariate' has the column {FIRST_VALUE}, which covariates names "
                "too: leave one out."
            )
        return {"spend": (*found, Covariate(FIRST_VALUE, log=True))}

    def _plain(self) -> Self:
        counts = "exclude" if self.first_order == "covariate" else self.first_order
        return self.replace(covariates=(), first_order=counts)

    def _designed(self, columns: RfmColumns) -> tuple[RfmColumns, Design | None]:
        asked = self._asked()
        if columns.customers is not None and asked["spend"]:
            raise SchemaError(
                "Histories that were counted know nothing of customers besides, so spend can't "
                "go by covariates: fit the table itself, or a sample of it."
            )
        design = design_of(columns, asked)
        return with_strata(columns, design), design

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
        h = statistics
        if h.stratum is None:
            return gamma_gamma.fused(h.x, h.total, h.count)
        stratum = np.searchsorted(h.strata, h.stratum)
        return gamma_gamma.fused(h.x, h.total, h.count, stratum=stratum)

    def _moved(self, found: Mapping[str, Any], times: Mapping[Side, Any]) -> Mapping[str, Any]:
        return {**found, "v": found["v"] * times["spend"]}

    def _posterior(self, result: Result, metadata: Metadata) -> GammaGammaPosterior:
        return GammaGammaPosterior(result.tree, replace(metadata, first_order=self.first_order))
