"""The catalog: a static folder of signed bundles, its keys, its page, and the way from it to a firm."""
