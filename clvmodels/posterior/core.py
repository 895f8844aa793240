"""What every posterior of one model shares."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels.errors import DomainError, one_line
from clvmodels.keywords import named
from clvmodels.model_facts import ModelFacts
from clvmodels.posterior.metadata import Metadata
from clvmodels.posterior.pointwise import LikelihoodTerms
from clvmodels.posterior.storage import save_groups
from clvmodels.posterior.terms import SampleTerms
from clvmodels.schema import FloatArray, TimeScale, TimeUnit, check_margin, check_whole, scale_said
from clvmodels.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.frames import Frame
    from clvmodels.rfm import RfmTable

MAX_CELLS: Final = 2e8
SAMPLE_DIMS: Final = ("chain", "draw")
EFFECTS: Final = "effects"
"""The variable that holds draws of covariates' effects, by `Design.drawn`."""


@dataclass(frozen=True, repr=False, eq=False)
class Posterior:
    """Draws of a model's parameters, with where they come from.

    Attributes
    ----------
    tree : DataTree
        ArviZ's form: groups posterior and, for sampled ones, sample_stats, with
        dimensions chain and draw.
    metadata : Metadata
        Method, verdict, priors, units, versions.
    facts : ModelFacts
        What the model is.
    model : str
        Its key, as files and the command line have it.
    parameters : tuple of str
        Names of its parameters.
    observed : str
        What the likelihood is of, by pymc-marketing's name.
    """

    tree: xr.DataTree
    metadata: Metadata

    facts: ClassVar[ModelFacts]
    # Those of the facts; they stand here so that a class can be asked too.
    model: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    observed: ClassVar[str]
    _of: ClassVar[str] = ""  # the model, in words, where the name of the class does not say it

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if isinstance(vars(cls).get("facts"), ModelFacts):
            cls.model, cls.parameters = cls.facts.key, cls.facts.parameter_names

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, name)

    @property
    def verdict(self) -> Verdict:
        """Whether these draws may be used."""
        return self.metadata.verdict

    @property
    def scale(self) -> TimeScale:
        """The unit of time."""
        return self.metadata.scale

    @property
    def draws_total(self) -> int:
        """Number of draws over all chains."""
        sizes = self.tree["posterior"].sizes
        return int(sizes["chain"] * sizes["draw"])

    @property
    def certain(self) -> bool:
        """Whether there is only one point, and so no uncertainty to speak of."""
        return self.metadata.method == "map" or self.draws_total == 1

    def draws(self, count: int | None = None) -> dict[str, FloatArray]:
        """Draws by parameter, all chains in one row.

        Parameters
        ----------
        count : int, optional
            Take this many, evenly spaced over all draws; at most all of them.

        Returns
        -------
        mapping of str to ndarray, shape (count,)
            By parameter; then effects of covariates, where the model has some.
        """
        chosen = evenly_spaced(self.draws_total, count)
        group = self.tree["posterior"].dataset.variables  # each as a node's takes ten times as long
        found = {
            name: np.asarray(group[name].to_numpy(), dtype=np.float64).reshape(-1)[chosen]
            for name in self.parameters
        }
        if not self.metadata.drawn:
            return found
        effects = np.asarray(group[EFFECTS].to_numpy(), dtype=np.float64)
        by_name = effects.reshape(self.draws_total, -1)[chosen].T
        return found | dict(zip(self.metadata.drawn, by_name.copy(), strict=True))

    def summary(self) -> pd.DataFrame:
        """ArviZ's table of means, sds and 90 % intervals, by parameter.

        Markov chains have ESS, R-hat and Monte Carlo errors beside them; importance draws,
        resampled, the effective sample size of their weights. A mode has no uncertainty.
        """
        import pandas as pd
        from arviz_stats import summary

        if self.certain:
            return pd.DataFrame({"mode": {name: v[0] for name, v in self.draws().items()}})
        chains = self.metadata.method in ("nuts", "given")
        frame: pd.DataFrame = summary(
            self.tree,
            var_names=[*self.parameters, *((EFFECTS,) if self.metadata.drawn else ())],
            kind="all" if chains else "stats",
            round_to="none",
            ci_kind="eti",
            ci_prob=0.9,
        )
        if self.metadata.method == "laplace":
            frame["importance_ess"] = float(self.tree["sample_stats"]["importance_ess"])
        return frame

    @named
    def log_likelihood(self, rfm: RfmTable | Frame, **terms: Unpack[SampleTerms]) -> xr.DataArray:
        """Log-likelihood of every customer's data under every draw.

        Of a larger base a simple random sample is taken, without replacement. With
        n of N customers and ArviZ's ``elpd``, ``se`` and ``p`` of the sample, those of
        the whole base are N / n elpd, sqrt(N / n) se and N / n p; the sampling itself
        adds a standard error of N / n se sqrt(1 - n / N). Models are compared on the same
        customers: the same table and seed give the same sample.

        Parameters
        ----------
        rfm : RfmTable or frame
            The base that was fitted, in this posterior's unit of time.
        customers : int
            The most to take.
        random_seed : int
            Of the sample.
        time_unit, time_scaler : optional
            The unit of a frame, as in :meth:`CLVPosterior.predict`.

        Returns
        -------
        DataArray, dims (chain, draw, customer_id)
            Attributes: ``customers`` n, ``customers_of_base`` N, ``without_term``
            customers left out since the likelihood does not see them (purchases: those
            first seen at T = 0; spend: those without a repeat purchase of positive value), and
            ``random_seed``.

        Raises
        ------
        SchemaError, TimeUnitError
            The table is not of the right form or unit.
        DomainError
            Nobody has anything to contribute, or draws x customers are too many cells.
        """
        likelihood = self._likelihood(rfm, scale_said(terms["time_unit"], terms["time_scaler"]))
        rows = likelihood.sample(terms["customers"], terms["random_seed"])
        self._check_cells(len(rows))
        values = likelihood.evaluate(rows, self.draws())
        ids = likelihood.customer_id[rows]
        return self._labelled(values, ids, "log_likelihood").assign_attrs(
            likelihood.counted(rows, terms["random_seed"])
        )

    @named
    def to_datatree(
        self, rfm: RfmTable | Frame | None = None, **terms: Unpack[SampleTerms]
    ) -> xr.DataTree:
        """Return ArviZ's tree; with a table, the pointwise log-likelihood too.

        ``az.loo`` and ``az.compare`` need that group; all else works on ``tree``. ArviZ's
        ``loo_subsample`` wants the draws of all customers and so does not help with a
        base too large for them: :meth:`log_likelihood` says how a sample is taken and
        how its figures are scaled up.

        Parameters
        ----------
        rfm : RfmTable or frame, optional
            The base that was fitted.
        customers, random_seed, time_unit, time_scaler
            As in :meth:`log_likelihood`.

        Returns
        -------
        DataTree
            A copy: groups posterior, sample_stats and, with a table, log_likelihood.
        """
        tree: xr.DataTree = self.tree.copy()
        if rfm is not None:
            values = self.log_likelihood(rfm, **terms)
            group = values.to_dataset(name=self.observed).assign_attrs(values.attrs)
            tree["log_likelihood"] = xr.DataTree(group)
        return tree

    def _likelihood(self, rfm: RfmTable | Frame, said: TimeScale | None) -> LikelihoodTerms:
        raise NotImplementedError

    def fingerprint(self) -> str:
        """SHA-256 of the draws and their unit: what predictions depend on."""
        digest = hashlib.sha256(f"{self._computed_by()}|{self.scale.days!r}".encode())
        if self.metadata.clock is not None:
            digest.update(json.dumps(self.metadata.clock.to_dict(), sort_keys=True).encode())
        if self.metadata.design is not None:
            design = self.metadata.design.to_dict()
            digest.update(json.dumps(design, sort_keys=True).encode())
        if self.metadata.first_order == "include":
            digest.update(b"first orders count")
        for name, values in self.draws().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def _computed_by(self) -> str:
        """What makes predictions of the draws, as the fingerprint has it."""
        return self.metadata.model

    def _draws_by_label(self) -> dict[str, FloatArray]:
        """Draws of every parameter, by the name that it is shown under."""
        return self.draws()

    def save(self, path: str | Path) -> Path:
        """Write one NetCDF file; see :func:`clvmodels.load_posterior`."""
        return save_groups(path, {self.metadata.model: self})

    @classmethod
    def _from_draws(
        cls,
        draws: Mapping[str, npt.ArrayLike],
        time_unit: TimeUnit,
        time_scaler: float,
    ) -> Self:
        arrays = {name: _draw_vector(name, values) for name, values in draws.items()}
        for name, values in arrays.items():
            if cls.facts.is_share(name) and not (values < 1).all():
                raise DomainError(f"Draws of {name} must lie between 0 and 1.")
        count = max(len(values) for values in arrays.values())
        for name, values in arrays.items():
            if len(values) not in (1, count):
                raise DomainError(
                    f"{name} has {len(values)} draws and another parameter {count}: give as many "
                    "of each, or a single number."
                )
        data = xr.Dataset(
            {n: (SAMPLE_DIMS, np.broadcast_to(v, count)[None, :]) for n, v in arrays.items()},
            coords={"chain": np.arange(1), "draw": np.arange(count)},
        )
        return cls(
            xr.DataTree.from_dict({"posterior": data}),
            Metadata(model=cls.model, scale=TimeScale(time_unit, time_scaler)),
        )

    def _labelled(
        self, values: FloatArray, customer_id: npt.NDArray[np.generic], name: str
    ) -> xr.DataArray:
        """(draws, customers) -> (chain, draw, customer_id)."""
        return labelled(self.tree["posterior"], values, customer_id, name)

    def _check_cells(self, customers: int) -> None:
        check_cells(self.draws_total, customers)

    def __repr__(self) -> str:
        return "\n".join([f"<{self._outline()}>", *self.metadata.chosen])

    def _outline(self) -> str:
        return (
            f"{type(self).__name__}{self._of}: {self.draws_total:,} draws by "
            f"{self.metadata.method}, time in {self.scale}"
            f"{' by a clock' if self.metadata.clock else ''}{self._by()}, "
            f"verdict {self.verdict.status}"
        )

    def _by(self) -> str:
        design = self.metadata.design
        names = {} if design is None else dict.fromkeys(one.factor for one in design.effects)
        return f", by {' and '.join(names)}" if names else ""

    def _repr_html_(self) -> str:
        table = self.summary().to_html(border=0, float_format=lambda v: f"{v:,.4g}")
        return f"<div><p>{html.escape(repr(self))}</p>{table}</div>"


