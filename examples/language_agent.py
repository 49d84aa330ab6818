"""Let a language model play: all in words, to any endpoint that speaks OpenAI's protocol; without one, at random."""

import json
import os
import random
import urllib.request

import jax

import xworld
from xworld.adapters import action_named, briefing_words, observation_words, system_words, useful_actions

# As of a server on this machine: OPENAI_BASE_URL=http://localhost:8000/v1 OPENAI_MODEL=... python language_agent.py
BASE_URL, MODEL = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_MODEL", "default")
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}


def ask(messages: list[dict[str, str]], useful: list[str]) -> str:
    """The model's reply; without an endpoint a random action that does something."""
    if not BASE_URL:
        return random.choice(useful)
    body = json.dumps({"model": MODEL, "messages": messages}).encode()
    request = urllib.request.Request(f"{BASE_URL}/chat/completions", body, HEADERS)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["choices"][0]["message"]["content"]


probe = xworld.tasks.probe("small_workstation_visible")
env, task = xworld.Env(probe.config), probe.task()
step = jax.jit(env.step)
state, timestep = jax.jit(env.reset)(jax.random.key(0), task)
told = system_words(env.config) + "\nAnswer with one action.\n" + briefing_words(env.briefing(task))
messages, total = [{"role": "system", "content": told}], 0.0
for _ in range(int(os.environ.get("STEPS", "20"))):
    useful = useful_actions(env.config, timestep.observation)
    words = f"{observation_words(timestep.observation)}\nActions that do something: {', '.join(useful)}."
    messages.append({"role": "user", "content": words})
    messages.append({"role": "assistant", "content": ask(messages, useful)})
    state, timestep = step(state, jax.numpy.array([action_named(messages[-1]["content"])]))
    total += float(timestep.reward[0])
print(messages[0]["content"], *(message["content"] for message in messages[-4:]), sep="\n\n")
print(f"reward: {total:g}")
