"""Templates: valid C, Python or text that calls the net ``nin``, with ``@key@`` where values go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def fill(template: str, name: str, values: Mapping[str, object]) -> str:
    """The template file of that name with the net's prefix and the values filled in.

    The prefixes ``nin_`` and ``NIN_`` become those of ``name``; a ``@key@`` without a value is a KeyError.
    """
    text = (_FOLDER / template).read_text(encoding="utf-8")
    text = re.sub(r"\bnin_", f"{name}_", text)
    text = re.sub(r"\bNIN_", f"{name.upper()}_", text)
    return re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)


def plain_text(text: str) -> str:
    """``text`` with everything but letters, digits and harmless punctuation as ``_``: fit for any comment."""
    return re.sub(r"[^A-Za-z0-9 .,+_/-]", "_", text).replace("*/", "__").strip() or "model"


def c_string(text: str) -> str:
    """``text`` as a C string literal: UTF-8, everything unusual escaped in octal."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'
