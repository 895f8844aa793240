"""What is known of a model without fitting it: names, parameters, default priors, papers.

Default priors are weakly informative, and the same whatever the units. A parameter that
is a time or an amount of money has a default that is a pure number times a scale taken
from the data at hand: a time from the mean length of observation (a design quantity, not
an outcome), an amount from the geometric mean of what repeat customers spend per
purchase. The other parameters are pure numbers, with mass where real bases lie. A base
in days or weeks, in dollars or cents, then has one posterior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Carries = Literal["time", "money"]


@dataclass(frozen=True, slots=True)
class LogNormalDefault:
    """A log-normal default prior.

    Attributes
    ----------
    median : float
        Median, in units of the scale where ``scaled``.
    sigma : float
        Standard deviation of the logarithm.
    scaled : bool
        Whether the parameter carries a unit and so is multiplied by the data's scale.
    reason : str
        Why these numbers.
    """

    median: float
    sigma: float
    scaled: bool
    reason: str


@dataclass(frozen=True, slots=True)
class BetaDefault:
    """A Beta(alpha, beta) default prior of a probability.

    Attributes
    ----------
    alpha, beta : float
        Its parameters.
    reason : str
        Why it is this one.
    """

    alpha: float
    beta: float
    reason: str


Default = LogNormalDefault | BetaDefault


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a model's likelihood.

    Attributes
    ----------
    name : str
        As in the papers, and in draws.
    carries : {"time", "money"}, optional
        What it is measured in; None of a pure number.
    """

    name: str
    carries: Carries | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """The same model in pymc-marketing.

    Attributes
    ----------
    name : str
        Of its class in ``pymc_marketing.clv``.
    priors : mapping of str to (str, mapping)
        Its fixed default priors, which know no units: distribution and arguments.
    """

    name: str
    priors: Mapping[str, tuple[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFacts:
    """A model, as files, commands, reports and other packages name it.

    Attributes
    ----------
    key : str
        In files and commands, such as "bgnbd".
    name : str
        In words, such as "BG/NBD".
    about : str
        The question that it answers.
    papers : str
        Where it comes from.
    parameters : tuple of Parameter
        Of the likelihood, in its order.
    defaults : mapping of str to Default
        Default priors of what is sampled.
    peer : Peer, optional
        pymc-marketing's class, if it has one.
    ridges : tuple of (str, str)
        Parameters of which the data may determine a ratio better than each.
    """

    key: str
    name: str
    about: str
    papers: str
    parameters: tuple[Parameter, ...]
    defaults: Mapping[str, Default]
    peer: Peer | None = None
    ridges: tuple[tuple[str, str], ...] = ()

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the likelihood's parameters, in its order."""
        return tuple(one.name for one in self.parameters)

    def carries(self, parameter: str) -> Carries | None:
        """Return what a parameter is measured in; None of a pure number or another name."""
        found = {one.name: one.carries for one in self.parameters}
        return found.get(parameter)

    def is_share(self, parameter: str) -> bool:
        """Whether a parameter lies between 0 and 1, and is not merely positive."""
        return isinstance(self.defaults.get(parameter), BetaDefault)


BASKET_VALUE: Final = ModelFacts(
    key="basket_value",
    name="Fixed basket value",
    about="What they spend per purchase",
    papers="",
    parameters=(Parameter("value", carries="money"),),
    defaults={},
)
"""The value of every purchase is known, and the same for all customers."""

GAMMA_GAMMA: Final = ModelFacts(
    key="gamma_gamma",
    name="Gamma-Gamma",
    about="What they spend per purchase",
    papers="Fader, P. S., Hardie, B. G. S. & Lee, K. L. (2005). RFM and CLV: using iso-value "
    "curves for customer base analysis. Journal of Marketing Research 42(4), 415-430; Fader, "
    "P. S. & Hardie, B. G. S. (2013). The Gamma-Gamma model of monetary value.",
    parameters=(Parameter("p"), Parameter("q"), Parameter("v", carries="money")),
    defaults={
        "p": LogNormalDefault(
            3.0,
            1.0,
            False,
            "shape of one customer's amounts, coefficient of variation 1 / sqrt(p): 95 % of the "
            "mass between 0.22 and 1.5",
        ),
        "q": LogNormalDefault(
            3.5,
            0.6,
            False,
            "shape of the amounts over customers; the population's mean spend is finite only "
            "where q > 1, which has 98 % of the mass",
        ),
        "v": LogNormalDefault(
            0.8,
            1.2,
            True,
            "mean spend is p v / (q - 1): with p and q at their medians about the typical "
            "amount, give or take a factor of 30",
        ),
    },
    peer=Peer(
        "GammaGammaModel",
        {
            "p": ("Weibull", {"alpha": 2, "beta": 1}),
            "q": ("Weibull", {"alpha": 2, "beta": 1}),
            "v": ("Weibull", {"alpha": 2, "beta": 10}),
        },
    ),
    ridges=(("p", "q"), ("q", "v")),
)
"""The model of spend."""
