"""`dxai forecast`: any weekly, monthly or quarterly series from its own history, by graphs that need no training."""
