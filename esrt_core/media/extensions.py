"""Extensions of files that are recognized by name: camera RAW files and video."""

RAW_EXTENSIONS = frozenset(
    ("." + name)
    for name in (
        *("3fr", "ari", "arw", "bay", "cap", "cr2", "cr3", "crw", "dcr", "dcs", "dng", "drf", "eip", "erf", "fff"),
        *("gpr", "iiq", "k25", "kdc", "mdc", "mef", "mos", "mrw", "nef", "nrw", "orf", "pef", "ptx", "pxn", "r3d"),
        *("raf", "raw", "rw2", "rwl", "rwz", "sr2", "srf", "srw", "x3f"),
    )
)
VIDEO_EXTENSIONS = frozenset(
    ("." + name)
    for name in (
        *("3gp", "asf", "avi", "dv", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "nut"),
        *("ogv", "qt", "ts", "vob", "webm", "wmv", "y4m"),
    )
)
