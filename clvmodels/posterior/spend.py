"""Posterior of the spend model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, Self, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import gammaincinv

from clvmodels import frames
from clvmodels.errors import SchemaError
from clvmodels.forecast.spending import at_strata
from clvmodels.formulas import gamma_gamma
from clvmodels.keywords import named
from clvmodels.model_facts import BASKET_VALUE, GAMMA_GAMMA, ModelFacts
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.effects import effects_table, warn_of_unknown
from clvmodels.posterior.pointwise import LikelihoodTerms
from clvmodels.purchases.design import Side
from clvmodels.purchases.model import Described
from clvmodels.rfm.attributes import with_strata
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.rfm.spent import FirstOrder
from clvmodels.schema import (
    FIRST_VALUE,
    MONETARY_VALUE,
    FloatArray,
    TimeScale,
    TimeUnit,
    check_choice,
    scale_said,
)

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable


NO_FIRST_VALUE: Final = (
    "The spend model counts first orders, and the table lacks first_value: summarise the log "
    "with amounts, or fit with first_order='exclude'."
)


class GammaGammaPosterior(Posterior):
    """Draws of p, q, v, and what they say of spend per purchase.

    Fader & Hardie, "The Gamma-Gamma model of monetary value" (note 25).

    Examples
    --------
    >>> import pandas as pd
    >>> from clvmodels import GammaGammaPosterior
    >>> posterior = GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44)
    >>> rfm = pd.DataFrame({"customer_id": [1], "frequency": [2], "recency": [30.43],
    ...                     "T": [38.86], "monetary_value": [22.35]})
    >>> float(posterior.expected_customer_spend(rfm).round(2).item())
    24.66
    """

    facts: ClassVar[ModelFacts] = GAMMA_GAMMA
    observed: ClassVar[str] = "monetary_value"

    @classmethod
    @named
    def from_draws(
        cls,
        *,
        p: npt.ArrayLike,
        q: npt.ArrayLike,
        v: npt.ArrayLike,
        first_order: FirstOrder = "exclude",
    ) -> Self:
        """Make a posterior from draws that come from elsewhere.

        Parameters
        ----------
        p, q, v : array_like, shape (draws,) or scalar
            Draws; v in the unit of money of the tables to come.
        first_order : {"exclude", "include"}
            As in :class:`clvmodels.GammaGammaModel`.

        Raises
        ------
        DomainError
            A draw is not positive and finite, or lengths differ.
        """
        check_choice("first_order", first_order, get_args(FirstOrder)[:2])
        made = cls._from_draws({"p": p, "q": q, "v": v}, "D", 1.0)
        return replace(made, metadata=replace(made.metadata, first_order=first_order))

    def _outline(self) -> str:
        return f"{super()._outline()}{', first orders count' if counted_of(self) else ''}"

    @named
    def expected_customer_spend(
        self,
        data: RfmTable | Frame,
        *,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
    ) -> xr.DataArray:
        """Expected spend per purchase (note 25, eq. 5).

        Parameters
        ----------
        data : RfmTable or frame
            Customers, with monetary_value.
        time_unit, time_scaler : optional
            The unit of a frame's recency and T, which spend does not depend on: by default
            that of the base that was fitted.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            Infinite in draws with p x + q <= 1.

        Raises
        ------
        SchemaError
            monetary_value is missing, or negative or empty for a repeat customer; or so is
            first_value, where first orders count.
        """
        columns = spend_columns(self, data, scale_said(time_unit, time_scaler))
        self._check_cells(len(columns))
        x, m_bar = columns.kind + counted_of(self), means_of(self, columns)
        first, inverse = distinct_rows(x, m_bar)
        draws = {name: values[:, None] for name, values in self.draws().items()}
        formula = at_strata(gamma_gamma.expected_spend, self.metadata.design)
        values = formula(x[first], m_bar[first], **draws)
        return self._labelled(values[:, inverse], columns.customer_id, "expected_spend")

    @named
    def effects(self, *, interval: float = 0.9) -> pd.DataFrame:
        """What the covariates do to spend, level by level, in plain units.

        Parameters
        ----------
        interval : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            As :meth:`BetaGeoPosterior.effects` has it, with ``on`` "spend": ``times`` is how many
            times as much as the average customer they spend an order, and ``figure`` what an
            order of the median customer of the level is worth, in the table's money.

        Raises
        ------
        SchemaError
            The model has no covariates.
        """
        return effects_table(self, _described, interval)

    def _likelihood(self, rfm: RfmTable | Frame, said: TimeScale | None) -> LikelihoodTerms:
        columns = spend_columns(self, rfm, said)
        x, m_bar = columns.kind + counted_of(self), means_of(self, columns)
        rows = np.flatnonzero((columns.x + counted_of(self) > 0) & (m_bar > 0))
        formula = at_strata(gamma_gamma.log_likelihood, self.metadata.design)
        return LikelihoodTerms(columns.customer_id, rows, (x, m_bar), formula)


class BasketValue(Posterior):
    """The value of every purchase, the same for all customers: in place of a model of spend.

    Examples
    --------
    >>> from clvmodels.posterior import BasketValue
    >>> BasketValue.from_draws(value=25.0)
    <BasketValue: 25>
    """

    facts: ClassVar[ModelFacts] = BASKET_VALUE
    observed: ClassVar[str] = "monetary_value"

    @classmethod
    @named
    def from_draws(cls, *, value: npt.ArrayLike) -> Self:
        """Say the value, or draws of it where it is not certain.

        Parameters
        ----------
        value : array_like, shape (draws,) or scalar
            In the money that values are to be in.

        Raises
        ------
        DomainError
            It is not positive and finite.
        """
        return cls._from_draws({"value": value}, "D", 1.0)

    @property
    def certain(self) -> bool:
        """False: that it is one number does not make a point of the purchases' draws."""
        return False

    def _outline(self) -> str:
        found = self.draws()["value"]
        return f"{type(self).__name__}: {float(found.mean()):.6g}"


