"""Whether bytes that decode as CP949 are Korean, and which other encodings may be meant: CP949 takes nearly anything.

A letter of Windows-1252 with an ASCII letter behind it, and most of Shift-JIS, are valid CP949, however they fall on
syllables that Korean hardly uses; Chinese in GB18030 falls on syllables and hanja mixed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

from dxai.data.compressed import opened, opened_text

_CANDIDATES = ("windows-1252", "shift_jis", "gb18030")
_BLOCK = 1 << 18
_FOREIGN = ("HIRAGANA", "KATAKANA", "CYRILLIC", "BOX")
_SHOWN = 60


def is_korean(text: str) -> bool:
    """Whether what is not ASCII in a text is mostly everyday Hangul, or signs alone such as ``℃``.

    >>> is_korean("온도 (℃), 뷁"), is_korean("heat (℃)"), is_korean("Temp (캜)"), is_korean("侊똑,箕제")
    (True, True, False, False)
    """
    return _balance(Counter(text)) >= 0


def decodes_to_korean(path: Path) -> bool:
    """The same of a file that decodes as CP949; its first block tells, or the next ones."""
    with opened_text(path, "cp949") as file:
        balance, letters = 0, Counter[str]()
        while block := file.read(_BLOCK):
            letters.update("".join(re.findall(r"[^\x00-\x7f]+", block)))
            balance = _balance(letters)
            if balance > 0:
                return True
    return balance == 0


def likely_encodings(path: Path) -> list[tuple[str, str]]:
    """Encodings that decode the whole file, each with the first line that is not ASCII as it would read."""
    found = []
    for encoding in _CANDIDATES:
        try:
            with opened_text(path, encoding) as file:
                line = next((line for line in file if not line.isascii()), "").strip()
                while file.read(1 << 20):
                    pass
        except UnicodeDecodeError:
            continue
        if line and not any(unicodedata.category(letter) in ("Cc", "Cn", "Co") for letter in line if letter != "\t"):
            found.append((encoding, line[:_SHOWN]))
    return found


def first_strange_line(path: Path) -> str:
    """The first line that is not ASCII, as CP949 reads it."""
    with opened(path) as file:
        line = next((line for line in file if not line.isascii()), b"")
    return line.decode("cp949", "replace").strip()[:_SHOWN]


def _balance(letters: Counter[str]) -> int:
    """Everyday syllables less what speaks against Korean."""
    return sum(count * _weight(letter) for letter, count in letters.items() if not letter.isascii())


def _weight(letter: str) -> int:
    if "가" <= letter <= "힣":
        return 1 if _is_everyday(letter) else -1
    if unicodedata.category(letter) == "Co" or unicodedata.name(letter, "").startswith("CJK"):
        return -2
    return -1 if unicodedata.name(letter, "").startswith(_FOREIGN) else 0


def _is_everyday(syllable: str) -> bool:
    """Whether KS X 1001, with its 2,350 syllables, has it."""
    try:
        syllable.encode("euc_kr")
    except UnicodeEncodeError:
        return False
    return len(syllable.encode("euc_kr")) == len("가".encode("euc_kr"))
