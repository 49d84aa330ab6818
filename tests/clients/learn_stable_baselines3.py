"""stable-baselines3's PPO learns the tiny universe through the Gymnasium vector environment."""

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from tiny import ENV, TASKS, conclude

from xworld.adapters.gymnasium import GymnasiumVectorEnv

NUM_ENVS, TOTAL = 64, 2**18


class Vectorised(VecEnv):
    """A `GymnasiumVectorEnv` in stable-baselines3's own interface, which is older than Gymnasium's."""

    def __init__(self, envs: GymnasiumVectorEnv) -> None:
        self.envs = envs
        self.actions = np.zeros(envs.num_envs, int)
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        return self.envs.reset(seed=self._seeds[0])[0]

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminations, truncations, infos = self.envs.step(self.actions)
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for env in np.flatnonzero(terminations):
            each[env] = {"terminal_observation": infos["final_obs"][env], "TimeLimit.truncated": False}
        return observations, rewards, terminations | truncations, each

    def close(self) -> None:
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.envs, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


def make() -> VecEnv:
    return VecMonitor(Vectorised(GymnasiumVectorEnv(TASKS, ENV, num_envs=NUM_ENVS, observation="one_hot")))


def episode_return(learner: PPO) -> float:
    """The mean return of an episode, with sampled actions."""
    mean, _ = evaluate_policy(learner, make(), n_eval_episodes=4 * NUM_ENVS, deterministic=False)
    return float(mean)


learner = PPO("MlpPolicy", make(), n_steps=32, batch_size=512, n_epochs=4, learning_rate=2e-3, gamma=0.95, seed=0)
before = episode_return(learner)
learner.learn(TOTAL)
conclude("stable-baselines3 PPO", before, episode_return(learner))
