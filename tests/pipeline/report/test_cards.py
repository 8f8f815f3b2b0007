"""Thumbnails of a page: values, verdicts, hostile captions, and pictures that are not there."""

from dataclasses import replace

from qvl.pipeline.report.cards import cluster_gallery, figure
from qvl.pipeline.report.gallery import Card
from qvl.pipeline.report.records import LargeCluster

CARD = Card(
    "u-0000001", "text_length", ["text_length", "emoji"], "a caption", {}, 40, 30, image="data:image/webp;base64,AA"
)


def test_figure_shows_value_verdict_caption_and_every_failed_filter() -> None:
    html = str(figure(CARD, "3 characters"))
    for text in ("<b>3 characters</b>", "text length", "a caption", "40 × 30", "fails: text_length, emoji", CARD.id):
        assert text in html
    assert "verdict drop" in html and "verdict keep" in str(figure(replace(CARD, verdict="keep", failed=[]), ""))


def test_figure_when_there_is_no_picture_says_why() -> None:
    html = str(figure(replace(CARD, image=None, why="taken down", width=0), ""))
    assert "<img" not in html and "taken down" in html and "size unknown" in html


def test_figure_when_the_caption_is_hostile_or_blank_shows_text_alone() -> None:
    html = str(figure(replace(CARD, caption="<img src=x onerror=alert(1)>"), "<b>"))
    assert "<img src=x" not in html and "&lt;img src=x" in html
    assert "no caption" in str(figure(replace(CARD, caption=" \n"), ""))


def test_cluster_gallery_shows_the_keeper_first_and_counts_the_rows_that_are_not_shown() -> None:
    cards = {name: replace(CARD, id=name) for name in ("kept", "one", "two")}
    html = str(cluster_gallery(LargeCluster("kept", 1_234, ["one", "two"]), cards))
    assert "1,234 rows, 3 shown" in html
    assert html.index(">kept<") < html.index(">one<") < html.index(">two<")
    assert html.count("<b>dropped</b>") == 2 and html.count("<b>keeper</b>") == 1
    assert "shown" not in str(cluster_gallery(LargeCluster("kept", 3, ["one", "two"]), cards))
