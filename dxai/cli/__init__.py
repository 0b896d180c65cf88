"""One command, one verb per need; heavy imports stay inside the verbs."""
