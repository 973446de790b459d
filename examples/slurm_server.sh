#!/bin/bash
#SBATCH --job-name=train-with-trackd
#SBATCH --nodes=1
#SBATCH --time=04:00:00
# A tracking server on the compute node for as long as the job runs, on the shared file system of the project. The
# training talks to it over localhost. (The index lies on the node: SQLite and network file systems do not get on.)
set -eu
data=${TRACKD_DATA:-$SLURM_SUBMIT_DIR/tracking}
bundle=${TRACKD_BUNDLE:-$SLURM_SUBMIT_DIR/trackd.pyz}
scratch=${TMPDIR:-/tmp}
mkdir -p "$data"

python3 "$bundle" server --port 0 --backend-store-uri "$data/mlruns" --artifacts-destination "$data/mlartifacts" \
    --index "$scratch/trackd-$SLURM_JOB_ID.db" > "$scratch/trackd-$SLURM_JOB_ID.log" &
server=$!
trap 'kill $server; wait $server' EXIT
until uri=$(grep -o 'http://127.0.0.1:[0-9]*' "$scratch/trackd-$SLURM_JOB_ID.log" | head -n 1) && [ -n "$uri" ]; do
    kill -0 $server || exit 1
    sleep 0.2
done

export MLFLOW_TRACKING_URI=$uri
export PYTHONPATH=$bundle${PYTHONPATH:+:$PYTHONPATH}
python3 "${1:-train.py}"
