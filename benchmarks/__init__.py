"""Speed claims, as ratios measured side by side in one run; quality beside peers on the same folds."""
