"""Special tokens and image slots in running text."""

from qvl.pipeline.markup import markers
from qvl.pipeline.markup.markers import has_marker, image_numbers, image_slot, named_image_slot, without_images


def test_markers_are_found_and_escaped_and_other_tags_are_not() -> None:
    for text in ("a <box> b", "<|im_end|>", "</ref>", "<imgpad>", "<|endoftext|>", "<<box>box>", "<|box_start|>"):
        assert has_marker(text)
        assert not has_marker(markers.escape(text))
    assert not has_marker("a < b, <b>bold</b> <boxes>")
    assert markers.escape("see <box>(1,2)</box>") == "see < box>(1,2)< /box>"
    assert markers.escape("5 < 6") == "5 < 6"


def test_image_slots_are_found_in_order_and_removed_with_their_names() -> None:
    text = f"{named_image_slot(1)}{image_slot(0)}What differs?"
    assert text == "Picture 2: <img>1</img>\n<img>0</img>What differs?"
    assert image_numbers(text) == [1, 0]
    assert without_images(text) == "What differs?"
