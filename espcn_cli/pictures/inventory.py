"""What can stand beside the pixels of a file, format by format, and what becomes of it: the one list.

A thing is kept as it is, brought up to date where it speaks of pixels, left out with a warning that calls it by the
name given here, or left out without a word (SILENT) where it only tells how a file stores or shows its pixels.
"""

from __future__ import annotations

from espcn_cli.pictures.photoshop import DIGEST, IPTC, PATHS, SHAPE

SILENT = ""

# --- what is written -------------------------------------------------------------------------------------------------

NAMES = {
    "icc_profile": "the colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "photoshop": "Photoshop's resources",
    "tags": "TIFF tags",
    "dpi": "the resolution in dpi",
    "text": "text",
    "comment": "the comment",
    "colour": "the gamma and primaries",
}
"""Everything that is kept, in the words of warnings. `metadata.Info` says what is behind the keys."""

_JPEG = frozenset(("icc_profile", "exif", "xmp", "iptc", "photoshop", "dpi", "comment"))
HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset(("icc_profile", "exif", "xmp", "iptc", "dpi", "text", "comment", "colour")),
    "JPEG": _JPEG,
    "MPO": _JPEG,
    "TIFF": frozenset(("icc_profile", "exif", "xmp", "iptc", "photoshop", "tags", "dpi")),
    "WEBP": frozenset(("icc_profile", "exif", "xmp")),
    "AVIF": frozenset(("icc_profile", "exif", "xmp")),
    "HEIF": frozenset(("icc_profile", "exif", "xmp")),
    "JXL": frozenset(("exif", "xmp")),
    "GIF": frozenset(("comment",)),
    "JPEG2000": frozenset(("comment",)),
    "TGA": frozenset(("comment",)),
    "BMP": frozenset(("dpi",)),
    "DIB": frozenset(("dpi",)),
    "PCX": frozenset(("dpi",)),
}
"""What of it each format keeps; one that is not here keeps nothing."""

NOT_DEEP = {"JPEG2000": frozenset(("comment",))}
"""What they do not keep beside colour of 16 bits, where Pillow does not write them."""

# --- what is read, but not kept --------------------------------------------------------------------------------------

GAIN_MAP = "the gain map"
DEPTH_MAP = "the depth map"
MOVIE = "the motion photo's video"
THUMBNAIL = "the thumbnail"
CREDENTIALS = "content credentials"
ARRAY = "the description of an array of the old size"
GEOGRAPHY = "geographic tags"

JPEG_SEGMENTS: dict[tuple[str, bytes], str] = {
    ("APP0", b"JFIF\0"): SILENT,
    ("APP0", b"JFXX\0"): THUMBNAIL,
    ("APP1", b"Exif\0"): SILENT,
    ("APP1", b"http://ns.adobe.com/xap/1.0/\0"): SILENT,
    ("APP1", b"http://ns.adobe.com/xmp/extension/\0"): "the extension of XMP",
    ("APP1", b"FLIR\0"): "thermal data",
    ("APP2", b"ICC_PROFILE\0"): SILENT,
    ("APP2", b"MPF\0"): SILENT,  # the other pictures have a word of their own
    ("APP2", b"urn:iso:std:iso:ts:21496"): GAIN_MAP,
    ("APP2", b"FPXR\0"): "FlashPix data",
    ("APP11", b"HDR_RI"): "the HDR picture",
    ("APP11", b"JP"): CREDENTIALS,
    ("APP12", b"Ducky"): SILENT,
    ("APP13", b"Photoshop 3.0\0"): SILENT,
    ("APP14", b"Adobe"): SILENT,
    ("COM", b""): SILENT,
}
"""How a segment of a JPEG begins; others are called by their marker. SILENT ones are stored or read elsewhere."""

PARTS: dict[str, dict[str, str]] = {
    "PNG": {
        **dict.fromkeys(("IHDR", "PLTE", "IDAT", "IEND", "tRNS", "acTL", "fcTL", "fdAT"), SILENT),
        **dict.fromkeys(("iCCP", "gAMA", "cHRM", "sRGB", "cICP"), SILENT),
        **dict.fromkeys(("pHYs", "tEXt", "zTXt", "iTXt", "eXIf"), SILENT),
        **dict.fromkeys(("bKGD", "hIST", "sBIT", "sPLT", "tIME", "iDOT"), SILENT),
        "caBX": CREDENTIALS,
        "sTER": "the stereo layout",
        "oFFs": "the offset",
        "sCAL": "the physical size of pixels",
        "mDCV": "the limits of its HDR display",
        "cLLI": "the limits of its HDR display",
        "pCAL": "the calibration of pixel values",
    },
    "WEBP": {
        **dict.fromkeys(("VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP", "EXIF", "XMP "), SILENT),
        "C2PA": CREDENTIALS,
    },
    "GIF": {
        **dict.fromkeys(("comment", "NETSCAPE2.0", "ANIMEXTS1.0", "XMP DataXMP", "ICCRGBG1012"), SILENT),
        "text": "text drawn over it",
        "C2PA_GIF\1\0\0": CREDENTIALS,
    },
}
"""Chunks of a PNG or WebP and extensions of a GIF; others are called by their own name."""

