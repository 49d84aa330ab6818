"""Every memory in a small agent, and the play that it is run along."""

import pytest
from recorded_play import CONFIGS, Recording, record, rough_params
from tiny_rooms import env_config

from xworld.agents import MEMORIES, Agent, Params, make_agent


@pytest.fixture(scope="package")
def recording() -> Recording:
    return record()


@pytest.fixture(scope="module", params=MEMORIES)
def agent(request: pytest.FixtureRequest) -> Agent:
    return make_agent(CONFIGS[request.param], env_config())


@pytest.fixture(scope="module")
def params(agent: Agent) -> Params:
    return rough_params(agent)
