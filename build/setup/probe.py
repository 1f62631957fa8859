"""Says whether the Python that runs it can be embedded in another program.

Prints KEY=VALUE lines (executable, version, base_prefix, include, library) and
exits 0, or prints the reason why not and exits 1. With the argument "venv" it
also asks for what `python -m venv` needs. Any Python 3 must be able to parse it.
"""

import os
import platform
import sys
import sysconfig

OLDEST, NEWEST = (3, 10), (3, 13)  # what vLLM 0.26.0 declares: >=3.10,<3.14


def find_library():
    """Path of the shared libpython, or None.

    A distributor's executable may be static and the shared library a separate
    file, so the file decides and not Py_ENABLE_SHARED.
    """
    var = sysconfig.get_config_var
    folders = [var("LIBDIR"), var("LIBPL"), os.path.join(sys.base_prefix, "lib")]
    if var("LIBDIR") and var("MULTIARCH"):
        folders.insert(1, os.path.join(var("LIBDIR"), var("MULTIARCH")))
    for name in (var("LDLIBRARY"), var("INSTSONAME")):
        for folder in folders:
            if folder and name and ".so" in name and os.path.exists(os.path.join(folder, name)):
                return os.path.join(folder, name)
    return None


def check(with_venv):
    """Return (facts, None) or (None, reason)."""
    if sys.implementation.name != "cpython":
        return None, "is %s, not CPython" % sys.implementation.name
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST or sys.version_info.releaselevel != "final":
        return None, "is Python %s; vLLM 0.26.0 wants 3.10 to 3.13" % version
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None, "is a free-threaded build; vLLM 0.26.0 needs the GIL"
    if sys.maxsize < 2**32:
        return None, "is a 32-bit build"
    include = sysconfig.get_path("include")
    if not os.path.exists(os.path.join(include, "Python.h")):
        return None, "%s has no headers: no Python.h in %s" % (version, include)
    library = find_library()
    if library is None:
        return None, "%s has no shared libpython (static build)" % version
    if with_venv:
        try:
            from ensurepip import version as _  # noqa: F401
            from venv import EnvBuilder  # noqa: F401
        except ImportError:
            return None, "%s cannot make virtual environments: no ensurepip" % version
    return {
        # The base Python's, also when a virtual environment's Python runs this.
        "executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
        "version": version,
        "base_prefix": sys.base_prefix,
        "include": include,
        "library": library,
    }, None


facts, reason = check("venv" in sys.argv[1:])
if reason:
    print(reason)
    sys.exit(1)
for key in sorted(facts):
    print("%s=%s" % (key, facts[key]))
