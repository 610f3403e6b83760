# The command line in a container, for Cloud Run jobs and other platforms. The image contains no secrets.
FROM python:3.12-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --requirement requirements.txt
COPY .dlt/config.toml .dlt/
COPY comagic comagic
COPY comagic_pipeline.py .

RUN useradd --create-home loader
USER loader
ENV DLT_DATA_DIR=/tmp/dlt PYTHONUNBUFFERED=1
ENTRYPOINT ["python", "comagic_pipeline.py"]
