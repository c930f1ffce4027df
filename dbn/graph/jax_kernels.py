"""How JAX computes the operations of :mod:`dbn.graph.ops`; PyTensor's JAX mode imports this module when it needs it.

The draws are the same bits as elsewhere, as JAX has the same generator. Two things are not as elsewhere: JAX raises no
errors, so that rows and class numbers are not checked; and it slices by fixed lengths alone, so that minibatches are
given as inputs and whole epochs of :func:`dbn.graph.compile.epoch_function` are not compiled.
"""
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry2x32_p
from pytensor.link.jax.dispatch import jax_funcify

from dbn.graph.ops import (AddProduct, Bernoulli, BinaryCrossEntropy, Filled, MatrixSum, Normal, Product,
                           Reconstruction, Sigmoid, SoftmaxCost, Softplus, TakeRows, Uniform, negligible)


def _is_computed_by(op_class):
    """Register a function that takes an operation and its inputs' values."""
    def register(compute):
        jax_funcify.register(op_class)(lambda op, **_: lambda *inputs: compute(op, *inputs))
        return compute
    return register


_is_computed_by(Sigmoid)(lambda op, x: jax.nn.sigmoid(x))
_is_computed_by(Softplus)(lambda op, x: jnp.logaddexp(x, 0))
_is_computed_by(TakeRows)(lambda op, data, rows: data[rows])
_is_computed_by(AddProduct)(lambda op, z, alpha, x, y: z + alpha * (x.T @ y))
_is_computed_by(MatrixSum)(lambda op, x: x.sum(axis=op.axis))
_is_computed_by(Filled)(lambda op, number, *shape: jnp.full(shape, number.reshape(())))


@_is_computed_by(Product)
def _product(op, x, y, *bias):
    product = (x.T if op.x_transposed else x) @ (y.T if op.y_transposed else y)
    return product + bias[0] if bias else product


@_is_computed_by(SoftmaxCost)
def _softmax_cost(op, a, y):
    log_share = jax.nn.log_softmax(a, axis=1)
    gradient = jnp.exp(log_share) - jax.nn.one_hot(y, a.shape[1], dtype=a.dtype)
    gradient = jnp.where(jnp.abs(gradient) < len(a) * negligible(a.dtype), 0, gradient) / len(a)
    return -jnp.take_along_axis(log_share, y[:, None], axis=1).mean(), gradient


@_is_computed_by(BinaryCrossEntropy)
def _binary_cross_entropy(op, x, t):
    return (x * t - jnp.logaddexp(t, 0)).sum(axis=1).mean()


def _blocks(state, n_blocks):
    """The two words of each block: two arrays of uint32."""
    counters = jnp.arange(n_blocks, dtype=jnp.uint32)
    words = [jnp.broadcast_to(word, counters.shape) for word in state]
    return threefry2x32_p.bind(words[0], words[1], counters, words[2])


def _uniform32(word):
    return (word >> 8).astype(jnp.float32) * np.float32(2.0**-24)


def _uniform_numbers(shape, state):
    """As :meth:`dbn.graph.ops.Draw.uniform_pairs`: float32 of the halves of an array, laid end to end."""
    size = int(np.prod(shape))
    return _uniform32(jnp.concatenate(_blocks(state, -(-size // 2))))[:size].reshape(shape)


@_is_computed_by(Bernoulli)
def _bernoulli(op, mean, state):
    return (_uniform_numbers(mean.shape, state) < mean).astype(mean.dtype)


@_is_computed_by(Normal)
def _normal(op, mean, state):
    first, second = (_uniform32(word).astype(mean.dtype) for word in _blocks(state, -(-mean.size // 2)))
    radius, angle = jnp.sqrt(-2 * jnp.log1p(-first)), 2 * np.pi * second
    noise = jnp.concatenate([radius * jnp.cos(angle), radius * jnp.sin(angle)])[:mean.size]
    return mean + noise.reshape(mean.shape).astype(mean.dtype)


@_is_computed_by(Uniform)
def _uniform(op, mean, state):
    if mean.dtype == jnp.float32:
        return mean + _uniform_numbers(mean.shape, state)
    high, low = (word.astype(jnp.int64) for word in _blocks(state, mean.size))
    return mean + (((high >> 5) * 2**26 + (low >> 6)) * 2.0**-53).reshape(mean.shape)


@_is_computed_by(Reconstruction)
def _reconstruction(op, x, t, state):
    return _bernoulli(op, jax.nn.sigmoid(t), state), _binary_cross_entropy(op, x, t)
