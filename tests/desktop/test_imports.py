"""What the window may load: nothing that computes."""

from __future__ import annotations

import subprocess
import sys


def test_the_window_loads_no_model_and_no_slide_library() -> None:
    code = (
        "import sys\n"
        "import plipdesk.desktop.main, plipdesk.desktop.demo, plipdesk.engine.client\n"
        "heavy = {'torch', 'onnxruntime', 'openslide', 'numpy', 'PIL', 'tifffile', 'hnswlib', 'sqlalchemy', 'sklearn',"
        " 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_view_state_knows_no_qt() -> None:
    code = (
        "import sys\n"
        "import plipdesk.desktop.state.library, plipdesk.desktop.state.jobs, plipdesk.desktop.state.mpp\n"
        "import plipdesk.desktop.state.query_draft, plipdesk.desktop.state.lru, plipdesk.desktop.viewer.camera\n"
        "import plipdesk.desktop.viewer.scheduler, plipdesk.desktop.viewer.scale\n"
        "print([name for name in sys.modules if name.startswith('PySide6')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
