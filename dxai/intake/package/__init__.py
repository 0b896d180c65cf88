"""From a data folder to a package that others can use: description, policy, checksums."""