SpendPosterior = GammaGammaPosterior | BasketValue
SPEND_POSTERIORS: Final[Mapping[str, type[SpendPosterior]]] = {
    one.model: one for one in (GammaGammaPosterior, BasketValue)
}


def spend_from(given: object) -> object:
    """Take a number for the value of a basket; leave everything else as it is."""
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    return BasketValue.from_draws(value=given) if number else given  # type: ignore[arg-type]


def spend_columns(
    posterior: GammaGammaPosterior, data: RfmTable | Frame, said: TimeScale | None
) -> RfmColumns:
    """Columns of a table in whatever unit; a frame is in that of the base, unless said."""
    if said is None and frames.kind_of(data) is not None:
        said = posterior.scale
    design = posterior.metadata.design
    columns = rfm_columns(data, said=said, money=True)
    found = with_strata(columns, design, None if design is None else design.moving)
    warn_of_unknown(design, found)
    return found


def _described(_: Side, draws: Mapping[str, FloatArray], times: FloatArray) -> Described:
    """What an order of the median customer is worth: p / nu, nu ~ Gamma(q, v)."""
    typical = draws["p"] * draws["v"] / gammaincinv(draws["q"], 0.5)
    return Described("spend an order, at the median customer", typical * times, "money")


def checked_spend(columns: RfmColumns) -> FloatArray:
    """Mean spend of every row, which predictions cannot do without.

    Raises
    ------
    SchemaError
        It is missing, or negative or empty for a repeat customer.
    """
    m_bar = columns.m_bar
    if m_bar is None:
        raise SchemaError("The RFM table lacks monetary_value: summarise the log with amounts.")
    _check_amounts(m_bar, "repeat customers", MONETARY_VALUE)
    return m_bar


def counted_of(spend: SpendPosterior) -> float:
    """How many amounts of a customer count besides those of repeat purchases: 0 or 1."""
    return float(spend.metadata.first_order == "include")


def means_of(spend: GammaGammaPosterior, columns: RfmColumns) -> FloatArray:
    """Mean of every customer's amounts that count, checked, shape (N,).

    Raises
    ------
    SchemaError
        A column is missing, or an amount that counts is negative or empty.
    """
    m_bar = checked_spend(columns)
    if not counted_of(spend):
        return m_bar
    if columns.first_value is None:
        raise SchemaError(NO_FIRST_VALUE)
    _check_amounts(columns.first_value, "customers", FIRST_VALUE)
    return gamma_gamma.mean_with_first(columns.x, m_bar, columns.first_value)


def _check_amounts(amounts: FloatArray, whose: str, column: str) -> None:
    bad = ~(np.isfinite(amounts) & (amounts >= 0))
    if bad.any():
        raise SchemaError(
            f"{int(bad.sum()):,} {whose} have a negative or missing {column}; the "
            f"first is row {int(np.argmax(bad))}. Leave them out, or summarise the log again."
        )
