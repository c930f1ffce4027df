"""From clips whose tags were evaluated to a tagger for others (§5.2)."""
import numpy as np

from dbn.errors import DBNError
from dbn.evaluation.autotag import train_tags
from dbn.trained.tagger import Tagger, TagMeasure, shared_windows


def trained_tagger(model, features, tags, groups, scores, window_seconds, window_hop, about, grid, seed=0, jobs=1):
    """The tagger of SVMs that are trained on all clips, each with the accuracy that was measured by cross-validation.

    The SVMs have seen all clips, and nothing is left to measure them on.

    Parameters
    ----------
    model : dbn.trained.model.Model
        The network.
    features : sequence of n_clips float32 arrays [n_windows, d]
        Means, then variances of its activations over windows, see :func:`dbn.features.aggregate.aggregate`.
    tags : bool array, [n_clips, n_tags]
        A column for each score.
    groups : sequence of str, [n_clips]
        Each clip's artist, see :func:`dbn.evaluation.autotag.evaluate_tags`.
    scores : sequence of dbn.evaluation.autotag.TagScore, [n_tags]
    window_seconds, window_hop : float
        Of the windows.
    about : dict
        What the tagger says of itself.
    grid : dict
        ``C`` and ``gamma``, the values that each SVM's are chosen from.
    seed : int
    jobs : int
        Worker processes.

    Returns
    -------
    dbn.trained.tagger.Tagger
        It has no tag whose clips come from too few groups to choose C and gamma among them.

    Raises
    ------
    DBNError
        No tag is left; whatever :func:`dbn.evaluation.autotag.train_tags` refuses.
    """
    svms = train_tags(features, tags, groups, seed=seed, jobs=jobs, **grid)
    of_tag = [(svm, score) for svm, score in zip(svms, scores, strict=True) if svm is not None]
    if not of_tag:
        raise DBNError("the clips of no tag come from enough artists to choose C and gamma among them; add clips of "
                       "other artists")
    windows, svms = shared_windows(np.concatenate(features), [svm for svm, _ in of_tag])
    return Tagger(model, windows, tuple(score.name for _, score in of_tag), svms,
                  tuple(TagMeasure(score.accuracy, score.n_test) for _, score in of_tag), window_seconds, window_hop,
                  about)
