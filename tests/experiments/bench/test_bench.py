"""The benchmarks: contestants do the same work, rows hold what they say, and what is missing is visible."""
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pytensor.scan.op import Scan
from pytensor.tensor.basic import Alloc
from pytensor.tensor.math import Sum

from dbn.training.settings import TrainingSettings
from experiments.bench import __main__ as bench
from experiments.bench import extraction, later
from experiments.bench import library as bench_library
from experiments.bench import jax_peers, peers, profile, report, runs, startup, svm, training
from experiments.bench.common import QUICK, alternate, row, skipped, times_faster
from experiments.bench.later import OF_FINETUNING, OF_PRETRAINING

N = 230  # frames, so that the last minibatch is a smaller one at any size used here


@pytest.fixture(scope="module")
def problem():
    """A library network away from its symmetric start, its epoch function, and the order of the rows."""
    x, y = bench_library.frames(N)
    library = bench_library.Library(x, y)
    rng = np.random.default_rng(3)
    for param in library.dbn.params:
        param.set_value(rng.normal(scale=0.3, size=param.get_value().shape).astype(np.float32))
    return library, library.finetuning(), rng.permutation(N)


def jax_network(*arguments):
    if not jax_peers.has_jax():
        pytest.skip("JAX is not installed")
    return jax_peers.JaxNetwork(*arguments)


def peer_of(name, params, library):
    if name == "torch":
        pytest.importorskip("torch")
        return peers.TorchNetwork(params, library.x.get_value(), library.y.get_value())
    if name == "jax":
        return jax_network(params, library.x.get_value(), library.y.get_value())
    return peers.NumpyNetwork(params, library.x.get_value(), library.y.get_value())


@pytest.mark.parametrize("batch_size", [20, 100])
@pytest.mark.parametrize("name", ["numpy", "torch", "jax"])
def test_a_peer_trains_as_the_library_does(problem, name, batch_size):
    library, train, order = problem
    before = library.params
    peer = peer_of(name, before, library)
    cost = train(order, batch_size, 0.5)
    assert peer.train(order, batch_size, 0.5) == pytest.approx(cost, rel=1e-5)
    for old, ours, theirs in zip(before, library.params, peer.params):
        assert np.abs(ours - old).max() > 1e-4  # or the next line would say nothing
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=2e-6)


def test_a_peer_leaves_the_parameters_that_it_is_given(problem):
    library, _, order = problem
    params = library.params
    kept = [param.copy() for param in params]
    for name in ("numpy", "torch") if peers.torch else ("numpy",):
        peer_of(name, params, library).train(order, 20, 0.1)
    assert all((param == old).all() for param, old in zip(params, kept))


@pytest.mark.parametrize("batch_size", [20, 100])
def test_jax_takes_the_steps_of_cd1(batch_size):
    """On frames of zeros and ones by units that are as good as certain of them: no two draws differ."""
    rng, certainty = np.random.default_rng(4), 31
    x, y = (rng.random((N, 513)) < 0.5).astype(np.float32), np.zeros(N, dtype=np.int32)
    library = bench_library.Library(x, y)
    for param in library.dbn.rbm_layers[0].params:
        shape = param.get_value().shape
        # of a whole number of them and a half
        values = rng.choice([-1, 1], shape) if len(shape) == 2 else np.full(shape, 0.5)
        param.set_value((certainty * values).astype(np.float32))
    before, order = library.rbm_params, rng.permutation(N)
    peer = jax_network(before, x)
    cost = library.pretraining()(order, batch_size, 0.002)
    assert peer.train(order, batch_size, 0.002) == pytest.approx(cost, rel=1e-5)
    for old, ours, theirs in zip(before, library.rbm_params, peer.params, strict=True):
        assert np.abs(ours - old).max() > 2e-3  # or the next line would say nothing
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=4e-5)  # a dozen times what float32 rounds of 31 by, twice


def test_jax_draws_both_ends_of_cd1_anew_in_each_epoch():
    """A hidden unit of an even chance, which all visible ones follow."""
    n, n_visible = 400, 10
    params = [np.full((n_visible, 1), 100), np.zeros(1), np.full(n_visible, -50)]
    peer = jax_network([param.astype(np.float32) for param in params], np.zeros((n, n_visible), dtype=np.float32))
    numbers, before = [], peer.params[2]
    for _ in range(2):
        peer.train(np.arange(n), n, 0.1)
        after = peer.params[2]
        counts, before = (before - after) * n / 0.1, after
        np.testing.assert_allclose(counts, np.round(counts[0]), atol=0.1)
        numbers.append(round(counts[0]))
    assert all(0.4 * n < number < 0.6 * n for number in numbers) and len(set(numbers)) == 2


