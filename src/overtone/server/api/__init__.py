"""The addresses of the service: each file has those of one noun."""
