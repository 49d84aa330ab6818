"""The look of the figures: axes, titles, and labels at the ends of lines. Drawn with matplotlib, without a window."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK, FAINT, GRID = "#2b2f36", "#8b929c", "#e6e8eb"
LIGHT_BLUE, BLUE, DARK_BLUE = "#9dbbef", "#2563c9", "#173f86"
ORANGE, GREEN, PURPLE, PINK, TEAL, OCHRE = "#d9822b", "#2f8f5b", "#7d55b5", "#c2417c", "#1b8a9a", "#a8842c"
_LABELS_AT = 1.05  # where labels begin, in widths of the axes
_POINTS, _LETTER = 72, {"normal": 0.6, "bold": 0.66}  # of an inch; and a letter's width, in heights
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, PINK, TEAL, OCHRE, "#6b7280")  # of lines side by side, in turn


def new_figure(width: float) -> tuple[Figure, Axes]:
    """A figure with axes that take `width` of it, and leave the rest to the labels."""
    figure = blank_figure(8.4, 5.0)
    return figure, add_axes(figure, (0.09, 0.12, width, 0.74))


def blank_figure(width: float, height: float) -> Figure:
    """A figure without axes, of a size in inches."""
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes at left, bottom, width and height, as shares of the figure."""
    axes = figure.add_axes(place)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c5cad1")
    axes.tick_params(colors=INK, length=0, pad=6)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return axes


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file, the same bytes for the same figure."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def write_title(axes: Axes, title: str, subtitle: str) -> None:
    """Writes a title and a line about it above the axes."""
    axes.text(0, 1.115, title, transform=axes.transAxes, color=INK, fontsize=14, fontweight="bold", va="center")
    axes.text(0, 1.05, subtitle, transform=axes.transAxes, color=FAINT, fontsize=9.5, va="center")


def label_ends(axes: Axes, labels: list[tuple[str, float, str, str]]) -> None:
    """Writes names beside the lines' last points, moved apart where they would overlap; long ones are smaller."""
    low, high = axes.get_ylim()
    place, figure = axes.get_position(), axes.get_figure()
    assert isinstance(figure, Figure)
    room = (1 - place.x1 - (_LABELS_AT - 1) * place.width) * figure.get_size_inches()[0] * _POINTS  # to the edge
    heights = spread_out([(value - low) / (high - low) for _, value, _, _ in labels], gap=0.055)
    for (name, value, colour, weight), height in zip(labels, heights, strict=True):
        axes.annotate(
            name,
            xy=(1.0, (value - low) / (high - low)),
            xytext=(_LABELS_AT, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=colour,
            fontsize=min(10.5, room / (_LETTER[weight] * max(len(name), 1))),
            fontweight=weight,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "relpos": (0, 0.5),  # from the name's left end
                "color": colour,
                "linewidth": 0.8,
                "alpha": 0.6,
                "shrinkA": 2,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )


def spread_out(heights: list[float], gap: float) -> list[float]:
    """Heights in the same order, near the given ones, and at least `gap` apart."""
    order = np.argsort(heights, kind="stable")
    groups: list[list[int]] = []  # of neighbours that touch; each is centred on the mean of its heights
    for index in order:
        groups.append([int(index)])
        while len(groups) > 1 and _bounds(groups[-1], heights, gap)[0] < _bounds(groups[-2], heights, gap)[1] + gap:
            last = groups.pop()
            groups[-1] += last
    moved = list(heights)
    for group in groups:
        bottom, _ = _bounds(group, heights, gap)
        for place, index in enumerate(group):
            moved[index] = bottom + place * gap
    return moved


def _bounds(group: list[int], heights: list[float], gap: float) -> tuple[float, float]:
    """Lowest and highest label of a group of neighbours."""
    centre, half = float(np.mean([heights[index] for index in group])), gap * (len(group) - 1) / 2
    return centre - half, centre + half


def mix(one: str, other: str, share: float) -> str:
    """The hex colour between two."""
    channels = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in (one, other)]
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in zip(*channels, strict=True))
