#!/bin/sh
# Installs the system packages for OCR pages. usage: ocr_packages.sh [full]
# Without an argument: what examples/ocr_demo.yaml needs. full: also fonts and documents for the paper's settings (43 English
# families, 11 Chinese fonts), which scripts/ocr_open_inputs.py then puts where the recipe expects them; see docs/ocr.md.
set -eu
demo="chromium fontconfig tesseract-ocr tesseract-ocr-chi-sim fonts-liberation fonts-dejavu fonts-noto-cjk fonts-wqy-microhei
fonts-arphic-ukai debian-reference-en debian-reference-zh-cn mate-backgrounds fortunes fortunes-zh"
full="fonts-croscore fonts-urw-base35 fonts-crosextra-carlito fonts-crosextra-caladea fonts-bwht fonts-sjfonts fonts-rufscript
fonts-breip fonts-femkeklaver fonts-dkg-handwriting fonts-humor-sans fonts-kristi fonts-lobster fonts-leckerli-one
fonts-kaushanscript fonts-dancingscript fonts-yanone-kaffeesatz fonts-clear-sans fonts-cantarell fonts-b612 fonts-hermit
fonts-agave fonts-mononoki fonts-cardo fonts-stix fonts-havana fonts-smiley-sans fonts-arphic-gbsn00lp fonts-arphic-gkai00mp
fonts-wqy-zenhei fonts-arphic-uming texlive-lang-chinese debian-handbook libreoffice-help-zh-cn libreoffice-help-en-us opencv-doc"
packages=$demo
if [ "${1:-}" = full ]; then
    packages="$demo $full"
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: this needs root and apt; on other systems install:" $packages >&2
    exit 2
fi
apt-get update -qq
# the browser without windows renders pages a third cheaper, but not every release has it
if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
    packages="$packages chromium-headless-shell"
fi
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
