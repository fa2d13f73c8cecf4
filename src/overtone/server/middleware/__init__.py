"""Middleware of every connection and request."""
