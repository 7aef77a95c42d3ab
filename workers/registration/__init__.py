"""Consecutive sections of one tissue, in different stains, laid onto each other."""

from workers.registration.align import register
from workers.registration.errors import RegistrationFailedError
from workers.registration.result import Quality, Registration

__all__ = ["Quality", "Registration", "RegistrationFailedError", "register"]
