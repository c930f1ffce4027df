"""Programs in the form of the deeplearning.net tutorials: only their imports say that this is not Theano.

Each is a function named as its model in the tutorials, written anew, with the tutorials' names, their data as shared
variables with labels cast to int32, their own loops, patience and scans; the data are small handwritten digits.
"""
import numpy as np
import pytensor as theano
import pytensor.tensor as T
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression as Judge
from sklearn.neighbors import NearestNeighbors

from dbn import DBN, RBM
from dbn.graph import RandomStreams
from dbn.logistic import LogisticRegression
from dbn.mlp import HiddenLayer

pytestmark = pytest.mark.filterwarnings("ignore:Scan return signature:DeprecationWarning")

N_INS, N_OUTS = 8 * 8, 10


def load_data():
    """Three pairs of a shared matrix and class numbers, which are stored as floats and cast."""
    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(3).permutation(len(x))
    x, y = x[order] / 16.0, y[order]

    def shared_dataset(rows):
        shared_x = theano.shared(np.asarray(x[rows], dtype=theano.config.floatX), borrow=True)
        shared_y = theano.shared(np.asarray(y[rows], dtype=theano.config.floatX), borrow=True)
        return shared_x, T.cast(shared_y, "int32")

    return [shared_dataset(slice(start, stop)) for start, stop in ((0, 1000), (1000, 1400), (1400, 1797))]


