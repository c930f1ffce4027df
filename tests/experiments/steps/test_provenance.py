"""What a result says of the versions that made its parts."""
from experiments.steps.provenance import made_with, versions_text

OLD, NEW = {"numpy": "2.2", "scipy": "1.16"}, {"numpy": "2.3", "scipy": "1.16", "blas": "openblas"}


def test_parts_of_the_same_versions_are_not_told_apart():
    assert made_with([("frames", NEW), ("network, seed 0", NEW), ("table1", NEW)]) == NEW
    assert versions_text({"made_with": NEW}) == "numpy 2.3; scipy 1.16; blas openblas"


def test_several_versions_are_all_named_with_their_parts():
    found = made_with([("frames", OLD), ("network", NEW | {"numpy": ["2.2", "2.3"]}), ("frames", OLD), ("table1", NEW)])
    assert found == {"numpy": {"2.2": ["frames", "network"], "2.3": ["network", "table1"]}, "scipy": "1.16",
                     "blas": {"not recorded": ["frames"], "openblas": ["network", "table1"]}}
    assert versions_text({"made_with": found}).startswith("numpy 2.2 (frames, network), 2.3 (network, table1); scipy")


def test_parts_without_a_record_are_named():
    found = made_with([("frames", {}), ("SVMs", {}), ("frames", {}), ("table2", NEW)])
    assert found == NEW | {"not recorded": ["frames", "SVMs"]}
    assert versions_text({"made_with": found}).endswith("; not recorded: frames, SVMs")


def test_a_result_that_says_nothing():
    assert versions_text({}) == "not recorded"
