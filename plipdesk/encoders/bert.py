"""BERT as a text tower, such as BiomedCLIP's: the module, by the names that open_clip's weights have.

Source of the architecture: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers" (2019). Written here
rather than taken from transformers, so that the application needs neither that library nor its look-ups on a hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderProblem

if TYPE_CHECKING:
    import torch

POOLERS = ("cls_last_hidden_state_pooler", "cls_pooler", "mean_pooler")
PROJECTIONS = ("mlp", "linear", "none")


@dataclass(frozen=True)
class BertShape:
    """What a card's ``text_cfg.bert`` holds."""

    vocab_size: int
    width: int
    layers: int
    heads: int
    mlp_width: int
    positions: int
    types: int
    epsilon: float
    pad_id: int
    pooler: str
    projection: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> BertShape:
        """Read and check it.

        Raises:
            EncoderProblem: an entry is missing, unknown or out of range.
        """
        try:
            shape = cls(**document)
        except TypeError as error:
            raise EncoderProblem(f"The text tower's description is not whole: {error}.") from error
        sizes = (shape.vocab_size, shape.width, shape.layers, shape.heads, shape.mlp_width, shape.positions)
        if not all(isinstance(size, int) and size > 0 for size in (*sizes, shape.types)) or shape.width % shape.heads:
            raise EncoderProblem("The text tower's sizes are none that a model can have.")
        if shape.pooler not in POOLERS or shape.projection not in PROJECTIONS:
            raise EncoderProblem(f"The text tower pools or projects in an unknown way ({shape.pooler}).")
        return shape


def bert_text(shape: BertShape, dim: int) -> torch.nn.Module:
    """Token ids int64 (n, length), filled up with ``pad_id`` → features (n, dim), not normalised."""
    from torch import nn
    from torch.nn import functional

    def norm() -> nn.Module:
        return nn.LayerNorm(shape.width, eps=shape.epsilon)

    class Output(nn.Module):
        """A projection whose answer is added to what went in, then normalised."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.dense, self.LayerNorm = nn.Linear(width, shape.width), norm()

        def forward(self, hidden: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.LayerNorm(self.dense(hidden) + before)
            return result

    class SelfAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(shape.width, shape.width) for _ in range(3))

        def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            count, length, width = hidden.shape
            query, key, value = (
                layer(hidden).view(count, length, shape.heads, -1).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            return mixed.transpose(1, 2).reshape(count, length, width)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.self, self.output = SelfAttention(), Output(shape.width)

        def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.output(self.self(hidden, mask), hidden)
            return result

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = Attention()
            self.intermediate = nn.ModuleDict({"dense": nn.Linear(shape.width, shape.mlp_width)})
            self.output = Output(shape.mlp_width)

        def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.attention(hidden, mask)
            result: torch.Tensor = self.output(functional.gelu(self.intermediate["dense"](hidden)), hidden)
            return result

    class Embeddings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word_embeddings = nn.Embedding(shape.vocab_size, shape.width)
            self.position_embeddings = nn.Embedding(shape.positions, shape.width)
            self.token_type_embeddings = nn.Embedding(shape.types, shape.width)
            self.LayerNorm = norm()

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            hidden = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
            result: torch.Tensor = self.LayerNorm(hidden + self.token_type_embeddings.weight[0])
            return result

    class Bert(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = Embeddings()
            self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(shape.layers))})
            if shape.pooler == "cls_pooler":
                self.pooler = nn.ModuleDict({"dense": nn.Linear(shape.width, shape.width)})

    class BertText(nn.Module):
        is_bert = True

        def __init__(self) -> None:
            super().__init__()
            self.transformer = Bert()
            between = (shape.width + dim) // 2
            projections: dict[str, nn.Module] = {
                "none": nn.Identity(),
                "linear": nn.Linear(shape.width, dim, bias=False),
                "mlp": nn.Sequential(
                    nn.Linear(shape.width, between, bias=False), nn.GELU(), nn.Linear(between, dim, bias=False)
                ),
            }
            self.proj = projections[shape.projection]

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            there = ids != shape.pad_id
            hidden = self.transformer.embeddings(ids)
            stack: Any = self.transformer.encoder["layer"]
            for layer in stack:
                hidden = layer(hidden, there[:, None, None, :])
            if shape.pooler == "mean_pooler":
                weights = there.unsqueeze(-1).to(hidden.dtype)
                pooled = (hidden * weights).sum(1) / weights.sum(1)
            else:
                pooled = hidden[:, 0]
            if shape.pooler == "cls_pooler":
                pooled = self.transformer.pooler["dense"](pooled).tanh()
            result: torch.Tensor = self.proj(pooled)
            return result

    return BertText()
