"""Settings of the documentation site; `make docs` builds it, without a network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
# The package beside this folder, installed or not, and the extensions in it.
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

import from_code  # noqa: E402  # the path comes first

import clvmodels  # noqa: E402

project = "clvmodels"
author = "The clvmodels developers"
copyright = author
version = release = clvmodels.__version__
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "command_pages",
    "from_code",
    "gallery",
    "mathml",
    "messages",
    "package_names",
    "plot_pages",
    "sample_report",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]
html_math_renderer = "mathml"
# `name` in a docstring is an object of the package where there is one.
default_role = "py:obj"

# --- pages ---

myst_enable_extensions = [
    "amsmath",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
    "substitution",
]
myst_substitutions = from_code.constants()
myst_heading_anchors = 4
myst_dmath_double_inline = True
# Outputs are stored in the notebooks; the tests run them.
nb_execution_mode = "off"
nb_merge_streams = True

# --- the package ---

autosummary_generate = True
autosummary_ignore_module_all = False
# The docstrings say types, and more of them than annotations can.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = True
autodoc_class_signature = "mixed"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"

# --- HTML ---

html_theme = "pydata_sphinx_theme"
html_title = "clvmodels"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["copy.js"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": f"clvmodels {version}"},
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
