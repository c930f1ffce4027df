"""How Numba computes the operations of :mod:`dbn.ops`; importing this module tells PyTensor.

Loops without branches, calls or tests for zero divisors become vector instructions, four to sixteen numbers at a time:
that is what the formulas here are made for. Single precision has them; double precision, which tests use, has the
library's functions.
"""
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from dbn import threefry
from dbn.ops import (AddProduct, Bernoulli, BinaryCrossEntropy, Normal, Product, Reconstruction, Sigmoid, SoftmaxCost,
                     Softplus, TakeRows)

VERSION = 8  # raised whenever the code below changes, so that nobody's cache holds the old one

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
        for name in ("prefer-vector-width", "min-legal-vector-width"):
            set.add(attributes, f'"{name}"="512"')  # llvmlite's own `add` knows no attribute that has a value
        attributes.add("noinline")  # in the midst of another function it would be lost
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
        overwrite = _overwriting(single if node.outputs[0].type.dtype == "float32" else double)

        @njit
        def squash_in_place(x):
            return overwrite(np.ascontiguousarray(x))

        @njit
        def squash(x):
            return overwrite(x.copy())

        return squash_in_place if op.inplace else squash, VERSION


_register_squash(Sigmoid, sigmoid32, sigmoid64)
_register_squash(Softplus, softplus32, softplus64)


@register_funcify_default_op_cache_key(SoftmaxCost)
def _funcify_softmax_cost(op, node, **_):
    dtype = node.outputs[0].type.numpy_dtype
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
                gradient[i, j] *= scale
            gradient[i, y[i]] -= dtype.type(1) / dtype.type(n)
        return np.asarray(dtype.type(cost / n)), gradient

    return softmax_cost, VERSION


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

    return binary_cross_entropy, VERSION


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
        out1[i] = one if threefry.uniform(word1) < mean1[i] else zero
        out2[i] = one if threefry.uniform(word2) < mean2[i] else zero
    if len(out2) < half:
        word1, _ = threefry.threefry2x32(key0, key1, np.uint32(half - 1), draw)
        out1[-1] = one if threefry.uniform(word1) < mean1[-1] else zero


@njit(error_model="numpy")
def _normal(key0, key1, draw, mean, out):
    """As :func:`_bernoulli`, by the transform of Box and Muller."""
    half = (len(mean) + 1) // 2
    mean1, mean2, out1, out2 = mean[:half], mean[half:], out[:half], out[half:]
    for i in range(half):
        word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(i), draw)
        radius = np.sqrt(-2 * np.log1p(-np.float64(threefry.uniform(word1))))
        angle = 2 * np.pi * np.float64(threefry.uniform(word2))
        out1[i] = mean1[i] + out.dtype.type(radius * np.cos(angle))
        if i < len(out2):
            out2[i] = mean2[i] + out.dtype.type(radius * np.sin(angle))


def _register_draw(op_class, fill):
    @register_funcify_default_op_cache_key(op_class)
    def funcify(op, node, **_):
        @njit
        def draw(mean, state):
            mean = np.ascontiguousarray(mean)
            out = np.empty_like(mean)
            fill(state[0], state[1], state[2], mean.ravel(), out.ravel())
            return out

        return draw, VERSION


_register_draw(Bernoulli, _bernoulli)
_register_draw(Normal, _normal)


_LANES, _LANE_FACTORS = 1024, 120  # each from 1/2 to 1, so that the product of 120 fits into single precision


