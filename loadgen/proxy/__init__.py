"""The TCP forward proxy: forwards by splice or copy, passes on half-closes, limits connections, counts bytes."""
