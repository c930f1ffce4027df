"""The steps that the tables share, each of them kept on disk and made only once.

Under the output folder lie ``corpus/`` (the embedded corpus), ``frames/`` (frame stores, MFCCs, which songs are
identical) and, for each seed, ``seed-<n>/`` with the split and one folder a trained network, named by all that it
depends on.
"""
import hashlib
import json
import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dbn.audio.frames import FrameSet, FrameStore
from dbn.datasets import folder, gtzan, splits, synthetic
from dbn.datasets.corpus import corpus_key
from dbn.errors import DatasetError
from dbn.system.files import atomic_path, sole_writer
from dbn.system.interrupts import ended_by_interrupt
from dbn.system.stored import SECONDS, kept_json
from dbn.system.workers import in_parallel
from dbn.trained.model import load_model, save_model
from dbn.training.fit import fit_model, label_songs
from dbn.training.running import check_lengths
from experiments.profiles import PRETRAIN_SONGS
from experiments.steps import winner
from experiments.steps.known_songs import ELSEWHERE, identical_pairs, known_songs
from experiments.steps.options import STOPPED, search_command
from experiments.steps.provenance import network_parts

SONG_DRAW, TRAINING_FRAME_DRAW = 101, 102  # mark the seeds of these draws, apart from those of the training


class Corpora:
    """The corpus of a run and its frames, the same for every seed.

    Parameters
    ----------
    options : argparse.Namespace
        See :func:`experiments.steps.options.parse`.
    """

    def __init__(self, options):
        self.options = options
        self.profile = options.profile
        self.out = options.out

    @cached_property
    def corpus(self):
        """The :class:`dbn.datasets.Corpus`; the synthetic one is made if it is not there."""
        options, profile = self.options, self.profile
        if options.dataset == "gtzan":
            return gtzan.load(options.root)
        if options.dataset == "folder":
            return folder.load(options.root)
        if options.dataset == "majorminer":
            raise DatasetError("--dataset majorminer has tags and no genres: it is for table4 and figure3 alone")
        with self.timed("corpus"):
            return synthetic.generate(self.out / "corpus", clips_per_genre=profile.clips_per_genre,
                                      seconds=profile.clip_seconds, seed=profile.corpus_seed, jobs=options.jobs)

    @cached_property
    def about(self):
        """Which corpus it is, as every result says it: a dict of ``root``, ``key`` and ``labels``."""
        root = self.out / "corpus" if self.options.dataset == "synthetic" else self.options.root
        return {"root": str(root.resolve()), "key": corpus_key(self.corpus), "labels": "classes"}

    @cached_property
    def identical_pairs(self):
        """See :func:`identical_pairs`."""
        return identical_pairs(self.corpus.tracks, self.about["key"], self.out / "frames")

    @property
    def warnings(self):
        """What a reader has to know of all seeds: list of str."""
        profile, name = self.profile, self.options.profile_name
        if profile.split != "sturm" or name == "paper":
            return []
        return [f"--split sturm with the profile {name}: networks of at most {profile.training.finetune_epochs} "
                f"epochs, SVMs of {profile.svm_frames:,} frames; the paper's sizes are --profile paper"]

    @cached_property
    def frame_settings(self):
        """What the frames depend on beside the audio: a dict."""
        profile = self.profile
        return {"sample_rate": profile.sample_rate, "frame_length": profile.frame_length,
                "hop_length": profile.hop_length, "window": profile.window, "pooling": profile.pooling}

    @cached_property
    def store(self):
        """The :class:`dbn.audio.frames.FrameStore` of the corpus."""
        corpus = self.corpus
        with self.timed("frames"):
            return FrameStore.build(corpus, self.out / "frames", **self.frame_settings, jobs=self.options.jobs)

    @cached_property
    def unlabelled(self):
        """The tracks of the folder that `pretrain_songs` names, if it does: a sequence."""
        songs = self.profile.pretrain_songs
        return () if songs in PRETRAIN_SONGS else folder.load_unlabelled(songs).tracks

    @cached_property
    def known_unlabelled(self):
        """Which of these are songs of the corpus, see :func:`experiments.steps.known_songs.known_songs`."""
        return known_songs(self.corpus, self.unlabelled, self.out / "frames")

    @cached_property
    def pretraining_store(self):
        """The frames that pre-training may see: the corpus's, with those of the folder that `pretrain_songs` names."""
        if not self.unlabelled:
            return self.store
        others = [replace(track, name=f"{ELSEWHERE}{track.name}") for track in self.unlabelled]
        tracks = sorted([*self.corpus.tracks, *others], key=lambda track: track.name)
        corpus = replace(self.corpus, classes=(*self.corpus.classes, self.unlabelled[0].label), tracks=tuple(tracks))
        return FrameStore.build(corpus, self.out / "frames", **self.frame_settings, jobs=self.options.jobs)

    def timed(self, step):
        """Context manager: keep the time of a step in ``seconds.json``, unless an earlier run did the work."""
        self.out.mkdir(parents=True, exist_ok=True)
        return _Timed(self.out / "seconds.json", step)

    def seconds(self):
        """What :meth:`timed` has kept: a dict."""
        return kept_json(self.out / "seconds.json", {str: SECONDS}) or {}


