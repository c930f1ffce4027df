"""Checkpoints that are not this run's, or damaged: refused with a sentence."""
import json

import numpy as np
import pytest

from dbn.audio.frames import FrameSet
from dbn.audio.scaling import Scaling
from dbn.errors import TrainingError
from dbn.training.loops import train
from dbn.training.state import SAMPLED_FRAMES, RunState, fingerprint
from damage import assert_noticed, damaged_archive
from small_network import EVERYTHING, N_OUTS, run_in, settings, training_sets, without


@pytest.mark.parametrize("change", [{"seed": 1}, {"finetune_lr": 0.9}, {"hidden_layers_sizes": (6, 4)},
                                    {"data_key": "other"}])
def test_a_checkpoint_of_another_run_is_refused(quick, tmp_path, change):
    run_in(tmp_path, finetune_epochs=1)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz: belongs to a run with other.*another folder, or delete"):
        run_in(tmp_path, **({"finetune_epochs": 1} | change))


def changed(frames, what):
    """The same set but for one number."""
    [(x, y)] = frames.blocks()
    if what == "a label":
        y[7] = (y[7] + 1) % N_OUTS
    else:
        x[7, 3] += 0.01
    return FrameSet.from_arrays(x, y, segment_length=20)


@pytest.mark.parametrize("which", [0, 1], ids=["training", "validation"])
@pytest.mark.parametrize("what", ["a label", "a frame"])
def test_a_checkpoint_of_other_data_of_the_same_size_is_refused(quick, tmp_path, which, what):
    run_in(tmp_path, finetune_epochs=1)
    sets = training_sets()
    sets[which] = changed(sets[which], what)
    with pytest.raises(TrainingError, match="other settings or other data"):
        train(*sets, N_OUTS, settings(finetune_epochs=1), tmp_path, progress=False)


def test_of_many_frames_some_are_looked_at_and_all_labels(monkeypatch):
    n = 2 * SAMPLED_FRAMES + 1
    x, y = np.random.default_rng(0).random((n, 3)).astype(np.float32), np.zeros(n, dtype=np.int32)
    frames, valid_set = FrameSet.from_arrays(x, y), training_sets()[1]
    read, n_read = FrameSet.read, []
    monkeypatch.setattr(FrameSet, "read", lambda self, numbers: (n_read.append(len(numbers)), read(self, numbers))[1])

    def key(frames):
        return fingerprint(settings(), [frames, valid_set], N_OUTS, "")

    expected = key(frames)
    assert n_read == [SAMPLED_FRAMES, 60] and key(FrameSet.from_arrays(x.copy(), y)) == expected
    assert key(frames.with_scaling(Scaling("max").fit([np.full((1, 3), 2.0)]))) != expected
    other = np.where(np.arange(n) % 100 == 50, 0, x.T).T
    assert key(FrameSet.from_arrays(other, y)) != expected  # one frame in a hundred is another
    y[n - 1] = 1
    assert key(FrameSet.from_arrays(x, y)) != expected


def test_foreign_files_are_refused(quick, tmp_path):
    run_in(tmp_path)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    with np.load(path) as arrays:
        state = json.loads(arrays["state"].item())

    def refused(message="not a readable checkpoint"):
        with pytest.raises(TrainingError, match=rf"checkpoint\.npz: {message}.*delete the file"):
            run_in(tmp_path)

    for content in (b"", b"PK", whole[:-1], whole[:len(whole) // 2], whole[1:], b"no checkpoint", b"\x93NUMPY"):
        path.write_bytes(content)
        refused()
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    refused()
    np.savez(path, state=np.array([{}], dtype=object))
    refused()
    np.savez(path, weights=np.zeros(3))
    refused()
    for text in ("[1]", "null", "{", json.dumps(without(state, "fingerprint")), json.dumps(without(state, "stage")),
                 json.dumps(state | {"versions": 3})):
        np.savez(path, state=np.array(text))
        refused()
    for number in (2, 99):  # before PCD's chains were kept, and of a time to come
        np.savez(path, state=np.array(json.dumps(state | {"format": number})))
        refused("written by another version")


def test_flipped_bits_are_found_or_harmless(quick, tmp_path):
    run_in(tmp_path)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    fingerprint = json.loads(np.load(path)["state"].item())["fingerprint"]
    expected = RunState(tmp_path, fingerprint)
    refused = 0
    positions = range(0, len(whole), 11)
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path.write_bytes(damaged)
        try:
            loaded = RunState(tmp_path, fingerprint)
        except TrainingError:
            refused += 1
            continue
        for name in ("values", "best_values"):
            for value, other in zip(getattr(loaded, name), getattr(expected, name), strict=True):
                np.testing.assert_array_equal(value, other)
        assert (loaded.stage, loaded.epoch, loaded.numbers) == (expected.stage, expected.epoch, expected.numbers)
    assert refused > len(positions) / 2


@pytest.mark.parametrize("max_epoch", [None, 2], ids=["at its end", "within fine-tuning"])
def test_damaged_in_every_way(quick, tmp_path, max_epoch):
    """Refused, or gone on from to the end."""
    everything = EVERYTHING | {"finetune_epochs": 3}
    run_in(tmp_path, max_epoch=max_epoch, **everything)
    path, reached = tmp_path / "checkpoint.npz", []
    whole = path.read_bytes()

    def go_on():
        reached.append(run_in(tmp_path, **everything))

    n_refused = assert_noticed(path, [*damaged_archive(whole)][::6], go_on)
    assert n_refused > 50 and len(reached) > 2
    assert {result.stopped for result in reached} <= {"epochs", "patience"}
