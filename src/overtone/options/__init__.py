"""Options, and the sources of their values: arguments, the environment, a file."""
