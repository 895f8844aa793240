"""Fused log-likelihoods: value and gradient of a whole base from one compiled loop.

The algebra is that of DESIGN's numerics. For BG/NBD (Fader, Hardie & Lee 2005, eq. 6,
in the form of Hardie's note 27) with B = b + x + extra, extra = 0, and for MBG/NBD
(Batislam et al. 2007, eq. 3) with extra = 1,

    ln L = lnG(r+x) - lnG(r) + r ln alpha - (r+x) ln(alpha+T)
           + lnG(a+b) - lnG(b) + lnG(B) - lnG(a+B) + softplus(z),
    z    = ln a - ln(B-1) + (r+x) (ln(alpha+T) - ln(alpha+t_x)),

where BG/NBD leaves out softplus(z) at x = 0. The gamma functions need only the count
of customers per distinct x, the logarithms one value per distinct time; per distinct
history there remain one exp and one log1p, in a loop that the compiler vectorises.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from clvmodels.formulas import special
from clvmodels.formulas._jit import compiled, compiled_sum
from clvmodels.formulas.special import digamma, exp_negative, log1p_unit, log_rising
from clvmodels.rfm.histories import PurchaseHistories, SpendHistories

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class PurchaseStatistics:
    """A base as the purchase kernel wants it: tables of distinct values, and indices.

    Attributes
    ----------
    x, x_count : ndarray, shape (X,)
        Distinct frequencies and their customers.
    time : ndarray, shape (S,)
        Distinct times among T and t_x.
    T_count, T_purchases : ndarray, shape (S,)
        Customers with T = time, and their repeat purchases.
    x_index, tx_index, T_index : ndarray of int32, shape (H,)
        Positions in these tables, per history that has a softplus term.
    count : ndarray, shape (H,)
        Customers who share the history.
    """

    x: FloatArray
    x_count: FloatArray
    time: FloatArray
    T_count: FloatArray
    T_purchases: FloatArray
    x_index: IntArray
    tx_index: IntArray
    T_index: IntArray
    count: FloatArray

    @classmethod
    def of(cls, histories: PurchaseHistories, *, zero_has_term: bool) -> PurchaseStatistics:
        """Tables of a base; ``zero_has_term`` says whether x = 0 has a softplus term."""
        x, x_index = np.unique(histories.x, return_inverse=True)
        time, position = np.unique(
            np.concatenate([histories.t_x, histories.T]), return_inverse=True
        )
        tx_index, T_index = np.split(position, 2)
        purchases = histories.count * histories.x
        used = slice(None) if zero_has_term else histories.x > 0
        return cls(
            x=x,
            x_count=_sums(x_index, histories.count, len(x)),
            time=time,
            T_count=_sums(T_index, histories.count, len(time)),
            T_purchases=_sums(T_index, purchases, len(time)),
            x_index=x_index[used].astype(np.int32),
            tx_index=tx_index[used].astype(np.int32),
            T_index=T_index[used].astype(np.int32),
            count=histories.count[used],
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tables by name, in the order of the kernel's arguments."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class SpendStatistics:
    """A base as the spend kernel wants it.

    Attributes
    ----------
    x, x_count : ndarray, shape (X,)
        Distinct frequencies and their customers.
    total, total_count, total_purchases : ndarray, shape (S,)
        Distinct total spends, their customers, and these customers' purchases.
    constants : ndarray, shape (2,)
        Sum over customers of x ln S, and of ln(S / x).
    """

    x: FloatArray
    x_count: FloatArray
    total: FloatArray
    total_count: FloatArray
    total_purchases: FloatArray
    constants: FloatArray

    @classmethod
    def of(cls, histories: SpendHistories) -> SpendStatistics:
        """Tables of a base."""
        x, x_index = np.unique(histories.x, return_inverse=True)
        total, total_index = np.unique(histories.total, return_inverse=True)
        purchases = histories.count * histories.x
        constants = np.array(
            [
                np.dot(purchases, np.log(histories.total)),
                np.dot(histories.count, np.log(histories.total / histories.x)),
            ]
        )
        return cls(
            x=x,
            x_count=_sums(x_index, histories.count, len(x)),
            total=total,
            total_count=_sums(total_index, histories.count, len(total)),
            total_purchases=_sums(total_index, purchases, len(total)),
            constants=constants,
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The tables by name, in the order of the kernel's arguments."""
        return {name: getattr(self, name) for name in self.__slots__}


def _sums(index: npt.NDArray[np.intp], weights: FloatArray, size: int) -> FloatArray:
    return np.bincount(index, weights, size).astype(np.float64)


@compiled
def _gamma_terms(r, alpha, a, b, extra, x, x_count, out):  # type: ignore[no-untyped-def]
    """Add the terms that depend on x alone, with their gradient."""
    log_alpha = math.log(alpha)
    psi_r, psi_b, psi_ab = digamma(r), digamma(b), digamma(a + b)
    for i in range(x.size):
        w, stays = x_count[i], x[i] + extra
        psi_aB = digamma(a + b + stays)
        out[0] += w * (
            log_rising(r, x[i])
            - x[i] * log_alpha
            + (log_rising(b, stays) - log_rising(a + b, stays))
        )
        out[1] += w * (digamma(r + x[i]) - psi_r)
        out[2] -= w * x[i] / alpha
        out[3] += w * (psi_ab - psi_aB)
        out[4] += w * (psi_ab - psi_aB + digamma(b + stays) - psi_b)


