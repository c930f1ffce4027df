"""The limit of one BLAS thread: for as long as anybody is inside, and then what it was."""
import threading

import numpy  # noqa: F401 (which loads a BLAS)
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dbn.system.blas import one_blas_thread


def limits():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def set_limits(n_threads):
    """As somebody else does, who then lets others."""
    before = threadpool_limits(n_threads, user_api="blas")
    with threadpool_limits(user_api="blas"):
        return before


@pytest.fixture(autouse=True)
def two_threads():
    """What there was before; more than one on any machine."""
    before = set_limits(2)
    assert limits() and set(limits()) == {2}
    yield
    assert set(limits()) == {2}
    before.restore_original_limits()
    with threadpool_limits(user_api="blas"):
        pass


def test_nested_and_after_an_error():
    with pytest.raises(KeyError):
        with one_blas_thread, one_blas_thread:
            raise KeyError
    assert set(limits()) == {2}
    with one_blas_thread:
        with one_blas_thread:
            assert set(limits()) == {1}
        assert set(limits()) == {1}


def test_the_last_of_two_threads_lifts_it():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread:
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with one_blas_thread:
        thread.start()
        inside.wait(60)
    assert set(limits()) == {1}
    leave.set()
    thread.join()


def test_who_comes_second_has_one_thread_whatever_happened_since():
    """Others set limits too, and a library that is loaded meanwhile begins with as many threads as there are cores."""
    with one_blas_thread:
        set_limits(2)
        with one_blas_thread:
            assert set(limits()) == {1}


def test_many_threads_at_once():
    wrong = []

    def enter_and_leave():
        for _ in range(50):
            with one_blas_thread:
                wrong.extend(limit for limit in limits() if limit != 1)

    threads = [threading.Thread(target=enter_and_leave) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
