"""Ways to tamper with a signed bundle, for `tests.trials.tampered_bundles`."""