def recorded_products(monkeypatch, module, work):
    """Shapes (m, k, n) of the products that `work` makes."""
    shapes = []
    dot = np.dot

    def record(a, b, out):
        shapes.append((len(a), a.shape[1], b.shape[1]))
        return dot(a, b, out=out)

    monkeypatch.setattr(module.np, "dot", record)
    work()
    return shapes


def test_the_products_are_those_of_a_step(problem, monkeypatch):
    library, _, _ = problem
    products = peers.MatrixProducts(library.params, library.x.get_value())
    m, small = 20, 10
    shapes = recorded_products(monkeypatch, peers, lambda: products.train(np.arange(m + small), m, 0.1))
    layers = [(513, 50), (50, 50), (50, 50), (50, 10)]
    assert sorted(shapes) == sorted(
        [(rows, n_in, n_out) for rows in (m, small) for n_in, n_out in layers]  # forwards
        + [(n_in, rows, n_out) for rows in (m, small) for n_in, n_out in layers]  # gradients
        + [(rows, n_out, n_in) for rows in (m, small) for n_in, n_out in layers[1:]])  # backwards


def test_the_products_are_those_of_cd1(problem, monkeypatch):
    library, _, _ = problem
    shapes = recorded_products(monkeypatch, training, lambda: training.cd1_products(
        library.params[0], library.x.get_value()[:30], 20))
    assert shapes == [shape for m in (20, 10) for shape in ((m, 513, 50), (m, 50, 513), (m, 513, 50), (513, m, 50),
                                                            (513, m, 50))]


def test_an_epoch_in_calls_uses_every_row_once(monkeypatch):
    monkeypatch.setattr(bench_library, "FRAMES_PER_CALL", 45)
    calls = []

    def epoch(rows, batch_size, lr):
        calls.append(list(rows))
        return float(len(rows))

    order = np.arange(100)[::-1]
    mean = bench_library.in_calls(epoch, order, 20, 0.1)
    assert [len(call) for call in calls] == [40, 40, 20] and sum(calls, []) == list(order)
    assert mean == (40 * 40 + 40 * 40 + 20 * 20) / 100


def test_contestants_take_turns_after_a_start_that_is_not_counted():
    calls = []
    seconds = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, "")
    assert calls == ["a", "b"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}
    assert all((values >= 0).all() for values in seconds.values())


def test_a_ratio_is_taken_within_each_round():
    seconds = {"ours": np.array([1.0, 2.0, 4.0]), "peer": np.array([3.0, 4.0, 20.0])}
    [line] = times_faster("work", seconds, "ours", {"peer": 2.5}, 100, "frames/s")
    assert line["values"] == [3.0, 2.0, 5.0] and (line["median"], line["low"], line["high"]) == (3.0, 2.0, 5.0)
    assert line["met"] and "50 against 25 frames/s" in line["note"]


@pytest.mark.parametrize("at_most, met", [(False, True), (True, False)])
def test_a_target_is_met_from_its_own_side(at_most, met):
    assert row("work", "", [2.0], "x", target=1.5, at_most=at_most)["met"] is met
    assert row("work", "", [1.5], "x", target=1.5, at_most=at_most)["met"] is True
    assert row("work", "", [1.5], "x")["met"] is None


def test_without_pytorch_and_jax_their_rows_say_so(monkeypatch):
    monkeypatch.setattr(peers, "torch", None)
    monkeypatch.setattr(jax_peers, "has_jax", lambda: False)
    rows = training.finetuning_rows(QUICK, batch_sizes=(20, 100))
    missing = [line for line in rows if "skipped" in line]
    assert [line["against"] for line in missing] == [training.TORCH, training.JAX] * 2
    missing += [line for line in training.pretraining_rows(QUICK, batch_sizes=(20,)) if "skipped" in line]
    assert missing[-1]["skipped"] == jax_peers.NO_JAX and len(missing) == 5
    text = report.as_markdown(report.result_of({"rows": rows, "profiles": [], "curves": {}}, [], True))
    for name in ("PyTorch", "JAX"):
        assert text.count(f"{name}: not installed, skipped (pip install .[bench])") >= 2


