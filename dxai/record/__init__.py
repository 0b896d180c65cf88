"""What happened, so that it can happen again."""
