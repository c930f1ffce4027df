"""The deep belief network (paper §3, §4.1), after the deeplearning.net tutorial.

One set of weights is seen in two ways: as a stack of RBMs, which pre-training
fits greedily from the bottom, each to what the one below it makes of the data;
and as a multi-layer perceptron with a logistic layer on top, which fine-tuning
trains by gradient descent on the labels.
"""
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.type import integer_dtypes

from dbn.descent import directions
from dbn.graph.compile import epoch_function, function, minibatch
from dbn.graph.ops import sigmoid
from dbn.graph.streams import as_streams
from dbn.layers import Parameters
from dbn.logistic import LogisticRegression
from dbn.mlp import HiddenLayer, dropout, relu
from dbn.rbm import RBM, GaussianRBM

ACTIVATIONS = {"sigmoid": sigmoid, "relu": relu}


class DBN(Parameters):
    """Deep belief network with sigmoid hidden layers and a logistic output layer.

    Parameters
    ----------
    numpy_rng : numpy.random.Generator or RandomState
        Draws the seed of `theano_rng`, if that is None, and the initial weights.
    theano_rng : RandomStreams, optional
        Draws the samples of pre-training; see :class:`dbn.rbm.RBM`.
    n_ins : int
        Size of the input: 513 bins of a DFT of 1,024 samples.
    hidden_layers_sizes : sequence of int
        Units of each hidden layer, at least one layer; the paper's choice is (50, 50, 50).
    n_outs : int
        Number of classes.
    visible : {"bernoulli", "gaussian"}
        Kind of the first RBM's visible units.
    output : {"softmax", "sigmoid"}
        Output and cost of the last layer, see :class:`dbn.logistic.LogisticRegression`.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.
    activation : {"sigmoid", "relu"}
        Of the hidden layers. Rectified units are no RBM's: the network is then fine-tuned alone.
    dropout : float or symbolic scalar, optional
        Share of every hidden layer's units that are left out of a step of fine-tuning, see :func:`dbn.mlp.dropout`;
        none, and no draws in the graph, if None. Not in the paper, nor is ``relu``.

    Attributes
    ----------
    x, y : symbolic float matrix [n_examples, n_ins], symbolic int32 vector [n_examples]
        Inputs and class numbers.
    params : list of shared variables
        W and b of each hidden layer, then of the logistic layer.
    sigmoid_layers, rbm_layers : list of HiddenLayer, list of RBM
        The two views of the hidden layers; W and the hidden bias are shared.
    logLayer : LogisticRegression
        The output layer.
    finetune_cost, errors : symbolic scalars
        Mean cost, and share of wrong classes, of `x` and `y`.
    n_layers : int
        Number of hidden layers.
    visible, activation : str
        As given.
    """

    def __init__(self, numpy_rng, theano_rng=None, n_ins=513, hidden_layers_sizes=(50, 50, 50), n_outs=10,
                 visible="bernoulli", output="softmax", dtype=None, activation="sigmoid", dropout=None):
        if activation not in ACTIVATIONS:
            raise ValueError(f'activation is "sigmoid" or "relu", not {activation!r}')
        if visible not in ("bernoulli", "gaussian"):
            raise ValueError(f'visible is "bernoulli" or "gaussian", not {visible!r}')
        if not hidden_layers_sizes:
            raise ValueError("hidden_layers_sizes names no layer: give at least one")
        dtype = dtype or pytensor.config.floatX
        self.theano_rng = theano_rng = as_streams(theano_rng, numpy_rng)
        self.dtype = dtype
        self.visible = visible
        self.activation = activation
        self.x = pt.matrix("x", dtype=dtype)
        self.y = pt.ivector("y")
        self.n_layers = len(hidden_layers_sizes)
        self.sigmoid_layers = []
        self.rbm_layers = []

        below, n_below = self.x, n_ins
        for i, n_units in enumerate(hidden_layers_sizes):
            layer = HiddenLayer(numpy_rng, below, n_below, n_units, activation=ACTIVATIONS[activation],
                                dtype=dtype)
            rbm_class = GaussianRBM if i == 0 and visible == "gaussian" else RBM
            self.sigmoid_layers.append(layer)
            self.rbm_layers.append(rbm_class(input=below, n_visible=n_below, n_hidden=n_units, W=layer.W,
                                             hbias=layer.b, theano_rng=theano_rng, dtype=dtype))
            below, n_below = layer.output, n_units
        self.logLayer = LogisticRegression(below, n_below, n_outs, output=output, dtype=dtype)
        self.params = [param for layer in [*self.sigmoid_layers, self.logLayer] for param in layer.params]
        trained = self.logLayer if dropout is None else self._with_dropout(dropout)
        self.finetune_cost = trained.cost(self.y)
        self.errors = self.logLayer.errors(self.y)

    def _with_dropout(self, rate):
        """The output layer on top of the same layers, with some of their units left out."""
        below = self.x
        for layer in self.sigmoid_layers:
            same = HiddenLayer(None, below, None, None, layer.W, layer.b, ACTIVATIONS[self.activation], self.dtype)
            below = dropout(self.theano_rng, same.output, rate)
        top = self.logLayer
        return LogisticRegression(below, None, None, top.output, top.W, top.b, self.dtype)

    def features(self):
        """Activations of every hidden layer, the paper's learned features: list of matrices [n_examples, units]."""
        return [layer.output for layer in self.sigmoid_layers]

    def finetune_updates(self, lr, **descent):
        """One step of gradient descent on the fine-tuning cost: new value of each parameter.

        `descent` is ``weight_decay``, ``momentum`` and ``velocities`` of :func:`dbn.descent.directions`, of which the
        latter get new values too.
        """
        lr, updates = pt.cast(lr, self.dtype), {}
        gparams = pt.grad(self.finetune_cost, self.params)
        for param, gparam in zip(self.params, directions(self.params, gparams, updates, **descent)):
            updates[param] = param - gparam * lr
        return updates

    # The tutorial's functions: one minibatch of a shared data set a call.

    def pretraining_functions(self, train_set_x, batch_size, k=1):
        """One function a layer that makes one CD-k update of its RBM.

        Parameters
        ----------
        train_set_x : shared matrix [n, n_ins]
            The inputs. Layer n sees what the layers below make of them.
        batch_size : int
            Rows of a minibatch; the last one holds what is left, if it is asked for.
        k : int
            Gibbs steps.

        Returns
        -------
        list of callables
            ``fn(index, lr=0.1)`` gives the monitoring cost of minibatch `index`.
        """
        index, lr = pt.lscalar("index"), pt.scalar("lr", dtype=self.dtype)
        functions = []
        for rbm in self.rbm_layers:
            cost, updates = rbm.get_cost_updates(lr, persistent=None, k=k)
            update = function([index, pytensor.In(lr, allow_downcast=True)], cost, updates=updates,
                              givens={self.x: minibatch(train_set_x, index, batch_size)})
            # compiled functions know no default arguments any more
            functions.append(lambda index, lr=0.1, update=update: update(index, lr))
        return functions

    def build_finetune_functions(self, datasets, batch_size, learning_rate):
        """The tutorial's three functions of fine-tuning.

        Parameters
        ----------
        datasets : sequence of three pairs
            ``(x, y)`` of training, validation and test: shared float matrix and symbolic vector of integers.
        batch_size : int
            Rows of a minibatch.
        learning_rate : float
            Step of the gradient descent.

        Returns
        -------
        train_fn : callable
            ``train_fn(index)`` makes one update and gives the cost before it.
        valid_score, test_score : callables
            Without arguments: the list of error rates of the set's complete minibatches, whose mean is what the
            tutorial's programs report; the exact error is :func:`dbn.training.loops.frame_error`'s. A set smaller than
            a minibatch is one.
        """
        index = pt.lscalar("index")

        def on_minibatches_of(x, y):
            labels = pt.as_tensor(minibatch(y, index, batch_size))
            if labels.dtype not in integer_dtypes:
                raise TypeError(f"class numbers are integers, not {labels.type}")
            return {self.x: minibatch(x, index, batch_size), self.y: pt.cast(labels, self.y.dtype)}

        def score_of(x, y):
            errors = function([index], self.errors, givens=on_minibatches_of(x, y))
            n_batches = max(x.get_value(borrow=True).shape[0] // batch_size, 1)
            return lambda: [float(errors(i)) for i in range(n_batches)]

        train, valid, test = datasets
        train_fn = function([index], self.finetune_cost, updates=self.finetune_updates(learning_rate),
                            givens=on_minibatches_of(*train))
        return train_fn, score_of(*valid), score_of(*test)

    # What the tutorials lack: whole epochs, shuffled, in one call.

    def pretraining_epoch(self, layer, data, k=1, persistent=None, **options):
        """A function that runs one epoch of CD-k, or PCD-k, on the RBM of one layer.

        Parameters
        ----------
        layer : int
            Number of the layer, from 0.
        data : shared matrix [n, n_visible of the layer]
            Inputs of this layer: the data for layer 0, the hidden means of the layer below for others.
        k : int
            Gibbs steps.
        persistent : shared matrix [n_chains, n_hidden of the layer], optional
            Hidden states of PCD's chains, which the epoch goes on from and leaves at their last; CD if None.
        **options
            Others of :meth:`dbn.rbm.RBM.get_cost_updates`.

        Returns
        -------
        callable
            ``fn(order, batch_size, lr)``, see :func:`dbn.graph.compile.epoch_function`.
        """
        lr = pt.scalar("lr", dtype=self.dtype)
        rbm = self.rbm_layers[layer]
        cost, updates = rbm.get_cost_updates(lr, persistent=persistent, k=k, **options)
        return epoch_function(cost, updates, {rbm.input: data}, lr)

    def finetuning_epoch(self, data_x, data_y, **descent):
        """A function that runs one epoch of gradient descent on the shared `data_x` [n, n_ins] and `data_y` [n].

        ``fn(order, batch_size, lr)``, see :func:`dbn.graph.compile.epoch_function`; `descent` as in
        :meth:`finetune_updates`.
        """
        lr = pt.scalar("lr", dtype=self.dtype)
        updates = self.finetune_updates(lr, **descent)
        return epoch_function(self.finetune_cost, updates, {self.x: data_x, self.y: data_y}, lr)

    def propup_function(self, layer):
        """Compiled hidden means of one layer from its input: [n, n_visible] to [n, n_hidden]."""
        return function([self.rbm_layers[layer].input], self.sigmoid_layers[layer].output)

    def prediction_function(self):
        """Compiled class probabilities: [n, n_ins] to [n, n_outs]."""
        return function([self.x], self.logLayer.p_y_given_x)

    def all_params(self):
        """Everything that training changes: :attr:`params` and the visible biases of the RBMs."""
        return self.params + [rbm.vbias for rbm in self.rbm_layers]
