"""The two halves of a model as torch modules with plipdesk's own inputs and outputs.

The torch runtime runs them; torch's own exporter is given them where plipdesk cannot write the graph itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plipdesk.encoders.card import EncoderCard

if TYPE_CHECKING:
    import torch


def image_tower(model: Any, card: EncoderCard) -> torch.nn.Module:
    """A module from pixels uint8 (n, input_px, input_px, 3) to L2-normalised embeddings float32 (n, dim)."""
    import torch
    from torch.nn import functional

    class ImageTower(torch.nn.Module):
        scale: torch.Tensor
        shift: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.visual = model.visual
            mean, std = torch.tensor(card.mean).view(1, 3, 1, 1), torch.tensor(card.std).view(1, 3, 1, 1)
            self.register_buffer("scale", 1.0 / (255.0 * std))
            self.register_buffer("shift", -mean / std)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            # A channels-last view of what already lies so in memory.
            planes = pixels.permute(0, 3, 1, 2).to(torch.float32) * self.scale + self.shift
            return functional.normalize(self.visual(planes).float(), dim=-1)

    return ImageTower().eval().requires_grad_(False)


def text_tower(model: Any) -> torch.nn.Module:
    """A module from token ids int64 (n, length) and the places ``ends`` int64 (n) to pool at to embeddings (n, dim).

    Unlike open_clip's own, it takes a causal tower's tokens in any length that reaches the last end of text. BERT knows
    by its filling where a text ends, so it needs no ``ends``.
    """
    import torch
    from torch.nn import functional

    class BertTower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.text = model.text

        def forward(self, ids: torch.Tensor, _ends: torch.Tensor) -> torch.Tensor:
            return functional.normalize(self.text(ids).float(), dim=-1)

    if getattr(getattr(model, "text", None), "is_bert", False):
        return BertTower().eval().requires_grad_(False)

    class TextTower(torch.nn.Module):
        attn_mask: torch.Tensor | None

        def __init__(self) -> None:
            super().__init__()
            parts = getattr(model, "text", model)
            self.token_embedding = parts.token_embedding
            self.positional_embedding = parts.positional_embedding
            self.transformer = parts.transformer
            self.ln_final = parts.ln_final
            self.text_projection = parts.text_projection
            self.register_buffer("attn_mask", parts.attn_mask, persistent=False)

        def forward(self, ids: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
            length = ids.shape[1]
            hidden = self.token_embedding(ids) + self.positional_embedding[:length]
            mask = self.attn_mask
            hidden = self.transformer(hidden, attn_mask=None if mask is None else mask[:length, :length])
            pooled = self.ln_final(hidden[torch.arange(hidden.shape[0], device=hidden.device), ends])
            if isinstance(self.text_projection, torch.nn.Linear):
                pooled = self.text_projection(pooled)
            elif self.text_projection is not None:
                pooled = pooled @ self.text_projection
            return functional.normalize(pooled.float(), dim=-1)

    return TextTower().eval().requires_grad_(False)
