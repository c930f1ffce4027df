"""Operations of our own, for the places where training spends its time outside of matrix products, or a compiler does.

* :func:`sigmoid` and :func:`softplus`: PyTensor's, by formulas that the compiler turns into vector instructions; and
  the costs that are made of them, :func:`softmax_cost` and :func:`binary_cross_entropy`;
* :func:`bernoulli`, :func:`normal` and :func:`uniform`: draws from a counter-based generator, which needs no state but
  a number; and :class:`Reconstruction`, draws and costs of the same units, which a rewrite makes of both;
* :class:`AddProduct`, ``z + alpha * x'y`` in one call of BLAS, for an update of weights; and :class:`Product`, with
  transposes and a bias: rewrites put them in the place of PyTensor's;
* :func:`take_rows`: rows of a matrix by number, read ahead of their use;
* :class:`MatrixSum` and :class:`Filled`, by rewrites too: PyTensor's own are as quick and give the same bits, but they
  take every layout and message into account, and take ten times as long to compile.

Each has a plain NumPy ``perform``, which modes other than Numba use. How Numba computes them stands in
:mod:`dbn.graph.numba_elementwise` and :mod:`dbn.graph.numba_products`; which of PyTensor's own operations they take the
place of, in :mod:`dbn.graph.rewrites`. RESULTS.md says what each of them brings.
"""
import numpy as np
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply, Constant
from pytensor.graph.op import Op
from pytensor.raise_op import CheckAndRaise
from pytensor.tensor.type import integer_dtypes
from scipy import special

from dbn.graph.threefry import threefry2x32, uniform32, uniform64


def negligible(dtype):
    """What is smaller counts as 0 in gradients: no parameter would change by it.

    A processor takes a hundred times as long with numbers too small for its usual format, and saturated units make
    them: where one such number meets a matrix, an epoch of a well-trained network took half as long again.
    """
    return np.finfo(dtype).tiny / np.finfo(dtype).eps


def _without_negligible(x):
    """`x` with 0 in the place of what is :func:`negligible`, and with the gradient of `x` itself.

    The gradient of the ``switch`` would be 0 wherever `x` is 0, and a second derivative lose what it has there. The
    operation is gone before anything else is done to a graph that is compiled.
    """
    value = x.type()
    kept = pt.switch(pt.abs(value) < negligible(x.dtype), pt.zeros((), dtype=x.dtype), value)
    return OpFromGraph([value], [kept], inline=True, pullback=_as_it_came)(x)


def _as_it_came(inputs, outputs, gradients):
    return gradients


class _Squash(Op):
    """A function of every element of a float array, over its memory from end to end."""

    __props__ = ("inplace",)

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, x):
        x = pt.as_tensor(x)
        if x.dtype not in ("float32", "float64"):
            raise TypeError(f"{type(self).__name__} takes an array of floats, not {x.type}")
        return Apply(self, [x], [x.type()])

    def infer_shape(self, fgraph, node, shapes):
        return shapes

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.asarray(self.formula(inputs[0]), dtype=inputs[0].dtype)


class Sigmoid(_Squash):
    """1 / (1 + exp(-x))."""

    formula = staticmethod(special.expit)

    def pullback(self, inputs, outputs, gradients):
        y = Sigmoid()(inputs[0])
        return [_without_negligible(gradients[0] * y * (1 - y))]


class Softplus(_Squash):
    """log(1 + exp(x)), finite wherever x is."""

    @staticmethod
    def formula(x):
        return np.logaddexp(0, x)

    def pullback(self, inputs, outputs, gradients):
        return [gradients[0] * Sigmoid()(inputs[0])]


sigmoid, softplus = Sigmoid(), Softplus()


