"""How Numba computes the element-wise operations of :mod:`dbn.graph.ops`; importing this module tells PyTensor.

Loops without branches, calls or tests for zero divisors become vector instructions, four to sixteen numbers at a time:
that is what the formulas here are made for. Single precision has them; double precision, which tests use, has the
library's functions.
"""
import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from dbn.graph import threefry
from dbn.graph.cache_key import KEY
from dbn.graph.ops import (Bernoulli, BinaryCrossEntropy, Normal, Reconstruction, Sigmoid, SoftmaxCost, Softplus,
                           Uniform, negligible)

LOG2_E = np.float32(1.44269504)
# ln 2 in two parts: the first has so few digits that its product with a whole number of two digits is exact
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)


@intrinsic
def _wide_vectors(typing_context):
    """Called anywhere in a function: the compiler may fill the processor's widest vectors in it.

    Of 512 bits it is wary, as code with few of them slows early processors down. In loops that do nothing else they
    are up to half as fast again; what they compute is the same.
    """
    def codegen(context, builder, signature, arguments):
        attributes = builder.function.attributes
        if isinstance(attributes, set):  # of names alone, in llvmlite's mind: its own `add` refuses one with a value
            for name in ("prefer-vector-width", "min-legal-vector-width"):
                set.add(attributes, f'"{name}"="512"')
            attributes.add("noinline")  # in the midst of another function they would be lost
        return context.get_dummy_value()

    return types.void(), codegen


# ---------------------------------------------------------------------------------------- sigmoid and softplus

@njit(error_model="numpy")
def exp32(x):
    """exp(x) in single precision: 2^n e^r with |r| <= ln(2) / 2, by Taylor's polynomial.

    It is exp(-87), of about 1e-38, for all below, and infinite from 88.4 on.
    """
    # in this order, NaN stays what it is
    x = np.float32(89) if x > np.float32(89) else x
    x = np.float32(-87) if x < np.float32(-87) else x
    n = np.floor(x * LOG2_E + np.float32(0.5))
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = np.float32(1 / 5040)
    p = p * r + np.float32(1 / 720)
    p = p * r + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    # a float with exponent n and nothing else
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(error_model="numpy")
def exp64(x):
    return np.exp(x)


@njit(error_model="numpy")
def log1p_unit32(z):
    """log(1 + z) in single precision for z in [0, 1]: 2 artanh(s) with s = z / (2 + z) <= 1/3, by its series."""
    s = z / (np.float32(2) + z)
    q = s * s
    p = np.float32(1 / 15)
    p = p * q + np.float32(1 / 13)
    p = p * q + np.float32(1 / 11)
    p = p * q + np.float32(1 / 9)
    p = p * q + np.float32(1 / 7)
    p = p * q + np.float32(1 / 5)
    p = p * q + np.float32(1 / 3)
    p = p * q + np.float32(1)
    return np.float32(2) * s * p


@njit(error_model="numpy")
def sigmoid32(x):
    return np.float32(1) / (np.float32(1) + exp32(-x))


@njit(error_model="numpy")
def sigmoid64(x):
    return 1 / (1 + np.exp(-x))


@njit(error_model="numpy")
def softplus32(x):
    return (x if x > np.float32(0) else np.float32(0)) + log1p_unit32(exp32(-abs(x)))


@njit(error_model="numpy")
def softplus64(x):
    return (x if x > 0.0 else 0.0) + np.log1p(np.exp(-abs(x)))


def _overwriting(formula):
    """A compiled loop that applies `formula` to every element of a contiguous array, in place."""
    @njit(error_model="numpy")
    def overwrite(x):
        _wide_vectors()
        # one name for what is read and written: under two, the compiler must fear that they overlap by half
        flat = x.reshape(x.size)
        for i in range(len(flat)):
            flat[i] = formula(flat[i])
        return x

    return overwrite


def _register_squash(op_class, single, double):
    @register_funcify_default_op_cache_key(op_class)
    def funcify(op, node, **_):
        formula = single if node.outputs[0].type.dtype == "float32" else double
        overwrite = _overwriting(formula)

        @njit
        def squash_number(x):
            return np.asarray(formula(x.item()))

        @njit
        def squash_in_place(x):
            return overwrite(np.ascontiguousarray(x))

        @njit
        def squash(x):
            return overwrite(x.copy())

        if node.outputs[0].ndim == 0:  # a contiguous copy would be a vector
            return squash_number, KEY
        return squash_in_place if op.inplace else squash, KEY


_register_squash(Sigmoid, sigmoid32, sigmoid64)
_register_squash(Softplus, softplus32, softplus64)


