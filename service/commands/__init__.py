"""The commands that talk to a service, on top of the Python client."""