class SoftmaxCost(Op):
    """Mean negative log-likelihood of class numbers under a softmax, and its gradient, in one pass.

    Inputs are activations a [n, k] and class numbers y, integers [n]; outputs the cost, mean of
    log(sum_j exp(a_j)) - a_y, and the gradient by the activations, (softmax(a) - [j = y]) / n, which costs next to
    nothing once the first is known. IndexError for a class that is not there.
    """

    __props__ = ()

    def make_node(self, a, y):
        a, y = pt.as_tensor(a), pt.as_tensor(y)
        if a.ndim != 2 or a.dtype not in ("float32", "float64") or y.ndim != 1 or y.dtype not in integer_dtypes:
            raise TypeError(f"the cost takes a matrix of floats and a vector of integers, not {a.type} and {y.type}")
        return Apply(self, [a, y], [pt.scalar(dtype=a.dtype), a.type()])

    def infer_shape(self, fgraph, node, shapes):
        return [(), shapes[0]]

    def perform(self, node, inputs, outputs):
        a, y = inputs
        if len(y) != len(a) or (len(y) and not 0 <= y.min() <= y.max() < a.shape[1]):
            raise IndexError(f"class numbers {y} for activations of shape {a.shape}")
        rows = np.arange(len(y))
        gradient = special.softmax(a, axis=1)
        gradient[rows, y] -= 1
        gradient[np.abs(gradient) < len(y) * negligible(a.dtype)] = 0
        outputs[0][0] = np.asarray((special.logsumexp(a, axis=1) - a[rows, y]).mean(), dtype=a.dtype)
        outputs[1][0] = (gradient / len(y)).astype(a.dtype)

    def connection_pattern(self, node):
        return [[True, True], [False, False]]

    def pullback(self, inputs, outputs, gradients):
        (a, y), (of_cost, of_gradient) = inputs, gradients
        terms = [] if isinstance(of_cost.type, DisconnectedType) else [of_cost * self(a, y)[1]]
        if not isinstance(of_gradient.type, DisconnectedType):
            # of each row, (diag(s) - s s') v / n: the softmax's own derivative
            share = pt.special.softmax(a, axis=1)
            product = share * of_gradient
            terms.append((product - share * product.sum(axis=1, keepdims=True)) / a.shape[0].astype(a.dtype))
        return [pt.add(*terms) if len(terms) > 1 else terms[0], disconnected_type()]


def softmax_cost(a, y):
    """The first output of :class:`SoftmaxCost`, a symbolic scalar."""
    return SoftmaxCost()(a, y)[0]


def class_numbers(y, n_classes):
    """`y`, a symbolic vector of integers; where a number is not one of 0 to `n_classes` - 1, to compute it is an error.

    An index that is not there is read all the same by compiled code: from whatever lies behind the array.
    """
    y = pt.as_tensor(y)
    if y.ndim != 1 or y.dtype not in integer_dtypes:
        raise TypeError(f"class numbers are a vector of integers, not {y.type}")
    check = CheckAndRaise(IndexError, "a class number that the output layer does not have")
    return check(y, pt.all((y >= 0) & (y < n_classes)))


class BinaryCrossEntropy(Op):
    """Mean over rows of ``sum_j x_j log s_j + (1 - x_j) log(1 - s_j)`` with s = sigmoid(t), in one pass.

    Inputs are x [n, m], in [0, 1], and t [n, m]; the sign is the tutorials', so that higher is better. What is summed
    is ``x t - softplus(t)``.
    """

    __props__ = ()

    def make_node(self, x, t):
        x, t = pt.as_tensor(x), pt.as_tensor(t)
        if x.ndim != 2 or t.ndim != 2 or x.dtype != t.dtype or t.dtype not in ("float32", "float64"):
            raise TypeError(f"the cross-entropy takes two matrices of floats, not {x.type} and {t.type}")
        return Apply(self, [x, t], [pt.scalar(dtype=t.dtype)])

    def infer_shape(self, fgraph, node, shapes):
        return [()]

    def perform(self, node, inputs, outputs):
        outputs[0][0] = self.formula(*inputs)

    @staticmethod
    def formula(x, t):
        if x.shape != t.shape:
            raise ValueError(f"a cross-entropy of matrices of two shapes, {x.shape} and {t.shape}")
        return np.asarray((x * t - np.logaddexp(0, t)).sum(axis=1, dtype=np.float64).mean(), dtype=t.dtype)

    def pullback(self, inputs, outputs, gradients):
        x, t = inputs
        share = gradients[0] / t.shape[0].astype(t.dtype)
        return [share * t, share * (x - sigmoid(t))]


binary_cross_entropy = BinaryCrossEntropy()


