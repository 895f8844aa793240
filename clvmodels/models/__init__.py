"""Model specifications: priors, PyMC models and fits."""