@register_funcify_default_op_cache_key(Reconstruction)
def _funcify_reconstruction(op, node, **_):
    """log s = min(t, 0) + log max(s, 1 - s) with s = sigmoid(t), and a sum of logarithms is that of a product."""
    dtype = node.outputs[0].type.numpy_dtype
    sigmoid = sigmoid32 if dtype == np.float32 else sigmoid64
    one, zero = dtype.type(1), dtype.type(0)

    @njit(error_model="numpy")
    def score(x, t, s):
        return x * t - (t if t > zero else zero), max(s, one - s)

    @njit
    def halves(matrix, half):
        flat = matrix.reshape(matrix.size)
        return flat[:half], flat[half:]

    @njit(error_model="numpy")
    def draw_and_score(key0, key1, first, draw, x1, x2, t1, t2, out1, out2, sums, products):
        """As :func:`_bernoulli` from the block `first` on; and the scores, of two numbers to each of the lanes."""
        _wide_vectors()
        for j in range(len(out2)):
            word1, word2 = threefry.threefry2x32(key0, key1, np.uint32(first + np.uint32(j)), draw)
            s1, s2 = sigmoid(t1[j]), sigmoid(t2[j])
            out1[j] = one if threefry.uniform(word1) < s1 else zero
            out2[j] = one if threefry.uniform(word2) < s2 else zero
            (sum1, factor1), (sum2, factor2) = score(x1[j], t1[j], s1), score(x2[j], t2[j], s2)
            sums[j] += sum1 + sum2
            products[j] *= factor1 * factor2

    @njit(error_model="numpy")
    def total_of(sums, products, factors):
        """The sum of what the lanes hold, each the product of so many `factors`; the lanes are emptied."""
        width = len(sums)
        while 2 * factors <= _LANE_FACTORS and width % 2 == 0:
            width, factors = width // 2, 2 * factors
            for j in range(width):
                sums[j] += sums[width + j]
                products[j] *= products[width + j]
        total = 0.0
        for j in range(width):
            total += sums[j] + np.log(products[j])
        sums[:], products[:] = zero, one
        return total

    @njit(error_model="numpy")
    def reconstruction(x, t, state):
        if x.shape != t.shape:
            raise ValueError("the cross-entropy's two matrices differ in shape")
        x, t = np.ascontiguousarray(x), np.ascontiguousarray(t)
        key0, key1, draw = state[0], state[1], state[2]
        out = np.empty_like(t)
        half = (t.size + 1) // 2
        (x1, x2), (t1, t2), (out1, out2) = halves(x, half), halves(t, half), halves(out, half)
        sums, products = np.zeros(_LANES, dtype=dtype), np.ones(_LANES, dtype=dtype)
        total, factors = 0.0, 0
        for start in range(0, len(out2), _LANES):
            end = min(start + _LANES, len(out2))
            draw_and_score(key0, key1, np.uint32(start), draw, x1[start:end], x2[start:end], t1[start:end],
                           t2[start:end], out1[start:end], out2[start:end], sums, products)
            factors += 2
            if factors == _LANE_FACTORS or end == len(out2):
                total += total_of(sums, products, factors)
                factors = 0
        if len(out2) < half:
            word1, _ = threefry.threefry2x32(key0, key1, np.uint32(half - 1), draw)
            s = sigmoid(t1[-1])
            out1[-1] = one if threefry.uniform(word1) < s else zero
            last_sum, last_factor = score(x1[-1], t1[-1], s)
            total += last_sum + np.log(last_factor)
        return out, np.asarray(dtype.type(total / len(t)))

    return reconstruction, VERSION


# --------------------------------------------------------------------------------------------------- products

_POINTERS = {"float32": types.CPointer(types.float32), "float64": types.CPointer(types.float64)}
_KINDS = {"float32": ord("s"), "float64": ord("d")}


def _product(dtype, x_transposed, y_transposed, beta):
    """A compiled ``out = beta * out + alpha * dot(x, y)``, x or y given as transposes or not; `out` is contiguous.

    By the function of BLAS that Numba's own products call. To BLAS, which counts by columns, each matrix here is its
    own transpose: out' = y' x' is what it computes.
    """
    pointer, kind = _POINTERS[dtype], _KINDS[dtype]
    gemm = types.ExternalFunction("numba_xxgemm", types.intc(
        types.char, types.char, types.char, types.intp, types.intp, types.intp,  # kind, two transpositions, m, n, k
        # alpha, a and its leading dimension, b and its, beta, c and its
        pointer, pointer, types.intp, pointer, types.intp, pointer, pointer, types.intp))
    x_flag, y_flag = ord("t" if x_transposed else "n"), ord("t" if y_transposed else "n")
    x_rows, y_columns = (1, 0) if x_transposed else (0, 1), (0, 1) if y_transposed else (1, 0)

    @njit
    def product(out, alpha, x, y):
        n_rows, n_inner = x.shape[x_rows[0]], x.shape[x_rows[1]]
        n_columns = y.shape[y_columns[0]]
        if y.shape[y_columns[1]] != n_inner or out.shape[0] != n_rows or out.shape[1] != n_columns:
            raise ValueError("matrices of shapes that do not fit in a product")
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        factors = np.array([alpha, beta], dtype=out.dtype)
        gemm(kind, y_flag, x_flag, n_columns, n_rows, n_inner, factors.ctypes, y.ctypes, y.shape[1],
             x.ctypes, x.shape[1], factors[1:].ctypes, out.ctypes, n_columns)
        return out

    return product


