#!/bin/sh
# Makes an environment for this bundle in .venv, checks the networks in it, and with --service CAMERA starts it at boot.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$here"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is $(python3 --version)" >&2; exit 1; }
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
./pan-edge check
if [ "${1:-}" = --service ]; then
  source=${2:?"name the camera: ./install.sh --service 0, or an address such as rtsp://host/path"}
  # systemd splits at spaces and reads quotes and backslashes as its own.
  case $here in *[!A-Za-z0-9._/+-]*) echo "$here: as a service the bundle must lie in a folder without spaces and quotes; move it" >&2; exit 1 ;; esac
  case $source in *[[:space:]\"\'\\]*) echo "$source: expected a camera without spaces, quotes and backslashes; write them as %20, %22, %27, %5C" >&2; exit 1 ;; esac
  # What means something to systemd or sed must stay as it was written; ${NAME} is left to pan-edge, which takes it from ./environment.
  source=$(printf '%s' "$source" | sed -e 's/%/%%/g' -e 's/\$/$$/g' -e 's/[&|\\]/\\&/g')
  sed -e "s|@HERE@|$here|g" -e "s|@SOURCE@|$source|g" -e "s|@USER@|$(id -un)|g" pan-edge.service | sudo tee /etc/systemd/system/pan-edge.service >/dev/null
  sudo systemctl daemon-reload
  sudo systemctl enable --now pan-edge.service
fi
