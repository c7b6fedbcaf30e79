"""Guests of QEMU: a kernel of this machine, an initramfs, and a disk with the files that a web server needs.

Everything is made of the files of this machine: nothing is downloaded, and no image has to be maintained.
"""