def labelled(
    group: Any,
    values: FloatArray,
    customer_id: npt.NDArray[np.generic],
    name: str,
) -> xr.DataArray:
    """(draws, customers) -> (chain, draw, customer_id), of the draws of a group of a tree."""
    shape = (group.sizes["chain"], group.sizes["draw"], len(customer_id))
    return xr.DataArray(
        values.reshape(shape),
        dims=(*SAMPLE_DIMS, "customer_id"),
        coords={
            "chain": group["chain"].to_numpy(),
            "draw": group["draw"].to_numpy(),
            "customer_id": customer_id,
        },
        name=name,
    )


def check_cells(draws: int, customers: int) -> None:
    """Refuse more draws x customers than fit into memory.

    Raises
    ------
    DomainError
        They are too many.
    """
    cells = draws * customers
    if cells > MAX_CELLS:
        raise DomainError(
            f"{draws:,} draws x {customers:,} customers are {cells:.1e} cells, more "
            f"than {MAX_CELLS:.0e}: CLVPosterior.predict and score give one row per customer."
        )


def no_attribute(owner: object, name: str) -> AttributeError:
    """The error of an attribute that is not there; a verb that moved is named."""
    if name == "to_pymc_marketing":
        return AttributeError(
            "to_pymc_marketing is a function: clvmodels.to_pymc_marketing(posterior, rfm)."
        )
    return AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}")


