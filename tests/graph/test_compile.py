"""Whole epochs in one call against minibatch after minibatch, and the same bits from a fresh and a cached function."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from dbn.graph.compile import n_minibatches
from small_network import BATCH_SIZE, N_OUTS, examples, network

N = 23  # the last minibatch has three rows
LR = 0.3
ORDER = np.random.default_rng(1).permutation(N)
TOLERANCE = {"float32": {"rtol": 2e-5, "atol": 2e-6}, "float64": {"rtol": 1e-10, "atol": 1e-12}}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def numpy_finetuning_step(params, x, y, lr):
    """Back-propagation of the softmax cost by hand; changes `params` [W, b, W, b, ...] in place, gives the cost."""
    layers = list(zip(params[::2], params[1::2]))
    inputs = [x]
    for W, b in layers[:-1]:
        inputs.append(sigmoid(inputs[-1] @ W + b))
    W, b = layers[-1]
    p = np.exp(inputs[-1] @ W + b)
    p /= p.sum(axis=1, keepdims=True)
    cost = -np.log(p[np.arange(len(y)), y]).mean()
    delta = (p - np.eye(N_OUTS)[y]) / len(y)
    for (W, b), below in zip(reversed(layers), reversed(inputs)):
        back = delta @ W.T * below * (1 - below)
        W -= lr * below.T @ delta
        b -= lr * delta.sum(axis=0)
        delta = back
    return cost


@pytest.mark.parametrize("n", [0, 1, 19, 20, 21])
def test_number_of_minibatches(n):
    assert n_minibatches(n, 10) == len(range(0, n, 10))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_finetuning_epoch_against_numpy(dtype):
    x, y = examples(N)
    dbn = network(dtype)
    params = [param.get_value().astype(float) for param in dbn.params]
    run = dbn.finetuning_epoch(pytensor.shared(x.astype(dtype)), pytensor.shared(y))
    for order in (ORDER, ORDER[::-1].copy()):
        total = 0.0
        for start in range(0, N, BATCH_SIZE):
            rows = order[start:start + BATCH_SIZE]
            total += len(rows) * numpy_finetuning_step(params, x[rows].astype(float), y[rows], LR)
        assert run(order, BATCH_SIZE, LR) == pytest.approx(total / N, rel=1e-5 if dtype == "float32" else 1e-10)
        for param, expected in zip(dbn.params, params):
            np.testing.assert_allclose(param.get_value(), expected, **TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pretraining_epoch_against_the_tutorials_functions(dtype):
    """Parameters, mean cost and the generator after an epoch, for the first layer and one above it."""
    data = examples(N)[0].astype(dtype)
    one_by_one, at_once = network(dtype), network(dtype)
    functions = one_by_one.pretraining_functions(pytensor.shared(data[ORDER]), BATCH_SIZE, k=1)
    inputs = data
    for layer, (update, rate) in enumerate(zip(functions, ({}, {"lr": 0.1}), strict=True)):  # 0.1 is the default
        sizes = [len(ORDER[start:start + BATCH_SIZE]) for start in range(0, N, BATCH_SIZE)]
        costs = [update(index, **rate) for index in range(len(sizes))]
        run = at_once.pretraining_epoch(layer, pytensor.shared(inputs), k=1)
        assert run(ORDER, BATCH_SIZE, 0.1) == pytest.approx(np.dot(costs, sizes) / N, rel=1e-5)
        for expected, value in zip(one_by_one.get_values(), at_once.get_values()):
            np.testing.assert_allclose(value, expected, **TOLERANCE[dtype])
        inputs = at_once.propup_function(layer)(inputs)


def test_pcd_epoch_against_updates_one_by_one():
    """Parameters, chains, the unit of the pseudo-likelihood and the mean cost of PCD-2, over two epochs a layer."""
    data = examples(N)[0].astype("float64")
    one_by_one, at_once = network("float64"), network("float64")
    inputs = data
    for layer, n_hidden in enumerate((6, 5)):
        chains = [pytensor.shared(np.zeros((BATCH_SIZE, n_hidden))) for _ in range(2)]
        rbm, x = one_by_one.rbm_layers[layer], pt.dmatrix()
        rbm.input = x
        cost, updates = rbm.get_cost_updates(LR, persistent=chains[0], k=2)
        update = pytensor.function([x], cost, updates=updates)
        run = at_once.pretraining_epoch(layer, pytensor.shared(inputs), k=2, persistent=chains[1])
        for order in (ORDER, ORDER[::-1].copy()):
            batches = [order[start:start + BATCH_SIZE] for start in range(0, N, BATCH_SIZE)]
            total = sum(len(rows) * float(update(inputs[rows])) for rows in batches)
            assert run(order, BATCH_SIZE, LR) == pytest.approx(total / N, rel=1e-8)
        for expected, value in zip([*one_by_one.get_values(), chains[0].get_value()],
                                   [*at_once.get_values(), chains[1].get_value()]):
            np.testing.assert_allclose(value, expected, **TOLERANCE["float64"])
        assert chains[0].get_value().any()
        assert rbm.bit_i_idx.get_value() == at_once.rbm_layers[layer].bit_i_idx.get_value() == 6 % rbm.n_visible
        inputs = at_once.propup_function(layer)(inputs)


def states_of(dbn):
    return [state.get_value() for state, _ in dbn.theano_rng.state_updates]


def test_draws_go_on_and_a_seed_takes_them_back():
    dbn = network()
    data = examples(N)[0]
    values = dbn.get_values()
    run = dbn.pretraining_epoch(0, pytensor.shared(data))
    states = states_of(dbn)
    results = []
    for seed in (5, 5, 6):
        dbn.theano_rng.seed(seed)
        dbn.set_values(values)
        run(ORDER, BATCH_SIZE, LR)
        results.append(dbn.get_values()[0])
    n_batches = -(-N // BATCH_SIZE)
    assert len(states) == 3  # of hidden, visible and hidden units
    for before, after in zip(states, states_of(dbn)):
        assert (before[:2] != after[:2]).any() and after[2] == n_batches
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


def test_rows_are_taken_in_the_order_given():
    """Only the rows that the order names are used, each as often as it is named."""
    x, y = examples(N)
    full, part = network(), network()
    run_full = full.finetuning_epoch(pytensor.shared(x), pytensor.shared(y))
    run_part = part.finetuning_epoch(pytensor.shared(x[[4, 4, 7]]), pytensor.shared(y[[4, 4, 7]]))
    assert run_full(np.array([4, 4, 7]), 2, LR) == pytest.approx(run_part(np.arange(3), 2, LR), rel=1e-6)
    for a, b in zip(full.params, part.params):
        np.testing.assert_allclose(a.get_value(), b.get_value(), **TOLERANCE["float32"])


@pytest.mark.parametrize("order, batch_size", [([], 2), ([1, 2], 0), ([1, 2], -1)])
def test_an_epoch_of_nothing_is_refused(order, batch_size):
    x, y = examples(N)
    dbn = network()
    before = dbn.get_values()
    run = dbn.finetuning_epoch(pytensor.shared(x), pytensor.shared(y))
    with pytest.raises(ValueError, match="order is empty, or batch_size is not positive"):
        run(np.array(order, dtype=np.int64), batch_size, LR)
    for value, expected in zip(dbn.get_values(), before):
        np.testing.assert_array_equal(value, expected)


# an epoch of CD: with fast-math, simpler graphs happen to give the same bits
BITS = """
import hashlib
import numpy as np
import pytensor
from small_network import examples, network
dbn = network(hidden_layers_sizes=(50,))
run = dbn.pretraining_epoch(0, pytensor.shared(examples(400)[0]))
cost = run(np.arange(400), 20, 0.1)
print(hashlib.sha256(b"".join(value.tobytes() for value in [np.asarray(cost), *dbn.get_values()])).hexdigest())
"""


def test_fresh_and_cached_functions_give_the_same_bits(tmp_path):
    """The first process compiles, the second loads what the first has stored."""
    tests = Path(__file__).parents[1]
    environment = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path}", "OMP_NUM_THREADS": "1",
                                "PYTHONPATH": f"{tests.parent}{os.pathsep}{tests}"}
    bits, stored = [], []
    for _ in range(2):
        bits.append(subprocess.run([sys.executable, "-c", BITS], env=environment, cwd=tmp_path, check=True,
                                   capture_output=True, text=True).stdout)
        stored.append(sum(path.is_file() for path in tmp_path.rglob("*")))
    assert stored[0] > 0 and stored[1] == stored[0], "the second process was to compile nothing"
    assert bits[0] == bits[1]
