r"""What fine-tuning is measured against: its matrix products alone, a step written in NumPy, and PyTorch.

All of them train the same network, a stack of sigmoid layers under a softmax layer with its negative log-likelihood,
from the same parameters on the same rows in the same order. A network here has the method ``train(order, batch_size,
lr)`` of the library's epoch function, which gives the mean cost, and ``params``, a list of W and b of every layer.
"""
import numpy as np

try:
    import torch
except ImportError:
    torch = None

NO_TORCH = "PyTorch: not installed, skipped (pip install .[bench])"


class NumpyNetwork:
    """The step as one writes it by hand in NumPy: in place where that is natural, the rows gathered into one buffer.

    Parameters
    ----------
    params : list of float32 arrays
        W [n_in, n_out] and b [n_out] of each layer from the bottom; copied.
    x, y : float32 [n, n_ins], int32 [n]
        The frames and their class numbers.
    """

    def __init__(self, params, x, y):
        self.params = [param.copy() for param in params]
        self.x, self.y = x, y

    def train(self, order, batch_size, lr):
        lr = np.float32(lr)  # NumPy computes in the precision of its arrays with this, and with a Python number
        buffer = np.empty((batch_size, self.x.shape[1]), dtype=np.float32)
        total = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start:start + batch_size]
            # "clip" writes into the buffer without a copy between
            x = np.take(self.x, rows, axis=0, out=buffer[:len(rows)], mode="clip")
            total += self._step(x, self.y[rows], lr)
        return total / len(order)

    def _step(self, x, y, lr):
        """One minibatch; gives the sum of its costs."""
        weights, biases = self.params[0::2], self.params[1::2]
        activations = [x]
        for W, b in zip(weights[:-1], biases[:-1]):
            activations.append(_sigmoid(_linear(activations[-1], W, b)))
        delta = _linear(activations[-1], weights[-1], biases[-1])
        delta -= delta.max(axis=1, keepdims=True)
        np.exp(delta, out=delta)
        delta /= delta.sum(axis=1, keepdims=True)
        true = np.arange(len(y)), y
        cost = -np.log(delta[true]).sum()
        delta[true] -= 1
        delta /= np.float32(len(y))
        for W, b, below in zip(weights[::-1], biases[::-1], activations[::-1]):
            gradient, bias_gradient = below.T @ delta, delta.sum(axis=0)
            if below is not x:
                delta = delta @ W.T
                delta *= below
                delta *= 1 - below
            gradient *= lr
            W -= gradient
            bias_gradient *= lr
            b -= bias_gradient
        return float(cost)


def _linear(x, W, b):
    activation = x @ W
    activation += b
    return activation


def _sigmoid(x):
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    return np.reciprocal(x, out=x)


class MatrixProducts:
    """Nothing but the products of such a step, into arrays that exist: what is left when all else costs nothing.

    Per layer one product forwards and one for the weights' gradient, and for each but the first one backwards: 11 for
    three hidden layers. The rows are slices, nothing is gathered.

    Parameters
    ----------
    params, x
        As of :class:`NumpyNetwork`.
    """

    def __init__(self, params, x):
        self.weights, self.x = params[0::2], x

    def train(self, order, batch_size, lr):
        """Multiplies as much as `train` of the other networks does; `lr` is not used."""
        products = None
        for start in range(0, len(order), batch_size):
            x = self.x[start:min(start + batch_size, len(order))]
            if products is None or len(x) < batch_size:
                first, products, last_gradient = self._products(len(x))
            np.dot(x, *first)
            for factors in products:
                np.dot(*factors)
            np.dot(x.T, *last_gradient)

    def _products(self, m):
        """Of a minibatch of `m` rows: what follows x in the first product, all of those between, what follows x.T."""
        widths = [W.shape[1] for W in self.weights]
        outputs, deltas = ([np.full((m, width), 0.5, dtype=np.float32) for width in widths] for _ in range(2))
        gradients = [np.empty_like(W) for W in self.weights]
        between = [(below, W, output) for below, W, output in zip(outputs, self.weights[1:], outputs[1:])]
        for i in range(len(widths) - 1, 0, -1):
            between += [(outputs[i - 1].T, deltas[i], gradients[i]), (deltas[i], self.weights[i].T, deltas[i - 1])]
        return (self.weights[0], outputs[0]), between, (deltas[0], gradients[0])


class TorchNetwork:
    """The same network in PyTorch, eagerly: ``nn.Sequential``, ``CrossEntropyLoss``, ``optim.SGD``, one thread.

    Parameters
    ----------
    params, x, y
        As of :class:`NumpyNetwork`. PyTorch must be installed.
    """

    def __init__(self, params, x, y):
        torch.set_num_threads(1)
        layers = []
        for W, b in zip(params[0::2], params[1::2]):
            linear = torch.nn.Linear(*W.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W.T))
                linear.bias.copy_(torch.from_numpy(b))
            layers += [linear, torch.nn.Sigmoid()]
        self.model = torch.nn.Sequential(*layers[:-1])  # the softmax is in the cost
        self.cost = torch.nn.CrossEntropyLoss()
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))

    @property
    def params(self):
        return [param.detach().numpy().T for param in self.model.parameters()]

    def train(self, order, batch_size, lr):
        optimiser = torch.optim.SGD(self.model.parameters(), lr=lr)
        total = 0.0
        for rows in torch.from_numpy(order).split(batch_size):
            optimiser.zero_grad()
            cost = self.cost(self.model(self.x.index_select(0, rows)), self.y.index_select(0, rows))
            cost.backward()
            optimiser.step()
            total += cost.item() * len(rows)
        return total / len(order)
