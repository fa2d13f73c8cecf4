"""`overtone top`: a running service, drawn in the terminal."""
