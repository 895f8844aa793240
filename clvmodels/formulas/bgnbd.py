"""BG/NBD: Fader, Hardie & Lee (2005), Marketing Science 24(2), 275-284.

A customer may drop out after every repeat purchase, so nobody who has none has dropped
out: P(alive) is 1 at x = 0. The functions are methods of
:class:`clvmodels.formulas.purchases.BetaGeometric`, which documents them.
"""

from __future__ import annotations

from typing import Final

from clvmodels.formulas.purchases import BetaGeometric

FORMULAS: Final = BetaGeometric(name="BG/NBD", extra_stays=0)

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
