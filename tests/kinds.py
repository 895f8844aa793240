"""Which models of the catalogue a test goes through.

Quick tests take every model there is (`MODELS`). Regular timing is computed by one piece of
code for k = 2, 3 and 4, with and without a question at the first purchase; so where a test
takes a fit, a simulation or a whole journey, it takes `KINDS`: each model that is not of
regular timing, and one that is.
"""

from __future__ import annotations

from typing import Final

from clvmodels.purchases import MODELS

KINDS: Final = (*(key for key, one in MODELS.items() if one.regularity == 1), "mbgcnbd3")
