"""Pages of the documentation and their fenced code blocks."""

import re
from pathlib import Path

from tests.support.processes import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def read_page(name: str) -> str:
    """Returns the text of a page, by its path from the repository's root."""
    return (ROOT / name).read_text("utf-8")


def code_blocks(text: str, language: str) -> list[str]:
    """Returns the fenced blocks of a language, indented ones included, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def block_after(text: str, words: str, language: str = "sql") -> str:
    """Returns the first block of a language after some words of a page."""
    return code_blocks(text.split(words, 1)[1], language)[0]


def markdown_pages() -> list[Path]:
    """Returns all Markdown files of the repository."""
    patterns = ("*.md", "docs/*.md", "docs/ru/*.md", "deploy/*.md", "deploy/*/*.md")
    return sorted(file for pattern in patterns for file in ROOT.glob(pattern))
