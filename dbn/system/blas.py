"""One BLAS thread for as long as anybody trains: on small matrices more of them wait for each other."""
import threading

from threadpoolctl import threadpool_limits


class _OneThread:
    """Context manager for many threads: each sets the limit, which is the whole process's, the last one lifts it.

    Were it lifted before, the others' products would be split up in another way, and end with other last bits. The
    first one's limit is not enough for those who come later: a library may have been loaded since, or somebody else
    have lifted it, who does not know of us.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_users = 0
        self._limits = []  # what there was before each of those who came since nobody was there

    def __enter__(self):
        with self._lock:
            self._limits.append(threadpool_limits(limits=1, user_api="blas"))
            _let_others_set_limits()
            self._n_users += 1

    def __exit__(self, *_):
        with self._lock:
            self._n_users -= 1
            while self._n_users == 0 and self._limits:
                self._limits.pop().restore_original_limits()
            _let_others_set_limits()


def _let_others_set_limits():
    """In threadpoolctl 3.8, who has set a limit is the only thread that can, until it leaves a ``with`` block.

    Another's is passed over without a word: the last to leave would lift nothing.
    """
    with threadpool_limits(user_api="blas"):
        pass


one_blas_thread = _OneThread()
