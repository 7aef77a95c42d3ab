import pytest

from workers.outputs.files import replace_whole, write_whole


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file"
    with replace_whole(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(RuntimeError), replace_whole(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_litter_of_a_killed_run_is_written_over(tmp_path):
    (tmp_path / ".file.part").write_bytes(b"litter" * 100)
    write_whole(tmp_path / "file", b"x")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"x")]
