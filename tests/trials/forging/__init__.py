"""Forged catalogs, for `tests.trials.tuf_attacks`."""
