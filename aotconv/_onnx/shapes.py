"""Which values of a graph follow from the shapes of what it is fed, so that they can be kept."""

from __future__ import annotations

from .graph import OUR_DOMAIN, Graph, Node

# Whose results' shapes follow from those of their inputs.
OF_SHAPES = frozenset(
    """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh AveragePool BatchNormalization BitShift Cast
    CastLike Ceil Celu Clip Concat Conv ConvInteger ConvTranspose Cos Cosh DequantizeLinear
    Div Elu Equal Erf Exp Flatten Floor Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity
    InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpPool
    MatMul MatMulInteger Max MaxPool Mean Min Mish Mod Mul Neg Not Or PRelu Pow QLinearConv
    QuantizeLinear Reciprocal Relu Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin
    Sinh Size Softmax Softplus Softsign Sqrt Sub Sum Tan Tanh Transpose Where Xor Activation
    FusedConv FusedConvTranspose
    """.split()  # noqa: SIM905
)
# The same, given the values of all inputs but the first.
OF_LATER_VALUES = frozenset(
    """
    Expand Pad ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Reshape Resize Slice Split Squeeze Tile TopK
    Unsqueeze Upsample
    """.split()  # noqa: SIM905
)


def follows_from_shapes(graph: Graph) -> set[str]:
    """Names of values that nodes compute alike whenever shapes of feeds are alike."""
    values = {"", *graph.constants}
    shapes = {*values, *(each.name for each in graph.model.graph.input)}
    found: set[str] = set()
    for node in graph.nodes:
        reads = node.reads()
        of_shapes = node.is_("Shape", "Size") and reads <= shapes
        if of_shapes or (reads <= values and node.is_deterministic()):
            values.update(node.outputs)
            found.update(node.outputs)
        if shaped(node, shapes, values):
            shapes.update(node.outputs)
    return found - {""}


def shaped(node: Node, shapes: set[str], values: set[str]) -> bool:
    """Whether the shapes of a node's results follow from those of feeds."""
    reads = node.reads()
    if reads <= values:
        return node.is_deterministic()
    known = node.is_of_onnx() or node.domain == OUR_DOMAIN
    if not known or not reads <= shapes or any(node.graphs()):
        return False
    later = set(node.inputs[1:]) <= values
    return node.operator in OF_SHAPES or (node.operator in OF_LATER_VALUES and later)
