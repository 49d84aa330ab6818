"""The teacher of a run in that run's folder: the run goes on with it, whatever becomes of the teacher's own run."""

from pathlib import Path

from xworld.agents import Agent, LoadedAgent, load, save
from xworld.base.configs import from_json, to_json
from xworld.base.errors import ConfigError, located
from xworld.base.files import read_text, write_atomically
from xworld.training.learners.terms.teacher import TeachingConfig

_AGENT, _TEACHING = "teacher", "teaching.json"  # a saved agent, and how it is listened to


def save_teacher(folder: Path, teacher: LoadedAgent, config: TeachingConfig) -> None:
    """Writes a teacher into the folder of a run.

    Raises:
      ConfigError: the folder cannot be written.
    """
    save(folder / _AGENT, teacher.agent, teacher.params, teacher.return_scale, teacher.env_config)
    write_atomically(folder / _TEACHING, to_json(config).encode())


def read_teaching(folder: Path) -> TeachingConfig | None:
    """How the teacher in the folder of a run is listened to; None if the run was started without one.

    Raises:
      ConfigError: the file that says so is missing or damaged.
    """
    path = folder / _TEACHING
    if not path.exists():
        if (folder / _AGENT).exists():
            raise ConfigError(f"{folder / _AGENT} is there, but not {path}. Put it back, or train anew.")
        return None
    with located(str(path)):
        return from_json(TeachingConfig, read_text(path))


def read_teacher(folder: Path, agent: Agent | None = None) -> tuple[LoadedAgent, TeachingConfig] | None:
    """The teacher in the folder of a run, and how it is listened to; None if the run was started without one.

    Args:
      folder: of the run.
      agent: the teacher's network, if that is one of the user's own.

    Raises:
      ConfigError: what is there is damaged.
    """
    config = read_teaching(folder)
    return None if config is None else (load(folder / _AGENT, agent=agent), config)
