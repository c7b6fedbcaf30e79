"""Builds the compiled extensions where there is a C compiler.  Everything else is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError

HERE = "loadgen/engine/compiled"
SOURCES = [
    "_core.pyx",
    "layout.c",
    "lifecycle.c",
    "engine.c",
    "openloop.c",
    "canary.c",
    "connection.c",
    "page.c",
    "dialing.c",
    "reader.c",
    "reply.c",
    "head.c",
    "framing.c",
    "body.c",
    "values.c",
    "request.c",
    "tcp.c",
]

MEANINGS = {
    "loadgen.engine.compiled._core": "the compiled engine was not built; the Python engine is used",
    "loadgen.measure._fold": "counting was not compiled; numpy is used",
    "loadgen.measure._sums": "sums of histograms were not compiled; numpy is used",
    "deploy._null": "the null responder was not compiled; a slower one in Python is used",
}


class OptionalBuild(build_ext):
    """Installs the package without its extensions when they cannot be built, and reports that in one line."""

    def build_extension(self, ext: Extension) -> None:
        """Build `ext`; if that fails, print what is used instead."""
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
            depends=[f"{HERE}/_core.pxd", *sorted(str(path) for path in Path(HERE).glob("*.h"))],
            extra_compile_args=["-std=gnu11", "-O2"],
            optional=True,
        ),
        # No fused multiply-add: results must equal numpy's to the bit.
        Extension(
            "loadgen.measure._fold",
            ["loadgen/measure/_fold.pyx"],
            extra_compile_args=["-O2", "-ffp-contract=off"],
            optional=True,
        ),
        Extension("loadgen.measure._sums", ["loadgen/measure/_sums.pyx"], extra_compile_args=["-O2"], optional=True),
        Extension("deploy._null", ["deploy/_null.pyx"], extra_compile_args=["-std=gnu11", "-O2"], optional=True),
    ],
    cmdclass={"build_ext": OptionalBuild},
)