_SMALL = 10**6  # multiplications: up to here OpenBLAS has kernels for small matrices, where it has them at all


@register_funcify_default_op_cache_key(AddProduct)
def _funcify_add_product(op, node, **_):
    product = _product(node.outputs[0].type.dtype, True, False, beta=1)
    inplace = op.inplace

    @njit
    def add_product(z, alpha, x, y):
        """By slices of the minibatch that are small matrices, a quarter faster; without such kernels no loss."""
        out = np.ascontiguousarray(z) if inplace else z.copy()
        most = _SMALL // max(z.size, 1)
        n_slices = -(-len(x) // most) if most >= 16 else 1  # thinner ones cost more than they bring
        step = max(-(-len(x) // max(n_slices, 1)), 1)
        for start in range(0, len(x), step):
            product(out, alpha.item(), x[start:start + step], y[start:start + step])
        return out

    return add_product, VERSION


@register_funcify_default_op_cache_key(Product)
def _funcify_product(op, node, **_):
    dtype = node.outputs[0].type.numpy_dtype
    flags = dtype.name, op.x_transposed, op.y_transposed
    multiply, multiply_and_add = _product(*flags, beta=0), _product(*flags, beta=1)
    x_rows, y_columns = int(op.x_transposed), int(not op.y_transposed)

    @njit
    def product(x, y):
        return multiply(np.empty((x.shape[x_rows], y.shape[y_columns]), dtype=dtype), 1, x, y)

    @njit
    def product_plus_bias(x, y, bias):
        out = np.empty((x.shape[x_rows], y.shape[y_columns]), dtype=dtype)
        if len(bias) != out.shape[1]:
            raise ValueError("a bias that is not as long as a row of the product")
        for i in range(len(out)):
            for j in range(len(bias)):
                out[i, j] = bias[j]
        return multiply_and_add(out, 1, x, y)

    # PyTensor's cache knows an operation by its properties and this number
    return (product, 10 * VERSION) if len(node.inputs) == 2 else (product_plus_bias, 10 * VERSION + 1)


# ------------------------------------------------------------------------------------------------------- rows

@intrinsic
def _copy_row(typing_context, target, i, source, j, ahead):
    """Copy row `j` of `source` to row `i` of `target`, and ask for row `ahead` of `source` to be brought nearer.

    Rows in random order come from main memory, whose answer takes as long as half a row's arithmetic; asked for in
    time, the wait is over when the row's turn comes.
    """
    def codegen(context, builder, signature, arguments):
        def row(argument, index):
            kind = signature.args[argument]
            array = context.make_array(kind)(context, builder, arguments[argument])
            [n_columns] = cgutils.unpack_tuple(builder, array.shape, 2)[1:]
            n_bytes = builder.mul(n_columns, context.get_constant(types.intp, kind.dtype.bitwidth // 8))
            base = builder.bitcast(array.data, ir.IntType(8).as_pointer())
            return builder.gep(base, [builder.mul(index, n_bytes)]), n_bytes

        to, n_bytes = row(0, arguments[1])
        cgutils.raw_memcpy(builder, to, row(2, arguments[3])[0], n_bytes, 1)
        byte_pointer, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        prefetch = cgutils.get_or_insert_function(builder.module, ir.FunctionType(
            ir.VoidType(), [byte_pointer, int32, int32, int32]), "llvm.prefetch.p0i8")
        coming = row(2, arguments[4])[0]
        with cgutils.for_range_slice(builder, ir.Constant(n_bytes.type, 0), n_bytes,
                                     ir.Constant(n_bytes.type, 64)) as (offset, _):
            # for reading, into the second-level cache, as data
            builder.call(prefetch, [builder.gep(coming, [offset]), int32(0), int32(2), int32(1)])
        return context.get_dummy_value()

    return types.void(target, i, source, j, ahead), codegen


_AHEAD = 4  # rows: time enough, and no more than the cache has room for


@njit
def _take_rows(data, rows):
    data = np.ascontiguousarray(data)
    out = np.empty((len(rows), data.shape[1]), dtype=data.dtype)
    for row in rows:
        if row < 0 or row >= len(data):
            raise IndexError("a row that the matrix does not have")
    for i in range(len(rows)):
        _copy_row(out, i, data, rows[i], rows[min(i + _AHEAD, len(rows) - 1)])
    return out


@register_funcify_default_op_cache_key(TakeRows)
def _funcify_take_rows(op, node, **_):
    return _take_rows, VERSION
