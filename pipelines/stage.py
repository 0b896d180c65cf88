"""What all stages share: the command line, the settings, the folders, the exit code."""

import sys
from collections.abc import Callable
from pathlib import Path

from dxai.config.compose import find_checkout, settings_from
from dxai.config.settings import RunSettings
from dxai.errors import DxaiError, SettingsError


def reference(settings: RunSettings, checkout: Path) -> Path:
    """Folder of a reference run; its parts are outputs of the stages."""
    return checkout / "runs" / "reference" / settings.data.name


def main(work: Callable[[RunSettings, Path], None]) -> None:
    """Run one stage with the overrides of the command line; a mistake ends in one message and its exit code."""
    try:
        checkout = find_checkout()
        settings = settings_from(sys.argv[1:], checkout=checkout)
        if settings.arithmetic != "portable":
            raise SettingsError(
                "A reference run is computed with portable arithmetic.", where="configs/run.yaml, arithmetic",
                fix="Set it to portable, or explore with `dxai train`.",
            )  # fmt: skip
        work(settings, checkout)
    except DxaiError as error:
        print(f"dxai: {error.message()}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
