"""A served model: Open Inference Protocol V2 over REST."""
