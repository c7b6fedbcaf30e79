"""The images of the pages: files that web servers serve, and which of them each page has."""

from __future__ import annotations

import re

from workloads import content
from workloads.banking import facts
from workloads.fileset import FOLDER, Layout

DIRECTORY = "banking"
STRIDE_BYTES = 512

SIZES = {f"image{number:02d}": size for number, size in enumerate(facts.IMAGE_BYTES)}
"""The size of each image by its name, in bytes."""

FILES = tuple(SIZES)

_KEY = 0x06_0001  # part of the seed of every file; another value gives another file set
_PATH = re.compile(rf"/{FOLDER}/{DIRECTORY}/({'|'.join(FILES)})")
_STEP = 5  # prime to the number of images: pages of as many images have different ones


def of_page(kind: int) -> tuple[int, ...]:
    """The numbers of the images of a page of this kind, in the order in which they are loaded."""
    return tuple((kind * _STEP + at) % len(FILES) for at in range(facts.IMAGES_OF[kind]))


def name(image: int) -> str:
    """The path of an image below the document root, which its header line and its validation bytes contain."""
    return f"{FOLDER}/{DIRECTORY}/{FILES[image]}"


def is_path(text: str) -> bool:
    """Whether the text is the path of an image: only such paths are opened, so no request leaves the document root."""
    return _PATH.fullmatch(text) is not None


def file_content(directory: int, file: str) -> bytes:
    """The content of an image, header line included; there is one directory."""
    image = FILES.index(file)
    return content.whole(name(image), SIZES[file], STRIDE_BYTES, (_KEY, directory * len(FILES) + image))


LAYOUT = Layout(directory_name=lambda directory: DIRECTORY, sizes=SIZES, content=file_content, probe=FILES[0])
