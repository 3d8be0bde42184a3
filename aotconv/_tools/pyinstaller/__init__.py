"""What PyInstaller asks for through the entry point `pyinstaller40`: where the hooks lie."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """The folders that have hooks."""
    return [os.path.dirname(__file__)]
