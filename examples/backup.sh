#!/bin/sh
# A back-up while the server runs: experiments and runs are copied one by one (what has not changed since the last time
# is left), artifacts as files. Restoring is serving the copy.
#
#   sh backup.sh /srv/trackd /backup/trackd              # say, every night from cron
set -eu
from=${1:?"where are mlruns and mlartifacts?"}
to=${2:?"where to?"}
trackd=${TRACKD:-"python3 trackd.pyz"}

mkdir -p "$to"
$trackd copy "$from/mlruns" "$to/mlruns"
if [ -d "$from/mlartifacts" ]; then
    # Files of artifacts appear whole and are not changed afterwards; -u leaves those that are there.
    mkdir -p "$to/mlartifacts"
    cp -Rpu "$from/mlartifacts/." "$to/mlartifacts/"
fi
$trackd check "$to/mlruns"