BOXES = {
    "be7acfcb97a942e89c71999491e3afac": SILENT,  # XMP
    "4a706754696666457869662d3e4a5032": SILENT,  # EXIF
    "33c7a4d2b81d4723a0baf1a3e097ad38": SILENT,  # IPTC
    "tmap": GAIN_MAP,
    "urn:com:apple:photo:2020:aux:hdrgainmap": GAIN_MAP,
    "urn:mpeg:mpegB:cicp:systems:auxiliary:depth": DEPTH_MAP,
    "urn:mpeg:hevc:2015:auxid:2": DEPTH_MAP,
    "jumb": CREDENTIALS,
    "d8fec3d61b0e483c92975828877ec481": CREDENTIALS,
    "b14bf8bd083d4b43a5ae8cd7d5a6ce03": GEOGRAPHY,
    "asoc": GEOGRAPHY,
    "xml ": "XML",
}
"""Boxes, users' boxes and auxiliary pictures of AVIF, HEIC, JPEG 2000 and JPEG XL; others build the picture, but for
users' boxes."""


XMP_BOX = ("JXL", "xml ")
"""Where that is no XML of others."""


def word_of_part(kind: str, name: str) -> str:
    """What a chunk, extension or box of this name is called in a file of this format; SILENT if nothing is said."""
    if kind in PARTS:
        return PARTS[kind].get(name, name)
    if (kind, name) == XMP_BOX:
        return SILENT
    return BOXES.get(name, "a program's own data" if len(name) == 32 else SILENT)


def word_of_segment(name: str, data: bytes) -> str:
    """The same of a JPEG's segment with this marker."""
    for (marker, start), word in JPEG_SEGMENTS.items():
        if name == marker and data.startswith(start):
            return word
    return name


# --- tags of TIFF and EXIF -------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 0, 1
"""Which side or axis a value speaks of."""

TIFF_STORAGE = frozenset(
    (*range(254, 260), *range(262, 267), 273, 274, *range(277, 285), *range(288, 294), 296, 297, 300, 317)
) | frozenset((*range(320, 329), *range(332, 343), 346, 347, *range(512, 522), *range(529, 533), 559, 700))
"""Tags of a TIFF's directory that store its pixels, say how large a dot is (`dpi`), or are XMP."""

DESCRIPTIVE = frozenset(
    (269, 270, 271, 272, 285, 305, 306, 315, 316, 0x4746, 0x4749, 0x8298, *range(0x9C9B, 0x9CA0), 0x8769, 0x8825)
)
"""Those that EXIF has too: who made what, when and where, and the directories of EXIF and GPS."""

PAGE_PLACE = (286, 287)
PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS, RPC = 33550, 33922, 34264, 34735, 50844
GEOGRAPHIC = (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS, 34736, 34737, RPC)
"""Tags that speak of pixels, each with a home in `place`."""

TIFF_KEPT = frozenset((318, 319, *PAGE_PLACE, *GEOGRAPHIC, 42112, 42113))
"""The others that are kept: white point and primaries, place on the page, what is where on earth, GDAL's notes. So is
any unknown text."""

IPTC_TAG, PHOTOSHOP_TAG, PROFILE_TAG = 33723, 34377, 34675
TIFF_GONE = {
    330: "smaller copies of the picture",
    34412: "a microscope's description",
    37724: "Photoshop's layers",
    50838: ARRAY,
    50839: ARRAY,
    51123: "a microscope's description",
    52545: CREDENTIALS,
}
"""Tags left out under a name; others are called by their number."""

ARRAYS = ('{"shape":', "ImageJ=", "<OME")
"""How descriptions begin that programs for arrays write and read: they state the old size."""


def is_of_array(description: str) -> bool:
    """Whether it is such a description; one in XML may have a declaration before it."""
    return description.startswith(ARRAYS) or (description.startswith("<?xml") and ARRAYS[-1] in description)


