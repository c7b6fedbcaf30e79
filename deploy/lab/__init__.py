"""A private network for tests: three network namespaces and two shaped links, on this machine; needs root.

    source  va0 ── va1  proxy  vb0 ── vb1  sink

The namespaces have no names.  A namespace exists as long as a process has a descriptor of it or runs in it, so nothing
can be left behind: when the process that built the lab ends in any way, the kernel removes the lab.  Nothing is changed
in the namespace of that process.
"""
