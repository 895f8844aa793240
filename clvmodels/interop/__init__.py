"""Fits of other packages, from there and to there."""
