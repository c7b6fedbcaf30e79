"""`loadgen forward`: the rate of a TCP forward proxy between two network interfaces."""
