"""One entry for all methods: pm.Model in, a DataTree with a verdict out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

import numpy as np
import numpy.typing as npt
import xarray as xr

from clvmodels.errors import OURS, ConvergenceError, DomainError, SchemaError
from clvmodels.fit.density import STANDARD, Density, begun_at, compile_density
from clvmodels.fit.laplace import LaplaceDraws, sample_laplace
from clvmodels.fit.marginal import Marginal
from clvmodels.fit.mode import MODE_TOLERANCE, Mode, find_mode
from clvmodels.fit.nuts import as_wide_as, pilot, sample_nuts
from clvmodels.keywords import defaults
from clvmodels.posterior import CLVPosterior
from clvmodels.posterior.core import Posterior
from clvmodels.posterior.terms import Unit
from clvmodels.progress import progress
from clvmodels.schema import check_choice, shown
from clvmodels.verdict import (
    Verdict,
    explain_failure,
    laplace_verdict,
    map_verdict,
    nuts_verdict,
)

if TYPE_CHECKING:
    import pymc as pm

FloatArray = npt.NDArray[np.float64]
Method = Literal["auto", "nuts", "laplace", "map"]
OnFailure = Literal["nuts", "raise", "warn"]

DEFAULT_TUNE: Final = 400
DEFAULT_IMPORTANCE_DRAWS: Final = 1000
# The tail of the weights needs some points for its shape to be estimated.
MIN_IMPORTANCE_DRAWS: Final = 100
# Below this many customers NUTS is as quick and the posterior less Gaussian.
AUTO_CUSTOMERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to fit.

    Attributes
    ----------
    method : {"auto", "nuts", "laplace", "map"}
        "auto" is NUTS below 10,000 customers, where it costs a second or two; above,
        the Laplace approximation, and NUTS where its weights show it to be bad
        (k-hat above 0.7 or too few effective draws).
    draws, tune, chains : int
        Kept draws a chain, warm-up draws a chain, chains.
    importance_draws : int
        Points of the Laplace route.
    random_seed : int or None
        None draws one from the system; it is stored with the posterior.
    progressbar : bool
        Whether to show the sampler's progress.
    on_failure : {"nuts", "raise", "warn"}
        What a failed verdict does: go on to NUTS (Laplace only), raise
        ConvergenceError, or warn and return the draws.
    start : posterior, optional
        Of an earlier base, by the same models: the climb to the mode begins there.
    """

    method: Method = "auto"
    draws: int = 1000
    tune: int | None = None
    chains: int = 4
    importance_draws: int = DEFAULT_IMPORTANCE_DRAWS
    random_seed: int | None = None
    progressbar: bool = True
    on_failure: OnFailure = "nuts"
    start: Any = None

    def __post_init__(self) -> None:
        check_choice("method", self.method, ("auto", "nuts", "laplace", "map"))
        check_choice("on_failure", self.on_failure, ("nuts", "raise", "warn"))
        _check_whole("draws", self.draws, 1)
        _check_whole("chains", self.chains, 1)
        _check_whole("importance_draws", self.importance_draws, MIN_IMPORTANCE_DRAWS)
        if self.tune is not None:
            _check_whole("tune", self.tune, 1)
        if self.random_seed is not None:
            _check_whole("random_seed", self.random_seed, 0)
        if not (self.start is None or isinstance(self.start, CLVPosterior | Posterior)):
            raise SchemaError(
                f"start={shown(self.start)} must be a posterior of an earlier base, as fit "
                "returns it."
            )


@defaults(**{field.name: field.default for field in fields(Settings)})
class FitOptions(TypedDict, total=False):
    """The fields of `Settings`, as options of a fit."""

    method: Method
    draws: int
    tune: int | None
    chains: int
    importance_draws: int
    random_seed: int | None
    progressbar: bool
    on_failure: OnFailure
    start: Any


class FitTerms(FitOptions, Unit, total=False):
    """All options of a fit to customers in any table."""


def settings_of(terms: FitTerms) -> Settings:
    """Return how to fit, checked; the unit of the table is not of it."""
    chosen: dict[str, Any] = {n: v for n, v in terms.items() if n in FitOptions.__annotations__}
    return Settings(**chosen)


