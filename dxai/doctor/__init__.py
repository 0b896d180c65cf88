"""What is wrong with an installation and a checkout, and what to do: without torch, without a change."""
