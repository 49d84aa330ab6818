"""The command `xworld doctor`, and which extras of the package bring what it can do without.

It needs nothing but Python, so that it can say what is missing.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# By module that may be missing: the extras that bring it, and what it is for.
EXTRAS = {
    **dict.fromkeys(("tyro", "rich"), ("agents,play", "commands")),  # either brings them
    **dict.fromkeys(("flax", "optax", "orbax"), ("agents", "agents and training")),
    "matplotlib": ("agents", "figures"),
    **dict.fromkeys(("pygame", "PIL"), ("play", "the window and pictures")),
    "imageio_ffmpeg": ("play", "films"),
    "tensorboardX": ("tensorboard", "--log tensorboard"),
    "wandb": ("wandb", "--log wandb"),
    "h5py": ("hdf5", "HDF5 files of histories"),
    "minari": ("minari", "histories for Minari"),
}
_NEEDED = ("jax", "jaxlib", "numpy")
_VARIABLES = ("JAX_PLATFORMS", "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_X64", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
_MISSING = 1


@dataclass
class Doctor:
    """Show versions, devices, cores and what is missing for what, in one screen to paste into a report.

    Exits with 1 if the simulator cannot run.
    """

    def run(self) -> int:
        """Prints it."""
        for name, value in (*_machine(), *_packages(), *_environment()):
            print(f"{name:<16} {value}")
        ok, devices = _devices()
        print(f"{'devices':<16} {devices}")
        return 0 if ok else _MISSING


def how_to_install(module: str) -> str:
    """The command that brings a module of `EXTRAS`."""
    return f"pip install 'xworld[{EXTRAS[module][0]}]'"


def version() -> str:
    """The version of xworld that is installed."""
    return importlib.metadata.version("xworld")


def _machine() -> Iterator[tuple[str, str]]:
    yield "xworld", f"{version()} in {Path(__file__).parents[2]}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}) in {sys.prefix}"
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield "cores", f"{allowed} of {os.cpu_count()} may be used"


def _packages() -> Iterator[tuple[str, str]]:
    """Versions, by the name that pip has for a module; what is missing, with what it is for."""
    names = importlib.metadata.packages_distributions()
    for module in (*_NEEDED, *EXTRAS):
        if importlib.util.find_spec(module) is not None:
            distribution = names.get(module, [module])[0]
            yield distribution, importlib.metadata.version(distribution)
        elif module in EXTRAS:
            yield module, f"missing, for {EXTRAS[module][1]}: {how_to_install(module)}"
        else:
            yield module, "missing, nothing works without it: pip install xworld"


def _environment() -> Iterator[tuple[str, str]]:
    for name in _VARIABLES:
        if name in os.environ:
            yield name, os.environ[name]
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        yield "compiled code", "is not kept: set JAX_COMPILATION_CACHE_DIR to a folder, and the next start is faster"
    if platform.system() == "Linux" and not any(name in os.environ for name in _DISPLAYS):
        yield "display", "none: xworld play opens no window here; xworld render writes films"


def _devices() -> tuple[bool, str]:
    """Whether jax starts, and what it then computes on."""
    try:
        jax = importlib.import_module("jax")
        devices = jax.devices()
        text = ", ".join(f"{len(same)} x {kind}" for kind, same in _by_kind(devices).items())
        if jax.default_backend() == "cpu" and len(devices) == 1:
            text += "; xworld.use_all_cores() makes one of each core"
        return True, f"{jax.default_backend()}: {text}"
    except Exception as error:  # whatever a broken installation raises is what is to be shown
        return False, f"jax does not start ({type(error).__name__}: {' '.join(str(error).split())})"


def _by_kind(devices: list) -> dict[str, list]:
    kinds: dict[str, list] = {}
    for device in devices:
        kinds.setdefault(device.device_kind, []).append(device)
    return kinds
