"""Every planted fault is found, and nothing is found that was not planted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from gan_style.data.images import list_images
from gan_style.data.inspection.examine import examine
from gan_style.data.inspection.findings import Finding, Inspection
from tests.data.inspection import image_sets as sets

ADVICE = {"colour-gap", "suggest-identity", "suggest-size", "suggest-length"}

# what is planted, and all that may and must be found
CONFUSION: dict[str, tuple[Sequence[sets.Plant], dict[str, int]]] = {
    "nothing": ([], {}),
    "skies, gradients and clouds": ([sets.skies], {}),
    "the same scenes in testA and, painted, in testB": ([sets.paired], {}),
    "unreadable": ([sets.unreadable], {"unreadable": 4}),
    "wrong suffix": ([sets.wrong_suffix], {"wrong-suffix": 3}),
    "tiny": ([sets.tiny], {"tiny": 3, "varying-sizes": 2}),
    "large": ([sets.large], {"varying-sizes": 2}),
    "wide": ([sets.wide], {"varying-aspects": 2}),
    "some grey": ([sets.grey], {"mixed-channels": 4}),
    "all grey": ([sets.all_grey], {"grey-as-rgb": 64}),
    "some 16 bit": ([sets.some_deep], {"mixed-bits": 3}),
    "all 16 bit": ([sets.all_deep], {"sixteen-bit": 64}),
    "transparent": ([sets.transparent], {"alpha": 3}),
    "turned": ([sets.turned], {"turned": 3}),
    "blank": ([sets.blank], {"blank": 5}),
    "copied files": ([sets.copies("trainA", "trainA", 5)], {"exact-duplicates": 5}),
    "copied pixels": ([sets.copies("trainB", "trainB", 5, [sets.same_pixels])], {"exact-duplicates": 5}),
    **{
        f"{name} copies in {split}": ([sets.copies(split, split, 40, [way])], {"near-duplicates": 40})
        for name, way in sets.COPIES.items()
        for split in ("trainA", "trainB")
    },
    "copied from train to test": ([sets.copies("trainA", "testA", 4)], {"leak": 4}),
    "nearly copied from train to test": (
        [sets.copies("trainB", "testB", 20, sets.COPIES.values())],
        {"leak": 20},
    ),
    "copied from B to A": ([sets.copies("trainB", "trainA", 6)], {"shared": 6}),
    "nearly copied from testA to trainB": ([sets.copies("testA", "trainB", 5, sets.COPIES.values())], {"shared": 5}),
    "unequal": ([sets.many], {"unequal": 0}),
    "few": ([sets.few], {"few": 30}),
    "no test": ([sets.untested], {"no-test": 0}),
    "one domain twice": ([sets.one_domain], {"same-colours": 0}),
    "files": (
        [sets.unreadable, sets.wrong_suffix, sets.transparent, sets.turned, sets.skies],
        {"unreadable": 4, "wrong-suffix": 3, "alpha": 3, "turned": 3},
    ),
    "copies everywhere": (
        [
            sets.skies,
            sets.copies("trainA", "trainA", 7),
            sets.copies("trainB", "trainB", 10, sets.COPIES.values()),
            sets.copies("testA", "trainB", 3),
            sets.wide,
        ],
        {"exact-duplicates": 7, "near-duplicates": 10, "shared": 3, "varying-aspects": 2},
    ),
    "kinds": (
        [sets.grey, sets.some_deep, sets.wide, sets.blank, sets.untested],
        {"mixed-channels": 4, "mixed-bits": 3, "varying-aspects": 2, "blank": 5, "no-test": 0},
    ),
}


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sets.make_clean(tmp_path_factory.mktemp("clean"))


def look(root: Path, image_size: int = sets.CROP) -> tuple[Inspection, list[Finding]]:
    images = {path.name: list_images(path) for path in sorted(root.iterdir())}
    return examine(images, root, image_size)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    found: dict[str, int] = {}
    for finding in findings:
        if finding.code not in ADVICE:
            found[finding.code] = found.get(finding.code, 0) + finding.count
    return found


@pytest.mark.parametrize("planted", CONFUSION)
def test_each_planted_fault_is_found_and_none_is_invented(planted: str, clean: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    plants, expected = CONFUSION[planted]
    for plant in plants:
        plant(root)
    _, findings = look(root)
    assert counts(findings) == expected


@pytest.mark.parametrize("way", sets.COPIES)
def test_each_copy_is_paired_with_its_own_picture(way: str, clean: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    sets.copies("trainA", "trainA", 30, [sets.COPIES[way]])(root)
    inspection, _ = look(root)
    assert {(pair.a.path.stem, pair.b.path.stem) for pair in inspection.pairs} == {
        (f"{i:03}", f"copy{i:03}-trainA") for i in range(30)
    }
    assert {pair.kind for pair in inspection.pairs} == {"mirrored" if "mirrored" in way else "near"}


def test_a_finding_names_the_files_first_and_counts_the_rest(clean: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    for plant in (sets.unreadable, sets.copies("trainB", "testB", 7)):
        plant(root)
    _, findings = look(root)
    by_code = {finding.code: finding for finding in findings}
    assert by_code["unreadable"].files == tuple(f"trainA/{i:03}.png" for i in range(4))
    assert by_code["unreadable"].sentence == (
        f"4 of 56 pictures of trainA cannot be read; the first: {root}/trainA/000.png is empty (0 bytes): "
        "copy it again or remove it."
    )
    assert "data.on_error=skip" in by_code["unreadable"].remedy
    leaks = by_code["leak"]
    assert leaks.files == tuple(f"trainB/{i:03}.png = testB/copy{i:03}-trainB.png (exact)" for i in range(5))
    assert leaks.count == 7
    order = [finding.severity for finding in findings]
    assert order == sorted(order, key=["problem", "warning", "note"].index)


def test_sets_of_nothing_but_unreadable_pictures_are_reported_too(tmp_path: Path) -> None:
    for name in ("trainA", "trainB"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    _, findings = look(tmp_path)
    assert counts(findings) == {"unreadable": 2, "few": 0, "no-test": 0}
    assert not {finding.code for finding in findings} & ADVICE


def test_copies_inside_and_outside_a_split_are_told_apart(clean: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    source = root / "trainA" / "003.png"
    for target in ("trainA/x.png", "trainA/y.png", "testA/z.png"):
        shutil.copy(source, root / target)
    assert counts(look(root)[1]) == {"exact-duplicates": 2, "leak": 1}


@pytest.mark.parametrize(("domain", "factor", "expected"), [("B", 1.0, "5"), ("B", 0.3, "0")])
def test_the_identity_loss_follows_the_colours(
    domain: str, factor: float, expected: str, clean: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    shutil.copytree(clean, root)
    for path in [*list_images(root / f"train{domain}"), *list_images(root / f"test{domain}")]:
        sets.save((sets.read_image(path) * factor).astype("uint8"), path)
    _, findings = look(root)
    (advice,) = [finding for finding in findings if finding.code == "suggest-identity"]
    assert f"model.lambda_idt={expected} " in advice.remedy


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_invented_in_other_drawn_sets(seed: int, tmp_path: Path) -> None:
    _, findings = look(sets.make_clean(tmp_path / "set", seed))
    assert counts(findings) == {}


def test_the_settings_follow_the_pictures(clean: Path) -> None:
    for crop, expected in ((sets.CROP, "data.image_size=32 data.load_size=36"), (128, "data.image_size=96 ")):
        _, findings = look(clean, crop)
        (advice,) = [finding for finding in findings if finding.code == "suggest-size"]
        assert expected in advice.remedy
        assert ("up to data.image_size=96" in advice.sentence) == (crop == sets.CROP)
    (length,) = [finding for finding in findings if finding.code == "suggest-length"]
    assert "200 epochs of 56 pictures are 11,200 iterations" in length.sentence
    assert "between 200 and 1000 epochs, half of them in model.schedule.constant" in length.remedy