def test_the_svm_row_counts_labels_that_differ(monkeypatch):
    [line] = svm.svm_rows(replace(QUICK, rounds=3))
    assert "0 labels differ" in line["note"] and len(line["values"]) == 3
    monkeypatch.setattr(svm.RBFSVM, "predict", lambda self, x: np.full(len(x), -1))
    [line] = svm.svm_rows(QUICK)
    assert f"{50 * (1 + QUICK.rounds)} labels differ" in line["note"]


def test_peak_memory_is_of_the_process_itself():
    """Not of the one that started it, which was larger, and not of the moment."""
    filler = np.ones(40_000_000)  # 320 MB
    code = ("import numpy as np; from experiments.bench.runs import peak_memory; before = peak_memory();"
            "a = np.ones(10_000_000); del a; print(before, peak_memory())")
    out = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout
    before, after = map(int, out.split())
    assert before < filler.nbytes
    assert 70e6 < after - before < 120e6


def test_the_rows_of_runs_are_what_their_epochs_add_up_to(monkeypatch, tmp_path):
    def run(module, store, n_clips, *epochs):
        return {"n_frames": 10 * n_clips, "scaling": 6.0, "pretrain": [[100.0, 10.0], [9.0, 1.0], [9.0, 1.0]],
                "finetune": [n_clips * seconds for seconds in (50.0, 1.0, 2.0, 3.0)], "peak_bytes": 1e8 * n_clips}

    monkeypatch.setattr(runs, "in_fresh_process", run)
    rows, curve = runs.run_rows(replace(QUICK, corpus_clips=(2, 4, 8)), tmp_path)
    paper, memory, largest_memory, growth = rows
    once = 6 + 118 + 200
    assert paper["values"] == pytest.approx([(once + 4 * 12 + 473 * 4 * seconds) / 60 for seconds in (1, 2, 3)])
    assert "extrapolated from 3 epochs" in paper["note"] and "40 frames" in paper["work"]
    assert (memory["median"], largest_memory["median"]) == pytest.approx((0.4, 0.8))
    assert growth["median"] == pytest.approx(1)
    assert [point["finetune_seconds"] for point in curve] == [4, 8, 16]


@pytest.mark.parametrize("n_bytes", [1, 2**20, 2**21 + 7])
def test_as_many_bytes_are_written_and_flushed(monkeypatch, tmp_path, n_bytes):
    flushed = []
    monkeypatch.setattr(extraction, "flush_to_disk", lambda path: flushed.append(path.stat().st_size))
    extraction._write(tmp_path / "bytes", n_bytes)
    assert flushed == [n_bytes] and not list(tmp_path.iterdir())


def test_start_up_is_measured_beyond_pytensor(monkeypatch):
    seconds = dict(zip((startup.LIBRARY, *startup.IMPORTS), (0.1, 0.01, 0.06)))
    monkeypatch.setattr(startup, "_run", lambda statement: time.sleep(seconds[statement]))
    values = iter([9.0, 1.0, 2.0] * 2)  # the first call fills the cache
    monkeypatch.setattr(startup, "in_fresh_process", lambda module, stage: next(values))
    beyond_pytensor, beyond_its_compiler, *calls = startup.startup_rows(replace(QUICK, starts=2))
    assert all(value >= 0.08 for value in beyond_pytensor["values"]) and beyond_pytensor["target"] == 0.5
    assert all(value < larger for value, larger in zip(beyond_its_compiler["values"], beyond_pytensor["values"]))
    assert [call["values"] for call in calls] == [[1.0, 2.0]] * 2


@pytest.mark.parametrize("stage", startup.STAGES)
def test_a_first_call_in_a_fresh_process_trains(stage):
    assert 0 < runs.in_fresh_process("experiments.bench.startup", stage)


def test_every_kind_of_work_is_found_in_the_graphs(problem):
    """Of each kind as many operations as the equations have, whatever loops they were fused into."""
    library, _, _ = problem
    kinds = {}
    for name, function in (("finetuning", library.dbn.finetuning_epoch(library.x, library.y)),
                           ("cd1", library.dbn.pretraining_epoch(0, library.x))):
        [scan] = [node for node in function.maker.fgraph.toposort() if isinstance(node.op, Scan)]
        operations = [node.op for node in scan.op.fgraph.toposort()]
        kinds[name] = Counter(map(profile.kind_of, operations))
        assert not any(isinstance(op, (Sum, Alloc)) for op in operations)  # slow to compile
    assert kinds["finetuning"][profile.PRODUCTS] == 11 and kinds["cd1"][profile.PRODUCTS] >= 5
    assert kinds["finetuning"][profile.SIGMOIDS] == 3 and kinds["cd1"][profile.SIGMOIDS] >= 1
    assert kinds["finetuning"][profile.GATHERING] == 2 and kinds["cd1"][profile.GATHERING] == 1
    assert kinds["finetuning"][profile.SUMS] == 4 and kinds["cd1"][profile.SUMS] == 2  # the biases' gradients
    assert kinds["finetuning"][profile.DRAWS] == 0 and kinds["cd1"][profile.DRAWS] >= 1
    assert kinds["finetuning"][profile.COSTS] and kinds["cd1"][profile.RECONSTRUCTION] == 1


