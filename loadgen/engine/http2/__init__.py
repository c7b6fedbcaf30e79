"""HTTP/2 for the Python engine: stream slots that play the tape as connections do in HTTP/1.1."""