@compiled
def _survival_terms(r, alpha, time, log_time, inv_time, T_count, T_purchases, out):  # type: ignore[no-untyped-def]
    """Add -(r+x) ln(1 + T/alpha) with its gradient."""
    for i in range(T_count.size):
        weight = r * T_count[i] + T_purchases[i]
        out[0] -= weight * log_time[i]
        out[1] -= T_count[i] * log_time[i]
        out[2] += weight * inv_time[i] * (time[i] / alpha)


@compiled_sum
def _softplus_terms(  # type: ignore[no-untyped-def]
    r, x, log_odds, inv_stay, log_time, inv_time, x_index, tx_index, T_index, count
):
    """Sum of softplus(z), and of its derivatives by r, alpha, ln a and b."""
    value = by_r = by_alpha = by_log_a = by_b = 0.0
    for i in range(count.size):
        k, j, m = x_index[i], tx_index[i], T_index[i]
        rate = r + x[k]
        gap = log_time[m] - log_time[j]
        z = log_odds[k] + rate * gap
        e = exp_negative(-abs(z))
        value += count[i] * (max(z, 0.0) + log1p_unit(e))
        weight = count[i] * ((1.0 if z > 0.0 else e) / (1.0 + e))
        by_r += weight * gap
        by_alpha += weight * rate * (inv_time[m] - inv_time[j])
        by_log_a += weight
        by_b -= weight * inv_stay[k]
    return value, by_r, by_alpha, by_log_a, by_b


@compiled_sum
def _softplus_sum(r, x, log_odds, log_time, x_index, tx_index, T_index, count):  # type: ignore[no-untyped-def]
    """Sum of softplus(z) alone: what importance weights need, in half the time."""
    value = 0.0
    for i in range(count.size):
        k = x_index[i]
        z = log_odds[k] + (r + x[k]) * (log_time[T_index[i]] - log_time[tx_index[i]])
        value += count[i] * (max(z, 0.0) + log1p_unit(exp_negative(-abs(z))))
    return value


@compiled
def purchase_kernel(  # type: ignore[no-untyped-def]
    r, alpha, a, b, extra, gradient,
    x, x_count, time, T_count, T_purchases, x_index, tx_index, T_index, count,
):  # fmt: skip
    """Log-likelihood of a base and its gradient by r, alpha, a, b.

    Parameters
    ----------
    gradient : bool
        Whether the derivatives are wanted; else they are not complete.

    Returns
    -------
    ndarray, shape (5,)
        Value, then the four derivatives; value -inf outside the parameters' domain.
    """
    out = np.zeros(5)
    if not (r > 0.0 and alpha > 0.0 and a > 0.0 and b > 0.0):
        out[0] = -np.inf
        return out
    # Of 1 + time/alpha, not alpha + time: r and alpha may run off together.
    log_time = np.log1p(time / alpha)
    inv_time = 1.0 / (alpha + time)
    _gamma_terms(r, alpha, a, b, extra, x, x_count, out)
    _survival_terms(r, alpha, time, log_time, inv_time, T_count, T_purchases, out)
    stay = b + (x + (extra - 1.0))  # in this order: b may be tiny
    log_odds = math.log(a) - np.log(stay)
    if not gradient:
        out[0] += _softplus_sum(r, x, log_odds, log_time, x_index, tx_index, T_index, count)
        return out
    value, by_r, by_alpha, by_log_a, by_b = _softplus_terms(
        r, x, log_odds, 1.0 / stay, log_time, inv_time, x_index, tx_index, T_index, count
    )
    out[0] += value
    out[1] += by_r
    out[2] += by_alpha
    out[3] += by_log_a / a
    out[4] += by_b
    return out


@compiled
def spend_kernel(  # type: ignore[no-untyped-def]
    p, q, v, x, x_count, total, total_count, total_purchases, constants
):
    """Gamma-Gamma log-likelihood of a base and its gradient by p, q, v.

    Fader & Hardie, "The Gamma-Gamma model of monetary value" (note 25), eq. 1a.

    Returns
    -------
    ndarray, shape (4,)
        Value, then the three derivatives; value -inf outside the parameters' domain.
    """
    out = np.zeros(4)
    if not (p > 0.0 and q > 0.0 and v > 0.0):
        out[0] = -np.inf
        return out
    n = 0.0
    for i in range(x.size):
        w, px = x_count[i], p * x[i]
        n += w
        psi = digamma(px + q)
        out[0] += w * (math.lgamma(px + q) - math.lgamma(px))
        out[1] += w * x[i] * (psi - digamma(px))
        out[2] += w * psi
    for i in range(total.size):
        level = math.log(total[i] + v)
        weight = p * total_purchases[i] + q * total_count[i]
        out[0] -= weight * level
        out[1] -= total_purchases[i] * level
        out[2] -= total_count[i] * level
        out[3] -= weight / (total[i] + v)
    out[0] += n * (q * math.log(v) - math.lgamma(q)) + p * constants[0] - constants[1]
    out[1] += constants[0]
    out[2] += n * (math.log(v) - digamma(q))
    out[3] += n * q / v
    return out