class Draw(Op):
    """Random numbers of the shape of an array of means, from the generator of :mod:`dbn.graph.threefry`.

    Inputs are the means and the generator's state, uint32 [3]: the key's two words and the number of arrays drawn with
    it, see :func:`next_state`. The draws are of the means' dtype. Nothing is differentiable.
    """

    __props__ = ()

    def make_node(self, mean, state):
        mean, state = pt.as_tensor(mean), pt.as_tensor(state)
        if mean.dtype not in ("float32", "float64"):
            raise TypeError(f"draws are made around floats, not {mean.type}")
        if state.ndim != 1 or state.dtype != "uint32":
            raise TypeError(f"a generator's state is a vector of uint32, not {state.type}")
        return Apply(self, [mean, state], [mean.type()])

    def infer_shape(self, fgraph, node, shapes):
        return shapes[:1]

    def perform(self, node, inputs, outputs):
        mean, state = inputs
        outputs[0][0] = np.asarray(self.draw(mean, state), dtype=mean.dtype)

    def connection_pattern(self, node):
        return [[False], [False]]

    @staticmethod
    def uniform_pairs(n_values, state):
        """Uniform numbers for the first and the second half of `n_values`: two arrays of float32 [n_values / 2]."""
        block = np.arange(-(-n_values // 2), dtype=np.uint32)
        return map(uniform32, threefry2x32(state[:1], state[1:2], block, state[2:]))


class Bernoulli(Draw):
    """Binary draws: 1 with the probability in `mean`."""

    def draw(self, mean, state):
        drawn = np.concatenate([*self.uniform_pairs(mean.size, state)])[:mean.size]
        return drawn.reshape(mean.shape) < mean


class Normal(Draw):
    """Draws from a normal distribution of unit variance around `mean`, by the transform of Box and Muller."""

    def draw(self, mean, state):
        first, second = (drawn.astype(np.float64) for drawn in self.uniform_pairs(mean.size, state))
        radius, angle = np.sqrt(-2 * np.log1p(-first)), 2 * np.pi * second
        noise = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:mean.size]
        return mean + noise.reshape(mean.shape).astype(mean.dtype)


class Uniform(Draw):
    """Draws from [0, 1), added to `mean`: of 24 bits in single precision; of 53 in double, which take both words."""

    def draw(self, mean, state):
        if mean.dtype == np.float32:
            return mean + np.concatenate([*self.uniform_pairs(mean.size, state)])[:mean.size].reshape(mean.shape)
        block = np.arange(mean.size, dtype=np.uint32)
        return mean + uniform64(*threefry2x32(state[:1], state[1:2], block, state[2:])).reshape(mean.shape)


bernoulli, normal, uniform = Bernoulli(), Normal(), Uniform()


class Reconstruction(Op):
    """Binary draws with the probabilities sigmoid(t), and the :class:`BinaryCrossEntropy` of x and t, in one pass.

    Inputs are x [n, m], t [n, m] and a generator's state. The draws are those of :class:`Bernoulli`. CD asks its
    visible units for just these two, and each alone would compute the same exponentials. A rewrite makes it, not users.
    """

    __props__ = ()

    def make_node(self, x, t, state):
        return Apply(self, [x, t, state], [t.type(), pt.scalar(dtype=t.dtype)])

    def infer_shape(self, fgraph, node, shapes):
        return [shapes[1], ()]

    def perform(self, node, inputs, outputs):
        x, t, state = inputs
        outputs[0][0] = bernoulli.draw(special.expit(t), state).astype(t.dtype)
        outputs[1][0] = BinaryCrossEntropy.formula(x, t)


def next_state(state):
    """The generator's state after an array was drawn: the key, and one more."""
    return state + np.array([0, 0, 1], dtype=np.uint32)


class AddProduct(Op):
    """``z + alpha * dot(x.T, y)`` with z [m, n], x [k, m], y [k, n], and a scalar alpha: a weight matrix's update.

    What BLAS calls gemm. In place, it needs no room for the product. A rewrite makes it, not users.
    """

    __props__ = ("inplace",)

    def __init__(self, inplace=False):
        self.inplace = inplace
        if inplace:
            self.destroy_map = {0: [0]}

    def make_node(self, z, alpha, x, y):
        return Apply(self, [z, alpha, x, y], [z.type()])

    def infer_shape(self, fgraph, node, shapes):
        return shapes[:1]

    def perform(self, node, inputs, outputs):
        z, alpha, x, y = inputs
        product = np.dot(x.T, y)
        if product.shape != z.shape:
            raise ValueError(f"a product of shape {product.shape} for a matrix of shape {z.shape}")
        outputs[0][0] = np.add(z, alpha * product, out=z if self.inplace else None)


class Product(Op):
    """``dot(x, y)`` or ``dot(x, y) + b`` of two matrices, either of them given as its transpose, and a vector b.

    Rewrites make it, not users.
    """

    __props__ = ("x_transposed", "y_transposed")

    def __init__(self, x_transposed, y_transposed):
        self.x_transposed, self.y_transposed = x_transposed, y_transposed

    def make_node(self, x, y, *bias):
        [(n_rows, n_columns)] = self.infer_shape(None, None, [variable.type.shape for variable in (x, y)])
        if n_columns is None and bias:
            [n_columns] = bias[0].type.shape
        return Apply(self, [x, y, *bias], [pt.tensor(dtype=x.dtype, shape=(n_rows, n_columns))])

    def infer_shape(self, fgraph, node, shapes):
        return [(shapes[0][1 if self.x_transposed else 0], shapes[1][0 if self.y_transposed else 1])]

    def perform(self, node, inputs, outputs):
        x, y, *bias = inputs
        product = np.dot(x.T if self.x_transposed else x, y.T if self.y_transposed else y)
        if bias and len(bias[0]) != product.shape[1]:
            raise ValueError(f"a bias of {len(bias[0])} numbers for a product of shape {product.shape}")
        outputs[0][0] = product + bias[0] if bias else product


class TakeRows(Op):
    """``data[rows]`` of a matrix [n, m] and a vector of int64; IndexError for a row that is not there."""

    __props__ = ()

    def make_node(self, data, rows):
        data, rows = pt.as_tensor(data), pt.as_tensor(rows)
        if data.ndim != 2 or rows.ndim != 1 or rows.dtype != "int64":
            raise TypeError(f"rows are taken from a matrix by a vector of int64, not from {data.type} by {rows.type}")
        return Apply(self, [data, rows], [pt.matrix(dtype=data.dtype)])

    def infer_shape(self, fgraph, node, shapes):
        return [(shapes[1][0], shapes[0][1])]

    def perform(self, node, inputs, outputs):
        data, rows = inputs
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(data):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a matrix of {len(data)}")
        outputs[0][0] = data[rows]


take_rows = TakeRows()


class MatrixSum(Op):
    """``x.sum(axis)`` of a matrix, with axis 0, 1 or None for all: added up in double precision, row by row.

    A bias's gradient, say. A rewrite makes it, not users.
    """

    __props__ = ("axis",)

    def __init__(self, axis):
        self.axis = axis

    def make_node(self, x):
        return Apply(self, [x], [pt.tensor(dtype=x.dtype, shape=self._kept(x.type.shape))])

    def infer_shape(self, fgraph, node, shapes):
        return [self._kept(shapes[0])]

    def _kept(self, shape):
        return () if self.axis is None else (shape[1 - self.axis],)

    def perform(self, node, inputs, outputs):
        outputs[0][0] = np.asarray(inputs[0].sum(axis=self.axis, dtype=np.float64), dtype=inputs[0].dtype)


class Filled(Op):
    """A new matrix [n, m] full of one number, which is the only one of an array; of its dtype.

    A rewrite makes it, not users.
    """

    __props__ = ()

    def make_node(self, number, n_rows, n_columns):
        shape = [int(length.data) if isinstance(length, Constant) else None for length in (n_rows, n_columns)]
        return Apply(self, [number, n_rows, n_columns], [pt.tensor(dtype=number.dtype, shape=shape)])

    def infer_shape(self, fgraph, node, shapes):
        return [tuple(node.inputs[1:])]

    def perform(self, node, inputs, outputs):
        number, n_rows, n_columns = inputs
        outputs[0][0] = np.full((n_rows, n_columns), number.item(), dtype=number.dtype)
