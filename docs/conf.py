"""How Sphinx builds these pages: `nox -s docs`. Nothing is fetched, and any warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

import waitkit

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "waitkit"
author = "The waitkit developers"
project_copyright = f"2026, {author}"
version = release = waitkit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_design",
    "accessible",
    "held_by",
    "reference",
    "timelines",
]
exclude_patterns = ["_build", "_inventories"]
nitpicky = True
# What stands in single backticks in a docstring is a name, and a link to it.
default_role = "py:obj"
highlight_language = "python"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # `page.md#heading`, as on GitHub
myst_links_external_new_tab = False

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # as in the source
autodoc_type_aliases = {"Kind": "~waitkit.testing.strategies.Kind"}  # not all that it stands for
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes in a list
python_display_short_literal_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"

intersphinx_mapping = {"python": ("https://docs.python.org/3", "_inventories/python.inv")}
intersphinx_timeout = 1
nitpick_ignore_regex = [
    ("py:class", r"(.*\.)?(T|T\d+|Ts|K|P|T_co|K_co)"),  # type variables
    ("py:class", r"hypothesis\..*"),  # whose inventory is not in the tree
    ("py:class", "Keyed"),  # what keyed and call_each return; it has no name to import
]

html_theme = "furo"
html_title = "waitkit"
html_static_path = ["_static"]
html_css_files = ["custom.css", "timelines.css"]
html_js_files = ["scrollable.js"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,  # the arrow keys are the reader's
    "top_of_page_buttons": [],
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
