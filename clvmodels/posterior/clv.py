"""Purchases and spend together: value per customer, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

import numpy as np
import xarray as xr

from clvmodels import frames, schema
from clvmodels.errors import SchemaError
from clvmodels.keywords import named, named_fields
from clvmodels.posterior.core import (
    check_cells,
    common_margin,
    labelled,
    no_attribute,
    with_margin,
)
from clvmodels.posterior.effects import KindsOfBoth, by_one_design
from clvmodels.posterior.finite import check_spend
from clvmodels.posterior.new_customer import NewCustomerValue, value_of_new_customer
from clvmodels.posterior.pointwise import group_of_both
from clvmodels.posterior.predicting import asked_of, predicted_frame, side_by_side
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.posterior.spend import GammaGammaPosterior, SpendPosterior, spend_from
from clvmodels.posterior.storage import save_groups
from clvmodels.posterior.terms import NewCustomerTerms, PredictOptions, PredictTerms, SampleTerms
from clvmodels.schema import FloatArray, Horizon, TimeScale
from clvmodels.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from clvmodels.frames import Frame, OtherFrame
    from clvmodels.rfm import RfmTable


@named_fields
@dataclass(frozen=True, eq=False, repr=False)
class CLVPosterior(KindsOfBoth):
    """Posteriors of purchases and of spend, fitted to the same base.

    Attributes
    ----------
    purchases : BetaGeoPosterior or the like
    spend : GammaGammaPosterior or BasketValue
        What a purchase brings; a number, ``CLVPosterior(purchases, 25.0)``, is the value of
        every purchase: tables then need no amounts, and amounts that they have are not read.
    margin : float or None
        Share of revenue that is profit, of the base that was fitted: it is in all values of
        customers who are in no table, and of tables that do not say theirs. By default what
        the two posteriors know of it; ``dataclasses.replace(posterior, margin=0.3)`` gives
        one to draws from elsewhere. It is saved with them.

    Examples
    --------
    >>> import pandas as pd
    >>> from clvmodels import BetaGeoPosterior, CLVPosterior, GammaGammaPosterior
    >>> posterior = CLVPosterior(
    ...     BetaGeoPosterior.from_draws(r=0.243, alpha=30.9, a=0.793, b=2.426),
    ...     GammaGammaPosterior.from_draws(p=6.25, q=3.74, v=15.44),
    ... )
    >>> rfm = pd.DataFrame({"customer_id": [1], "frequency": [2], "recency": [213.0],
    ...                     "T": [272.0], "monetary_value": [22.35]})
    >>> posterior.predict(rfm, horizon="365D")["clv"].round(1).tolist()
    [36.9]
    """

    purchases: PurchasePosterior
    spend: SpendPosterior
    margin: float | None = None

    if TYPE_CHECKING:  # what is taken is more than what is kept

        def __init__(
            self,
            purchases: PurchasePosterior,
            spend: SpendPosterior | float,
            margin: float | None = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        object.__setattr__(self, "spend", spend_from(self.spend))
        for name, kind in (("purchases", PurchasePosterior), ("spend", SpendPosterior)):
            found = getattr(self, name)
            if not isinstance(found, kind):
                wanted = "PurchasePosterior" if name == "purchases" else "GammaGammaPosterior"
                raise SchemaError(
                    f"{name} must be a {wanted}, found {type(found).__name__}: "
                    "CLVPosterior(purchases, spend), or CLVPosterior(purchases, 25.0) where every "
                    "purchase has the same value."
                )
        bought, spent = by_one_design(self.purchases, self.spend)
        object.__setattr__(self, "purchases", bought)
        object.__setattr__(self, "spend", spent)
        object.__setattr__(self, "margin", common_margin(self.margin, self.purchases, self.spend))
        for name in ("purchases", "spend"):
            object.__setattr__(self, name, with_margin(getattr(self, name), self.margin))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def scale(self) -> TimeScale:
        """The unit of time."""
        return self.purchases.scale

    @property
    def certain(self) -> bool:
        """Whether one of the posteriors is a single point."""
        return self.purchases.certain or self.spend.certain

    @property
    def gamma_gamma(self) -> GammaGammaPosterior | None:
        """The model of spend; None where baskets are of one value."""
        return self.spend if isinstance(self.spend, GammaGammaPosterior) else None

    @property
    def basket_value(self) -> float | None:
        """The value of every purchase, the mean of its draws; None where spend was fitted."""
        return None if self.reads_amounts else float(self.spend.draws()["value"].mean())

    @property
    def reads_amounts(self) -> bool:
        """Whether tables must have monetary_value: not where baskets are of one value."""
        return self.gamma_gamma is not None

    @property
    def fits(self) -> tuple[PurchasePosterior | GammaGammaPosterior, ...]:
        """What was fitted: purchases and, unless baskets are of one value, spend."""
        spend = self.gamma_gamma
        return (self.purchases,) if spend is None else (self.purchases, spend)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict of each fit."""
        return {one.metadata.model: one.verdict for one in self.fits}

    def summary(self) -> pd.DataFrame:
        """ArviZ's summary of all parameters."""
        import pandas as pd

        return pd.concat([self.purchases.summary(), self.spend.summary()])

    def draws(self, count: int | None = None) -> dict[str, FloatArray]:
        """Draws of both models by parameter, as many of each.

        The two were fitted apart, so which draws go together means nothing; predictions pair
        them by a permutation that is always the same.

        Parameters
        ----------
        count : int, optional
            Take this many, evenly spaced over all; at most as many as both have. A single
            point goes with every draw of the other.

        Returns
        -------
        mapping of str to ndarray, shape (count,)
            By parameter: those of purchases, then those of spend.
        """
        bought, spent = side_by_side(self.purchases, self.spend, count)
        return bought | spent

    @named
    def log_likelihood(self, rfm: RfmTable | Frame, **terms: Unpack[SampleTerms]) -> xr.DataArray:
        """Log-likelihood of every customer's purchases and spend under every draw.

        The sum of both models' terms, for ArviZ's leave-one-out comparison of whole models: a
        customer is left out of both. Spend has a term of customers with a repeat purchase of
        positive value; a fixed basket value has none.

        Parameters
        ----------
        rfm : RfmTable or frame
            The base that was fitted, with monetary_value where spend was.
        customers, random_seed, time_unit, time_scaler
            Of the sample, as in :meth:`BetaGeoPosterior.log_likelihood`; it is the same one.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            Of the draws of :meth:`to_datatree`, with attributes as in
            :meth:`BetaGeoPosterior.log_likelihood`.

        Raises
        ------
        SchemaError, TimeUnitError
            The table is not of the right form or unit.
        DomainError
            Nobody has anything to contribute, or draws x customers are too many cells.
        """
        rfm, said = frames.eager(rfm), schema.scale_said(terms["time_unit"], terms["time_scaler"])
        if said is None and frames.kind_of(rfm) is not None:
            said = self.scale
        bought = self.purchases._likelihood(rfm, said)
        rows = bought.sample(terms["customers"], terms["random_seed"])
        group, (draws, spent) = (
            group_of_both(self.purchases.tree, self.spend.tree, self.draws()),
            side_by_side(self.purchases, self.spend, None),
        )
        check_cells(group.sizes["chain"] * group.sizes["draw"], len(rows))
        values = bought.evaluate(rows, draws)
        if self.gamma_gamma is not None:
            other = self.gamma_gamma._likelihood(rfm, said)
            both = np.isin(rows, other.rows)
            values[:, both] += other.evaluate(rows[both], spent)
        found = labelled(group, values, bought.customer_id[rows], "log_likelihood")
        return found.assign_attrs(bought.counted(rows, terms["random_seed"]))

    @named
    def to_datatree(
        self, rfm: RfmTable | Frame | None = None, **terms: Unpack[SampleTerms]
    ) -> xr.DataTree:
        """Return ArviZ's tree of both models; with a table, the log-likelihood for ``az.loo`` too.

        Parameters
        ----------
        rfm : RfmTable or frame, optional
            The base that was fitted.
        customers, random_seed, time_unit, time_scaler
            As in :meth:`log_likelihood`.

        Returns
        -------
        DataTree
            A copy: posterior, the draws of both models by parameter, in the chains that they
            were drawn in if both have the same; with a table log_likelihood, whose variable
            is ``purchases_and_spend``; and by the name of each model, such as bgnbd and
            gamma_gamma, the tree that its own ``to_datatree`` gives, with sample_stats.
        """
        own = {one.metadata.model: one.tree.copy() for one in self.fits}
        tree = xr.DataTree.from_dict(
            {"posterior": group_of_both(self.purchases.tree, self.spend.tree, self.draws()), **own}
        )
        if rfm is not None:
            values = self.log_likelihood(rfm, **terms)
            group = values.to_dataset(name="purchases_and_spend").assign_attrs(values.attrs)
            tree["log_likelihood"] = xr.DataTree(group)
        return tree

    def _group(self) -> xr.Dataset:
        return group_of_both(self.purchases.tree, self.spend.tree, self.draws())

    def fingerprint(self) -> str:
        """Digest of all that predictions depend on."""
        return f"{self.purchases.fingerprint()[:32]}{self.spend.fingerprint()[:32]}"

    def save(self, path: str | Path) -> Path:
        """Write both posteriors to one NetCDF file; read it by load_posterior."""
        return save_groups(path, {one.metadata.model: one for one in (self.purchases, self.spend)})

    @overload
    def predict(
        self, rfm: RfmTable | pd.DataFrame, **options: Unpack[PredictOptions]
    ) -> pd.DataFrame: ...

    @overload
    def predict(self, rfm: pl.LazyFrame, **options: Unpack[PredictOptions]) -> pl.DataFrame: ...

    @overload
    def predict(  # type: ignore[overload-cannot-match]
        self, rfm: OtherFrame, **options: Unpack[PredictOptions]
    ) -> OtherFrame: ...

    @named
    def predict(
        self, rfm: RfmTable | Frame, *, predictive: bool = False, **terms: Unpack[PredictTerms]
    ) -> Any:
        """Predict every customer's future purchases and their discounted value.

        Parameters
        ----------
        rfm : RfmTable or frame
            Customers, in this posterior's unit of time, with monetary_value: a pandas or
            polars DataFrame or a pyarrow Table. A LazyFrame is collected.
        predictive : bool
            Add intervals of the outcome: ``purchases_lower``, ``purchases_upper``,
            ``value_lower``, ``value_upper``. They take a finite horizon.
        horizon : str, float or None, or a list of them
            "365D", "52W", "12M", a number in the table's unit, or None for the lifetime.
        discount_rate : float
            Effective annual rate.
        discounting : {"continuous", "monthly"}
            "monthly" discounts each 30.4375-day month's purchases at the month's end.
        interval : float
            Probability of the equal-tailed intervals.
        draws : int
            Posterior draws to use, evenly spaced over all.
        margin : float, optional
            Share of revenue that values are made of. By default the table's, where it says
            one, else that of the base that was fitted; a difference between them is warned
            of. Without any it is 1.
        time_unit, time_scaler : optional
            The unit of recency and T of a frame, which must be this posterior's; without
            them it is taken to be, and T that look like another unit's are warned of.

        Returns
        -------
        DataFrame or Table
            Of the kind that was passed, pandas for an RfmTable. What is empty is NaN in
            pandas and null in polars and Arrow, where customer_id keeps its type.
            One row per input row, in input order: customer_id, frequency, recency, T,
            monetary_value, p_alive, p_purchase, expected_purchases,
            discounted_purchases, expected_spend, clv, clv_sd, clv_lower, clv_upper, and
            ``_lower``/``_upper`` of p_alive, expected_purchases and expected_spend;
            historical_value and total_value where the table knows the first purchase; and
            the margin that is in the values. Where some draw has q <= 1 there is a column
            ``reason`` too: of customers whose expected spend is infinite in some draws it says
            so, and spend and value are empty; what they buy is filled in.
            These intervals are of the *expected* value: they show how well the parameters
            are known, not what one customer will happen to do. With one draw (a mode)
            sd and interval columns are empty. clv is margin x spend x discounted
            purchases. For the lifetime p_purchase is p_alive, and expected_purchases
            is empty unless every draw has a > 1. Of several horizons, predicted in one
            pass, each has columns of its own, as ``clv_lower_90D`` and ``clv_lifetime``.

            The intervals of ``predictive`` are of the *outcome*: what this customer will
            actually buy, and its discounted value x margin. They contain the process's own
            randomness besides the uncertainty of the parameters (of which one draw has
            none), and are much wider. Counts are discrete, so their interval holds at
            least the probability asked for; see
            :func:`clvmodels.predictive.count_distribution` and ``value_distribution``.

        Raises
        ------
        SchemaError, TimeUnitError
            The table is not of the right form or unit.
        DomainError
            Undiscounted whole-life purchases are infinite in some draws.
        """
        return predicted_frame(self.purchases, self.spend, rfm, predictive, **terms)

    @named
    def new_customer_value(
        self,
        horizon: Horizon = "365D",
        discount_rate: float = 0.10,
        **terms: Unpack[NewCustomerTerms],
    ) -> NewCustomerValue:
        """Expected value of a customer not yet acquired, first purchase included.

        It is the most that acquiring a customer may cost. The first purchase counts at
        the average customer's expected spend, now, without discount.

        Parameters
        ----------
        horizon, discount_rate, discounting, interval, draws
            As in :meth:`predict`.
        margin : float, optional
            Share of revenue that values are made of; by default that of the base that was
            fitted, 1 where it had none.

        Returns
        -------
        NewCustomerValue
            With the margin that is in it, and who said that.

        Raises
        ------
        DomainError
            Draws with q <= 1 have an infinite mean spend.
        """
        future, paired, used = asked_of(
            self.purchases,
            self.spend,
            horizon=horizon,
            discount_rate=discount_rate,
            **terms,
        )
        assert used is not None
        check_spend(paired)
        return value_of_new_customer(
            paired,
            future.at_pace(self.purchases.metadata.pace),
            used.source,
            horizon=self.scale.horizon_words(horizon),
            certain=self.certain,
        )

    def __repr__(self) -> str:
        both = f"<{self.purchases._outline()}> and <{self.spend._outline()}>"
        return "\n".join([f"<CLVPosterior of {both}>", *self.purchases.metadata.chosen])

    def _repr_html_(self) -> str:
        return self.purchases._repr_html_() + self.spend._repr_html_()
