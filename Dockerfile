# The command line in a container, for Cloud Run jobs and other platforms. The image contains no secrets. Its packages have
# hashes; the base image has a tag and no digest, since no registry could be reached to look one up: Dependabot proposes it.
FROM python:3.12-slim

# The packages: bigquery (DuckDB, too) or postgres, the names of the locks.
ARG LOCK=bigquery

WORKDIR /app
COPY deploy/locks/${LOCK}.txt requirements.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements.txt
COPY .dlt/config.toml .dlt/
COPY comagic comagic
COPY comagic_pipeline.py .

RUN useradd --create-home loader
USER loader
ENV DLT_DATA_DIR=/tmp/dlt PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "comagic_pipeline.py"]
