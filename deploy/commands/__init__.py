"""Commands in fresh VMs: an environment makes places, and each place runs commands and measures them.

:mod:`deploy.commands.api` is the interface, :mod:`deploy.commands.catalog` finds environments by name.
"""