class _Timed:
    """Keeps the longest time that a step took: later runs only open what the first one made."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def __enter__(self):
        self.started = time.monotonic()

    def __exit__(self, kind, *_):
        if kind is None:
            seconds = kept_json(self.path, {str: SECONDS}) or {}
            seconds[self.step] = max(round(time.monotonic() - self.started, 2), seconds.get(self.step, 0))
            with atomic_path(self.path) as path:
                path.write_text(json.dumps(seconds))


class Run:
    """One seed of an experiment: its split, its network, its songs.

    Parameters
    ----------
    corpora : Corpora
        The corpus and its frames.
    seed : int
        Of the split and of the training.
    """

    def __init__(self, corpora, seed):
        self.corpora = corpora
        self.seed = seed
        self.profile = corpora.profile
        self.settings = replace(self.profile.training, seed=seed)
        self.folder = corpora.out / f"seed-{seed}"

    @cached_property
    def split(self):
        """The :class:`dbn.datasets.splits.Split`, written to ``split.csv``; unreadable songs are still in it.

        With the settings of a search's winner, it is made sure that the search chose on these songs.
        """
        tracks, how = self.corpora.corpus.tracks, self.profile.split
        if how == "class":
            split = splits.split_by_class(tracks, self.seed)
        elif how == "artist":
            split = splits.split_by_artist(tracks, self.seed)
        elif how == "sturm":
            split = splits.sturm_split(tracks)
        elif Path(how).is_file():
            split = splits.read_split(how, tracks)
        else:
            raise DatasetError(f"--split is {how!r}: neither class, artist or sturm, nor a file")
        for part in ("train", "valid", "test"):
            if not getattr(split, part):
                raise DatasetError(f"the split {how!r} has no {part} songs; choose another --split, or add songs")
        options = self.corpora.options
        if options.winner:
            winner.check_songs(options.out, search_command(options), split)
        splits.write_split(split, self.folder / "split.csv")
        return split

    @property
    def warnings(self):
        """What a reader has to know of this seed: list of str."""
        text = splits.identical_text(self.split, self.corpora.identical_pairs)
        texts = [f"seed {self.seed}: {text}"] if text else []
        if self.tested_unlabelled:
            texts.append(f"seed {self.seed}: {len(self.tested_unlabelled)} songs of {self.profile.pretrain_songs} are "
                         "test songs, by their names or bytes, and left out of pre-training, such as "
                         f"{self.tested_unlabelled[0]}")
        return texts

    @cached_property
    def tested_unlabelled(self):
        """Names of unlabelled songs that are test songs here, which nothing learns from: a sorted list."""
        tested = set(self.split.test)
        return sorted(name for name, own in self.corpora.known_unlabelled.items() if own & tested)

    def songs(self, part, scaling=None):
        """The frames of one part of the split, ``"train"``, ``"valid"`` or ``"test"``: a FrameSet."""
        return FrameSet.from_store(self.corpora.store, getattr(self.split, part), scaling)

    @cached_property
    def labelled_songs(self):
        """Names of the training songs whose labels are used, see :meth:`labelled`."""
        return self.labelled(self.profile.train_songs)

    def labelled(self, share):
        """Names of a share of each class's training songs, at least one; they are among those of a larger share."""
        names = self.split.train
        labels = {track.name: track.label for track in self.corpora.corpus.tracks}
        order = np.random.default_rng([self.seed, SONG_DRAW]).permutation(len(names))
        chosen = set()
        for label in self.corpora.corpus.classes:
            of_class = [names[i] for i in order if labels[names[i]] == label]
            chosen.update(of_class[:max(1, round(share * len(of_class)))])
        return [name for name in names if name in chosen]

    def labelled_frames(self):
        """The labelled songs' frames, or as many of them as the profile's ``train_share`` says: a FrameSet."""
        frames = FrameSet.from_store(self.corpora.store, self.labelled_songs)
        wanted = round(self.profile.train_share * self.songs("train").n_frames)
        if wanted >= frames.n_frames:
            return frames
        drawn = np.random.default_rng([self.seed, TRAINING_FRAME_DRAW]).permutation(frames.n_frames)[:max(1, wanted)]
        return frames.subset(np.sort(drawn))

    def pretraining_frames(self):
        """The frames to pre-train on, a FrameSet; None where they are those of the labelled songs."""
        if self.profile.pretrain_songs == "labelled":
            return None
        store = self.corpora.pretraining_store
        others = {song.name for song in store.songs if song.name.startswith(ELSEWHERE)}
        others -= {f"{ELSEWHERE}{name}" for name in self.tested_unlabelled}
        return FrameSet.from_store(store, [*self.split.train, *sorted(others)])

    @cached_property
    def network_folder(self):
        """Where this network is kept; the name covers the frames, the split and every option of the training."""
        options = self.corpora.options
        if options.networks:
            return Path(options.networks[self.seed - options.seed])
        if options.winner:
            winner.check_frames(options.out, search_command(options), self.corpora.store.key)
        split = [getattr(self.split, part) for part in ("train", "valid")]
        profile = self.profile
        pretrained_on = profile.pretrain_songs
        if pretrained_on not in PRETRAIN_SONGS:
            pretrained_on = [self.corpora.pretraining_store.key, *self.tested_unlabelled]
        depends_on = [self.corpora.store.key, split, profile.scaling, asdict(self.settings), profile.train_songs,
                      profile.train_share, pretrained_on]
        return self.folder / f"dbn-{hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()[:12]}"

    @cached_property
    def model(self):
        """The trained :class:`dbn.trained.model.Model`; a run that was killed goes on from its checkpoint."""
        path = self.network_folder / "model.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with sole_writer(path.parent):
                if not path.exists():  # else another process has trained it meanwhile
                    save_model(path, self._trained())
        return load_model(path)

    def _trained(self):
        check_lengths(self.songs("test"), self.settings, "test song")  # which are asked when hours have gone by
        about = {"dataset": self.corpora.corpus.name, "synthetic": self.corpora.corpus.is_synthetic,
                 "corpus_key": self.corpora.about["key"], "split": self.profile.split}
        return fit_model(self.corpora.store, self.split, self.profile.scaling, self.settings, self.network_folder,
                         data_key=self.network_folder.name, about=about, train_set=self.labelled_frames(),
                         pretrain_set=self.pretraining_frames())

    @property
    def parts(self):
        """What the network is made of, see :func:`experiments.steps.provenance.made_with`."""
        return network_parts(self.model, f"network, seed {self.seed}")

    @cached_property
    def test_predictions(self):
        """The network's answer for every test song, see :func:`dbn.training.fit.label_songs`."""
        return label_songs(self.model, self.songs("test"))

    def n_songs(self):
        """Songs of each part that could be read: a dict."""
        return {part: self.songs(part).n_segments for part in ("train", "valid", "test")}


