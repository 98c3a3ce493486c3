"""The tuned encoder as a folder that encoders load: its base's card with what has changed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from plipdesk.base.files import atomic_write, sha256_of
from plipdesk.encoders.card import EncoderCard, ModelFile
from plipdesk.training.export import WEIGHTS_NAME, write_card
from plipdesk.training.losses import MOST_LOGIT_SCALE
from plipdesk.training.recipe import TrainingProblem

if TYPE_CHECKING:
    from plipdesk.training.tuning.running import TuneRun


def export_tuned(run: TuneRun, folder: Path) -> Path:
    """Write the run's best model to ``folder`` in float32; the card comes last, so a folder with a card is whole.

    Raises:
        TrainingProblem: the recipe's card says something that a card cannot.
    """
    from safetensors.torch import save

    base, record = run.base.card, run.record
    model: Any = run.best_model()
    tensors = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    with atomic_write(folder / WEIGHTS_NAME) as stream:
        stream.write(save(tensors, {"format": "pt"}))
    files = {"weights": ModelFile(name=WEIGHTS_NAME, sha256=sha256_of(folder / WEIGHTS_NAME))}
    if run.base.tokenizer is not None:
        content = run.base.tokenizer.read_bytes()
        with atomic_write(folder / run.base.tokenizer.name) as stream:
            stream.write(content)
        name = run.base.tokenizer.name
        files["tokenizer"] = ModelFile(name=name, sha256=sha256_of(folder / name))
    best = next((look for look in record.looks if look.step == record.best_step), None)
    scores = (
        {}
        if best is None
        else {
            "validation_loss": round(best.loss, 4),
            "validation_text_to_image_recall_at_10": round(best.text_to_image_recall_at_10, 4),
            "validation_image_to_text_recall_at_10": round(best.image_to_text_recall_at_10, 4),
        }
    )
    fields = {
        **base.model_dump(),
        "id": record.recipe.name,
        "name": record.recipe.name,
        "source": f"Tuned from {base.id} by plipdesk (recipe {record.recipe.name}, step "
        f"{record.best_step or len(record.losses)})",
        "training_data": f"{record.pictures:,} captioned pictures (fingerprint {record.data_fingerprint}); "
        f"its base: {base.training_data}",
        "scores": scores,
        "notes": (f"Before tuning it was {base.id}, fingerprint {record.base_fingerprint}.",),
        **record.recipe.card,
        "files": files,
        "logit_scale": min(MOST_LOGIT_SCALE, math.exp(model.logit_scale.item())),
    }
    try:
        card = EncoderCard.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingProblem(
            f"The recipe's card cannot be used: {'.'.join(map(str, first['loc']))}: {first['msg']}.",
            remedy="Correct the recipe's section card.",
        ) from error
    write_card(folder, card)
    return folder
