"""Does this model fit my plant? A firm's rows against the profile and the card of a bundle."""
