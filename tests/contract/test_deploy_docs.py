"""docs/deploy.md tells of every setting as it is."""

from tests.conftest import REPOSITORY
from workers.contract.settings import Settings
from workers.contract.settings_table import with_table

TEXT = (REPOSITORY / "docs" / "deploy.md").read_text()


def test_every_setting_is_documented_as_it_is() -> None:
    assert with_table(TEXT) == TEXT, "run: python -m workers.contract.settings_table"


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())
