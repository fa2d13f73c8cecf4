"""A family of networks in one folder, as CONTRIBUTING.md says how to add one; a test copies it beside the others."""
