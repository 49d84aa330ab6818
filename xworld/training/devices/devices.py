"""Which devices a run has: those of this process, and those of the processes that it joins."""

import contextlib
import os
from typing import TYPE_CHECKING, Any

import jax

from xworld.base.errors import ConfigError

if TYPE_CHECKING:
    from xworld.training.run.config import RunConfig


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


def join_processes(coordinator: str, num_processes: int, process: int) -> None:
    """Joins this process with others, on this host or on several, so that all their devices train one run.

    Every process calls this and then does the same: one with the same configuration and a folder that all of them see.

    Args:
      coordinator: address and port of process 0, such as "10.0.0.1:1234". "auto" asks the cluster that started the
        process (Slurm, Open MPI, Kubernetes, Cloud TPU), and the numbers are not used.
      num_processes: how many there are.
      process: this one's number, from 0.

    Raises:
      ConfigError: the numbers or the address cannot be, jax has started already, or the others do not come.
    """
    if coordinator == "auto":
        arguments: dict[str, Any] = {}
    else:
        if not 0 <= process < num_processes:
            raise ConfigError(
                f"Process {process} of {num_processes} cannot be; number {max(num_processes, 1)} processes from 0."
            )
        if not coordinator.rpartition(":")[0] or not coordinator.rpartition(":")[2].isdigit():
            raise ConfigError(f"The coordinator is {coordinator!r}; write its address and port, as in 10.0.0.1:1234.")
        arguments = {"coordinator_address": coordinator, "num_processes": num_processes, "process_id": process}
    try:
        jax.distributed.initialize(**arguments)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"The processes could not be joined: {' '.join(str(error).split())}") from error


def num_devices(config: "RunConfig") -> int:
    """As many devices as there are cores, but no more than share the environments out evenly."""
    for number in range(num_cores(), 1, -1):
        with contextlib.suppress(ConfigError):
            config.check_devices(number)
            return number
    return 1


def use_devices(number: int) -> None:
    """Makes the CPU appear as that many devices. Where jax has started, it keeps the devices it has."""
    with contextlib.suppress(ConfigError):
        use_host_devices(number)


def num_cores() -> int:
    """Cores that this process may use. Only Linux tells; elsewhere it may use all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
