"""Plain networks: tensors in, tensors out; they know no trainer and no configuration."""
