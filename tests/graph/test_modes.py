"""Our operations in PyTensor's other modes: plain Python, C and JAX, whose numbers are Numba's."""
from importlib.util import find_spec

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode, get_mode

from compute_ops import numbers, states
from dbn.graph.compile import TAG, function, minibatch, mode
from dbn.graph.ops import (AddProduct, Filled, MatrixSum, Product, Reconstruction, bernoulli, binary_cross_entropy,
                           normal, sigmoid, softmax_cost, softplus, take_rows, uniform)
from small_network import examples, network

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
OTHERS = {"FAST_COMPILE": lambda: "FAST_COMPILE", "C": lambda: Mode(linker="cvm", optimizer="fast_run"),
          "JAX": lambda: "JAX"}
by_others = pytest.mark.parametrize("by", ["FAST_COMPILE", "C", pytest.param("JAX", marks=needs_jax)])
N, BATCH_SIZE = 60, 20
pytestmark = [pytest.mark.filterwarnings("ignore:Skipping"), pytest.mark.filterwarnings("ignore:overflow")]


def compiled(inputs, outputs, by, **options):
    return function(inputs, outputs, mode=mode() if by == "numba" else OTHERS[by](), **options)


def epoch_of_cd(dtype, by, visible):
    """Both layers, minibatch by minibatch; parameters and costs."""
    dbn = network(dtype, visible=visible)
    x, lr, costs = examples(N)[0].astype(dtype), pt.scalar(dtype=dtype), []
    for layer, rbm in enumerate(dbn.rbm_layers):
        cost, updates = rbm.get_cost_updates(lr)
        step = compiled([rbm.input, lr], cost, by, updates=updates)
        # compiled alike, as PyTensor's JAX leaves arrays of its own behind, sums of float32 in float64
        inputs = x if layer == 0 else np.asarray(compiled([dbn.x], dbn.sigmoid_layers[0].output, by)(x), dtype)
        costs += [step(minibatch(inputs, i, BATCH_SIZE), np.asarray(0.1, dtype)) for i in range(N // BATCH_SIZE)]
    return [*dbn.get_values(), np.array(costs)]


def epoch_of_finetuning(dtype, by, output):
    dbn = network(dtype, output=output)
    x, y = examples(N)
    step = compiled([dbn.x, dbn.y], [dbn.finetune_cost, dbn.errors], by, updates=dbn.finetune_updates(0.1))
    results = [step(minibatch(x.astype(dtype), i, BATCH_SIZE), minibatch(y, i, BATCH_SIZE))
               for i in range(N // BATCH_SIZE)]
    return [*dbn.get_values(), np.array(results)]


@by_others
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epoch, kind", [(epoch_of_cd, "bernoulli"), (epoch_of_cd, "gaussian"),
                                         (epoch_of_finetuning, "softmax"), (epoch_of_finetuning, "sigmoid")])
def test_an_epoch_gives_numbas_numbers(epoch, kind, dtype, by):
    for found, expected in zip(epoch(dtype, by, kind), epoch(dtype, "numba", kind), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 if dtype == "float32" else 1e-12)


@by_others
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_operation_gives_numbas_numbers(dtype, by):
    """Those too that only rewrites make; matrices of an odd number of elements."""
    x, t, z = (numbers(*shape, dtype=dtype, seed=i, scale=1) for i, shape in enumerate([(7, 5), (7, 5), (5, 5)]))
    y, rows, [state] = np.array([0, 4, 1, 1, 2, 3, 0]), np.array([6, 0, 0]), states(3, 1)
    of_x, of_t, of_z = (pt.matrix(dtype=dtype) for _ in range(3))
    of_y, of_rows, of_state = pt.lvector(), pt.lvector(), pt.vector(dtype="uint32")
    mean = pt.abs(of_x) / (1 + pt.abs(of_x))
    graphs = [sigmoid(of_x), softplus(of_x), softmax_cost(of_x, of_y), pt.grad(softmax_cost(of_x, of_y), of_x),
              binary_cross_entropy(mean, of_t), bernoulli(mean, of_state), normal(of_x, of_state),
              uniform(of_x, of_state), *Reconstruction()(mean, of_t, of_state), take_rows(of_x, of_rows),
              AddProduct()(of_z, of_z[0, 0], of_x, of_t), Product(False, True)(of_x, of_t),
              Product(True, False)(of_x, of_t, of_z[0]), *(MatrixSum(axis)(of_x) for axis in (0, 1, None)),
              Filled()(of_z[:1, :1], of_y[1], of_y[5])]
    inputs, values = [of_x, of_t, of_z, of_y, of_rows, of_state], (x, t, z, y, rows, state)
    results = [compiled(inputs, graphs, which)(*values) for which in (by, "numba")]
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)


@by_others
def test_each_call_draws_anew(by):
    rbm = network("float64").rbm_layers[0]
    draw = compiled([rbm.input], rbm.sample_h_given_v(rbm.input)[2], by)
    x = np.full((20, rbm.n_visible), 0.5)
    assert (np.asarray(draw(x)) != np.asarray(draw(x))).any()


@pytest.mark.parametrize("by", ["FAST_COMPILE", "C"])
def test_whole_epochs_in_other_default_modes(by):
    """Where the process's mode is another, epochs are compiled by it, with our rewrites."""
    x, y = examples(N)
    results = []
    for flags in ({"mode": "FAST_COMPILE"} if by == "FAST_COMPILE" else {"linker": "cvm"}, {}):
        with pytensor.config.change_flags(**flags):
            dbn = network()
            assert TAG in mode()._optimizer.include
            costs = [dbn.pretraining_epoch(0, pytensor.shared(x))(np.arange(N), BATCH_SIZE, 0.1),
                     dbn.finetuning_epoch(pytensor.shared(x), pytensor.shared(y))(np.arange(N), BATCH_SIZE, 0.1)]
        results.append([*dbn.get_values(), np.array(costs)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@needs_jax
def test_jax_is_imported_by_its_own_mode_alone():
    rewrites = {name for by in ("NUMBA", "FAST_COMPILE", "FAST_RUN") for name in names_of(by)}
    assert "dbn_register_with_jax" in names_of("JAX") and "dbn_register_with_jax" not in rewrites


def names_of(by):
    rewriter = get_mode(by).optimizer
    return {getattr(each, "name", None) for each in getattr(rewriter, "data", rewriter)}
