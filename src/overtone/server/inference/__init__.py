"""Models behind the service: admission, uploads read, answers made."""
