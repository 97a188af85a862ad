"""What the theme leaves out for those who do not see the pages."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx


def give_captions_a_level(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """A heading by its role has no level of its own."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", give_captions_a_level, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