EXIF, INTEROPERABILITY = 0x8769, 0xA005
"""Pointers to EXIF's own directory, and from it to another; the first directory is 0."""

EXIF_GONE = {0: TIFF_STORAGE - {256, 257, 282, 283, 296} | {330}, EXIF: frozenset((0x9102,))}
"""Tags by directory that tell of how pixels are stored, orientation among them."""

EXIF_SIZES = {0: (0x0100, 0x0101), EXIF: (0xA002, 0xA003), INTEROPERABILITY: (0x1001, 0x1002)}
EXIF_PER_PIXEL = {0: (0x920E, 0x920F), EXIF: (0xA20E, 0xA20F)}
EXIF_SPOTS = {0: (0x9214,), EXIF: (0x9214, 0xA214)}
"""Tags by directory: the picture's size, pixels on the sensor per unit of length, and where in the picture the subject
is."""

# --- Photoshop's resources -------------------------------------------------------------------------------------------

RESOLUTION, THUMBNAILS = 1005, (1033, 1036)
GUIDES, SLICES = 1032, 1050
RESOURCES_ELSEWHERE = {IPTC: "iptc", 1058: "exif", 1060: "xmp"}
"""What is kept under a key of its own, unless the file says it outside of Photoshop's resources too."""

RESOURCES_KEPT = frozenset((DIGEST, 1034, 1035, 1054, SHAPE, *THUMBNAILS, *PATHS))
"""The digest of the captions, copyright and where to read of it, the shape of pixels, a thumbnail, and paths, which
count in parts of the picture."""

RESOURCES_SILENT = frozenset((*range(1000, 1093), 3000, *range(7000, 7007), 8000, 10000))
"""How Photoshop shows and prints, and the profile, which each format has in a place of its own."""

# --- XMP: (namespace, name) ------------------------------------------------------------------------------------------

_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_XMP, _PHOTOSHOP = "http://ns.adobe.com/xap/1.0/", "http://ns.adobe.com/photoshop/1.0/"
_PANORAMA, _DRONE = "http://ns.google.com/photos/1.0/panorama/", "http://www.dji.com/drone-dji/1.0/"
_CAMERA, _CONTAINER = "http://ns.google.com/photos/1.0/camera/", "http://ns.google.com/photos/1.0/container/"
_DIMENSIONS, _AREA = "http://ns.adobe.com/xap/1.0/sType/Dimensions#", "http://ns.adobe.com/xmp/sType/Area#"
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

Name = tuple[str, str]


def _names(space: str, **sides: int) -> dict[Name, int]:
    return {(space, name): side for name, side in sides.items()}


XMP_ORIENTATION: Name = (_TIFF, "Orientation")
XMP_SIZES = _names(_TIFF, ImageWidth=WIDTH, ImageLength=HEIGHT) | _names(
    _EXIF, PixelXDimension=WIDTH, PixelYDimension=HEIGHT
)
"""Properties that are the picture's size."""

XMP_RESOLUTION = {(_TIFF, "XResolution"), (_TIFF, "YResolution")}
XMP_RESOLUTION_UNIT: Name = (_TIFF, "ResolutionUnit")
"""Dots per inch, where the unit is 2."""

XMP_PIXELS = (
    _names(_PANORAMA, FullPanoWidthPixels=WIDTH, FullPanoHeightPixels=HEIGHT)
    | _names(_PANORAMA, CroppedAreaImageWidthPixels=WIDTH, CroppedAreaImageHeightPixels=HEIGHT)
    | _names(_PANORAMA, CroppedAreaLeftPixels=WIDTH, CroppedAreaTopPixels=HEIGHT)
    | _names(_PANORAMA, LargestValidInteriorRectLeft=WIDTH, LargestValidInteriorRectTop=HEIGHT)
    | _names(_PANORAMA, LargestValidInteriorRectWidth=WIDTH, LargestValidInteriorRectHeight=HEIGHT)
    | _names(_DRONE, CalibratedFocalLength=WIDTH, CalibratedOpticalCenterX=WIDTH, CalibratedOpticalCenterY=HEIGHT)
)
"""Properties that count pixels of one axis."""

XMP_PER_PIXEL: tuple[Name, Name] = ((_EXIF, "FocalPlaneXResolution"), (_EXIF, "FocalPlaneYResolution"))
"""Pixels per unit of length on the sensor."""

XMP_SPOTS = frozenset(((_EXIF, "SubjectArea"), (_EXIF, "SubjectLocation")))
XMP_AREA: tuple[Name, Name, Name, Name] = ((_AREA, "x"), (_AREA, "y"), (_AREA, "w"), (_AREA, "h"))
"""A region's centre and sides, in parts of the picture unless its unit is the pixel."""

