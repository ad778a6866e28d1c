"""``nincc targets``: the machines nincc compiles for."""

from __future__ import annotations

from dataclasses import asdict

import click

from nincc.cli.common import bytes_text, json_option, show, table
from nincc.target import ALIASES, AnyTarget, Target, load_target, missing_features, target_names

BYTES = ("l1", "l2", "shared")


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the targets, or show one (NAME, an alias, native, or a TOML file) key by key."""
    if name is not None:
        target = load_target(name)
        show(_data(target), as_json, lambda: _one(target))
        return
    targets = [load_target(known) for known in target_names()]
    show([_data(target) for target in targets], as_json, lambda: _list(targets))


def _data(target: AnyTarget) -> dict[str, object]:
    return {**asdict(target), "runs_here": _runs_here(target)}


def _runs_here(target: AnyTarget) -> bool | None:
    """Whether this machine can run it; None for a GPU, which only a library looks for, when it is opened."""
    return not missing_features(target) if isinstance(target, Target) else None


def _runs_here_text(target: AnyTarget) -> str:
    runs = _runs_here(target)
    return "not checked" if runs is None else "yes" if runs else "no"


def _one(target: AnyTarget) -> str:
    rows = [(key, _value(key, value)) for key, value in asdict(target).items()]
    if isinstance(target, Target) and missing_features(target):
        rows.append(("missing here", ", ".join(missing_features(target))))
    return table([*rows, ("runs here", _runs_here_text(target))], ("key", "value"))


def _value(key: str, value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return bytes_text(value) if key in BYTES and isinstance(value, int) else str(value)


def _list(targets: list[AnyTarget]) -> str:
    aliases = {shipped: alias for alias, shipped in ALIASES.items()}
    rows = [(t.name, aliases.get(t.name, ""), _runs_here_text(t), t.description) for t in targets]
    return table(rows, ("target", "alias", "runs here", "description"))
