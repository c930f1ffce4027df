"""Where the operations of :mod:`dbn.graph.ops` take the place of PyTensor's own, and at which point of its optimiser.

Every rewrite leaves the values as they are. Only functions compiled by :func:`dbn.graph.compile.function` ask for them.
"""
from pytensor import tensor as pt
from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.tensor.elemwise import DimShuffle
from pytensor.tensor.math import Dot

from dbn.graph.ops import AddProduct, Bernoulli, BinaryCrossEntropy, Product, Reconstruction, Sigmoid, Softplus


@node_rewriter([Dot])
def _product_with_transpose(fgraph, node):
    """BLAS reads a matrix either way; PyTensor's own product would turn it in memory first."""
    if any(variable.ndim != 2 or variable.dtype != node.outputs[0].dtype for variable in node.inputs):
        return None
    transposed = [_is_transpose(variable) for variable in node.inputs]
    if node.outputs[0].dtype not in ("float32", "float64") or not any(transposed):
        return None
    matrices = [variable.owner.inputs[0] if turned else variable for variable, turned in zip(node.inputs, transposed)]
    return [Product(*transposed)(*matrices)]


def _is_transpose(variable):
    node = variable.owner
    return _is_dimshuffle(node, (1, 0), ndim=2)


def _is_dimshuffle(node, new_order, ndim):
    """Whether `node` puts the `ndim` axes of an array in this order, and drops none, which a DimShuffle may too."""
    return (node is not None and isinstance(node.op, DimShuffle) and node.op.new_order == new_order
            and node.inputs[0].ndim == ndim)


@node_rewriter([pt.add])
def _product_plus_bias(fgraph, node):
    """BLAS adds to what is there already: the bias, which must be as long as a row of the product.

    It is, unless one of the two is known to be 1: PyTensor repeats no axis that merely happens to be of length 1.
    """
    for product, bias in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
        if product.owner is None or len(fgraph.clients[product]) > 1 or not _is_dimshuffle(bias.owner, ("x", 0), 1):
            continue
        is_product = isinstance(product.owner.op, Product) and len(product.owner.inputs) == 2
        as_long = 1 not in (product.type.shape[1:] + bias.type.shape[1:])
        if (is_product or isinstance(product.owner.op, Dot)) and as_long and (
                {variable.dtype for variable in (*product.owner.inputs, bias)} == {product.dtype}
                and product.dtype in ("float32", "float64")):
            op = product.owner.op if is_product else Product(False, False)
            return [op(*product.owner.inputs, bias.owner.inputs[0])]
    return None


@node_rewriter([Bernoulli])
def _reconstruction(fgraph, node):
    """Draws and costs of the same units by one exponential, where nothing else asks for the units' means."""
    mean, state = node.inputs
    if mean.owner is None or not isinstance(mean.owner.op, Sigmoid) or len(fgraph.clients[mean]) > 1:
        return None
    [t] = mean.owner.inputs
    for client, _ in fgraph.clients[t]:
        if isinstance(client.op, BinaryCrossEntropy) and client.inputs[1] is t and not (
                apply_depends_on(client, node) or apply_depends_on(node, client)):
            draws, cost = Reconstruction()(client.inputs[0], t, state)
            return {node.outputs[0]: draws, client.outputs[0]: cost}
    return None


@node_rewriter([AddProduct, Sigmoid, Softplus], inplace=True)
def _in_place(fgraph, node):
    """Overwrite the first input where nobody needs it any more; PyTensor refuses the change elsewhere."""
    return None if node.op.inplace else [type(node.op)(inplace=True)(*node.inputs)]


TAG = "dbn"  # of the rewrites that only the functions of dbn.graph.compile ask for

# when PyTensor has simplified all it can, but not yet fused its element-wise operations (49)
optdb.register("dbn_reconstruction", dfs_rewriter(_reconstruction), TAG, position=48.7)
optdb.register("dbn_product_with_transpose", dfs_rewriter(_product_with_transpose), TAG, position=48.8)
optdb.register("dbn_product_plus_bias", dfs_rewriter(_product_plus_bias), TAG, position=48.9)
# where PyTensor does the same for its own products
optdb.register("dbn_in_place", dfs_rewriter(_in_place), TAG, "inplace", position=50.2)
