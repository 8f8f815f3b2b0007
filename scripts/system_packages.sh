#!/bin/sh
# System packages that the tests use. Without root or apt, what is missing is named and its tests skip with a message.
set -eu
missing=""
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need chromium chromium
need tesseract tesseract-ocr
need fc-list fontconfig
[ -e /usr/share/fonts/opentype/noto ] || missing="$missing fonts-noto-cjk fonts-wqy-microhei fonts-arphic-ukai fonts-liberation fonts-dejavu tesseract-ocr-chi-sim"
[ -e /usr/share/doc/debian-reference-en ] || missing="$missing debian-reference-en debian-reference-zh-cn mate-backgrounds fortunes fortunes-zh"
if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "note: not installed, their tests will be skipped:$missing (sudo apt-get install$missing)" >&2
fi
