"""Autotagging: one balanced RBF-SVM a tag, in folds that keep every artist on one side (§5.2, Figure 3, Table 4).

Conventions
-----------
A clip has one or more windows, each a feature vector; a window is an example of all its clip's tags. A clip has a tag
where the mean of its windows' decision values is positive. Draws hold as many clips without a tag as with it, for
training and for testing, so that chance is 0.5.

All that is drawn at random depends on the seed, the tag's column and the fold, never on the features: two feature sets
are compared on the same clips, and :func:`compare_tags` and :func:`difference_interval` make sure of it. The result
does not depend on the number of processes.
"""
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy.stats import wilcoxon

from dbn.errors import DBNError, require_integer
from dbn.evaluation.stats import bootstrap_interval
from dbn.evaluation.svm import RBFSVM
from dbn.evaluation.tag_draws import INNER_FOLDS, draw_all, group_folds, group_keys, plan_draws
from dbn.system.blas import one_blas_thread
from dbn.system.progress import progress_bar
from dbn.system.workers import in_parallel
from dbn.trained.tagger import TagSVM


@dataclass(frozen=True)
class TagScore:
    """How well one tag is recognised.

    Attributes
    ----------
    name : str
    accuracy : float
        Share of the test clips, over all folds, that are labelled correctly.
    fold_accuracies : tuple of float
        The same in each fold.
    fold_error : float
        Standard error over the folds: their standard deviation (ddof = 1) / √n_folds. The folds share training clips,
        so it understates the error of the mean.
    n_positive : int
        Clips with the tag, in the whole data set.
    n_test : int
        Test clips over all folds, half of them with the tag.
    parameters : tuple of (float, float)
        (C, gamma) of each fold's SVM.
    clips : tuple of int
        The test clips, fold after fold.
    correct : tuple of bool
        Whether each of them is labelled correctly.
    """

    name: str
    accuracy: float
    fold_accuracies: tuple
    fold_error: float
    n_positive: int
    n_test: int
    parameters: tuple
    clips: tuple
    correct: tuple


@dataclass(frozen=True)
class TagResults:
    """The scores of a feature set.

    Attributes
    ----------
    scores : tuple of TagScore
        In the order of the tags' columns.
    left_out : tuple of (str, str)
        Name of each tag that could not be evaluated, and why; they are not in the mean.
    """

    scores: tuple
    left_out: tuple

    @property
    def mean(self):
        """Mean accuracy over the tags (Table 4)."""
        return float(np.mean([score.accuracy for score in self.scores]))

    @property
    def standard_error(self):
        """Standard error of the mean over the tags: standard deviation (ddof = 1) / √n_tags; NaN for one tag."""
        return _standard_error([score.accuracy for score in self.scores])


class _Clips(NamedTuple):
    """The windows of all clips, [n_windows, d], the number of the window after each clip's last, and RBFSVM's parts."""

    windows: np.ndarray
    ends: np.ndarray
    parts: object = None

    @property
    def starts(self):
        """Number of each clip's first window."""
        return np.r_[0, self.ends[:-1]]

    def rows(self, clips):
        """Numbers of some clips' windows, [m]."""
        starts = self.starts
        return np.concatenate([np.arange(starts[clip], self.ends[clip]) for clip in clips])

    def of(self, clips):
        """Copy of some clips' windows, [m, d], and the number of windows of each."""
        return self.windows[self.rows(clips)], (self.ends - self.starts)[clips]


