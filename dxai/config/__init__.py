"""From YAML and the command line to typed settings."""
