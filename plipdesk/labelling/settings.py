"""How patches are labelled; recorded with every result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plipdesk.base.errors import UsageProblem
from plipdesk.labelling.smoothing import MAX_RADIUS

Choice = Literal["single", "multi", "hierarchical"]
Score = Literal["probability", "cosine", "margin"]

UNSURE_RATIO = 1.05
"""A patch is unsure where its best class is not at least this many times as likely as the second."""


class LabelSettings(BaseModel):
    """Settings of one labelling.

    ``choice``: one class a patch; any number (``multi``); or from the top of the hierarchy down. ``score``: what stands
    for "how sure" in tables and maps. ``smooth``: radius in patches over which scores are averaged; 0: not at all.
    ``unsure_ratio``: 1 makes no patch unsure. ``threshold``: the probability from which on a class is given in
    ``multi``. ``patch_mpp_um``: the tilings to label; none: the one nearest to the encoder's MPP. Several are averaged
    on the finest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    choice: Choice = "single"
    score: Score = "probability"
    none_of_these: bool = False
    unsure_ratio: Annotated[float, Field(ge=1, le=1000)] = UNSURE_RATIO
    smooth: Annotated[int, Field(ge=0, le=MAX_RADIUS)] = 0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    way: str | None = None
    patch_mpp_um: tuple[Annotated[float, Field(gt=0, le=100)], ...] = ()
    use_corrections: bool = True
    seed: Annotated[int, Field(ge=0)] = 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LabelSettings:
        """Settings from a request.

        Raises:
            UsageProblem: one of them makes no sense.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UsageProblem(f"This setting of labelling cannot be: {place}: {first['msg']}.") from error
