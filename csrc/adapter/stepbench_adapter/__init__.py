"""What the shim calls: all of stepbench that knows vLLM (written for 0.26.0).

The shim imports this package, calls open(json) once and keeps the bound methods
of the Session it returns. Everything here runs on the engine's one thread.
"""

from .session import open_session as open

__all__ = ["open"]
