"""Boxes of a JPEG 2000 that are not its structure reach another JPEG 2000, or are said."""

from esrt_core.media.image.isobmff import box
from esrt_core.media.image.picture import Metadata
from tests.media.image.test_photoshop import resource
from tests.media.pictures import picture, read, saved, written

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


def test_photoshop_s_data_beside_iptc_are_said() -> None:
    pages, iptc = read(saved(picture(), "PNG")).pages, resource(0x0404, b"\x1c\2\x69\0\1a")
    digest, thumbnail, url = resource(0x0425, bytes(16)), resource(0x040C, b"jpeg"), resource(0x040B, b"address")
    assert written(pages, "jpeg2000", Metadata(photoshop=iptc + digest + thumbnail))[1] == ()
    data, notes = written(pages, "jpeg2000", Metadata(photoshop=url + iptc))
    assert notes == ("Photoshop's data beside IPTC left out: JPEG 2000 cannot hold them",)
    assert read(data).metadata.photoshop == iptc
