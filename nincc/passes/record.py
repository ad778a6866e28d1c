"""What a pass did, for ``nincc explain`` and the manifest.  No TVM in here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class PassRecord:
    """One pass's doings: a line for each rewrite, and one for each it declined, with the reason."""

    pass_name: str
    changed: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
