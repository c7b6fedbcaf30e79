"""The web servers that a VM can run: one module per kind, `base` for common code, `catalog` to choose a server.

Every kind runs as a single process per VM (and, behind nginx and Apache, the application process), so that the
parent-death signal of the kernel reaches all of them: no server can outlive its warden.  Servers run as the user who
started them, root included, because the file set may be in a directory that no other user can read.
"""