def evaluate_tags(features, tags, groups=None, n_folds=3, seed=0, C=1.0, gamma=None, names=None, min_clips=10, jobs=1,
                  progress=True, parts=None):
    """Accuracy of balanced SVMs for every tag (§5.2).

    For every tag and fold, an RBF-SVM is trained on all clips of the other folds that have the tag and as many drawn
    at random that have not (where those are fewer, on all of them and as many with the tag), and tested on a draw of
    the same kind from the fold. Features are standardised on the training draw.

    Parameters
    ----------
    features : float array [n_clips, d], or sequence of n_clips float arrays [n_windows, d]
    tags : bool array, [n_clips, n_tags]
    groups : sequence of str, [n_clips], optional
        Each clip's artist; no artist is in two folds. Clips of an unknown artist ("" or None) are taken for clips of
        different ones. Without groups, so are all clips.
    n_folds : int
        At least 2.
    seed : int
        Of the folds and draws.
    C : float or sequence of float
        The SVM's penalty.
    gamma : float or sequence of float, optional
        γ of the kernel on standardised features; 1 / d by default. If C or gamma are several values, the pair with
        the most clips right in a 3-fold cross-validation within the training draw, by group, is taken; of equals, the
        smaller C, then the smaller gamma.
    names : sequence of str, [n_tags], optional
        The tags' names; by default their column numbers.
    min_clips : int
        A tag that fewer clips have, or lack, is left out.
    jobs : int
        Worker processes, one BLAS thread each; the result does not depend on it.
    progress : bool
        Show a progress bar on standard error where that is a terminal.
    parts : sequence of int, optional
        See :class:`dbn.evaluation.svm.RBFSVM`.

    Returns
    -------
    TagResults

    Raises
    ------
    DBNError
        Features that are missing, not finite or of several sizes; shapes that do not fit; fewer groups than folds; no
        tag that can be evaluated; a parameter out of range.
    """
    clips, tags, groups, points = _checked(features, tags, groups, C, gamma)
    clips = clips._replace(parts=parts)
    names = _check_names(names, tags.shape[1])
    for name, value, minimum in (("seed", seed, 0), ("min_clips", min_clips, 1), ("jobs", jobs, 1)):
        require_integer(name, value, minimum)
    folds = group_folds(groups, n_folds, [seed])
    draws, left_out = plan_draws(tags, names, groups, folds, min_clips, seed, choose=len(points) > 1)
    arguments = [(clips, tags[:, tag], draw, points) for tag in draws for draw in draws[tag]]
    results = _of_all(_score_draw, arguments, jobs, progress, "SVMs of the tags")
    scores = [_tag_score(names[tag], tags[:, tag], draws[tag], [next(results) for _ in draws[tag]]) for tag in draws]
    return TagResults(tuple(scores), tuple(left_out))


def train_tags(features, tags, groups=None, seed=0, C=1.0, gamma=None, jobs=1, progress=True):
    """An SVM for every tag on all clips, to use on others; :func:`evaluate_tags` measures how good such SVMs are.

    Each is trained as there: on all clips that have the tag and as many drawn at random that have not, with the pair
    of C and gamma that is best in a cross-validation within them.

    Parameters
    ----------
    features, tags, groups, seed, C, gamma, jobs, progress
        As in :func:`evaluate_tags`.

    Returns
    -------
    list of (dbn.trained.tagger.TagSVM or None)
        For each column of `tags`; its ``support`` are rows of all clips' windows, one clip after another. None where
        the clips come from too few groups to choose C and gamma among them.

    Raises
    ------
    DBNError
        As :func:`evaluate_tags`; a tag that no clip or every clip has.
    """
    clips, tags, groups, points = _checked(features, tags, groups, C, gamma)
    for name, value, minimum in (("seed", seed, 0), ("jobs", jobs, 1)):
        require_integer(name, value, minimum)
    for tag, n_positive in enumerate(tags.sum(axis=0)):
        if n_positive in (0, len(tags)):
            raise DBNError(f"{n_positive} of {len(tags)} clips have tag {tag}, which leaves nothing to learn; leave it "
                           "out")
    # evaluate_tags draws from seeds that end in 1 + fold, and one that ends in 0 is that of its folds
    draws = [draw_all(tags[:, tag], groups, [seed, tag, 2**31], len(points) > 1) for tag in range(tags.shape[1])]
    arguments = [(clips, tags[:, tag], draw, points) for tag, draw in enumerate(draws) if draw]
    svms = _of_all(_train_draw, arguments, jobs, progress, "SVMs on all clips")
    return [next(svms) if draw else None for draw in draws]


