"""Names, sizes and contents of the files, compared with the published rules and byte by byte."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.model.errors import PlanError
from workloads.specweb99 import files

FILE = st.tuples(st.integers(0, 99_999), st.integers(0, 3), st.integers(0, 8))


def test_a_directory_has_36_files_of_the_published_sizes() -> None:
    assert files.FILES_PER_DIRECTORY == 36
    assert files.DIRECTORY_BYTES == 5_119_484
    assert files.FILE_BYTES[0].tolist() == [102, 204, 307, 409, 512, 614, 716, 819, 921]
    assert files.FILE_BYTES[1].tolist() == list(range(1024, 9217, 1024))
    assert files.FILE_BYTES.sum(axis=1).tolist() == [4_604, 46_080, 460_800, 4_608_000]


@pytest.mark.parametrize(
    ("connections", "directories"), [(1, 25), (100, 90), (200, 156), (518, 364), (1000, 680), (4200, 2779)]
)
def test_the_file_set_grows_with_the_connections(connections: int, directories: int) -> None:
    assert files.directories(connections) == directories


def test_more_directories_than_can_be_named_are_refused() -> None:
    with pytest.raises(PlanError, match="at most 100000"):
        files.directories(200_000)


@given(FILE)
def test_a_file_is_laid_out_as_its_client_expects(file: tuple[int, int, int]) -> None:
    content = files.content(*file)
    name = files.name(*file).encode()
    assert len(content) == files.file_bytes(file[1], file[2])
    line, body = content.split(b"\n", 1)
    assert line == b"%9d %s" % (len(content), name)
    assert set(body[63::64]) <= {ord("\n")}
    assert body.count(b"\n") == len(body) // 64
    assert bytes(body[::4096]) == (name * 10)[: len(body[::4096])]
    outside = re.sub(rb"<!WEB99CAD><IMG SRC=[^>]*><!/WEB99CAD>", b"", body).replace(b"\n", b"")
    assert min(outside) >= 33
    assert max(outside) <= 124


@given(FILE)
def test_tags_are_where_the_client_looks(file: tuple[int, int, int]) -> None:
    content = files.content(*file)
    offsets = [int(at) for at in files.tag_offsets(*file) if at >= 0]
    assert len(offsets) == (0, 1, 2, 0)[file[1]]
    assert offsets == [match.start() for match in re.finditer(b"<!WEB99CAD>", content)]
    for at in offsets:
        assert content[at : at + 62] == b'<!WEB99CAD><IMG SRC="/file_set/dirNNNNN/classX_Y"><!/WEB99CAD>'
        assert (at - 1 - files.HEADER_BYTES) % 4096 == 0


def test_tags_use_every_possible_place() -> None:
    offsets = files.tag_offsets(np.arange(4000), 2, 8)
    places, counts = np.unique(offsets, return_counts=True)
    assert len(places) == 23  # this many validation bytes have space after them
    assert counts.max() / counts.min() < 1.3
    assert (offsets[:, 0] < offsets[:, 1]).all()


def test_contents_never_change_and_differ_between_files() -> None:
    # a change of the contents invalidates every existing file set: change the key of the contents, too
    assert files.content(0, 0, 0) == files.content(0, 0, 0)
    assert files.content(7, 1, 0)[:180] == GOLDEN_START
    bodies = {files.content(d, c, f)[files.HEADER_BYTES + 64 :] for d in range(3) for c in range(4) for f in range(9)}
    assert len(bodies) == 3 * 36


GOLDEN_START = (
    b'     1024 file_set/dir00007/class1_0\nf<!WEB99CAD><IMG SRC="/'
    b'file_set/dirNNNNN/classX_Y"><!/WEB99CAD>\nL!(kN@B_owgrKglwlW3'
    b'+ipYZ?n(HF+*8wEb/fLno5??[oDg9\\;OQ%"Al:e/Hz-?\nqG9YnD?7/$oLYY{'
)
