FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make libarchive-tools libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 pan

WORKDIR /home/pan/project
RUN chown pan:pan /home/pan/project
USER pan

# The environment first: it changes less often than the code.
COPY --chown=pan:pan Makefile pyproject.toml requirements.lock README.md ./
COPY --chown=pan:pan pan_core/__init__.py pan_core/__init__.py
COPY --chown=pan:pan flows/__init__.py flows/__init__.py
RUN make setup PYTHON=python3

COPY --chown=pan:pan . .
# Without this DVC stops where there is no git repository, and .git is not in the image.
RUN .venv/bin/dvc config --local core.no_scm true
CMD ["make", "run", "PYTHON=python3"]
