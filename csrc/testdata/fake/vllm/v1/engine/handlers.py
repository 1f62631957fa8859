import ctypes
import signal


def take():
    """Handlers as a native library installs them, without SA_ONSTACK: SIGSEGV
    ends the process with status 11. Checked, so that a test that finds the old
    handlers has seen them put back."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    handler = ctypes.cast(libc._exit, ctypes.c_void_p)
    libc.signal(signal.SIGSEGV, handler)
    if libc.signal(signal.SIGSEGV, handler) != handler.value:
        raise RuntimeError("SIGSEGV was not taken")
    signal.signal(signal.SIGUSR1, lambda *_: None)
