"""Pictures and films of states. Needs the packages of `pip install 'xworld[play]'`, but no window."""

from xworld.rendering.episode import episode_frames
from xworld.rendering.files.film import save_animation
from xworld.rendering.files.still import save_picture
from xworld.rendering.frame import render_frame
from xworld.rendering.scene import render

__all__ = ["episode_frames", "render", "render_frame", "save_animation", "save_picture"]
