"""Of which corpus and by which versions the results on a page are."""
import json
from functools import partial

import pytest

import small_report
from experiments import report
from experiments.steps.options import run_script
from small_report import CLIPS, ROWS, TABLE1, accuracies, table


@pytest.fixture
def write(tmp_path):
    """Writes results into a folder and gives the page made of it."""
    return partial(small_report.write, tmp_path)


def refused(folder, capsys):
    """What the script says when it ends with status 2 and writes no page."""
    with pytest.raises(SystemExit) as exit_status:
        run_script(report.main, ["--out", str(folder)])
    assert exit_status.value.code == 2 and not (folder / "report.html").exists()
    return capsys.readouterr().err


def put(folder, *results):
    for result in results:
        (folder / f"{result['table']}.json").write_text(json.dumps(result))


def test_results_of_two_corpora_are_refused(tmp_path, capsys):
    other = {"root": "/music/others", "key": "0d" * 32, "labels": "classes"}
    put(tmp_path, table("table1", TABLE1), table("table2", accuracies(ROWS)),
        table("table3", accuracies(ROWS), corpus=other))
    message = refused(tmp_path, capsys)
    assert message.startswith(f"error: {tmp_path / 'table1.json'} and {tmp_path / 'table3.json'} are of two corpora: "
                              "/music/my songs (key 5e5e5e5e5e5e), and /music/others (key 0d0d0d0d0d0d)")
    (tmp_path / "table3.json").unlink()
    report.main(["--out", str(tmp_path)])


def test_tags_of_two_corpora_are_refused(tmp_path, capsys):
    put(tmp_path, table("table1", TABLE1), table("figure3", [], corpus=CLIPS),
        table("table4", [], corpus=CLIPS | {"key": "d2" * 32}))
    message = refused(tmp_path, capsys)
    assert "figure3.json and " in message and "table4.json are of two corpora" in message


@pytest.mark.parametrize("corpus", [None, "gtzan", {}, {"root": "/music", "labels": "classes"}])
def test_a_result_that_does_not_say_its_corpus_is_refused(tmp_path, capsys, corpus):
    """As those of older versions do not."""
    put(tmp_path, table("table1", TABLE1), table("table2", accuracies(ROWS), corpus=corpus))
    message = refused(tmp_path, capsys)
    assert f"{tmp_path / 'table2.json'}: does not say of which corpus" in message
    assert "  python -m experiments.table2 --dataset gtzan --root 'my music' --profile paper" in message


def test_other_files_with_rows_are_no_results(tmp_path):
    """Speeds that were written into the same folder are of no corpus."""
    put(tmp_path, table("table1", TABLE1))
    (tmp_path / "bench.json").write_text(json.dumps({"rows": [{"work": "fine-tuning"}]}))
    report.main(["--out", str(tmp_path)])
    assert "fine-tuning, minibatch" not in (tmp_path / "report.html").read_text()


def test_a_picture_without_its_result_is_not_shown(write):
    page = write(table("table1", TABLE1), pictures=["figure1.png", "table2-confusion.png"])
    assert page.of("img") == []


def test_the_corpus_and_what_made_it(write):
    mixed = {"numpy": {"2.2.1": ["frames"], "2.3.0": ["network, seed 3", "table2"]}, "not recorded": ["MFCCs"]}
    page = write(table("table1", TABLE1), table("table2", accuracies(ROWS), made_with=mixed))
    assert "/music/my songs, key 5e5e5e5e5e5e" in page.text
    assert ("python 3.11.7; pytensor 3.0.7 (Table 1); numpy 2.2.1 (frames), 2.3.0 (network, seed 3, table2); "
            "not recorded: MFCCs (Table 2)") in page.text


def test_warnings_stand_on_the_page_once(write):
    text = "seed 3: 1 pair(s) of identical files are on two sides of the split: a (train) = b (test)"
    page = write(table("table1", TABLE1, warnings=[text]), table("table2", accuracies(ROWS), warnings=[text]),
                 table("table3", accuracies(ROWS)))
    section = page.text.split("How to read")[0].split("Warnings")[-1]
    assert section == f"Table 1, Table 2. {text}"
    assert page.text.count("identical files") == 1


def test_no_warnings_are_said_too(write):
    assert write(table("table1", TABLE1)).text.split("How to read")[0].endswith("WarningsNone.")
