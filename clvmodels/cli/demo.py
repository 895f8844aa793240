"""``clvmodels demo``: the whole way on CDNOW, and what became of the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from clvmodels import plots
from clvmodels.cli.files import check_folder, check_output, write_aside, write_frame
from clvmodels.cli.fit import fit_base
from clvmodels.cli.reports import (
    interval_name,
    show_audit,
    show_in_words,
    show_posterior,
    show_top,
)
from clvmodels.cli.terminal import Terminal, between, number, percent, table
from clvmodels.display import many
from clvmodels.limits import CALENDAR_SD
from clvmodels.schema import annual_rate_to_delta

if TYPE_CHECKING:
    import pandas as pd

    from clvmodels.economics import SimpleClv
    from clvmodels.posterior import CLVPosterior, TotalValue
    from clvmodels.rfm import RfmSplit
    from clvmodels.schema import FloatArray

TODAY: Final = "1997-09-30"
LAST: Final = "1998-06-30"
RATE: Final = 0.10
INTERVAL: Final = 0.9
HORIZON: Final = "39W"
FUTURE: Final[dict[str, Any]] = {"horizon": HORIZON, "discount_rate": RATE, "interval": INTERVAL}
SEED: Final = 1997
FILES: Final = {
    "rfm.parquet": "one row per customer",
    "posterior.nc": "the fitted models",
    "scores.parquet": "predictions per customer",
    "scores.csv": "the same for spreadsheets",
    "picture.png": "prediction and reality at a glance",
    "report.html": "what the numbers can be used for: open it in a browser",
}
OWN_LOG: Final = (
    "clvmodels summarize orders.csv -o rfm.parquet \\",
    "    --customer-id CUSTOMER --timestamp DATE --amount AMOUNT",
    "clvmodels fit rfm.parquet -o posterior.nc",
    "clvmodels score rfm.parquet --posterior posterior.nc -o scores.csv",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was predicted for the customers, and what they then did.

    Attributes
    ----------
    scores : DataFrame
        Predictions, one row per customer.
    total : TotalValue
        Of the base.
    ends : tuple of float
        Where what is really spent may lie, allowing for chance and the calendar.
    simple : SimpleClv
        The simple formula on the same customers, horizon and discounting.
    bought : ndarray of int
        Purchases in the horizon, by row of ``scores``.
    spent : Series
        Discounted spend in the horizon, by customer_id.
    """

    scores: pd.DataFrame
    total: TotalValue
    ends: tuple[float, float]
    simple: SimpleClv
    bought: np.ndarray
    spent: pd.Series[float]


def run(out: Path, *, quiet: bool) -> None:
    """Run the main job on CDNOW, print it and write its files to a folder."""
    out = check_folder(out)
    rfm_file, posterior_file, scores_file, csv_file, picture, page = (
        check_output(out / name) for name in FILES
    )
    terminal = Terminal(quiet=quiet)
    _introduce(terminal)
    log, split = _observe(terminal)
    write_aside(rfm_file, split.train.to_parquet)
    posterior = _fit(terminal, split)
    posterior.save(posterior_file)
    outcome = _predict(terminal, posterior, log, split)
    with terminal.step("Writing files and a picture"):
        write_frame(outcome.scores, scores_file)
        write_frame(outcome.scores, csv_file)
        write_aside(picture, lambda aside: draw(outcome, aside))
    with terminal.step("The report"):
        _report(posterior, log, split, page)
    if not quiet:
        _tell_outcome(terminal, outcome)
        _tell_one_time(terminal, outcome)
        _tell_customers(terminal, outcome, split)
        _tell_files(terminal, out)


def _introduce(terminal: Terminal) -> None:
    terminal.heading("What are the customers of a shop worth?")
    terminal.say(
        "CDNOW sold music on the internet. The log has every purchase, in US dollars, of all "
        "customers who first bought between January and March 1997. Let today be "
        f"{TODAY}: we look at the purchases up to then, predict the {HORIZON[:-1]} weeks that "
        "follow, and compare with what really happened."
    )


def _observe(terminal: Terminal) -> tuple[pd.DataFrame, RfmSplit]:
    with terminal.step("Reading the log"):
        from clvmodels.datasets import load_cdnow
        from clvmodels.rfm import rfm_train_test_split

        log = load_cdnow()
        split = rfm_train_test_split(
            log,
            customer_id_col="customer_id",
            datetime_col="date",
            monetary_value_col="amount",
            train_period_end=TODAY,
            test_period_end=LAST,
        )
    if not terminal.quiet and split.train.audit is not None:
        terminal.heading("1. From the log to one row per customer")
        show_audit(terminal, split.train.audit, split.train.time_unit)
    return log, split


