"""The directory a compile produces: libraries, header, Python file, manifest, written atomically."""

from nincc.artefact.manifest import Build, artefact_files
from nincc.artefact.selftest import Selftest, selftest_inputs
from nincc.artefact.staging import staged
from nincc.artefact.writer import build_artefact, read_manifest, write_artefact

__all__ = [
    "Build",
    "Selftest",
    "artefact_files",
    "build_artefact",
    "read_manifest",
    "selftest_inputs",
    "staged",
    "write_artefact",
]
