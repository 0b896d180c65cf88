"""python -m pipelines.fetch experiment=NAME: bring the raw file, verified, into data/raw/."""

from pathlib import Path

from dxai.config.settings import PublishedData, RunSettings
from dxai.data.table import raw_file
from dxai.record.progress import byte_bar, console
from pipelines.stage import main


def fetch(settings: RunSettings, checkout: Path) -> None:
    """Fetch what the data's YAML names."""
    assert isinstance(settings.data, PublishedData)  # stages are those of the reference runs
    with byte_bar(settings.data.place) as progress:
        path = raw_file(settings.data, checkout, progress=progress)
    console.print(f"{path.name}: sha256 as pinned, licence {settings.data.licence}")


if __name__ == "__main__":
    main(fetch)
