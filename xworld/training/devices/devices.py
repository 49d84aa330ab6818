"""Which devices a run has: how many fit it, and those of the processes that it joins."""

import contextlib
from typing import TYPE_CHECKING, Any

import jax

from xworld.base.errors import ConfigError
from xworld.base.xla.devices import num_cores

if TYPE_CHECKING:
    from xworld.training.run.config import RunConfig


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
