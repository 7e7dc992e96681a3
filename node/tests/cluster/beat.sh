# Usage: sh beat.sh LINES DONE
#
# Appends a line to LINES every 100 ms, with who writes it and when, until the file DONE is there.
say() { echo "$CAPSTAN_REQUEST_ID $CAPSTAN_JOB_ID $CAPSTAN_TRY $CAPSTAN_NODE_ID $1 $(date +%s%N)" >>"$lines"; }
lines=$1
say start
until [ -e "$2" ]; do
  sleep 0.1
  say beat
done
say end