@register_funcify_default_op_cache_key(SoftmaxCost)
def _funcify_softmax_cost(op, node, **_):
    dtype = node.outputs[0].type.numpy_dtype
    least = dtype.type(negligible(dtype))
    exponentials = _overwriting(exp32 if dtype == np.float32 else exp64)

    @njit(error_model="numpy")
    def softmax_cost(a, y):
        n = a.shape[0]
        if len(y) != n:
            raise IndexError("not as many class numbers as activations")
        gradient = np.empty(a.shape, dtype=dtype)
        cost = 0.0
        for i in range(n):
            if y[i] < 0 or y[i] >= a.shape[1]:
                raise IndexError("a class number that the output layer does not have")
            highest = a[i].max()
            for j in range(a.shape[1]):
                gradient[i, j] = a[i, j] - highest
            cost -= gradient[i, y[i]]
        exponentials(gradient)
        for i in range(n):
            total = gradient[i].sum()
            cost += np.log(total)
            scale = dtype.type(1) / (total * dtype.type(n))
            for j in range(a.shape[1]):
                share = gradient[i, j] * scale
                gradient[i, j] = 0 if share < least else share  # in this order, NaN stays what it is
            gradient[i, y[i]] -= dtype.type(1) / dtype.type(n)
        return np.asarray(dtype.type(cost / n)), gradient

    return softmax_cost, KEY


_FACTORS = 32  # each from 1 to 2, so that their product fits into single precision


@register_funcify_default_op_cache_key(BinaryCrossEntropy)
def _funcify_binary_cross_entropy(op, node, **_):
    """softplus(t) = max(t, 0) + log(1 + exp(-|t|)), and a sum of logarithms is the logarithm of a product."""
    dtype = node.inputs[1].type.numpy_dtype
    exponential = exp32 if dtype == np.float32 else exp64
    one, zero = dtype.type(1), dtype.type(0)

    @njit(error_model="numpy")
    def add_row(x, t, sums, products):
        # a sum for each column, as a single one would have to be made one number after another
        for j in range(len(sums)):
            products[j] *= one + exponential(-abs(t[j]))
            sums[j] += x[j] * t[j] - (t[j] if t[j] > zero else zero)

    @njit(error_model="numpy")
    def binary_cross_entropy(x, t):
        if x.shape != t.shape:
            raise ValueError("the cross-entropy's two matrices differ in shape")
        x, t = np.ascontiguousarray(x), np.ascontiguousarray(t)
        total = 0.0
        for start in range(0, len(t), _FACTORS):
            sums, products = np.zeros(t.shape[1], dtype=dtype), np.ones(t.shape[1], dtype=dtype)
            for i in range(start, min(start + _FACTORS, len(t))):
                add_row(x[i], t[i], sums, products)
            for j in range(len(sums)):
                total += sums[j] - np.log(products[j])
        return np.asarray(dtype.type(total / len(t)))

    return binary_cross_entropy, KEY


# ------------------------------------------------------------------------------------------------ random draws

@njit(error_model="numpy")
def _bernoulli(key0, key1, draw, mean, out):
    """Fill both halves of `out` from the two words of each block; all but the scalars are contiguous vectors."""
    _wide_vectors()
    half = (len(mean) + 1) // 2
    mean1, mean2, out1, out2 = mean[:half], mean[half:], out[:half], out[half:]
    one, zero = out.dtype.type(1), out.dtype.type(0)
    for i in range(len(out2)):
        word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(i), draw)
        out1[i] = one if threefry.uniform32(word1) < mean1[i] else zero
        out2[i] = one if threefry.uniform32(word2) < mean2[i] else zero
    if len(out2) < half:
        word1, _ = threefry.threefry2x32(key0, key1, np.uint32(half - 1), draw)
        out1[-1] = one if threefry.uniform32(word1) < mean1[-1] else zero


@njit(error_model="numpy")
def _normal(key0, key1, draw, mean, out):
    """As :func:`_bernoulli`, by the transform of Box and Muller."""
    half = (len(mean) + 1) // 2
    mean1, mean2, out1, out2 = mean[:half], mean[half:], out[:half], out[half:]
    for i in range(half):
        word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(i), draw)
        radius = np.sqrt(-2 * np.log1p(-np.float64(threefry.uniform32(word1))))
        angle = 2 * np.pi * np.float64(threefry.uniform32(word2))
        out1[i] = mean1[i] + out.dtype.type(radius * np.cos(angle))
        if i < len(out2):
            out2[i] = mean2[i] + out.dtype.type(radius * np.sin(angle))


@njit(error_model="numpy")
def _uniform32(key0, key1, draw, mean, out):
    """As :func:`_bernoulli`: a number from each word."""
    half = (len(mean) + 1) // 2
    for i in range(half):
        word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(i), draw)
        out[i] = mean[i] + threefry.uniform32(word1)
        if half + i < len(out):
            out[half + i] = mean[half + i] + threefry.uniform32(word2)


