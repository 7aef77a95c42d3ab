"""`python -m training.phantom`."""

from training.phantom.commands import app

if __name__ == "__main__":
    app()
