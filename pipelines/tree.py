"""python -m pipelines.tree: write docs/tree.md, the map of the repository, from what its files say."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import yaml

TREE = Path("docs/tree.md")

_SHOWN = ("benchmarks/", "configs/", "contracts/", "docs/", "dxai/", "hydra_plugins/", "pipelines/", "tests/")
_SILENT = ("__init__.py", ".typed", ".png", ".schema.json")
_FOLDERS = {
    "benchmarks": "speed, as ratios measured side by side",
    "configs": "settings: Hydra groups, one YAML file per choice",
    "contracts": "what a row means: ODCS 3.1, units in UCUM, titles in English and Korean",
    "configs/data": "where raw data comes from: place, sha256, licence, citation",
    "configs/device": "what a network is trained on",
    "configs/evaluate": "what a report shows",
    "configs/experiment": "ready combinations",
    "configs/hydra": "the help page of `dxai train`",
    "configs/hydra/help": "its text",
    "configs/hydra/launcher": "where jobs run, beside the launchers of plug-ins",
    "configs/model": "networks and their sizes",
    "configs/release": "name, version and tolerance of a bundle",
    "configs/scaling": "how series are brought to one size",
    "configs/split": "how rows are held out",
    "configs/sweep": "spaces of settings that `dxai sweep` searches",
    "configs/trainer": "epochs, batch size, learning rate",
    "docs": "for people",
    "dxai/cli/skeletons": "what `dxai new` writes",
    "dxai/catalog/site/assets": "the programs and the style of its pages",
    "docs/pictures": "pictures of the README, and of the catalog as `python -m pipelines.pictures` takes them",
    "docs/tutorials": "from a public file to predictions, one lesson each",
    "hydra_plugins": "where Hydra looks for launchers",
    "tests": "one file per promise",
    "tests/trials": "attempts to break it, with figures: sizes `ci` and `release`",
}
"""Folders that hold no `__init__.py` with a sentence of its own."""
_FILES = {
    "dxai/catalog/site/assets/icon.svg": "the icon in the browser's tab",
    "dxai/catalog/site/assets/site.css": "colours and layout, on screen and on paper",
    **{
        f"dxai/forecaster/{name}.onnx.xz": f"its graph for {steps}, made by `python -m pipelines.forecaster`"
        for name, steps in (
            ("hourly", "hours"),
            ("daily", "days"),
            ("weekly", "weeks"),
            ("monthly", "months"),
            ("quarterly", "quarters"),
            ("yearly", "years"),
        )
    },
    "dxai/catalog/site/assets/texts.json": "every text of the pages, in English and Korean",
}
"""Files of kinds that can hold no comment where a reader of the tree would look."""
_WIDTH = 32  # of names; fixed, so that a long one does not move every line
_HEAD = """# The tree

Made by `make tree` from git's files: the phrase of a file is the first sentence of its docstring or its first comment.
Imports go one way: the layers stand in pyproject.toml, and `make lint` checks them.

```text
"""


def main() -> None:
    """Write the tree of the checkout in which this is run."""
    TREE.write_text(tree(Path.cwd()), "utf-8")


def tree(checkout: Path) -> str:
    """The page as it is for the files that git knows or would take."""
    shown = [file for file in _files(checkout) if file.startswith(_SHOWN) and not file.endswith(_SILENT)]
    folders = {parent.as_posix() for file in shown for parent in Path(file).parents} - {"."}
    phrases = {file: phrase(checkout, file) for file in shown} | {f: _folder_phrase(checkout, f) for f in folders}
    rows = [
        (f"{'  ' * path.count('/')}{Path(path).name}{'/' if path in folders else ''}", phrases[path])
        for path in sorted(phrases, key=lambda path: _order(path, folders))
    ]
    return _HEAD + "".join(f"{name:<{_WIDTH}}  {said}\n" for name, said in rows) + "```\n"


def phrase(checkout: Path, file: str) -> str:
    """What a file says of itself in one sentence.

    Raises:
        ValueError: It says nothing.
    """
    if file in _FILES:
        return _FILES[file]
    text = (checkout / file).read_text("utf-8")
    said = _SENTENCES[Path(file).suffix](file, text) if Path(file).suffix in _SENTENCES else ""
    if not said:
        raise ValueError(f"{file} says nothing of itself: give it a docstring, or a comment on its first line.")
    return said


def _files(checkout: Path) -> list[str]:
    command = ["git", "-c", "core.quotepath=off", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.splitlines()
    return [file for file in listed if (checkout / file).is_file() and file != TREE.as_posix()]


def _order(path: str, folders: set[str]) -> list[tuple[bool, str]]:
    """Files before folders, at every depth."""
    parts = Path(path).parts
    return [("/".join(parts[: depth + 1]) in folders, part) for depth, part in enumerate(parts)]


def _folder_phrase(checkout: Path, folder: str) -> str:
    if folder in _FOLDERS:
        return _FOLDERS[folder]
    if not (checkout / folder / "__init__.py").is_file():
        raise ValueError(f"{folder}/ has no __init__.py to speak for it: give it a phrase in pipelines/tree.py.")
    return phrase(checkout, f"{folder}/__init__.py")


def _first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence, or the end of the paragraph; without the stop."""
    paragraph = " ".join(text.strip().split("\n\n")[0].split())
    return re.split(r"(?<=[\w)`”\"/])\.(?:\s|$)", paragraph, maxsplit=1)[0]


def _python(_: str, text: str) -> str:
    """A program's docstring may open with its command alone: the sentence is the next paragraph."""
    paragraphs = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")
    command = paragraphs[0].startswith("python -m ") and ": " not in paragraphs[0]
    return _first_sentence(paragraphs[1] if command and len(paragraphs) > 1 else paragraphs[0])


def _yaml(file: str, text: str) -> str:
    """The first comment that is for people; a contract's name."""
    comments = re.findall(r"^# (?!@package|yaml-language-server)(.+(?:\n# .+)*)", text, re.MULTILINE)
    at_top = re.match(r"(?:# (?:@package|yaml-language-server).*\n)*# ", text)
    if at_top and comments:
        return _first_sentence(comments[0].replace("\n# ", " "))
    return str((yaml.safe_load(text) or {}).get("name", "")) if file.startswith("contracts/") else ""


def _template(file: str, text: str) -> str:
    comment = re.match(r"\{#-?(.+?)-?#\}", text, re.DOTALL)
    return _first_sentence(comment[1]) if comment else f"template of {Path(file).stem}"


def _script(_: str, text: str) -> str:
    comment = re.search(r"^// (.+(?:\n// .+)*)", text, re.MULTILINE)
    return _first_sentence(comment[1].replace("\n// ", " ")) if comment else ""


def _markdown(_: str, text: str) -> str:
    title = re.match(r"# (.+)", text)
    return title[1] if title else ""


_SENTENCES = {".py": _python, ".yaml": _yaml, ".j2": _template, ".js": _script, ".md": _markdown}

if __name__ == "__main__":
    main()