def fit_with_patience(train_model, validate, test, n_train_batches, n_epochs, patience):
    """The loop that the tutorials share: patience in minibatches, doubled by a clear improvement."""
    patience_increase, improvement_threshold = 2, 0.995
    validation_frequency = min(n_train_batches, patience // 2)
    best_validation_loss, test_score = np.inf, 0.0
    epoch, done_looping = 0, False
    while epoch < n_epochs and not done_looping:
        epoch += 1
        for minibatch_index in range(n_train_batches):
            train_model(minibatch_index)
            iter = (epoch - 1) * n_train_batches + minibatch_index
            if (iter + 1) % validation_frequency == 0:
                this_validation_loss = validate()
                if this_validation_loss < best_validation_loss:
                    if this_validation_loss < best_validation_loss * improvement_threshold:
                        patience = max(patience, iter * patience_increase)
                    best_validation_loss = this_validation_loss
                    test_score = test()
            if patience <= iter:
                done_looping = True
                break
    return best_validation_loss, test_score


def compile_models(x, y, cost, errors, updates, batch_size):
    """Functions of a minibatch's number, by givens, and the means of the two scores."""
    datasets = load_data()
    index = T.lscalar()

    def of(dataset, outputs, **options):
        set_x, set_y = dataset
        rows = slice(index * batch_size, (index + 1) * batch_size)
        return theano.function([index], outputs, givens={x: set_x[rows], y: set_y[rows]}, **options)

    def score(dataset):
        model, n_batches = of(dataset, errors), dataset[0].get_value(borrow=True).shape[0] // batch_size
        return lambda: np.mean([model(i) for i in range(n_batches)])

    n_train_batches = datasets[0][0].get_value(borrow=True).shape[0] // batch_size
    return of(datasets[0], cost, updates=updates), score(datasets[1]), score(datasets[2]), n_train_batches


def sgd_optimization(learning_rate=0.13, n_epochs=60, batch_size=20):
    """logistic_sgd.py."""
    x, y = T.matrix("x"), T.ivector("y")
    classifier = LogisticRegression(input=x, n_in=N_INS, n_out=N_OUTS)
    cost = classifier.negative_log_likelihood(y)
    g_W = T.grad(cost=cost, wrt=classifier.W)
    g_b = T.grad(cost=cost, wrt=classifier.b)
    updates = [(classifier.W, classifier.W - learning_rate * g_W), (classifier.b, classifier.b - learning_rate * g_b)]
    models = compile_models(x, y, cost, classifier.errors(y), updates, batch_size)
    return fit_with_patience(*models, n_epochs, patience=5000)


class MLP:
    """A layer of tanh units below the logistic one, with the norms of its weights."""

    def __init__(self, rng, input, n_in, n_hidden, n_out):
        self.hiddenLayer = HiddenLayer(rng=rng, input=input, n_in=n_in, n_out=n_hidden, activation=T.tanh)
        self.logRegressionLayer = LogisticRegression(input=self.hiddenLayer.output, n_in=n_hidden, n_out=n_out)
        self.L1 = abs(self.hiddenLayer.W).sum() + abs(self.logRegressionLayer.W).sum()
        self.L2_sqr = (self.hiddenLayer.W ** 2).sum() + (self.logRegressionLayer.W ** 2).sum()
        self.negative_log_likelihood = self.logRegressionLayer.negative_log_likelihood
        self.errors = self.logRegressionLayer.errors
        self.params = self.hiddenLayer.params + self.logRegressionLayer.params


def fit_mlp(learning_rate=0.05, L1_reg=0.0, L2_reg=0.0001, n_epochs=60, batch_size=20, n_hidden=100):
    """mlp.py."""
    x, y = T.matrix("x"), T.ivector("y")
    classifier = MLP(rng=np.random.RandomState(1234), input=x, n_in=N_INS, n_hidden=n_hidden, n_out=N_OUTS)
    cost = classifier.negative_log_likelihood(y) + L1_reg * classifier.L1 + L2_reg * classifier.L2_sqr
    gparams = [T.grad(cost, param) for param in classifier.params]
    updates = [(param, param - learning_rate * gparam) for param, gparam in zip(classifier.params, gparams)]
    models = compile_models(x, y, cost, classifier.errors(y), updates, batch_size)
    return fit_with_patience(*models, n_epochs, patience=10000)


def fit_dbn(finetune_lr=0.1, pretraining_epochs=20, pretrain_lr=0.05, k=1, training_epochs=60, batch_size=10):
    """DBN.py."""
    datasets = load_data()
    train_set_x, _ = datasets[0]
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    numpy_rng = np.random.RandomState(123)
    dbn = DBN(numpy_rng=numpy_rng, n_ins=N_INS, hidden_layers_sizes=[100, 100], n_outs=N_OUTS)
    pretraining_fns = dbn.pretraining_functions(train_set_x=train_set_x, batch_size=batch_size, k=k)
    costs = []
    for i in range(dbn.n_layers):
        for _ in range(pretraining_epochs):
            c = []
            for batch_index in range(n_train_batches):
                c.append(pretraining_fns[i](index=batch_index, lr=pretrain_lr))
            costs.append((i, np.mean(c)))
    train_fn, validate_model, test_model = dbn.build_finetune_functions(
        datasets=datasets, batch_size=batch_size, learning_rate=finetune_lr)
    scores = fit_with_patience(train_fn, lambda: np.mean(validate_model()), lambda: np.mean(test_model()),
                               n_train_batches, training_epochs, patience=4 * n_train_batches)
    return costs, *scores


def fit_rbm(learning_rate=0.1, training_epochs=15, batch_size=20, n_chains=20, n_samples=10, n_hidden=100):
    """rbm.py: PCD-15, then chains from test digits, looked at after every 1,000 steps."""
    (train_set_x, _), _, (test_set_x, _) = load_data()
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    index, x = T.lscalar(), T.matrix("x")
    rng = np.random.RandomState(123)
    theano_rng = RandomStreams(rng.randint(2 ** 30))
    persistent_chain = theano.shared(np.zeros((batch_size, n_hidden), dtype=theano.config.floatX), borrow=True)
    rbm = RBM(input=x, n_visible=N_INS, n_hidden=n_hidden, numpy_rng=rng, theano_rng=theano_rng)
    cost, updates = rbm.get_cost_updates(lr=learning_rate, persistent=persistent_chain, k=15)
    train_rbm = theano.function([index], cost, updates=updates,
                                givens={x: train_set_x[index * batch_size: (index + 1) * batch_size]}, name="train_rbm")
    costs = []
    for _ in range(training_epochs):
        mean_cost = []
        for batch_index in range(n_train_batches):
            mean_cost += [train_rbm(batch_index)]
        costs.append(np.mean(mean_cost))

    number_of_test_samples = test_set_x.get_value(borrow=True).shape[0]
    test_idx = rng.randint(number_of_test_samples - n_chains)
    persistent_vis_chain = theano.shared(np.asarray(
        test_set_x.get_value(borrow=True)[test_idx:test_idx + n_chains], dtype=theano.config.floatX))
    plot_every = 1000
    ([presig_hids, hid_mfs, hid_samples, presig_vis, vis_mfs, vis_samples], updates) = theano.scan(
        rbm.gibbs_vhv, outputs_info=[None, None, None, None, None, persistent_vis_chain], n_steps=plot_every,
        name="gibbs_vhv")
    updates.update({persistent_vis_chain: vis_samples[-1]})
    sample_fn = theano.function([], [vis_mfs[-1], vis_samples[-1]], updates=updates, name="sample_fn")
    pictures = [sample_fn()[0] for _ in range(n_samples)]
    return costs, np.array(pictures)


def test_logistic_sgd():
    valid, test = sgd_optimization()
    assert valid < 0.06 and test < 0.08


def test_mlp():
    valid, test = fit_mlp()
    assert valid < 0.05 and test < 0.06


def test_dbn():
    costs, valid, test = fit_dbn()
    for layer in (0, 1):
        of_layer = [cost for i, cost in costs if i == layer]
        assert of_layer[0] < of_layer[5] < of_layer[-1] < 0
    assert valid < 0.08 and test < 0.08


def test_rbm():
    """The pictures move, each chain's on its own, and they are digits: not one digit, and not a grey mixture of all."""
    costs, pictures = fit_rbm()
    assert costs[0] < costs[4] < costs[-1] < 0
    assert pictures.shape == (10, 20, N_INS)
    moved = np.abs(np.diff(pictures, axis=0)).mean(axis=2)  # of each chain from one picture to the next
    apart = np.abs(pictures[:, :10] - pictures[:, 10:]).mean(axis=2)
    assert moved.min() > 0.01 and moved.mean() > 0.5 * apart.mean() > 0.05

    x, y = load_digits(return_X_y=True)
    x = x / 16.0
    nearest = NearestNeighbors(n_neighbors=2).fit(x)
    samples = pictures.reshape(-1, N_INS)
    to_digits = nearest.kneighbors(samples)[0][:, 0]
    between_digits = nearest.kneighbors(x)[0][:, 1]
    pixels_alone = nearest.kneighbors(np.random.RandomState(0).binomial(1, np.tile(x.mean(axis=0), (200, 1))))[0][:, 0]
    assert np.median(to_digits) < 0.5 * (np.median(between_digits) + np.median(pixels_alone))
    classes = Judge(max_iter=2000).fit(x, y).predict(samples)
    assert (np.bincount(classes, minlength=10) > 0).sum() >= 6


def test_draws_of_initial_weights_come_in_the_tutorials_order():
    """The seed of the samples first, then layer by layer; 4 times as wide where units are sigmoids, linear for None."""
    seen = np.random.RandomState(123)
    seed = seen.randint(2 ** 30)
    weights = [4 * np.sqrt(6. / sum(sizes)) * seen.uniform(-1, 1, sizes) for sizes in ((6, 5), (5, 4))]
    dbn = DBN(np.random.RandomState(123), n_ins=6, hidden_layers_sizes=[5, 4], n_outs=3)
    rbm = RBM(n_visible=6, n_hidden=5, numpy_rng=np.random.RandomState(123))
    assert dbn.theano_rng.sequence.entropy == rbm.theano_rng.sequence.entropy == seed
    for layer, expected in zip(dbn.sigmoid_layers, weights):
        np.testing.assert_allclose(layer.W.get_value(), expected)
    np.testing.assert_allclose(rbm.W.get_value(), weights[0])
    by_default = RBM(n_visible=6, n_hidden=5).W.get_value()
    np.testing.assert_array_equal(by_default, RBM(n_visible=6, n_hidden=5,
                                                  numpy_rng=np.random.RandomState(1234)).W.get_value())

    x, layers = T.matrix(), {}
    for activation in (T.tanh, T.sigmoid, None):
        layers[activation] = HiddenLayer(np.random.RandomState(5), x, 6, 5, activation=activation)
    plain = HiddenLayer(np.random.RandomState(5), x, 6, 5)
    bounded = np.random.RandomState(5).uniform(-1, 1, (6, 5)) * np.sqrt(6. / 11)
    for activation, width in ((T.tanh, 1), (None, 1), (T.sigmoid, 4)):
        np.testing.assert_allclose(layers[activation].W.get_value(), width * bounded)
    given = np.random.RandomState(6).normal(size=(3, 6))
    outputs = theano.function([x], [plain.output, layers[T.tanh].output, layers[None].output], mode="FAST_COMPILE")
    for output, expected in zip(outputs(given), (np.tanh(given @ bounded), np.tanh(given @ bounded), given @ bounded)):
        np.testing.assert_allclose(output, expected)
