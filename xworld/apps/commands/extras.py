"""Which extras of the package bring what it can do without."""

# By module that may be missing: the extras that bring it, and what it is for.
EXTRAS = {
    **dict.fromkeys(("tyro", "rich"), ("agents,play", "commands")),  # either brings them
    **dict.fromkeys(("flax", "optax", "orbax"), ("agents", "agents and training")),
    "matplotlib": ("agents", "figures"),
    **dict.fromkeys(("pygame", "PIL"), ("play", "the window and pictures")),
    "imageio_ffmpeg": ("play", "films"),
    "tensorboardX": ("tensorboard", "--log tensorboard"),
    "wandb": ("wandb", "--log wandb"),
}


def how_to_install(module: str) -> str:
    """The command that brings a module of `EXTRAS`."""
    return f"pip install 'xworld[{EXTRAS[module][0]}]'"