def _fit(terminal: Terminal, split: RfmSplit) -> CLVPosterior:
    posterior = fit_base(
        terminal, split.train, model="bgnbd", priors="default", method="auto", random_seed=SEED
    )
    from clvmodels.posterior import CLVPosterior

    assert isinstance(posterior, CLVPosterior)  # the log has amounts
    terminal.heading("2. Learn how customers buy")
    terminal.say(
        "Every customer has their own rate of buying, probability of leaving and level of spend. "
        "The models learn how these differ between customers. Parameters come with intervals, and "
        "with a verdict: pass if every check named is within its limit. The checks ask whether "
        "the draws represent what the models have learnt (k-hat and importance ESS of an "
        "approximation, R-hat and ESS of Markov chains), not whether the models are right, which "
        "part 3 shows."
    )
    if not terminal.quiet:
        show_posterior(terminal, posterior)
        terminal.say()
        show_in_words(terminal, posterior, currency="$")
    return posterior


def _predict(
    terminal: Terminal, posterior: CLVPosterior, log: pd.DataFrame, split: RfmSplit
) -> Outcome:
    with terminal.step(f"Predicting {many(len(split.train), 'customer')}"):
        from clvmodels.economics import simple_clv
        from clvmodels.posterior import total_value
        from clvmodels.predictive import forecast_total

        really = forecast_total(posterior, split.train, random_seed=SEED, **FUTURE).table
        return Outcome(
            scores=posterior.predict(split.train, **FUTURE),
            total=total_value(posterior, split.train, **FUTURE),
            ends=tuple(really.set_index("total").loc["value", ["lower", "upper"]].astype(float)),
            simple=simple_clv(split.train, log=log, horizon=HORIZON, discount_rate=RATE),
            bought=split.test["test_frequency"].to_numpy(),
            spent=_discounted_spend(log, split.train.to_pandas()["customer_id"]),
        )


def _report(posterior: CLVPosterior, log: pd.DataFrame, split: RfmSplit, page: Path) -> None:
    """What was known on the day, and so no more of the log."""
    from clvmodels.reporting import report

    known = log[log["date"] <= TODAY]
    report(posterior, split.train, log=known, output=page, currency="$", draws=200, **FUTURE)


def _discounted_spend(log: pd.DataFrame, customers: pd.Series[Any]) -> pd.Series[float]:
    """What customers spent after today, discounted day by day as the predictions are."""
    import pandas as pd

    days = (log["date"] - pd.Timestamp(TODAY)).dt.days
    value = (log["amount"] * np.exp(-annual_rate_to_delta(RATE) * days))[days > 0]
    spent: pd.Series[float] = value.groupby(log["customer_id"]).sum()
    return spent.reindex(customers, fill_value=0.0)


def _tell_outcome(terminal: Terminal, outcome: Outcome) -> None:
    total, simple, spent = outcome.total, outcome.simple, float(outcome.spent.sum())
    terminal.heading(f"3. What all customers together are worth over the next {HORIZON[:-1]} weeks")
    rows = [
        ("model", number(total.mean), _off(total.mean, spent)),
        (f"  {interval_name(INTERVAL)}", between(total.lower, total.upper), ""),
        (f"  {percent(INTERVAL)} interval of what may be spent", between(*outcome.ends), ""),
        ("simple formula", number(simple.total), _off(simple.total, spent)),
        ("what they really spent", number(spent), ""),
    ]
    terminal.show(
        table((f"$, discounted at {percent(RATE)} a year", "", "against the truth"), rows)
    )
    terminal.say()
    terminal.say(
        "The first interval is of the expected value: how well this log pins down the averages, if "
        "the model holds. It is not a range for what will really be spent. That also depends on "
        "chance, and on what the model does not know, such as seasons: these weeks include "
        "Christmas, and the log up to today does not. The second interval allows for both, by the "
        f"assumption that all customers together may buy about {percent(CALENDAR_SD)} more or less "
        "than before: it is the one to plan with."
    )
    terminal.say()
    terminal.say(
        f"The simple formula: ${simple.order_value:,.2f} per purchase x "
        f"{simple.orders_per_year:.2f} purchases per customer and year x "
        f"{simple.retained_years:.3f} years (retention summed over the {HORIZON[:-1]} weeks, "
        f"discounted) x margin {simple.margin:g} = ${simple.value:,.2f} for each of "
        f"{simple.customers:,} customers. It uses a churn of {percent(simple.churn)} a year: "
        f"{many(simple.lost, 'customer', 'are')} taken for lost, silent for more than "
        f"{simple.silence:.4g} days, longer than 95 % of the gaps between purchases."
    )


