"""Posteriors of the purchase models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels.errors import DomainError, SchemaError
from clvmodels.keywords import named, unknown_option
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.effects import effects_table, of_kind
from clvmodels.posterior.pointwise import LikelihoodTerms, purchase_terms
from clvmodels.posterior.predicting import columns_of, own_horizon, predicted_frame
from clvmodels.posterior.terms import PurchaseTerms
from clvmodels.purchases import PurchaseModel
from clvmodels.purchases.aged import AgedFamily
from clvmodels.purchases.design import SIDES, Side
from clvmodels.purchases.family import Family
from clvmodels.purchases.model import Described
from clvmodels.purchases.stratified import StratifiedFamily
from clvmodels.rfm.distinct import distinct_rows
from clvmodels.rfm.histories import RfmColumns
from clvmodels.schema import FloatArray, Horizon, TimeScale, TimeUnit, scale_said

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

_YEAR: Final = 365.25


class PurchasePosterior(Posterior):
    """Draws of a purchase model's parameters, and what they say of customers.

    The ``expected_*`` methods return one value per draw and customer; they refuse more
    than 2e8 cells. :meth:`predict` gives one row per customer.
    """

    facts: ClassVar[PurchaseModel]
    parameters: ClassVar[tuple[str, ...]] = ()
    observed: ClassVar[str] = "recency_frequency"

    @property
    def formulas(self) -> Family:
        """What the model computes."""
        design, clock = self.metadata.design, self.metadata.clock
        if design is None:
            return family_of_average(self)
        curve = None if clock is None else clock.curve(self.scale.days)
        return StratifiedFamily(self.model, design, curve)

    @classmethod
    def from_draws(
        cls, *, time_unit: TimeUnit = "D", time_scaler: float = 1.0, **draws: npt.ArrayLike
    ) -> Self:
        """Make a posterior from draws that come from elsewhere.

        Parameters
        ----------
        time_unit, time_scaler
            The unit of time, as in :func:`clvmodels.rfm_summary`.
        **draws : array_like, shape (draws,) or scalar
            By parameter; times in units of ``time_scaler`` periods of ``time_unit``.

        Raises
        ------
        UnknownOptionError
            A parameter is not one of this model.
        SchemaError
            A parameter is missing.
        DomainError
            A draw is not positive and finite, or lengths differ.
        """
        for name in draws:
            if name not in cls.parameters:
                known = (*cls.parameters, "time_unit", "time_scaler")
                raise unknown_option(f"{cls.__name__}.from_draws", name, known)
        if not cls.parameters or len(draws) < len(cls.parameters):
            raise SchemaError(
                f"{cls.__name__}.from_draws takes draws of "
                f"{', '.join(cls.parameters) or 'a model: use its own class'}, found "
                f"{', '.join(draws) or 'none'}: pass each by its name."
            )
        return cls._from_draws({n: draws[n] for n in cls.parameters}, time_unit, time_scaler)

    @named
    def expected_probability_alive(
        self,
        data: RfmTable | Frame,
        *,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
    ) -> xr.DataArray:
        """Probability of still being active at the end of observation.

        BG/NBD says 1, forever, of a customer who bought once: look at
        :meth:`probability_of_purchase` for those.

        Parameters
        ----------
        data : RfmTable or frame
            Customers, in this posterior's unit of time.
        time_unit, time_scaler : optional
            The unit of a frame, as in :meth:`CLVPosterior.predict`.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            In every draw.
        """
        columns, kinds, inverse = self._distinct(data, scale_said(time_unit, time_scaler))
        values = self.formulas.p_alive(*kinds, **self._columns_of_draws())
        return self._labelled(values[:, inverse], columns.customer_id, "probability_alive")

    @named
    def probability_of_purchase(
        self,
        data: RfmTable | Frame,
        *,
        future_t: Horizon,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
    ) -> xr.DataArray:
        """Probability of at least one purchase within the horizon.

        Parameters
        ----------
        data : RfmTable or frame
            Customers, in this posterior's unit of time.
        future_t : str, float or None
            Horizon: "365D", a number in the posterior's unit, or None forever.
        time_unit, time_scaler : optional
            The unit of a frame, as in :meth:`CLVPosterior.predict`.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            In every draw.
        """
        columns, kinds, inverse = self._distinct(data, scale_said(time_unit, time_scaler))
        horizon = own_horizon(self, future_t, columns.last_day)
        values = self.formulas.p_purchase(*kinds, horizon, **self._columns_of_draws())
        return self._labelled(values[:, inverse], columns.customer_id, "probability_of_purchase")

    @named
    def expected_purchases(
        self,
        data: RfmTable | Frame,
        *,
        future_t: Horizon,
        time_unit: TimeUnit | None = None,
        time_scaler: float | None = None,
    ) -> xr.DataArray:
        """Expected number of purchases within the horizon.

        Parameters
        ----------
        data : RfmTable or frame
            Customers, in this posterior's unit of time.
        future_t : str, float or None
            Horizon; for the lifetime infinite in draws with a <= 1.
        time_unit, time_scaler : optional
            The unit of a frame, as in :meth:`CLVPosterior.predict`.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            In every draw.
        """
        columns, kinds, inverse = self._distinct(data, scale_said(time_unit, time_scaler))
        horizon = own_horizon(self, future_t, columns.last_day)
        values = self.formulas.expected_purchases(*kinds, horizon, **self._columns_of_draws())
        return self._labelled(values[:, inverse], columns.customer_id, "expected_purchases")

    @named
    def expected_purchases_new_customer(self, *, t: Horizon | npt.ArrayLike = None) -> xr.DataArray:
        """Expected number of repeat purchases of a new customer within t.

        Parameters
        ----------
        t : horizon or list of them
            Time since the first purchase.

        Returns
        -------
        DataArray, dims (chain, draw) or (chain, draw, t)
            In every draw, of one or of several lengths of time.
        """
        given: Any = t
        scalar = given is None or isinstance(given, str) or np.ndim(given) == 0
        asked = [given] if scalar else given
        if np.ndim(asked) != 1:
            raise DomainError(
                f"t must be one length of time or a 1-D array, found {np.ndim(asked)}-D."
            )
        lengths = np.array([self.scale.horizon(one) for one in asked])
        own = lengths * self.metadata.pace
        values = self.formulas.expected_purchases(0, 0, 0, own, **self._columns_of_draws())
        group = self.tree["posterior"]
        result = xr.DataArray(
            values.reshape(group.sizes["chain"], group.sizes["draw"], len(lengths)),
            dims=("chain", "draw", "t"),
            coords={
                "chain": group["chain"].to_numpy(),
                "draw": group["draw"].to_numpy(),
                "t": lengths,
            },
            name="expected_purchases_new_customer",
        )
        return result.isel(t=0, drop=True) if scalar else result

    @named
    def predict(
        self, rfm: RfmTable | Frame, *, predictive: bool = False, **terms: Unpack[PurchaseTerms]
    ) -> Any:
        """Predict every customer's future purchases; there are no columns of money.

        Parameters
        ----------
        rfm : RfmTable or frame
            Customers, in this posterior's unit of time: a pandas or polars DataFrame or a
            pyarrow Table. A LazyFrame is collected. Amounts, if there are any, are not read.
        predictive : bool
            Add the interval of the outcome, ``purchases_lower`` and ``purchases_upper``. It
            takes a finite horizon.
        horizon : str, float or None, or a list of them
            "365D", "52W", "12M", a number in the table's unit, or None for the
            remaining lifetime. A list, as ["90D", "365D"], is predicted in one pass.
        discount_rate : float
            Effective annual rate, of discounted_purchases.
        discounting : {"continuous", "monthly"}
            "monthly" discounts each 30.4375-day month's purchases at the month's end.
        interval : float
            Probability of the equal-tailed intervals.
        draws : int
            Posterior draws to use, evenly spaced over all.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, which must be this posterior's.

        Returns
        -------
        DataFrame or Table
            Of the kind that was passed, pandas for an RfmTable. One row per input row, in
            input order: customer_id, frequency, recency, T, p_alive, p_purchase,
            expected_purchases, discounted_purchases, and ``_lower``/``_upper`` of p_alive and
            expected_purchases, which are of the *expectation*; with one draw (a mode) they
            are empty. For the lifetime p_purchase is p_alive, and expected_purchases is
            empty unless every draw has a > 1. With a list of horizons each column that
            depends on one is there for every one, and is named after it:
            ``expected_purchases_90D``, ``p_purchase_365D``.

        Raises
        ------
        SchemaError, TimeUnitError
            The table is not of the right form or unit.
        DomainError
            An option is out of range; or undiscounted whole-life purchases are infinite in
            some draws.
        """
        return predicted_frame(self, None, rfm, predictive, **terms)

    @named
    def effects(self, *, interval: float = 0.9) -> pd.DataFrame:
        """What the covariates do, level by level, in plain units.

        Parameters
        ----------
        interval : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            A row for each level of each effect, and one, "(other)", for a level that the base
            did not have: ``on`` ("purchases" or "dropout"), ``covariate``, ``level``,
            ``customers``; ``times``, how many times as often as the average customer they buy,
            or how many times as great their odds or rate of leaving are, by its median and
            ``_lower``, ``_upper``; ``what`` in words, and ``figure`` with its interval: repeat
            purchases a year while active, or the share that leaves, all else being average.

        Raises
        ------
        SchemaError
            The model has no covariates.
        """
        return effects_table(self, self._described, interval)

    def _described(
        self, side: Side, draws: Mapping[str, FloatArray], times: FloatArray
    ) -> Described:
        """What moving a side of the model means for customers, in plain units."""
        assert self.facts.moved is not None  # or there would be no effects
        both = (times, 1.0) if side == "purchases" else (1.0, times)
        found = self.facts.describe(self.facts.moved(draws, *both))[SIDES.index(side)]
        per_year = _YEAR / self.scale.days if found.counts == "a year" else 1.0
        words = found.words.format(leaves=self.facts.leaves)
        return replace(found, words=words, values=found.values * per_year)

    def of(self, levels: Mapping[str, Any]) -> Self:
        """Return the same posterior, whose new customers are those of some levels.

        All that is said of customers who are yet to come is then said of these; where a
        covariate is left out, they are the mix of the base that was fitted. Customers of a
        table have their own levels, whatever is said here.

        Parameters
        ----------
        levels : mapping
            By covariate a level, a number, or "(other)" for a level that the base did not
            have, as in ``{"channel": "ads"}``.

        Raises
        ------
        SchemaError
            The model has no such covariate, or the covariate no such level.
        """
        return of_kind(self, levels)

    def _likelihood(self, rfm: RfmTable | Frame, said: TimeScale | None) -> LikelihoodTerms:
        columns = columns_of(self, rfm, said)
        return purchase_terms(columns, self.formulas, self.facts.name)

    def _columns_of_draws(self) -> dict[str, FloatArray]:
        return {name: values[:, None] for name, values in self.draws().items()}

    def _distinct(
        self, data: RfmTable | Frame, said: TimeScale | None
    ) -> tuple[RfmColumns, tuple[FloatArray, FloatArray, FloatArray], npt.NDArray[np.int64]]:
        columns = columns_of(self, data, said)
        self._check_cells(len(columns))
        kind = columns.kind
        first, inverse = distinct_rows(kind, columns.T, columns.t_x)
        return columns, (kind[first], columns.t_x[first], columns.T[first]), inverse


def family_of_average(posterior: PurchasePosterior) -> Family:
    """What computes the average customer, whatever covariates do."""
    clock, formulas = posterior.metadata.clock, posterior.facts.formulas
    curve = None if clock is None else clock.curve(posterior.scale.days)
    return formulas if curve is None else AgedFamily(formulas, curve)
