"""From a firm's file to a table that keeps its contract."""
