"""Rules for the repository as a whole: what it may mention, how long a file may be, what its documents link to."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.packaging.scripts import REPOSITORY, tracked_files

TEXT_ENDINGS = {
    ".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".lock", ".sql", ".svg", ".geojson", ".ts", ".cfg", ".sh",
    "",
}  # fmt: skip
# In pieces, so that this file may be scanned too.
FOREIGN = (
    re.compile(r"(?<![\w.~-])/" + r"(?:work|root)/"),
    re.compile(r"py" + r"pi\.org"),
    re.compile(r"files\.python" + r"hosted"),
    re.compile(r"download\.py" + r"torch"),
    re.compile(r"registry\.np" + r"mjs"),
)
# Files of 400 to 800 lines, each with what keeps its parts together. Above 800 needs an ADR and is not foreseen.
LONG_FILES = {
    "benchmarks/search.py": "one measurement, from a million vectors on the disk to the table that tells of them",
    "plipdesk/desktop/viewer/canvas.py": "one Qt widget, whose events all move one camera",
    "plipdesk/desktop/window.py": "where panels are placed and their signals joined; each has a module of its own",
    "plipdesk/engine/messages.py": "the whole language between the processes, which is versioned as one",
}
FRAGMENT = re.compile(r"^[+a-z0-9][a-z0-9-]*\.(added|changed|fixed|removed)\.md$")
MAKE_TARGETS = (
    "setup",
    "demo",
    "run",
    "check",
    "test",
    "soak",
    "bench",
    "lock",
    "docs",
    "news",
    "hooks",
    "clean",
    "help",
)


def texts() -> list[tuple[str, str]]:
    return [
        (path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8"))
        for path in tracked_files()
        if path.suffix in TEXT_ENDINGS
    ]


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{name}:{text[: match.start()].count(chr(10)) + 1}: {match.group()}"
        for name, text in texts()
        for pattern in FOREIGN
        for match in pattern.finditer(text)
    ]
    assert found == []


def test_files_stay_short() -> None:
    lengths = {name: text.count("\n") for name, text in texts() if name.endswith(".py")}
    assert {name: lines for name, lines in lengths.items() if lines > 800} == {}
    long = {name for name, lines in lengths.items() if lines > 400 and not name.startswith("tests/")}
    assert long - set(LONG_FILES) == set(), "divide the file, or say in LONG_FILES what keeps it together"
    assert set(LONG_FILES) <= set(lengths)


def test_news_fragments_are_named_for_their_kind() -> None:
    kinds = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]["type"]
    assert {kind["directory"] for kind in kinds} == {"added", "changed", "fixed", "removed"}
    for path in (REPOSITORY / "changelog.d").iterdir():
        if path.name not in ("README.md", ".gitkeep"):
            assert FRAGMENT.match(path.name), f"{path.name} is not <what>.<added|changed|fixed|removed>.md"
            assert path.read_text(encoding="utf-8").strip()


def test_documents_link_to_what_is_there() -> None:
    link = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
    missing = []
    for path in tracked_files():
        if path.suffix == ".md":
            for target in link.findall(path.read_text(encoding="utf-8")):
                if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists():
                    missing.append(f"{path.relative_to(REPOSITORY)}: {target}")
    assert missing == []


def test_every_decision_is_numbered_and_complete() -> None:
    records = sorted((REPOSITORY / "docs" / "adr").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text(encoding="utf-8")
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, f"{record.name} has no {heading}"


def test_what_the_code_imports_is_declared() -> None:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = document["optional-dependencies"]
    declared = {
        canonicalize_name(Requirement(text).name)
        for text in [*document["dependencies"], *(text for name in extras if name != "dev" for text in extras[name])]
    }
    distributions = packages_distributions()
    undeclared = set()
    for path in sorted((REPOSITORY / "plipdesk").rglob("*.py")):
        for top in _imported(path) - sys.stdlib_module_names - {"plipdesk"}:
            owners = {canonicalize_name(name) for name in distributions.get(top, [top])}
            if not owners & declared:
                undeclared.add(f"{path.relative_to(REPOSITORY)}: {top}")
    assert undeclared == set()


def _imported(path: Path) -> set[str]:
    tops = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            tops.add(node.module.partition(".")[0])
    return tops


@pytest.mark.skipif(sys.platform == "win32", reason="the make targets are for POSIX shells")
@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_make_knows_its_targets(target: str) -> None:
    # A dry run with a ready environment prints commands and does nothing.
    done = subprocess.run(
        ["make", "--dry-run", target, f"VENV={sys.prefix}"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_continuous_integration_runs_what_a_developer_runs() -> None:
    script = REPOSITORY / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in text
    assert "make test" in text
