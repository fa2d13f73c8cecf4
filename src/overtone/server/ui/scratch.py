"""Keeps Gradio from the folder that it shares between all its apps and users."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio.routes


@contextmanager
def scratch_folder() -> Iterator[None]:
    """While an app of Gradio's is put together, a folder that does not last.

    For a feature that is not used here it makes one each time, among the temporary files and by a name that everybody
    has: where it is another user's, that fails.
    """
    module: Any = gradio.routes
    usual = module.DEFAULT_TEMP_DIR
    with tempfile.TemporaryDirectory() as folder:
        module.DEFAULT_TEMP_DIR = folder
        try:
            yield
        finally:
            module.DEFAULT_TEMP_DIR = usual
