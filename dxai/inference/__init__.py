"""What runs a model at a member firm: loader, sandbox, tables, predictions."""
