"""Probe tasks: hand-written task files that each test one ability, after those of AdA.

The files lie in `probe_tasks/`, in a folder for each of the `SHAPES`. What a probe is about is said in the comments at
the top of its file, in the form that docs/probes.md describes.
"""

import itertools
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from xworld.base.errors import ConfigError, did_you_mean
from xworld.core.config import EnvConfig
from xworld.core.types import Task
from xworld.tasks.language.reading import parse

# The folders of the files, and the configuration that all tasks in a folder fit.
SHAPES = {
    "one_player": EnvConfig(),
    "navigation": EnvConfig(height=25, width=25),
    "two_player": EnvConfig(num_agents=2),
}

# Groups, in the order in which they are listed, and what their probes have in common. A group has one shape.
GROUPS = {
    "experiment": "find out by trying, where a wrong try costs the trial",
    "tools": "move what cannot be moved in the usual way",
    "crafting": "long chains and trees of productions",
    "danger": "remove what is in the way of the goal, or what threatens it",
    "search": "find the right one of several, in little time",
    "restraint": "the goal holds already; leave it alone",
    "memory": "know where something is that is out of view",
    "navigation": "find the way in a world much larger than the view",
    "passing": "hand something to the other agent",
    "joint_production": "produce together what neither can alone",
    "kitchen": "cook together, after Overcooked",
    "lemons": "feed the one who can eat",
    "antimatter": "remove together what is in the way of the goal",
    "experiment_for_two": "find out by trying, together",
    "information": "one knows, the other acts",
}

_ABOUT = ("group", "idea", "tests", "differs")
_ENTRY = re.compile(r"^# (\w+): (.*(?:\n#   .*)*)", re.MULTILINE)  # goes on in lines indented by three spaces


@dataclass(frozen=True)
class Probe:
    """A probe task, and what it is about."""

    name: str  # that `probe` takes, and of the file
    title: str
    group: str  # one of `GROUPS`
    idea: str  # what happens in it
    tests: str  # the ability it asks for
    differs: str  # how it differs from the probe of AdA that it is after
    config: EnvConfig  # that all probes of the group fit
    text: str  # the task file

    def task(self, config: EnvConfig | None = None) -> Task:
        """The task, padded to `config`, or to the probe's own.

        Raises:
          ConfigError: it does not fit into `config`.
        """
        return parse(self.text, config or self.config)


def probe(name: str) -> Probe:
    """The probe task called `name`.

    Raises:
      ConfigError: there is none.
    """
    found = _all_probes()
    if name not in found:
        raise ConfigError(f"{name!r} is an unknown probe task. {did_you_mean(name, found)}")
    return found[name]


def probes(group: str | None = None, num_agents: int | None = None) -> tuple[Probe, ...]:
    """All probe tasks, group by group, or those of one group, or for that many agents.

    Raises:
      ConfigError: there is no such group, or no probe for so many agents.
    """
    if group is not None and group not in GROUPS:
        raise ConfigError(f"{group!r} is an unknown group of probe tasks. {did_you_mean(group, GROUPS)}")
    chosen = [probe for probe in _all_probes().values() if group in (None, probe.group)]
    chosen = [probe for probe in chosen if num_agents in (None, probe.config.num_agents)]
    if not chosen:
        raise ConfigError(f"There are no such probe tasks for {num_agents!r} agents. Write 1 or 2, or another group.")
    return tuple(chosen)


@cache
def _all_probes() -> dict[str, Probe]:
    folder = resources.files("xworld.tasks.sets") / "probe_tasks"
    found = [
        read_probe(file.name.removesuffix(".toml"), file.read_text(encoding="utf-8"), config)
        for shape, config in SHAPES.items()
        for file in (folder / shape).iterdir()
    ]
    order = list(GROUPS)
    return {probe.name: probe for probe in sorted(found, key=lambda probe: (order.index(probe.group), probe.name))}


def read_probe(name: str, text: str, config: EnvConfig) -> Probe:
    """The probe in the text of a task file that starts with what it is about, in comments.

    Raises:
      ConfigError: the comments do not say what they have to, or name an unknown group.
    """
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), text.splitlines()))
    title = comments[0].removeprefix("# ") if comments else ""
    entries = _ENTRY.findall("\n".join(comments[1:]))
    about = {key: " ".join(value.replace("\n#", " ").split()) for key, value in entries}
    if not title or tuple(about) != _ABOUT:
        raise ConfigError(
            f"Probe {name}: the comments at the top have {', '.join(about) or 'no entries'}. "
            f"Write '# Title', and then '# key: ...' for {', '.join(_ABOUT)}."
        )
    if about["group"] not in GROUPS:
        raise ConfigError(
            f"Probe {name}: {about['group']!r} is an unknown group. {did_you_mean(about['group'], GROUPS)}"
        )
    return Probe(name=name, title=title, config=config, text=text, **about)
