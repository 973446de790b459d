#!/bin/sh
# Moving from MLflow to trackd, files included. Nothing in the old place is changed, and it can be repeated: the last
# time brings what came since the first.
#
#   sh move_from_mlflow.sh http://old-mlflow:5000        a running MLflow server
#   sh move_from_mlflow.sh /srv/old/mlruns               a folder of MLflow's file store
#   sh move_from_mlflow.sh sqlite:////srv/old/mlflow.db  a database
#
# None of them has to move: trackd serves ./mlruns and MLflow's SQLite database as they are
# (trackd server --backend-store-uri sqlite:///mlflow.db).
set -eu
from=${1:?"where from? a server's address, a folder or a database"}
to=${2:-./mlruns}
artifacts=${3:-./mlartifacts}
trackd=${TRACKD:-"python3 trackd.pyz"}

$trackd copy "$from" "$to" --artifacts --to-artifacts "$artifacts"
$trackd check "$to"
echo "now serve it: $trackd server --backend-store-uri $to --artifacts-destination $artifacts"
