"""python -m pipelines.release experiment=NAME: the reference run as a bundle in models/."""

from pathlib import Path

from dxai.config.settings import RunSettings
from dxai.record.progress import console
from dxai.record.runs import Run
from dxai.release import release as release_run
from pipelines.stage import main, reference


def release(settings: RunSettings, checkout: Path) -> None:
    """Release the reference run by the settings as they are now."""
    folder, bundle = reference(settings, checkout), checkout / "models" / settings.release.bundle
    with console.status(f"{settings.name}: export and parity check"):
        release_run(Run(folder / "train"), folder / "evaluate", bundle, checkout, settings)
    console.print(f"released models/{bundle.name} {settings.release.version}", highlight=False)


if __name__ == "__main__":
    main(release)
