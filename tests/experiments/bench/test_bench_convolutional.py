"""The convolutional DBN's benchmarks: PyTorch computes the same, and rows say what is missing."""
import numpy as np
import pytest

import dbn.graph.compile
from dbn.audio.scaling import Scaling
from dbn.trained.convolutional import ConvolutionalModel
from experiments.bench import convolutional as bench
from experiments.bench import peers
from experiments.bench.common import QUICK
from small_network import leave_uncompiled


@pytest.fixture
def problem():
    """A network whose weights matter, as a graph, as a model and in PyTorch, and a song."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    network = bench.network(7)
    for scale, param in zip((0.1, 1, 1), network.rbm_layers[0].params):
        param.set_value(rng.normal(scale=scale, size=param.get_value().shape).astype(np.float32))
    song = rng.standard_normal((65, bench.N_INS), dtype=np.float32)
    params = [param.get_value() for param in network.rbm_layers[0].params]
    model = ConvolutionalModel.from_dbn(network, Scaling("none").fit([song]))
    return network, model, bench.TorchRBM(params, song), song


def test_pytorch_has_the_same_features(problem):
    _, model, peer, song = problem
    for n_frames in (65, 66 - bench.POOL, 8):
        [expected] = model.features(song[:n_frames])
        np.testing.assert_allclose(peer.features(song[:n_frames]).numpy(), expected, atol=1e-5)


def test_pytorch_takes_the_same_step_on_average(problem):
    """Of 300 draws of the chain's end, within their spread."""
    network, _, peer, song = problem
    rbm = network.rbm_layers[0]
    cost, updates = rbm.get_cost_updates(bench.LR)
    step = dbn.graph.compile.function([rbm.input], list(updates.values()), mode="FAST_COMPILE")
    before = [param.get_value() for param in rbm.params]
    ours, theirs = ([[], [], []] for _ in range(2))
    for _ in range(300):
        for kept, new, old in zip(ours, step(song[None]), before):
            kept.append(new - old)
        peer.W, peer.hbias, peer.vbias = (peers.torch.tensor(value) for value in before)
        peer.step(peers.torch.from_numpy(song[None]))
        for kept, new, old in zip(theirs, (peer.W, peer.hbias, peer.vbias), before):
            kept.append(new.numpy() - old)
    for one, other in zip(ours, theirs):
        one, other = np.array(one), np.array(other)
        spread = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 300)
        assert np.abs(one.mean(axis=0) - other.mean(axis=0)).mean() < 1.5 * spread.mean()
        assert np.abs(one.mean(axis=0)).mean() > 3 * spread.mean()  # or the line above would say nothing


def test_rows_of_both_kinds(monkeypatch):
    leave_uncompiled(monkeypatch)
    rows = bench.convolutional_rows(QUICK, bases=(5,))
    assert [row["against"] for row in rows] == 2 * [bench.PRODUCTS, bench.TORCH]
    assert rows[0]["work"].startswith("CD-1, 5 bases") and rows[2]["work"].startswith("features")
    for row in rows:
        if row["against"] == bench.TORCH and peers.torch is None:
            assert row["skipped"] == peers.NO_TORCH
        else:
            assert row["median"] > 0 and row["target"] == (bench.TARGET if row["against"] == bench.PRODUCTS else 1)
