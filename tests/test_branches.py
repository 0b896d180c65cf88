"""Objects are asked, not told apart: where the code still branches on the kind of task is counted, and has a reason."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

REASONS = {
    "dxai/catalog/site/facts.py": (1, "a profile of series is one of traits, not of columns"),
    "dxai/contract/model.py": (1, "what kind of prediction a contract asks for is decided here"),
    "dxai/data/splits.py": (1, "folds of classes hold some of each"),
    "dxai/intake/training_facts.py": (8, "which columns the rules of training ask about, in few bytes a row"),
    "dxai/serve/rules.py": (1, "a request is checked value by value, or history by history"),
}
MOST = 12
KINDS = ("Task", "Truth", "Predictor", "Codec", "Target")


def branches(file: Path) -> int:
    """Lines that compare a task, family or grain, ask whether there are classes, or for the class of such an object."""
    lines = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        tests = [node.test] if isinstance(node, ast.If | ast.IfExp | ast.While) else []
        tests += node.ifs if isinstance(node, ast.comprehension) else []
        tests += [node] if isinstance(node, ast.Compare | ast.BoolOp) else []
        lines |= {test.lineno for test in tests if _tells_apart(test) or _asks_for_classes(test)}
    return len(lines)


def _tells_apart(test: ast.expr) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            if any(isinstance(part, ast.Attribute) and part.attr in ("task", "family", "grain") for part in parts):
                return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            named = (part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name))
            if any(name.endswith(KINDS) for name in named):
                return True
    return False


def _asks_for_classes(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp):
        return _asks_for_classes(test.operand)
    if isinstance(test, ast.BoolOp):
        return any(map(_asks_for_classes, test.values))
    if isinstance(test, ast.NamedExpr):
        return _asks_for_classes(test.value)
    return isinstance(test, ast.Attribute) and test.attr == "classes"


def test_branches_on_the_kind_of_task_are_few_and_have_a_reason(checkout: Path) -> None:
    files = sorted((checkout / "dxai").rglob("*.py"))
    found = Counter({file.relative_to(checkout).as_posix(): branches(file) for file in files})
    assert +found == Counter({file: count for file, (count, _) in REASONS.items()})
    assert found.total() <= MOST


def test_the_three_verbs_tell_the_type_checker_nothing(checkout: Path) -> None:
    for verb in ("train", "evaluate", "release"):
        assert "type: ignore" not in (checkout / "dxai" / f"{verb}.py").read_text("utf-8")
