"""Which held-out samples are shown."""

from qvl.training.evaluation.samples.sample import EvalSample
from qvl.training.pages.journey.side_by_side import choose


def test_examples_alternate_images_and_languages() -> None:
    def one(at: int, image: int, language: str) -> EvalSample:
        return EvalSample(str(at), "caption", f"s {language}", "cider", "", (image,), ("",), None)  # type: ignore[arg-type]

    samples = [one(at, at // 4, "en" if at < 12 else "zh") for at in range(16)]
    chosen = choose(range(16), samples, 4)
    assert {samples[at].images for at in chosen} == {(0,), (1,), (2,), (3,)}
    assert sum(samples[at].group.endswith("zh") for at in chosen) == 1
