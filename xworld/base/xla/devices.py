"""The devices of this process: those that jax finds, or CPU cores that appear as one each."""

import contextlib
import functools
import os

import jax
from jax.sharding import Mesh

from xworld.base.errors import ConfigError

AXIS = "envs"  # of the device mesh; every device has its share of the environments


def use_host_devices(num_devices: int) -> None:
    """Makes the CPU appear as `num_devices` devices. Where jax runs on an accelerator this changes nothing.

    Two devices on two cores train faster than one with two threads.

    Raises:
      ConfigError: `num_devices` is below 1, or jax has started already, so that it is too late.
    """
    if num_devices < 1:
        raise ConfigError(f"num_devices is {num_devices}; write a whole number of at least 1.")
    try:
        jax.config.update("jax_num_cpu_devices", num_devices)
    except RuntimeError as error:
        raise ConfigError(
            "use_host_devices comes too late: jax has started. Call it before anything that makes an array."
        ) from error


def use_all_cores() -> int:
    """Makes a device of each CPU core that this process may use, and says how many devices there are.

    XLA does not divide a step of the environments among cores by itself: `xworld.ShardedVectorEnv` shares them out to
    devices. Where jax runs on an accelerator this changes nothing. Call it before anything that makes an array; a
    second call does nothing.

    Raises:
      ConfigError: jax has started with fewer devices, so that it is too late.
    """
    try:
        use_host_devices(num_cores())
    except ConfigError:
        if jax.default_backend() == "cpu" and jax.local_device_count() < num_cores():
            raise ConfigError(
                "use_all_cores comes too late: jax has started. Call it before anything that makes an array."
            ) from None
    return jax.local_device_count()


def use_devices(number: int) -> None:
    """Makes the CPU appear as that many devices. Where jax has started, it keeps the devices it has."""
    with contextlib.suppress(ConfigError):
        use_host_devices(number)


def num_cores() -> int:
    """Cores that this process may use. Only Linux tells; elsewhere it may use all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def make_mesh(num_devices: int | None = None) -> Mesh:
    """The first `num_devices` devices in one axis; by default all devices of all processes.

    Raises:
      ConfigError: jax finds no device of the kind it was told to use, or not so many devices.
    """
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:  # jax asserts where its build has no such devices at all
        reason = " ".join(str(error).split()) or "it finds no device."
        raise ConfigError(
            f"jax cannot start: {reason} JAX_PLATFORMS is {os.environ.get('JAX_PLATFORMS', 'not set')}; set it to a "
            "kind of device that is there, such as cpu."
        ) from error
    number = len(devices) if num_devices is None else num_devices
    if not 1 <= number <= len(devices):
        raise ConfigError(f"num_devices is {number}; write a whole number from 1 to {len(devices)}, the devices.")
    return jax.make_mesh((number,), (AXIS,), (jax.sharding.AxisType.Auto,), devices=devices[:number])


def make_mesh_for(batch_size: int) -> Mesh:
    """As many of the devices as get equal shares of a batch."""
    return make_mesh(max(number for number in range(1, make_mesh().size + 1) if batch_size % number == 0))
