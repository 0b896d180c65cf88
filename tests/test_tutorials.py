"""The tutorials: short, alike in both languages, and linked; tests/test_eight_files.py runs their commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import blocks, commands

TUTORIALS = ("steel-plates", "rare-failures", "sensors-in-time", "intermittent-demand", "energy-in-time")
VERBS = ["data describe", "data init", "data convert", "data check", "train", "release", "inspect", "predict"]
DOCUMENTS = [name + language for name in TUTORIALS for language in (".md", ".ko.md")]


def test_no_tutorial_goes_untested(checkout: Path) -> None:
    found = {file.name for file in (checkout / "docs/tutorials").glob("*.md")}
    assert found == set(DOCUMENTS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_both_languages_give_the_same_commands(name: str, checkout: Path) -> None:
    english, korean = (checkout / f"docs/tutorials/{name}{language}" for language in (".md", ".ko.md"))
    typed = commands(english)
    assert typed == commands(korean)
    assert blocks(english, "text") == blocks(korean, "text")  # what dxai answers
    assert [next(verb for verb in VERBS if line.startswith(f"dxai {verb}")) for line in typed] == VERBS
    numbers = [set(re.findall(r"\d[\d.,]*\d", file.read_text("utf-8"))) for file in (english, korean)]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_short_and_their_links_lead_somewhere(name: str, checkout: Path) -> None:
    file = checkout / "docs/tutorials" / name
    text = file.read_text("utf-8")
    assert len(text.splitlines()) <= 80
    for link in re.findall(r"\]\((?!https://doi\.org/10\.)(.*?)\)", text):
        assert (file.parent / link).exists(), link
    for language in ("bash", "shell", "console"):  # a block that no test reads
        assert not blocks(file, language)


def test_guide_names_every_tutorial(checkout: Path) -> None:
    guide = (checkout / "docs/guide.md").read_text("utf-8")
    links = re.findall(r"\]\((tutorials/.*?)\)", guide)
    assert sorted(links) == sorted(f"tutorials/{name}" for name in DOCUMENTS)
