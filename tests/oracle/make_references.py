"""Write tests/data/formula_references.json: high-precision values over the domain.

Run it as ``python tests/oracle/make_references.py``; it takes about ten minutes. The
values are computed in mpmath by other formulas than the package's:

- undiscounted purchases by the closed form with 2F1, the number of digits raised until
  two of them agree (its terms cancel in dozens of digits where the horizon is short),
  every fifth point checked against the quadrature below;
- discounted ones as the expectation over p of an expression in exponential integrals,
  by Gauss-Legendre quadrature in logit(p), checked against a finer rule;
- month by month by differences of the closed form.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

TARGET = Path(__file__).parents[1] / "data" / "formula_references.json"
CORNERS = (1e-3, 1.0, 1e4)
DIGITS = 18


def closed_form(R: float, A: float, a: float, B: float, horizon: float) -> mp.mpf:
    """Purchases if alive, Fader, Hardie & Lee (2005) eq. 10, to at least 20 digits.

    mpmath's 2F1 can be wrong by orders of magnitude in the same way at two precisions, so
    the value must also lie below that of a customer who never drops out, and below what is
    expected of a lifetime.
    """
    R_, A_, B_, h = (mp.mpf(v) for v in (R, A, B, horizon))
    previous, digits = None, 100
    while digits < 5000:
        with mp.workdps(digits):
            shifted = mp.mpf(a) + (mp.mpf(10) ** -(digits // 3) if a == 1 else 0)
            try:
                hyper = mp.hyp2f1(R_, B_, shifted + B_ - 1, h / (A_ + h), maxterms=10**7)
            except (ValueError, mp.mp.NoConvergence):
                previous, digits = None, 2 * digits
                continue
            life = (shifted + B_ - 1) / (shifted - 1)
            value = life * (1 - (A_ / (A_ + h)) ** R_ * hyper)
            most = min(R_ * h / A_, life) if a > 1 else R_ * h / A_
        agree = previous is not None and abs(value / previous - 1) < mp.mpf(10) ** -20
        if agree and 0 < value <= most * (1 + mp.mpf(10) ** -20):
            return value
        previous, digits = value, 2 * digits
    raise ArithmeticError(f"no agreement at {(R, A, a, B, horizon)}")


def scaled_exponential_integral(n: float, z: mp.mpf) -> mp.mpf:
    """e^z E_n(z), by mpmath, or where n is large by the continued fraction DLMF 8.19.17."""
    if n < 50 and z < 5:
        return mp.exp(z) * mp.expint(n, z)
    previous, terms = None, 25
    while terms < 10**5:
        tail = mp.mpf(0)
        for k in range(terms, 0, -1):
            tail = k * (n + k - 1) / (z + n + 2 * k - tail)
        value = 1 / (z + n - tail)
        if previous is not None and abs(value / previous - 1) < mp.mpf(10) ** -34:
            return value
        previous, terms = value, 2 * terms
    raise ArithmeticError(f"E_{n}({z}) has not converged")


def given_p(R: float, A: float, p: mp.mpf, horizon: float, delta: float) -> mp.mpf:
    """Discounted purchases of a living customer whose dropout probability is p."""
    if delta == 0:
        return -mp.expm1(-mp.mpf(R) * mp.log1p(p * mp.mpf(horizon) / A)) / p
    n, z = mp.mpf(R) + 1, mp.mpf(delta) * A / p
    value = scaled_exponential_integral(n, z)
    if math.isfinite(horizon):
        h = mp.mpf(horizon)
        later = scaled_exponential_integral(n, z + delta * h)
        value -= mp.exp(-delta * h) * (1 + p * h / A) ** -mp.mpf(R) * later
    return R / p * value


def legendre(n: int) -> list[tuple[mp.mpf, mp.mpf]]:
    """Nodes and weights on [-1, 1] to full precision, by Newton from double precision."""
    rule = []
    for start in np.polynomial.legendre.leggauss(n)[0]:
        t = mp.mpf(float(start))
        for _ in range(6):
            values = [mp.mpf(1), t]
            for k in range(1, n):
                values.append(((2 * k + 1) * t * values[-1] - k * values[-2]) / (k + 1))
            slope = n * (values[-2] - t * values[-1]) / (1 - t * t)
            t -= values[-1] / slope
        rule.append((t, 2 / ((1 - t * t) * slope**2)))
    return rule


def discounted(
    R: float, A: float, a: float, B: float, horizon: float, delta: float, nodes: int
) -> mp.mpf:
    """Expectation of given_p over p ~ Beta(a, B), by Gauss-Legendre in logit(p)."""
    lo, hi = mp.mpf(a), mp.mpf(B)
    norm = mp.beta(lo, hi)
    mode, sd = math.log(a / B), math.sqrt(1 / a + 1 / B)
    wait = (min(horizon, 1 / delta) if delta > 0 else horizon) * 100 * (R + 1) / A
    left = max(min(-60 - math.log(max(wait, 1.0)), mode - 1), mode - 60 * max(sd, 1 / a))
    right = min(max(60.0, mode + 1), mode + 60 * max(sd, 1 / B))
    piece = min(3.0, 3.0 * sd)
    ends = [mp.mpf(left) + k * piece for k in range(math.ceil((right - left) / piece) + 1)]
    total = mp.mpf(0)
    for start in ends[:-1]:
        if peak_share(start, start + piece, a, B, mode) < -90:
            continue
        for t, w in RULES[nodes]:
            p, q = (1 / (1 + mp.exp(sign * (start + piece * (1 + t) / 2))) for sign in (-1, 1))
            density = mp.exp(lo * mp.log(p) + hi * mp.log(q)) / norm
            total += piece / 2 * w * density * given_p(R, A, p, horizon, delta)
    # beyond the ends the value is constant and the density a power, or all is negligible
    p, q = 1 / (1 + mp.exp(-ends[0])), 1 / (1 + mp.exp(ends[-1]))
    if p * (a + B) < 1e-20:
        total += p**lo / (lo * norm) * given_p(R, A, p, horizon, delta)
    if q * (a + B) < 1e-20:
        total += q**hi / (hi * norm) * given_p(R, A, 1 - q, horizon, delta)
    return total


def peak_share(lo: mp.mpf, hi: mp.mpf, a: float, B: float, mode: float) -> float:
    """Logarithm of the largest density of logit(p) between lo and hi, over its peak's.

    What lies left of the mode counts 1/p times, as the value may grow so fast.
    """

    def height(t: float) -> float:
        return -a * float(mp.log1p(mp.exp(-t))) - B * float(mp.log1p(mp.exp(t)))

    t = min(max(mode, float(lo)), float(hi))
    return height(t) - height(mode) + max(mode - t, 0.0)


def monthly(
    R: float, A: float, a: float, B: float, horizon: float, delta: float, month: float
) -> mp.mpf:
    """Sum of e^(-delta k month) over months of the purchases expected in each."""
    end = min(horizon, (60 / (delta * month) + 1) * month)
    total, before, k = mp.mpf(0), mp.mpf(0), 0
    while k * month < end:
        k += 1
        now = closed_form(R, A, a, B, min(k * month, end))
        total += mp.exp(-mp.mpf(delta) * k * month) * (now - before)
        before = now
    return total


def samples(n: int, seed: int) -> list[dict[str, float]]:
    """Points of the domain, log-uniform, every fourth at corners of it."""
    rng = np.random.default_rng(seed)

    def log_uniform(lo: float, hi: float) -> float:
        return float(math.exp(rng.uniform(math.log(lo), math.log(hi))))

    points = []
    for i in range(n):
        if i % 4 == 0:
            parameters = [float(rng.choice(CORNERS)) for _ in range(4)]
            x, T = float(rng.choice([0, 1, 5000])), float(rng.choice([0.0, 1.0, 1e4]))
            horizon = float(rng.choice([1e-3, 365.0, 1e4]))
        else:
            parameters = [log_uniform(1e-3, 1e4) for _ in range(4)]
            x = float(math.floor(log_uniform(1, 5001))) - float(rng.random() < 0.3)
            T = log_uniform(1e-2, 1e4)
            horizon = log_uniform(1e-3, 1e4)
        if i % 10 == 9:
            parameters[2] = float(rng.choice([1.0, 1.0 - 1e-9, 1.0 + 1e-6, 0.999, 1.001]))
        delta = log_uniform(1e-7, 1e-1)
        names = ("r", "alpha", "a", "b")
        points.append(
            dict(zip(names, parameters, strict=True))
            | {"x": max(x, 0.0), "T": T, "horizon": horizon, "delta": delta}
        )
    return points


def living(point: dict[str, float]) -> tuple[float, float, float, float]:
    """R, A, a, B of a BG/NBD customer, in double precision as the package computes them."""
    return (
        point["r"] + point["x"],
        point["alpha"] + point["T"],
        point["a"],
        point["b"] + point["x"],
    )


def text(value: mp.mpf) -> str:
    """Decimal digits of a value."""
    return str(mp.nstr(value, DIGITS))


def discounted_references() -> list[dict[str, Any]]:
    """Continuous discounting, every third over an infinite horizon."""
    points = samples(120, seed=20)
    for i, point in enumerate(points):
        if i % 3 == 0:
            point["horizon"] = math.inf
        arguments = (*living(point), point["horizon"], point["delta"])
        value, finer = discounted(*arguments, 16), discounted(*arguments, 24)
        if abs(value / finer - 1) > 1e-12:
            raise ArithmeticError(f"quadrature has not converged at {point}")
        point["value"] = text(finer)
    return points


def monthly_references() -> list[dict[str, Any]]:
    """Monthly discounting: up to 12 months, or endless at a high rate."""
    points = samples(40, seed=30)
    for i, point in enumerate(points):
        if i % 5 == 0:
            point |= {"horizon": math.inf, "month": 30.4375, "delta": 0.02 + 0.01 * (i % 7)}
        else:
            point["month"] = point["horizon"] / (0.3 + i % 13)
            point["delta"] *= 1e-2
        point["value"] = text(
            monthly(*living(point), point["horizon"], point["delta"], point["month"])
        )
    return points


def undiscounted_references() -> list[dict[str, Any]]:
    """Purchases if alive over finite horizons."""
    points = samples(300, seed=10)
    for i, point in enumerate(points):
        value = closed_form(*living(point), point["horizon"])
        if i % 5 == 0:
            other = discounted(*living(point), point["horizon"], 0.0, 24)
            if abs(value / other - 1) > 1e-12:
                raise ArithmeticError(f"two formulas disagree at {point}")
        point["value"] = text(value)
    return points


if __name__ == "__main__":
    mp.mp.dps = 40
    RULES = {n: legendre(n) for n in (16, 24)}
    made = {
        "about": "Values of make_references.py: BG/NBD customers alive at T.",
        "undiscounted": undiscounted_references(),
        "monthly": monthly_references(),
        "discounted": discounted_references(),
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
