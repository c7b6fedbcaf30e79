"""`loadgen spec`: SPECweb99-style load on many web servers at once."""
