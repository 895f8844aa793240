"""Benchmarks: every claim of speed or memory is measured here, beside a peer."""
