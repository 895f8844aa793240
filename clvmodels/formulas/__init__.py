"""Pure numerics: arrays in, arrays out; no frames, no labels, no PyMC."""
