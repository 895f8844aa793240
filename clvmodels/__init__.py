"""Customer lifetime value with honest uncertainty."""
