"""From batch to fitted predictor."""
