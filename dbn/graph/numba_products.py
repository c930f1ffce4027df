"""How Numba computes the products of :mod:`dbn.graph.ops`, by BLAS; takes rows, by copies of memory; and the like."""
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key

from dbn.graph.cache_key import KEY
from dbn.graph.ops import AddProduct, Filled, MatrixSum, Product, TakeRows

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


# Multiplications: up to here OpenBLAS has kernels for small matrices, where it has them at all. They bring nothing for
# less than so many rows.
_SMALL, _THIN = 10**6, 25


@register_funcify_default_op_cache_key(AddProduct)
def _funcify_add_product(op, node, **_):
    product = _product(node.outputs[0].type.dtype, True, False, beta=1)
    inplace = op.inplace

    @njit
    def add_product(z, alpha, x, y):
        """By slices of the minibatch that are small matrices, a quarter faster; without such kernels no loss."""
        if len(x) != len(y):
            raise ValueError("matrices of shapes that do not fit in a product")
        out = np.ascontiguousarray(z) if inplace else z.copy()
        most = _SMALL // max(z.size, 1)
        n_slices = -(-len(x) // most) if most >= _THIN else 1
        step = max(-(-len(x) // max(n_slices, 1)), 1)
        for start in range(0, len(x), step):
            product(out, alpha.item(), x[start:start + step], y[start:start + step])
        return out

    return add_product, KEY


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
    return (product, KEY) if len(node.inputs) == 2 else (product_plus_bias, KEY + 1)


@intrinsic
def _copy_row(typing_context, target, i, source, j, ahead):
    """Copy row `j` of `source` to row `i` of `target`, and ask for row `ahead` of `source` to be brought nearer.

    Both matrices are contiguous.

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


def _copy_rows(out, data, rows):
    """Fill `out` with the rows of these numbers; how, the memory's layout says, which the compiler knows."""


@overload(_copy_rows)
def _copy_rows_of(out, data, rows):
    def from_contiguous(out, data, rows):
        for i in range(len(rows)):
            _copy_row(out, i, data, rows[i], rows[min(i + _AHEAD, len(rows) - 1)])

    def from_strided(out, data, rows):
        # number by number: to make the whole matrix contiguous, at every minibatch, takes a thousand times as long
        for i in range(len(rows)):
            for j in range(data.shape[1]):
                out[i, j] = data[rows[i], j]

    return from_contiguous if data.layout == "C" else from_strided


@njit
def _take_rows(data, rows):
    out = np.empty((len(rows), data.shape[1]), dtype=data.dtype)
    for row in rows:
        if row < 0 or row >= len(data):
            raise IndexError("a row that the matrix does not have")
    _copy_rows(out, data, rows)
    return out


@register_funcify_default_op_cache_key(TakeRows)
def _funcify_take_rows(op, node, **_):
    return _take_rows, KEY


@register_funcify_default_op_cache_key(MatrixSum)
def _funcify_matrix_sum(op, node, **_):
    dtype, axis = node.outputs[0].type.numpy_dtype, op.axis

    @njit
    def matrix_sum(x):
        totals = np.zeros(1 if axis is None else x.shape[1 - axis])
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                totals[0 if axis is None else j if axis == 0 else i] += x[i, j]
        return np.array(totals[0], dtype=dtype) if axis is None else totals.astype(dtype)

    return matrix_sum, KEY


@njit
def _filled(number, n_rows, n_columns):
    out = np.empty((n_rows.item(), n_columns.item()), dtype=number.dtype)
    value = number.item()
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = value
    return out


@register_funcify_default_op_cache_key(Filled)
def _funcify_filled(op, node, **_):
    return _filled, KEY