def evenly_spaced(total: int, count: int | None) -> npt.NDArray[np.int64]:
    """Positions of ``count`` evenly spaced draws out of ``total``."""
    wanted = total if count is None else check_whole("draws", count)
    if wanted >= total:
        return np.arange(total)
    return ((np.arange(wanted) + 0.5) * total / wanted).astype(np.int64)


def _draw_vector(name: str, values: npt.ArrayLike) -> FloatArray:
    try:
        vector = np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError, OverflowError) as error:
        raise DomainError(f"Draws of {name} must be numbers ({one_line(error)}).") from error
    if vector.ndim != 1 or not len(vector):
        raise DomainError(f"Draws of {name} must be a number or a 1-D array, not empty.")
    if not (np.isfinite(vector) & (vector > 0)).all():
        raise DomainError(f"Draws of {name} must be positive and finite.")
    return vector


def common_margin(given: float | None, *parts: Posterior) -> float | None:
    """The margin that is given, else what all parts know of it.

    Raises
    ------
    DomainError
        They know different ones.
    """
    if given is not None:
        return check_margin(given)
    known = sorted({one.metadata.margin for one in parts if one.metadata.margin is not None})
    if len(known) > 1:
        raise DomainError(
            f"The posteriors come from bases with different margins, {known[0]:g} and "
            f"{known[1]:g}: choose one with CLVPosterior(..., margin=...)."
        )
    return known[0] if known else None


def with_margin[P: Posterior](part: P, margin: float | None) -> P:
    """Return a posterior that knows this margin of its base."""
    if part.metadata.margin == margin:
        return part
    return replace(part, metadata=replace(part.metadata, margin=margin))