def compare_tags(a, b):
    """Wilcoxon's signed-rank test: are two feature sets equally accurate over the tags?

    Parameters
    ----------
    a, b : TagResults
        Of the same tags, folds and draws.

    Returns
    -------
    float
        The two-sided p-value, in (0, 1]; 1 where no tag tells the two apart.

    Raises
    ------
    DBNError
        Results on different tags or clips.

    References
    ----------
    F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945.
    """
    _check_same_clips(a, b)
    differences = np.array([x.accuracy - y.accuracy for x, y in zip(a.scores, b.scores)])
    # accuracies are fractions: equal differences must stay equal to share a rank
    differences = np.round(differences, 12)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def difference_interval(a, b, groups, confidence=0.95, seed=0):
    """Bootstrap interval over artists for the difference of two feature sets' mean accuracies over the tags.

    Tags share clips, and clips of an artist resemble each other, so that neither tags nor clips are independent.
    Artists are drawn with replacement, each with all decisions on its clips, for every tag and for both feature sets.
    The tags are not resampled: the interval is for these tags.

    Parameters
    ----------
    a, b : TagResults
        Of the same tags, folds and draws.
    groups : sequence of str, [n_clips]
        Each clip's artist; a clip of an unknown one ("" or None) is taken for one of its own.
    confidence : float
    seed : int
        Of the resamples.

    Returns
    -------
    (low, high) or None
        Bounds for ``a.mean - b.mean``, see :func:`dbn.evaluation.stats.bootstrap_interval`.

    Raises
    ------
    DBNError
        Results on different tags or clips.
    """
    _check_same_clips(a, b)
    numbers = {}
    number = np.array([numbers.setdefault(key, len(numbers)) for key in group_keys(groups)])
    sums, counts = np.zeros((2, len(numbers), len(a.scores)))
    for tag, (x, y) in enumerate(zip(a.scores, b.scores)):
        of_clip = number[list(x.clips)]
        np.add.at(sums[:, tag], of_clip, np.array(x.correct, dtype=float) - np.array(y.correct))
        np.add.at(counts[:, tag], of_clip, 1)
    tested = counts.any(axis=1)
    return bootstrap_interval(sums[tested], counts[tested], confidence, seed=seed)


def _check_same_clips(a, b):
    if [(score.name, score.clips) for score in a.scores] != [(score.name, score.clips) for score in b.scores]:
        raise DBNError("a paired comparison needs two results on the same tags and test clips; evaluate both with the "
                       "same tags, groups, n_folds, seed and min_clips")


def _checked(features, tags, groups, C, gamma):
    """The input of both public functions: clips, tags, a group for each clip, every (C, gamma)."""
    clips = _stack(features)
    n_clips, d = len(clips.ends), clips.windows.shape[1]
    tags = _check_tags(tags, n_clips)
    groups = range(n_clips) if groups is None else groups
    if len(groups) != n_clips:
        raise DBNError(f"{n_clips} clips need as many groups, not {len(groups)}")
    return clips, tags, groups, _grid(C, 1 / d if gamma is None else gamma)


def _of_all(function, arguments, jobs, progress, description):
    """Iterator over what the function returns, in order."""
    results = in_parallel(function, arguments, jobs)
    return iter(progress_bar(description, results, progress, total=len(arguments)))


def _score_draw(clips, has_tag, draw, points):
    """Whether each test clip is labelled correctly, bool [n_test], and the (C, gamma) taken."""
    with one_blas_thread:
        point = _choose(clips, has_tag, draw, points)
        return _correct(clips, has_tag, draw.train, draw.test, *point), point


def _train_draw(clips, has_tag, draw, points):
    """The SVM of a draw's training clips, a TagSVM."""
    with one_blas_thread:
        svm = _fit(clips, has_tag, draw.train, *_choose(clips, has_tag, draw, points))
    return TagSVM(svm.C, svm.gamma, svm.mean_, svm.scale_, clips.rows(draw.train)[svm.svc_.support_],
                  svm.svc_.dual_coef_[0], float(svm.svc_.intercept_[0]))


