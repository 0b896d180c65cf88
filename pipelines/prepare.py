"""python -m pipelines.prepare experiment=NAME: raw file to a table that holds to its contract, in data/prepared/."""

from pathlib import Path

from dxai.config.settings import PublishedData, RunSettings
from dxai.data.table import prepare_table, prepared_table
from dxai.record.progress import console
from pipelines.stage import main


def prepare(settings: RunSettings, checkout: Path) -> None:
    """Prepare and check the table."""
    assert isinstance(settings.data, PublishedData)  # stages are those of the reference runs
    with console.status(f"{settings.data.name}: preparing"):
        path = prepare_table(settings.data, checkout)
    rows = len(prepared_table(settings.data, checkout))
    console.print(f"{path.name}: {rows:,} rows hold to the contract {settings.data.contract}")


if __name__ == "__main__":
    main(prepare)
