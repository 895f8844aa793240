"""What every check found, as a sentence that can be read aloud: once, for page, terminal and files.

A check's name is its key, which files keep; here stands what is said in its place. A sentence has
its direction in it ("12 % fewer"), and no limit: that is the check's own to add.
"""

from __future__ import annotations

import math
import re
from typing import Final

TEST: Final = "In a test on the past"
_COUNTS: Final = "The model misplaces {figure} of the customers by their number of repeats"
_AMOUNTS: Final = "The model misplaces {figure} of the repeat customers by what they spend an order"
_BACK: Final = "known customers come back{of}"
_NO_ORDER: Final = "forecasts hardly told who would {do} more"
_DOING: Final = {
    "purchases": {"do": "buy", "did": "bought", "what": "the number of purchases"},
    "discounted value": {"do": "spend", "did": "spent", "what": "spending"},
}
_TARGET: Final = r"(?P<target>purchases|discounted value)"

# By name, which may have its model before it: what is said where the check passed, and else.
_SAID: Final[dict[str, tuple[str, str]]] = {
    # the data
    "repeat customers": (
        "{figure} of the customers came back, enough to learn from",
        "Only {figure} of the customers came back",
    ),
    "share of the log's rows that was left out": (
        "{figure} of the log's rows were left out",
        "{figure} of the log's rows were left out",
    ),
    "share of the log's amount that was left out": (
        "{figure} of the log's amount was left out",
        "{figure} of the log's amount was left out",
    ),
    "share of customers observed for no time": (
        "{figure} of the customers were observed for no time at all",
        "{figure} of the customers were observed for no time at all",
    ),
    "share of customers with levels of covariates that the fit did not know": (
        "The fit knows the levels of all customers but {figure}",
        "{figure} of the customers have levels of covariates that the fit did not know",
    ),
    "share of repeat customers with a mean spend of 0": (
        "{figure} of the repeat customers spend nothing",
        "{figure} of the repeat customers spend nothing",
    ),
    r"known customers who come back(?P<of>.*), at the date when the fewest do": (
        f"At no date do {_BACK} much less than in the weeks around it ({{figure}} at the least)",
        f"At one date {_BACK} much less than in the weeks around it (only {{figure}})",
    ),
    "purchase rate of the first month's customers, by that of the next three months'": (
        "Customers of the log's first month buy {figure} times as often as those of the next three",
        "Customers of the log's first month buy {figure} times as often as those of the next three",
    ),
    "the table is the one that was fitted": (
        "The table is the one that was fitted",
        "The table is not the one that was fitted",
    ),
    # the fit
    "largest R-hat": (
        "The chains agree (largest R-hat {figure})",
        "The chains disagree (largest R-hat {figure})",
    ),
    r"smallest (?P<kind>bulk|tail) ESS": (
        "There are enough draws for {means} (smallest {kind} ESS {figure})",
        "There are too few draws for {means} (smallest {kind} ESS {figure})",
    ),
    "share of divergent transitions": (
        "The sampler could follow the posterior everywhere",
        "The sampler could not follow the posterior in {figure} of its steps (divergent "
        "transitions)",
    ),
    "largest Monte Carlo error of a mean, in posterior sd": (
        "More draws would hardly change the means (Monte Carlo error {figure} sd at most)",
        "The means are imprecise for lack of draws (Monte Carlo error {figure} sd)",
    ),
    "smallest energy BFMI of a chain": (
        "The sampler reaches the posterior's tails (smallest BFMI {figure})",
        "The sampler hardly reaches the posterior's tails (smallest BFMI {figure})",
    ),
    "share of transitions at the greatest tree depth": (
        "The sampler was cut short in {figure} of its steps",
        "The sampler was cut short in {figure} of its steps",
    ),
    "Pareto k-hat": (
        "The Gaussian approximation, weighted, covers the posterior (Pareto k-hat {figure})",
        "The Gaussian approximation misses the posterior (Pareto k-hat {figure})",
    ),
    "importance ESS": (
        "Enough draws carry weight (importance ESS {figure})",
        "Too few draws carry weight (importance ESS {figure})",
    ),
    "distance from the mode, in posterior sd": (
        "The optimiser reached the mode (distance from the mode {figure} posterior sd)",
        "The optimiser missed the mode (distance from the mode {figure} posterior sd)",
    ),
    "largest sensitivity to the prior": (
        "The data speak, not the prior (largest sensitivity to it {figure})",
        "The prior speaks too (largest sensitivity to it {figure})",
    ),
    "chance that the priors give repeats as far out as the real ones": (
        "The priors hold the real number of repeats possible (a chance of {figure})",
        "The priors hardly hold the real number of repeats possible (a chance of {figure})",
    ),
    "share of customers whom the model expects to have a different number of repeats": (
        _COUNTS,
        _COUNTS,
    ),
    r"bars of customers by repeats that lie outside their (?P<level>.+) interval": (
        "{figure} of the bars of customers by repeats lie far outside their {level} interval",
        "{figure} of the bars of customers by repeats lie far outside their {level} interval",
    ),
    "error of the repeat purchases expected of customers like these": (
        "The model expects {off} repeat purchases {than} there were",
        "The model expects {off} repeat purchases {than} there were",
    ),
    "share of repeat customers whom the model expects to spend a different mean amount": (
        _AMOUNTS,
        _AMOUNTS,
    ),
    "rank correlation of frequency and mean spend": (
        "How often customers buy says little of what an order is worth (rank correlation {figure})",
        "Customers who buy more often spend {more} an order (rank correlation {figure})",
    ),
    "share of draws in which the mean spend is infinite": (
        "The mean spend of all customers is finite in every draw",
        "The mean spend of all customers is infinite in {figure} of the draws",
    ),
    "share of draws in which customers buy without end": (
        "Purchases come to an end in every draw",
        "Purchases come to no end in {figure} of the draws",
    ),
    "share of customers who leave after a purchase, in the middle of the draws": (
        "After a purchase {figure} of the customers leave, enough to tell them apart",
        "After a purchase only {figure} of the customers seem to leave",
    ),
    # the test on the past
    "share of the backtest's customers who are in this base": (
        "The test on the past is of this base: {figure} of its customers are in it",
        "The test on the past is of another base: only {figure} of its customers are in this one",
    ),
    "error of repeat purchases in the calibration": (
        "Of the past that the test was fitted to, the model expects {off} purchases {than} "
        "there were",
        "Of the past that the test was fitted to, the model expects {off} purchases {than} "
        "there were",
    ),
    rf"error of total {_TARGET} in the holdout": ("{came}", "{came}"),
    rf"rank correlation of forecast and real {_TARGET}": (
        f"{TEST}, forecasts told who would {{do}} more (rank correlation {{figure}})",
        f"{TEST}, {_NO_ORDER} (rank correlation {{figure}})",
    ),
    rf"share of the best (?P<top>.+) by real {_TARGET} that is among the best .+ forecast": (
        f"{TEST}, {{figure}} of the {{top}} who {{did}} most were among the {{top}} with the "
        "highest forecasts",
        f"{TEST}, only {{figure}} of the {{top}} who {{did}} most were among the {{top}} "
        "with the highest forecasts",
    ),
    rf"share of customers whose (?P<level>.+) interval holds their {_TARGET}": (
        f"{TEST}, {{level}} intervals of {{target}} held for {{figure}} of the customers",
        f"{TEST}, {{level}} intervals of {{target}} held for only {{figure}} of the customers",
    ),
    rf"forecasts without a model that are better (?P<at>.+) by {_TARGET}": (
        f"{TEST}, no forecast without a model was better {{at}} by {{target}} in most comparisons",
        f"{TEST}, {{figure}} of the forecasts without a model did better {{at}} by {{target}} in "
        "most comparisons",
    ),
    "comparisons lost to the same model without covariates, beyond those won": (
        f"{TEST}, covariates did forecasts no harm",
        f"{TEST}, covariates made more forecasts worse than better",
    ),
    "gain in the Gini of value where first orders count": (
        f"{TEST}, values ranked customers {{better}} where first orders count in spend (by "
        "{figure} of the Gini)",
    )
    * 2,
    "interval score of totals with the clock, as a multiple of that without": (
        f"{TEST}, totals were forecast no worse with the clock than without it",
        f"{TEST}, totals were forecast worse with the clock (interval score "
        "{figure} times that without)",
    ),
    r"failed checks of the backtest's own fit of (?P<model>.+)": (
        f"{TEST}, the fit of {{model}} converged",
        f"{TEST}, the fit of {{model}} did not converge: {{figure}} of its checks failed",
    ),
}
_PATTERNS: Final = [
    (re.compile(f"(?:(?P<whose>.+): )?{name}"), said) for name, said in _SAID.items()
]

