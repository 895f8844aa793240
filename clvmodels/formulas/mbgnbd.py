"""MBG/NBD: Batislam, Denizel & Filiztekin (2007); Wagner & Hoppe (2008).

Int. J. of Research in Marketing 24(3), 201-209 and 25(3), 225-226. As BG/NBD, but a
customer may drop out right after the first purchase too: P(alive) < 1 at x = 0, and a
new customer is alive with probability b / (a + b). The functions are methods of
:class:`clvmodels.formulas.purchases.BetaGeometric`, which documents them.
"""

from __future__ import annotations

from typing import Final

from clvmodels.formulas.purchases import BetaGeometric

FORMULAS: Final = BetaGeometric(name="MBG/NBD", extra_stays=1)

stay_shape = FORMULAS.stay_shape
log_odds_dropped = FORMULAS.log_odds_dropped
log_likelihood = FORMULAS.log_likelihood
p_alive = FORMULAS.p_alive
p_purchase = FORMULAS.p_purchase
expected_purchases = FORMULAS.expected_purchases
discounted_purchases = FORMULAS.discounted_purchases
if_alive_block = FORMULAS.if_alive_block
expected_purchases_new = FORMULAS.expected_purchases_new
discounted_purchases_new = FORMULAS.discounted_purchases_new
pmf = FORMULAS.pmf
pmf_new = FORMULAS.pmf_new
