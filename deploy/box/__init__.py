"""Boxes: processes in namespaces and cgroups of their own, the container analogue of a VM.  Linux, as root.

:mod:`deploy.box.box` describes a box; the warden (:mod:`deploy.warden`) founds it with its first process, which builds
its file system and network (:mod:`deploy.box.build`), and later processes join it (:mod:`deploy.box.namespaces`).

All parts of a box but its directory and its cgroups are anonymous: mounts are made in its own mount namespace, and its
network device vanishes with its network namespace.  So when its first process ends in any way, the kernel removes them.
"""
