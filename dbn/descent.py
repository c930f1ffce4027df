"""What a step of gradient descent may follow instead of the gradient alone: weight decay and momentum.

The paper has neither. Both are as G. Hinton, "A practical guide to training restricted Boltzmann machines" (2010, §9,
§10), describes them.
"""
import pytensor.tensor as pt


def directions(params, gparams, updates, weight_decay=None, momentum=None, velocities=()):
    r"""The directions of a step :math:`\theta' = \theta - \epsilon v'` with the learning rate :math:`\epsilon`.

    .. math:: v' = \mu v + g + \lambda \theta

    with the gradient g, the weight decay :math:`\lambda`, which acts on matrices and leaves biases alone, and the
    momentum :math:`\mu` of the velocity v. At a constant rate it is Hinton's velocity, divided by the rate.

    Parameters
    ----------
    params : list of shared variables
    gparams : list of symbolic arrays
        The cost's gradient with regard to each.
    updates : dict
        Gains the new velocities.
    weight_decay, momentum : float or symbolic scalar, optional
        Left out of the graph if None.
    velocities : sequence of shared variables
        One for each parameter, of its shape; needed with `momentum`.

    Returns
    -------
    list of symbolic arrays
        `gparams` themselves without both.
    """
    if weight_decay is not None:
        gparams = [gparam + pt.cast(weight_decay, param.dtype) * param if param.ndim == 2 else gparam
                   for param, gparam in zip(params, gparams)]
    if momentum is None:
        return gparams
    for velocity, gparam in zip(velocities, gparams, strict=True):
        updates[velocity] = pt.cast(momentum, velocity.dtype) * velocity + gparam
    return [updates[velocity] for velocity in velocities]
