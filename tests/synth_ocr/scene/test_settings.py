"""The defaults of a scene are SynthDoG's."""

from qvl.synth_ocr.scene.settings import PERSPECTIVES, Canvas, Effects, TextLayout


def test_settings_when_left_at_their_defaults_are_those_of_synthdog() -> None:
    canvas, layout, bent = Canvas(), TextLayout(), Effects()
    assert (canvas.quality, canvas.landscape, canvas.short_size, canvas.aspect_ratio) == (
        (50, 95),
        0.5,
        (720, 1024),
        (1, 2),
    )
    assert (canvas.background_blur, canvas.fullscreen, canvas.document_short_size) == ((0, 10), 0.5, (480, 1024))
    assert (canvas.document_landscape, canvas.document_aspect_ratio, canvas.paper_alpha) == (0.5, (1, 2), (0, 0.2))
    assert (layout.margin, layout.text_scale, layout.max_row, layout.max_col) == ((0, 0.1), (0.0334, 0.1), 10, 3)
    assert (layout.fill, layout.full, layout.stack_spacing) == ((0.5, 1), 0.1, (0.0334, 0.0334))
    assert (layout.stack_fill, layout.stack_full, layout.textbox_fill) == ((0.5, 1), 0.1, (0.5, 1))
    assert (layout.textbox_color, layout.content_color, layout.gray) == (0.2, 0.2, (0, 64))
    assert (bent.elastic_alpha, bent.elastic_sigma, bent.noise_scale) == ((0, 1), (0, 0.5), (0, 8))
    assert [weight for weight, _ in PERSPECTIVES] == [750, 50, 50, 25, 25, 25, 25, 50]
    assert (bent.rgb, bent.rgb_alpha, bent.shadow_intensity, bent.shadow_smoothing) == (
        0.2,
        (0, 0.2),
        (0, 160),
        (0.5, 1),
    )
    assert (bent.contrast_alpha, bent.brightness_beta) == ((1, 1.5), (-48, 0))
    assert (bent.motion_blur, bent.motion_blur_k, bent.gaussian_blur) == (0.5, (3, 5), (0, 1.5))
