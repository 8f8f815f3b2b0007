#!/bin/sh
# Make a virtual environment; on Debian and Ubuntu, install what `python3 -m venv` lacks there.
# usage: make_venv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2
if ! command -v "$python" >/dev/null 2>&1; then
    echo "error: $python is not installed; qvl needs Python 3.11 or newer (apt-get install python3 python3-venv)" >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "error: $("$python" --version) is too old; qvl needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2
    exit 2
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv
    else
        echo "error: this Python has no ensurepip; install it first: sudo apt-get install python3-venv" >&2
        exit 2
    fi
fi
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --upgrade 'pip>=24'
