"""From file to batch."""
