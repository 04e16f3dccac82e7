# Exact tags; where the registry can be reached, pin its digest too: FROM python:3.11.11-slim-bookworm@sha256:...
FROM python:3.11.11-slim-bookworm

# Debian's own versions: its mirrors drop a version when the next comes, so a pin would break the build instead of fixing it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make libarchive-tools libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 pan

WORKDIR /home/pan/project
# Folders that volumes take the place of: a new volume has the owner of what it hides.
RUN mkdir -p .cache .dvc/cache data/incoming mlruns models reports \
 && chown -R pan:pan /home/pan/project
USER 1000

# The environment first: it changes less often than the code.
COPY --chown=1000 Makefile pyproject.toml requirements.lock README.md ./
COPY --chown=1000 pan_core/__init__.py pan_core/__init__.py
COPY --chown=1000 flows/__init__.py flows/__init__.py
RUN make setup PYTHON=python3

COPY --chown=1000 . .
# Without the first DVC stops where there is no git repository, and .git is not in the image. Without the second the lock file,
# copied again, looks newer than the environment, and `make` would set it up once more in every container.
RUN .venv/bin/dvc config --local core.no_scm true \
 && touch .venv/.ready \
 && .venv/bin/pan pose weights
CMD ["make", "run", "PYTHON=python3"]
