"""Where tasks come from: task files, the universe, and sets of tasks."""

from xworld.tasks.phrases import briefing_text, goal_text, parse_goal, parse_kind, parse_rule, rule_text
from xworld.tasks.pool import TaskPool
from xworld.tasks.presets import preset
from xworld.tasks.probe_files import Probe, probe, probes
from xworld.tasks.rows import DoorRow, Goal, HiddenRow, Literal, ObjectRow, RuleRow, kind_text
from xworld.tasks.storage import load, load_config, save
from xworld.tasks.task import make_task
from xworld.tasks.task_set import TaskSet
from xworld.tasks.test_sets import test_set, test_set_universe, test_set_with_info
from xworld.tasks.text import config_for, parse
from xworld.tasks.universe import TaskInfo, Universe
from xworld.tasks.universe_config import UniverseConfig
from xworld.tasks.world_config import WorldConfig
from xworld.tasks.writing import to_text
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
    "ObjectRow",
    "Probe",
    "RuleRow",
    "RulesetArrays",
    "RulesetTasks",
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
    "save",
    "test_set",
    "test_set_universe",
    "test_set_with_info",
    "to_text",
    "xland_minigrid_config",
]
