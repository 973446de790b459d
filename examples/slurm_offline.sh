#!/bin/bash
#SBATCH --job-name=train-offline
#SBATCH --nodes=1
#SBATCH --time=04:00:00
#SBATCH --requeue
# Compute nodes without a network: log into a spool on the shared file system. On the login node, once or for ever:
#
#   python3 trackd.pyz sync  tracking-spool http://server:5000
#   python3 trackd.pyz watch tracking-spool http://server:5000
set -eu
bundle=${TRACKD_BUNDLE:-$SLURM_SUBMIT_DIR/trackd.pyz}

export MLFLOW_TRACKING_URI=spool:${TRACKD_DATA:-$SLURM_SUBMIT_DIR/tracking-spool}
export PYTHONPATH=$bundle${PYTHONPATH:+:$PYTHONPATH}
python3 "${1:-train.py}"
