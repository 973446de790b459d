#!/bin/sh
# A back-up while the server runs: what has not changed since the last time is left. Restoring is serving the copy.
#
#   sh backup.sh /srv/trackd /backup/trackd              # say, every night from cron
set -eu
from=${1:?"where are mlruns and mlartifacts?"}
to=${2:?"where to?"}
trackd=${TRACKD:-"python3 trackd.pyz"}

mkdir -p "$to"
$trackd copy "$from/mlruns" "$to/mlruns" \
    --artifacts --from-artifacts "$from/mlartifacts" --to-artifacts "$to/mlartifacts"
$trackd check "$to/mlruns"
