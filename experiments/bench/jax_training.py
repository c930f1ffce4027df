"""Fine-tuning and CD-1 in JAX, as one writes them there; imported by :mod:`experiments.bench.jax_peers` in its process.

A step takes parameters, the arrays of a minibatch, a learning rate and a key for what it draws; it gives the new
parameters and the mean cost.
"""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


class JaxTrainer:
    """A network in JAX; the parameters are those of :class:`experiments.bench.jax_peers.JaxNetwork`."""

    def __init__(self, params, x, y):
        step, data = (cd1_step, [x]) if y is None else (finetuning_step, [x, y])
        self._params, self._data = jax.device_put((params, data), may_alias=False)
        self._key = jax.random.key(0)
        self._epoch = jax.jit(partial(_epoch, step), static_argnames="batch_size", donate_argnames="params")

    def values(self):
        """Copies of the parameters."""
        return [np.array(param) for param in self._params]

    def train(self, order, batch_size, lr):
        """One epoch; the mean cost."""
        self._key, key = jax.random.split(self._key)
        self._params, cost = self._epoch(self._params, self._data, order.astype(np.int32), np.float32(lr), key,
                                         batch_size=batch_size)
        return float(cost)


def _epoch(step, params, data, order, lr, key, batch_size):
    n_whole = len(order) // batch_size
    whole, rest = order[:n_whole * batch_size].reshape(n_whole, batch_size), order[n_whole * batch_size:]
    keys = jax.random.split(key, n_whole + 1)

    def on_rows(params, rows_and_key):
        rows, key = rows_and_key
        return step(params, [each.at[rows].get(mode="promise_in_bounds") for each in data], lr, key)

    params, costs = jax.lax.scan(on_rows, params, (whole, keys[:-1]))
    total = costs.sum() * batch_size
    if len(rest):
        params, cost = on_rows(params, (rest, keys[-1]))
        total += cost * len(rest)
    return params, total / len(order)


def finetuning_step(params, minibatch, lr, _):
    """Gradient descent of sigmoid layers under a softmax layer; `minibatch` is float32 [m, n_ins] and int32 [m]."""
    x, y = minibatch

    def cost_of(params):
        *hidden, (W, b) = zip(params[0::2], params[1::2])
        below = x
        for weights, bias in hidden:
            below = jax.nn.sigmoid(below @ weights + bias)
        logarithms = jax.nn.log_softmax(below @ W + b)
        return -jnp.take_along_axis(logarithms, y[:, None], axis=1).mean()

    cost, gradients = jax.value_and_grad(cost_of)(params)
    return [param - lr * gradient for param, gradient in zip(params, gradients)], cost


def cd1_step(params, minibatch, lr, key):
    """CD-1 of an RBM of binary units, see :meth:`dbn.rbm.RBM.get_cost_updates`; `minibatch` is float32 [m, n_ins]."""
    (W, hbias, vbias), [v], (hidden_key, visible_key) = params, minibatch, jax.random.split(key)
    h = jax.nn.sigmoid(v @ W + hbias)
    activation = jax.random.bernoulli(hidden_key, h).astype(v.dtype) @ W.T + vbias
    v_end = jax.random.bernoulli(visible_key, jax.nn.sigmoid(activation)).astype(v.dtype)
    h_end = jax.nn.sigmoid(v_end @ W + hbias)
    rate = lr / len(v)
    updated = [W + rate * (v.T @ h - v_end.T @ h_end), hbias + rate * (h - h_end).sum(axis=0),
               vbias + rate * (v - v_end).sum(axis=0)]
    return updated, (v * activation - jax.nn.softplus(activation)).sum(axis=1).mean()
