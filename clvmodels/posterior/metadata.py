"""What a posterior knows of itself besides its draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from clvmodels.purchases.clock import LearntClock
from clvmodels.purchases.design import Design
from clvmodels.rfm.spent import FirstOrder
from clvmodels.schema import FloatArray, TimeScale, check_margin
from clvmodels.verdict import Verdict, given_verdict


@dataclass(frozen=True, slots=True)
class Member:
    """One of the posteriors that a stack is made of.

    Attributes
    ----------
    weight : float
        Its share of the mixture.
    metadata : Metadata
        Where it comes from.
    """

    weight: float
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a posterior comes from and what its numbers mean.

    Attributes
    ----------
    model : str
        A key of ``clvmodels.purchases.MODELS``, "gamma_gamma", or "stack".
    method : str
        "nuts", "laplace", "map", "given" for draws from elsewhere, or "stack".
    scale : TimeScale
        The unit of time of alpha, recency and T.
    observation_end : str or None
        ISO date at which the base was looked at.
    verdict : Verdict
        Whether the draws may be used.
    priors : mapping
        By parameter, as pymc-extras writes them, in the units of the data.
    prior_scales : mapping of str to float
        What unit-bearing default priors were multiplied by.
    seed : int or None
        Of the fit.
    notes : tuple of str
        What a reader should know, such as a method that was given up.
    margin : float or None
        Share of revenue that is profit, of the base that was fitted; None if it was not said.
    base : mapping of str to float
        Counts of the base that was fitted.
    fingerprint : str or None
        SHA-256 of the sufficient statistics of the base.
    versions : mapping of str to str
        Of this package and those that the fit ran on.
    members : mapping of str to Member
        Of a stack, by name; empty of any other posterior.
    why : str
        Why this model, or these weights, where they were chosen by comparing several.
    clock : LearntClock or None
        By which the customers' time passes, where one was learnt.
    design : Design or None
        What the model knows of customers besides their purchases, where it has covariates.
    first_order : {"exclude", "include", "covariate"}
        Whether a model of spend counts the amounts of first orders.
    """

    model: str
    method: str = "given"
    scale: TimeScale = field(default_factory=TimeScale)
    observation_end: str | None = None
    verdict: Verdict = field(default_factory=given_verdict)
    priors: Mapping[str, Any] = field(default_factory=dict)
    prior_scales: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None
    notes: tuple[str, ...] = ()
    margin: float | None = None
    base: Mapping[str, float] = field(default_factory=dict)
    fingerprint: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Member] = field(default_factory=dict)
    why: str = ""
    clock: LearntClock | None = None
    design: Design | None = None
    first_order: FirstOrder = "exclude"

    @property
    def drawn(self) -> tuple[str, ...]:
        """Names of the draws of effects; factors may be known for the other model alone."""
        return () if self.design is None else self.design.drawn

    @property
    def chosen(self) -> tuple[str, ...]:
        """Why this model, where it was chosen: a line, or none."""
        return (self.why,) if self.why else ()

    @property
    def pace(self) -> float:
        """How fast customers' own time passes in the year to come, on average; 1 by default."""
        return 1.0 if self.clock is None else self.clock.pace

    def time_of(self, period: npt.NDArray[np.int64]) -> FloatArray:
        """Customers' time at the end of periods since 1970, from any zero, in units of T."""
        passed = period if self.clock is None else self.clock.own_days(period)
        return np.asarray(passed / self.scale.time_scaler, dtype=np.float64)

    @property
    def whole(self) -> bool:
        """Whether every T of the base that was fitted was whole in periods."""
        return self.base.get("whole_periods") == 1

    @property
    def longest_T(self) -> float | None:  # the field's letter
        """Longest T of the base that was fitted, in the posterior's unit; None if unknown."""
        return self.base.get("max_T")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        chosen = {"why": self.why} if self.why else {}
        members = {
            name: {"weight": one.weight, "metadata": one.metadata.to_dict()}
            for name, one in self.members.items()
        }
        return {
            "model": self.model,
            "method": self.method,
            "time_unit": self.scale.time_unit,
            "time_scaler": self.scale.time_scaler,
            "observation_end": self.observation_end,
            "verdict": self.verdict.to_dict(),
            "priors": dict(self.priors),
            "prior_scales": dict(self.prior_scales),
            "seed": self.seed,
            "notes": list(self.notes),
            "margin": self.margin,
            "base": dict(self.base),
            "fingerprint": self.fingerprint,
            "versions": dict(self.versions),
            **chosen,
            **({"clock": self.clock.to_dict()} if self.clock else {}),
            **({"design": self.design.to_dict()} if self.design else {}),
            **({} if self.first_order == "exclude" else {"first_order": self.first_order}),
            **({"members": members} if members else {}),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Metadata:
        """Rebuild from :meth:`to_dict`."""
        fields = {
            name: record[name]
            for name in (
                "model",
                "method",
                "observation_end",
                "priors",
                "prior_scales",
                "seed",
                "base",
                "fingerprint",
                "versions",
            )
        }
        return cls(
            **fields,
            scale=TimeScale(record["time_unit"], record["time_scaler"]),
            verdict=Verdict.from_dict(record["verdict"]),
            notes=tuple(record["notes"]),
            margin=_margin(record.get("margin")),  # files of before there was one lack it
            members={
                name: Member(float(one["weight"]), cls.from_dict(one["metadata"]))
                for name, one in record.get("members", {}).items()
            },
            why=str(record.get("why", "")),
            clock=LearntClock.from_dict(record["clock"]) if "clock" in record else None,
            design=Design.from_dict(record["design"]) if "design" in record else None,
            first_order=record.get("first_order", "exclude"),
        )


def _margin(value: Any) -> float | None:
    return None if value is None else check_margin(value)
