"""A build whose process is killed goes on, and nothing that is finished is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plipdesk.base.progress import QuietContext
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.flow import read_flow
from plipdesk.datasets.sources.kinds import parse_source
from tests.conftest import REPOSITORY
from tests.datasets.exports import draw, page

SCRIPT = """
import os, signal, sys
from pathlib import Path
from plipdesk.base.progress import QuietContext
from plipdesk.datasets.build import BuildPlan, build
from plipdesk.datasets.flow import read_flow
from plipdesk.datasets.sources.kinds import parse_source

class Killing(QuietContext):
    left = int(sys.argv[3])
    def check_cancel(self):
        Killing.left -= 1
        if Killing.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
source = parse_source(f"x-api-v2:{folder / 'posts.jsonl'}")
build(BuildPlan((source,), (folder / "media",), Path(sys.argv[2]), read_flow()), None, Killing())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by signal")
def test_a_killed_build_gives_what_an_unbroken_one_gives(tmp_path: Path) -> None:
    items = [
        {"id": str(n), "author_id": str(n % 3), "text": f"Colon adenoma {n} #GIPath", "lang": "en",
         "created_at": "2020-01-01T00:00:00.000Z", "attachments": {"media_keys": [f"3_{n}"]}}
        for n in range(100, 110)
    ]  # fmt: skip
    (tmp_path / "posts.jsonl").write_bytes(page(items))
    for number in range(100, 110):
        draw(tmp_path / "media", f"3_{number}.jpg", number)
    source = parse_source(f"x-api-v2:{tmp_path / 'posts.jsonl'}")
    plan = BuildPlan((source,), (tmp_path / "media",), tmp_path / "whole", read_flow())
    whole = build(plan, None, QuietContext())
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    codes = []
    # Each time one moment later than the last: before the text stage, before the pictures, before the export, …
    for moment in (0, 1, 2, 3, 100):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / "out"), str(moment)]
        codes.append(subprocess.run(command, env=environment, check=False, timeout=120).returncode)
    assert codes[0] == -signal.SIGKILL
    assert codes[-1] == 0
    files = {file.relative_to(tmp_path / "whole") for file in (tmp_path / "whole").rglob("*") if file.is_file()}
    assert {file.relative_to(tmp_path / "out") for file in (tmp_path / "out").rglob("*") if file.is_file()} == files
    assert all((tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes() for file in files)
    assert len(whole.pairs) == 10
