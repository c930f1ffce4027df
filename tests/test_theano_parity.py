"""Every number that Theano 1.0.5 computed with the tutorials' classes, computed anew; see resources/README.md."""
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from dbn.dbn import DBN
from dbn.graph.compile import function
from dbn.rbm import RBM

PARAMETERS = [f"dbn_final_{i}" for i in range(8)]
RESULTS = ["propup_pre", "propup_mean", "free_energy", "propdown_pre", "propdown_mean", "cd_cost", "cd_grad_W",
           "cd_grad_hbias", "cd_grad_vbias", "reconstruction_cost", "pseudo_likelihood", "cd1_costs", "cd1_W",
           "cd1_hbias", "cd1_vbias", "finetune_costs", *PARAMETERS, "valid_errors"]


class Stored(dict):
    """The arrays of a file, which notes the keys that were asked for."""

    def __init__(self, path):
        with np.load(path) as arrays:
            super().__init__(arrays)
        self.asked = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)

    def rbm(self, cls=RBM, **options):
        return cls(n_visible=20, n_hidden=12, W=self["rbm_W"], hbias=self["rbm_hbias"], vbias=self["rbm_vbias"],
                   dtype=str(self["x"].dtype), **options)


class GivenDraws(RBM):
    """An RBM that takes its draws, or what they are compared with, from outside."""

    uniform_h = uniform_v = given_v = None

    def sample_h_given_v(self, v0_sample):
        pre, mean = self.propup(v0_sample)
        return [pre, mean, pt.lt(self.uniform_h, mean).astype(self.dtype)]

    def sample_v_given_h(self, h0_sample):
        pre, mean = self.propdown(h0_sample)
        if self.given_v is not None:
            return [pre, mean, self.given_v]
        return [pre, mean, pt.lt(self.uniform_v, mean).astype(self.dtype)]


def rbm_results(stored):
    """Everything about one state of the RBM."""
    rbm = stored.rbm()
    h, v1 = pytensor.shared(stored["h"]), pytensor.shared(stored["v1"])
    propdown_pre, propdown_mean = rbm.propdown(h)
    outputs = dict(zip(("propup_pre", "propup_mean"), rbm.propup(rbm.input)))
    outputs |= {"propdown_pre": propdown_pre, "propdown_mean": propdown_mean,
                "free_energy": rbm.free_energy(rbm.input),
                "cd_cost": rbm.free_energy(rbm.input).mean() - rbm.free_energy(v1).mean(),
                "reconstruction_cost": rbm.get_reconstruction_cost({}, propdown_pre)}
    values = function([rbm.input], list(outputs.values()))(stored["x"])
    return dict(zip(outputs, values))


def cd_gradients(stored):
    """The gradients that get_cost_updates takes a step along, found from a step of length 1."""
    rbm = stored.rbm(GivenDraws)
    rbm.uniform_h, rbm.given_v = pytensor.shared(np.zeros_like(stored["h"])), pytensor.shared(stored["v1"])
    _, updates = rbm.get_cost_updates(lr=1)
    gradients = function([rbm.input], [param - updates[param] for param in rbm.params])(stored["x"])
    return dict(zip(("cd_grad_W", "cd_grad_hbias", "cd_grad_vbias"), gradients))


def pseudo_likelihood(stored):
    rbm = stored.rbm()
    updates = {}
    cost = function([rbm.input], rbm.get_pseudo_likelihood_cost(updates), updates=updates)
    return {"pseudo_likelihood": np.array([cost(stored["x"]) for _ in range(len(stored["pseudo_likelihood"]))])}


def minibatches(stored):
    """Number and rows of each step's minibatch."""
    n, size = len(stored["x"]), int(stored["batch_size"])
    for step in range(int(stored["steps"])):
        index = step % (n // size)
        yield step, index, slice(index * size, (index + 1) * size)


def cd1_training(stored):
    rbm = stored.rbm(GivenDraws)
    rbm.uniform_h, rbm.uniform_v = pt.matrix("u_h", dtype=rbm.dtype), pt.matrix("u_v", dtype=rbm.dtype)
    cost, updates = rbm.get_cost_updates(float(stored["lr"]), k=1)
    update = function([rbm.input, rbm.uniform_h, rbm.uniform_v], cost, updates=updates)
    costs = [update(stored["x"][rows], stored["u_h"][step], stored["u_v"][step])
             for step, _, rows in minibatches(stored)]
    values = [param.get_value() for param in rbm.params]
    return dict(zip(("cd1_costs", "cd1_W", "cd1_hbias", "cd1_vbias"), [np.array(costs), *values]))


def finetuning(stored):
    dbn = DBN(np.random.default_rng(0), n_ins=stored["x"].shape[1], hidden_layers_sizes=stored["hidden"].tolist(),
              n_outs=int(stored["n_out"]), dtype=str(stored["x"].dtype))
    for i, param in enumerate(dbn.params):
        param.set_value(stored[f"dbn_init_{i}"])
    data = pytensor.shared(stored["x"]), pytensor.shared(stored["y"])
    train, valid_errors, test_errors = dbn.build_finetune_functions([data] * 3, int(stored["batch_size"]),
                                                                    float(stored["lr"]))
    costs = np.array([train(index) for _, index, _ in minibatches(stored)])
    assert valid_errors() == test_errors()
    values = [param.get_value() for param in dbn.params]
    return dict(zip(PARAMETERS, values)) | {"finetune_costs": costs, "valid_errors": np.array(valid_errors())}


def load(resources, dtype):
    return Stored(resources / f"theano105_{dtype}.npz")


@pytest.fixture(scope="module", params=["float64", "float32"])
def computed(request, resources):
    """The stored numbers of one precision, and ours."""
    stored = load(resources, request.param)
    ours = {}
    for part in (rbm_results, cd_gradients, pseudo_likelihood, cd1_training, finetuning):
        ours |= part(stored)
    return stored, ours


def test_no_stored_number_is_left_out(computed):
    stored, ours = computed
    assert set(ours) == set(RESULTS)
    assert set(stored) == stored.asked | set(ours)


@pytest.mark.parametrize("key", RESULTS)
def test_theano_parity(computed, resources, key):
    stored, ours = computed
    exact = load(resources, "float64")[key]
    assert np.shape(ours[key]) == exact.shape
    if stored["x"].dtype == np.float64:
        np.testing.assert_allclose(ours[key], exact, rtol=1e-9)
    else:
        assert ours[key].dtype == stored[key].dtype
        theano = np.abs(stored[key] - exact).max()
        assert np.abs(ours[key] - exact).max() <= 2 * theano + 4 * np.finfo(np.float32).eps * np.abs(exact).max()
