"""Recipes for one's own music: what to scale by and how to train, where nobody says otherwise.

``paper`` is the paper's. The others come of what the paper's open questions have shown, see experiments/questions/.
"""
from dataclasses import dataclass, field

from dbn.errors import DBNError
from dbn.training.settings import TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """A kind of :class:`dbn.audio.scaling.Scaling`, and the settings that are not the paper's; `about` says why."""

    scaling: str
    about: str
    changes: dict = field(default_factory=dict)

    def settings(self, given):
        """The :class:`~dbn.training.settings.TrainingSettings`; what is in the dict `given` wins."""
        return TrainingSettings(**self.changes | given)


RECIPES = {
    "paper": Recipe("minmax", "each bin scaled to [0, 1], as a network of binary units needs"),
    "log": Recipe("log", "logarithms of all bins on one scale, so that the noise in empty bins stays small"),
    "momentum": Recipe("minmax", "each bin scaled to [0, 1], momentum 0.9",
                       {"momentum": 0.9, "pretrain_lr": 0.0001, "finetune_lr": 0.01}),
}
RECOMMENDED = "log"
AUTO = "auto"  # the best of all on the validation songs


def recipes_of(name):
    """The recipes to try: a dict of one, or of all where `name` is ``"auto"``.

    Raises
    ------
    DBNError
        Another name.
    """
    if name == AUTO:
        return RECIPES
    if name == "recommended":
        name = RECOMMENDED
    if name not in RECIPES:
        raise DBNError(f"--recipe is {name!r}: choose one of recommended, {AUTO}, {', '.join(RECIPES)}")
    return {name: RECIPES[name]}
