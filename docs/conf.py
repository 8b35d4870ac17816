"""Settings of the documentation; ``make docs`` builds it without a network."""

import sys
from pathlib import Path

import skssl

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(0, str(Path(__file__).parents[1]))  # for the benchmarks

project = "skssl"
author = "The skssl developers"
copyright = "The skssl developers, BSD-3-Clause"
release = version = skssl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "tables",
]
# Generated files are included by pages. They are not pages themselves.
exclude_patterns = ["_build", "user_guide/_generated"]
templates_path = ["_templates"]
default_role = "obj"
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings give types and shapes
numpydoc_show_class_members = False  # the templates list them

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The others need images that are not included. They are shown without being run.
    "filename_pattern": r"/plot_(10|30|40|50)_",
    "download_all_examples": False,
    "remove_config_comments": True,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skssl {release}"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "show_prev_next": False}
