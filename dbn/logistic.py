"""The output layer (paper §4.1: "soft max and cross-entropy costs were minimized with comparable results")."""
import pytensor
import pytensor.tensor as pt

from dbn.graph.ops import class_numbers, sigmoid, softmax_cost, softplus
from dbn.layers import shared_parameter


class LogisticRegression:
    r"""A linear map of the input, squashed into class probabilities.

    With the activations :math:`a = xW + b` and the true class :math:`y`,

    * ``output="softmax"``: :math:`p = \mathrm{softmax}(a)`, cost :math:`-\log p_y`;
    * ``output="sigmoid"``: :math:`p_k = \sigma(a_k)`, cost
      :math:`-\sum_k [y = k] \log p_k + [y \ne k] \log(1 - p_k)`, the element-wise cross-entropy.

    Parameters
    ----------
    input : symbolic matrix [n_examples, n_in]
        Activations of the layer below.
    n_in, n_out : int
        Sizes of input and output.
    output : {"softmax", "sigmoid"}
        Which of the two costs.
    W, b : shared variables or arrays [n_in, n_out], [n_out], optional
        Parameters; zeros if None, as in the tutorial.
    dtype : {"float32", "float64"}, optional
        Of the parameters; ``pytensor.config.floatX`` if None.

    Attributes
    ----------
    p_y_given_x : symbolic matrix [n_examples, n_out]
        Outputs; with "softmax" each row sums to 1.
    y_pred : symbolic vector [n_examples]
        Number of the most probable class.
    params : list of shared variables
        ``[W, b]``.
    """

    def __init__(self, input, n_in, n_out, output="softmax", W=None, b=None, dtype=None):
        dtype = dtype or pytensor.config.floatX
        self.W = shared_parameter(W, "W", dtype, (n_in, n_out))
        self.b = shared_parameter(b, "b", dtype, (n_out,))
        self.input = input
        self.output = output
        self.activation = pt.dot(input, self.W) + self.b
        if output == "softmax":
            self.p_y_given_x = pt.special.softmax(self.activation, axis=1)
        elif output == "sigmoid":
            self.p_y_given_x = sigmoid(self.activation)
        else:
            raise ValueError(f'output is "softmax" or "sigmoid", not {output!r}')
        self.y_pred = pt.argmax(self.activation, axis=1)
        self.params = [self.W, self.b]

    def cost(self, y):
        """The cost that belongs to the output, mean over examples; `y` integers [n_examples], the class numbers.

        TypeError for another kind of vector; the compiled function raises IndexError for a class that is not there.
        So do the other costs, and :meth:`errors`.
        """
        return self.negative_log_likelihood(y) if self.output == "softmax" else self.cross_entropy(y)

    def negative_log_likelihood(self, y):
        """-log softmax(a)_y, mean over examples; `y` integers [n_examples]."""
        return softmax_cost(self.activation, y)

    def cross_entropy(self, y):
        """Sum over outputs of the binary cross-entropy against one-hot `y` (integers [n_examples]), their mean."""
        # -log s(a) = softplus(a) - a and -log(1 - s(a)) = softplus(a): finite at any activation
        a = self.activation
        y = class_numbers(y, a.shape[1])
        return (softplus(a).sum(axis=1) - a[pt.arange(y.shape[0]), y]).mean()

    def errors(self, y):
        """Share of examples whose most probable class is not `y` (integers [n_examples])."""
        return pt.neq(self.y_pred, class_numbers(y, self.activation.shape[1])).mean()
