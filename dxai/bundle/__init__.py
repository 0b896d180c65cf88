"""The bundle: the closed, signed folder of files in which a model leaves the house."""
