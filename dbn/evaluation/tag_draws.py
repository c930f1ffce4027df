"""Which clips an SVM of a tag is trained on and tested on: balanced draws from folds that share no artist (§5.2)."""
from typing import NamedTuple

import numpy as np

from dbn.errors import DBNError, require_integer

INNER_FOLDS = 3  # of a training draw, to choose C and gamma by cross-validation


class Draw(NamedTuple):
    """Clips that one SVM is trained on and tested on, [n] each, and the inner fold of each training clip (or None)."""

    train: np.ndarray
    test: np.ndarray
    inner_folds: np.ndarray | None


def group_keys(groups):
    """Each clip's group, or one of its own in the place of "" and None: list of hashable."""
    # a tuple is no label, so that it cannot coincide with one
    return [(clip,) if group in ("", None) else group for clip, group in enumerate(groups)]


def group_folds(groups, n_folds, seed):
    """Divide clips into folds of about equal size that share no group.

    Groups are dealt out from the largest to the smallest, in random order where equal, each to the smallest fold so
    far. Hence the folds' sizes differ by no more than the largest group.

    Parameters
    ----------
    groups : sequence of hashable, [n_clips]
        Each clip's group; "" and None stand for a group of its own.
    n_folds : int
        At least 2.
    seed : int or sequence of int

    Returns
    -------
    int, [n_clips]
        Each clip's fold, from 0.

    Raises
    ------
    DBNError
        Fewer groups than folds.
    """
    require_integer("n_folds", n_folds, minimum=2)
    members = {}
    for clip, key in enumerate(group_keys(groups)):
        members.setdefault(key, []).append(clip)
    if len(members) < n_folds:
        raise DBNError(f"{len(members)} groups (artists) cannot fill n_folds={n_folds}; take fewer folds or add clips "
                       "of other artists")
    members = list(members.values())
    shuffled = np.random.default_rng(seed).permutation(len(members))
    folds = np.empty(len(groups), dtype=np.intp)
    sizes = np.zeros(n_folds, dtype=np.intp)
    for number in sorted(shuffled, key=lambda number: -len(members[number])):
        smallest = sizes.argmin()
        folds[members[number]] = smallest
        sizes[smallest] += len(members[number])
    return folds


def plan_draws(tags, names, groups, folds, min_clips, seed, choose):
    """The draws of every tag that can be evaluated.

    Parameters
    ----------
    tags : bool array, [n_clips, n_tags]
    names : sequence of str, [n_tags]
    groups : sequence of str, [n_clips]
    folds : int array, [n_clips]
        See :func:`group_folds`.
    min_clips : int
        A tag that fewer clips have, or lack, is left out.
    seed : int
    choose : bool
        Whether C and gamma are to be chosen within the training clips, which takes inner folds.

    Returns
    -------
    draws : dict of int to list of Draw
        By the tag's column, fold after fold.
    left_out : list of (str, str)
        Name of each other tag, and why.

    Raises
    ------
    DBNError
        No tag can be evaluated.
    """
    draws, left_out = {}, []
    for tag, name in enumerate(names):
        why = _reason_to_leave_out(tags[:, tag], folds, min_clips)
        if not why:
            drawn = [draw_clips(tags[:, tag], groups, folds, fold, [seed, tag, 1 + fold], choose)
                     for fold in range(folds.max() + 1)]
            if any(draw is None for draw in drawn):
                why = "the clips of a training draw come from too few groups to choose C and gamma among them"
        if why:
            left_out.append((name, why))
        else:
            draws[tag] = drawn
    if not draws:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out)
        raise DBNError(f"no tag can be evaluated ({reasons or 'there are no tags'})")
    return draws, left_out


def draw_all(has_tag, groups, seed, choose):
    """A :class:`Draw` that trains on all clips and leaves none to test on; parameters as for :func:`draw_clips`."""
    return draw_clips(has_tag, groups, np.zeros(len(has_tag), dtype=np.intp), 1, seed, choose)


def draw_clips(has_tag, groups, folds, fold, seed, choose):
    """Draw the clips of one SVM, as many with the tag as without.

    Parameters
    ----------
    has_tag : bool array, [n_clips]
    groups : sequence of str, [n_clips]
    folds : int array, [n_clips]
    fold : int
        To test on; the others are trained on.
    seed : sequence of int
    choose : bool
        As for :func:`plan_draws`.

    Returns
    -------
    Draw or None
        None where the training clips cannot be divided into inner folds, each rest of them with and without the tag.
    """
    rng = np.random.default_rng(seed)
    train = _balanced(np.flatnonzero(folds != fold), has_tag, rng)
    test = _balanced(np.flatnonzero(folds == fold), has_tag, rng)
    if not choose:
        return Draw(train, test, None)
    try:
        inner_folds = group_folds([groups[clip] for clip in train], INNER_FOLDS, rng)
    except DBNError:  # fewer groups than folds
        return None
    each_rest_has_both = all(np.ptp(has_tag[train[inner_folds != inner]].astype(int)) for inner in range(INNER_FOLDS))
    return Draw(train, test, inner_folds) if each_rest_has_both else None


def _balanced(clips, has_tag, rng):
    """As many of the clips with the tag as without, and as many as there are; in the order of their numbers."""
    kinds = clips[has_tag[clips]], clips[~has_tag[clips]]
    n = min(map(len, kinds))
    return np.sort(np.concatenate([rng.choice(kind, n, replace=False) for kind in kinds]))


def _reason_to_leave_out(has_tag, folds, min_clips):
    """Why a tag cannot be evaluated, or None."""
    for clips, which in ((has_tag, "with"), (~has_tag, "without")):
        if clips.sum() < min_clips:
            return f"{clips.sum()} clips {which} the tag, fewer than min_clips={min_clips}"
        counts = np.bincount(folds[clips], minlength=folds.max() + 1)
        if not counts.all():
            return f"no clip {which} the tag in fold {counts.argmin()}: those clips come from too few groups"
    return None
