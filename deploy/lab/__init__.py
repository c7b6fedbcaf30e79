"""A network of its own for a test: three network namespaces and two shaped links, on this machine, as root.

    source  va0 ── va1  proxy  vb0 ── vb1  sink

The namespaces have no names.  They live as long as somebody holds a descriptor of them or runs inside, so
nothing can be left behind: when whoever built the lab ends, however it ends, the kernel removes all of it.
Nothing is ever made in the namespace that we ourselves are in.
"""