def n_frames(model, stage):
    """The frames that a stage of a network's training, "pretrain" or "finetune", learned from."""
    of = model.about["n_frames"]
    return of.get("pretrain", of["train"]) if stage == "pretrain" else of["train"]  # old models keep one number alone


def warnings_of(systems):
    """What a reader has to know of corpora and their runs, each text once: a list.

    Parameters
    ----------
    systems : list of (Corpora, list of Run)
    """
    return list(dict.fromkeys(text for corpora, runs in systems
                              for text in [*corpora.warnings, *(text for run in runs for text in run.warnings)]))


def warn(systems):
    """Say before hours of work what will stand in the result as well, see :func:`warnings_of`."""
    for text in warnings_of(systems):
        warnings.warn(text, stacklevel=2)


def prepared_runs(options):
    """The corpus and the runs of all seeds, their networks trained, `--jobs` of them at a time.

    Returns
    -------
    corpora : Corpora
    runs : list of Run
    """
    [(corpora, runs)] = prepared_systems([options])
    return corpora, runs


def prepared_systems(systems):
    """What :func:`prepared_runs` gives for each of several options of the same ``jobs``; a list.

    All their networks are trained, `--jobs` of them at a time.
    """
    prepared = [(Corpora(options), []) for options in systems]
    for options, (corpora, runs) in zip(systems, prepared):
        runs += [Run(corpora, seed) for seed in range(options.seed, options.seed + options.repeats)]
        for run in runs:
            run.split  # a split that cannot be drawn is said before hours of training
        corpora.pretraining_store  # made here, with all processes, not by each worker
    warn(prepared)
    _train_all([run for _, runs in prepared for run in runs], systems[0].jobs)
    return prepared


def _train_all(runs, jobs):
    runs = list({run.network_folder: run for run in runs}.values())  # systems that differ in their windows share one
    jobs = min(len(runs), jobs)
    # in a notebook Ctrl-C must not end the kernel
    ends_here = ended_by_interrupt(STOPPED) if jobs == 1 and "ipykernel" not in sys.modules else nullcontext()
    with ends_here:
        for _ in in_parallel(_train, [(run.corpora.options, run.seed) for run in runs], jobs):
            pass


def _train(options, seed):
    """Train one seed's network in a worker, which leaves it on the disk."""
    Run(Corpora(options), seed).model
