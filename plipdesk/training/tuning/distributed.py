"""Several processes that share a batch, as ``torchrun`` starts them: one for each GPU, or on several machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from plipdesk.training.tuning.gradients import Group


@contextmanager
def joined() -> Iterator[Group]:
    """The group this process belongs to; one of its own where nobody started others beside it.

    NCCL carries gradients between GPUs, gloo between processors.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield Group()
        return
    import torch
    from torch import distributed

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