def _check_whole(name: str, value: object, least: int) -> None:
    # NumPy's integers count, its floats and booleans do not.
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (whole and int(value) >= least):  # type: ignore[call-overload]
        raise DomainError(f"{name}={shown(value)} must be a whole number >= {least}.")


@dataclass(frozen=True, slots=True)
class Result:
    """Draws, their verdict, and how they were made.

    Attributes
    ----------
    tree : DataTree
        Groups posterior and sample_stats.
    verdict : Verdict
        Of the method whose draws these are.
    method : str
        "nuts", "laplace" or "map": what was done in the end.
    seed : int
        The seed that was used.
    notes : tuple of str
        What a reader of the fit should know, such as a Laplace fit that was given up.
    """

    tree: xr.DataTree
    verdict: Verdict
    method: str
    seed: int
    notes: tuple[str, ...]


def infer(
    model: pm.Model,
    settings: Settings,
    *,
    customers: int,
    of: str = "",
    key: Hashable | None = None,
    start: Mapping[str, FloatArray] | None = None,
    settle: Callable[[Density], Density] | None = None,
) -> Result:
    """Fit a model by the method that the settings name.

    Parameters
    ----------
    model : pm.Model
        With continuous free variables, numbers or vectors.
    settings : Settings
        How to fit.
    customers : int
        Size of the base, which "auto" goes by.
    of : str
        The model's name, for what is said of a failure.
    key : hashable, optional
        Equal for models that differ in their data only; these share a compilation.
    start : mapping of str to ndarray, optional
        Draws of an earlier posterior by name, at whose mean the climb to the mode begins.
    settle : callable, optional
        Brings the density into coordinates in which it is nearer to a Gaussian.

    Raises
    ------
    ConvergenceError
        The verdict failed and ``on_failure`` does not say otherwise.
    """
    started = time.perf_counter()
    seed = _seed(settings.random_seed)
    if settings.method == "map":
        density = begun_at(compile_density(model, jacobian=False, key=key), model, start)
        result = _map(settle(density) if settle else density, seed)
    else:
        automatic = "nuts" if customers < AUTO_CUSTOMERS else "laplace"
        first = automatic if settings.method == "auto" else settings.method
        density = begun_at(compile_density(model, key=key), model, start)
        density = settle(density) if settle else density
        result = _sample(density, settings, seed, laplace_first=first == "laplace", of=of)
    result.tree["posterior"].attrs["sampling_time"] = time.perf_counter() - started
    if not result.verdict.ok:
        _fail(explain_failure(result.verdict, of), settings.on_failure)
    return result


def _sample(
    density: Density, settings: Settings, seed: int, *, laplace_first: bool, of: str
) -> Result:
    target = Marginal(density) if density.groups else density
    mode = find_mode(target)
    notes: tuple[str, ...] = ()
    if laplace_first or density.groups:
        found = _weighed(target, mode, settings, seed)
    if laplace_first:
        result = _laplace(density, found, settings, seed)
        if result.verdict.ok:
            return result
        if settings.method == "laplace" and settings.on_failure != "nuts":
            return result
        notes = (f"{explain_failure(result.verdict, of)} Went on to NUTS.",)
        if settings.method == "laplace":
            warnings.warn(notes[0], UserWarning, stacklevel=2, skip_file_prefixes=OURS)
    if density.groups and laplace_verdict(found.khat, found.importance_ess).ok:
        mode = as_wide_as(mode, found.theta, density.groups)
    elif density.pooled:
        mode = _tried(density, find_mode(density) if density.groups else mode, settings, seed + 1)
    return _nuts(density, mode, settings, seed, notes)


def _tried(density: Density, mode: Mode, settings: Settings, seed: int) -> Mode:
    draws = pilot(
        density, mode, chains=settings.chains, seed=seed, progressbar=settings.progressbar
    )
    return as_wide_as(mode, draws, density.groups)


