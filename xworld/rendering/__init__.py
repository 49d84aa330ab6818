"""Pictures and films of states. Needs the packages of `pip install xworld[play]`, but no window."""

from xworld.rendering.episode import episode_frames
from xworld.rendering.film import save_animation
from xworld.rendering.frame import render_frame
from xworld.rendering.scene import render
from xworld.rendering.still import save_picture

__all__ = ["episode_frames", "render", "render_frame", "save_animation", "save_picture"]
