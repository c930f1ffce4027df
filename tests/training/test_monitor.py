"""The free-energy gap of validation and training frames: its definition, its record, and that it changes nothing."""
import numpy as np
import pytensor
import pytest

import dbn.training.loops
import dbn.training.monitor
from dbn.audio.frames import FrameSet
from dbn.training.loops import train
from dbn.training.monitor import gap_measure
from small_network import N_OUTS, examples, network, replace_compiled, settings, training_sets

QUICK = "FAST_COMPILE"


def mean_free_energy(rbm, x):
    v = rbm.input.type()
    return pytensor.function([v], rbm.free_energy(v).mean(), mode=QUICK)(x)


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("layer", [0, 1])
def test_gap_is_the_difference_of_mean_free_energies(visible, layer, monkeypatch):
    """Of as many evenly spaced frames of each set, as the layer sees them."""
    monkeypatch.setattr(dbn.training.monitor, "MOST_FRAMES", 25)
    dbn_ = network("float64", visible=visible)
    rbm = dbn_.rbm_layers[layer]
    below = [tuple(param.get_value() for param in dbn_.sigmoid_layers[0].params)][:layer]
    kind = visible if layer == 0 else "bernoulli"
    measure = gap_measure(rbm, kind, below, *training_sets())
    for change in (1.0, 0.5):  # of an RBM that is being trained
        rbm.W.set_value(change * rbm.W.get_value())
        energies = []
        for n, seed in ((120, 1), (60, 2)):
            x = examples(n, seed)[0][np.arange(25) * n // 25].astype(float)
            for W, b in below:
                x = 1 / (1 + np.exp(-(x @ W + b)))
            energies.append(mean_free_energy(rbm, x))
        assert measure() == pytest.approx(energies[1] - energies[0], abs=1e-10)


def test_small_sets_are_looked_at_as_far_as_both_go():
    dbn_ = network("float64")
    train_set, valid_set = training_sets()
    measure = gap_measure(dbn_.rbm_layers[0], "bernoulli", [], train_set, valid_set)
    energies = [mean_free_energy(dbn_.rbm_layers[0], x.astype(float))
                for x in (examples(120, 1)[0][::2], examples(60, 2)[0])]
    assert measure() == pytest.approx(energies[1] - energies[0], abs=1e-10)
    assert gap_measure(dbn_.rbm_layers[0], "bernoulli", [], train_set, train_set)() == 0


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_gap_at_extreme_parameters_is_finite(visible):
    dbn_ = network(visible=visible)
    for value in (800.0, -800.0, 1e19):
        dbn_.rbm_layers[0].vbias.set_value(np.full(8, value, dtype=np.float32))
        dbn_.rbm_layers[0].W.set_value(np.full((8, 6), value, dtype=np.float32))
        assert np.isfinite(gap_measure(dbn_.rbm_layers[0], visible, [], *training_sets())())


def test_every_epoch_of_pretraining_has_its_gap_and_no_other(monkeypatch):
    """That of the layer as the epoch leaves it; and the network is that of a run which measures nothing."""
    replace_compiled(monkeypatch)
    result = train(*training_sets(), N_OUTS, settings(), progress=False)
    gaps = [record.get("free_energy_gap") for record in result.history]
    assert all(isinstance(gap, float) for gap in gaps[:6]) and len(set(gaps[:6])) == 6 and not any(gaps[6:])
    pretrained = train(*training_sets(), N_OUTS, settings(finetune_epochs=0), progress=False)
    layers = [(layer.W.get_value(), layer.b.get_value()) for layer in pretrained.dbn.sigmoid_layers]
    for number, rbm in enumerate(pretrained.dbn.rbm_layers):
        measure = gap_measure(rbm, "bernoulli", layers[:number], *training_sets())
        assert measure() == gaps[3 * number + 2] == pretrained.history[3 * number + 2]["free_energy_gap"]
    monkeypatch.setattr(dbn.training.loops, "gap_measure", lambda *_: lambda: 0.0)
    for value, other in zip(result.dbn.get_values(),
                            train(*training_sets(), N_OUTS, settings(), progress=False).dbn.get_values(), strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_gap_that_grows_is_overfitting():
    """Few rows of noise are learned by heart; rows of the same patterns, many, are not."""
    rng = np.random.default_rng(0)
    few, others = (FrameSet.from_arrays(rng.integers(0, 2, size=(n, 8)).astype(np.float32),
                                        np.zeros(n, dtype=np.int32)) for n in (10, 400))
    options = {"hidden_layers_sizes": (20,), "pretrain_lr": 0.3, "pretrain_epochs": 100, "finetune_epochs": 0}
    gaps = [record["free_energy_gap"] for record in train(few, others, 1, settings(**options), progress=False).history]
    assert gaps[-1] > gaps[20] > gaps[0] and gaps[-1] > 1
    many = train(others, few, 1, settings(**options), progress=False).history[-1]["free_energy_gap"]
    assert abs(many) < gaps[-1] / 4
