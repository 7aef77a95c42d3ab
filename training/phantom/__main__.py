"""`python -m training.phantom`."""

import sys

from models.errors import HistoserveError, RefusedInputError
from training.phantom.commands import app

if __name__ == "__main__":
    try:
        app()
    except HistoserveError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2 if isinstance(error, RefusedInputError) else 1)
