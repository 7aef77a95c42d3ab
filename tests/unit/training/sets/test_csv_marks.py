"""Tables: points and boxes under many names of columns."""

import pytest

from tests.unit.training.sets.pictures import draw
from training.sets.csv_marks import read_csv_marks
from training.sets.marks import Mark


@pytest.fixture
def folder(tmp_path):
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.jpg")
    return tmp_path


def read(folder, text: str, **options):
    (folder / "table.csv").write_text(text, "utf-8")
    return read_csv_marks(folder / "table.csv", 0.25, **options)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("image,x,y,label\na.png,10,20,cell\n", Mark(10, 20, "cell")),
        ("label;File_Name;X_px;Y_px\ncell;a;10;20\n", Mark(10, 20, "cell")),
        (
            "\ufefffilename\tclass_name\tx_center\ty_center\twidth\theight\na\tcell\t10\t20\t4\t6",
            Mark(10, 20, "cell", 4, 6),
        ),
        ("file,category,xmin,ymin,xmax,ymax\na.png,cell,8,17,12,23\n", Mark(10, 20, "cell", 4, 6)),
    ],
)
def test_points_and_boxes(folder, text, mark):
    (image,) = read(folder, text)
    assert image.marks == (mark,)
    assert (image.name, image.case, image.source, image.path) == ("a", "a", "table", folder / "a.png")
    assert (image.width_px, image.height_px, image.mpp) == (100, 80, 0.25)


def test_columns_may_be_named(folder):
    text = "Image,Centroid X,Centroid Y,Name\na,10,20,cell\n"
    (image,) = read(folder, text, columns={"x": "Centroid X", "y": "Centroid Y", "label": "Name"})
    assert image.marks == (Mark(10, 20, "cell"),)


def test_one_label_for_all(folder):
    (image,) = read(folder, "image,x,y\na,1,2\n", label="mitosis")
    assert image.marks[0].label == "mitosis"


def test_cases_by_column_or_by_name(folder):
    text = "image,x,y,label,patient\nb,1,2,c,P1\na,1,2,c,P1\na,3,4,c,P1\n"
    assert [(i.name, i.case, len(i.marks)) for i in read(folder, text)] == [("a", "P1", 2), ("b", "P1", 1)]
    assert read(folder, "image,x,y,label\na,1,2,c\n", case_of=str.upper)[0].case == "A.PNG"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x,y,label\n", "line 1: no column names the image"),
        ("image,label\n", "line 1: give either x and y"),
        ("image,label,x,y,width\n", "line 1: give either x and y"),
        ("image,label,x,y,xmin,ymin,xmax,ymax\n", "line 1: give either x and y"),
        ("image,x,y\n", "line 1: no column of labels"),
        ("image,x,y,label\na,1,2,c\nc,1,2,c\n", "line 3: there is no image 'c'"),
        ("image,x,y,label\na,1,,c\n", "line 2: y is ''"),
        ("image,x,y,label\na,1,inf,c\n", "line 2: y is 'inf'"),
        ("image,x,y,label\na,1,2\n", "line 2: it has not as many values"),
        ("image,x,y,label\na,1,2,c,d\n", "line 2: it has not as many values"),
        ("image,x,y,label\na,1,2,\n", "line 2: no label"),
        ("image,x,y,label\na,1,200,c\n", r"line 2: 'c' at \(1, 200\) px is outside of the 100 x 80 image"),
        ("image,label,xmin,ymin,xmax,ymax\na,c,8,8,4,12\n", "line 2: a box of -4 x 4 px"),
        ("image,x,y,label,case\na,1,2,c,P1\na,1,2,c,P2\n", "line 3: a.png is of case 'P2' here and of 'P1' above"),
    ],
)
def test_a_broken_table_is_told_with_its_line(folder, text, problem):
    with pytest.raises(ValueError, match=rf"table\.csv, {problem}"):
        read(folder, text)


def test_columns_that_are_not_there_are_told(folder):
    with pytest.raises(ValueError, match="there is no column 'X'; columns are image, x, y"):
        read(folder, "image,x,y\n", columns={"x": "X"})
    with pytest.raises(ValueError, match="there is no use 'z'"):
        read(folder, "image,x,y\n", columns={"z": "x"})


def test_two_images_of_one_name_are_told(folder):
    draw(folder / "a.jpg")
    with pytest.raises(ValueError, match="line 2: there are 2 images 'a'"):
        read(folder, "image,x,y,label\na,1,2,c\n")
    assert read(folder, "image,x,y,label\na.jpg,1,2,c\n")[0].path.name == "a.jpg"


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table\.csv"):
        read_csv_marks(tmp_path / "table.csv", 0.25)
    (tmp_path / "table.csv").write_text("image,x,y\n")
    with pytest.raises(FileNotFoundError, match="slides"):
        read_csv_marks(tmp_path / "table.csv", 0.25, images=tmp_path / "slides")


def test_what_is_no_table_in_utf_8_is_told(folder):
    for data in ("image,x,y,label\na,1,2,Mitose é\n".encode("latin-1"), b'image,x,y,label\n"a,1,2,c\n'):
        (folder / "table.csv").write_bytes(data)
        with pytest.raises(ValueError, match=r"table\.csv: it is no table in UTF-8"):
            read_csv_marks(folder / "table.csv", 0.25)


def test_an_image_that_cannot_be_read_is_told(folder):
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(ValueError, match=r"a\.png: "):
        read(folder, "image,x,y,label\na,1,2,c\n")


def test_lines_within_quotes_are_counted(folder):
    with pytest.raises(ValueError, match="line 4: y is 'b'"):
        read(folder, 'image,x,y,label\na,1,2,"two\nlines"\na,1,b,c\n')