def _choose(clips, has_tag, draw, points):
    """The (C, gamma) with the most clips right when each inner fold is labelled by an SVM of the others."""
    if len(points) == 1:
        return points[0]
    parts = [(draw.train[draw.inner_folds != inner], draw.train[draw.inner_folds == inner])
             for inner in range(INNER_FOLDS)]
    n_correct = [sum(_correct(clips, has_tag, *part, *point).sum() for part in parts) for point in points]
    return points[int(np.argmax(n_correct))]  # the first of equals: points are sorted


def _fit(clips, has_tag, train, C, gamma):
    x, counts = clips.of(train)
    return RBFSVM(C, gamma, clips.parts).fit(x, np.repeat(has_tag[train], counts))


def _correct(clips, has_tag, train, test, C, gamma):
    """Whether an SVM of the training clips' windows labels each of the test clips correctly, bool [n_test]."""
    model = _fit(clips, has_tag, train, C, gamma)
    x, counts = clips.of(test)
    for_tag = -model.decision_values(x)[:, 0]  # positive for the first class, which is False
    means = np.add.reduceat(for_tag, np.cumsum(counts) - counts) / counts
    return (means > 0) == has_tag[test]


def _tag_score(name, has_tag, draws, results):
    correct = np.concatenate([fold_correct for fold_correct, _ in results])
    fold_accuracies = [float(fold_correct.mean()) for fold_correct, _ in results]
    clips = np.concatenate([draw.test for draw in draws])
    return TagScore(name, float(correct.mean()), tuple(fold_accuracies), _standard_error(fold_accuracies),
                    int(has_tag.sum()), len(clips), tuple(point for _, point in results), tuple(clips.tolist()),
                    tuple(correct.tolist()))


def _standard_error(values):
    """Standard deviation (ddof = 1) / √n; NaN for a single value."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _stack(features):
    """All clips' windows in one array, checked, and where each clip ends."""
    if isinstance(features, np.ndarray) and features.ndim == 2:
        features = features[:, None, :]
    features = [np.asarray(clip) for clip in features]
    if not features:
        raise DBNError("there are no clips to evaluate")
    for number, clip in enumerate(features):
        what = f"the features of clip {number} (of {len(features)}, counted from 0)"
        if clip.ndim != 2 or clip.shape[1:] != features[0].shape[1:]:
            raise DBNError(f"{what} must be [n_windows, d] with one d for all clips, not shape {clip.shape}")
        if not clip.size:
            raise DBNError(f"{what} are empty; leave the clip out")
        if not np.isfinite(clip).all():
            raise DBNError(f"{what} hold NaN or infinite values")
    return _Clips(np.concatenate(features), np.cumsum([len(clip) for clip in features]))


def _check_tags(tags, n_clips):
    tags = np.asarray(tags)
    if tags.dtype != bool or tags.ndim != 2 or len(tags) != n_clips:
        raise DBNError(f"tags must be true or false for {n_clips} clips, [n_clips, n_tags]; they are {tags.dtype} of "
                       f"shape {tags.shape}")
    return tags


def _check_names(names, n_tags):
    names = [str(tag) for tag in range(n_tags)] if names is None else list(names)
    if len(names) != n_tags:
        raise DBNError(f"{n_tags} tags need as many names, not {len(names)}")
    return names


def _grid(C, gamma):
    """Every (C, gamma), sorted."""
    values = np.ravel(C), np.ravel(gamma)
    if not all(len(numbers) and numbers.dtype.kind in "iuf" for numbers in values):
        raise DBNError(f"C is {C!r} and gamma {gamma!r}; each must be a number or a sequence of numbers, not empty")
    points = sorted(product(*(numbers.tolist() for numbers in values)))
    for point in points:
        RBFSVM(*point)  # refuses what is not positive
    return points