def test_a_profile_adds_up_to_the_whole(problem, tmp_path, capsys):
    library, _, order = problem
    before = library.params
    function = library.dbn.finetuning_epoch(library.x, library.y)
    calls = profile.node_calls(function, order, 20, 0.1)
    assert all((old == new).all() for old, new in zip(before, library.params))
    gathered = next(call for call in calls if profile.kind_of(call.apply.op) == profile.GATHERING
                    and call.apply.outputs[0].ndim == 2)
    np.testing.assert_array_equal(gathered.call(), library.x.get_value()[order[:20]])
    measured = profile.profile("work", function, order, 20, 0.1, rounds=2)
    assert sum(share for _, _, share in measured["parts"]) == pytest.approx(1)
    assert sum(part[1] for part in measured["parts"]) == pytest.approx(measured["nanoseconds"])
    report.write(tmp_path, report.result_of({"rows": [], "profiles": [measured], "curves": {}}, [], False))
    assert "Where the time goes: work, minibatch 20" in capsys.readouterr().out


def test_what_later_ideas_cost(monkeypatch):
    """Each against the same epoch without it, and with its arithmetic in NumPy, of which there is some for each."""
    monkeypatch.setattr(later, "OF_FINETUNING", {"weight_decay": 1e-4})
    monkeypatch.setattr(later, "OF_PRETRAINING", {"persistent": True})
    rows = later.option_rows(QUICK)
    assert [(row["work"], row["against"]) for row in rows] == [
        (f"{work}, minibatch 20, {option}", against)
        for work, option in (("fine-tuning", "weight_decay 0.0001"), ("CD-1", "persistent True"))
        for against in (later.ADDED, later.OFF)]
    for name in {**OF_FINETUNING, **OF_PRETRAINING}:
        later._Added(TrainingSettings(), True).run(name, 2)


def test_the_quick_run_measures_every_section(tmp_path, capsys):
    # those left out have tests of their own above
    sections = [name for name in bench.SECTIONS if name not in (
        "startup", "finetuning", "convolutional", "options", "profile")]
    bench.main(["--quick", "--out", str(tmp_path), "--only", *sections])
    result = json.loads((tmp_path / "bench.json").read_text())
    text = (tmp_path / "bench.md").read_text()
    assert text.strip() in capsys.readouterr().out and report.QUICK_NOTE in text
    assert (tmp_path / "bench.png").stat().st_size > 10_000
    works = [line["work"] for line in result["rows"]]
    for word in ("CD-1", "features", "frame store", "SVM", "chosen model", "memory", "an epoch"):
        assert any(word in work for work in works), word
        assert word in text
    for line in [line for line in result["rows"] if "skipped" not in line]:
        assert 0 < line["low"] <= line["median"] <= line["high"] and line["values"]
    assert set(result["curves"]) == {"clips", "units", "batch_sizes"}
    assert [run["clips"] for run in result["curves"]["clips"]] == list(QUICK.corpus_clips)
    assert [point["units"] for point in result["curves"]["units"]] == list(QUICK.units)
    assert result["machine"]["cpu"] and result["machine"]["memory"] > 1e8 and result["versions"]["numpy"]


def test_only_chosen_sections_and_no_picture_without_curves(tmp_path):
    bench.main(["--quick", "--only", "features", "--out", str(tmp_path / "new")])
    result = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert len(result["rows"]) == 3 and not result["profiles"] and not result["curves"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["bench.json", "bench.md"]


def test_an_unknown_section_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["--only", "everything"])
    assert stop.value.code == 2 and "everything" in capsys.readouterr().err


def test_a_missing_peer_has_a_line_of_its_own():
    cells = report._cells(skipped("work", "peer", "why"))
    assert cells[:3] == ["work", "peer", "why"]
