"""How many devices a process has. On a CPU, two host devices on two cores train faster than one with two threads."""

import jax

from xworld.errors import ConfigError


def use_host_devices(num_devices: int) -> None:
    """Makes the CPU appear as `num_devices` devices. Where jax runs on an accelerator this changes nothing.

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
