"""Log files: what is written, and what never is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from plipdesk.engine.logs import without_names

_PROCESS = """
import sys, threading
from pathlib import Path
from plipdesk.base.paths import Workspace
from plipdesk.engine.logs import ProcessLog
import logging, warnings
log = ProcessLog(Workspace(Path(sys.argv[1])), "worker")
logging.getLogger("plipdesk.some").warning("slide %s is odd", "'Mrs Smith.svs'")
warnings.warn("careful")
def fail():
    try:
        open("/data/Smith, Jane 1950.svs")
    except OSError as error:
        raise ValueError("cannot read 'Smith, Jane 1950.svs'") from error
thread = threading.Thread(target=fail)
thread.start()
thread.join()
bug = log.bug(KeyError("Smith, Jane"))
print(bug.path)
{last}
"""


def _run(folder: Path, last: str) -> tuple[subprocess.CompletedProcess[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS.replace("{last}", last), str(folder)], capture_output=True, text=True
    )
    return done, (folder / "logs" / "worker.log").read_text(encoding="utf-8")


def test_errors_end_in_the_log_and_never_on_the_screen(tmp_path: Path) -> None:
    done, log = _run(tmp_path, "fail()")
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'logs' / 'worker.log'}\n"
    assert log.count("ValueError") == 2
    assert log.count("FileNotFoundError") == 2
    assert "in fail" in log
    assert "careful" in log
    assert "KeyError" in log


def test_no_name_of_a_file_is_written_down(tmp_path: Path) -> None:
    _, log = _run(tmp_path, "fail()")
    assert "Smith" not in log
    assert "/data" not in log


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_native_crash_leaves_the_lines_of_code(tmp_path: Path) -> None:
    done, _ = _run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert done.returncode == -11
    crash = (tmp_path / "logs" / "worker.crash.log").read_text(encoding="utf-8")
    assert crash.startswith("Fatal Python error: Segmentation fault")
    assert "Smith" not in crash


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot open '/a/b c.svs' now", "cannot open … now"),
        ("no file /home/x/Smith.svs: gone", "no file … gone"),
        (r"no file C:\slides\Smith.svs here", "no file … here"),
        ('said "Jane"', "said …"),
        ("3 of 5 patches", "3 of 5 patches"),
    ],
)
def test_what_is_left_out(text: str, kept: str) -> None:
    assert without_names(text) == kept
