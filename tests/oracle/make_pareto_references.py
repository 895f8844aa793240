"""Write tests/data/pareto_references.json: high-precision values of Pareto/NBD.

Run it as ``python tests/oracle/make_pareto_references.py``; it takes some minutes. The
values are computed in mpmath by other formulas than the package's:

- histories by the published closed form (Fader & Hardie 2005, eq. 15 to 18), a difference of
  two 2F1, the number of digits raised until two results agree, and its derivatives by
  central differences at 1e-30;
- discounted purchases by generalised exponential integrals, month by month by differences of
  the undiscounted closed form;
- counts by quadrature over the time of death, panel by panel in ln(time).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
from make_references import scaled_exponential_integral

TARGET = Path(__file__).parents[1] / "data" / "pareto_references.json"
DIGITS = 18
STEP = mp.mpf(10) ** -30
NAMES = ("r", "alpha", "s", "beta")


def settled(compute: Callable[[], mp.mpf]) -> mp.mpf:
    """Result on which two precisions agree to 20 digits (of 1 at least)."""
    previous, digits = None, 80
    while digits < 3000:
        with mp.workdps(digits):
            try:
                value = compute()
            except (ValueError, ZeroDivisionError, mp.mp.NoConvergence):
                value = None
            if value is not None and not mp.isfinite(value):
                value = None
            known = value is not None and previous is not None
            if known and abs(value - previous) <= mp.mpf(10) ** -20 * max(abs(value), 1):
                return value
        previous, digits = value, 2 * digits
    raise ArithmeticError("no agreement")


def odds_dead(r: Any, alpha: Any, s: Any, beta: Any, x: int, t_x: Any, T: Any) -> mp.mpf:
    """Odds of having died by T: s A0 (alpha+T)^(r+x) (beta+T)^s, of that paper."""
    R = r + x
    total, near = R + s, (s + 1 if alpha >= beta else R)
    top, apart = (alpha, alpha - beta) if alpha >= beta else (beta, beta - alpha)

    def term(t: Any) -> mp.mpf:
        hyper = mp.hyp2f1(total, near, total + 1, apart / (top + t), maxterms=10**6)
        return hyper * ((alpha + T) / (top + t)) ** R * ((beta + T) / (top + t)) ** s

    if t_x == T:
        return mp.mpf(0)
    value = s / total * (term(t_x) - term(T))
    if not isinstance(value, mp.mpf) or value <= 0:
        raise ValueError("digits lost")
    return value


def log_likelihood(r: Any, alpha: Any, s: Any, beta: Any, x: int, t_x: Any, T: Any) -> mp.mpf:
    rate = mp.loggamma(r + x) - mp.loggamma(r) - r * mp.log1p(T / alpha) - x * mp.log(alpha + T)
    lives = rate - s * mp.log1p(T / beta)
    return lives + mp.log1p(odds_dead(r, alpha, s, beta, x, t_x, T))


def history(point: dict[str, float]) -> dict[str, str]:
    theta = [mp.mpf(point[name]) for name in NAMES]
    seen = (int(point["x"]), mp.mpf(point["t_x"]), mp.mpf(point["T"]))
    found = {
        "log_likelihood": settled(lambda: log_likelihood(*theta, *seen)),
        "odds": settled(lambda: odds_dead(*theta, *seen)),
    }
    found["p_alive"] = 1 / (1 + found.pop("odds"))
    for i, name in enumerate(NAMES):

        def slope(i: int = i) -> mp.mpf:
            ends = []
            for sign in (1, -1):
                moved = list(theta)
                moved[i] *= 1 + sign * STEP
                ends.append(log_likelihood(*moved, *seen))
            return (ends[0] - ends[1]) / (2 * STEP)

        found[f"by_log_{name}"] = settled(slope)
    return {name: mp.nstr(value, DIGITS) for name, value in found.items()}


def active_time(s: mp.mpf, B: mp.mpf, horizon: Any) -> mp.mpf:
    if horizon == mp.inf:
        return B / (s - 1)
    u = mp.log1p(horizon / B)
    return B * u if s == 1 else B * mp.expm1((1 - s) * u) / (1 - s)


def discounted_time(s: mp.mpf, B: mp.mpf, horizon: Any, delta: mp.mpf) -> mp.mpf:
    """B [e^z E_s(z) - e^(-delta h) (1 + h/B)^(1-s) e^z' E_s(z')], z' = z (1 + h/B)."""
    z = delta * B
    value = scaled_exponential_integral(s, z)
    if horizon != mp.inf:
        grown = 1 + horizon / B
        later = scaled_exponential_integral(s, z * grown)
        value -= mp.exp(-delta * horizon) * grown ** (1 - s) * later
    return B * value


def monthly_time(s: mp.mpf, B: mp.mpf, horizon: Any, delta: mp.mpf, month: float) -> mp.mpf:
    total, before, k = mp.mpf(0), mp.mpf(0), 0
    while k * month < horizon and delta * k * month < 60:
        k += 1
        now = active_time(s, B, min(mp.mpf(k) * month, horizon))
        total += mp.exp(-delta * k * month) * (now - before)
        before = now
    return total


def future(point: dict[str, float]) -> dict[str, str]:
    s, B, h, delta = (mp.mpf(point[name]) for name in ("s", "B", "horizon", "delta"))
    found = {
        "discounted": discounted_time(s, B, h, delta),
        "monthly": monthly_time(s, B, h, mp.mpf(0.01), 30.4375),
    }
    if h != mp.inf or s > 1:
        found["undiscounted"] = active_time(s, B, h)
    return {name: mp.nstr(value, DIGITS) for name, value in found.items()}


