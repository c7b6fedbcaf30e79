"""Builds the compiled parts if there is a C compiler.  Everything else is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError

HERE = "loadgen/engine/compiled"
SOURCES = ["_core.pyx", "reply.c", "body.c", "connection.c", "engine.c"]

# What is said when an extension was not built.
MEANINGS = {
    "loadgen.engine.compiled._core": "the compiled engine was not built; the Python engine is used",
    "loadgen.measure._fold": "counting was not compiled; numpy is used",
    "loadgen.measure._sums": "sums of histograms were not compiled; numpy is used",
}


class OptionalBuild(build_ext):
    """Builds each extension, and prints one line if that fails: the package is installed without it."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension, or say what is used instead."""
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
        # Bounds must be equal to numpy's, bit for bit: no fused multiply-add.
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
