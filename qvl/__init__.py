"""qvl: curate image-text data at web scale and train a vision-language model from it.

The parts are ``qvl.pipeline``, ``qvl.synth_ocr``, ``qvl.grounding_builder``, ``qvl.model`` and ``qvl.training``. In a
checkout they lie at the top of the repository, and ``qvl/`` links to them (docs/decisions/0013-one-import-name.md).
"""
