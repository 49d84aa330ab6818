"""XLand-MiniGrid's rulesets as tasks: `from_xland_minigrid`. Works on plain arrays, without that package."""

from xworld.tasks.xland_minigrid.files import RulesetArrays, read_xland_minigrid
from xworld.tasks.xland_minigrid.ruleset_tasks import RulesetTasks, from_xland_minigrid, xland_minigrid_config

__all__ = ["RulesetArrays", "RulesetTasks", "from_xland_minigrid", "read_xland_minigrid", "xland_minigrid_config"]
