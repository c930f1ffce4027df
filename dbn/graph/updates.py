"""One step of gradient descent, as a graph that is computed in place."""
import pytensor.tensor as pt
from pytensor.tensor.math import Dot

from dbn.graph.ops import add_product


def descend(param, gradient, lr):
    """``param - lr * gradient``, every product in the gradient of a matrix added to the parameter by one call of BLAS.

    Parameters
    ----------
    param : symbolic vector or matrix
    gradient : symbolic vector or matrix
        As :func:`pytensor.grad` gives it: of weights, a product of inputs and errors or a sum of such products.
    lr : float or symbolic scalar
        Learning rate.

    Returns
    -------
    symbolic vector or matrix
        The new value.
    """
    lr = pt.cast(lr, param.dtype)
    for term in _terms(gradient):
        node = term.owner
        if node is not None and isinstance(node.op, Dot):
            left, right = node.inputs
            param = add_product(param, -lr, left.T, right)
        else:
            param = param - lr * term
    return param


def _terms(variable):
    """The summands of a symbolic sum, or the variable itself."""
    if variable.owner is not None and variable.owner.op == pt.add:
        return [term for summand in variable.owner.inputs for term in _terms(summand)]
    return [variable]
