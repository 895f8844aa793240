"""Posteriors by purchase model: those with a name of their own, and those made when asked for."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Final, Self

import numpy.typing as npt

from clvmodels.keywords import named
from clvmodels.posterior.purchases import PurchasePosterior
from clvmodels.purchases import MODELS, PurchaseModel, learn, purchase_model, sent, with_regularity
from clvmodels.schema import TimeUnit


class _BetaGeometricPosterior(PurchasePosterior):
    """Draws of r, alpha, a, b."""

    @classmethod
    @named
    def from_draws(  # type: ignore[override]  # the parameters by name
        cls,
        *,
        r: npt.ArrayLike,
        alpha: npt.ArrayLike,
        a: npt.ArrayLike,
        b: npt.ArrayLike,
        regularity: int | None = None,
        time_unit: TimeUnit = "D",
        time_scaler: float = 1.0,
    ) -> Self:
        """Make a posterior from draws that come from elsewhere.

        Parameters
        ----------
        r, alpha, a, b : array_like, shape (draws,) or scalar
            Draws; alpha in units of ``time_scaler`` periods of ``time_unit``.
        regularity : {1, 2, 3, 4}, optional
            k, where times between purchases are Erlang-k; by default this posterior's own,
            which is 1 unless the fit was given another.
        time_unit, time_scaler
            The unit of time, as in :func:`clvmodels.rfm_summary`.

        Raises
        ------
        SchemaError
            There is no such regularity.
        DomainError
            A draw is not positive and finite, or lengths differ.
        """
        kind: Any = cls
        if regularity is not None:
            kind = purchase_posterior(with_regularity(cls.facts, regularity).key)
        draws = {"r": r, "alpha": alpha, "a": a, "b": b}
        made: Self = kind._from_draws(draws, time_unit, time_scaler)
        return made


class BetaGeoPosterior(_BetaGeometricPosterior):
    """Posterior of BG/NBD (Fader, Hardie & Lee 2005), or of BG/CNBD-k.

    Examples
    --------
    >>> from clvmodels import BetaGeoPosterior
    >>> posterior = BetaGeoPosterior.from_draws(
    ...     r=0.243, alpha=4.414, a=0.793, b=2.426, time_unit="D", time_scaler=7
    ... )
    >>> float(posterior.expected_purchases_new_customer(t=52).round(3).item())
    1.446
    """

    facts: ClassVar[PurchaseModel] = MODELS["bgnbd"]


class ModifiedBetaGeoPosterior(_BetaGeometricPosterior):
    """Posterior of MBG/NBD (Batislam, Denizel & Filiztekin 2007), or of MBG/CNBD-k.

    Examples
    --------
    >>> from clvmodels import ModifiedBetaGeoPosterior
    >>> ModifiedBetaGeoPosterior.from_draws(r=0.525, alpha=6.183, a=0.891, b=1.614).draws_total
    1
    """

    facts: ClassVar[PurchaseModel] = MODELS["mbgnbd"]


class ParetoNBDPosterior(PurchasePosterior):
    """Posterior of Pareto/NBD (Schmittlein, Morrison & Colombo 1987).

    Examples
    --------
    >>> from clvmodels import ParetoNBDPosterior
    >>> posterior = ParetoNBDPosterior.from_draws(
    ...     r=0.5533, alpha=10.578, s=0.6060, beta=11.669, time_unit="D", time_scaler=7
    ... )
    >>> float(posterior.expected_purchases_new_customer(t=52).round(3).item())
    1.474
    """

    facts: ClassVar[PurchaseModel] = MODELS["paretonbd"]

    @classmethod
    @named
    def from_draws(  # type: ignore[override]  # the parameters by name
        cls,
        *,
        r: npt.ArrayLike,
        alpha: npt.ArrayLike,
        s: npt.ArrayLike,
        beta: npt.ArrayLike,
        time_unit: TimeUnit = "D",
        time_scaler: float = 1.0,
    ) -> Self:
        """Make a posterior from draws that come from elsewhere.

        Parameters
        ----------
        r, alpha, s, beta : array_like, shape (draws,) or scalar
            Draws; alpha and beta in units of ``time_scaler`` periods of ``time_unit``.
        time_unit, time_scaler
            The unit of time, as in :func:`clvmodels.rfm_summary`.

        Raises
        ------
        DomainError
            A draw is not positive and finite, or lengths differ.
        """
        draws = {"r": r, "alpha": alpha, "s": s, "beta": beta}
        return cls._from_draws(draws, time_unit, time_scaler)


# Those that have a class of their own; of any other model one is made when it is asked for.
_NAMED: Final = {
    one.model: one for one in (BetaGeoPosterior, ModifiedBetaGeoPosterior, ParetoNBDPosterior)
}


@cache
def _made(model: PurchaseModel) -> type[PurchasePosterior]:
    kind = _NAMED.get(model.irregular, PurchasePosterior)
    body = {
        "facts": model,
        "__doc__": f"Posterior of {model.name}.",
        "_of": f" of {model.name}",
        "__reduce__": lambda one: (_remade, (sent(model), one.tree, one.metadata)),
    }
    return type(kind.__name__, (kind,), body)


def _remade(model: PurchaseModel | str, *parts: Any) -> PurchasePosterior:
    """Make a posterior again elsewhere: Spark pickles, and finds no class by name that was made."""
    return purchase_posterior(learn(model).key)(*parts)


def purchase_posterior(key: str) -> type[PurchasePosterior]:
    """Return the class of posteriors of a purchase model.

    Raises
    ------
    SchemaError
        There is no such model.
    """
    model = purchase_model(key)
    return _NAMED[key] if key in _NAMED else _made(model)
