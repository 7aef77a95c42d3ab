"""A slide is registered from an allow-listed place only, however the place is written."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SlideUnreadableError
from service.uploads.errors import ReferenceNotAllowedError
from service.uploads.references import read_reference

BUCKET = ("s3://slides/lab",)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a b.svs").write_bytes(b"slide")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-secret").write_bytes(b"secret")
    return folder


def test_a_file_below_a_root_is_read_in_its_one_form(root) -> None:
    expected = f"file://{root}/a%20b.svs"
    ways = (
        f"file:{root}/a%20b.svs",
        f"file://{root}/a%20b.svs",
        f"file://localhost{root}/a%20b.svs",
        f"file:{root}/.//%61 b.svs",
    )
    for uri in ways:
        for allowed in (f"file:{root}", f"file://{root}/"):
            assert read_reference(uri, (allowed,)) == expected


@pytest.mark.parametrize(
    "written",
    [
        "file:{root}",
        "file:{root}/",
        "file:{root}/.",
        "file:{root}/../secret",
        "file:{root}/%2e%2e/secret",
        "file:{root}/..%2fsecret",
        "file:{root}-secret",
        "file:{root}/../root-secret",
        "file://elsewhere{root}/a%20b.svs",
        "file://user:word@localhost{root}/a%20b.svs",
        "file:{root}/a%20b.svs?x",
        "file:{root}/a%20b.svs#x",
        "file:{root}/a%00.svs",
        "file:{root}/%ff.svs",
        "file:{root}\\a.svs",
        "file:a%20b.svs",
        "{root}/a%20b.svs",
        "FTP:{root}/a%20b.svs",
        "http://localhost{root}/a%20b.svs",
        "s3:{root}/a%20b.svs",
        "file://[::1{root}",
        "",
    ],
)
def test_everything_else_is_refused_alike(root, written) -> None:
    with pytest.raises(ReferenceNotAllowedError) as refused:
        read_reference(written.format(root=root), (f"file:{root}", *BUCKET))
    assert str(root) not in str(refused.value)


def test_outside_nothing_tells_what_exists(root) -> None:
    os.symlink(root, root.parent / "link")
    told = set()
    for name in ("secret", "nothing", "root/../nothing", "root/../secret", "link/a b.svs", "link/nothing"):
        with pytest.raises(ReferenceNotAllowedError) as refused:
            read_reference(f"file:{root.parent}/{name}", (f"file:{root}",))
        told.add(str(refused.value))
    assert len(told) == 1


def test_links_are_followed_before_it_is_decided(root) -> None:
    os.symlink(root.parent / "secret", root / "out")
    os.symlink(root.parent, root / "up")
    os.symlink(root / "a b.svs", root / "in")
    os.symlink(root, root.parent / "linked")
    for name in ("out", "up/secret", "up/nothing"):
        with pytest.raises(ReferenceNotAllowedError):
            read_reference(f"file:{root}/{name}", (f"file:{root}",))
    assert read_reference(f"file:{root}/in", (f"file:{root}",)) == f"file://{root}/a%20b.svs"
    assert (
        read_reference(f"file:{root.parent}/linked/in", (f"file:{root.parent}/linked",)) == f"file://{root}/a%20b.svs"
    )
    with pytest.raises(ReferenceNotAllowedError):
        read_reference(f"file:{root.parent}/linked/in", (f"file:{root}",))


def test_below_a_root_it_is_told_that_nothing_is_there(root) -> None:
    os.mkfifo(root / "pipe")
    for name in ("nothing.svs", "pipe"):
        with pytest.raises(SlideUnreadableError):
            read_reference(f"file:{root}/{name}", (f"file:{root}",))


def test_a_root_that_only_workers_see_is_left_to_them(tmp_path) -> None:
    uri = f"file://{tmp_path}/away/x.svs"
    assert read_reference(uri, (f"file:{tmp_path}/away",)) == uri


def test_a_key_of_a_bucket_is_taken_literally() -> None:
    for key in ("lab/a.svs", "lab/x/a%20b.svs", "lab/a b.svs"):
        assert read_reference(f"s3://slides/{key}", BUCKET) == f"s3://slides/{key}"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://slides/lab",
        "s3://slides/lab/",
        "s3://slides/laboratory/a.svs",
        "s3://slides/other/a.svs",
        "s3://other/lab/a.svs",
        "s3://slides/lab/../other/a.svs",
        "s3://slides/lab/%2e%2e/a.svs",
        "s3://slides/lab/%252e%252e/a.svs",
        "s3://slides/lab/%2e%2e%2fa.svs",
        "s3://slides/lab//a.svs",
        "s3://slides/lab/a.svs?versionId=1",
        "s3://id:key@slides/lab/a.svs",
        "s3://slides:80/lab/a.svs",
        "s3://SLIDES/lab/a.svs",
        "s3:///lab/a.svs",
        "S3://slides/x",
    ],
)
def test_a_bucket_that_is_not_allowed_is_refused(uri) -> None:
    with pytest.raises(ReferenceNotAllowedError):
        read_reference(uri, BUCKET)


@given(st.text(max_size=60))
def test_no_text_leaves_the_roots(text) -> None:
    for prefix in ("", "file:/srv/slides/", "s3://slides/lab/"):
        try:
            found = read_reference(prefix + text, ("file:/srv/slides", *BUCKET))
        except (ReferenceNotAllowedError, SlideUnreadableError):
            continue
        assert found.startswith(("file:///srv/slides/", "s3://slides/lab/"))
        assert "/../" not in found
        assert not found.endswith("/..")
