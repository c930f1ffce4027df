"""Where the operations of :mod:`dbn.graph.ops` take the place of PyTensor's own, and at which point of its optimiser.

Every rewrite leaves the values as they are. Only functions compiled by :func:`dbn.graph.compile.function` ask for them.
"""
from functools import reduce

from pytensor import tensor as pt
from pytensor.compile.mode import optdb
from pytensor.graph.rewriting.basic import GraphRewriter, dfs_rewriter, node_rewriter
from pytensor.graph.traversal import apply_depends_on
from pytensor.tensor.basic import Alloc
from pytensor.tensor.elemwise import DimShuffle
from pytensor.tensor.math import Dot, Sum

from dbn.graph.ops import (AddProduct, Bernoulli, BinaryCrossEntropy, Filled, MatrixSum, Product, Reconstruction,
                           Sigmoid, Softplus)

FLOATS = "float32", "float64"


@node_rewriter([pt.add, pt.sub])
def _add_products(fgraph, node):
    """A step of gradient descent, ``W - lr * dot(x.T, y)``, by one call of BLAS for each product.

    Sums, differences and multiples by scalars are taken apart, down to products that nobody else asks for.
    """
    [out] = node.outputs
    if out.ndim != 2 or out.dtype not in FLOATS:
        return None
    products, others = [], []
    for multiple in _multiples(fgraph, out, 1, (), root=True):
        (products if _is_product_of_transpose(fgraph, multiple[-1]) else others).append(multiple)
    if not products or not others:
        return None
    signed = [(sign, reduce(pt.mul, factors, term)) for sign, factors, term in others]
    matrix = reduce(pt.add, [term if sign > 0 else -term for sign, term in signed])
    if 1 in matrix.type.shape:  # a row that is repeated, say
        return None
    for sign, factors, product in products:
        left, right = product.owner.inputs
        scale = reduce(pt.mul, map(_scalar, factors), pt.constant(sign, dtype=out.dtype))
        matrix = AddProduct()(matrix, scale, left.owner.inputs[0], right)
    return [matrix]


def _multiples(fgraph, variable, sign, factors, root=False):
    """Triples of a sign, of factors, which are arrays of one number, and of a term; `variable` is their sum."""
    node = variable.owner
    parts = None
    if node is not None and (root or len(fgraph.clients[variable]) == 1):
        if node.op == pt.add:
            parts = [(sign, factors, summand) for summand in node.inputs]
        elif node.op == pt.sub:
            parts = [(sign, factors, node.inputs[0]), (-sign, factors, node.inputs[1])]
        elif node.op == pt.neg:
            parts = [(-sign, factors, node.inputs[0])]
        elif node.op == pt.mul and sum(not _is_number(each) for each in node.inputs) == 1:
            numbers = [each for each in node.inputs if _is_number(each)]
            parts = [(sign, (*factors, *numbers), each) for each in node.inputs if not _is_number(each)]
    if parts is None or any(each.dtype != variable.dtype for each in node.inputs):
        return [(sign, factors, variable)]
    return [multiple for of_sign, of, part in parts for multiple in _multiples(fgraph, part, of_sign, of)]


def _is_number(variable):
    return all(variable.broadcastable)


def _scalar(variable):
    return variable.dimshuffle(()) if variable.ndim else variable


def _is_product_of_transpose(fgraph, variable):
    node = variable.owner
    return (node is not None and isinstance(node.op, Dot) and len(fgraph.clients[variable]) == 1
            and all(each.ndim == 2 and each.dtype == variable.dtype for each in node.inputs)
            and _is_transpose(node.inputs[0]))


@node_rewriter([Dot])
def _product_with_transpose(fgraph, node):
    """BLAS reads a matrix either way; PyTensor's own product would turn it in memory first."""
    if any(variable.ndim != 2 or variable.dtype != node.outputs[0].dtype for variable in node.inputs):
        return None
    transposed = [_is_transpose(variable) for variable in node.inputs]
    if node.outputs[0].dtype not in FLOATS or not any(transposed):
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
                and product.dtype in FLOATS):
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


@node_rewriter([Sum])
def _matrix_sum(fgraph, node):
    [x], [out], axes = node.inputs, node.outputs, node.op.axis
    if x.ndim != 2 or not x.dtype == out.dtype in FLOATS or node.op.acc_dtype not in ("float64", None):
        return None
    return [MatrixSum(axes[0] if axes is not None and len(axes) == 1 else None)(x)]


@node_rewriter([Alloc])
def _filled(fgraph, node):
    number, *shape = node.inputs
    is_matrix_of_one = len(shape) == 2 and _is_number(number) and number.dtype in FLOATS
    return [Filled()(number, *shape)] if is_matrix_of_one else None


@node_rewriter([AddProduct, Sigmoid, Softplus], inplace=True)
def _in_place(fgraph, node):
    """Overwrite the first input where nobody needs it any more; PyTensor refuses the change elsewhere."""
    return None if node.op.inplace else [type(node.op)(inplace=True)(*node.inputs)]


class _RegisterWithJax(GraphRewriter):
    """Changes nothing: JAX's mode runs it, and it alone, before it asks how to compute our operations.

    To import JAX takes a second, which whoever does not use it need not wait for.
    """

    def apply(self, fgraph):
        import dbn.graph.jax_kernels  # noqa: F401


TAG = "dbn"  # of the rewrites that only the functions of dbn.graph.compile ask for

# when PyTensor has simplified all it can, but not yet fused its element-wise operations (49)
optdb.register("dbn_reconstruction", dfs_rewriter(_reconstruction), TAG, position=48.7)
optdb.register("dbn_add_products", dfs_rewriter(_add_products), TAG, position=48.75)
optdb.register("dbn_product_with_transpose", dfs_rewriter(_product_with_transpose), TAG, position=48.8)
optdb.register("dbn_product_plus_bias", dfs_rewriter(_product_plus_bias), TAG, position=48.9)
# and when it has
optdb.register("dbn_matrix_sum", dfs_rewriter(_matrix_sum), TAG, position=49.4)
optdb.register("dbn_filled", dfs_rewriter(_filled), TAG, position=49.4)
optdb.register("dbn_register_with_jax", _RegisterWithJax(), "jax", position=0)
# where PyTensor does the same for its own products
optdb.register("dbn_in_place", dfs_rewriter(_in_place), TAG, "inplace", position=50.2)
