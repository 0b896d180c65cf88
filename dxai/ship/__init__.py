"""What leaves the house, and what runs at a member firm."""
