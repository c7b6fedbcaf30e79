"""A network of this machine's own: namespaces, veth pairs and shapers that vanish with the process that made them."""
