"""A transformer's written graph with its big matrix products in whole numbers of 8 bits.

Weights are quantised per output, symmetrically; activations when they are there, by their own least and greatest value
(ONNX Runtime's DynamicQuantizeMatMul, which is one product on processors with VNNI). Whoever runs the graph gives it
one picture at a time: then no picture's numbers depend on which others are encoded beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plipdesk.encoders.card import EncoderProblem

if TYPE_CHECKING:
    import onnx

_FUSED = "com.microsoft"
_MOST = 127


def int8_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` with its inner matrix products in int8; the first (of pixels) and the last stay in float32.

    Raises:
        EncoderProblem: the tower is no transformer, so that whole numbers would gain nothing.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    if any(node.op_type == "Conv" for node in graph.node):
        raise EncoderProblem(
            "Only Vision Transformers are encoded in int8: networks of convolutions are not quicker for it here.",
            remedy="Choose fp32.",
        )
    places = [place for place, node in enumerate(graph.node) if _is_product(node, constants)][1:-1]
    if not places:
        raise EncoderProblem("This model has no matrix products to be made quicker by int8.", remedy="Choose fp32.")
    for place in places:
        node = graph.node[place]
        rows, weight, *bias = node.input
        whole, scale = quantised(numpy_helper.to_array(constants[weight]))
        names = [f"{weight}_int8", f"{weight}_scale"]
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(whole.T), names[0]))
        graph.initializer.append(numpy_helper.from_array(scale, names[1]))
        product = helper.make_node(
            "DynamicQuantizeMatMul", [rows, *names, "", *bias], list(node.output), domain=_FUSED, name=node.name
        )
        graph.node[place].CopyFrom(product)
    used = {name for node in graph.node for name in node.input}
    kept = [constant for constant in graph.initializer if constant.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def quantised(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """``weight`` (out, k) as whole numbers from -127 to 127 and the scale (out) that gives it back."""
    scale = np.abs(weight).max(axis=1) / _MOST
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(weight / scale[:, None]).astype(np.int8), scale


def _is_product(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    turned = any(attribute.name == "transB" and attribute.i == 1 for attribute in node.attribute)
    return node.op_type == "Gemm" and turned and node.input[1] in constants