XMP_AREA_UNIT: Name = (_AREA, "unit")
XMP_RECTANGLE: Name = ("http://ns.microsoft.com/photo/1.2/t/Region#", "Rectangle")
"""A region's corner and sides in parts of the picture, as one text."""

XMP_DIMENSIONS: tuple[Name, Name] = ((_DIMENSIONS, "w"), (_DIMENSIONS, "h"))
XMP_DIMENSIONS_UNIT: Name = (_DIMENSIONS, "unit")
XMP_BOUNDARY = _names(_IPTC_EXT, rbX=WIDTH, rbY=HEIGHT, rbW=WIDTH, rbH=HEIGHT, rbRx=WIDTH)
XMP_BOUNDARY_UNIT: Name = (_IPTC_EXT, "rbUnit")
XMP_SEMANTICS = {
    "GainMap": GAIN_MAP,
    "RecoveryMap": GAIN_MAP,
    "MotionPhoto": MOVIE,
    "Depth": DEPTH_MAP,
    "Depthmap": DEPTH_MAP,
    "Primary": SILENT,
}
"""What Google's containers call the parts of a file that are no longer in it."""

XMP_SEMANTIC: Name = (_CONTAINER + "item/", "Semantic")
XMP_GONE: dict[Name, str] = {
    **dict.fromkeys(((_TIFF, "Compression"), (_TIFF, "PhotometricInterpretation"), (_TIFF, "SamplesPerPixel")), SILENT),
    **dict.fromkeys(((_TIFF, "BitsPerSample"), (_TIFF, "PlanarConfiguration"), (_TIFF, "YCbCrSubSampling")), SILENT),
    (_EXIF, "CompressedBitsPerPixel"): SILENT,
    **dict.fromkeys(((_PHOTOSHOP, "ColorMode"), (_PHOTOSHOP, "ICCProfile")), SILENT),
    ("http://purl.org/dc/elements/1.1/", "format"): SILENT,
    ("http://purl.org/dc/terms/", "provenance"): SILENT,
    ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"): SILENT,
    **dict.fromkeys(((_CONTAINER, "Directory"), (_CONTAINER, "Version")), SILENT),
    **dict.fromkeys(((_CAMERA, "MotionPhotoVersion"), (_CAMERA, "MotionPhotoPresentationTimestampUs")), SILENT),
    **dict.fromkeys(((_CAMERA, "MicroVideoVersion"), (_CAMERA, "MicroVideoPresentationTimestampUs")), SILENT),
    **dict.fromkeys(((_CAMERA, "MotionPhoto"), (_CAMERA, "MicroVideo"), (_CAMERA, "MicroVideoOffset")), MOVIE),
}
"""Properties that tell of how a file stored its pixels, or of what stood beside them."""

XMP_SPACES_GONE = {
    "http://ns.adobe.com/hdr-gain-map/1.0/": GAIN_MAP,
    "http://ns.apple.com/HDRGainMap/1.0/": GAIN_MAP,
    "http://ns.apple.com/pixeldatainfo/1.0/": GAIN_MAP,
    "http://ns.google.com/photos/1.0/depthmap/": DEPTH_MAP,
    "http://ns.google.com/photos/dd/1.0/": DEPTH_MAP,
    "http://ns.google.com/photos/1.0/image/": "the picture inside XMP",
    "http://ns.google.com/photos/1.0/audio/": "the sound",
}
"""Namespaces, or how they begin, of which nothing is true any more."""

XMP_UPRIGHT_ONLY = {(_XMP, "Thumbnails"): THUMBNAIL, (_IPTC_EXT, "ImageRegion"): "image regions"}
XMP_UPRIGHT_SPACES = {_PANORAMA: "the panorama's place"}
"""What is true as long as the picture is not turned."""

XMP_MOVING = frozenset(
    name for _, name in (*(*XMP_SIZES, *XMP_PIXELS, *XMP_PER_PIXEL, *XMP_SPOTS, XMP_RECTANGLE, XMP_BOUNDARY_UNIT),)
) | frozenset((_AREA, _DIMENSIONS))
"""Words of which one at least is in XMP that speaks of pixels."""

XMP_LEAVING = frozenset(name for _, name in (XMP_ORIENTATION, *XMP_GONE, *XMP_UPRIGHT_ONLY)) | frozenset(
    (*XMP_SPACES_GONE, *XMP_UPRIGHT_SPACES)
)
"""Words of which one at least is in XMP that has something untrue in it."""
