"""Table of the sets of the CycleGAN paper and its followers, with what a download is checked against.

Sizes and sha256 are those of TensorFlow Datasets' `url_checksums/cycle_gan.txt`, counts those of its catalogue
(`cycle_gan` 2.0.0). Papers count differently; these are the numbers of the zips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_style.core.errors import UserError, did_you_mean

BASE_URL = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
FOLDERS = ("trainA", "trainB", "testA", "testB")
# Suffixes of a set's pictures; not images.SUFFIXES, whose module imports torch.
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

ZHU = "Zhu et al. 2017, Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks"
ISOLA = "Isola et al. 2017, Image-to-Image Translation with Conditional Adversarial Networks"
PARK = "Park et al. 2020, Contrastive Learning for Unpaired Image-to-Image Translation"
RESEARCH = "for research; the rights stay with those who made the pictures"


@dataclass(frozen=True)
class NamedSet:
    """Public data set with a name.

    Args:
        name: as in `gan-style download NAME` and `data=NAME`.
        size_bytes: of the zip; None where it is not recorded.
        sha256: of the zip; None where it is not recorded: then the user must give one.
        counts: pictures in each of `FOLDERS`; empty where the split is not recorded.
        domains: names of A and of B.
        about: what the pictures show, and where they are from.
        licence: what may be done with them.
        citation: what to cite.
        withdrawn: why it cannot be downloaded, and what to do instead; None for the others.
    """

    name: str
    size_bytes: int | None
    sha256: str | None
    counts: Mapping[str, int]
    domains: tuple[str, str]
    about: str
    licence: str
    citation: str
    withdrawn: str | None = None

    @property
    def url(self) -> str:
        return f"{BASE_URL}/{self.name}.zip"

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that must hold pictures; of a set whose split is not recorded only those to train on."""
        return FOLDERS if self.counts else FOLDERS[:2]

    @property
    def size(self) -> str:
        """Size for messages."""
        return f"{self.size_bytes / 1e6:.0f} MB" if self.size_bytes else "size unknown"


def named_set(name: str) -> NamedSet:
    """Look up a set by its name.

    Raises:
        UserError: there is none; suggests the nearest name.
    """
    if name not in NAMED_SETS:
        raise UserError(f"{name} is not a named set{did_you_mean(name, NAMED_SETS)}")
    return NAMED_SETS[name]


def _set(
    name: str,
    size_bytes: int | None,
    sha256: str | None,
    counts: tuple[int, int, int, int] | None,
    domains: tuple[str, str],
    about: str,
    licence: str,
    citation: str = ZHU,
    withdrawn: str | None = None,
) -> NamedSet:
    by_folder = dict(zip(FOLDERS, counts, strict=True)) if counts else {}
    return NamedSet(name, size_bytes, sha256, by_folder, domains, about, licence, citation, withdrawn)


def _paintings(
    name: str, size_bytes: int, sha256: str, counts: tuple[int, int, int, int], artist: str, works: str
) -> NamedSet:
    """Build the entry of one of the four sets that share their photos."""
    about = f"{works} from WikiArt (A) and landscape photos from Flickr (B)"
    return _set(name, size_bytes, sha256, counts, (artist, "photo"), about, RESEARCH)


_TABLE = (
    _set(
        "apple2orange",
        78456409,
        "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
        (995, 1019, 266, 248),
        ("apple", "orange"),
        "apples (A) and oranges (B) from ImageNet",
        f"{RESEARCH}; ImageNet's terms of access",
    ),
    _paintings(
        "cezanne2photo",
        279885071,
        "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
        (525, 6287, 58, 751),
        "Cezanne",
        "Cezanne's paintings",
    ),
    _set(
        "cityscapes",
        None,
        None,
        (2975, 2975, 500, 500),
        ("street", "labels"),
        "street scenes (A) and their label maps (B) from Cityscapes",
        "not to be passed on: Cityscapes' own terms, after registration",
        f"Cordts et al. 2016, The Cityscapes Dataset for Semantic Urban Scene Understanding; {ZHU}",
        withdrawn="the zip was withdrawn because Cityscapes' licence forbids passing the pictures on: get leftImg8bit "
        "and gtFine from https://www.cityscapes-dataset.com, make trainA trainB testA testB of them",
    ),
    _set(
        "facades",
        35135868,
        "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0",
        (400, 400, 106, 106),
        ("facade", "labels"),
        "photos of facades (A) and their label maps (B) from CMP Facades",
        f"{RESEARCH}; CMP Facade Database",
        f"{ISOLA}; {ZHU}; Tylecek and Sara 2013, Spatial Pattern Templates for Recognition of Objects with Regular "
        "Structure",
    ),
    _set(
        "grumpifycat",
        None,
        None,
        None,
        ("Russian Blue", "Grumpy Cat"),
        "Russian Blue cats (A) and Grumpy Cat (B); some 300 pictures, 19 MB, their split is not recorded",
        RESEARCH,
        PARK,
    ),
    _set(
        "horse2zebra",
        116867962,
        "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
        (1067, 1334, 120, 140),
        ("horse", "zebra"),
        "horses (A) and zebras (B) from ImageNet",
        f"{RESEARCH}; ImageNet's terms of access",
    ),
    _set(
        "iphone2dslr_flower",
        339964458,
        "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113",
        (1812, 3325, 569, 480),
        ("phone", "DSLR"),
        "flowers by phone (A) and by DSLR camera (B) from Flickr",
        RESEARCH,
    ),
    _set(
        "maps",
        1476754427,
        "639534f69dbf9f36bef8d6292a7698006361221f83f0285d7c9ca78afe6e8a9e",
        (1096, 1096, 1098, 1098),
        ("aerial", "map"),
        "aerial photos (A) and maps (B) from Google Maps",
        f"{RESEARCH}; Google Maps' terms of service",
        f"{ISOLA}; {ZHU}",
    ),
    _paintings(
        "monet2photo",
        305231073,
        "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
        (1072, 6287, 121, 751),
        "Monet",
        "Monet's paintings",
    ),
    _set(
        "summer2winter_yosemite",
        132640856,
        "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",
        (1231, 962, 309, 238),
        ("summer", "winter"),
        "Yosemite in summer (A) and in winter (B) from Flickr",
        RESEARCH,
    ),
    _paintings(
        "ukiyoe2photo",
        292946532,
        "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
        (562, 6287, 263, 751),
        "ukiyo-e",
        "ukiyo-e prints",
    ),
    _paintings(
        "vangogh2photo",
        306590349,
        "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
        (400, 6287, 400, 751),
        "Van Gogh",
        "Van Gogh's paintings",
    ),
)
NAMED_SETS = {entry.name: entry for entry in _TABLE}
