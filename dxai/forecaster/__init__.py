"""`dxai forecast`: any series, from hours to years, from its own history, by graphs that need no training."""
