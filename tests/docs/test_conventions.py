"""The code and the pages follow the conventions of this project: a short script, one-way test imports, plain words."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT, SCRIPT

MAX_SCRIPT_LINES = 100

AVOIDED_WORDS = (
    "mend",
    "mends",
    "anew",
    "whoever",
    "refusal",
    "untold",
    "unsaid",
    "wall time",
    "of which the",
)
TEXTS = (
    "comagic/**/*.py",
    "comagic/catalog/**/*.yaml",
    "docs/*.md",
    "README.md",
    "deploy/**/*.md",
    ".github/workflows/*.yml",
    ".dlt/*.toml",
)
AVOIDED_NAME = "of"


def files(*patterns: str) -> list[Path]:
    """Returns the files of the repository that match one of the patterns; each pattern has to match one."""
    found = [sorted(ROOT.glob(pattern)) for pattern in patterns]
    assert all(found), patterns
    return [file for matches in found for file in matches]


def nodes(file: Path) -> Iterator[ast.AST]:
    """Yields the nodes of a Python file's syntax tree."""
    return ast.walk(ast.parse(file.read_text("utf-8")))


def relative(file: Path) -> str:
    """Returns a file's path from the repository's root."""
    return file.relative_to(ROOT).as_posix()


def test_script_is_short_and_has_one_pipeline_that_runs_each_source() -> None:
    assert len(SCRIPT.read_text("utf-8").splitlines()) <= MAX_SCRIPT_LINES
    pipelines = [node for node in nodes(SCRIPT) if isinstance(node, ast.Call) and calls_dlt_pipeline(node)]
    assert len(pipelines) == 1
    name, *_ = pipelines[0].args
    assert ast.literal_eval(name) == "comagic"
    loops = [node for node in nodes(SCRIPT) if isinstance(node, ast.For)]
    bodies = [[ast.unparse(statement) for statement in loop.body] for loop in loops]
    assert bodies == [["pipeline.run(source)"]]
    assert [ast.unparse(loop.target) for loop in loops] == ["source"]


def calls_dlt_pipeline(node: ast.Call) -> bool:
    """True for a call of `dlt.pipeline`."""
    return ast.unparse(node.func) == "dlt.pipeline"


def test_no_file_of_the_tests_imports_a_test_module() -> None:
    found = {relative(file): list(filter(is_test_module, imported_modules(file))) for file in files("tests/**/*.py")}
    assert {name: modules for name, modules in found.items() if modules} == {}


def imported_modules(file: Path) -> Iterator[str]:
    """Yields the full names of the modules, or of the names in them, that a file imports."""
    package = relative(file.parent).split("/")
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_test_module(name: str) -> bool:
    """True for a test module, or a name in one."""
    top, *rest = name.split(".")
    return top == "tests" and any(part.startswith("test_") for part in rest)


def test_texts_use_plain_words() -> None:
    found = {relative(file): avoided_words(file.read_text("utf-8")) for file in files(*TEXTS)}
    assert {name: words for name, words in found.items() if words} == {}


def avoided_words(text: str) -> list[str]:
    """Returns the lines and words that a text should not have, in any case, also across the end of a line."""
    pattern = "|".join(word.replace(" ", r"\s+") for word in AVOIDED_WORDS)
    matches = re.finditer(rf"\b({pattern})\b", text, re.IGNORECASE)
    return [f"line {text.count(chr(10), 0, match.start()) + 1}: {match[0]}" for match in matches]


def test_no_variable_parameter_or_attribute_is_named_of() -> None:
    found = {relative(file): lines_with_avoided_name(nodes(file)) for file in files("comagic/**/*.py", "tests/**/*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def lines_with_avoided_name(tree: Iterable[ast.AST]) -> list[int]:
    """Returns the lines on which the name is used."""
    found = set()
    for node in tree:
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.Attribute(attr=name) if name == AVOIDED_NAME:
                found.add(node.lineno)
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("tests.load.test_kills", True),
        ("tests.load.test_kills.start", True),
        ("tests.support.accounts.recent_account", False),
        ("comagic.test_x", False),
    ],
)
def test_test_module_is_found(name: str, is_found: bool) -> None:
    assert is_test_module(name) is is_found


@pytest.mark.parametrize("code", ["of = 1", "for _, of in x: pass", "def f(of): pass", "lambda of: 1", "x.of"])
def test_avoided_name_is_found(code: str) -> None:
    assert lines_with_avoided_name(ast.walk(ast.parse(code))) == [1]


@pytest.mark.parametrize("text", ["The mend.", "Whoever it is", "in WALL\ntime", "rows, of which the API"])
def test_avoided_word_is_found(text: str) -> None:
    assert avoided_words(text)


@pytest.mark.parametrize("text", ["amend", "recommends", "a wall", "rows of which"])
def test_part_of_a_word_is_not_found(text: str) -> None:
    assert avoided_words(text) == []