class _FusedLogLikelihood(Op):  # type: ignore[misc]
    """Value and gradient in one vector; the gradient of the value is the rest of it."""

    n_parameters: int

    def make_node(self, *inputs: Any) -> Apply:
        """Take scalar parameters, then the arrays of the base."""
        variables = [pt.as_tensor_variable(one) for one in inputs]
        for number in range(self.n_parameters):
            variables[number] = variables[number].astype("float64")
        return Apply(self, variables, [pt.vector(shape=(self.n_parameters + 1,), dtype="float64")])

    def perform(
        self, node: Apply, inputs: Sequence[Any], output_storage: Sequence[list[Any]]
    ) -> None:
        """Evaluate outside compiled graphs, for PyMC's own samplers and find_MAP."""
        parameters = [float(one) for one in inputs[: self.n_parameters]]
        output_storage[0][0] = self.evaluate(*parameters, *inputs[self.n_parameters :])

    def evaluate(self, *arguments: Any) -> FloatArray:
        """Run the kernel."""
        raise NotImplementedError

    def value_only(self) -> _FusedLogLikelihood:
        """The same Op where only the value is wanted; its derivatives must not be used."""
        return self

    def pullback(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        cotangents: Sequence[Variable],
    ) -> list[Variable]:
        """Gradient of the value; the derivatives themselves are not differentiated."""
        upstream = cotangents[0][0]
        by_parameter = [upstream * outputs[0][k + 1] for k in range(self.n_parameters)]
        rest = [
            pytensor.gradient.disconnected_type() for _ in range(len(inputs) - self.n_parameters)
        ]
        return by_parameter + rest

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the parameters are connected; the data are given."""
        return [[number < self.n_parameters] for number in range(len(node.inputs))]


class PurchaseLogLikelihood(_FusedLogLikelihood):
    """Fused BG/NBD (extra = 0) or MBG/NBD (extra = 1) log-likelihood of a base.

    Inputs are r, alpha, a, b and the arrays of :class:`PurchaseStatistics`; the output
    is a vector of the value and its four derivatives.
    """

    __props__ = ("extra", "gradient")
    n_parameters = 4

    def __init__(self, extra: float, *, gradient: bool = True) -> None:
        self.extra = float(extra)
        self.gradient = gradient

    def value_only(self) -> PurchaseLogLikelihood:
        """The same Op without its derivatives."""
        return PurchaseLogLikelihood(self.extra, gradient=False)

    def evaluate(self, *arguments: Any) -> FloatArray:
        """Run the kernel on r, alpha, a, b and the arrays."""
        kernel: Any = purchase_kernel
        result: FloatArray = kernel(*arguments[:4], self.extra, self.gradient, *arguments[4:])
        return result


class SpendLogLikelihood(_FusedLogLikelihood):
    """Fused Gamma-Gamma log-likelihood of a base.

    Inputs are p, q, v and the arrays of :class:`SpendStatistics`; the output is a
    vector of the value and its three derivatives.
    """

    __props__ = ()
    n_parameters = 3

    def evaluate(self, *arguments: Any) -> FloatArray:
        """Run the kernel on p, q, v and the arrays."""
        result: FloatArray = spend_kernel(*arguments)
        return result


# PyTensor keeps compiled functions on disk, with the kernels linked into them. The number
# returned with each function tells it when a kernel has changed: a digest of their source.
_KERNELS = zlib.crc32(b"".join(Path(f).read_bytes() for f in (__file__, special.__file__)))


@register_funcify_default_op_cache_key(PurchaseLogLikelihood)  # type: ignore[untyped-decorator]
def _numba_purchase(op: PurchaseLogLikelihood, **kwargs: Any) -> Any:
    extra, gradient = op.extra, op.gradient

    @numba.njit
    def purchase(r, alpha, a, b, x, xc, time, Tc, Tp, xi, ti, Ti, w):  # type: ignore[no-untyped-def]
        return purchase_kernel(
            r.item(), alpha.item(), a.item(), b.item(), extra, gradient,
            x, xc, time, Tc, Tp, xi, ti, Ti, w,
        )  # fmt: skip

    return purchase, _KERNELS


@register_funcify_default_op_cache_key(SpendLogLikelihood)  # type: ignore[untyped-decorator]
def _numba_spend(op: SpendLogLikelihood, **kwargs: Any) -> Any:
    @numba.njit
    def spend(p, q, v, x, xc, total, tc, tp, constants):  # type: ignore[no-untyped-def]
        return spend_kernel(p.item(), q.item(), v.item(), x, xc, total, tc, tp, constants)

    return spend, _KERNELS
