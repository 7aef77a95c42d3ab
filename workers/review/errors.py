"""What can go wrong when a result is looked at again."""

from models.errors import RefusedInputError


class ResultUnreadableError(RefusedInputError):
    """There is no result, or `result.json` is not one."""

    slug = "result-unreadable"
    title = "There is no result to look at"
