"""ONNX Runtime on the CPU.

Pictures are encoded in small chunks, one per thread, each wholly on its own thread: no thread ever waits for another
inside a layer. On a machine that also decodes slides and draws a window that is about twice as quick as sharing each
layer between threads, and takes less processor time. A single text has nothing to share out but its layers, so the text
tower does that. In int8 a chunk is one picture: its numbers then depend on no other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderCard, EncoderProblem
from plipdesk.encoders.export import Tower
from plipdesk.encoders.running import RunningEncoder
from plipdesk.encoders.texts import TextBatch, TextPreparer

if TYPE_CHECKING:
    import onnxruntime

# Found with benchmarks/encoder.py: larger ones fall out of the cache, smaller ones starve the matrix product.
_CHUNK_TRANSFORMER = 8
_CHUNK_CONVOLUTION = 2


class OnnxEncoder(RunningEncoder):
    """An encoder in ONNX Runtime; each tower is loaded when it is first needed."""

    def __init__(
        self,
        card: EncoderCard,
        texts: TextPreparer | None,
        graph: Callable[[Tower], Path],
        *,
        threads: int,
        numeric_class: Literal["fp32", "int8"] = "fp32",
        chunk: int | None = None,
    ) -> None:
        """Take where to find the graph of a tower (exported on the first call) and how many threads to use.

        ``chunk``: pictures that a thread encodes at once, in fp32; None: what suits most machines.
        """
        super().__init__(card, texts, numeric_class)
        self._whole_numbers = numeric_class == "int8"
        self._graph = graph
        self._threads = max(1, threads)
        self._lock = threading.Lock()
        self._sessions: dict[Tower, onnxruntime.InferenceSession] = {}
        self._pool: ThreadPoolExecutor | None = None
        trunk: str = card.architecture.get("vision_cfg", {}).get("timm_model_name", "vit")
        convolutional = not trunk.startswith("vit")
        usual = _CHUNK_CONVOLUTION if convolutional else _CHUNK_TRANSFORMER
        self._chunk = 1 if self._whole_numbers else chunk or usual

    @property
    def runtime(self) -> str:
        """Runtime, device and, unless fp32, precision in words."""
        return "onnx cpu int8" if self._whole_numbers else "onnx cpu"

    def close(self) -> None:
        """Give back memory and threads; the encoder can be used again and then loads anew."""
        with self._lock:
            self._sessions.clear()
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def _session(self, tower: Tower) -> onnxruntime.InferenceSession:
        with self._lock:
            if tower not in self._sessions:
                threads = self._threads if tower == "text" else 1
                self._sessions[tower] = open_session(self._graph(tower), threads)
            return self._sessions[tower]

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="encode")
            return self._pool

    def _encode_pixels(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        session = self._session("image")
        # Few pictures are spread over all threads rather than left to one.
        chunk = max(1, min(self._chunk, -(-len(pixels) // self._threads)))
        starts = range(0, len(pixels), chunk)
        rows = np.empty((len(pixels), self._card.dim), dtype=np.float32)

        def encode(start: int) -> None:
            rows[start : start + chunk] = session.run(["embeddings"], {"pixels": pixels[start : start + chunk]})[0]

        if self._threads == 1 or len(starts) == 1:
            for start in starts:
                encode(start)
        else:
            for _ in self._workers().map(encode, starts):
                pass
        return rows

    def _encode_tokens(self, batch: TextBatch) -> NDArray[np.float32]:
        session = self._session("text")
        rows: NDArray[np.float32] = session.run(["embeddings"], {"ids": batch.ids, "ends": batch.ends})[0]
        return rows


def open_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """A session on the CPU with ``threads`` threads inside each layer.

    Raises:
        EncoderProblem: ONNX Runtime refuses the graph.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads that spin take the cores that decoding and the window need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.InvalidProtobuf, failures.NotImplemented) as error:
        raise EncoderProblem(
            f"ONNX Runtime cannot run this model: {error}.", path=graph, remedy="Choose the torch runtime."
        ) from error
