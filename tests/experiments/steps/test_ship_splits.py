"""What is drawn is what is shipped."""
import csv

from dbn.datasets import gtzan, splits
from experiments.steps import ship_splits
from experiments.steps.ship_splits import SPLITS


def test_the_shipped_splits_are_those_that_are_drawn(tmp_path, capsys):
    ship_splits.main(tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    shipped = {path.name: path.read_bytes() for path in SPLITS.iterdir()}
    assert set(drawn) == set(shipped) and len(drawn) == 35
    assert [name for name in drawn if drawn[name] != shipped[name]] == []
    assert capsys.readouterr().out.count(str(tmp_path)) == 35


def test_gtzan_s_split_is_the_paper_s_in_size():
    """Read without the project's reader."""
    with open(SPLITS / "gtzan-class-seed-0.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["track"] for row in rows} == set(gtzan.read_index())
    for genre in gtzan.GENRES:
        parts = [row["part"] for row in rows if row["track"].startswith(f"{genre}.")]
        assert [parts.count(part) for part in ("train", "valid", "test")] == [50, 20, 30]


def test_a_run_draws_the_shipped_split(smoke_run):
    assert (smoke_run / "seed-0" / "split.csv").read_bytes() == (
        SPLITS / "synthetic-smoke-class-seed-0.csv").read_bytes()


def test_the_100_real_clips_are_those_of_the_shipped_splits(gtzan_mini):
    tracks = gtzan.load(gtzan_mini).tracks
    for seed in range(10):
        shipped = splits.read_split(SPLITS / f"gtzan-100-class-seed-{seed}.csv", tracks)
        assert splits.check_split(shipped, tracks) == ([], [])
        assert splits.split_by_class(tracks, seed) == shipped
