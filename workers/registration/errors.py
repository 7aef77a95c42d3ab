"""What can go wrong when two sections are laid onto each other."""

from models.errors import NotScorableError


class RegistrationFailedError(NotScorableError):
    """Two pictures cannot be laid onto each other: one is blank, too small, or they show different tissue."""

    slug = "registration-failed"
    title = "The sections cannot be registered"
