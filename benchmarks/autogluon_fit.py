"""PYTHON benchmarks/autogluon_fit.py FOLDER number|classes: one fit of AutoGluon for benchmarks/tables.py.

Runs in an environment that has autogluon.tabular and nothing of dxai. FOLDER holds known.parquet (with a column
``target``) and asked.parquet; said.npy comes there.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd


def main(folder: str, kind: str) -> None:
    """Fit one processor's worth of the preset ``medium_quality``."""
    from autogluon.tabular import TabularPredictor  # type: ignore[import-not-found]

    known, asked = (pd.read_parquet(f"{folder}/{name}.parquet") for name in ("known", "asked"))
    problem = "regression" if kind == "number" else "multiclass" if known["target"].nunique() > 2 else "binary"
    metric = "root_mean_squared_error" if kind == "number" else "log_loss"
    predictor = TabularPredictor("target", problem, metric, path=f"{folder}/models", verbosity=0)
    predictor.fit(known, presets="medium_quality", num_cpus=1)
    if kind == "number":
        said = predictor.predict(asked)
    else:
        said = predictor.predict_proba(asked)[sorted(known["target"].unique())]
    np.save(f"{folder}/said.npy", said.to_numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
