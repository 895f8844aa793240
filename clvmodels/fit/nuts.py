"""NUTS from the mode, in coordinates whitened by the Hessian there, or by a pilot run."""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clvmodels.fit.density import Density
from clvmodels.fit.mode import Mode
from clvmodels.machine import available_cores
from clvmodels.progress import Told, progress

FloatArray = npt.NDArray[np.float64]

# Chains start this many posterior standard deviations apart: R-hat can only find a
# disagreement between chains that began in different places.
_SPREAD = 2.0
# Draws a chain of a pilot run, after as many of warm-up.
_PILOT: Final = 200
# Share of steps that are to be accepted. Where spreads are learnt the density narrows towards
# small ones, and of 38 countries' draws 16 of 4,000 diverged by the usual share, none by this.
_ACCEPTED: Final = 0.8
_ACCEPTED_POOLED: Final = 0.95
_TOLD_EVERY: Final = 0.1  # seconds
_HELD: Final = 0  # PyGILState_LOCKED: what Python says to a thread that holds its lock already


@dataclass(frozen=True, slots=True)
class NutsDraws:
    """Draws of all chains and the sampler's statistics.

    Attributes
    ----------
    theta : ndarray, shape (chains, draws, dim)
        Draws in unconstrained space.
    stats : mapping of str to ndarray, shape (chains, draws)
        diverging, energy, lp, tree_depth, n_steps, step_size, acceptance_rate.
    """

    theta: FloatArray
    stats: dict[str, npt.NDArray[Any]]


# nutpie's names of the statistics that are kept, and ArviZ's.
STATISTICS: Final = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
}


class _Made:
    """Draws that were made so far, of so many: the sampler expands each, of warm-up too."""

    def __init__(self, chains: int, each: int) -> None:
        self.total, self.each, self.draws = chains * each, each, 0

    def of_a_chain(self) -> Callable[[], None]:
        """Return what is to be called after each draw of one chain, in the thread that makes it.

        The sampler's threads are not Python's: without a state of the interpreter that is held,
        every call from there made one and dropped it, which was more than half of the time on two
        cores (2.4 s of a fit where .9 are left).
        """
        made, thread = 0, 0

        def one_more() -> None:
            nonlocal made, thread
            if not made:
                ctypes.pythonapi.PyGILState_Ensure()
                thread = threading.get_ident()
            made += 1
            self.draws += 1
            if made == self.each and thread == threading.get_ident():  # let go but what is held
                ctypes.pythonapi.PyGILState_Release(_HELD)

        return one_more

    def watch(self, told: Told | None, sampler: Any) -> None:
        """Tell the share until all are made: here, since a notebook's line is this thread's."""
        while told is not None and not _finished(sampler):
            told(min(self.draws / self.total, 1.0))
            time.sleep(_TOLD_EVERY)


def _finished(sampler: Any) -> bool:
    try:
        return bool(sampler.is_finished)
    except TimeoutError:  # as nutpie 0.16 says that it is not
        return False


def sample_nuts(
    density: Density,
    mode: Mode,
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    progressbar: bool,
    title: str = "NUTS",
) -> NutsDraws:
    """Run nutpie's NUTS over z, where theta = mode + scale z.

    Raises
    ------
    KeyboardInterrupt
        Passed on after the chains were stopped; no partial result is returned.
    """
    import nutpie

    made = _Made(chains, tune + draws)
    sampler = nutpie.sample(
        _whitened_model(density, mode, made),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(chains, available_cores()),
        seed=seed,
        save_warmup=False,
        progress_bar=False,
        target_accept=_ACCEPTED_POOLED if density.pooled else _ACCEPTED,
        blocking=False,
    )
    try:
        with progress(title, shown=progressbar) as told:
            made.watch(told, sampler)
        tree = sampler.wait()
    except BaseException:
        with contextlib.suppress(RuntimeError):
            sampler.cancel()
        raise
    z = tree["posterior"]["z"].to_numpy()
    stats = tree["sample_stats"]
    return NutsDraws(
        mode.location + z @ mode.scale.T,
        {new: stats[old].to_numpy() for old, new in STATISTICS.items() if old in stats},
    )