def _weighed(
    density: Density | Marginal, mode: Mode, settings: Settings, seed: int
) -> LaplaceDraws:
    """Draws by the Laplace approximation; effects of groups that are integrated out are drawn."""
    with progress("Laplace, weighing draws", shown=settings.progressbar) as told:
        found = sample_laplace(
            density,
            mode,
            draws=settings.draws,
            chains=settings.chains,
            importance_draws=settings.importance_draws,
            seed=seed,
            progress=told,
        )
    if isinstance(density, Density):
        return found
    flat = found.theta.reshape(-1, density.dim)
    whole = density.draw(flat, np.random.default_rng(seed + 1))
    return replace(found, theta=whole.reshape(settings.chains, settings.draws, -1))


def _laplace(density: Density, found: LaplaceDraws, settings: Settings, seed: int) -> Result:
    tree = _tree(density, found.theta, {"lp": found.logp}, "laplace", seed)
    whole = {
        "khat": found.khat,
        "importance_ess": found.importance_ess,
        "importance_draws": settings.importance_draws,
        "log_evidence": found.log_evidence,
    }
    tree["sample_stats"] = xr.DataTree(tree["sample_stats"].to_dataset().assign(whole))
    return Result(tree, laplace_verdict(found.khat, found.importance_ess), "laplace", seed, ())


def _nuts(
    density: Density, mode: Mode, settings: Settings, seed: int, notes: tuple[str, ...]
) -> Result:
    found = sample_nuts(
        density,
        mode,
        draws=settings.draws,
        tune=DEFAULT_TUNE if settings.tune is None else settings.tune,
        chains=settings.chains,
        seed=seed,
        progressbar=settings.progressbar,
    )
    tree = _tree(density, found.theta, found.stats, "nuts", seed)
    group = tree["posterior"].to_dataset()
    draws = {
        f"{name}{place}": one
        for name, values in group.data_vars.items()
        if not str(name).startswith(STANDARD)
        for place, one in _columns(values.to_numpy())
    }
    verdict = nuts_verdict(draws, found.stats.get("diverging"))
    return Result(tree, verdict, "nuts", seed, notes)


def _columns(values: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Each number of a vector, in all chains."""
    if values.ndim == 2:
        yield "", values
        return
    for i in range(values.shape[2]):
        if np.ptp(values[..., i]) > 0.0:
            yield f"[{i}]", values[..., i]


def _map(density: Density, seed: int) -> Result:
    target = Marginal(density) if density.groups else density
    mode = find_mode(target)
    point = mode.location if isinstance(target, Density) else target.with_groups(mode.location)
    point = point.reshape(1, 1, -1)
    stats: dict[str, npt.NDArray[Any]] = {"lp": np.array([[mode.value]])}
    tree = _tree(density, point, stats, "map", seed)
    decrement = mode.decrement if mode.curved else np.nan
    return Result(tree, map_verdict(decrement, MODE_TOLERANCE), "map", seed, ())


def _tree(
    density: Density,
    theta: FloatArray,
    stats: dict[str, npt.NDArray[Any]],
    method: str,
    seed: int,
) -> xr.DataTree:
    chains, draws, dim = theta.shape
    coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
    flat = density.constrain(theta.reshape(-1, dim))
    posterior = xr.Dataset(
        {
            name: _with_chains(name, np.asarray(values), chains, draws)
            for name, values in flat.items()
        },
        coords=coords,
    )
    statistics = xr.Dataset(
        {name: (("chain", "draw"), np.asarray(v)) for name, v in stats.items()}, coords=coords
    )
    posterior.attrs.update(method=method, seed=seed, inference_library="clvmodels")
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


def _with_chains(
    name: str, values: FloatArray, chains: int, draws: int
) -> tuple[tuple[str, ...], FloatArray]:
    """Dimensions and draws of a variable, of shape (chains, draws) or (chains, draws, length)."""
    own = (f"{name}_dim",) * (values.ndim - 1)
    return ("chain", "draw", *own), values.reshape(chains, draws, *values.shape[1:])


def _seed(random_seed: int | None) -> int:
    if random_seed is not None:
        return int(random_seed)
    return int(np.random.SeedSequence().generate_state(1)[0])


def _fail(message: str, on_failure: OnFailure) -> None:
    if on_failure == "warn":
        warnings.warn(message, UserWarning, stacklevel=2, skip_file_prefixes=OURS)
        return
    raise ConvergenceError(f"{message} To get the draws all the same, pass on_failure='warn'.")