def _tell_one_time(terminal: Terminal, outcome: Outcome) -> None:
    once = (outcome.scores["frequency"] == 0).to_numpy()
    chance = float(outcome.scores.loc[once, "p_purchase"].mean())
    came = float((outcome.bought[once] > 0).mean())
    terminal.heading("4. Who bought only once")
    terminal.say(
        f"{once.sum():,} of {len(once):,} customers ({percent(float(once.mean()))}). On average "
        f"they buy again in the {HORIZON[:-1]} weeks with a chance (p_purchase) of "
        f"{percent(chance)}; in reality {percent(came)} did. They make up "
        f"${outcome.scores.loc[once, 'clv'].sum():,.0f} of the value above. P(alive), the "
        "probability of still being a customer, says nothing about them: in this model customers "
        "can leave only right after a repeat purchase, so for them it stays 1 forever."
    )


def _tell_customers(terminal: Terminal, outcome: Outcome, split: RfmSplit) -> None:
    terminal.heading("5. The ten most valuable customers, in $")
    top = outcome.scores.nlargest(10, "clv")
    show_top(terminal, top, split.train, INTERVAL, really=outcome.spent)
    terminal.say()
    terminal.say(
        f"Chance to buy: probability of at least one purchase in the {HORIZON[:-1]} weeks. Buys "
        "ahead: purchases expected. Value: discounted spend expected. Interval: of that "
        "expectation; one customer's real spending varies far more, as the last column shows."
    )


def _tell_files(terminal: Terminal, out: Path) -> None:
    terminal.heading("Files")
    for name, meaning in FILES.items():
        terminal.wrote(out / name, meaning)
    terminal.say()
    terminal.say("The same with a log of your own (each command has --help):")
    terminal.say()
    for line in OWN_LOG:
        terminal.out.print(f"  {line}", soft_wrap=True)


def _off(value: float, truth: float) -> str:
    share = value / truth - 1
    return f"{percent(abs(share))} too {'high' if share > 0 else 'low'}"


MOST_REPEATS: Final = 7
BINS: Final = 10


def draw(outcome: Outcome, path: Path) -> None:
    """Draw totals, purchases by past purchases, chances, and concentration."""
    title = "CDNOW: 39 weeks predicted on 1997-09-30, and what happened"
    figure, axes = plots.new_figure(2, 2, title)
    total = outcome.total
    plots.plot_totals(
        {
            "model": total.mean,
            "simple formula": outcome.simple.total,
            "actually spent": float(outcome.spent.sum()),
        },
        colours=(plots.EXPECTED, plots.OTHER, plots.ACTUAL),
        interval=(total.lower, total.upper),
        unit="$",
        ax=axes[0],
    )
    axes[0].set_title("Value of all customers, with 90 % interval\nof the model's expected value")
    unit = "purchases per customer in 39 weeks"
    plots.plot_pairs(*by_repeats(outcome), unit=unit, ax=axes[1])
    axes[1].set_xlabel("repeat purchases so far")
    axes[1].set_title("Purchases to come, by purchases so far")
    plots.plot_calibration(*by_chance(outcome), ax=axes[2])
    axes[2].set_xlabel("predicted chance of buying again in 39 weeks")
    axes[2].set_ylabel("share who did")
    axes[2].set_title("Who buys again: ten groups of customers")
    plots.plot_lorenz(outcome.scores, first="most valuable", ax=axes[3])
    axes[3].set_ylabel("share of expected value")
    axes[3].set_title("Who holds the value")
    plots.save_figure(figure, path)


def by_repeats(outcome: Outcome) -> tuple[list[str], FloatArray, FloatArray]:
    """Mean purchases expected and made, by repeat purchases so far; many are one group."""
    group = np.minimum(outcome.scores["frequency"].to_numpy(), MOST_REPEATS)
    count = np.bincount(group)
    expected = np.bincount(group, outcome.scores["expected_purchases"].to_numpy()) / count
    made = np.bincount(group, outcome.bought) / count
    names = [*map(str, range(MOST_REPEATS)), f"{MOST_REPEATS}+"]
    return names, expected, made


def by_chance(outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """Mean chance and share who bought, in groups of equal size ordered by chance."""
    chance = outcome.scores["p_purchase"].to_numpy()
    groups = np.array_split(np.argsort(chance, kind="stable"), BINS)
    did = outcome.bought > 0
    predicted = np.array([chance[rows].mean() for rows in groups])
    return predicted, np.array([did[rows].mean() for rows in groups])