_COUNTED: Final = re.compile("(Only )?(None|[0-9,]+) of ")  # customers, not shares or sizes


def sentence_of(name: str, figure: str, value: float, *, passed: bool, bound: str = "") -> str:
    """Say what a check found.

    Parameters
    ----------
    name : str
        The check's, with its model before it or without.
    figure : str
        The value as it is written.
    value : float
        Of which the direction is read off.
    passed : bool
        Whether it is as it should be.
    bound : str
        The limit to name, with its side. One of errors of totals is not named, since what
        came is told by the forecast, and errors are by what came.

    Returns
    -------
    str
        Without a full stop; of a check that is not known here its name and figure.

    Examples
    --------
    >>> sentence_of("BG/NBD: largest R-hat", "1.03", 1.03, passed=False)
    'BG/NBD: the chains disagree (largest R-hat 1.03)'
    >>> sentence_of("error of total discounted value in the holdout", "-15 %", -0.15, passed=False)
    'In a test on the past, spending came out 18 % higher than forecast'
    """
    matches = ((pattern.fullmatch(name), said) for pattern, said in _PATTERNS)
    found, said = next((one for one in matches if one[0]), (None, ("", "")))
    if found is None:
        return _limited(f"{name[:1].upper()}{name[1:]}: {figure}", bound)
    parts = {key: text or "" for key, text in found.groupdict().items()}
    words = parts | _directions(value) | _DOING.get(parts.get("target", ""), {})
    words["means"] = "means" if parts.get("kind") == "bulk" else "intervals"
    if "target" in parts:
        words["came"] = came_out(words["what"], value)
    text = said[0 if passed else 1].format(figure=figure, **words)
    text = re.sub("^(Only )?0 of ", "None of ", text)
    if "{came}" not in said:
        text = _limited(text, bound)
    return f"{parts['whose']}: {text[:1].lower()}{text[1:]}" if parts["whose"] else text


