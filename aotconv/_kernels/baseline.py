"""What the baseline module exports, whatever the level: what runs jobs, the team, known calls,
packing, and what tells the level."""

from __future__ import annotations

import os

from .._plan.registry import IS_X86_64
from . import cpu, jobs, pack, repeat, team

# By name.
EXPORTS = {
    **jobs.EXPORTS,
    **repeat.EXPORTS,
    **pack.EXPORTS,
    **(cpu.EXPORTS if IS_X86_64 else {}),
    **(team.EXPORTS if os.name == "posix" else {}),
}