@njit(error_model="numpy")
def _uniform64(key0, key1, draw, mean, out):
    """A number from both words of each block."""
    for i in range(len(out)):
        word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(i), draw)
        out[i] = mean[i] + threefry.uniform64(word1, word2)


def _register_draw(op_class, fill32, fill64):
    @register_funcify_default_op_cache_key(op_class)
    def funcify(op, node, **_):
        fill = fill32 if node.outputs[0].dtype == "float32" else fill64

        @njit
        def draw(mean, state):
            mean = np.ascontiguousarray(mean)
            out = np.empty_like(mean)
            fill(state[0], state[1], state[2], mean.ravel(), out.ravel())
            return out

        @njit
        def draw_number(mean, state):
            return np.asarray(draw(mean, state)[0])

        return draw if node.outputs[0].ndim else draw_number, KEY


_register_draw(Bernoulli, _bernoulli, _bernoulli)
_register_draw(Normal, _normal, _normal)
_register_draw(Uniform, _uniform32, _uniform64)


_LANES, _LANE_FACTORS = 1024, 120  # each factor from 1/2 to 1, so that a lane's product fits into single precision


@njit
def _halves(matrix, half):
    flat = matrix.reshape(matrix.size)
    return flat[:half], flat[half:]


@njit(error_model="numpy")
def _total_of(sums, products, factors):
    """The sum of what all lanes hold, their products of so many factors by logarithms; the lanes are emptied."""
    width = len(sums)
    while 2 * factors <= _LANE_FACTORS and width % 2 == 0:
        width, factors = width // 2, 2 * factors
        for j in range(width):
            sums[j] += sums[width + j]
            products[j] *= products[width + j]
    total = 0.0
    for j in range(width):
        total += sums[j] + np.log(products[j])
    sums[:], products[:] = 0, 1
    return total


@register_funcify_default_op_cache_key(Reconstruction)
def _funcify_reconstruction(op, node, **_):
    """log s = min(t, 0) + log max(s, 1 - s) with s = sigmoid(t), and a sum of logarithms is that of a product."""
    dtype = node.outputs[0].type.numpy_dtype
    sigmoid = sigmoid32 if dtype == np.float32 else sigmoid64
    one, zero = dtype.type(1), dtype.type(0)

    @njit(error_model="numpy")
    def score(x, t, s):
        return x * t - (t if t > zero else zero), max(s, one - s)

    @njit(error_model="numpy")
    def draw_and_score(key0, key1, first, draw, x1, x2, t1, t2, out1, out2, sums, products):
        """As :func:`_bernoulli` from the block `first` on; and the scores, of two numbers to each of the lanes."""
        _wide_vectors()
        for j in range(len(out2)):
            word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(first + np.uint32(j)), draw)
            s1, s2 = sigmoid(t1[j]), sigmoid(t2[j])
            out1[j] = one if threefry.uniform32(word1) < s1 else zero
            out2[j] = one if threefry.uniform32(word2) < s2 else zero
            (sum1, factor1), (sum2, factor2) = score(x1[j], t1[j], s1), score(x2[j], t2[j], s2)
            sums[j] += sum1 + sum2
            products[j] *= factor1 * factor2

    @njit(error_model="numpy")
    def reconstruction(x, t, state):
        if x.shape != t.shape:
            raise ValueError("the cross-entropy's two matrices differ in shape")
        x, t = np.ascontiguousarray(x), np.ascontiguousarray(t)
        key0, key1, draw = state[0], state[1], state[2]
        out = np.empty_like(t)
        half = (t.size + 1) // 2
        (x1, x2), (t1, t2), (out1, out2) = _halves(x, half), _halves(t, half), _halves(out, half)
        sums, products = np.zeros(_LANES, dtype=dtype), np.ones(_LANES, dtype=dtype)
        total, factors = 0.0, 0
        for start in range(0, len(out2), _LANES):
            end = min(start + _LANES, len(out2))
            draw_and_score(key0, key1, np.uint32(start), draw, x1[start:end], x2[start:end], t1[start:end],
                           t2[start:end], out1[start:end], out2[start:end], sums, products)
            factors += 2
            if factors == _LANE_FACTORS or end == len(out2):
                total += _total_of(sums, products, factors)
                factors = 0
        if len(out2) < half:  # the last number of an odd number of them
            word1, _ = threefry.threefry2x32(key0, key1, np.uint32(half - 1), draw)
            s = sigmoid(t1[-1])
            out1[-1] = one if threefry.uniform32(word1) < s else zero
            last_sum, last_factor = score(x1[-1], t1[-1], s)
            total += last_sum + np.log(last_factor)
        return out, np.asarray(dtype.type(total / len(t)))

    return reconstruction, KEY