def _limited(text: str, bound: str) -> str:
    if not bound:
        return text
    should = "there should be" if _COUNTED.match(text) else "it should be"
    return f"{text.removesuffix(')')}{'; ' if text.endswith(')') else ' ('}{should} {bound})"


def _directions(value: float) -> dict[str, str]:
    exact = abs(value) < 0.0005
    return {
        "off": "as many" if exact else f"{percent(abs(value))} {'more' if value > 0 else 'fewer'}",
        "than": "as" if exact else "than",
        "more": "more" if value > 0 else "less",
        "better": "alike" if exact else "better" if value > 0 else "worse",
    }


def came_out(what: str, error: float) -> str:
    """Say how what came in a test on the past differs from its forecast.

    Parameters
    ----------
    what : str
        Such as "spending".
    error : float
        The forecast less what came, as a share of what came.

    Returns
    -------
    str
        Without a full stop: what came is measured by the forecast, as one plans.

    Examples
    --------
    >>> came_out("spending", 1 / 1.17 - 1)
    'In a test on the past, spending came out 17 % higher than forecast'
    """
    if error <= -1.0:
        return f"{TEST}, {what} was forecast to be nothing"
    off = 1.0 / (1.0 + error) - 1.0  # -1 where nothing came
    if math.isnan(off) or abs(off) < 0.005:
        return f"{TEST}, {what} came out as forecast"
    way = "higher" if off > 0 else "lower"
    return f"{TEST}, {what} came out {percent(abs(off))} {way} than forecast"


def percent(share: float | None) -> str:
    """Write a share in percent, as it is said.

    Examples
    --------
    >>> percent(0.1234), percent(0.0123), percent(0.9995)
    ('12 %', '1.2 %', '>99.9 %')
    """
    if share is None or not math.isfinite(share):
        return "unavailable"
    value = 100.0 * share
    if value != 0 and abs(value) < 0.1:
        return f"{value:.1g} %"
    if 99.0 < value < 100.0:  # nearly all is not all
        return ">99.9 %" if value > 99.9 else f"{value:.1f} %"
    text = f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}".removesuffix(".0")
    return f"{text} %"
