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
        *("264", "265", "360", "3g2", "3gp", "3gpp", "amv", "asf", "avi", "bik", "bk2", "divx", "drc", "dv"),
        *("dvr-ms", "evo", "f4v", "flc", "fli", "flv", "gxf", "h264", "h265", "hevc", "insv", "ivf", "lrv"),
        *("m1v", "m2p", "m2t", "m2ts", "m2v", "m4s", "m4v", "mjpeg", "mjpg", "mk3d", "mkv", "mod", "mov"),
        *("mp4", "mp4v", "mpeg", "mpg", "mpv", "mts", "mxf", "nsv", "nut", "nuv", "obu", "ogm", "ogv", "qt"),
        *("rm", "rmvb", "roq", "smk", "swf", "tod", "tp", "trp", "ts", "viv", "vob", "vro", "webm", "wmv"),
        *("wtv", "y4m", "yuv4"),
    )
)
