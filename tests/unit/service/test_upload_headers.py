"""Headers of tus: what is right is read, all else is refused with a reason."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RefusedInputError
from service.uploads.errors import (
    BadRequestError,
    ChecksumUnsupportedError,
    LengthRequiredError,
    MediaTypeError,
    TusVersionError,
)
from service.uploads.headers import (
    bare_filename,
    check_body_type,
    check_version,
    read_body_length,
    read_checksum,
    read_length,
    read_metadata,
    write_metadata,
    write_time,
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("sent", [None, "", "1.0", "0.2.2", "1.0.0, 0.2.2"])
def test_another_version_of_tus_is_refused(sent) -> None:
    with pytest.raises(TusVersionError):
        check_version({} if sent is None else {"tus-resumable": sent})
    check_version({"tus-resumable": "1.0.0"})


@pytest.mark.parametrize("sent", [None, "", "-1", "+1", "1.5", "0x10", "1e3", " 1", "1 ", "٣", "9" * 19, "nan"])
def test_a_length_is_digits(sent) -> None:
    with pytest.raises(BadRequestError, match="Upload-Length"):
        read_length({} if sent is None else {"upload-length": sent})


def test_a_length_is_read_and_a_deferred_one_refused_with_the_reason() -> None:
    assert read_length({"upload-length": "0"}) == 0
    assert read_length({"upload-length": "68719476736"}) == 64 << 30
    with pytest.raises(BadRequestError, match="room on the disk is set aside"):
        read_length({"upload-length": "5", "upload-defer-length": "1"})


def test_the_length_of_a_body_is_stated_or_it_comes_in_chunks() -> None:
    assert read_body_length({"content-length": "12"}) == 12
    assert read_body_length({"transfer-encoding": "chunked"}) is None
    with pytest.raises(LengthRequiredError):
        read_body_length({})


@given(
    st.dictionaries(
        st.text(
            st.characters(codec="ascii", exclude_categories=["C", "Z"], exclude_characters=","), min_size=1, max_size=9
        ),
        st.text(st.characters(exclude_categories=["C"]), max_size=9),
        max_size=5,
    )
)
def test_metadata_comes_back_as_it_was_written(metadata) -> None:
    assert read_metadata({"upload-metadata": write_metadata(metadata)}) == metadata


@pytest.mark.parametrize(
    "sent",
    [
        ",",
        "a YQ==,,b YQ==",
        f"a {encoded('1')},a {encoded('2')}",
        "é YQ==",
        "a b c",
        "a YQ=",
        "a Y!==",
        f"a {base64.b64encode(bytes([0xFF])).decode()}",
        f"a {encoded(chr(10))}",
        f"a {encoded('x' * 4096)}",
        ",".join(f"k{n}" for n in range(33)),
    ],
)
def test_junk_in_metadata_is_refused(sent) -> None:
    with pytest.raises(BadRequestError):
        read_metadata({"upload-metadata": sent})


@given(st.text(max_size=80))
def test_no_metadata_and_no_checksum_is_anything_but_read_or_refused(sent) -> None:
    for read, name in ((read_metadata, "upload-metadata"), (read_checksum, "upload-checksum")):
        try:
            read({name: sent})
        except RefusedInputError as error:
            assert error.remedy


def test_a_checksum_is_an_algorithm_of_ours_and_a_whole_digest() -> None:
    assert read_checksum({}) is None
    sent = read_checksum({"upload-checksum": f"sha1 {base64.b64encode(b'a' * 20).decode()}"})
    assert sent is not None
    assert (sent.algorithm, sent.digest) == ("sha1", b"a" * 20)
    with pytest.raises(ChecksumUnsupportedError, match="crc32"):
        read_checksum({"upload-checksum": "crc32 AAAAAA=="})
    with pytest.raises(BadRequestError, match="has 19 bytes"):
        read_checksum({"upload-checksum": f"sha1 {base64.b64encode(b'a' * 19).decode()}"})


def test_bytes_at_an_offset_have_their_own_media_type() -> None:
    check_body_type({"content-type": "application/offset+octet-stream; charset=x"})
    for sent in ({}, {"content-type": "application/octet-stream"}):
        with pytest.raises(MediaTypeError):
            check_body_type(sent)


@pytest.mark.parametrize(
    ("sent", "bare"),
    [
        (None, None),
        ("a.svs", "a.svs"),
        ("../../etc/passwd", "passwd"),
        ("C:\\slides\\a.svs", "a.svs"),
        ("a\0\n.svs", "a.svs"),
        ("/", None),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_file_name_is_its_last_part(sent, bare) -> None:
    assert bare_filename(sent) == bare


def test_a_time_is_written_as_http_writes_it() -> None:
    assert write_time(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
