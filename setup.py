"""Builds what is compiled, where there is a C compiler; all else is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError

HERE = "loadgen/engine/compiled"
SOURCES = ["_core.pyx", "reply.c", "body.c", "connection.c", "engine.c"]


MEANINGS = {
    "loadgen.engine.compiled._core": "the compiled engine was not built; the Python engine serves",
    "loadgen.measure._fold": "counting was not compiled; numpy does it",
    "loadgen.measure._sums": "sums of histograms were not compiled; numpy makes them",
}


class OptionalBuild(build_ext):
    """Without a C compiler the package is installed all the same, and one line says so."""

    def build_extension(self, ext: Extension) -> None:
        """Build, or say that the Python engine serves."""
        try:
            super().build_extension(ext)
        except (BaseError, CompileError, OSError) as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            print(f"loadgen: {MEANINGS[ext.name]} ({why})")  # noqa: T201


setup(
    ext_modules=[
        Extension(
            "loadgen.engine.compiled._core",
            [f"{HERE}/{name}" for name in SOURCES],
            depends=sorted(str(path) for path in Path(HERE).glob("*.h")),
            extra_compile_args=["-std=gnu11", "-O2"],
            optional=True,
        ),
        # Bounds are to the bit what numpy computes: no multiplication and addition in one step.
        Extension(
            "loadgen.measure._fold",
            ["loadgen/measure/_fold.pyx"],
            extra_compile_args=["-O2", "-ffp-contract=off"],
            optional=True,
        ),
        Extension("loadgen.measure._sums", ["loadgen/measure/_sums.pyx"], extra_compile_args=["-O2"], optional=True),
    ],
    cmdclass={"build_ext": OptionalBuild},
)
