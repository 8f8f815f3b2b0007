"""Image headers, decoding, thumbnails, perceptual hashes and CLIP."""
