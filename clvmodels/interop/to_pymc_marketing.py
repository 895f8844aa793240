"""Posteriors as fitted models of pymc-marketing."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
import pandas as pd
import xarray as xr

from clvmodels.errors import OURS, SchemaError
from clvmodels.fit.specification import Specification
from clvmodels.interop.peer import OnePosterior, counterparts, pymc_marketing_clv
from clvmodels.keywords import named
from clvmodels.posterior import CLVPosterior, GammaGammaPosterior, PurchasePosterior
from clvmodels.posterior.spend import counted_of, spend_columns
from clvmodels.posterior.terms import Unit
from clvmodels.rfm.histories import RfmColumns, rfm_columns
from clvmodels.schema import (
    CUSTOMER_ID,
    FREQUENCY,
    MONETARY_VALUE,
    RECENCY,
    T,
    TimeScale,
    scale_said,
)

if TYPE_CHECKING:
    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable


class PymcMarketingModels(NamedTuple):
    """Fitted models of pymc-marketing for purchases and for spend.

    Attributes
    ----------
    purchases : pymc_marketing.clv.BetaGeoModel, ModifiedBetaGeoModel or ParetoNBDModel
    spend : pymc_marketing.clv.GammaGammaModel
    """

    purchases: Any
    spend: Any


@named
def to_pymc_marketing(
    posterior: OnePosterior | CLVPosterior, rfm: RfmTable | Frame, **unit: Unpack[Unit]
) -> Any:
    """Make fitted models of pymc-marketing, on which its methods and plots work.

    It is the same model: the priors go along, the draws become its ``idata``, and the
    table becomes its ``data``. Draws that were given, of which no priors are known,
    stand beside pymc-marketing's default priors. It knows no unit of time: lengths
    that its methods take count in the posterior's unit.

    Parameters
    ----------
    posterior : CLVPosterior, GammaGammaPosterior, BetaGeoPosterior or the like
        Of one model, or of purchases and spend.
    rfm : RfmTable or frame
        The base that was fitted, one row per customer; another one is taken with a
        warning. The spend model keeps the customers with a repeat purchase of
        positive value, as pymc-marketing wants it.
    time_unit, time_scaler : optional
        The unit of a frame, as in :meth:`CLVPosterior.predict`.

    Returns
    -------
    pymc_marketing.clv.BetaGeoModel, ModifiedBetaGeoModel, ParetoNBDModel or GammaGammaModel
        Fitted; of a CLVPosterior a named tuple of both, ``purchases`` and ``spend``, for
        ``spend.expected_customer_lifetime_value(purchases, data=purchases.data)``.
        :func:`clvmodels.from_pymc_marketing` is the way back.

    Raises
    ------
    SchemaError
        pymc-marketing is not installed, the table is not of the right form, it repeats a
        customer, or pymc-marketing has no such model.
    TimeUnitError
        The table is in another unit.
    """
    said = scale_said(unit["time_unit"], unit["time_scaler"])
    if isinstance(posterior, CLVPosterior):
        if posterior.gamma_gamma is None:
            raise SchemaError(
                "pymc-marketing has no model of spend with one basket value: convert "
                "posterior.purchases, and multiply by the value."
            )
        return PymcMarketingModels(
            _fitted(posterior.purchases, rfm, said), _fitted(posterior.gamma_gamma, rfm, said)
        )
    return _fitted(posterior, rfm, said)


def _fitted(posterior: OnePosterior, rfm: RfmTable | Frame, said: TimeScale | None) -> Any:
    peer, specification = _peer_of(posterior)
    if posterior.metadata.clock is not None:
        raise SchemaError(
            "pymc-marketing has no clock: fit the model without one to convert its posterior."
        )
    if posterior.metadata.drawn:
        why = "knows none of spend" if posterior.model == "gamma_gamma" else "moves a and b apart"
        raise SchemaError(
            f"A posterior with covariates cannot be converted, as pymc-marketing {why}: fit the "
            "model without covariates to convert its posterior."
        )
    if isinstance(posterior, GammaGammaPosterior):
        if counted_of(posterior):
            raise SchemaError(
                "pymc-marketing has no model of spend that counts first orders: fit with "
                "first_order='exclude' to convert its posterior."
            )
        columns, spend = spend_columns(posterior, rfm, said), True
    else:
        columns, spend = rfm_columns(rfm, scale=posterior.scale, said=said), False
    _compare_bases(posterior, specification, columns)
    model = peer(model_config=_priors_of(posterior))
    frame = _frame(columns, repeat_only=spend)
    model.build_model(frame)
    model.idata = _tree(posterior, model, frame)
    model.set_idata_attrs(model.idata)
    model.is_fitted_ = True
    return model


def _peer_of(posterior: OnePosterior) -> tuple[Any, Specification[Any]]:
    clv = pymc_marketing_clv()
    for name, ours in counterparts().items():
        if type(posterior) is ours.posterior:
            return getattr(clv, name), ours.specification
    if isinstance(posterior, PurchasePosterior):
        raise SchemaError(
            f"pymc-marketing has no {posterior.facts.name}: convert a posterior of one of "
            f"{', '.join(counterparts())}."
        )
    raise SchemaError(
        f"A {type(posterior).__name__} has no counterpart in pymc-marketing: convert the "
        "posterior of purchases, or that of spend."
    )


def _priors_of(posterior: OnePosterior) -> dict[str, Any]:
    from pymc_extras.deserialize import deserialize

    return {name: deserialize(dict(one)) for name, one in posterior.metadata.priors.items()}


def _compare_bases(
    posterior: OnePosterior, specification: Specification[Any], columns: RfmColumns
) -> None:
    fitted = posterior.metadata.fingerprint
    if fitted is not None and specification._described(columns)[1] != fitted:
        warnings.warn(
            "This table is not the base that was fitted: the model's data, and plots that compare "
            "it with the data, come from this table, the draws from the other one.",
            UserWarning,
            stacklevel=2,
            skip_file_prefixes=OURS,
        )


def _frame(columns: RfmColumns, *, repeat_only: bool) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            CUSTOMER_ID: columns.customer_id,
            FREQUENCY: columns.x.astype(np.int64),
            RECENCY: columns.t_x,
            T: columns.T,
        }
    )
    if columns.m_bar is not None:
        frame[MONETARY_VALUE] = columns.m_bar
    if repeat_only:
        frame = frame[(frame[FREQUENCY] > 0) & (frame[MONETARY_VALUE] > 0)]
    repeated = int(frame[CUSTOMER_ID].duplicated().sum())
    if repeated:
        raise SchemaError(
            f"{repeated:,} rows repeat a customer_id, which pymc-marketing refuses: give one row "
            "per customer."
        )
    return frame.reset_index(drop=True)


def _tree(posterior: OnePosterior, model: Any, frame: pd.DataFrame) -> xr.DataTree:
    """The groups that a fit of pymc-marketing leaves behind."""
    known = posterior.metadata
    draws = posterior.tree["posterior"].to_dataset()
    free = {one.name for one in model.model.free_RVs}
    joint = posterior.facts.joint if isinstance(posterior, PurchasePosterior) else None
    if joint is not None and joint.sampled[0] in free and joint.sampled[0] not in draws:
        both = joint.unmake(*(draws[name] for name in joint.made))
        draws = draws.assign(dict(zip(joint.sampled, both, strict=True)))
    draws = draws.assign_attrs(
        method=known.method,
        time_unit=known.scale.time_unit,
        time_scaler=known.scale.time_scaler,
        pymc_marketing_version=version("pymc-marketing"),
    )
    if known.observation_end is not None:
        draws = draws.assign_attrs(observation_end=known.observation_end)
    groups = {name: node.to_dataset() for name, node in posterior.tree.children.items()}
    groups |= {"posterior": draws, "fit_data": frame.to_xarray()}
    if isinstance(posterior, PurchasePosterior):
        groups["observed_data"] = _observed(model, frame)
    return xr.DataTree.from_dict(groups)


def _observed(model: Any, frame: pd.DataFrame) -> xr.Dataset:
    dims = ("customer_id", "obs_var")
    values = frame[[RECENCY, FREQUENCY]].to_numpy(dtype=np.float64)
    return xr.Dataset(
        {PurchasePosterior.observed: (dims, values)},
        coords={name: np.asarray(model.model.coords[name]) for name in dims},
    )
