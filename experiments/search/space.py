"""The points that are drawn from a space of hyper-parameters.

The space itself, :data:`experiments.profiles.SPACE`, is a dict from the name of a hyper-parameter to a
:class:`~experiments.profiles.Choice` or a :class:`~experiments.profiles.LogUniform`. A name is a field of
:class:`dbn.training.settings.TrainingSettings`, or one of

- ``layers`` and ``units``, from which ``hidden_layers_sizes`` is made: so many layers, all of the same width;
- ``inputs``, a pair ``(scaling, visible units)``, because only some scalings suit each kind of unit.
"""
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from dbn.errors import DBNError
from dbn.training.settings import TrainingSettings

# the second number of the seeds of these draws; training's own draws have 0 to 2
DRAWING = 3

# what a space does not name: these are made from "layers", "units" and "inputs", or are the search's and its rungs'
OTHERWISE = {"seed", "hidden_layers_sizes", "visible", "finetune_epochs"}


@dataclass(frozen=True)
class Point:
    """One combination of hyper-parameters.

    Attributes
    ----------
    name : str
        "point-017", or "paper" for Table 1's own setting.
    number : int or None
        Its place in the order of drawing, from 0; None for "paper".
    settings : dbn.training.settings.TrainingSettings
    scaling : str
        One of :data:`dbn.audio.scaling.KINDS`.
    """

    name: str
    number: int | None
    settings: TrainingSettings
    scaling: str

    def as_json(self):
        """All settings, the scaling among them: a dict as JSON gives it back."""
        settings = asdict(self.settings) | {"scaling": self.scaling}
        return settings | {"hidden_layers_sizes": list(settings["hidden_layers_sizes"])}


def draw_point(space, number, base, scaling):
    """One point of a search.

    It depends on the seed and the number alone: a search of more points begins with those of a smaller one.

    Parameters
    ----------
    space : dict of str to Choice or LogUniform
        See the head of this file.
    number : int
        From 0.
    base : dbn.training.settings.TrainingSettings
        Its ``seed``, and what the space does not name.
    scaling : str
        The scaling if the space does not name ``inputs``.

    Returns
    -------
    Point
        Its settings have the seed of `base`: two points differ by their settings, not by their luck.

    Raises
    ------
    DBNError
        The space names what is no setting, or a value that a setting cannot have.
    """
    known = {field.name for field in fields(TrainingSettings)} - OTHERWISE
    unknown = sorted(set(space) - known - {"layers", "units", "inputs"})
    if unknown:
        raise DBNError(f"experiments/profiles.py: the search space names {', '.join(unknown)}; it may name layers, "
                       f"units, inputs, {', '.join(sorted(known))}")
    rng = np.random.default_rng([base.seed, DRAWING, number])
    drawn = {name: distribution.draw(rng) for name, distribution in space.items()}
    sizes = base.hidden_layers_sizes
    sizes = (drawn.pop("units", sizes[0]),) * drawn.pop("layers", len(sizes))
    scaling, visible = drawn.pop("inputs", (scaling, base.visible))
    if drawn.get("activation", base.activation) == "relu":
        drawn["pretrain_epochs"] = 0  # rectified units are not pre-trained
    settings = replace(base, hidden_layers_sizes=sizes, visible=visible, **drawn)
    return Point(name_of(number), number, settings, scaling)


def name_of(number):
    """The name of a point that was drawn."""
    return f"point-{number:03d}"
