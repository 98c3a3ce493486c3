"""``plipdesk embed``: embeddings of texts or pictures as a NumPy file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from plipdesk.base.errors import UsageProblem
from plipdesk.base.files import atomic_write
from plipdesk.cli.commands import command
from plipdesk.cli.places import absolute
from plipdesk.cli.session import Session

PICTURES_AT_ONCE = 64


def declare(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "embed")
    def embed(
        session: Session,
        out: Annotated[Path, typer.Option(metavar="FILE.npy", help="Where the embeddings go.")],
        encoder: Annotated[str | None, typer.Option(help="Encoder id; see 'plipdesk models list'.")] = None,
        text: Annotated[list[str] | None, typer.Option(help="Words, as they are; repeatable.")] = None,
        images: Annotated[list[Path] | None, typer.Option(metavar="PATH", help="Pictures; repeatable.")] = None,
        more_images: Annotated[list[Path] | None, typer.Argument(metavar="[PATH…]", help="More pictures.")] = None,
        runtime: Annotated[Literal["auto", "torch", "onnx"], typer.Option(help="What runs the model.")] = "auto",
        precision: Annotated[
            Literal["fp32", "bf16", "fp16", "int8"],
            typer.Option(help="Numbers it computes with; others than fp32 are checked against it first."),
        ] = "fp32",
    ) -> None:
        """Write float32 (n, d), L2-normalised, in the order given."""
        pictures = [*(images or ()), *(more_images or ())]
        if bool(text) == bool(pictures):
            raise UsageProblem("Give either --text or --images.", remedy='For example: --text "smooth muscle".')
        from plipdesk.encoders.loading import find_encoder
        from plipdesk.encoders.precision import load_proven
        from plipdesk.slides.thumbnails import decode_picture

        installed = find_encoder(encoder, session.workspace.models)
        loaded = load_proven(installed, runtime=runtime, precision=precision, report=session.remark)
        notes: list[str] = []
        try:
            if text:
                vectors = loaded.encode_texts(text)
                cut = [f"“{words[:40]}…”" for words in text if loaded.truncated(words)]
                notes += [f"{words} is more than the encoder can read; its end was left out." for words in cut]
            else:
                batches = []
                for first in range(0, len(pictures), PICTURES_AT_ONCE):
                    some = [decode_picture(path) for path in pictures[first : first + PICTURES_AT_ONCE]]
                    batches.append(loaded.encode_pictures(some))
                vectors = np.concatenate(batches)
            with atomic_write(absolute(out)) as stream:
                np.save(stream, vectors)
            document = {
                "out": str(absolute(out)), "shape": list(vectors.shape), "encoder": loaded.card.id,
                "fingerprint": loaded.fingerprint, "runtime": loaded.runtime, "notes": notes,
            }  # fmt: skip
        finally:
            loaded.close()
        if session.as_json:
            session.answer(document)
        else:
            for note in notes:
                session.remark(note)
            session.say(f"{vectors.shape[0]} embeddings of {vectors.shape[1]} numbers in {document['out']}")
