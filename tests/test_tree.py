"""docs/tree.md is the tree of the repository as it is: every file that a reader may open, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.tree import TREE, phrase, tree


@pytest.mark.process
def test_tree_is_what_the_generator_writes_now(checkout: Path) -> None:
    assert (checkout / TREE).read_text("utf-8") == tree(checkout), "docs/tree.md is not up to date: run `make tree`"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.py", '"""Train: settings in.\n\nMore."""\n', "Train: settings in"),
        ("a.py", '"""Version 1.2 of this\nmodule. And more."""\n', "Version 1.2 of this module"),
        ("a.py", '"""python -m a --size N\n\nBombs. More."""\n', "Bombs"),
        ("a.py", '"""python -m a: bring the file."""\n', "python -m a: bring the file"),
        ("a.yaml", "# @package _global_\n# Concrete with\n# a line. More.\na: 1\n", "Concrete with a line"),
        ("a.js", '"use strict";\n// Draws\n// it. More.\n', "Draws it"),
        ("a.html.j2", "{# The page. More. -#}\n<p>", "The page"),
        ("a.html.j2", "<p>", "template of a.html"),
        ("a.md", "# Guide\n\nText.\n", "Guide"),
    ],
)
def test_phrase_is_the_first_sentence(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert phrase(tmp_path, name) == said


@pytest.mark.parametrize(("name", "text"), [("a.py", "x = 1\n"), ("a.yaml", "a: 1  # one\n"), ("a.js", "let a;\n")])
def test_file_that_says_nothing_is_told_to(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ValueError, match=f"{name} says nothing of itself: give it a docstring, or a comment"):
        phrase(tmp_path, name)
