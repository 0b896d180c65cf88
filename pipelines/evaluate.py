"""python -m pipelines.evaluate experiment=NAME: scores, pictures and report of the reference run."""

from pathlib import Path

from dxai.config.settings import RunSettings
from dxai.evaluate import evaluate as evaluate_run
from dxai.record.progress import console
from dxai.record.runs import Run
from pipelines.stage import main, reference


def evaluate(settings: RunSettings, checkout: Path) -> None:
    """Evaluate the reference run by the settings as they are now."""
    folder = reference(settings, checkout)
    with console.status(f"{settings.name}: scores and report"):
        evaluation = evaluate_run(Run(folder / "train"), folder / "evaluate", checkout, settings)
    console.print(evaluation.report.verdict.sentence, highlight=False)


if __name__ == "__main__":
    main(evaluate)
