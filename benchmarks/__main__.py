"""Run the benchmarks (``make bench``): each in a process of its own, then one table of all that was measured.

``python -m benchmarks [NAME …]``. A benchmark is a module of this folder with a ``main()``; it writes its own
``results/<name>.json`` through :func:`benchmarks.common.write_result`.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS, table

HERE = Path(__file__).resolve().parent
# Told once for all, not line by line.
_NOT_IN_TABLE = ("machine", "settings", "notes")


def benchmarks() -> list[str]:
    """Names of the modules of this folder that have a ``main``."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__main__" and _has_main(path))


def _has_main(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


def figures(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All numbers and verdicts in a result, each with the path to it."""
    if isinstance(document, dict):
        for key, value in document.items():
            if name or key not in _NOT_IN_TABLE:
                yield from figures(value, f"{name} · {key}" if name else str(key))
    elif isinstance(document, list):
        if all(isinstance(value, int | float) for value in document):
            yield name, ", ".join(map(str, document[:6])) + (" …" if len(document) > 6 else "")
        else:
            for number, value in enumerate(document):
                yield from figures(value, f"{name} · {number}")
    elif document is not None:
        yield name, str(document)


def main() -> int:
    """Run what is named, or all; 1 if one of them failed."""
    known = benchmarks()
    chosen = sys.argv[1:] or known
    unknown = set(chosen) - set(known)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    start = time.time()
    for name in chosen:
        print(f"\n== {name}", flush=True)
        start_s = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=False).returncode != 0:
            failed.append(name)
        print(f"[{time.monotonic() - start_s:.0f} s]", flush=True)
    fresh = [path for path in sorted(RESULTS.glob("*.json")) if path.stat().st_mtime >= start - 1]
    rows = [(path.stem, *figure) for path in fresh for figure in figures(json.loads(path.read_text(encoding="utf-8")))]
    print("\n" + table(rows, ("benchmark", "what", "measured")))
    print("\nwritten: " + " ".join(path.name for path in fresh))
    if failed:
        print("failed: " + " ".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
