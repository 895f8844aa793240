"""Draw the README's picture: CDNOW observed for 39 weeks, and the 39 weeks that followed.

Usage: python scripts/picture.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

import clvmodels as clv
from clvmodels import plots

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

SEEN, END = (pd.Timestamp(day) for day in ("1997-09-30", "1998-06-30"))
NAMES = {
    "customer_id_col": "customer_id",
    "datetime_col": "date",
    "monetary_value_col": "amount",
}
BLUE, RED, GREY = plots.EXPECTED, plots.ACTUAL, plots.OTHER
# Evenly spread over the repeat customers of the sample, by what the model says of them.
SHARES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995)


def main(path: Path) -> None:
    """Fit, predict, draw."""
    log = clv.datasets.load_cdnow()
    rfm = clv.rfm_summary(log, **NAMES, observation_period_end=SEEN)
    posterior = clv.CLVModel().fit(rfm, random_seed=1, progressbar=False)
    future = {"horizon": f"{(END - SEEN).days}D", "discount_rate": 0.0}
    values = posterior.predict(rfm, **future, predictive=True)
    later = log[log["date"] > SEEN]
    spent = later.groupby("customer_id")["amount"].sum()
    values["spent"] = values["customer_id"].map(spent).fillna(0.0)
    repeat = values[values["frequency"] > 0].sort_values("clv", ignore_index=True)
    chosen = repeat.iloc[[round(share * (len(repeat) - 1)) for share in SHARES]]
    total = clv.customer_equity(posterior, rfm, **future)
    formula = clv.simple_clv(log, **NAMES, observation_period_end=SEEN, **future)
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(11.5, 3.5), layout="constrained", width_ratios=(1.25, 1.1, 0.9)
    )
    plots.plot_timelines(rfm, log=log, customers=chosen["customer_id"].tolist(), ax=left)
    left.set_title("A log of purchases", loc="left", fontweight="bold", pad=24)
    left.set(xlabel="", ylabel="eight customers", yticks=[])
    outcomes(middle, chosen)
    middle.set_ylim(left.get_ylim())
    totals(right, total, formula.total, values["spent"].sum())
    figure.get_layout_engine().set(wspace=0.04)
    figure.savefig(path, dpi=130)


def outcomes(axes: Axes, chosen: pd.DataFrame) -> None:
    """Expected value, interval of the outcome, and what happened."""
    rows = np.arange(len(chosen))
    axes.hlines(
        rows, chosen["value_lower"], chosen["value_upper"], color=BLUE, lw=6, alpha=0.25,
        label="90 % of outcomes",
    )  # fmt: skip
    axes.scatter(chosen["clv"], rows, color=BLUE, s=26, zorder=3, label="expected")
    axes.scatter(chosen["spent"], rows, color=RED, marker="x", s=26, zorder=4, label="spent")
    axes.set_title("What each will spend in 39 weeks, $", loc="left", fontweight="bold", pad=24)
    axes.set_xscale("symlog", linthresh=20, linscale=0.6)
    ticks = (0, 20, 100, 500, 2000)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.set(xlim=(-1.5, 4000), ylim=(-0.6, len(chosen)), yticks=[])
    axes.legend(loc="lower right", frameon=False, fontsize=8)


def totals(axes: Axes, model: clv.posterior.TotalValue, formula: float, spent: float) -> None:
    """All customers together: the formula, the model, and the truth."""
    bars = {"simple formula": formula, "model": model.mean, "really spent": spent}
    axes.barh(list(bars), [value / 1e3 for value in bars.values()], color=(GREY, BLUE, RED))
    reach = [[(model.mean - model.lower) / 1e3], [(model.upper - model.mean) / 1e3]]
    axes.errorbar(model.mean / 1e3, 1, xerr=reach, color="black", capsize=3)
    for row, value in enumerate(bars.values()):
        axes.text(20, row, f"{value / 1e3:,.0f}", va="center", color="white", fontweight="bold")
    axes.set_title("All 23,570, thousand $", loc="left", fontweight="bold", pad=24)
    axes.set_ylim(-0.6, 2.6)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/_static/picture.png"))