def bells(log_f: Callable[[mp.mpf], mp.mpf], end: mp.mpf, width: mp.mpf) -> mp.mpf:
    """Integral up to ``end`` of a function of one peak, from there to both sides."""
    low, high = end - 4000, end
    while high - low > width / 8:
        one, two = low + (high - low) / 3, high - (high - low) / 3
        low, high = (one, high) if log_f(one) < log_f(two) else (low, two)
    peak = (low + high) / 2
    top, total = log_f(peak), mp.mpf(0)
    for side in (-1, 1):
        y = peak
        while (side < 0 or y < end) and log_f(y) > top - 50:
            beyond = y - width if side < 0 else min(y + width, end)
            ends = sorted((y, beyond))
            total += mp.quad(lambda v: mp.exp(log_f(v) - top), ends, method="gauss-legendre")
            y = beyond
    return total * mp.exp(top)


def counts(point: dict[str, float]) -> dict[str, str]:
    R, A, s, B, t = (mp.mpf(point[name]) for name in ("r", "alpha", "s", "beta", "t"))
    n = int(point["n"])

    def log_binomial(u: Any) -> mp.mpf:
        size = mp.loggamma(R + n) - mp.loggamma(R) - mp.loggamma(n + 1)
        return size + (n * mp.log(u / A) if n else 0) - (R + n) * mp.log1p(u / A)

    def log_survival(u: Any) -> mp.mpf:
        return -s * mp.log1p(u / B)

    def dies(y: mp.mpf) -> mp.mpf:
        u = mp.exp(y)
        return log_binomial(u) + log_survival(u) + mp.log(s * u / (B + u))

    def nth(y: mp.mpf) -> mp.mpf:
        u = mp.exp(y)
        return log_binomial(u) + log_survival(u) + mp.log(n)

    with mp.workdps(35):
        width = min(mp.mpf(1), 3 / mp.sqrt(min(R + n, n + 1) + s + 1), mp.mpf(10) / (n + 1))
        pmf = mp.exp(log_binomial(t) + log_survival(t)) + bells(dies, mp.log(t), width)
        at_least = bells(nth, mp.log(t), width) if n else mp.mpf(1)
        return {"pmf": mp.nstr(pmf, DIGITS), "at_least": mp.nstr(at_least, DIGITS)}


def log_uniform(rng: np.random.Generator, lo: float, hi: float) -> float:
    return float(np.exp(rng.uniform(math.log(lo), math.log(hi))))


def drawn(rng: np.random.Generator, wide: bool) -> dict[str, float]:
    """Parameters over the domain, or where real bases lie."""
    lo, hi = (1e-3, 1e4) if wide else (0.1, 10.0)
    scale = 1.0 if wide else 30.0
    found = {name: log_uniform(rng, lo, hi) for name in NAMES}
    found["alpha"], found["beta"] = found["alpha"] * scale, found["beta"] * scale
    if rng.random() < 0.2:
        found["beta"] = found["alpha"]
    return found


def histories(rng: np.random.Generator, n: int) -> list[dict[str, float]]:
    points = []
    for k in range(n):
        wide = k % 2 == 0
        point = drawn(rng, wide)
        x = math.floor(log_uniform(rng, 1, 5001 if wide else 60)) - (rng.random() < 0.3)
        T = log_uniform(rng, 1e-2, 1e4) if wide else float(rng.integers(1, 800))
        share = float(rng.choice([0.0, 0.3, 0.99, 1.0])) if wide else rng.random()
        point |= {"x": float(x), "t_x": T * share if x > 0 else 0.0, "T": T}
        points.append(point)
    return points


def futures(rng: np.random.Generator, n: int) -> list[dict[str, float]]:
    points = []
    for _ in range(n):
        horizon = math.inf if rng.random() < 0.3 else log_uniform(rng, 1e-2, 1e4)
        s = 1.0 if rng.random() < 0.1 else log_uniform(rng, 1e-3, 1e4)
        B, delta = log_uniform(rng, 1e-3, 2e4), log_uniform(rng, 1e-6, 1.0)
        points.append({"s": s, "B": B, "horizon": horizon, "delta": delta})
    return points


def numbers(rng: np.random.Generator, n: int) -> list[dict[str, float]]:
    points = []
    while len(points) < n:
        point = drawn(rng, wide=len(points) % 2 == 0)
        t = log_uniform(rng, 1e-1, 1e4)
        mean = point["r"] * t / point["alpha"]
        count = math.floor(mean * rng.uniform(0.0, 3.0) + rng.integers(0, 4))
        if count <= 5000:
            points.append(point | {"t": t, "n": float(count)})
    return points


def main() -> None:
    rng = np.random.default_rng(1987)
    work: dict[str, tuple[list[dict[str, float]], Callable[[dict[str, float]], dict[str, str]]]] = {
        "histories": (histories(rng, 160), history),
        "futures": (futures(rng, 160), future),
        "counts": (numbers(rng, 100), counts),
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for kind, (points, compute) in work.items():
        found[kind] = []
        for point in points:
            try:
                found[kind].append(point | compute(point))
            except ArithmeticError as error:  # mpmath itself gives up; nothing is compared there
                print(kind, point, error)
        print(kind, len(found[kind]), "of", len(points))
    text = json.dumps(found, indent=1).replace("Infinity", '"inf"')
    TARGET.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
