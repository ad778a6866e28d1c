"""The C, Python and text files around a net's kernels, rendered from the templates in this folder."""

from nincc.codegen.driver.cuda import Arena, arena_of
from nincc.codegen.driver.features import known_features
from nincc.codegen.driver.layout import ContextLayout, context_layout
from nincc.codegen.driver.sources import Driver, api_symbols, artefact_texts, check_name, driver_sources

__all__ = [
    "Arena",
    "arena_of",
    "ContextLayout",
    "Driver",
    "api_symbols",
    "artefact_texts",
    "check_name",
    "context_layout",
    "driver_sources",
    "known_features",
]
