"""Which pictures a folder offers, and what is said of one that offers none."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gan_style.core.errors import UserError
from gan_style.core.seeding import derive_seed
from gan_style.data.folders import FoldersDataModule
from gan_style.data.layout import find_layout, given_layout, hold_out
from gan_style.data.sources import list_source


def fill(folder: Path, count: int, suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (12, 10), (i, hash(folder.name) % 255, 0)).save(folder / f"{i}{suffix}")


def made(root: Path, **counts: int) -> Path:
    for name, count in counts.items():
        fill(root / name.replace("_", "/"), count)
    return root


def names(layout_part: list[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in layout_part]


@pytest.mark.parametrize(
    ("parts", "look"),
    [
        ({"trainA": 3, "trainB": 2, "testA": 1, "testB": 1}, "testA"),
        ({"trainA": 3, "trainB": 2, "testA": 1, "testB": 1, "valA": 2, "valB": 2}, "valA"),
        ({"train_A": 3, "train_B": 2, "test_A": 1, "test_B": 1}, "test/A"),
        ({"train_A": 3, "train_B": 2, "val_A": 2, "val_B": 1, "test_A": 1, "test_B": 1}, "val/A"),
    ],
)
def test_layouts_are_found(tmp_path: Path, parts: dict[str, int], look: str) -> None:
    layout = find_layout(made(tmp_path, **parts))
    assert {part: len(files) for part, files in layout.parts.items() if "train" in part} == {"trainA": 3, "trainB": 2}
    assert layout.parts["testA"][0].parent == tmp_path / look
    assert layout.notes == []


def test_without_test_pictures_it_is_said(tmp_path: Path) -> None:
    layout = find_layout(made(tmp_path, train_A=3, train_B=2))
    assert set(layout.parts) == {"trainA", "trainB"}
    assert "has no test/A and test/B" in layout.notes[0]


def test_a_share_of_bare_domains_is_held_out_by_name(tmp_path: Path) -> None:
    layout = find_layout(made(tmp_path / "here", A=20, B=7), 0.1)
    sizes = {part: len(files) for part, files in layout.parts.items()}
    assert sizes == {"trainA": 18, "testA": 2, "trainB": 6, "testB": 1}
    for domain, count in (("A", 20), ("B", 7)):
        both = layout.parts[f"train{domain}"] + layout.parts[f"test{domain}"]
        assert len(set(both)) == count
    moved = find_layout(made(tmp_path / "there", A=20, B=7), 0.1)
    assert {part: names(files) for part, files in moved.parts.items()} == {
        part: names(files) for part, files in layout.parts.items()
    }
    none = find_layout(tmp_path / "here", 0.0)
    assert len(none.parts["trainA"]) == 20
    assert "testA" not in none.parts
    assert "training pictures" in none.notes[0]


def test_a_domain_of_one_picture_is_trained_and_looked_at(tmp_path: Path) -> None:
    layout = find_layout(made(tmp_path, A=1, B=5))
    assert {part: len(files) for part, files in layout.parts.items()} == {"trainA": 1, "trainB": 5}


def test_sources_are_folders_patterns_lists_and_links(tmp_path: Path) -> None:
    made(tmp_path, photos=3, photos_deep=2)
    folder = list_source("data.A", str(tmp_path / "photos"))
    assert len(folder) == 5
    assert list_source("data.A", str(tmp_path / "photos" / "**" / "*.png")) == sorted(folder)
    assert len(list_source("data.A", str(tmp_path / "photos" / "[01].png"))) == 2
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert len(list_source("data.A", str(tmp_path / "link"))) == 5
    (tmp_path / "list.txt").write_text("# photos\nphotos/1.png\n\nphotos/deep/0.png\n")
    assert [path.name for path in list_source("data.A", str(tmp_path / "list.txt"))] == ["1.png", "0.png"]
    (tmp_path / "list.csv").write_text('title,path\n"one, two",photos/2.png\nx,photos/0.png\n')
    assert [path.name for path in list_source("data.A", str(tmp_path / "list.csv"))] == ["2.png", "0.png"]
    (tmp_path / "bare.csv").write_text("photos/0.png\nphotos/2.png\n")
    assert [path.name for path in list_source("data.A", str(tmp_path / "bare.csv"))] == ["0.png", "2.png"]
    (tmp_path / "list.tsv").write_text("photos/0.png\tx\n")
    assert len(list_source("data.A", str(tmp_path / "list.tsv"))) == 1


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: root.rmdir(), "there is no folder .*data.root=DIR"),
    "a file": (lambda root: (root.rmdir(), root.write_bytes(b"PK")), "is a file: name its folder"),
    "empty": (lambda root: None, "is empty: it wants trainA and trainB"),
    "no B": (lambda root: made(root, trainA=1), "has trainA but no trainB .*add the folder trainB"),
    "case": (lambda root: made(root, trainA=1, trainb=1), "rename trainb to trainB"),
    "both cases": (lambda root: made(root, traina=1, trainb=1), "holds traina, but the name must be trainA"),
    "deeper": (
        lambda root: made(root / "monet2photo", trainA=1, trainB=1),
        "one folder deeper: data.root=.*monet2photo",
    ),
    "side by side": (lambda root: made(root, train=2, test=1), "if each shows a pair side by side, cut the pairs"),
    "loose": (lambda root: fill(root, 3), "holds 3 pictures and no folders: sort the two domains into"),
    "packed": (lambda root: (root / "x.zip").write_bytes(b"PK"), "holds x.zip, which is still packed"),
    "two names": (lambda root: made(root, cats=1, dogs=1), "may be the domains: data.A=.*cats data.B=.*dogs"),
    "three names": (lambda root: made(root, cats=1, dogs=1, cows=1), "it holds cats, cows, dogs: give data.A=DIR"),
    "other parts": (lambda root: made(root, train_cats=1, train_dogs=1), "holds cats, dogs, but no A and B"),
    "no picture": (lambda root: (made(root, trainA=1), (root / "trainB").mkdir()), "trainB holds no picture"),
}


def message(make: Callable[[Path], object], root: Path) -> str:
    root.mkdir(parents=True)
    make(root)
    with pytest.raises(UserError) as caught:
        FoldersDataModule(str(root), image_size=8, load_size=8).setup()
    return str(caught.value)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_layout_is_answered_with_its_fix(tmp_path: Path, name: str) -> None:
    make, sentence = BROKEN[name]
    found = message(make, tmp_path / "set")
    assert re.search(sentence, found), found
    assert "\n" not in found


def test_each_broken_layout_has_a_message_of_its_own(tmp_path: Path) -> None:
    found = [message(make, tmp_path / str(i)).replace(str(tmp_path), "") for i, (make, _) in enumerate(BROKEN.values())]
    assert len({re.sub(r"/\d+", "", sentence) for sentence in found}) == len(BROKEN)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"A": "a"}, r"data\.A is given without data\.B"),
        ({"A": "a", "B": "a"}, "domains A and B share 3 pictures, such as"),
        ({"A": "a", "B": "b", "test_A": "a"}, r"data\.test_A is given without data\.test_B"),
        ({"A": "a", "B": "nowhere"}, r"data\.B=\S*nowhere does not exist: name a folder, a pattern such as"),
        ({"A": "a", "B": "b/*.gif"}, r"data\.B=\S*gif matches nothing: check the pattern"),
        ({"A": "a", "B": "bad.txt"}, r"line 2 of \S*bad\.txt names x\.png, but there is no file"),
        ({"A": "a", "B": "void.txt"}, "names no picture: write one path in each line"),
        ({"A": "a", "B": "set.zip"}, "is an archive: unpack it"),
        ({"A": "a", "B": "no.csv"}, r"the list data\.B=\S*no\.csv cannot be read"),
    ],
)
def test_mistakes_in_explicit_domains(tmp_path: Path, given: dict[str, str], sentence: str) -> None:
    made(tmp_path, a=3, b=2)
    (tmp_path / "bad.txt").write_text("b/0.png\nx.png\n")
    (tmp_path / "void.txt").write_text("# nothing\n")
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=sentence):
        given_layout({key: str(tmp_path / value) for key, value in given.items()})


def test_settings_that_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pictures are named"):
        FoldersDataModule()
    with pytest.raises(UserError, match="both name pictures: leave one out"):
        FoldersDataModule(str(tmp_path), A="x")
    with pytest.raises(UserError, match=r"data\.A= is empty"):
        given_layout({"A": "", "B": "b"})


@pytest.mark.parametrize("tests", [("testA", "testB"), ("valA", "valB"), ("test_A", "test_B")])
def test_tests_beside_bare_domains_are_looked_at(tmp_path: Path, tests: tuple[str, str]) -> None:
    layout = find_layout(made(tmp_path, A=3, B=3, **dict.fromkeys(tests, 2)))
    assert {part: len(files) for part, files in layout.parts.items()} == {
        "trainA": 3,
        "trainB": 3,
        "testA": 2,
        "testB": 2,
    }


def test_parts_below_the_domains_are_kept_apart(tmp_path: Path) -> None:
    layout = find_layout(made(tmp_path, A_train=3, B_train=3, A_test=2, B_test=1))
    assert {part: len(files) for part, files in layout.parts.items()} == {
        "trainA": 3,
        "trainB": 3,
        "testA": 2,
        "testB": 1,
    }


def test_a_test_folder_without_its_pair_is_said(tmp_path: Path) -> None:
    layout = find_layout(made(tmp_path, trainA=1, trainB=1, testA=1))
    assert "has testA without testB, which is not used" in layout.notes[0]


def test_a_picture_is_of_one_domain_and_of_one_part(tmp_path: Path) -> None:
    made(tmp_path, trainA=3, trainB=2)
    (tmp_path / "linked").mkdir()
    for name in ("trainA", "trainB"):
        (tmp_path / "linked" / name).symlink_to(tmp_path / "trainA")
    with pytest.raises(UserError, match="domains A and B share 3 pictures"):
        find_layout(tmp_path / "linked")
    with pytest.raises(UserError, match="domains A and B share 3 pictures"):
        given_layout({"A": str(tmp_path / "trainA"), "B": str(tmp_path / "train[AB]" / "*.png")})
    words = {"A": "trainA", "B": "trainB", "test_A": "trainA", "test_B": "trainB"}
    layout = given_layout({key: str(tmp_path / value) for key, value in words.items()})
    assert layout.notes[0] == "3 pictures of domain A to look at are trained on, too"


def test_a_link_to_a_parent_is_gone_through_once(tmp_path: Path) -> None:
    made(tmp_path, A=2)
    (tmp_path / "A" / "loop").symlink_to(tmp_path)
    assert [path.name for path in list_source("data.A", f"{tmp_path}/A/**/*.png")] == ["0.png", "1.png"]


def test_a_list_may_name_a_picture_twice(tmp_path: Path) -> None:
    made(tmp_path, a=2, b=3)
    (tmp_path / "list.txt").write_text("a/0.png\r\na/0.png\r\na/1.png\r\n")
    layout = given_layout({"A": str(tmp_path / "list.txt"), "B": str(tmp_path / "b")}, split=0.5)
    assert len(layout.parts["trainA"]) + len(layout.parts["testA"]) == 3
    assert len(set(layout.parts["testA"])) == 1


def test_a_setting_per_domain_names_both(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="says nothing of domain B: name both"):
        FoldersDataModule(str(tmp_path), dtype={"A": "uint16"})
    assert FoldersDataModule(set="facades").root == Path("data/facades")


def test_pictures_of_one_name_in_folders_of_one_name_are_held_out_in_an_order_of_their_own() -> None:
    """Neither the order of a list nor that of a set, which is another in each process, decides."""
    files = [Path(f"day{day}/cam/{i}.png") for day in range(6) for i in range(3)]
    places = {i: derive_seed("split", "cam", f"{i}.png") for i in range(3)}
    first, second = sorted(places, key=places.__getitem__)[:2]
    expected = {Path(f"day{day}/cam/{first}.png") for day in range(6)}
    expected |= {Path(f"day{day}/cam/{second}.png") for day in range(3)}
    for order in (files, files[::-1]):
        assert set(hold_out({"A": order, "B": order}, 0.5).parts["testA"]) == expected
