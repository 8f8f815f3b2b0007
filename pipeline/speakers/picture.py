"""Images as data URLs, reduced to the size at which a service is to see them."""

import base64
import io

from PIL import Image

from qvl.pipeline.images.decode import decode
from qvl.pipeline.recipe.speakers import SentImage
from qvl.pipeline.sources.base import Bytes

WHOLE = 1 << 30  # pixels: no image has a shorter side than this, so that every image is decoded at its full size


def data_url(image: Bytes, sent: SentImage) -> str:
    """The image as a ``data:`` URL in RGB. EXIF orientation is not applied, as everywhere. Raises PixelError."""
    picture = decode(image, sent.max_side or WHOLE)
    if sent.max_side is not None and max(picture.size) > sent.max_side:
        share = sent.max_side / max(picture.size)
        size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
        picture = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    written = io.BytesIO()
    options = {"quality": sent.quality} if sent.format == "jpeg" else {"compress_level": 1}
    picture.save(written, sent.format, **options)
    return f"data:image/{sent.format};base64,{base64.b64encode(written.getvalue()).decode()}"
