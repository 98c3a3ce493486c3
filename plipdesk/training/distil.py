"""A small text tower learns to place texts where a sentence model places them.

The loss is the squared distance to the teacher's unit vector, which also shrinks what the student is unsure of, plus
the squared error of all pairwise similarities in the batch (relational distillation, Park et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plipdesk.base.files import atomic_write
from plipdesk.base.ids import settings_id
from plipdesk.base.progress import JobContext
from plipdesk.encoders.tokenizer import ClipTokenizer
from plipdesk.training.loop import ParameterGroup, step_seed
from plipdesk.training.model import TextBody
from plipdesk.training.recipe import DistilStage
from plipdesk.training.run import RunFolder
from plipdesk.training.starting import SentenceTeacher

if TYPE_CHECKING:
    import torch

_TOGETHER = 32


def teacher_embeddings(texts: Sequence[str], run: RunFolder, ctx: JobContext) -> NDArray[np.float32]:
    """The teacher's embeddings (n, 384) of ``texts``, kept in the run's folder in blocks."""
    key = settings_id({"texts": list(texts)}, digits=16)
    block, parts = 2048, []
    order = sorted(range(len(texts)), key=lambda place: (len(texts[place]), place))
    teacher: SentenceTeacher | None = None
    for start in range(0, len(order), block):
        path = run.folder / f"teacher-{key}" / f"{start}.npy"
        if not path.exists():
            teacher = teacher or SentenceTeacher()
            found = []
            for place in range(start, min(start + block, len(order)), 64):
                ctx.check_cancel()
                ctx.report(place, len(order), unit="texts", note="teacher")
                found.append(
                    teacher.encode([texts[number] for number in order[place : min(place + 64, start + block)]])
                )
            with atomic_write(path) as stream:
                np.save(stream, np.concatenate(found).astype(np.float16))
        parts.append(np.load(path).astype(np.float32))
    whole = np.empty((len(texts), SentenceTeacher.dim), dtype=np.float32)
    whole[order] = np.concatenate(parts)
    return whole


def token_start(
    ids: NDArray[np.int64], used: NDArray[np.int64], targets: NDArray[np.float32], vocabulary: int, width: int
) -> NDArray[np.float32]:
    """First values of the token embeddings (vocabulary, width): the mean target of the texts a token is part of.

    Short texts count more; targets are reduced to their first principal axes. Tokens never seen stay zero.
    """
    centred = targets - targets.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    reduced = (centred @ axes[:, ::-1][:, :width]).astype(np.float64)
    total = np.zeros((vocabulary, reduced.shape[1]))
    weight = np.zeros(vocabulary)
    for row in range(len(ids)):
        tokens = ids[row, 1 : used[row] - 1]
        share = 1.0 / max(1, len(tokens)) ** 2
        np.add.at(total, tokens, share * reduced[row])
        np.add.at(weight, tokens, share)
    mean = total / np.maximum(weight, 1e-3)[:, None]
    start = np.zeros((vocabulary, width), dtype=np.float32)
    start[:, : mean.shape[1]] = mean / max(float(mean.std()), 1e-6) * 0.04
    return start


class DistilTask:
    """See the module's text. ``core``: the first texts, from which most of each batch is drawn."""

    def __init__(
        self,
        body: TextBody,
        teacher_head: torch.nn.Linear,
        tokenizer: ClipTokenizer,
        stage: DistilStage,
        texts: Sequence[str],
        targets: NDArray[np.float32],
        *,
        core: int,
        seed: int,
        number: int,
    ) -> None:
        import torch

        tokens = tokenizer(list(texts))
        self._body, self._head, self._stage = body, teacher_head, stage
        self._seed, self._number = seed, number
        self._ids = torch.from_numpy(tokens.ids)
        self._used = tokens.used
        self._targets = torch.from_numpy(targets)
        short = tokens.used <= stage.longest_tokens
        self._core = np.flatnonzero(short[:core])
        self._rest = core + np.flatnonzero(short[core:])
        table = body.text.token_embedding.weight
        start = torch.from_numpy(token_start(tokens.ids, tokens.used, targets, *table.shape))
        with torch.no_grad():
            seen = start.abs().sum(dim=1) > 0
            table[seen] = start[seen]

    def groups(self) -> list[ParameterGroup]:
        """The whole text tower and the head that speaks the teacher's language."""
        return [ParameterGroup((*self._body.learning(), *self._head.parameters()))]

    def loss(self, step: int) -> torch.Tensor:
        """Squared distance to the teacher, and squared error of the batch's similarities."""
        import torch

        rng = np.random.default_rng(step_seed(self._seed, self._number, step))
        core = round(self._stage.batch * self._stage.core_share) if len(self._rest) else self._stage.batch
        drawn = [rng.choice(self._core, core)]
        if len(self._rest):
            drawn.append(rng.choice(self._rest, self._stage.batch - core))
        picked = np.concatenate(drawn)
        # Texts of like length go through the tower together, so that little is spent on padding.
        picked = picked[np.argsort(self._used[picked], kind="stable")]
        parts = np.array_split(picked, max(1, len(picked) // _TOGETHER))
        found = self._head(torch.cat([self._body(self._ids[part], self._used[part]) for part in parts]))
        wanted = self._targets[picked]
        distance = ((found - wanted) ** 2).sum(dim=1).mean()
        unit = torch.nn.functional.normalize(found, dim=1)
        alike = ((unit @ wanted.T - wanted @ wanted.T) ** 2).mean()
        loss: torch.Tensor = distance + self._stage.similarity_weight * alike
        return loss

    def state(self) -> dict[str, torch.Tensor]:
        """Text tower and head."""
        return {
            **{f"text/{name}": value for name, value in self._body.text.state_dict().items()},
            **{f"head/{name}": value for name, value in self._head.state_dict().items()},
        }

    def finish(self) -> None:
        """The tower itself was trained; there is nothing to put back."""