def pilot(density: Density, mode: Mode, *, chains: int, seed: int, progressbar: bool) -> FloatArray:
    """Draws of a short run, shape (chains, draws, dim)."""
    found = sample_nuts(
        density,
        mode,
        draws=_PILOT,
        tune=_PILOT,
        chains=chains,
        seed=seed,
        progressbar=progressbar,
        title="NUTS, a pilot run",
    )
    return found.theta


def as_wide_as(mode: Mode, draws: FloatArray, groups: Sequence[slice] = ()) -> Mode:
    """Where draws find the density, and how wide, in place of the Hessian at the mode.

    Where spreads of groups are learnt, the mode is not where the density's mass is, nor as wide:
    of 38 countries, nine customers in ten from one, the average and that country's effect move
    together ten times as far as the Hessian says. Sampling then takes a fifth of the steps, for
    five times as many effective draws. As many draws as there are dimensions count for variables
    that do not depend on each other, so that the covariance is that of many groups too.

    Parameters
    ----------
    mode : Mode
        Kept where the draws never moved.
    draws : ndarray, shape (chains, draws, dim)
        Of a pilot run, or by weights.
    groups : sequence of slice
        Where effects of many groups stand, of each side that they move.
    """
    dim = draws.shape[-1]
    theta = draws.reshape(-1, dim)
    if groups:
        return replace(mode, location=theta.mean(axis=0), scale=_arrow(theta, groups))
    covariance = np.cov(theta, rowvar=False).reshape(dim, dim)
    sds = np.sqrt(np.diag(covariance))
    if not np.all(sds > 0.0):  # nothing is known by them
        return mode
    own = dim / (dim + len(theta))
    correlation = (1.0 - own) * covariance / np.outer(sds, sds) + own * np.eye(dim)
    scale = sds[:, None] * np.linalg.cholesky(correlation)
    return replace(mode, location=theta.mean(axis=0), scale=scale)


def _arrow(theta: FloatArray, groups: Sequence[slice]) -> FloatArray:
    """A root of the covariance of draws in which groups depend through the others alone.

    The others come first, and each group's effects follow them and have a rest of their own: a
    matrix of few entries, shape (dim, dim), where one of all groups' pairs made each step of
    2,000 of them cost more than the likelihood.
    """
    inner = np.stack([np.arange(one.start, one.stop) for one in groups], axis=1)
    outer = np.setdiff1d(np.arange(theta.shape[1]), inner)
    centred = theta - theta.mean(axis=0)
    scale, size = np.zeros((theta.shape[1],) * 2), inner.shape[1]
    root = np.linalg.cholesky(np.cov(centred[:, outer], rowvar=False).reshape(len(outer), -1))
    standard = np.linalg.solve(root, centred[:, outer].T).T
    scale[:, outer] = centred.T @ standard / (len(theta) - 1)
    rest = (centred - standard @ scale[:, outer].T)[:, inner]
    own = np.linalg.cholesky(np.einsum("nij,nik->ijk", rest, rest) / (len(theta) - 1))
    for i, j in product(range(size), repeat=2):
        scale[inner[:, i], inner[:, j]] = own[:, i, j]
    return scale


def _whitened_model(density: Density, mode: Mode, made: _Made) -> Any:
    import nutpie

    call = density.whitened_function(mode.location, np.ascontiguousarray(mode.scale))
    call(np.zeros(density.dim))  # compiled once, before the threads start

    def log_density() -> Any:
        return lambda z: call(np.ascontiguousarray(z))

    def expand(seed1: int, seed2: int, chain: int) -> Any:
        one_more = made.of_a_chain()

        def expanded(z: FloatArray) -> dict[str, FloatArray]:
            one_more()
            return {"z": np.array(z)}

        return expanded

    def start(seed: int) -> FloatArray:
        return np.random.default_rng(seed).normal(size=density.dim) * _SPREAD

    return nutpie.compiled_pyfunc.from_pyfunc(
        density.dim,
        log_density,
        expand,
        [np.dtype(np.float64)],
        [(density.dim,)],
        ["z"],
        make_initial_point_fn=start,
    )
