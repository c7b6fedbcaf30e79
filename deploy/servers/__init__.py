"""The web servers that a VM can run: one module a kind, `base` for what they share, `catalog` to choose one.

Every kind is a single process per VM (plus our app process behind nginx and Apache), so that the parent-death
signal of the kernel reaches all of it: nothing that we start can outlive us.  They run as the user who started
them, root included: the file set may lie where no other user can read.
"""
