#!/bin/sh
# Moving from MLflow to trackd. Nothing in the old place is changed, and it can be repeated: the last time brings what
# came since the first.
#
#   sh move_from_mlflow.sh http://old-mlflow:5000        a running MLflow server
#   sh move_from_mlflow.sh /srv/old/mlruns               a folder of MLflow's file store
#
# A folder needs no move at all: trackd serves ./mlruns as it is, and so it does with MLflow's SQLite database
# (trackd server --backend-store-uri sqlite:///mlflow.db).
set -eu
from=${1:?"where from? a server's address or a folder"}
to=${2:-./mlruns}
trackd=${TRACKD:-"python3 trackd.pyz"}

$trackd copy "$from" "$to"
$trackd check "$to"
echo "now serve it: $trackd server --backend-store-uri $to"
