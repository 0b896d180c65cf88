"""python -m pipelines.train experiment=NAME: fit all folds and the model to release, into runs/reference/."""

from pathlib import Path

from dxai.config.settings import RunSettings
from dxai.record.progress import fit_bar
from dxai.train import train as train_run
from pipelines.stage import main, reference


def train(settings: RunSettings, checkout: Path) -> None:
    """Train the reference run."""
    with fit_bar() as bar:
        train_run(settings, reference(settings, checkout) / "train", checkout, bar)


if __name__ == "__main__":
    main(train)
