# cython: language_level=3, boundscheck=False, wraparound=False
"""Adds up histograms and reads each entry once; loadgen.measure.histograms does the same with numpy."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport calloc, free

ctypedef fused bucket:
    uint16_t
    int32_t
    int64_t

ctypedef fused number:
    uint8_t
    uint16_t
    int64_t


def add_up(
    const int64_t[::1] order,
    const int64_t[::1] ends,
    const int64_t[::1] starts,
    const bucket[::1] indexes,
    const number[::1] counts,
    int64_t lowest,
    int64_t span,
    int64_t[::1] out_starts,
    int64_t[::1] out_indexes,
    int64_t[::1] out_counts,
):
    """Write the sum of the rows order[ends[g]:ends[g + 1]] for each group g to `out_*`; return the number of entries.

    `indexes` must be in lowest..lowest+span-1 and ascend within each row.  `out_*` must have room for all entries.
    Raises MemoryError.
    """
    cdef Py_ssize_t group, at, entry, found = 0
    cdef int64_t row, low, high, index
    cdef int64_t *sums = <int64_t *>calloc(span, sizeof(int64_t))
    if sums == NULL:
        raise MemoryError
    out_starts[0] = 0
    for group in range(ends.shape[0] - 1):
        low, high = span, -1
        for at in range(ends[group], ends[group + 1]):
            row = order[at]
            if starts[row] == starts[row + 1]:
                continue
            low = min(low, indexes[starts[row]] - lowest)
            high = max(high, indexes[starts[row + 1] - 1] - lowest)
            for entry in range(starts[row], starts[row + 1]):
                sums[indexes[entry] - lowest] += counts[entry]
        for index in range(low, high + 1):
            if sums[index]:
                out_indexes[found], out_counts[found] = index + lowest, sums[index]
                sums[index] = 0
                found += 1
        out_starts[group + 1] = found
    free(sums)
    return found
