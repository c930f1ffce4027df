"""What this package uses of PyTensor, Numba and llvmlite beside their public interfaces.

When a release changes one of them, the test of that name says which of our files to look at.
"""
import inspect
import tempfile

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from llvmlite import ir
from pytensor.compile.mode import get_default_mode, optdb

import dbn.graph.compile
from dbn.graph import rewrites


def test_positions_of_rewrites():
    """Ours stand between PyTensor's last simplification and its fusion, and in place where its own products are."""
    positions = {name: float(optdb.__position__[name]) for name in optdb.__position__}
    ours = [positions[f"dbn_{name}"] for name in ("reconstruction", "product_with_transpose", "product_plus_bias")]
    assert positions["specialize"] < min(ours) and max(ours) < positions["elemwise_fusion"], (
        "PyTensor has moved its rewrites: give those of dbn/graph/rewrites.py places between 'specialize' and "
        f"'elemwise_fusion' ({positions['specialize']}, {positions['elemwise_fusion']})")
    assert positions["elemwise_fusion"] < positions["dbn_in_place"], (
        "PyTensor fuses later: move dbn_in_place in dbn/graph/rewrites.py behind it")


def test_default_mode_takes_our_rewrites():
    x = pt.matrix("x", dtype="float32")
    mode = get_default_mode().including(rewrites.TAG).excluding("inplace_elemwise")
    applied = pytensor.function([x], pt.dot(x.T, x), mode=mode).maker.fgraph.apply_nodes
    assert "Product" in {type(node.op).__name__ for node in applied}, (
        "a mode that includes the tag 'dbn' no longer applies dbn/graph/rewrites.py")
    assert "inplace_elemwise" in optdb, (
        "PyTensor has renamed the rewrite that dbn/graph/compile.py keeps away, 'inplace_elemwise'")


def test_dispatch_to_numba():
    try:
        from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key as register
    except ImportError:
        pytest.fail("PyTensor has moved the function by which dbn/graph/numba_*.py register their kernels")
    assert list(inspect.signature(register).parameters) == ["op_type"], (
        "PyTensor registers kernels in another way: see dbn/graph/numba_elementwise.py")


def test_flags():
    assert hasattr(pytensor.config, "numba__fastmath"), (
        "PyTensor has renamed numba__fastmath, without which dbn/graph/compile.py gives other bits from a cache")


def test_blas_of_numba():
    from numba.np import linalg
    assert "numba_xxgemm" in inspect.getsource(linalg), (
        "Numba calls BLAS by another function than numba_xxgemm: see dbn/graph/numba_products.py")


def test_attributes_of_functions_in_llvm():
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    assert isinstance(function.attributes, set), (
        "llvmlite keeps attributes otherwise: _wide_vectors in dbn/graph/numba_elementwise.py does nothing")
    set.add(function.attributes, '"prefer-vector-width"="512"')
    assert '"prefer-vector-width"="512"' in str(function), (
        "llvmlite no longer writes the attributes of _wide_vectors in dbn/graph/numba_elementwise.py")


def test_sources_of_functions_are_not_left_behind(tmp_path, monkeypatch):
    """PyTensor leaves a file in the temporary folder for each function that it makes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    x = pt.matrix("x", dtype="float32")
    dbn.graph.compile.function([x], pt.tanh(x).sum())(np.zeros((2, 2), dtype=np.float32))
    assert not list(tmp_path.iterdir()), (
        "PyTensor writes the sources of functions in another way: see _source_file in dbn/graph/compile.py")
