"""Recipes for one's own music: what to scale by and how to train, where nobody says otherwise.

``paper`` is the paper's. The others come of what the paper's open questions have shown, see experiments/questions/.
"""
from dataclasses import dataclass, field, fields

from dbn.errors import DBNError, TrainingError
from dbn.training.settings import ConvolutionalSettings, TrainingSettings


@dataclass(frozen=True)
class Recipe:
    """A kind of :class:`dbn.audio.scaling.Scaling`, and what settings of which class; `about` says why."""

    scaling: str
    about: str
    changes: dict = field(default_factory=dict)
    settings_class: type = TrainingSettings

    def settings(self, given):
        """The settings, an object of their class; what is in the dict `given` wins.

        Raises
        ------
        TrainingError
            What is given does not fit the recipe, or is no setting of this network.
        """
        names = [each.name for each in fields(self.settings_class)]
        for name in given:
            if name not in names:
                raise TrainingError(f"{name} is no choice of such a network (--network); leave it out, it has "
                                    f"{', '.join(names)}")
        try:
            return self.settings_class(**self.changes | given)
        except TrainingError as error:
            if not self.changes:
                raise
            raise TrainingError(f"{error}; or give another --recipe, such as {UNSUPERVISED}") from None


RECIPES = {
    "paper": Recipe("minmax", "each bin scaled to [0, 1], as a network of binary units needs"),
    "log": Recipe("log", "logarithms of all bins on one scale, binary units, pre-trained"),
    "rectified": Recipe("log-standardize", "logarithms, standardised, rectified units, no pre-training",
                        {"visible": "gaussian", "activation": "relu", "pretrain_epochs": 0, "finetune_lr": 0.02}),
}
CONVOLUTIONAL = Recipe("log-whitened-pca-80", "150 bases of 6 frames, blocks of 3, on components of logarithms",
                       {"hidden_layers_sizes": (150,), "widths": (6,), "pools": (3,), "pretrain_epochs": 5},
                       ConvolutionalSettings)
NETWORKS = ("frames", "convolutional")  # what --network takes
RECOMMENDED = "rectified"
UNSUPERVISED = "log"  # where there are no labels: rectified units cannot be pre-trained
AUTO = "auto"  # the best of all on the validation songs


def recipes_of(name, has_labels=True):
    """The recipes to try: a dict of one, or of all where `name` is ``"auto"``.

    Raises
    ------
    DBNError
        Another name.
    """
    if name == AUTO:
        return RECIPES
    if name == "recommended":
        name = RECOMMENDED if has_labels else UNSUPERVISED
    if name not in RECIPES:
        raise DBNError(f"--recipe is {name!r}: choose one of recommended, {AUTO}, {', '.join(RECIPES)}")
    return {name: RECIPES[name]}
