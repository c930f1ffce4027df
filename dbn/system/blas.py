"""One BLAS thread for as long as anybody trains: on small matrices more of them wait for each other."""
import threading

from threadpoolctl import threadpool_limits


class _OneThread:
    """Context manager for many threads: the first sets the limit, which is the whole process's, the last lifts it.

    Were it lifted before, the others' products would be split up in another way, and end with other last bits.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_users = 0
        self._limits = None

    def __enter__(self):
        with self._lock:
            if self._n_users == 0:
                self._limits = threadpool_limits(limits=1, user_api="blas")
            self._n_users += 1

    def __exit__(self, *_):
        with self._lock:
            self._n_users -= 1
            if self._n_users == 0:
                self._limits.restore_original_limits()


one_blas_thread = _OneThread()
