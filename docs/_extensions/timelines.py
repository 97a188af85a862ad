"""Drawings of what a helper does when: ```` ```{timeline} first_error ````.

Nothing in them is drawn by hand. Each is a run of the helper in virtual time, made when the pages
are built: the bars are when the jobs ran, the marks when the caller was handed what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from timeline_scenes import SCENES, Bar, Stage

from waitkit.testing import run

LEFT, PLOT, RIGHT = 62, 330, 128  # widths: names, time, what came of it
ROW, TOP, AXIS = 30, 10, 28  # heights
BAR = 14  # height of a bar


@dataclass
class Drawing:
    """An SVG in the making: its parts, and how seconds become places."""

    stage: Stage
    parts: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max(self.stage.ended_at, *(bar.end for bar in self.stage.bars))

    def x(self, seconds: float) -> float:
        return round(LEFT + PLOT * seconds / self.seconds, 1)

    def y(self, row: int) -> int:
        return TOP + row * ROW

    def add(self, tag: str, text: str = "", **attributes: object) -> None:
        written = "".join(
            f' {name.strip("_").replace("_", "-")}="{value}"' for name, value in attributes.items()
        )
        self.parts.append(f"<{tag}{written}>{escape(text)}</{tag}>")

    def add_text(self, text: str, x: float, row: float, anchor: str = "start") -> None:
        middle = TOP + row * ROW + ROW / 2 + 5
        self.add("text", text, x=x, y=round(middle, 1), text_anchor=anchor)


def draw(title: str, stage: Stage) -> str:
    drawing = Drawing(stage)
    rows = len(stage.bars) + 1
    bottom = drawing.y(rows)
    for second in range(int(drawing.seconds) + 1):
        x = drawing.x(second)
        drawing.add("line", class_="grid", x1=x, x2=x, y1=TOP, y2=bottom)
        drawing.add(
            "text", f"{second} s", class_="second", x=x, y=bottom + 18, text_anchor="middle"
        )
    for row, bar in enumerate(stage.bars):
        draw_bar(drawing, row, bar)
    draw_caller(drawing, rows - 1)
    width, height = LEFT + PLOT + RIGHT, bottom + AXIS
    return (
        f'<svg class="timeline" role="img" viewBox="0 0 {width} {height}" '
        f'aria-label="{escape(title, quote=True)}">{"".join(drawing.parts)}</svg>'
    )


def draw_bar(drawing: Drawing, row: int, bar: Bar) -> None:
    top = drawing.y(row) + (ROW - BAR) / 2
    start, end = drawing.x(bar.start), drawing.x(bar.end)
    worked_until = end if bar.cancelled_at is None else drawing.x(bar.cancelled_at)
    drawing.add_text(bar.name, LEFT - 10, row, "end")
    drawing.add(
        "rect", class_=f"bar {bar.how}", x=start, y=top, width=worked_until - start, height=BAR
    )
    if end > worked_until:
        drawing.add(
            "rect",
            class_="bar cleanup",
            x=worked_until,
            y=top,
            width=end - worked_until,
            height=BAR,
        )
    drawing.add_text(bar.how, end + 8, row)


def draw_caller(drawing: Drawing, row: int) -> None:
    stage = drawing.stage
    middle = drawing.y(row) + ROW / 2
    end = drawing.x(stage.ended_at)
    drawing.add_text("you", LEFT - 10, row, "end")
    drawing.add("line", class_="caller", x1=LEFT, x2=end, y1=middle, y2=middle)
    for seconds, told in stage.handed_out():
        x = drawing.x(seconds)
        drawing.add("circle", class_="mark", cx=x, cy=middle, r=5)
        if seconds < stage.ended_at or not stage.result:
            drawing.add_text(told, x + 9, row - 0.3)
    if stage.result:
        drawing.add("circle", class_="mark", cx=end, cy=middle, r=5)
        drawing.add_text(stage.result, end + 10, row)


class Timeline(Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        stage = Stage()
        scene = SCENES[self.arguments[0]]
        run(stage.play, scene)
        caption = " ".join((scene.__doc__ or "").split())
        drawn = draw(caption, stage)
        html = (
            f'<figure class="timeline">{drawn}<figcaption>{escape(caption)}</figcaption></figure>'
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("timeline", Timeline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
