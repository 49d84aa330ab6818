"""Where tasks come from: task files, worlds, the universe, and sets of tasks."""

from xworld.tasks.language.making import make_task
from xworld.tasks.language.phrases import briefing_text, goal_text, parse_goal, parse_kind, parse_rule, rule_text
from xworld.tasks.language.reading import config_for, parse
from xworld.tasks.language.rows import DoorRow, Goal, HiddenRow, Literal, ObjectRow, RuleRow, kind_text
from xworld.tasks.language.writing import to_text
from xworld.tasks.sets.by_name import NamedTasks, TaskCollection, tasks_by_name
from xworld.tasks.sets.fixed import test_set, test_set_universe, test_set_with_info
from xworld.tasks.sets.named import preset
from xworld.tasks.sets.pool import TaskPool
from xworld.tasks.sets.probes import Probe, probe, probes
from xworld.tasks.sets.starters.starters import starters
from xworld.tasks.sets.storage import load, load_config, save
from xworld.tasks.sets.task_set import TaskSet
from xworld.tasks.universe.config import UniverseConfig
from xworld.tasks.universe.universe import TaskInfo, Universe
from xworld.tasks.worlds.config import WorldConfig
from xworld.tasks.xland_minigrid import (
    RulesetArrays,
    RulesetTasks,
    from_xland_minigrid,
    read_xland_minigrid,
    xland_minigrid_config,
)

__all__ = [
    "DoorRow",
    "Goal",
    "HiddenRow",
    "Literal",
    "NamedTasks",
    "ObjectRow",
    "Probe",
    "RuleRow",
    "RulesetArrays",
    "RulesetTasks",
    "TaskCollection",
    "TaskInfo",
    "TaskPool",
    "TaskSet",
    "Universe",
    "UniverseConfig",
    "WorldConfig",
    "briefing_text",
    "config_for",
    "from_xland_minigrid",
    "goal_text",
    "kind_text",
    "load",
    "load_config",
    "make_task",
    "parse",
    "parse_goal",
    "parse_kind",
    "parse_rule",
    "preset",
    "probe",
    "probes",
    "read_xland_minigrid",
    "rule_text",
    "starters",
    "save",
    "tasks_by_name",
    "test_set",
    "test_set_universe",
    "test_set_with_info",
    "to_text",
    "xland_minigrid_config",
]
