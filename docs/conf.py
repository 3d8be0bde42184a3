"""How Sphinx builds these pages: ``sphinx-build -W docs docs/_build/html``."""

from __future__ import annotations

import zlib
from pathlib import Path

import aotconv

HERE = Path(__file__).parent
SOURCE = "https://github.com/aotconv/aotconv"
SUBJECTS = "photos", "measurements", "large", "networks", "simulations"  # of the gallery, in order

project = "aotconv"
author = "The aotconv developers"
copyright = f"2026, {author}"
version = release = aotconv.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples/**GALLERY_HEADER.rst", "gallery/**.ipynb"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebook holds its results; a test runs it

default_role = "py:obj"  # as NumPy's docstrings mean it
autodoc_typehints = "none"  # numpydoc's sections say them
autosummary_generate = True
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "ignore_pattern": r"^(?!plot_)",  # others are scripts for the command line
    "subsection_order": [f"examples/{subject}" for subject in SUBJECTS],
    "within_subsection_order": "ExampleTitleSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "thumbnail_size": (440, 308),
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "doc_module": ("aotconv",),
    "backreferences_dir": "gallery/backreferences",
    "reference_url": {"aotconv": None},
}

html_theme = "pydata_sphinx_theme"
html_title = f"aotconv {version}"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["aotconv.css"]
html_show_sourcelink = False
html_theme_options = {
    "github_url": SOURCE,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {key: [] for key in ("index", "install", "benchmarks", "gallery/**/plot_*")}


def inventory(name: str) -> str:
    """The path of an inventory for intersphinx, written of the names that are listed in a text, so
    that pages are built without a network."""
    lines = (HERE / "inventories" / f"{name}.txt").read_text().splitlines()
    target = HERE / "_build" / f"{name}.inv"
    target.parent.mkdir(exist_ok=True)
    head = f"# Sphinx inventory version 2\n# Project: {name}\n# Version: stable\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    target.write_bytes(head.encode() + zlib.compress(("\n".join(lines) + "\n").encode()))
    return str(target)


intersphinx_mapping = {
    "numpy": ("https://numpy.org/doc/stable/", inventory("numpy")),
    "scipy": ("https://docs.scipy.org/doc/scipy/", inventory("scipy")),
}


def without_misnamed(app, what, name, obj, options, signature, returned):
    """Signatures without the parameter that tells misspelt keywords."""
    return (signature or "").replace(", **misnamed", "") or None, returned


def setup(app):
    app.connect("autodoc-process-signature", without_misnamed)
