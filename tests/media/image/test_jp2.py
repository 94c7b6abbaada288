"""Boxes of a JPEG 2000 that are not its structure reach another JPEG 2000, or are said."""

from esrt_core.media.image.isobmff import box
from esrt_core.media.image.picture import Metadata
from tests.media.pictures import picture, read, saved, written


def test_a_bare_codestream_has_no_boxes() -> None:
    assert read(saved(picture(), "JPEG2000", no_jp2=True)).notes == ()


XML = (b"<a/>", b"<IMAGE_CREATION/>")


def test_xml_is_kept_and_other_boxes_are_said() -> None:
    stored, _ = written(read(saved(picture(), "PNG")).pages, "jpeg2000", Metadata())
    assert read(stored).notes == ()
    decoded = read(stored + b"".join(box(b"xml ", each) for each in XML) + box(b"asoc", b"map") + box(b"rreq", b"x"))
    assert decoded.notes == ("boxes of other kinds (asoc) left out",)
    data, notes = written(decoded.pages, "jpeg2000", decoded.metadata)
    assert notes == ()
    assert read(data).metadata.jp2_boxes == tuple((b"xml ", each) for each in XML)
    _, notes = written(decoded.pages, "png", decoded.metadata)
    assert notes == ("XML of the JPEG 2000 left out: PNG cannot hold it",)
